"""Who may pause, for how long and how often: the rules of the company, beside those of Stripe."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.i18n import Message, _, _n, sentences

# The longest pause that Stripe's own portal offers (SDK text of `features.subscription_pause.duration`, 16.1.0).
LONGEST_PAUSE_DAYS = 3 * 365
_YEAR_SECONDS = 365 * 86_400
# At least so far back the rules look: a year, and as much again for pauses that were set long before they begin.
_LEAST_LOOK_BACK = timedelta(days=2 * 365)
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

    @property
    def words(self) -> Message:
        """The reason, with what would lift it."""
        return sentences(self.why, self.lifted_by) if self.lifted_by else self.why


def too_long(longest: timedelta) -> PauseRefusal:
    """Return the refusal of a pause that would last longer than that."""
    return PauseRefusal(
        "pause_too_long",
        _n("A pause can last at most {n} day.", "A pause can last at most {n} days.", longest.days),
        _("Choose an earlier date of return."),
    )


@dataclass(frozen=True, slots=True)
class PauseTime:
    """From when until when (Unix seconds) a subscription is paused, as set or as it was."""

    subscription_id: str
    begins: int
    ends: int

    def is_together_with(self, other: "PauseTime") -> bool:
        """Whether two subscriptions are paused at the same time, for at least half of the shorter pause."""
        common = min(self.ends, other.ends) - max(self.begins, other.begins)
        is_half = 2 * common >= min(self.ends - self.begins, other.ends - other.begins)
        return is_half and self.subscription_id != other.subscription_id


_Time = TypeVar("_Time", bound=PauseTime)


def counted_besides(pause: PauseTime, others: Iterable[_Time]) -> list[list[_Time]]:
    """Return a customer's other pauses as the rules count them, in the order in which they begin.

    Those of several subscriptions at the same time count as one, and are in one list; those at the time of `pause` are
    left out. Two of the same subscription always count as two.
    """
    counted: list[list[_Time]] = []
    for other in sorted(others, key=lambda each: each.begins):
        if other.is_together_with(pause):
            continue
        for group in counted:
            if other.is_together_with(group[0]) and all(
                other.subscription_id != each.subscription_id for each in group
            ):
                group.append(other)
                break
        else:
            counted.append([other])
    return counted


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

    @property
    def look_back(self) -> timedelta:
        """How long ago a pause may have begun that still counts: it may have been long, and the days between too."""
        return max(_LEAST_LOOK_BACK, self.longest + timedelta(days=self.pause_min_days_between + 1))

    def refusals(
        self, pause: PauseTime, *, others: Iterable[PauseTime] = (), reason: str | None = None
    ) -> Iterator[PauseRefusal]:
        """Return the rules that a pause would break; `others` are the customer's other pauses, of all subscriptions."""
        if self.pause_allowed == "nobody":
            yield PauseRefusal(NOT_OFFERED, _("Pauses are not offered for your subscription."))
        if pause.ends - pause.begins > self.longest.total_seconds() + _ROOM_SECONDS:
            yield too_long(self.longest)
        if reason is not None and reason not in self.pause_reasons:
            yield PauseRefusal("unknown_reason", _("This reason is not among those offered."))
        yield from self._too_often(pause, others)

    def _too_often(self, pause: PauseTime, others: Iterable[PauseTime]) -> Iterator[PauseRefusal]:
        counted = [
            PauseTime(group[0].subscription_id, group[0].begins, max(each.ends for each in group))
            for group in counted_besides(pause, others)
        ]
        between = timedelta(days=self.pause_min_days_between)
        earliest = _first_with_room(pause, counted, int(between.total_seconds())) if between else pause.begins
        if earliest > pause.begins:
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
        most = self.pause_max_in_365_days
        begun = [each.begins for each in counted]
        if most and _most_in_a_year(begun, pause.begins) >= most:
            later = sorted(moment + _YEAR_SECONDS + 1 for moment in begun)
            yield PauseRefusal(
                "too_many_pauses",
                _n(
                    "Only {n} pause is possible within 365 days.", "Only {n} pauses are possible within 365 days.", most
                ),
                None,
                next(each for each in later if each > pause.begins and _most_in_a_year(begun, each) < most),
            )


def _first_with_room(pause: PauseTime, counted: Sequence[PauseTime], between: int) -> int:
    """Return the first moment, from its own beginning on, at which a pause keeps `between` seconds from the others.

    A customer may have set one of another subscription that begins later.
    """
    earliest, length = pause.begins, pause.ends - pause.begins
    for other in counted:
        is_before = earliest + length + between <= other.begins + _ROOM_SECONDS
        if not is_before and earliest + _ROOM_SECONDS < other.ends + between:
            earliest = other.ends + between
    return earliest


def _most_in_a_year(begun: Sequence[int], begins: int) -> int:
    """Return how many of the pauses begin within the same 365 days as one more, at most."""
    starts = (moment for moment in (*begun, begins) if begins - _YEAR_SECONDS < moment <= begins)
    return max(sum(start <= moment < start + _YEAR_SECONDS for moment in begun) for start in starts)
