"""Every request to AWS, as a test sees it before it is sent: by botocore's clients, and by the lean client."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.httpsession import URLLib3Session

from shared.lean_client import Connections, Response


def watch_aws_requests(monkeypatch: pytest.MonkeyPatch, see: Callable[[str, bytes], None]) -> None:
    """Have `see` called with the target (`DynamoDB_20120810.GetItem`) and the body of each request.

    A request that names no target (S3's and SES's) comes with its method instead.
    """
    send, post = URLLib3Session.send, Connections.post

    def seen(session: URLLib3Session, request: Any) -> Any:
        target = request.headers.get("X-Amz-Target", request.method)
        see(target if isinstance(target, str) else target.decode(), request.body)
        return send(session, request)

    def seen_post(connections: Connections, headers: Mapping[str, str], body: bytes) -> Response | None:
        see(headers["x-amz-target"], body)
        return post(connections, headers, body)

    monkeypatch.setattr(URLLib3Session, "send", seen)
    monkeypatch.setattr(Connections, "post", seen_post)
