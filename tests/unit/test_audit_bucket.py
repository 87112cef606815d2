"""What S3 may do to the audit: pass by itself, or never without the team."""

from datetime import date
from typing import Any, cast

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError
from s3transfer.exceptions import RetriesExceededError

from functions.nightly_audit.bucket import ReportBucket
from shared.errors import OperatorError, PortalError, Unavailable


class BrokenBucket:
    """Fails whatever is asked of it."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def download_fileobj(self, *_: Any) -> None:
        raise self._error


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refusal("SlowDown"), Unavailable),
        (refusal("500"), Unavailable),
        (refusal("404"), Unavailable),
        (EndpointConnectionError(endpoint_url="https://s3.example"), Unavailable),
        (S3UploadFailedError("broke off"), Unavailable),
        (RetriesExceededError(OSError("broke off")), Unavailable),
        (refusal("403"), OperatorError),
        (refusal("AccessDenied"), OperatorError),
        (refusal("NoSuchBucket"), OperatorError),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, expected: type[PortalError]) -> None:
    shelf = ReportBucket(cast("Any", BrokenBucket(error)), "reports")
    with pytest.raises(expected):
        list(shelf.listed(date(2026, 11, 24)))
