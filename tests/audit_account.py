"""An account in the simulator with all that the audit can find, and one with all that it only just must not find.

Each case makes what a check finds, and what differs from it in one thing alone. Both are made as a user or the
Dashboard would make them; where the simulator refuses what an old account may have, the stored object is changed.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from local.stripe_simulator.simulator import Simulator
from local.stripe_simulator.testing import RunningSimulator
from shared.audit.check import AccessListFacts, WaitingMessages
from shared.audit.checks.mirror import UNREADABLE_EVENTS
from shared.mirror.items import Beginnings
from shared.pausing.history import HistoryEntry
from shared.stripe.webhook_endpoint import NEEDED
from tests.fakes import FakePauses
from tests.pause_records import pause_entry, pause_record
from tests.unit.test_configuration_rules import (
    BROKEN,
    LINKS,
    MONTH,
    ON,
    features,
    pause,
    priced,
    products,
    shown,
    update,
)

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
SECOND = int(NOW.timestamp())
DAY = 86_400
NEWEST = "2026-10-28.endive"
ENDPOINT = "https://api.example/webhooks/stripe"
FLEXIBLE: Any = {"type": "flexible"}


@dataclass
class World:
    """One account; `beginnings` and `missing` are what the mirror knows of it, and lacks."""

    running: RunningSimulator
    simulator: Simulator
    beginnings: dict[str, Beginnings] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    dead_letters: dict[str, WaitingMessages] = field(default_factory=dict)
    stamp_lag: int | None = None
    access_list: AccessListFacts | None = None
    pauses: FakePauses = field(default_factory=FakePauses)

    @property
    def client(self) -> stripe.StripeClient:
        return self.running.client()

    def price(self, amount: int = 1250, **params: Any) -> str:
        recurring = {"interval": params.pop("interval", "month")}
        product = params.pop("product", None) or self.client.v1.products.create({"name": "Gold"}).id
        wanted: Any = {
            "product": product,
            "currency": "eur",
            "unit_amount": amount,
            "recurring": recurring,
            **params,
        }
        return self.client.v1.prices.create(wanted).id

    def customer(self, **params: Any) -> str:
        wanted: Any = {"name": "Ada", "email": "ada@example.com", "payment_method": "pm_card_visa", **params}
        made = self.client.v1.customers.create(wanted)
        methods = self.client.v1.customers.payment_methods.list(made.id).data
        if methods:
            self.client.v1.customers.update(made.id, {"invoice_settings": {"default_payment_method": methods[0].id}})
        return made.id

    def subscribe(self, **params: Any) -> str:
        """A customer of its own with a card, and a monthly price, unless it is said otherwise; returns the id."""
        customer = params.pop("customer", None) or self.customer()
        items = params.pop("items", None) or [{"price": self.price()}]
        wanted: Any = {"customer": customer, "items": items, **params}
        return self.client.v1.subscriptions.create(wanted).id

    def change(self, subscription_id: str, **fields: Any) -> str:
        """Set fields of a subscription, as time or Stripe would have."""
        self.running.admin("POST", f"subscriptions/{subscription_id}", fields)
        return subscription_id

    def items_end(self, subscription_id: str, seconds: int) -> str:
        stored = self.simulator.store.subscriptions.get(subscription_id)
        for item in stored["items"]["data"]:
            item["current_period_end"] = seconds
        return subscription_id

    def configuration(self, entry: Mapping[str, Any]) -> str:
        """A configuration as an account may have it, whatever Stripe would refuse today."""
        raw, prices = shown(dict(deepcopy(entry)))
        wanted: Any = {"business_profile": {}, "features": {"invoice_history": ON}}
        made = self.client.v1.billing_portal.configurations.create(wanted).id
        stored = self.simulator.store.configurations.get(made)
        names = self._prices(prices)
        stored["features"] |= _renamed(raw["features"], names)
        stored |= {key: raw[key] for key in ("active", "is_default", "default_return_url") if key in raw}
        stored["business_profile"] |= raw.get("business_profile", {})
        stored["login_page"] |= raw.get("login_page", {})
        return made

    def _prices(self, prices: Mapping[str, Any]) -> dict[str, str]:
        names: dict[str, str] = {}
        for product, listed in prices.items():
            if listed:
                names[product] = self.client.v1.products.create({"name": product}).id
            for each in listed:
                names[each["id"]] = self.price(
                    product=names[product], currency=each["currency"], interval=each["recurring"]["interval"]
                )
        return names


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


# Returns the subject that a finding has to name; nothing if it names none.
Make = Callable[[World], str | None]


@dataclass(frozen=True)
class Case:
    """What a check finds, and what it only just does not."""

    positive: Make
    near_miss: Make


def paused_collection(world: World, **more: Any) -> str:
    made = world.subscribe()
    return world.change(made, pause_collection={"behavior": "void", "resumes_at": None, **more})


def really_paused(world: World, days: int) -> str:
    made = world.subscribe(billing_mode=FLEXIBLE)
    world.client.v1.subscriptions.pause(made)
    details = deepcopy(world.simulator.store.subscriptions.get(made)["status_details"])
    details["paused"]["transitioned_at"] = SECOND - days * DAY
    return world.change(made, status_details=details)


def resumed(world: World) -> str:
    made = world.subscribe(billing_mode=FLEXIBLE)
    world.client.v1.subscriptions.pause(made)
    world.client.v1.subscriptions.resume(made)
    return made


def two_subscriptions(world: World, *, canceled: bool) -> str:
    customer = world.customer()
    world.subscribe(customer=customer)
    second = world.subscribe(customer=customer)
    if canceled:
        world.client.v1.subscriptions.cancel(second)
    return customer


def several_items(world: World, number: int) -> str:
    return world.subscribe(items=[{"price": world.price()} for _ in range(number)])


def discounted(world: World, **coupon: Any) -> str:
    terms: Any = {"duration": "forever", **coupon}
    return world.subscribe(discounts=[{"coupon": world.client.v1.coupons.create(terms).id}])


def expired_promotion(world: World, *, used_up: bool) -> str:
    limits = {"max_redemptions": 1} if used_up else {"redeem_by": SECOND + DAY}
    made = discounted(world, percent_off=20, **limits)
    (held,) = world.simulator.store.subscriptions.get(made)["discounts"]
    coupon = world.simulator.store.coupons.get(world.simulator.store.discounts.get(held)["source"]["coupon"])
    coupon["valid"] = False
    return made


def priced_at(world: World, amount: int, quantity: int = 1) -> str:
    return world.subscribe(items=[{"price": world.price(amount), "quantity": quantity}])


def on_trial(world: World, days: int, *, began: int = 0, created: int = 0) -> str:
    """On a trial of so many days that began, as the subscription was created, so many days ago."""
    made = world.subscribe(trial_end=SECOND + 40 * DAY)
    start = SECOND - began * DAY
    return world.change(
        made, created=SECOND - created * DAY, trial_start=start, trial_end=start + days * DAY, status="trialing"
    )


def charged_in(world: World, days: int, *, has_method: bool) -> str:
    customer = world.customer() if has_method else world.client.v1.customers.create({"name": "Bob"}).id
    made = world.subscribe(customer=customer, trial_end=SECOND + 60 * DAY)
    world.change(made, status="active", trial_end=None, trial_start=None)
    return world.items_end(made, SECOND + days * DAY)


def endpoint(world: World, types: list[str]) -> str:
    wanted: Any = {"url": ENDPOINT, "enabled_events": types, "api_version": NEWEST}
    return world.client.v1.webhook_endpoints.create(wanted).id


def destination(world: World, status: str) -> str:
    wanted: Any = {
        "name": "events",
        "type": "amazon_eventbridge",
        "event_payload": "thin",
        "enabled_events": ["v1.customer.subscription.updated"],
        "amazon_eventbridge": {"aws_account_id": "123456789012", "aws_region": "eu-west-1"},
    }
    made = world.client.v2.core.event_destinations.create(wanted).id
    world.simulator.store.event_destinations.get(made)["amazon_eventbridge"]["aws_event_source_status"] = status
    return made


def undelivered(world: World, seconds: int) -> None:
    """An event of so long ago that an endpoint, at which nobody listens, has not taken."""
    world.running.admin("POST", "clock", {"now": SECOND - seconds})
    wanted: Any = {"url": "http://127.0.0.1:1/", "enabled_events": ["customer.subscription.created"]}
    deaf = world.client.v1.webhook_endpoints.create(wanted)
    world.subscribe()
    world.running.settle()
    world.client.v1.webhook_endpoints.update(deaf.id, {"disabled": True})
    world.running.admin("POST", "clock", {"now": SECOND})


def unpaid(world: World, days: int, **params: Any) -> str:
    """A yearly subscription of so many days ago, whose first invoice nobody has paid; returns the invoice."""
    world.running.admin("POST", "clock", {"now": SECOND - days * DAY})
    made = world.subscribe(items=[{"price": world.price(12_000, interval="year")}], **params)
    world.change(made, status="past_due")
    world.running.admin("POST", "clock", {"now": SECOND})
    (invoice,) = world.client.v1.invoices.list({"subscription": made}).data
    assert (invoice.status, world.client.v1.subscriptions.retrieve(made).status) == ("open", "past_due")
    return invoice.id


def declined(world: World, days: int) -> str:
    """A subscription whose card was declined so many days ago."""
    customer = world.client.v1.customers.create({"name": "Bob", "payment_method": "pm_card_chargeCustomerFail"}).id
    (method,) = world.client.v1.customers.payment_methods.list(customer).data
    invoice = unpaid(world, days, customer=customer, default_payment_method=method.id)
    stored = world.simulator.store.invoices.get(invoice)
    subscription: str = stored["parent"]["subscription_details"]["subscription"]
    return subscription


def sent_invoice(world: World, days: int) -> str:
    """An invoice that was due so many days ago."""
    return unpaid(world, days + 7, collection_method="send_invoice", days_until_due=7)


def default_configuration(world: World, *, login_page: bool) -> str:
    wanted = {"business_profile": {}, "features": {"invoice_history": ON}, "login_page": {"enabled": login_page}}
    made: str = world.running.admin("POST", "default_configuration", wanted)["id"]
    return made


def unknown_to_the_mirror(world: World, *, missing: bool) -> str:
    made = world.subscribe()
    if missing:
        world.missing.add(made)
    return made


def waiting(world: World, number: int) -> None:
    world.dead_letters[UNREADABLE_EVENTS] = WaitingMessages(number, NOW)


def dated_late(world: World, seconds: int) -> None:
    world.stamp_lag = seconds


def listed(world: World, age: timedelta) -> None:
    """The company's own list of who is served was uploaded so long ago."""
    world.access_list = AccessListFacts(written_at=NOW - age, lines=1, customers=1)


