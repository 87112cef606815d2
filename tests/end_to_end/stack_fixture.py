"""The whole stack as a person starts it, on ports of its own, and its pages as a browser sees them."""

import html
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import requests

ROOT = Path(__file__).parents[2]
# How long something may take that takes a second or ten: a busy machine is no failure of the code.
PATIENCE_SECONDS = 120
# What cannot be ordered is settled after six seconds instead of fourteen.
SETTLES_SOON = ("--parameter", "EventClockUncertaintySeconds=2")
HAS_PROC = Path("/proc/self/task").exists()

# A job in the background ignores Ctrl-C, and so do the processes that it starts; those in a terminal do not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@dataclass
class RunningStack:
    """A started stack and what it has said so far."""

    process: subprocess.Popen[str]
    ports: tuple[int, int, int]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, *arguments: str, ports: tuple[int, int, int] | None = None, **environment: str) -> Self:
        port, stripe_port, aws_port = ports or (free_port(), free_port(), free_port())
        options = ["--port", str(port), "--stripe-port", str(stripe_port), "--aws-port", str(aws_port)]
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        process = subprocess.Popen(
            [sys.executable, "-m", "local", *options, *arguments],
            cwd=ROOT,
            env=inherited | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return cls(process, (port, stripe_port, aws_port))

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            self.lines.extend(lines)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def wait_until_ready(self, seconds: float = 180, *, shows: str | None = None) -> Self:
        """Wait until it says that it is, and until the mirror has everything that the seed has done at Stripe.

        Without a seed, `shows` is what the counter of the control room says.
        """
        deadline = time.monotonic() + seconds
        try:
            while "Clock" not in self.said:
                assert self.process.poll() is None, "it has ended"
                assert time.monotonic() < deadline, "it takes too long"
                time.sleep(0.05)
            wait_for_counter(self, shows or in_sync(self))
        except Exception as error:
            self.stop()
            raise AssertionError(f"The stack is not ready: {error}. It said: {self.said}") from error
        return self

    def wait_for_end(self, seconds: float = 60) -> int:
        code = self.process.wait(seconds)
        # A child that is left behind would keep its output open.
        self._reader.join(10)
        return code

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.wait_for_end()

    def descendants(self) -> list[int]:
        """The processes that it started, where the system tells (Linux)."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for path in children for pid in path.read_text().split()]


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=60, allow_redirects=False)


def simulator(stack: RunningStack, path: str, body: object | None = None) -> Any:
    url = f"http://127.0.0.1:{stack.ports[1]}/_simulator/{path}"
    answer = requests.get(url, timeout=60) if body is None else requests.post(url, json=body, timeout=60)
    answer.raise_for_status()
    return answer.json()


def counter(stack: RunningStack) -> str:
    """How many subscriptions the control room finds in the mirror as they are at Stripe."""
    return get(f"{stack.url}/room").text.partition('id="room-counter"')[2].partition("</strong>")[0].rpartition(">")[2]


def in_sync(stack: RunningStack, but: int = 0) -> str:
    """What the counter says when all subscriptions are in sync, or all but some."""
    count = len(simulator(stack, "subscriptions")["data"])
    return f"{count - but} of {count} in sync"


def wait_for_counter(stack: RunningStack, words: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (said := counter(stack)) != words:
        assert time.monotonic() < deadline, f"{said}, not {words}"
        time.sleep(0.2)


def row_of(stack: RunningStack, name: str) -> str:
    """The part of the home page about one customer."""
    rows = html.unescape(get(stack.url).text).split("<tr>")
    return next(row for row in rows if f">{name}</a>" in row)


def links_of(row: str) -> list[str]:
    return re.findall(r'href="(/portal\?token=[^"]+)"', row)


def customer_page(stack: RunningStack, name: str) -> str:
    found = re.search(r'href="(/customers/[^"]+)"', row_of(stack, name))
    assert found
    return f"{stack.url}{found[1]}"


def submit_portal_form(page_url: str, action: str, **values: str) -> None:
    """Press a button of a hosted page, the form's hidden fields with it."""
    text = requests.get(page_url, timeout=60).text
    form = re.search(rf'<form method="post" id="{action}-.*?</form>', text, re.DOTALL)
    assert form, text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0]))
    answer = requests.post(page_url, data=hidden | {"action": action} | values, timeout=60)
    assert answer.ok, answer.text


def eventually(stack: RunningStack, name: str, words: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while words not in row_of(stack, name):
        assert time.monotonic() < deadline, row_of(stack, name)
        time.sleep(0.1)
