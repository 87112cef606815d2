"""The commands `portal backfill`, `reconcile` and `replay`, and what they print."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.recover import backfill as filling
from cli.recover.backfill import BackfillProgress, BackfillStep
from cli.recover.entitlements import reconcile_entitlements
from cli.recover.reconcile import reconcile as compare
from cli.recover.replay import Replay, ReplayProgress
from cli.terminal import Form, Format, Language, Rate, check_subscription_id, duration, literal, print_json, printable
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, Message, _, _n, listed, say
from shared.mirror.drift import ComparisonResult, Drift, DriftKind, Failure
from shared.mirror.entitlements import require_entitlements
from shared.mirror.intake import Ignored, Intake
from shared.mirror.rule import Outcome
from shared.stripe.entitlements import EntitlementsReader
from shared.stripe.pacing import RateLimit, limited_reads

if TYPE_CHECKING:
    from cli.deployment import Deployment


KEPT_EVENTS = timedelta(days=30)
_KINDS = {
    DriftKind.ABSENT: _("absent in the mirror"),
    DriftKind.DIFFERENT: _("different"),
    DriftKind.MISSING: _("missing at Stripe"),
    DriftKind.OTHER_CUSTOMER: _("another customer's at Stripe"),
}


def _counts(*counts: Message) -> list[Message]:
    """Return those that count at least one."""
    return [each for each in counts if each.n]


def _expired(number: int) -> Message:
    return _n("{n} expired", "{n} expired", number)


def _failed(number: int) -> Message:
    return _n("{n} failed", "{n} failed", number)


def backfill_line(done: BackfillProgress) -> Message:
    """The progress in one line; words of the real run and of the dry run do not meet."""
    count = Counter(done.outcomes)
    unchanged = count[Outcome.UNCHANGED] + count[Outcome.STALE]
    to_write = count[BackfillStep.ABSENT] + count[BackfillStep.DIFFERENT]
    counts = _counts(
        _n("{n} written", "{n} written", count[Outcome.APPLIED]),
        _n("{n} unchanged", "{n} unchanged", unchanged),
        _n("{n} to be written", "{n} to be written", to_write),
        _n("{n} as it should be", "{n} as they should be", count[BackfillStep.SAME]),
        _expired(count[BackfillStep.EXPIRED]),
        _failed(done.failed),
    )
    return listed([_n("{n} read", "{n} read", done.read), *counts])


def progress_line(so_far: ComparisonResult) -> Message:
    """What was read until now; that there is no drift is certain at the end only, and so is an empty mirror."""
    counts = _counts(
        _n("{n} read in the mirror", "{n} read in the mirror", so_far.mirrored),
        _n("{n} difference so far", "{n} differences so far", sum(so_far.found.values())),
    )
    return listed([_n("{n} read at Stripe", "{n} read at Stripe", so_far.read), *counts])


def summary_line(summary: ComparisonResult) -> Message:
    """The comparison in one line."""
    found = [_("{n} {kind}", n=summary.found[kind], kind=_KINDS[kind]) for kind in _KINDS if summary.found.get(kind)]
    counts = _counts(
        _n("{n} in flight", "{n} in flight", summary.in_flight),
        _expired(summary.expired),
        _n("{n} repaired", "{n} repaired", summary.repaired),
        _failed(summary.failed),
    )
    at_stripe = _n("{n} at Stripe", "{n} at Stripe", summary.read)
    in_mirror = _n("{n} in the mirror", "{n} in the mirror", summary.mirrored)
    return listed([at_stripe, in_mirror, *(found or [_("no drift")]), *counts])


def _of_entitlements(line: Message) -> Message:
    return _("Entitlements: {line}", line=line)


def _id_table(title: Message, headings: Sequence[Message], language: str, *, show_lines: bool = False) -> Table:
    """Return a table whose first column holds ids: they are copied, so they stay whole."""
    table = Table(title=title.say(language), title_justify="left", show_lines=show_lines)
    first, *others = (each.say(language) for each in headings)
    table.add_column(first, no_wrap=True, overflow="ignore")
    for heading in others:
        table.add_column(heading, overflow="fold")
    return table


def summary_parts(summary: ComparisonResult, language: str) -> Iterator[Table | Message]:
    """Each drift field by field, then the failures."""
    if summary.drifts:
        headings = (_("subscription"), _("what"), _("field"), _("mirror -> Stripe"))
        table = _id_table(_("Drift"), headings, language, show_lines=True)
        for drift in summary.drifts:
            table.add_row(*_cells(drift, language))
        yield table
    if summary.drifted > len(summary.drifts):
        yield _more(summary.drifted - len(summary.drifts))
    yield from failures(summary.failures, summary.failed, language)


def _more(number: int) -> Message:
    return _n("and {n} more", "and {n} more", number)


def _cells(drift: Drift, language: str) -> tuple[str, str, str, str]:
    kind = _KINDS[drift.kind]
    what = _("{kind}, repaired", kind=kind) if drift.repaired else kind
    fields = "\n".join(literal(each.field) for each in drift.differences)
    values = "\n".join(literal(f"{_word(each.mirror)} -> {_word(each.stripe)}") for each in drift.differences)
    ids = f"{literal(drift.subscription_id)}\n{literal(drift.customer_id)}"
    return ids, literal(what.say(language)), fields, values


def _word(value: Any) -> str:
    return "-" if value is None else str(value)


def _summary(summary: ComparisonResult) -> dict[str, Any]:
    """Return the stable shape of docs/how-to/recovery.md."""
    return {
        "is_whole": summary.is_whole,
        "read": summary.read,
        "mirrored": summary.mirrored,
        "in_flight": summary.in_flight,
        "expired": summary.expired,
        "found": {kind.value: summary.found.get(kind, 0) for kind in DriftKind},
        "repaired": summary.repaired,
        "failed": summary.failed,
        "drifts": [asdict(drift) for drift in summary.drifts],
        "failures": [asdict(failure) for failure in summary.failures],
    }


def failures(known: Sequence[Failure], number: int, language: str) -> Iterator[Table | Message]:
    """Why some could not be dealt with: names of fields, never values."""
    if not known:
        return
    table = _id_table(_("Failed"), (_("what"), _("code"), _("reason")), language)
    for failure in known:
        table.add_row(*map(literal, (failure.subject, failure.code, say(failure.reason, language))))
    yield table
    if number > len(known):
        yield _more(number - len(known))


def replay_line(name: Message, done: ReplayProgress) -> Message:
    """What became of the events of one source."""
    outcome = done.outcomes.get
    counts = _counts(
        _n("{n} applied", "{n} applied", outcome(Outcome.APPLIED, 0)),
        _n("{n} already seen", "{n} already seen", outcome(Outcome.DUPLICATE, 0)),
        _n("{n} older than the mirror", "{n} older than the mirror", outcome(Outcome.STALE, 0)),
        _n("{n} that changes nothing", "{n} that change nothing", outcome(Outcome.UNCHANGED, 0)),
        _n("{n} to be settled later", "{n} to be settled later", outcome(Outcome.QUEUED, 0)),
        _n("{n} of another type", "{n} of other types", outcome(Ignored.OTHER_TYPE, 0)),
        _n("{n} of another account", "{n} of other accounts", outcome(Ignored.OTHER_ACCOUNT, 0)),
        _n("{n} of the other mode", "{n} of the other mode", outcome(Ignored.OTHER_MODE, 0)),
        _failed(done.failed),
        _n("{n} left in the queue", "{n} left in the queue", done.left),
    )
    read = _n("{n} read", "{n} read", done.seen)
    return _("{name}: {counts}", name=name, counts=listed([read, *counts]))


app = typer.Typer()


@app.command()
def backfill(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    starting_after: Annotated[str | None, typer.Option(help="Go on after this subscription, sub_...")] = None,
    requests_per_second: Rate = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; count what would change.")] = False,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Fill the mirror from the whole account.

    Reads canceled subscriptions too. Safe while webhooks arrive. Exits with 1 if a subscription could not be read.
    """
    if starting_after is not None:
        check_subscription_id(starting_after)
    limit = RateLimit(requests_per_second)
    latest = fill_mirror(context.obj(), limit, language, starting_after=starting_after, dry_run=dry_run)
    if form == "json":
        outcomes = {each.value: number for each, number in latest.outcomes.items()}
        print_json(dry_run=dry_run, read=latest.read, outcomes=outcomes, **_failures_json(latest))
    else:
        _print(language, *failures(latest.failures, latest.failed, language), backfill_line(latest))
        if dry_run:
            _print(language, _("A dry run: nothing was written."))
    raise typer.Exit(int(latest.failed > 0))


