"""What all uses of AWS share: client settings, the meaning of error codes, and DynamoDB's form of values."""

import logging
import os
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

# At DEBUG they log whole requests and responses, secrets and mails among them, and the root logger may be at DEBUG.
for _library in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)

# botocore's own time-outs are 60 seconds each.
# Of what nobody waits for.
AWS_CONFIG = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
# While a visitor or Stripe waits: a service that hangs is given up after five seconds.
REQUEST_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})

# Errors that trying again does not fix: a missing permission, a deleted table or bucket. A `HEAD` has only the status.
_REFUSALS = frozenset({"AccessDenied", "AccessDeniedException", "403", "NoSuchBucket", "ResourceNotFoundException"})


def code_of(error: Exception) -> str:
    """Return AWS's code of the error, or the name of its class where AWS did not respond."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def is_refusal(error: Exception) -> bool:
    """Whether only the operator can fix it."""
    return code_of(error) in _REFUSALS


def serialize(value: str | int | list[Any] | dict[str, Any] | None) -> dict[str, Any]:
    """Return a value in DynamoDB's form: only the types stored here, several times as fast as boto3's serializer."""
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


def isolate_environment() -> None:
    """Remove AWS settings from this process and its children, and bypass proxies for this machine.

    Whatever works with the local stack calls this first, so that nothing ever reaches the caller's own account.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, [no_proxy, "127.0.0.1", "localhost"]))
