"""What the table `Pauses` says of a night: the pauses that were set, and the customers who pause beyond the rules.

The rules of `PausePolicy` are counted here as they are where a customer asks for a pause. What is beyond them was
allowed by the team, was asked for at the same moment for several subscriptions, or was set under other rules.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile

from shared.audit.findings import CustomerName
from shared.audit.options import AuditOptions
from shared.pausing.history import (
    OVER_ACTIONS,
    OVERDUE,
    CustomerPause,
    HistoryEntry,
    PauseAction,
    PauseReader,
    customer_pauses,
)
from shared.pausing.policy import PausePolicy, PauseTime, counted_besides
from shared.stripe.subscription import PauseKind

logger = logging.getLogger(__name__)

DAY = 86_400
# What is written this close to the run may not be in an index yet, or be about to be written: the next night has it.
SETTLED_SECONDS = 600
# So many of a night's pauses are kept, so many of each kind of break, and so many customers are looked at.
MOST_NEW, MOST_OF_A_CODE, MOST_CUSTOMERS = 100, 20, 500
# From this many on, later dates of return are worth a line, however short the pause is.
OFTEN_EXTENDED = 3
EXTENDED_OFTEN = "extended_often"


@dataclass(frozen=True, slots=True)
class NewPause:
    """A pause that was set; times are Unix seconds, `resumes` as it was at the end of the night's time.

    `actor` and `actor_name` are as in `shared.pausing.history.Actor`. `over`: it has ended, or was undone, since.
    """

    subscription_id: str
    customer_id: str
    kind: PauseKind
    begins: int
    resumes: int
    actor: str
    actor_name: str | None = None
    reason: str | None = None
    overridden: bool = False
    over: bool = False


@dataclass(frozen=True, slots=True)
class PolicyBreak:
    """A customer's pause beyond the rules.

    `code` is that of the rule (`shared.pausing.policy`), or `EXTENDED_OFTEN`. `number`: days that it lasts, with those
    right before it, days since the pause before it, pauses within 365 days, or times that its end was put off.
    `overridden_by`: who of the team overrode the rules for it.
    """

    code: str
    customer_id: str
    subscription_ids: tuple[str, ...]
    number: int
    overridden_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PausesRead:
    """What was read of the table, of the time from `since` up to, and without, `until` (Unix seconds).

    `is_empty`: no pause was ever set. `new` and `breaks` are the first of `new_number`, and of `breaks_of_code`;
    `not_looked_at`: customers whose pauses were not counted. `stalled`: subscriptions whose pause nobody has looked at
    for an hour after it was due, the first of `stalled_number`. `names`: by subscription, whom it belongs to.
    """

    since: int
    until: int
    is_empty: bool = False
    new: tuple[NewPause, ...] = ()
    new_number: int = 0
    breaks: tuple[PolicyBreak, ...] = ()
    breaks_of_code: Mapping[str, int] = field(default_factory=dict)
    not_looked_at: int = 0
    stalled: tuple[str, ...] = ()
    stalled_number: int = 0
    names: Mapping[str, CustomerName] = field(default_factory=dict)

    @property
    def named(self) -> frozenset[str]:
        """The subscriptions whose customers' names are wanted."""
        breaking = (each for one in self.breaks for each in one.subscription_ids)
        return frozenset((*(each.subscription_id for each in self.new), *breaking, *self.stalled))

    def with_names(self, names: Mapping[str, CustomerName]) -> "PausesRead":
        """Add names that a list of subscriptions has shown."""
        return replace(self, names={**self.names, **names})


def read_pauses(
    table: PauseReader, since: int, until: int, options: AuditOptions, more: Callable[[], bool] = lambda: True
) -> PausesRead:
    """Read what was set from `since` to `until`, both in Unix seconds, and how often these customers pause.

    It takes one request where no pause was ever set; otherwise one for each thousand entries of that time, one for each
    of the first `MOST_CUSTOMERS` customers, as long as `more` says so, and one for what has stalled. Raises
    `Unavailable`.
    """
    newest = table.newest_entries(until=until - 1)
    first = next(newest, None)
    if first is None:
        return PausesRead(since, until, is_empty=True)
    night = _Night()
    for entry in takewhile(lambda each: each.at >= since, _chained(first, newest)):
        night.add(entry)
    breaks: list[PolicyBreak] = []
    not_looked_at = 0
    policies = policies_of(options)
    oldest = until - int(max(policy.look_back for policy in policies).total_seconds())
    for place, (customer_id, operations) in enumerate(night.asked_for.items()):
        if place >= MOST_CUSTOMERS or not more():
            not_looked_at = len(night.asked_for) - place
            break
        history = table.entries_of_customer(customer_id, since=oldest)
        breaks += policy_breaks(history, operations, policies)
    number = Counter(each.code for each in breaks)
    shown = [each for code in number for each in islice((one for one in breaks if one.code == code), MOST_OF_A_CODE)]
    stalled = list(islice(table.due(now=until - OVERDUE.total_seconds()), 1000))
    return PausesRead(
        since,
        until,
        new=tuple(night.new[:MOST_NEW]),
        new_number=len(night.new),
        breaks=tuple(shown),
        breaks_of_code=dict(number),
        not_looked_at=not_looked_at,
        stalled=tuple(stalled[:MOST_OF_A_CODE]),
        stalled_number=len(stalled),
    )


