"""The lean client's connections: kept, opened anew, given up, and only to servers that prove who they are."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.aws import ClientSettings
from shared.lean_client import Connections, Response

SETTINGS = ClientSettings(connect_timeout=60, read_timeout=60, attempts=2)
HEADERS = {"host": "service.example", "x-amz-target": "DynamoDB_20120810.GetItem"}
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-amz-crc32: 7\r\n\r\n{}"


@dataclass
class Server:
    """Answers each request of each connection with the next of these bytes, and then closes where that says so."""

    answers: list[bytes] = field(default_factory=list)
    closes_after: int = 1000
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                self.connections += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                for _ in range(self.closes_after):
                    if not self._read(connection):
                        break
                    connection.sendall(self.answers.pop(0) if self.answers else WHOLE)
        self.closed.set()

    def _read(self, connection: socket.socket) -> bool:
        read = b""
        while b"\r\n\r\n" not in read or not read.endswith(b"}"):
            part = connection.recv(65536)
            if not part:
                return False
            read += part
        self.requests.append(read)
        return True


@pytest.fixture
def listening() -> Iterator[Callable[[Server], str]]:
    """Starts servers; returns their addresses without the scheme."""
    listeners: list[socket.socket] = []

    def start(server: Server) -> str:
        listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        listeners.append(listener)
        threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for each in listeners:
        each.shutdown(socket.SHUT_RDWR)
        each.close()


Listening = Callable[[Server], str]


def connections_to(server: Server, listening: Listening, settings: ClientSettings = SETTINGS) -> Connections:
    return Connections(f"http://{listening(server)}", settings)


def test_a_request_is_whole_and_so_is_its_response(listening: Listening) -> None:
    server = Server()
    assert connections_to(server, listening).post(HEADERS, b'{"a": 1}') == Response(200, "7", b"{}")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b'{"a": 1}'
    assert set(head.decode().split("\r\n")) == {
        "POST / HTTP/1.1",
        "Accept-Encoding: identity",
        "Content-Length: 8",
        "host: service.example",
        "x-amz-target: DynamoDB_20120810.GetItem",
    }


def test_one_connection_serves_one_request_after_the_other(listening: Listening) -> None:
    server = Server()
    connections = connections_to(server, listening)
    assert [connections.post(HEADERS, b"{}") for _ in range(5)] == [Response(200, "7", b"{}")] * 5
    assert server.connections == 1


def test_requests_at_the_same_time_never_share_a_connection(listening: Listening) -> None:
    """Each reads the response to its own request."""
    server = Server()
    connections = connections_to(server, listening)
    found: list[Response | None] = []

    def ask() -> None:
        found.extend(connections.post(HEADERS, b"{}") for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Response(200, "7", b"{}")] * 160
    assert server.connections <= 8


def test_a_connection_that_the_server_has_closed_meanwhile_is_opened_anew(listening: Listening) -> None:
    server = Server(closes_after=1)
    connections = connections_to(server, listening)
    for _ in range(3):
        assert connections.post(HEADERS, b"{}") == Response(200, "7", b"{}")
        assert server.closed.wait(60)
        server.closed.clear()
        time.sleep(0.05)
    assert (server.connections, len(server.requests)) == (3, 3)


def test_a_connection_with_more_than_the_response_is_not_used_again(listening: Listening) -> None:
    """Else the next request would read what belongs to nobody."""
    server = Server(answers=[WHOLE + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"])
    connections = connections_to(server, listening)
    assert connections.post(HEADERS, b"{}") == Response(200, "7", b"{}")
    assert connections.post(HEADERS, b"{}") == Response(200, "7", b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nx-amz-crc32: 7\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amz-crc32: 7\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nx-amz-crc32: 7\r\n\r\n{}",
    ],
)
def test_each_form_of_a_response_is_read(listening: Listening, answer: bytes) -> None:
    is_last = b"HTTP/1.0" in answer
    server = Server(answers=[answer], closes_after=1 if is_last else 1000)
    connections = connections_to(server, listening)
    assert connections.post(HEADERS, b"{}") == Response(200, "7", b"{}")
    assert connections.post(HEADERS, b"{}") == Response(200, "7", b"{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"\x16\x03\x01 no HTTP\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_not_a_whole_response_is_none(listening: Listening, answer: bytes) -> None:
    server = Server(answers=[answer], closes_after=1)
    connections = connections_to(server, listening)
    assert connections.post(HEADERS, b"{}") is None
    assert connections.post(HEADERS, b"{}") == Response(200, "7", b"{}")


def test_a_server_that_is_not_there_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert Connections(f"http://127.0.0.1:{port}", SETTINGS).post(HEADERS, b"{}") is None


def test_a_response_that_hangs_is_waited_for_as_long_as_the_settings_say(listening: Listening) -> None:
    server = Server(answers=[b"HTTP/1.1 200 OK\r\n"])
    began = time.monotonic()
    assert connections_to(server, listening, SETTINGS._replace(read_timeout=0.2)).post(HEADERS, b"{}") is None
    assert 0.2 <= time.monotonic() - began < SETTINGS.read_timeout


@dataclass(frozen=True)
class Certificates:
    """A server's certificate, made by itself, with its key."""

    tls: ssl.SSLContext
    file: Path


def certificates(folder: Path, name: str | None) -> Certificates:
    """For the host name, or for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    host = x509.DNSName(name) if name else x509.IPAddress(ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, private = folder / f"{name}.pem", folder / f"{name}.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file, private)
    return Certificates(tls, file)


def test_a_trusted_server_is_talked_to_over_tls(listening: Listening, tmp_path: Path) -> None:
    mine = certificates(tmp_path, None)
    server = Server(tls=mine.tls)
    connections = Connections(f"https://{listening(server)}", SETTINGS, mine.file)
    assert [connections.post(HEADERS, b"{}") for _ in range(3)] == [Response(200, "7", b"{}")] * 3
    assert server.connections == 1


def test_a_server_that_proves_nothing_never_sees_a_request(listening: Listening, tmp_path: Path) -> None:
    """One whose certificate nobody trusted made, one whose certificate is another's, and one without any."""
    mine, of_another = certificates(tmp_path, None), certificates(tmp_path, "dynamodb.example")
    # The last one waits for the end of a request, and says nothing.
    brief = SETTINGS._replace(connect_timeout=0.2, read_timeout=0.2)
    for server, settings, trusted in (
        (Server(tls=mine.tls), SETTINGS, None),
        (Server(tls=of_another.tls), SETTINGS, of_another.file),
        (Server(), brief, mine.file),
    ):
        address = f"https://{listening(server)}"
        connections = Connections(address, settings, trusted) if trusted else Connections(address, settings)
        assert connections.post(HEADERS, b"{}") is None
        assert server.requests == []


def test_a_file_of_authorities_that_is_not_there_trusts_nobody(listening: Listening, tmp_path: Path) -> None:
    server = Server(tls=certificates(tmp_path, None).tls)
    assert Connections(f"https://{listening(server)}", SETTINGS, tmp_path / "none.pem").post(HEADERS, b"{}") is None
    assert server.requests == []
