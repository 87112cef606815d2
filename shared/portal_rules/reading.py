"""Reads from Stripe all that the rules look at, for one subscription; what the key may not read is left unknown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import stripe
from stripe import StripeClient

from shared.errors import InvalidRequest, OperatorError
from shared.portal_rules.explanation import Explanation
from shared.portal_rules.facts import PortalFacts, Price
from shared.portal_rules.features import PortalFeatures
from shared.portal_rules.which_configuration import Through, read_configuration
from shared.stripe_gateway import stripe_errors
from shared.stripe_shapes import read_subscription
from shared.subscription import Subscription

Raw = Mapping[str, Any]
_Answer = TypeVar("_Answer")
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Explained:
    """A subscription explained, with the configuration that it was looked at through.

    `unread`: the permissions that the key lacks, in the Dashboard's words; what depends on them is not known.
    """

    explanation: Explanation
    configuration_id: str
    group: str | None
    unread: tuple[str, ...]


@dataclass(slots=True)
class _Reader:
    client: StripeClient
    unread: list[str] = field(default_factory=list)

    def permitted(self, permission: str, read: Callable[[], _Answer]) -> _Answer | None:
        """Read, or note what the key may not read."""
        try:
            with stripe_errors():
                return read()
        except OperatorError as error:
            if not isinstance(error.__cause__, stripe.PermissionError):
                raise
            self.unread.append(permission)
            return None


def explain(client: StripeClient, subscription_id: str, now: datetime, through: Through) -> Explained:
    """Explain what the portal does with a subscription at `now` (aware), in six requests and one for each product.

    Raises `InvalidRequest` for what does not exist, and `OperatorError` without a default configuration.
    """
    reader = _Reader(client)
    raw = _subscription(client, subscription_id)
    customer: Raw = raw["customer"] if isinstance(raw.get("customer"), Mapping) else {}
    subscription = read_subscription(raw)
    group = through.group or (customer.get("metadata") or {}).get("portal_group")
    configuration = read_configuration(client, through, group)
    features = PortalFeatures.read(configuration)
    methods = reader.permitted("Payment Methods", lambda: _payment_methods(client, subscription.customer_id))
    facts = PortalFacts(
        subscription,
        features,
        now,
        update_is_planned=_planned(reader, subscription, now),
        current=_current(raw),
        offered=_offered(reader, features),
        charged=(methods or {}).get(_charged(raw, customer)),
        payment_methods=None if methods is None else len(methods),
        lives=not subscription.ended or _lives(client, subscription.customer_id),
    )
    country = through.country or reader.permitted("Account", lambda: client.v1.accounts.retrieve_current().country)
    return Explained(Explanation(facts, country), str(configuration["id"]), group, tuple(reader.unread))


def _subscription(client: StripeClient, subscription_id: str) -> Raw:
    with stripe_errors():
        try:
            found = client.v1.subscriptions.retrieve(subscription_id, {"expand": ["customer"]})
        except stripe.InvalidRequestError as error:
            if error.http_status != HTTPStatus.NOT_FOUND:
                raise
            raise InvalidRequest("no_subscription", f"Stripe has no subscription {subscription_id}") from error
    raw: Raw = found.to_dict(for_json=True)
    return raw


def _planned(reader: _Reader, subscription: Subscription, now: datetime) -> bool | None:
    """Whether the attached schedule has a phase that is still to begin."""
    schedule_id = subscription.schedule_id
    if schedule_id is None:
        return None
    schedules = reader.client.v1.subscription_schedules
    schedule = reader.permitted("Subscriptions (schedules)", lambda: schedules.retrieve(schedule_id))
    if schedule is None:
        return None
    running = schedule.status in {"active", "not_started"}
    return running and any(phase.start_date > now.timestamp() for phase in schedule.phases)


def _offered(reader: _Reader, features: PortalFeatures) -> tuple[Price, ...] | None:
    """A product's prices come in one request; the configuration names at most ten products."""
    if features.products is None:
        return None
    found: list[Price] = []
    for product, wanted in features.products.items():
        listed = reader.permitted("Prices", partial(_prices, reader.client, product, wanted))
        if listed is None:
            return None
        found += listed
    return tuple(found)


def _prices(client: StripeClient, product: str, wanted: tuple[str, ...]) -> list[Price]:
    """Stop once all are found: a product may have hundreds of prices."""
    found: list[Price] = []
    for each in client.v1.prices.list({"product": product, "active": True, "limit": _PAGE}).auto_paging_iter():
        if each.id in wanted:
            found.append(_price(each.to_dict(for_json=True)))
        if len(found) == len(wanted):
            break
    return found


def _current(raw: Raw) -> Price | None:
    """The price of the first item: with several the portal changes nothing anyway."""
    items = (raw.get("items") or {}).get("data") or ()
    return _price(items[0]["price"]) if items and items[0].get("price") else None


def _price(raw: Raw) -> Price:
    product = raw.get("product")
    product_id = product["id"] if isinstance(product, Mapping) else product
    return Price(
        str(raw["id"]), str(product_id), str(raw.get("currency")), raw.get("tax_behavior"), bool(raw.get("active"))
    )


def _charged(raw: Raw, customer: Raw) -> str | None:
    """Answer the id of what is charged, in Stripe's order: the subscription's own, then the customer's default."""
    settings = customer.get("invoice_settings") or {}
    return (
        raw.get("default_payment_method")
        or raw.get("default_source")
        or settings.get("default_payment_method")
        or customer.get("default_source")
    )


def _payment_methods(client: StripeClient, customer: str) -> dict[str | None, str]:
    """Answer the type of each; a deleted customer has none."""
    try:
        listed = client.v1.customers.payment_methods.list(customer, {"limit": _PAGE}).data
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        return {}
    return {each.id: each.type for each in listed}


def _lives(client: StripeClient, customer: str) -> bool:
    with stripe_errors():
        listed = client.v1.subscriptions.list({"customer": customer, "limit": _PAGE}).data
    return any(each.status not in {"canceled", "incomplete_expired"} for each in listed)
