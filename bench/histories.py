"""Counts the histories that each guard gets wrong: `python -m bench.histories`.

The table is in docs/explanation/mirror.md.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import Random

from bench.guards import GUARDS, AnyTable, MakeGuard
from tests.histories import LONGEST_LAG, History, make_history
from tests.history_world import World


def wrong_guards(history: History) -> list[str]:
    """Return the guards whose mirror does not end as Stripe is."""
    return [name for name, make in GUARDS.items() if not _ends_as_stripe_is(history, make)]


def _ends_as_stripe_is(history: History, make: MakeGuard) -> bool:
    world, table = World(history), AnyTable()
    world.run(make(world, table))
    return table.only().subscription == world.end()


def _count(numbers: Sequence[int], *, seed: int, lag: float) -> Counter[str]:
    histories = (make_history(Random(f"{seed}-{number}"), longest_lag=lag) for number in numbers)  # noqa: S311 - no secret
    return Counter(name for history in histories for name in wrong_guards(history))


def main() -> None:
    """Run, and print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lag", type=float, default=LONGEST_LAG, help="how far event times may lag, in seconds")
    options = parser.parse_args()
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        count = partial(_count, seed=options.seed, lag=options.lag)
        chunks = [range(n, min(n + 100, options.histories)) for n in range(0, options.histories, 100)]
        wrong = sum(pool.map(count, chunks), Counter[str]())
    lines = [f"| guard | histories of {options.histories:,} that ended wrong |", "|---|---|"]
    lines += [f"| {name} | {wrong[name]:,} |" for name in GUARDS]
    lines += ["", f"seed {options.seed}, event times lag up to {options.lag} s, {time.monotonic() - began:.0f} s"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
