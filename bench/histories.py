"""Counts the histories that each guard gets wrong: `python -m bench.histories`, see docs/explanation/mirror.md."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import Random

from bench.guards import GUARDS, AnyTable
from tests.histories import LONGEST_LAG, History, Kind, make_history
from tests.history_world import World

THE_RULE = "this rule"
WHOLE: tuple[Kind, ...] = ("snapshot",)
# Other guards know nothing of thin events and lists.
MIXED: tuple[Kind, ...] = ("snapshot", "snapshot", "thin", "sweep")
COLUMNS = {"whole events": WHOLE, "and thin events and lists": MIXED}


def wrong_guards(history: History, guards: Iterable[str]) -> list[str]:
    """Return those of the guards whose mirror does not end as Stripe is."""
    return [name for name in guards if not ends_as_stripe_is(history, name)]


def ends_as_stripe_is(history: History, guard: str) -> bool:
    """Run the history against a guard, and compare."""
    world, table = World(history), AnyTable()
    world.run(GUARDS[guard](world, table))
    return len(table.items) == 1 and table.only().subscription == world.end()


def compared(guards: Iterable[str], kinds: Sequence[Kind]) -> list[str]:
    """Return the guards that can take events of these kinds."""
    return [name for name in guards if kinds == WHOLE or name.startswith(THE_RULE)]


def _count(numbers: Sequence[int], *, seed: int, lag: float, guards: Sequence[str]) -> Counter[tuple[str, str]]:
    wrong: Counter[tuple[str, str]] = Counter()
    for column, kinds in COLUMNS.items():
        for number in numbers:
            history = make_history(Random(f"{seed}-{number}"), longest_lag=lag, kinds=kinds)  # noqa: S311 - no secret
            wrong.update((column, name) for name in wrong_guards(history, compared(guards, kinds)))
    return wrong


def main() -> None:
    """Run, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lag", type=float, default=LONGEST_LAG, help="how far event times may lag, in seconds")
    parser.add_argument("--only", choices=GUARDS, help="one of the guards")
    options = parser.parse_args()
    guards = [options.only] if options.only else list(GUARDS)
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        count = partial(_count, seed=options.seed, lag=options.lag, guards=guards)
        chunks = [range(n, min(n + 50, options.histories)) for n in range(0, options.histories, 50)]
        wrong = sum(pool.map(count, chunks), Counter[tuple[str, str]]())
    lines = [
        f"| histories of {options.histories:,} that ended wrong | {' | '.join(COLUMNS)} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name in guards:
        cells = (
            f"{wrong[column, name]:,}" if name in compared(guards, kinds) else "-" for column, kinds in COLUMNS.items()
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"seed {options.seed}, event times lag up to {options.lag} s, {time.monotonic() - began:.0f} s"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
