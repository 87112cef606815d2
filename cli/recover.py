"""`portal backfill`, `portal reconcile` and `portal replay`: how the mirror becomes whole again after a failure."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli import recovery_view as view
from cli.durations import duration
from cli.rate import Rate
from shared.intake import Intake
from shared.rate_limit import RateLimit
from shared.recovery import backfill as filling
from shared.recovery.bring import limited_reads
from shared.recovery.reconcile import reconcile as compare
from shared.recovery.replay import Replay, Replayed

if TYPE_CHECKING:
    from rich.table import Table

    from cli.deployment import Deployment

app = typer.Typer()


@app.command()
def backfill(
    context: typer.Context,
    *,
    starting_after: Annotated[str | None, typer.Option(help="Go on after this subscription, sub_...")] = None,
    requests_per_second: Rate = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; count what would change.")] = False,
) -> None:
    """Fill the mirror from the whole account, canceled subscriptions too. Safe while webhooks arrive."""
    latest, began = filling.Backfilled(starting_after=starting_after), time.monotonic()
    try:
        with _line() as show:
            for latest in _fill(context.obj(), starting_after, RateLimit(requests_per_second), dry_run=dry_run):
                show(f"{view.backfill_line(latest)} ({latest.read / (time.monotonic() - began):,.0f}/s)")
    except BaseException:  # Ctrl-C above all: whatever stopped it, this is where to go on
        sys.stderr.write(_how_to_go_on(latest, dry_run=dry_run))
        raise
    _print(*view.failures(latest.failures, latest.failed), view.backfill_line(latest))
    if dry_run:
        _print("A dry run: nothing was written.")
    raise typer.Exit(int(latest.failed > 0))


@app.command()
def reconcile(
    context: typer.Context,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Write what differs; without it nothing is.")] = False,
    requests_per_second: Rate = 5,
    format: Annotated[Literal["table", "json"], typer.Option(help="How to write it.")] = "table",  # noqa: A002
) -> None:
    """Compare the mirror with Stripe both ways, field by field. Ends with 1 while they differ."""
    deployment: Deployment = context.obj()
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
            progress=lambda so_far: show(view.summary_line(so_far)),
        )
    if format == "json":
        _print(view.summary_json(summary, repair=repair))
    else:
        _print(*view.summary_parts(summary), view.summary_line(summary))
        if summary.drifted and not repair:
            _print("A dry run: nothing was written. `portal reconcile --repair` does it.")
    raise typer.Exit(int(not summary.is_whole))


@app.command()
def replay(
    context: typer.Context,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without it nothing is written or deleted.")] = False,
    since: Annotated[str, typer.Option(help="Stripe's undelivered events of this long: 2h, 7d, at most 30d.")] = "30d",
    only: Annotated[
        Literal["dead-letters", "undelivered"] | None, typer.Option(help="One of the two sources only.")
    ] = None,
    requests_per_second: Rate = 5,
) -> None:
    """Send the dead letters, and the events that Stripe could not deliver, through the mirror's rule again."""
    deployment: Deployment = context.obj()
    oldest = int(deployment.ticking_clock()() - duration(since).total_seconds())
    how = _replay(deployment, RateLimit(requests_per_second), apply=apply)
    failed = 0
    if only != "undelivered":
        failed += _follow("Dead letters", how.dead_letters(deployment.dead_letter_queue))
    if only != "dead-letters":
        failed += _follow("Undelivered events", how.undelivered(deployment.stripe, since=oldest))
    if not apply:
        _print("A dry run: nothing was written or deleted. `portal replay --apply` does it.")
    raise typer.Exit(int(failed > 0))


def _fill(
    deployment: "Deployment", starting_after: str | None, limit: RateLimit, *, dry_run: bool
) -> Iterator[filling.Backfilled]:
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
    livemode = deployment.livemode
    return Replay(Intake(rule, lambda: livemode), limit, deployment.ticking_clock(), apply)


def _follow(name: str, steps: Iterator[Replayed]) -> int:
    """Show each step, and print what was done, whatever stops it."""
    latest = Replayed()
    try:
        with _line() as show:
            for latest in steps:
                show(view.replay_line(name, latest))
    finally:
        _print(*view.failures(latest.failures, latest.failed), view.replay_line(name, latest))
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


def _how_to_go_on(done: filling.Backfilled, *, dry_run: bool) -> str:
    if done.starting_after is None:
        return "Stopped before the first page was finished: begin again.\n"
    again = f"portal backfill --starting-after {done.starting_after}{' --dry-run' if dry_run else ''}"
    return f"Stopped: {view.backfill_line(done)}. Go on with: {again}\n"
