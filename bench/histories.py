"""Counts the histories that each guard gets wrong: `python -m bench.histories`, see docs/explanation/mirror.md."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from bench.guards import GUARDS, AnyTable
from tests.histories import BEYOND_LIMITS, LONGEST_LAG, WITHIN_LIMITS, Conditions, History, Kind, make_history
from tests.history_world import NeverSettledError, World

THE_RULE = "this rule"


@dataclass(frozen=True, slots=True)
class Column:
    """One kind of histories. Other guards know nothing of thin events and lists."""

    title: str
    kinds: tuple[Kind, ...]
    conditions: Conditions = WITHIN_LIMITS

    def compared(self, guards: Iterable[str]) -> list[str]:
        """Return the guards that can take events of these kinds."""
        return [name for name in guards if self.kinds == ("snapshot",) or name.startswith(THE_RULE)]


COLUMNS = (
    Column("whole events", ("snapshot",)),
    Column("and thin events and lists", ("snapshot", "snapshot", "thin", "sweep")),
    Column("ends, beyond the limits", ("snapshot", "snapshot", "sweep"), BEYOND_LIMITS),
)


def wrong_guards(history: History, guards: Iterable[str]) -> list[str]:
    """Return those of the guards whose mirror does not end as Stripe is."""
    return [name for name in guards if not ends_as_stripe_is(history, name)]


def ends_as_stripe_is(history: History, guard: str) -> bool:
    """Run the history against a guard, and compare."""
    world, table = World(history), AnyTable()
    with suppress(NeverSettledError):
        world.run(lambda: GUARDS[guard](world, table), table.expire)
        return world.is_right(list(table.items.values()))
    return False


def _count(numbers: Sequence[int], *, seed: int, lag: float, guards: Sequence[str]) -> Counter[tuple[str, str]]:
    wrong: Counter[tuple[str, str]] = Counter()
    for column in COLUMNS:
        conditions = column.conditions if column.conditions is BEYOND_LIMITS else replace(column.conditions, lag=lag)
        for number in numbers:
            history = make_history(Random(f"{seed}-{number}"), conditions, kinds=column.kinds)  # noqa: S311 - no secret
            wrong.update((column.title, name) for name in wrong_guards(history, column.compared(guards)))
    return wrong


def main() -> None:
    """Run, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lag", type=float, default=LONGEST_LAG, help="how far event times may lag, in seconds")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=GUARDS, help="one of the guards")
    options = parser.parse_args()
    guards = [options.only] if options.only else list(GUARDS)
    began = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        count = partial(_count, seed=options.seed, lag=options.lag, guards=guards)
        chunks = [range(n, min(n + 50, options.histories)) for n in range(0, options.histories, 50)]
        wrong = sum(pool.map(count, chunks), Counter[tuple[str, str]]())
    lines = [
        f"| histories of {options.histories:,} that ended wrong | {' | '.join(column.title for column in COLUMNS)} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name in guards:
        cells = (f"{wrong[column.title, name]:,}" if name in column.compared(guards) else "-" for column in COLUMNS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"seed {options.seed}, event times lag up to {options.lag} s, {time.monotonic() - began:.0f} s"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
