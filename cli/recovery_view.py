"""What backfill, reconcile and replay found, as text for people or as JSON for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from shared.mirror import Outcome
from shared.recovery.backfill import Backfilled, Step
from shared.recovery.drift import Drift, DriftKind, Failure
from shared.recovery.replay import Replayed
from shared.recovery.summary import Summary

VERSION = 1
_KINDS = {
    DriftKind.ABSENT: "absent in the mirror",
    DriftKind.DIFFERENT: "different",
    DriftKind.MISSING: "missing at Stripe",
    DriftKind.OTHER_CUSTOMER: "another customer's at Stripe",
}


def backfill_line(done: Backfilled) -> str:
    """The progress in one line; words of the real run and of the dry run do not meet."""
    count = done.outcomes
    kinds = (
        ("written", count.get(Outcome.APPLIED, 0)),
        ("unchanged", count.get(Outcome.UNCHANGED, 0) + count.get(Outcome.STALE, 0)),
        ("to be written", count.get(Step.ABSENT, 0) + count.get(Step.DIFFERENT, 0)),
        ("as they should be", count.get(Step.SAME, 0)),
        ("expired", count.get(Step.EXPIRED, 0)),
        ("failed", done.failed),
    )
    return ", ".join((f"{done.read:,} read", *(f"{number:,} {name}" for name, number in kinds if number)))


def summary_line(summary: Summary) -> str:
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


def summary_parts(summary: Summary) -> Iterator[Table | str]:
    """Each drift field by field, then the failures."""
    if summary.drifts:
        table = Table(title="Drift", title_justify="left", show_lines=True)
        for heading in ("subscription", "what", "field", "mirror -> Stripe"):
            table.add_column(heading, overflow="fold")
        for drift in summary.drifts:
            table.add_row(*map(escape, _cells(drift)))
        yield table
    if summary.drifted > len(summary.drifts):
        yield f"and {summary.drifted - len(summary.drifts):,} more"
    yield from failures(summary.failures, summary.failed)


def _cells(drift: Drift) -> tuple[str, str, str, str]:
    what = _KINDS[drift.kind] + (", repaired" if drift.repaired else "")
    fields = "\n".join(each.field for each in drift.differences)
    values = "\n".join(f"{_word(each.mirror)} -> {_word(each.stripe)}" for each in drift.differences)
    return f"{drift.subscription_id}\n{drift.customer_id}", what, fields, values


def _word(value: Any) -> str:
    return "-" if value is None else str(value)


def summary_json(summary: Summary, *, repair: bool) -> str:
    """The stable shape of docs/recovery.md."""
    return json.dumps(
        {
            "version": VERSION,
            "repair": repair,
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
        },
        indent=2,
    )


def failures(known: Sequence[Failure], count: int) -> Iterator[Table | str]:
    """Why some could not be dealt with: names of fields, never values."""
    if not known:
        return
    table = Table(title="Failed", title_justify="left")
    for heading in ("what", "code", "reason"):
        table.add_column(heading, overflow="fold")
    for failure in known:
        table.add_row(*map(escape, (failure.subject, failure.code, failure.reason)))
    yield table
    if count > len(known):
        yield f"and {count - len(known):,} more"


def replay_line(name: str, done: Replayed) -> str:
    """What became of the events of one source."""
    counts: Mapping[str, int] = {outcome.value: number for outcome, number in sorted(done.outcomes.items())}
    shown = [f"{number:,} {outcome}" for outcome, number in counts.items()]
    return f"{name}: " + ", ".join(
        (f"{done.seen:,} read", *shown, *([f"{done.failed:,} failed"] if done.failed else []))
    )