def _chained(first: HistoryEntry, others: Iterator[HistoryEntry]) -> Iterator[HistoryEntry]:
    yield first
    yield from others


class _Night:
    """The entries of one night, given newest first."""

    def __init__(self) -> None:
        self.new: list[NewPause] = []
        # Whose pauses are counted: customers with the operations that were set or changed.
        self.asked_for: dict[str, set[str]] = {}
        self._newest: dict[str, HistoryEntry] = {}
        self._over: set[str] = set()

    def add(self, entry: HistoryEntry) -> None:
        newest = self._newest.setdefault(entry.operation_id, entry)
        if entry.action in OVER_ACTIONS:
            self._over.add(entry.operation_id)
        if entry.action in {PauseAction.SET, PauseAction.CHANGED}:
            self.asked_for.setdefault(entry.customer_id, set()).add(entry.operation_id)
        if entry.action is PauseAction.SET:
            self.new.append(
                NewPause(
                    entry.subscription_id,
                    entry.customer_id,
                    entry.kind,
                    entry.begins,
                    newest.resumes,
                    entry.actor,
                    entry.actor_name,
                    entry.reason,
                    entry.overridden,
                    over=entry.operation_id in self._over,
                )
            )


def policies_of(options: AuditOptions) -> tuple[PausePolicy, ...]:
    """Return the stack's rules and those of each group. The history does not say which group somebody was of."""
    stack = PausePolicy(
        pause_allowed="everybody",
        max_pause_days=options.max_pause_days,
        pause_min_days_between=options.pause_min_days_between,
        pause_max_in_365_days=options.pause_max_in_365_days,
    )
    try:
        groups = json.loads(options.pause_groups)
        of_groups = [stack.with_changes({**rules, "pause_allowed": "everybody"}) for rules in groups.values()]
    except (AttributeError, TypeError, ValueError) as error:
        # The pause function refuses to work with it, and says so.
        logger.warning("PauseGroups cannot be read, so its rules do not count: %s", error)
        return (stack,)
    return (stack, *of_groups)


def policy_breaks(
    history: Iterable[HistoryEntry], operations: Iterable[str], policies: Iterable[PausePolicy]
) -> Iterator[PolicyBreak]:
    """Return how these pauses of a customer go beyond every one of the policies; `history` is oldest first."""
    every = customer_pauses(history)
    wanted = set(operations)
    for pause in every:
        if pause.operation_id in wanted:
            yield from _breaks_of(pause, every, tuple(policies))


def _breaks_of(
    pause: CustomerPause, every: list[CustomerPause], policies: tuple[PausePolicy, ...]
) -> Iterator[PolicyBreak]:
    before = [each for each in every if each is not pause and each.begins <= pause.begins]
    counted = counted_besides(pause, before)
    earlier = [group[0] for group in counted]
    chain = _right_before(pause, earlier)
    # A resume that waited for its payment does not make the pause longer than it was set.
    whole = PauseTime(
        pause.subscription_id, min(each.begins for each in (pause, *chain)), min(pause.ends, pause.resumes)
    )
    # One without a date of return is a matter of `long_pause`, once it has lasted.
    if pause.has_return and "pause_too_long" in _refused(policies, whole, ()):
        yield _break("pause_too_long", round((whole.ends - whole.begins) / DAY), pause, *chain)
    broken = _refused(policies, pause, before)
    if "pause_too_soon" in broken:
        last = max((each for group in counted for each in group), key=lambda each: each.ends)
        yield _break("pause_too_soon", max(0, (pause.begins - last.ends) // DAY), pause, last)
    if "too_many_pauses" in broken:
        year = [each for each in earlier if each.begins > pause.begins - 365 * DAY]
        yield _break("too_many_pauses", len(year) + 1, pause, *year)
    if pause.extended >= OFTEN_EXTENDED:
        yield _break(EXTENDED_OFTEN, pause.extended, pause)


def _refused(policies: tuple[PausePolicy, ...], pause: PauseTime, others: Iterable[PauseTime]) -> set[str]:
    """Return the codes of the rules that every policy has against a pause."""
    return set.intersection(
        *({refusal.code for refusal in policy.refusals(pause, others=others)} for policy in policies)
    )


def _right_before(pause: CustomerPause, earlier: list[CustomerPause]) -> list[CustomerPause]:
    """Return the pauses of which each ended within the day before the next one began: they are one in effect."""
    chain: list[CustomerPause] = []
    begins = pause.begins
    for other in reversed(earlier):
        if other.ends >= begins - DAY:
            chain.append(other)
            begins = min(begins, other.begins)
    return chain


def _break(code: str, number: int, pause: CustomerPause, *others: CustomerPause) -> PolicyBreak:
    subscriptions = dict.fromkeys(each.subscription_id for each in (pause, *others))
    return PolicyBreak(code, pause.customer_id, tuple(subscriptions), number, pause.overridden_by)
