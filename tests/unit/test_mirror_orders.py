"""Whatever the order of arrival, the mirror ends as Stripe is."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.mirror import Mirror, SubscriptionEvent
from tests.fakes import FakeStripe, FakeTable, subscription

START = 1_000_000
STATUSES = ("active", "past_due", "unpaid", "paused")


@dataclass(frozen=True)
class Change:
    """A change at Stripe: after `pause` seconds; its event's time lags by `lag`, its deliveries come `delays` later."""

    pause: float
    lag: float
    status: str
    delays: tuple[float, ...]


changes = st.builds(
    Change,
    pause=st.sampled_from([0.0, 0.2, 0.9, 1.0, 4.0, 60.0]),
    lag=st.sampled_from([0.0, 0.5, 1.1, 2.0]),
    status=st.sampled_from(STATUSES),
    delays=st.lists(st.floats(2.0, 120.0), min_size=1, max_size=3).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(history=st.lists(changes, min_size=1, max_size=8), cancels=st.booleans())
def test_the_mirror_ends_as_stripe_is_in_every_order(history: list[Change], *, cancels: bool) -> None:
    states, deliveries = [], []
    at = float(START)
    for number, change in enumerate(history):
        at += change.pause
        status = "canceled" if cancels and number == len(history) - 1 else change.status
        state = subscription(status, trial_end=number)
        states.append((at, state))
        event = SubscriptionEvent(f"evt_{number}", int(at + change.lag), state)
        deliveries += [(at + change.lag + delay, event) for delay in change.delays]

    table = FakeTable()
    stripe = FakeStripe(states[0][1], now=START)
    mirror = Mirror(table, stripe.read, uncertainty=timedelta(seconds=3), retention=timedelta(days=60))
    for now, event in sorted(deliveries, key=lambda delivery: delivery[0]):
        stripe.now = int(now)
        stripe.subscription = [state for at, state in states if at <= now][-1]
        mirror.apply(event, now=now)

    assert table.only().subscription == states[-1][1]
