"""Who may pause, for how long and how often: the rules of the company, beside those of Stripe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.i18n import Message, _, _n

# The longest pause that Stripe's own portal offers (SDK text of `features.subscription_pause.duration`, 16.1.0).
LONGEST_PAUSE_DAYS = 3 * 365
_YEAR = timedelta(days=365)
# The refusal where pauses are off for the customer.
NOT_OFFERED = "pauses_not_offered"
# The rules count days. A day may have 25 hours, and a pause begins some minutes before the paid time ends.
_ROOM_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class PauseRefusal:
    """One reason why a pause is not possible, in the visitor's words, and what would make it possible.

    `allowed_from`: the Unix second from which on this reason does not hold any more, where that is known.
    """

    code: str
    why: Message
    lifted_by: Message | None = None
    allowed_from: int | None = None


def too_long(longest: timedelta) -> PauseRefusal:
    """Return the refusal of a pause that would last longer than that."""
    return PauseRefusal(
        "pause_too_long",
        _n("A pause can last at most {n} day.", "A pause can last at most {n} days.", longest.days),
        _("Choose an earlier date of return."),
    )


@dataclass(frozen=True, slots=True)
class PastPauses:
    """What the rules need to know about the earlier pauses of a subscription.

    `begun`: when each pause began, `last_ended`: when the last of them that had begun was over; Unix seconds.
    """

    begun: tuple[int, ...] = ()
    last_ended: int | None = None


def _words(value: Any) -> Any:
    return [word for word in value.replace(",", " ").split() if word] if isinstance(value, str) else value


PauseReasonCode = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
PauseReasons = Annotated[tuple[PauseReasonCode, ...], BeforeValidator(_words), Field(max_length=20)]


class PausePolicy(BaseModel):
    """The rules of one group of customers; the fields are settings.

    `pause_now` says whether a pause may begin before the paid time ends, and whether the unused time is credited.
    Zero stands for no limit, except in `pause_notice_days`: no notice.
    """

    model_config = ConfigDict(frozen=True)

    pause_allowed: Literal["nobody", "everybody"] = "nobody"
    pause_now: Literal["never", "credit", "forfeit"] = "never"
    max_pause_days: Annotated[int, Field(ge=0, le=3650)] = 365
    pause_min_days_between: Annotated[int, Field(ge=0, le=3650)] = 0
    pause_max_in_365_days: Annotated[int, Field(ge=0, le=365)] = 0
    pause_reasons: PauseReasons = ()
    pause_notice_days: Annotated[int, Field(ge=0, le=60)] = 3

    def with_changes(self, changes: Mapping[str, Any]) -> "PausePolicy":
        """Return these rules with some replaced. Raises `ValueError` for a rule that there is not, or a wrong value."""
        if unknown := sorted(changes.keys() - PausePolicy.model_fields.keys()):
            raise ValueError(f"no rules of pauses: {', '.join(unknown)}")
        fields = {name: getattr(self, name) for name in PausePolicy.model_fields}
        return PausePolicy.model_validate(fields | dict(changes))

    @property
    def longest(self) -> timedelta:
        """How long a pause may last."""
        return timedelta(days=min(self.max_pause_days or LONGEST_PAUSE_DAYS, LONGEST_PAUSE_DAYS))

    def refusals(self, *, begins: int, resumes: int, past: PastPauses, reason: str | None) -> Iterator[PauseRefusal]:
        """Return the rules that a pause would break; times are Unix seconds."""
        if self.pause_allowed == "nobody":
            yield PauseRefusal(NOT_OFFERED, _("Pauses are not offered for your subscription."))
        if resumes - begins > self.longest.total_seconds() + _ROOM_SECONDS:
            yield too_long(self.longest)
        if reason is not None and reason not in self.pause_reasons:
            yield PauseRefusal("unknown_reason", _("This reason is not among those offered."))
        yield from self._too_often(begins, past)

    def _too_often(self, begins: int, past: PastPauses) -> Iterator[PauseRefusal]:
        between = timedelta(days=self.pause_min_days_between)
        earliest = (past.last_ended or 0) + int(between.total_seconds())
        if begins + _ROOM_SECONDS < earliest:
            yield PauseRefusal(
                "pause_too_soon",
                _n(
                    "There has to be at least {n} day between two pauses.",
                    "There have to be at least {n} days between two pauses.",
                    between.days,
                ),
                _("Choose a pause that begins later."),
                earliest,
            )
        recent = sorted(moment for moment in past.begun if moment > begins - _YEAR.total_seconds())
        most = self.pause_max_in_365_days
        if most and len(recent) >= most:
            yield PauseRefusal(
                "too_many_pauses",
                _n(
                    "Only {n} pause is possible within 365 days.", "Only {n} pauses are possible within 365 days.", most
                ),
                None,
                recent[-most] + int(_YEAR.total_seconds()) + 1,
            )
