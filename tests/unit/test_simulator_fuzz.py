"""Whatever a request holds, the simulator responds with Stripe's errors and never fails."""

import pytest

from local.stripe_simulator.resources import catalog
from tests.simulator_fuzz import Fuzz


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_requests_are_refused_and_never_fail(seed: int) -> None:
    fuzz = Fuzz(seed)
    fuzz.run(1200)
    assert fuzz.failures == []
    # Else the requests would say little: they have to come further than the first check.
    assert fuzz.statuses[200] > 200
    assert fuzz.statuses[400] > 300


def test_a_failure_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "list_page", lambda *_: 1 / 0)
    fuzz = Fuzz(1)
    fuzz.run(300)
    assert "ZeroDivisionError" in fuzz.failures[0]
