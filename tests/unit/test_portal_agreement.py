"""Two independent opinions of the portal compared: the product's rules, and those of the simulator.

`shared.portal` decides what `portal explain` says; the simulator's own rules decide what its portal page offers. They
share no code, so a mistake on either side shows here.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from local.stripe_simulator.portal import configurations
from local.stripe_simulator.portal.rules import is_collection_paused, may_remove_payment_method, offer_for
from local.stripe_simulator.resources import catalog, customers, payment_methods, subscriptions
from local.stripe_simulator.simulator import Call, Simulator
from shared.portal.changes import allows_quantity, cancellation, choices, plan_change
from shared.portal.configuration import Configuration, Features, PaymentMethodUpdate
from shared.portal.facts import PortalFacts, Price
from shared.portal.pause import pausing, resuming
from shared.portal.payment_methods import removal
from shared.stripe.subscription import Subscription, is_paused, read_subscription

Json = dict[str, Any]

DATES = [datetime(*day, 12, tzinfo=UTC) for day in ((2024, 3, 1), (2024, 5, 1), (2024, 9, 1), (2026, 11, 2))]
FIRST, LAST = (int(day.timestamp()) for day in (DATES[0], DATES[-1]))
YEAR = 365 * 86_400

STATUSES: dict[str, Json] = {
    status: {"status": status}
    for status in ("active", "past_due", "unpaid", "incomplete", "incomplete_expired", "canceled")
}
STATUSES["trialing"] = {"status": "trialing", "trial_end": LAST + YEAR}
STATUSES |= {
    f"paused by {reason}": {
        "status": "paused",
        "status_details": {
            "paused": {"type": "subscription", "transitioned_at": FIRST, "subscription": {"type": reason}}
        },
    }
    for reason in ("pause_requested", "trial_end_without_payment_method", "final_payment_failure")
}
PAUSES: dict[str, Json] = {
    "collected": {"pause_collection": None},
    "void": {"pause_collection": {"behavior": "void", "resumes_at": None}},
    "keep_as_draft for a while": {"pause_collection": {"behavior": "keep_as_draft", "resumes_at": LAST + YEAR}},
    "void, over": {"pause_collection": {"behavior": "void", "resumes_at": FIRST - YEAR}},
}
METHODS: dict[str, Json] = {
    method: {"collection_method": method} for method in ("charge_automatically", "send_invoice")
}
SCHEDULES = ("no schedule", "idle schedule", "planned update")
ITEMS = ("one product", "several products", "metered", "unspecified tax", "classic", "klarna", "end is planned")


@dataclass
class World:
    """A simulated account with a subscription for each kind of item, and a configuration for each set of features."""

    call: Call
    base: Json
    prices: dict[str, Json]
    features: dict[str, Json]

    def subscriptions(self) -> Iterator[tuple[str, Json]]:
        """Every combination, with its name, as Stripe's JSON; one object at a time."""
        for (status, fields), (pause, paused), (method, collected), schedule, items in product(
            STATUSES.items(), PAUSES.items(), METHODS.items(), SCHEDULES, ITEMS
        ):
            made = copy.deepcopy(self.base) | fields | paused | collected
            made["schedule"] = None if schedule == "no schedule" else schedule
            self._apply(items, made)
            yield f"{status}, {pause}, {method}, {schedule}, {items}", made

    def _apply(self, items: str, made: Json) -> None:
        first = made["items"]["data"][0]
        if items == "several products":
            made["items"]["data"].append(first | {"id": "si_second"})
        elif items in self.prices:
            first["price"] = self.prices[items]
        elif items == "classic":
            made["billing_mode"] = {"type": "classic"}
        elif items == "klarna":
            made["default_payment_method"] = "klarna"
        elif items == "end is planned":
            made["cancel_at"] = LAST + YEAR


def features_of(call: Call, **given: Any) -> Json:
    """The features of a configuration as the simulator stores them."""
    version = "2023-10-16" if "duration" not in given.get("subscription_pause", {"duration": None}) else call.version
    made = Call(call.simulator, {"features": given}, version=version)
    features: Json = configurations.create(made)["features"]
    return features


