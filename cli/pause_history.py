"""`portal pauses`: every pause that the table `Pauses` knows, and the whole history of one subscription."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

from cli.terminal import (
    Language,
    RowsForm,
    RowsFormat,
    check_customer_id,
    check_subscription_id,
    print_csv,
    print_json,
    printable,
)
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, Message, _, _n, listed, verbatim
from shared.pausing.history import (
    KINDS,
    NO_RETURN,
    OVER_ACTIONS,
    HistoryEntry,
    PauseAction,
    PauseRecord,
    PauseState,
    hand,
)
from shared.stripe.subscription import PauseKind

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()

_STATES = {
    PauseState.STARTING: _("is being set"),
    PauseState.SCHEDULED: _("set"),
    PauseState.PAUSED: _("paused"),
    PauseState.CHANGING: _("is being changed"),
    PauseState.RESUMING: _("is being resumed"),
    PauseState.UNDOING: _("is being ended"),
    PauseState.ENDED: _("over"),
    PauseState.FAILED: _("failed"),
}
_ACTIONS = {
    PauseAction.SET: _("set"),
    PauseAction.BEGUN: _("begun"),
    PauseAction.CHANGED: _("changed"),
    PauseAction.CHANGE_FAILED: _("date of return not changed"),
    PauseAction.UNDONE: _("undone"),
    PauseAction.RESUMED: _("resumed"),
    PauseAction.RELEASED: _("date of return given up"),
    PauseAction.CANCELED: _("subscription canceled"),
    PauseAction.ENDED_ELSEWHERE: _("ended at Stripe"),
    PauseAction.FAILED: _("failed"),
}
_OVER = OVER_ACTIONS | {PauseAction.FAILED}


@dataclass(frozen=True, slots=True)
class ListedPause:
    """One pause; times are Unix seconds, and `resumes` 0 for no date of return.

    `actor` is whoever set it; `last_action` is what happened last.
    """

    subscription: str
    customer: str
    kind: PauseKind
    state: PauseState
    begins: int
    resumes: int
    actor: str
    actor_name: str | None
    reason: str | None
    overridden: bool
    last_action: PauseAction | None


@dataclass(slots=True)
class _Found:
    """What the table has of one pause: its oldest and its newest entry, and its record unless a later pause has it."""

    record: PauseRecord | None = None
    first: HistoryEntry | None = None
    last: HistoryEntry | None = None

    def add(self, item: PauseRecord | HistoryEntry) -> None:
        if isinstance(item, PauseRecord):
            self.record = item
            return
        if self.first is None or item.key < self.first.key:
            self.first = item
        if self.last is None or item.key > self.last.key:
            self.last = item

    def listed(self) -> ListedPause:
        setter, now = self.first or self.record, self.record or self.last
        if setter is None or now is None:
            raise AssertionError("nothing was added")
        return ListedPause(
            now.subscription_id,
            now.customer_id,
            now.kind,
            self._state(),
            now.begins,
            now.resumes,
            setter.actor,
            setter.actor_name,
            setter.reason,
            setter.overridden or now.overridden,
            self.last.action if self.last else None,
        )

    def _state(self) -> PauseState:
        """Return the record's; a pause that a later one has followed is over."""
        if self.record:
            return self.record.state
        is_failed = self.last is not None and self.last.action is PauseAction.FAILED
        return PauseState.FAILED if is_failed else PauseState.ENDED


def listed_pauses(items: Iterable[PauseRecord | HistoryEntry]) -> list[ListedPause]:
    """Return the pauses that records and entries, in any order, are about; those that begin last come first."""
    found: dict[str, _Found] = {}
    for item in items:
        found.setdefault(item.operation_id, _Found()).add(item)
    return sorted((each.listed() for each in found.values()), key=lambda one: (-one.begins, one.subscription))


