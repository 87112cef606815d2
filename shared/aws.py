"""What all AWS clients share: time-outs that fit into a request, and what a refusal is."""

from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

# botocore's own time-outs are 60 seconds each.
AWS_CONFIG = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})

# What no later try mends: a missing permission, a table or bucket that was deleted. A `HEAD` has only the status.
_REFUSALS = frozenset({"AccessDenied", "AccessDeniedException", "403", "NoSuchBucket", "ResourceNotFoundException"})


def code_of(error: Exception) -> str:
    """Return what AWS calls the error, or else what Python does."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def is_refusal(error: Exception) -> bool:
    """Whether only the team can mend it."""
    return code_of(error) in _REFUSALS


def serialize(value: str | int | list[Any] | dict[str, Any] | None) -> dict[str, Any]:
    """Give a value DynamoDB's type; the few that a mirror needs, several times as fast as boto3's `TypeSerializer`."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case list():
            return {"L": [serialize(each) for each in value]}
        case _:
            return {"M": {name: serialize(each) for name, each in value.items()}}
