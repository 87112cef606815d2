"""The guard against open redirects: a return URL has to be of one of the allowed origins, exactly."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from shared.errors import InvalidRequest

MAX_LENGTH = 2048

# Without what browsers and parsers read differently: white space, control characters, backslashes, non-ASCII.
_PLAIN = re.compile(r"[!-\[\]-~]+")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\]")
_DEFAULT_PORT = {"https": 443, "http": 80}


def origin_of(url: str) -> str:
    """Return `scheme://host[:port]` in lower case, without the scheme's own port.

    Raises `InvalidRequest` for everything that is not a plain absolute http(s) address: user info, backslashes,
    white space and non-ASCII hosts (write them in punycode) among it.
    """
    refusal = InvalidRequest("bad_return_url", "return_url must be a plain absolute https address")
    if len(url) > MAX_LENGTH or not _PLAIN.fullmatch(url):
        raise refusal
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refusal from error
    host = parts.netloc.lower()
    if parts.port is not None:
        host = host.rpartition(":")[0]
    if parts.scheme not in _DEFAULT_PORT or "@" in parts.netloc or not _HOST.fullmatch(host):
        raise refusal
    suffix = "" if port is None or port == _DEFAULT_PORT[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{suffix}"


def is_allowed(url: str, origins: Collection[str]) -> bool:
    """Whether the address's origin is one of these, exactly."""
    try:
        return origin_of(url) in origins
    except InvalidRequest:
        return False
