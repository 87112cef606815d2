"""The commands `portal backfill`, `reconcile` and `replay`, and what they print."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from cli.terminal import Format, Rate, count, duration, literal
from shared.errors import InvalidRequest
from shared.mirror.drift import ComparisonResult, Drift, DriftKind, Failure
from shared.mirror.entitlements import require_entitlements
from shared.mirror.intake import Intake
from shared.mirror.rule import Outcome
from shared.stripe.entitlements import EntitlementsReader
from shared.stripe.pacing import RateLimit, limited_reads

if TYPE_CHECKING:
    from cli.deployment import Deployment


VERSION = 1
KEPT_EVENTS = timedelta(days=30)
_KINDS = {
    DriftKind.ABSENT: "absent in the mirror",
    DriftKind.DIFFERENT: "different",
    DriftKind.MISSING: "missing at Stripe",
    DriftKind.OTHER_CUSTOMER: "another customer's at Stripe",
}


def backfill_line(done: BackfillProgress) -> str:
    """The progress in one line; words of the real run and of the dry run do not meet."""
    count = done.outcomes
    kinds = (
        ("written", count.get(Outcome.APPLIED, 0)),
        ("unchanged", count.get(Outcome.UNCHANGED, 0) + count.get(Outcome.STALE, 0)),
        ("to be written", count.get(BackfillStep.ABSENT, 0) + count.get(BackfillStep.DIFFERENT, 0)),
        ("as they should be", count.get(BackfillStep.SAME, 0)),
        ("expired", count.get(BackfillStep.EXPIRED, 0)),
        ("failed", done.failed),
    )
    return ", ".join((f"{done.read:,} read", *(f"{number:,} {name}" for name, number in kinds if number)))


def progress_line(so_far: ComparisonResult) -> str:
    """What was read until now; that there is no drift is certain at the end only, and so is an empty mirror."""
    found = sum(so_far.found.values())
    read = [f"{so_far.read:,} read at Stripe"]
    if so_far.mirrored:
        read.append(f"{so_far.mirrored:,} read in the mirror")
    return ", ".join([*read, *([f"{count(found, 'difference')} so far"] if found else [])])


def summary_line(summary: ComparisonResult) -> str:
    """The comparison in one line."""
    kinds = [f"{summary.found[kind]:,} {name}" for kind, name in _KINDS.items() if summary.found.get(kind)]
    others = (
        ("in flight", summary.in_flight),
        ("expired", summary.expired),
        ("repaired", summary.repaired),
        ("failed", summary.failed),
    )
    return ", ".join(
        (
            f"{summary.read:,} at Stripe",
            f"{summary.mirrored:,} in the mirror",
            *(kinds or ["no drift"]),
            *(f"{number:,} {name}" for name, number in others if number),
        )
    )


def summary_parts(summary: ComparisonResult) -> Iterator[Table | str]:
    """Each drift field by field, then the failures."""
    if summary.drifts:
        table = Table(title="Drift", title_justify="left", show_lines=True)
        # An id is copied, so it stays whole.
        table.add_column("subscription", no_wrap=True, overflow="ignore")
        for heading in ("what", "field", "mirror -> Stripe"):
            table.add_column(heading, overflow="fold")
        for drift in summary.drifts:
            table.add_row(*_cells(drift))
        yield table
    if summary.drifted > len(summary.drifts):
        yield f"and {summary.drifted - len(summary.drifts):,} more"
    yield from failures(summary.failures, summary.failed)


def _cells(drift: Drift) -> tuple[str, str, str, str]:
    what = _KINDS[drift.kind] + (", repaired" if drift.repaired else "")
    fields = "\n".join(literal(each.field) for each in drift.differences)
    values = "\n".join(literal(f"{_word(each.mirror)} -> {_word(each.stripe)}") for each in drift.differences)
    return f"{literal(drift.subscription_id)}\n{literal(drift.customer_id)}", literal(what), fields, values


def _word(value: Any) -> str:
    return "-" if value is None else str(value)


def summary_json(summary: ComparisonResult, *, repair: bool, entitlements: ComparisonResult | None = None) -> str:
    """The stable shape of docs/how-to/recovery.md."""
    compared = {} if entitlements is None else {"entitlements": _summary(entitlements)}
    return json.dumps({"version": VERSION, "repair": repair} | _summary(summary) | compared, indent=2)


def _summary(summary: ComparisonResult) -> dict[str, Any]:
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


def failures(known: Sequence[Failure], count: int) -> Iterator[Table | str]:
    """Why some could not be dealt with: names of fields, never values."""
    if not known:
        return
    table = Table(title="Failed", title_justify="left")
    table.add_column("what", no_wrap=True, overflow="ignore")
    for heading in ("code", "reason"):
        table.add_column(heading, overflow="fold")
    for failure in known:
        table.add_row(*map(literal, (failure.subject, failure.code, failure.reason)))
    yield table
    if count > len(known):
        yield f"and {count - len(known):,} more"


def replay_line(name: str, done: ReplayProgress) -> str:
    """What became of the events of one source."""
    counts: Mapping[str, int] = {outcome.value: number for outcome, number in sorted(done.outcomes.items())}
    shown = [f"{number:,} {outcome}" for outcome, number in counts.items()]
    return f"{name}: " + ", ".join(
        (
            f"{done.seen:,} read",
            *shown,
            *([f"{done.failed:,} failed"] if done.failed else []),
            *([f"{done.left:,} left in the queue"] if done.left else []),
        )
    )


app = typer.Typer()


@app.command()
def backfill(
    context: typer.Context,
    *,
    starting_after: Annotated[str | None, typer.Option(help="Continue after this subscription, sub_...")] = None,
    requests_per_second: Rate = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; count what would change.")] = False,
) -> None:
    """Fill the mirror from the whole account, canceled subscriptions too. Safe while webhooks arrive."""
    limit = RateLimit(requests_per_second)
    latest = fill_mirror(context.obj(), limit, starting_after=starting_after, dry_run=dry_run)
    _print(*failures(latest.failures, latest.failed), backfill_line(latest))
    if dry_run:
        _print("A dry run: nothing was written.")
    raise typer.Exit(int(latest.failed > 0))


@app.command()
def reconcile(
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
) -> None:
    """Compare the mirror with Stripe both ways, field by field. Exits with 1 if they differ."""
    deployment: Deployment = context.obj()
    if entitlements:
        require_entitlements(on=deployment.entitlements)
    limit, stripe = RateLimit(requests_per_second), deployment.stripe
    with _line() as show:
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
    compared = _compare_entitlements(deployment, limit, repair=repair) if entitlements else None
    both = [summary] if compared is None else [summary, compared]
    if format == "json":
        _print(summary_json(summary, repair=repair, entitlements=compared))
    else:
        _print(*summary_parts(summary), summary_line(summary))
        if compared is not None:
            _print(*summary_parts(compared), f"Entitlements: {summary_line(compared)}")
        if any(each.drifted for each in both) and not repair:
            _print("A dry run: nothing was written. `portal reconcile --repair` does it.")
    raise typer.Exit(int(not all(each.is_whole for each in both)))


@app.command()
def replay(
    context: typer.Context,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is written or deleted.")] = False,
    since: Annotated[str, typer.Option(help="Undelivered events of this period: 2h, 7d, at most 30d.")] = "30d",
    only: Annotated[
        Literal["dead-letters", "undelivered"] | None, typer.Option(help="Only one of the two sources.")
    ] = None,
    requests_per_second: Rate = 5,
) -> None:
    """Apply dead letters, events that could not be settled, and those that Stripe could not deliver."""
    deployment: Deployment = context.obj()
    oldest = int(deployment.ticking_clock()() - _within_events(since).total_seconds())
    how = _replay(deployment, RateLimit(requests_per_second), apply=apply)
    failed = 0
    if only != "undelivered":
        failed += _follow("Dead letters", how.dead_letters(deployment.dead_letter_queue))
        failed += _follow("Unsettled events", how.dead_letters(deployment.unsettled_queue))
    if only != "dead-letters":
        failed += _follow("Undelivered events", how.undelivered(deployment.stripe, since=oldest))
    if not apply:
        _print("A dry run: nothing was written or deleted. `portal replay --apply` does it.")
    raise typer.Exit(int(failed > 0))


def fill_mirror(
    deployment: "Deployment", limit: RateLimit, *, starting_after: str | None = None, dry_run: bool = False
) -> BackfillProgress:
    """Fill the mirror and show the progress; what stops it is raised, after where to go on was written."""
    latest, began = filling.BackfillProgress(starting_after=starting_after), time.monotonic()
    try:
        with _line() as show:
            for latest in _fill(deployment, starting_after, limit, dry_run=dry_run):
                show(f"{backfill_line(latest)} ({latest.read / (time.monotonic() - began):,.0f}/s)")
    except BaseException:  # Ctrl-C above all: whatever stopped it, this is where to go on
        sys.stderr.write(_how_to_go_on(latest, dry_run=dry_run))
        raise
    return latest


def _compare_entitlements(deployment: "Deployment", limit: RateLimit, *, repair: bool) -> ComparisonResult:
    reader = EntitlementsReader(lambda: deployment.stripe, wait=limit.wait)
    with _line() as show:
        return reconcile_entitlements(
            deployment.mirror.customers(),
            reader,
            deployment.entitlements_rule(reader),
            repair=repair,
            limit=limit,
            progress=lambda so_far: show(f"Entitlements: {summary_line(so_far)}"),
        )


def _within_events(text: str) -> timedelta:
    """Parse how far back to go: Stripe keeps events for 30 days (docs.stripe.com/api/events)."""
    wanted = duration(text)
    if wanted > KEPT_EVENTS:
        raise InvalidRequest("bad_duration", f"--since {text}: Stripe keeps events for {KEPT_EVENTS.days} days")
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


def _follow(name: str, steps: Iterator[ReplayProgress]) -> int:
    """Show each step, and print what was done, whatever stops it."""
    latest = ReplayProgress()
    try:
        with _line() as show:
            for latest in steps:
                show(replay_line(name, latest))
    finally:
        _print(*failures(latest.failures, latest.failed), replay_line(name, latest))
    return latest.failed


@contextmanager
def _line() -> Iterator[Callable[[str], None]]:
    """Show one line of progress on a terminal's standard error; elsewhere nothing."""
    columns = (BarColumn(bar_width=20), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda text: bar.update(task, description=text)


def _print(*parts: "Table | str") -> None:
    """Tables as wide as the terminal; lines whole, for whoever searches in them."""
    for part in parts:
        if isinstance(part, str):
            sys.stdout.write(f"{part}\n")
        else:
            Console().print(part)


def _how_to_go_on(done: filling.BackfillProgress, *, dry_run: bool) -> str:
    if done.starting_after is None:
        return "Stopped before the first page was finished: begin again.\n"
    again = f"portal backfill --starting-after {done.starting_after}{' --dry-run' if dry_run else ''}"
    return f"Stopped: {backfill_line(done)}. Go on with: {again}\n"