def set_here(world: World, seconds: int, *, days: int = 30) -> HistoryEntry:
    """A pause of so many days that a customer has set so long ago; nothing is paused at Stripe yet."""
    made = world.subscribe()
    customer, begins = world.client.v1.subscriptions.retrieve(made).customer, SECOND + DAY
    entry = pause_entry(
        made, str(customer), at=SECOND - seconds, operation_id=made, begins=begins, resumes=begins + days * DAY
    )
    world.pauses.entries.append(entry)
    return entry


def promised(world: World, seconds: int) -> str:
    """A pause that should have ended so long ago."""
    made = really_paused(world, 40)
    world.pauses.records[made] = pause_record(made, "cus_1", begins=SECOND - 40 * DAY, resumes=SECOND - seconds)
    return made


CASES: dict[str, Case] = {
    "paused_collection": Case(paused_collection, lambda world: paused_collection(world, resumes_at=SECOND - 1)),
    "paused_status": Case(lambda world: really_paused(world, 1), resumed),
    "long_pause": Case(lambda world: really_paused(world, 365), lambda world: really_paused(world, 364)),
    "pause_not_ended": Case(lambda world: promised(world, 3600), lambda world: promised(world, 3599)),
    "new_pauses": Case(
        lambda world: set_here(world, DAY).subscription_id, lambda world: set_here(world, DAY + 1).subscription_id
    ),
    "pauses_beyond_rules": Case(
        lambda world: set_here(world, 60, days=366).customer_id, lambda world: set_here(world, 60, days=365).customer_id
    ),
    "portal_pause": Case(
        lambda world: world.configuration(pause(type="indefinite")),
        lambda world: world.configuration({**pause(type="indefinite"), "active": False}),
    ),
    "default_configuration": Case(
        lambda world: default_configuration(world, login_page=False),
        lambda world: default_configuration(world, login_page=True),
    ),
    "portal_limits": Case(lambda world: several_items(world, 2), lambda world: several_items(world, 1)),
    "several_subscriptions": Case(
        lambda world: two_subscriptions(world, canceled=False), lambda world: two_subscriptions(world, canceled=True)
    ),
    "long_past_due": Case(lambda world: declined(world, 31), lambda world: declined(world, 29)),
    "overdue_invoices": Case(lambda world: sent_invoice(world, 31), lambda world: sent_invoice(world, 29)),
    "no_payment_method": Case(
        lambda world: charged_in(world, 7, has_method=False), lambda world: charged_in(world, 8, has_method=False)
    ),
    "lasting_discount": Case(
        lambda world: discounted(world, percent_off=100), lambda world: discounted(world, percent_off=99)
    ),
    "nothing_to_pay": Case(lambda world: priced_at(world, 1250, 0), lambda world: priced_at(world, 1, 1)),
    "long_trial": Case(
        lambda world: on_trial(world, 91, began=60, created=60), lambda world: on_trial(world, 90, began=60, created=60)
    ),
    "hidden_pause": Case(
        lambda world: on_trial(world, 30, began=5, created=7), lambda world: on_trial(world, 30, began=5, created=6)
    ),
    "webhook_endpoints": Case(
        lambda world: endpoint(world, list(NEEDED[1:])), lambda world: endpoint(world, list(NEEDED))
    ),
    "event_destinations": Case(lambda world: destination(world, "deleted"), lambda world: destination(world, "active")),
    "undelivered_events": Case(lambda world: undelivered(world, 3660), lambda world: undelivered(world, 3540)),
    "access_list": Case(
        lambda world: listed(world, timedelta(hours=48, seconds=1)), lambda world: listed(world, timedelta(hours=48))
    ),
    "dead_letters": Case(lambda world: waiting(world, 1), lambda world: waiting(world, 0)),
    "drift": Case(
        lambda world: unknown_to_the_mirror(world, missing=True),
        lambda world: unknown_to_the_mirror(world, missing=False),
    ),
    "event_times": Case(lambda world: dated_late(world, 4), lambda world: dated_late(world, 3)),
}
# A second case of a check that finds several things.
MORE_CASES: dict[str, Case] = {
    "lasting_discount": Case(
        lambda world: expired_promotion(world, used_up=False), lambda world: expired_promotion(world, used_up=True)
    ),
    "nothing_to_pay": Case(lambda world: priced_at(world, 0), lambda world: priced_at(world, 1)),
    "no_payment_method": Case(
        lambda world: charged_in(world, 7, has_method=False), lambda world: charged_in(world, 7, has_method=True)
    ),
}