@pytest.fixture(scope="module")
def world() -> World:
    simulator = Simulator(public_url="http://127.0.0.1", now=FIRST)
    call = Call(simulator)
    customer = customers.create(call.about("", payment_method="pm_card_visa"))["id"]
    klarna = payment_methods.create(call.about("", type="klarna"))
    simulator.store.payment_methods.add(klarna | {"id": "klarna", "customer": customer})
    sold, foreign = (catalog.create_product(call.about("", name=name))["id"] for name in ("Gold", "Silver"))

    def price(interval: str = "month", of: str = sold, **changes: Any) -> Json:
        wanted: Json = {"currency": "eur", "unit_amount": 900, "product": of, "tax_behavior": "exclusive", **changes}
        usage = wanted.pop("usage_type", "licensed")
        return catalog.create_price(call.about("", recurring={"interval": interval, "usage_type": usage}, **wanted))

    monthly, yearly, other = price(), price("year"), price(of=foreign)
    dollars, taxed = price("week", currency="usd"), price("day", tax_behavior="inclusive")
    prices = {"metered": price(usage_type="metered"), "unspecified tax": price(tax_behavior="unspecified")}
    base = subscriptions.create(call.about("", customer=customer, items=[{"price": monthly["id"]}]))
    for name, start in (("idle schedule", FIRST), ("planned update", LAST + YEAR)):
        phase = {"start_date": start, "end_date": start + YEAR, "items": []}
        schedule = {"id": name, "created": FIRST, "status": "active", "phases": [phase]}
        simulator.store.subscription_schedules.add(schedule)

    on = {"enabled": True}
    listed = [{"product": sold, "prices": [monthly["id"], yearly["id"], dollars["id"], taxed["id"]]}]
    both = {**on, "default_allowed_updates": ["price", "quantity"], "products": listed}
    month = {"type": "interval_options", "interval_options": [{"interval": "month"}]}
    usual: Json = {"payment_method_update": on, "subscription_cancel": on, "subscription_update": both}

    def update(allowed: list[str], products: list[Json]) -> Json:
        feature = {**on, "default_allowed_updates": allowed, "products": products}
        return features_of(call, payment_method_update=on, subscription_update=feature)

    features = {
        "nothing": features_of(call, invoice_history=on),
        "all": features_of(call, **usual, subscription_pause={**on, "duration": month}),
        "all with the old button": features_of(call, **usual, subscription_pause=on),
        "pause only": features_of(call, subscription_pause={**on, "duration": {"type": "indefinite"}}),
        "cancel only": features_of(call, subscription_cancel={**on, "mode": "immediately"}),
        "quantity only": update(["quantity"], listed),
        "other product": update(["price", "quantity"], [{"product": foreign, "prices": [other["id"]]}]),
        "no way to another price": update(["price"], [{"product": sold, "prices": [monthly["id"], dollars["id"]]}]),
        "promotion codes only": update(["promotion_code"], listed),
    }
    return World(call, base, prices, features)


def price_of(raw: Json) -> Price:
    return Price(raw["id"], raw["product"], raw["currency"], raw["tax_behavior"], raw["active"])


def facts_of(world: World, raw: Json, read: Subscription, features: Features, now: datetime) -> PortalFacts:
    """What `portal explain` would read from Stripe."""
    return PortalFacts(
        read,
        features,
        now,
        update_is_planned=None if read.schedule_id is None else read.schedule_id == "planned update",
        current=price_of(raw["items"]["data"][0]["price"]),
        offered=tuple(
            price_of(world.call.store.prices.get(price.price))
            for product in features.subscription_update.offered_products
            for price in product.prices
        ),
        charged="klarna" if raw["default_payment_method"] == "klarna" else "card",
        payment_methods=2,
    )


@dataclass(frozen=True)
class Opinion:
    """What one side says that the customer can do; `plans` and `quantity` count where the plan can be changed."""

    actions: frozenset[str]
    plans: frozenset[str] = frozenset()
    quantity: bool = False


def explained(facts: PortalFacts) -> Opinion:
    """The product's opinion."""
    cancel = "uncancel" if facts.subscription.cancel_at else "cancel"
    answers = {
        "update": plan_change(facts),
        cancel: cancellation(facts),
        "pause": pausing(facts),
        "resume": resuming(facts),
    }
    actions = frozenset(action for action, answer in answers.items() if answer.possible)
    if "update" not in actions:
        return Opinion(actions)
    return Opinion(actions, frozenset(price.id for price in choices(facts)), allows_quantity(facts))


def offered(world: World, raw: Json, features: Json, now: datetime) -> Opinion:
    """The simulator's opinion."""
    offer = offer_for(Call(world.call.simulator, moment=int(now.timestamp())), features, raw)
    return Opinion(offer.actions, frozenset(plan["id"] for plan in offer.plans), offer.quantity is not None)


def test_the_simulators_portal_offers_what_explain_says(world: World) -> None:
    read_features = {
        name: Configuration.from_stripe({"features": given}).features for name, given in world.features.items()
    }
    differences: list[str] = []
    seen: set[str] = set()
    for name, raw in world.subscriptions():
        read = read_subscription(raw)
        for (configuration, features), now in product(world.features.items(), DATES):
            said = explained(facts_of(world, raw, read, read_features[configuration], now))
            shown = offered(world, raw, features, now)
            seen |= said.actions
            if said != shown:
                differences.append(f"{name}; {configuration}; {now:%Y-%m-%d}: explain {said}, page {shown}")
    assert not differences, f"{len(differences)} differences, such as {differences[0]}"
    assert seen == {"update", "cancel", "uncancel", "pause", "resume"}


def test_both_sides_know_when_payments_are_suspended(world: World) -> None:
    for (name, raw), now in product(world.subscriptions(), DATES):
        read = read_subscription(raw)
        said = is_paused(read, now) and read.pause_kind == "collection"
        assert is_collection_paused(raw, int(now.timestamp())) == said, name


@pytest.mark.parametrize("status", [each["status"] for each in STATUSES.values()])
@pytest.mark.parametrize("cards", [1, 2])
def test_both_sides_keep_the_last_payment_method(status: str, cards: int) -> None:
    call = Call(Simulator(public_url="http://127.0.0.1", now=FIRST))
    customer = customers.create(call.about(""))["id"]
    for _ in range(cards):
        payment_methods.attach(call.about("pm_card_visa", customer=customer))
    sold = catalog.create_price(
        call.about("", currency="eur", unit_amount=900, product_data={"name": "Gold"}, recurring={"interval": "month"})
    )
    terms = {"customer": customer, "items": [{"price": sold["id"]}], "payment_behavior": "default_incomplete"}
    raw = subscriptions.create(call.about("", **terms))
    raw["status"] = status
    read = read_subscription(raw)
    features = Features(payment_method_update=PaymentMethodUpdate(enabled=True))
    facts = PortalFacts(read, features, DATES[-1], payment_methods=cards, has_live_subscription=not read.ended)
    assert may_remove_payment_method(call, customer) == removal(facts).possible
