"""Reads what the checks look at, a page at a time; a list that the key may not read is a finding, not a failure."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

import stripe
from stripe import StripeClient

from shared.audit.check import Raw
from shared.audit.finding import MISSING_PERMISSION, Finding, Severity
from shared.audit.text import Text
from shared.errors import OperatorError
from shared.recovery.pages import EVENT_TYPES, pages
from shared.recovery.retries import Retries

_Answer = TypeVar("_Answer")

# Enough to see that something is wrong; what a broken endpoint left behind may be endless.
MOST_EVENTS = 1000
# A delivery that is still under way is no fault.
TIME_TO_DELIVER = timedelta(hours=1)
# Requests for the prices of products, of all configurations together.
MOST_PRODUCTS_READ = 50


def all_configurations(client: StripeClient, retries: Retries) -> Iterator[Raw]:
    """Answer every portal configuration, inactive ones too."""
    # Stripe leaves the products out unless they are asked for.
    expand = {"expand": ["data.features.subscription_update.products"]}
    for page in pages(client, retries, "/v1/billing_portal/configurations", expand):
        yield from page.data


def webhook_endpoints(client: StripeClient, retries: Retries) -> Sequence[Raw]:
    """Answer the account's webhook endpoints, of which Stripe allows 16."""
    return next(pages(client, retries, "/v1/webhook_endpoints")).data


def undelivered_events(client: StripeClient, retries: Retries, now: datetime) -> list[Raw]:
    """Answer up to `MOST_EVENTS` + 1 events about subscriptions that some endpoint has not taken within an hour."""
    params = {
        "types": list(EVENT_TYPES),
        "delivery_success": False,
        "created": {"lte": int((now - TIME_TO_DELIVER).timestamp())},
    }
    events = (each for page in pages(client, retries, "/v1/events", params) for each in page.data)
    return [{"id": each["id"], "created": each["created"]} for each in islice(events, MOST_EVENTS + 1)]


class Prices:
    """The prices of products, each product's read once, and not more than `MOST_PRODUCTS_READ` of them."""

    def __init__(self, client: StripeClient, retries: Retries) -> None:
        self._client = client
        self._retries = retries
        self._known: dict[str, Sequence[Raw]] = {}

    def __call__(self, product_id: str) -> Sequence[Raw]:
        """Answer a product's first 100 prices; nothing once the requests are used up."""
        if product_id not in self._known:
            if len(self._known) >= MOST_PRODUCTS_READ:
                return ()
            self._known[product_id] = next(
                pages(self._client, self._retries, "/v1/prices", {"product": product_id})
            ).data
        return self._known[product_id]


def is_refused(error: OperatorError) -> bool:
    """Whether the key is good, and only lacks a permission."""
    return isinstance(error.__cause__, stripe.PermissionError)


def missing_permission(error: OperatorError, permission: str) -> Finding:
    """Name the permission: as Stripe itself does in its refusal, or else as the Dashboard calls it."""
    named = re.search(r"rak_\w+", str(error.__cause__))
    name = f"{permission} ({named[0]})" if named else permission
    return Finding(
        MISSING_PERMISSION,
        Severity.WARNING,
        (),
        Text(
            f"The API key may not read: {name}. The checks that need it said nothing.",
            f"La clé API n'a pas le droit de lire : {name}. Les contrôles qui en dépendent n'ont rien dit.",
        ),
        Text(
            f"Give the restricted key the permission to read {permission} (docs/deploy.md).",
            f"Donnez à la clé restreinte l'autorisation de lire {permission} (docs/deploy.md).",
        ),
    )


def read_if_permitted(read: Callable[[], _Answer], permission: str, add: Callable[[Finding], None]) -> _Answer | None:
    """Read, or make a finding of a 403. Raises every other failure."""
    try:
        return read()
    except OperatorError as error:
        if not is_refused(error):
            raise
        add(missing_permission(error, permission))
        return None
