"""What a check of `portal doctor` is, what it may find, and what all of them ask of a deployment."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from stripe import StripeClient

from shared.i18n import NOTHING, Message, _

if TYPE_CHECKING:
    from cli.deployment import Deployment

CONNECT = _("run `portal connect`")
DEPLOY = _("deploy the template again (`sam deploy`)")
# One attempt of a request to Stripe, in seconds: with its retry, less than the time that a check has.
STRIPE_SECONDS = 8


class State(StrEnum):
    """What a check has found; the worst first."""

    FAILED = "failed"
    UNKNOWN = "unknown"
    WARNING = "warning"
    OK = "ok"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that a check has found, and what to do about it."""

    state: State
    text: Message
    to_do: Message = NOTHING


Results = Iterator[Result]


def ok(text: Message) -> Result:
    """Return what is as it should be."""
    return Result(State.OK, text)


def failed(text: Message, to_do: Message) -> Result:
    """Return what does not work."""
    return Result(State.FAILED, text, to_do)


def warning(text: Message, to_do: Message = NOTHING) -> Result:
    """Return what works, but not for long, or not as its owner will expect."""
    return Result(State.WARNING, text, to_do)


def skipped(text: Message) -> Result:
    """Return why there is nothing to check."""
    return Result(State.SKIPPED, text)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A name for the table, and the check; `to_do` is what to do where the check itself cannot go on."""

    label: Message
    run: Callable[["Deployment"], Results]
    to_do: Message = NOTHING

    @property
    def name(self) -> str:
        """The name for programs."""
        return self.label.id


def key_of(deployment: "Deployment") -> str:
    """Return the functions' Stripe key."""
    return deployment.stored_key.parsed().api_key


def stripe_of(deployment: "Deployment") -> StripeClient:
    """Return a client with the functions' key, which gives up before the check has to."""
    return deployment.stripe_with(key_of(deployment), STRIPE_SECONDS)


def now_of(deployment: "Deployment") -> float:
    """Return the deployment's time, in Unix seconds."""
    return deployment.ticking_clock()()
