"""What a deployment's webhook endpoint is created with: its events, and the API version in which Stripe renders them.

`portal connect` and `portal rotate webhook` create one at Stripe, `make dev` at its simulator; the audit and
`portal doctor` compare what is there with this.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import stripe

from shared.stripe.events import ENTITLEMENTS_UPDATED, PREFIX

if TYPE_CHECKING:
    from stripe.params import WebhookEndpointCreateParams

# Without these the mirror is wrong; the others announce changes that it holds too.
NEEDED = tuple(f"{PREFIX}{each}" for each in ("created", "updated", "deleted", "paused", "resumed"))
EVENTS = (
    *NEEDED,
    *(f"{PREFIX}{each}" for each in ("pending_update_applied", "pending_update_expired", "trial_will_end")),
)
API_VERSION = stripe.api_version
MADE_BY = ("made_by", "stripe-portal-bundle")


def needed_events(*, entitlements: bool) -> tuple[str, ...]:
    """Return the types of events without which the mirror is wrong, with that of entitlements if it holds them."""
    return (*NEEDED, ENTITLEMENTS_UPDATED) if entitlements else NEEDED


def events_for(*, entitlements: bool) -> tuple[str, ...]:
    """Return the types of events that the mirror is made from, with that of entitlements if it holds them."""
    return (*EVENTS, ENTITLEMENTS_UPDATED) if entitlements else EVENTS


def endpoint_parameters(url: str, events: Sequence[str]) -> "WebhookEndpointCreateParams":
    """Return what an endpoint of our making is created with (docs.stripe.com/api/webhook_endpoints/create)."""
    name, value = MADE_BY
    parameters: dict[str, object] = {
        "url": url,
        "enabled_events": list(events),
        "api_version": API_VERSION,
        "description": "Mirror of subscriptions",
        "metadata": {name: value},
    }
    # Stripe's library lists the versions and types that it knows as literals.
    return cast("WebhookEndpointCreateParams", parameters)