def _facts(pause: ListedPause, timezone: tzinfo) -> Iterator[Message]:
    over = pause.last_action if pause.last_action in _OVER and not pause.state.is_open else None
    if over is PauseAction.RELEASED and pause.resumes == NO_RETURN:
        yield _("open-ended")
    else:
        yield _ACTIONS[over] if over else _STATES[pause.state]
    yield _span(pause, timezone)
    yield KINDS[pause.kind]


def _span(pause: ListedPause | HistoryEntry, timezone: tzinfo) -> Message:
    begins, resumes = (datetime.fromtimestamp(at, timezone).date() for at in (pause.begins, pause.resumes))
    if pause.resumes == NO_RETURN:
        return _("from {begins}, without a date of return", begins=begins)
    return _("from {begins} to {resumes}", begins=begins, resumes=resumes)


def _why(each: ListedPause | HistoryEntry) -> Iterator[Message]:
    yield hand(each.actor, each.actor_name)
    if each.reason:
        yield _("reason {reason}", reason=each.reason)
    if each.overridden:
        yield _("the rules were overridden")


def _write_text(pauses: Sequence[ListedPause], timezone: tzinfo, language: str) -> None:
    for each in pauses:
        _line(verbatim(f"{each.subscription} {each.customer}"), language)
        _line(listed(_facts(each, timezone)), language, indent=2)
        _line(listed(_why(each)), language, indent=2)
    _line(_n("{n} pause.", "{n} pauses.", len(pauses)), language)


def _write_history(entries: Sequence[HistoryEntry], timezone: tzinfo, language: str) -> None:
    for each in entries:
        what = _("{time}: {what}", time=datetime.fromtimestamp(each.at, timezone), what=_ACTIONS[each.action])
        _line(what, language)
        _line(_span(each, timezone), language, indent=2)
        _line(listed(_why(each)), language, indent=2)
        if each.detail:
            _line(verbatim(each.detail), language, indent=2)


def _line(message: Message, language: str, *, indent: int = 0) -> None:
    sys.stdout.write(f"{' ' * indent}{printable(message.say(language))}\n")


def _write_rows(
    kind: type[ListedPause | HistoryEntry],
    rows: Sequence[ListedPause] | Sequence[HistoryEntry],
    form: RowsForm,
    timezone: tzinfo,
) -> None:
    """Write JSON with times as Unix seconds, or CSV with times as ISO 8601 in the time zone."""
    every = [asdict(each) for each in rows]
    shown = [row | {"resumes": None if row["resumes"] == NO_RETURN else row["resumes"]} for row in every]
    if form == "json":
        print_json(**{"pauses" if kind is ListedPause else "history": shown})
    else:
        print_csv([field.name for field in fields(kind)], shown, times=("at", "begins", "resumes"), timezone=timezone)


@app.command()
def pauses(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    subscription: Annotated[str | None, typer.Argument(help="One subscription, sub_...: its whole history.")] = None,
    *,
    customer: Annotated[
        str | None, typer.Option("--customer", help="Only the pauses of this customer, cus_...")
    ] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only pauses that are not over.")] = False,
    format: RowsFormat = "text",  # noqa: A002
    language: Language = ENGLISH,
) -> None:
    """List all pauses, or the history of one subscription."""
    if subscription is not None:
        if customer is not None or open_only:
            raise InvalidRequest(
                "bad_request", sentence("--customer and --open are for the list: leave the subscription out")
            )
        check_subscription_id(subscription)
    if customer is not None:
        check_customer_id(customer)
    deployment: Deployment = context.obj()
    table, timezone = deployment.pauses, deployment.timezone
    if subscription is not None:
        entries = table.history(subscription)
        if format != "text":
            _write_rows(HistoryEntry, entries, format, timezone)
            return
        now = table.get(subscription)
        _write_text(listed_pauses([*([now] if now else []), *entries]), timezone, language)
        _write_history(entries, timezone, language)
        return
    items = (item for item in table.everything() if customer in (None, item.customer_id))
    found = [each for each in listed_pauses(items) if each.state.is_open or not open_only]
    if format == "text":
        _write_text(found, timezone, language)
    else:
        _write_rows(ListedPause, found, format, timezone)