@app.command()
def reconcile(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write what differs. Without this, nothing is written.")
    ] = False,
    entitlements: Annotated[
        bool, typer.Option("--entitlements", help="Compare entitlements too: a request for each customer.")
    ] = False,
    requests_per_second: Rate = 5,
    format: Format = "text",  # noqa: A002
    language: Language = ENGLISH,
) -> None:
    """Compare the mirror with Stripe, field by field.

    Exits with 1 if they differ, unless --repair has repaired all of it.
    """
    deployment: Deployment = context.obj()
    if entitlements:
        require_entitlements(on=deployment.entitlements)
    limit, stripe = RateLimit(requests_per_second), deployment.stripe
    with _line(language) as show:
        summary = compare(
            stripe,
            deployment.mirror,
            deployment.mirror_rule(limited_reads(stripe, limit)),
            repair=repair,
            now=deployment.ticking_clock()(),
            retention=deployment.retention,
            uncertainty=deployment.uncertainty,
            limit=limit,
            progress=lambda so_far: show(progress_line(so_far)),
        )
    compared = _compare_entitlements(deployment, limit, language, repair=repair) if entitlements else None
    both = [summary] if compared is None else [summary, compared]
    if format == "json":
        others = {} if compared is None else {"entitlements": _summary(compared)}
        print_json(repair=repair, **_summary(summary), **others)
    else:
        _print(language, *summary_parts(summary, language), summary_line(summary))
        if compared is not None:
            _print(language, *summary_parts(compared, language), _of_entitlements(summary_line(compared)))
        if any(each.drifted for each in both) and not repair:
            _print(language, _("A dry run: nothing was written. `portal reconcile --repair` does it."))
    raise typer.Exit(int(not all(each.is_whole for each in both)))


