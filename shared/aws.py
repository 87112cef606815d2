"""What all uses of AWS share: client settings, the meaning of error codes, and DynamoDB's form of values."""

import logging
import os
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from shared.deadline import seconds_left

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.config import Config

# At DEBUG they log whole requests and responses, secrets and mails among them, and the root logger may be at DEBUG.
for _library in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)


class ClientSettings(NamedTuple):
    """How patient a client is: time-outs in seconds (botocore's own are 60 each), and the attempts in all."""

    connect_timeout: float
    read_timeout: float
    attempts: int

    def config(self) -> "Config":
        """Return them in botocore's form."""
        # Most requests need none of botocore's clients (shared/lean_client.py), and importing this takes time.
        from botocore.config import Config  # noqa: PLC0415

        return Config(
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            retries={"mode": "standard", "total_max_attempts": self.attempts},
        )


# Of what nobody waits for.
AWS_SETTINGS = ClientSettings(connect_timeout=2, read_timeout=4, attempts=3)
# While a visitor or Stripe waits. `within_deadline` bounds the sum of several requests.
REQUEST_SETTINGS = ClientSettings(connect_timeout=1, read_timeout=2, attempts=2)
# A connection and a response, each as late as the time-outs of `REQUEST_SETTINGS` allow.
REQUEST_SECONDS = 3
# botocore's longest pauses before a second attempt: its own, and what it adds where a service asks for more by a header
# (botocore/retries/standard.py, ExponentialBackoff).
_OWN_PAUSE_SECONDS, _ASKED_PAUSE_SECONDS, _PAUSE_HEADER = 1, 5, "x-amz-retry-after"

# Errors that trying again does not fix: a missing permission, a deleted table or bucket. A `HEAD` has only the status.
_REFUSALS = frozenset({"AccessDenied", "AccessDeniedException", "403", "NoSuchBucket", "ResourceNotFoundException"})
# DynamoDB's code where a write's condition did not hold.
CONDITION_FAILED = "ConditionalCheckFailedException"

_Client = TypeVar("_Client", bound="BaseClient")


class DeadlineReached(BotoCoreError):
    """Raised instead of sending a request that could outlast the invocation's deadline."""

    fmt = "Too little time is left for another request to AWS"


def request_client(service: Any, settings: ClientSettings) -> Any:
    """Return boto3's client of a service, which keeps to the invocation's deadline."""
    import boto3  # noqa: PLC0415

    return within_deadline(boto3.client(service, config=settings.config()))


def within_deadline(client: _Client) -> _Client:
    """Have a client with `REQUEST_SETTINGS` send nothing, and wait for nothing, that could outlast the deadline.

    It raises `DeadlineReached` instead, or after a first attempt that attempt's error.
    """
    # botocore asks the handlers of a service before those of all services, and takes the first result.
    service, events = client.meta.service_model.service_id.hyphenize(), client.meta.events
    events.register_first(f"before-send.{service}", refuse_what_is_too_late)
    events.register_first(f"needs-retry.{service}", _refuse_a_late_retry)  # type: ignore[arg-type]  # its result counts
    return client


def refuse_what_is_too_late(**_: object) -> None:
    """Raise `DeadlineReached` unless a request begun now ends in time."""
    if seconds_left() < REQUEST_SECONDS:
        raise DeadlineReached


def _refuse_a_late_retry(response: tuple[Any, Any] | None = None, **_: object) -> bool | None:
    """Return `False` where there is no time to try again, else `None`: botocore decides."""
    asked = response[0].headers.get(_PAUSE_HEADER) if response else None
    pause = _OWN_PAUSE_SECONDS + (_ASKED_PAUSE_SECONDS if asked else 0)
    return None if seconds_left() >= pause + REQUEST_SECONDS else False


def code_of(error: Exception) -> str:
    """Return AWS's code of the error, or the name of its class where AWS did not respond."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def is_refusal(error: Exception) -> bool:
    """Whether only the operator can fix it."""
    return code_of(error) in _REFUSALS


def deserialize(value: Mapping[str, Any]) -> Any:
    """Return the value of DynamoDB's form; numbers are whole in all tables, and sets and bytes stay as they are."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(Decimal(content))
        case "NULL":
            return None
        case "L":
            return [deserialize(each) for each in content]
        case "M":
            return {name: deserialize(each) for name, each in content.items()}
        case _:
            return content


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
