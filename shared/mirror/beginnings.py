"""What an event adds to what the mirror knows of beginnings: of pauses, overdue payments and paid periods.

Of all events that began something the latest counts, so they may come in any order, and after newer states too. A pause
lasts for as long as Stripe does not collect, whether by one of its two kinds of pause or by one after the other.
"""

from dataclasses import replace

from shared.mirror.items import Beginnings
from shared.stripe.events import SubscriptionEvent
from shared.stripe.subscription import Subscription


def beginnings_of(event: SubscriptionEvent | None, state: Subscription, known: Beginnings, *, at: int) -> Beginnings:
    """Return what is known of when `state`, seen `at`, began, beyond what is `known`.

    `event` is the one that the state is written for, or that came too late for its own state to be written.
    """
    found = Beginnings()
    if event is None:
        return found
    starts_past_due = event.starts_past_due and state.is_past_due
    if starts_past_due and (not known.past_due_since_exact or event.created > (known.past_due_since or 0)):
        found = replace(found, past_due_since=event.created, past_due_since_exact=True)
    if event.starts_pause and state.is_pause_running(at):
        # Stripe names the beginning of a pause of its own kind.
        since = event.created if event.subscription.paused_at is None else event.subscription.paused_at
        is_later = not known.paused_since_exact or max(since, event.created) >= (known.paused_since or 0)
        is_news = (known.paused_since, known.paused_since_exact) != (since, True)
        if is_later and (is_news or event.paid_through not in {None, known.paid_through}):
            found = replace(found, paused_since=since, paused_since_exact=True, paid_through=event.paid_through)
    return found
