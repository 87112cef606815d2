"""The machine of `pausing_machine`, with the same histories in each run of a commit."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.pausing_faults import FaultKind
from tests.integration.pausing_lab import DAY
from tests.integration.pausing_machine import PauseMachine, Planned

ROOT = Path(__file__).parents[2]


def run(*, histories: int, steps: int, seed: int) -> None:
    options = [f"--histories={histories}", f"--steps={steps}", f"--seed={seed}"]
    command = [sys.executable, "-m", "tests.integration.pausing_machine", *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"


@pytest.mark.parametrize("seed", range(2))
def test_the_promise_is_kept_whatever_happens(seed: int) -> None:
    run(histories=50, steps=30, seed=seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(4))
def test_the_promise_is_kept_in_longer_histories(seed: int) -> None:
    run(histories=50, steps=60, seed=seed)


def test_a_date_of_return_given_up_while_its_payment_fails_and_stripe_refuses() -> None:
    history = PauseMachine()
    history.subscribe("subscription", "UTC", "2027-02-01T10:00", "month", far="waiting")
    history.pass_time(4 * DAY, ticks=True)
    history.release({4: Planned(FaultKind.FORBIDDEN, None)})
    history.judge()
    history.teardown()
    assert history.lab.record
    assert history.lab.record.outcome == "released"