@app.command()
def replay(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is written or deleted.")] = False,
    since: Annotated[str, typer.Option(help="Undelivered events of this period: 2h, 7d, at most 30d.")] = "30d",
    only: Annotated[
        Literal["dead-letters", "undelivered"] | None, typer.Option(help="Only one of the two sources.")
    ] = None,
    requests_per_second: Rate = 5,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Apply the events that did not reach the mirror.

    Dead letters, events that could not be settled, and those that Stripe could not deliver. A dry run without --apply.
    Exits with 1 if one failed.
    """
    deployment: Deployment = context.obj()
    oldest = int(deployment.ticking_clock()() - _within_events(since).total_seconds())
    how = _replay(deployment, RateLimit(requests_per_second), apply=apply)
    found: dict[str, ReplayProgress] = {}

    def follow(key: str, name: Message, steps: Iterator[ReplayProgress]) -> None:
        found[key] = _follow(name, steps, form, language)

    if only != "undelivered":
        follow("dead_letters", _("Dead letters"), how.dead_letters(deployment.dead_letter_queue))
        follow("unsettled", _("Unsettled events"), how.dead_letters(deployment.unsettled_queue))
    if only != "dead-letters":
        follow("undelivered", _("Undelivered events"), how.undelivered(deployment.stripe, since=oldest))
    if form == "json":
        print_json(applied=apply, sources={key: _replay_json(done) for key, done in found.items()})
    elif not apply:
        _print(language, _("A dry run: nothing was written or deleted. `portal replay --apply` does it."))
    raise typer.Exit(int(any(done.failed for done in found.values())))


def _replay_json(done: ReplayProgress) -> dict[str, Any]:
    outcomes = {each.value: number for each, number in done.outcomes.items()}
    return {"read": done.seen, "outcomes": outcomes, "left": done.left, **_failures_json(done)}


def _failures_json(done: BackfillProgress | ReplayProgress) -> dict[str, Any]:
    return {"failed": done.failed, "failures": [asdict(each) for each in done.failures]}


def fill_mirror(
    deployment: "Deployment",
    limit: RateLimit,
    language: str,
    *,
    starting_after: str | None = None,
    dry_run: bool = False,
) -> BackfillProgress:
    """Fill the mirror and show the progress; what stops it is raised, after where to go on was written."""
    latest, began = filling.BackfillProgress(starting_after=starting_after), time.monotonic()
    try:
        with _line(language) as show:
            for latest in _fill(deployment, starting_after, limit, dry_run=dry_run):
                rate = round(latest.read / (time.monotonic() - began))
                show(_("{line} ({rate}/s)", line=backfill_line(latest), rate=rate))
    except BaseException:  # Ctrl-C above all: whatever stopped it, this is where to go on
        if latest.read or starting_after is None:
            sys.stderr.write(f"{_how_to_go_on(latest, dry_run=dry_run).say(language)}\n")
        raise
    return latest


def _compare_entitlements(
    deployment: "Deployment", limit: RateLimit, language: str, *, repair: bool
) -> ComparisonResult:
    reader = EntitlementsReader(lambda: deployment.stripe, wait=limit.wait)
    with _line(language) as show:
        return reconcile_entitlements(
            deployment.mirror.customers(),
            reader,
            deployment.entitlements_rule(reader),
            repair=repair,
            limit=limit,
            progress=lambda so_far: show(_of_entitlements(progress_line(so_far))),
        )


def _within_events(text: str) -> timedelta:
    """Parse how far back to go: Stripe keeps events for 30 days (docs.stripe.com/api/events)."""
    wanted = duration(text)
    if wanted > KEPT_EVENTS:
        raise InvalidRequest(
            "bad_duration",
            sentence("--since {text}: Stripe keeps events for {days} days", text=text, days=KEPT_EVENTS.days),
        )
    return wanted


def _fill(
    deployment: "Deployment", starting_after: str | None, limit: RateLimit, *, dry_run: bool
) -> Iterator[filling.BackfillProgress]:
    stripe = deployment.stripe
    return filling.backfill(
        stripe,
        deployment.mirror,
        deployment.mirror_rule(limited_reads(stripe, limit), dry_run=dry_run),
        dry_run=dry_run,
        now=deployment.ticking_clock()(),
        retention=deployment.retention,
        limit=limit,
        starting_after=starting_after,
    )


def _replay(deployment: "Deployment", limit: RateLimit, *, apply: bool) -> Replay:
    rule = deployment.mirror_rule(limited_reads(deployment.stripe, limit), dry_run=not apply)
    reader = EntitlementsReader(lambda: deployment.stripe, wait=limit.wait)
    entitlements = deployment.entitlements_rule(reader, dry_run=not apply) if deployment.entitlements else None
    livemode = deployment.livemode
    intake = Intake(rule, lambda: livemode, deployment.account, entitlements)
    return Replay(intake, limit, deployment.ticking_clock(), apply)


def _follow(name: Message, steps: Iterator[ReplayProgress], form: Form, language: str) -> ReplayProgress:
    """Show each step, and print what was done, whatever stops it."""
    latest = ReplayProgress()
    try:
        with _line(language) as show:
            for latest in steps:
                show(replay_line(name, latest))
    finally:
        if form == "text":
            _print(language, *failures(latest.failures, latest.failed, language), replay_line(name, latest))
    return latest


@contextmanager
def _line(language: str) -> Iterator[Callable[[Message], None]]:
    """Show one line of progress on a terminal's standard error; elsewhere nothing."""
    columns = (BarColumn(bar_width=20), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    # Elsewhere it would leave an empty line.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda message: bar.update(task, description=literal(message.say(language)))


def _print(language: str, *parts: "Table | Message") -> None:
    """Tables as wide as the terminal; lines whole, for whoever searches in them."""
    for part in parts:
        if isinstance(part, Message):
            sys.stdout.write(f"{printable(part.say(language))}\n")
        else:
            Console().print(part)


def _how_to_go_on(done: filling.BackfillProgress, *, dry_run: bool) -> Message:
    if done.starting_after is None:
        return _("Stopped before the first page was finished: begin again.")
    again = f"portal backfill --starting-after {done.starting_after}{' --dry-run' if dry_run else ''}"
    return _("Stopped: {line}. Go on with: {command}", line=backfill_line(done), command=again)