REASON: dict[str, Any] = {"enabled": True, "options": ["other"]}
TWO_CONDITIONS = [{"type": "shortening_interval"}, {"type": "decreasing_item_amount"}]
# For each rule about configurations, one that keeps it, and differs in one thing from the one in `BROKEN`.
KEPT: dict[str, dict[str, Any]] = {
    "old_pause_form": pause(type="indefinite"),
    "no_pause_options": pause(type="interval_options", interval_options=[MONTH]),
    "pause_too_long": pause(type="interval_options", interval_options=[{"interval": "year", "interval_count": 3}]),
    "span_twice": pause(type="interval_options", interval_options=[MONTH, {**MONTH, "interval_count": 2}]),
    "indefinite_options": pause(type="indefinite"),
    "inactive_default": {**LINKS, "login_page": ON, "active": False},
    "headline_too_long": {**LINKS, "business_profile": {**LINKS["business_profile"], "headline": "x" * 60}},
    "links_missing": {**LINKS, "features": {"subscription_cancel": ON}},
    "always_invoice": features(
        subscription_cancel={**ON, "mode": "immediately", "proration_behavior": "create_prorations"}
    ),
    "proration_mode": features(
        subscription_cancel={**ON, "mode": "immediately", "proration_behavior": "create_prorations"}
    ),
    "no_reasons": features(subscription_cancel={**ON, "cancellation_reason": REASON}),
    "nothing_to_update": update(),
    "editable_email": features(customer_update={**ON, "allowed_updates": ["phone"]}),
    "update_without_payment_method": update(),
    "too_many_products": update(products=products(*([f"price_{n}"] for n in range(10)))),
    "product_twice": update(products=products(["price_1"], ["price_2"])),
    "price_twice": update(products=products(["price_1", "price_2"])),
    "same_interval": priced("eur", "year"),
    "same_interval_other_currency": priced("usd", "year"),
    "quantity_range": update(
        products=[{**products(["p"])[0], "adjustable_quantity": {**ON, "minimum": 2, "maximum": 2}}]
    ),
    "condition_twice": update(
        products=products(["price_1", "price_2"]), schedule_at_period_end={"conditions": TWO_CONDITIONS}
    ),
    "condition_never": update(
        products=products(["price_1", "price_2"]), schedule_at_period_end={"conditions": TWO_CONDITIONS[:1]}
    ),
}


def _of_rule(rule: str) -> Case:
    return Case(lambda world: world.configuration(BROKEN[rule][0]), lambda world: world.configuration(KEPT[rule]))


CASES |= {rule: _of_rule(rule) for rule in KEPT}
