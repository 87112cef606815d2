"""A burst of changes reaches the bus whole, also if the function's process ends at any of its calls."""

import pytest

from bench.access_burst import AccessBurst


@pytest.mark.parametrize(("customers", "events"), [(200, 1), (60, 5)])
@pytest.mark.parametrize("crash", [0.0, 0.03])
def test_every_last_answer_is_published(customers: int, events: int, crash: float) -> None:
    burst = AccessBurst(customers, events, shards=1, crash=crash, seed=events)
    burst.run(burst.random)
    assert bool(burst.process.crashes) == bool(crash)
    assert (burst.lost(), len(burst.bus.last)) == ([], customers)


def test_without_crashes_each_answer_is_published_once_with_five_calls() -> None:
    burst = AccessBurst(200, 1, shards=1)
    burst.run(burst.random)
    assert burst.bus.published == 200
    assert burst.process.calls == {"get": 200, "customer": 200, "decide": 200, "publish": 200, "settle": 200, "due": 2}


def test_what_is_not_published_counts_as_lost() -> None:
    burst = AccessBurst(20, 1, shards=1)
    burst.run(burst.random)
    del burst.bus.last["cus_7"]
    assert burst.lost() == ["cus_7"]
