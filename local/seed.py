"""The demo data: products, portal configurations, and customers with each state that a subscription can be in."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import requests
from stripe import StripeClient

from local.stack_clock import StackClock
from local.stop_signals import StopSignals
from shared.portal.pause import PORTAL_PAUSE_RETURNED_ON

# Everybody signs up here. All steps of the history with a date come later, and before Stripe's cutoff of 2024-08-01.
SIGN_UP = datetime(2024, 2, 10, 9, 0, tzinfo=UTC)
_BUTTON = datetime(2024, 2, 20, 18, 30, tzinfo=UTC)
_SPRING = datetime(2024, 3, 12, 10, 15, tzinfo=UTC)
_MAY = datetime(2024, 5, 20, 8, 45, tzinfo=UTC)
# In the future both as of 2024-07-15 and today, and within the five years that Stripe accepts from the history on.
_FAR_AHEAD = int(datetime(2029, 1, 1, tzinfo=UTC).timestamp())

_LATELY = timedelta(days=12)
_AWAY = timedelta(days=75)

_IDLE_SECONDS = 30
# Longer than an event waits in the settle queue.
_SETTLED = timedelta(seconds=20)

HistoryAct = Literal["update", "pause", "schedule", "cancel", "fail_payment", "promise"]
# Asks the pause function for a pause of a subscription up to a day.
PromisePause = Callable[[str, date], None]


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """Something that happens to a person's first subscription; `at` is a time, or how long before the present."""

    at: datetime | timedelta
    act: HistoryAct
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """A customer of the demo.

    `prices` are lookup keys; each gets a subscription of its own unless `in_one` is set. `terms` are further parameters
    of the subscriptions. `pays_with` is a type of payment method, or `None` for a customer without one.
    """

    name: str
    email: str
    purpose: str
    prices: tuple[str, ...] = ("starter_eur_month",)
    steps: tuple[HistoryStep, ...] = ()
    terms: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    pays_with: str | None = "card"
    in_one: bool = False

    @property
    def is_recent(self) -> bool:
        """Whether something happens just before the present: a pause that Stripe has only since 2026."""
        return any(isinstance(step.at, timedelta) for step in self.steps)


def _collection_paused(at: datetime, behavior: str, *, resumes_at: int | None = None) -> tuple[HistoryStep, ...]:
    pause = {"behavior": behavior} | ({"resumes_at": resumes_at} if resumes_at else {})
    return (HistoryStep(at, "update", {"pause_collection": pause}),)


_CLASSIC = {"billing_mode": {"type": "classic"}}
_TRIAL_THEN_PAUSE = {
    "trial_period_days": 14,
    "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
}

PEOPLE = (
    Person("Amélie Laurent", "amelie.laurent@example.com", "Active, nothing special"),
    Person(
        "Jonas Weber",
        "jonas.weber@example.com",
        "Collection paused, invoices voided, without an end",
        steps=_collection_paused(_BUTTON, "void"),
        terms=_CLASSIC,
        group="legacy",
    ),
    Person(
        "Rosa Keller",
        "rosa.keller@example.com",
        "Active; her portal had the old pause button until 29 March 2024",
        prices=("team_eur_month",),
        terms=_CLASSIC,
        group="legacy",
    ),
    Person(
        "Sofia Rossi",
        "sofia.rossi@example.com",
        "Collection paused, invoices voided, until 2029",
        prices=("starter_eur_year",),
        steps=_collection_paused(_BUTTON, "void", resumes_at=_FAR_AHEAD),
    ),
    Person(
        "Liam O'Connor",
        "liam.oconnor@example.com",
        "Collection paused, invoices kept as drafts, without an end",
        prices=("team_usd_month",),
        steps=_collection_paused(_SPRING, "keep_as_draft"),
    ),
    Person(
        "Noor de Vries",
        "noor.devries@example.com",
        "Collection paused, invoices kept as drafts, until 2029",
        steps=_collection_paused(_SPRING, "keep_as_draft", resumes_at=_FAR_AHEAD),
    ),
    Person(
        "Yuki Tanaka",
        "yuki.tanaka@example.com",
        "Collection paused, invoices uncollectible, without an end",
        prices=("starter_jpy_month",),
        steps=_collection_paused(_SPRING, "mark_uncollectible"),
    ),
    Person(
        "Marta Kowalska",
        "marta.kowalska@example.com",
        "Collection paused, invoices uncollectible, until 2029",
        prices=("team_usd_month",),
        steps=_collection_paused(_SPRING, "mark_uncollectible", resumes_at=_FAR_AHEAD),
    ),
    Person(
        "Daniel Kim",
        "daniel.kim@example.com",
        "Subscription paused (status=paused), on request",
        prices=("team_usd_month",),
        steps=(HistoryStep(_MAY, "pause"),),
    ),
    Person(
        "Nadia Haddad",
        "nadia.haddad@example.com",
        "Subscription paused (status=paused) twelve days ago, on request",
        steps=(HistoryStep(_LATELY, "pause"),),
    ),
    Person(
        "Tomás Silva",
        "tomas.silva@example.com",
        "Has set a pause on the page for pauses: it begins when the paid period ends, and ends in some weeks",
        prices=("team_eur_month",),
        steps=(HistoryStep(timedelta(), "promise"),),
    ),
    Person(
        "Priya Sharma",
        "priya.sharma@example.com",
        "Subscription paused: the trial ended without a card",
        terms=_TRIAL_THEN_PAUSE,
        pays_with=None,
    ),
    Person(
        "Emma Johansson",
        "emma.johansson@example.com",
        "Past due: the last payment failed",
        steps=(HistoryStep(_MAY, "fail_payment"),),
    ),
    Person("Luca Moretti", "luca.moretti@example.com", "Cancelled", steps=(HistoryStep(_MAY, "cancel"),)),
    Person(
        "Chloé Dubois",
        "chloe.dubois@example.com",
        "Two subscriptions, one of them with collection paused",
        prices=("team_eur_month", "starter_eur_month"),
        steps=_collection_paused(_SPRING, "void"),
    ),
    Person(
        "Oliver Smith",
        "oliver.smith@example.com",
        "Usage-based: no change of plan in the portal",
        prices=("api_calls_eur_month",),
    ),
    Person(
        "Mia Andersson",
        "mia.andersson@example.com",
        "Two products in one subscription: no change of plan in the portal",
        prices=("team_eur_month", "starter_eur_month"),
        in_one=True,
    ),
    Person(
        "Carlos Gómez",
        "carlos.gomez@example.com",
        "Pays by invoice: the portal can only cancel the subscription",
        prices=("team_eur_month",),
        terms={"collection_method": "send_invoice", "days_until_due": 30},
    ),
    Person(
        "Aisha Khan",
        "aisha.khan@example.com",
        "Pays with a method that the portal does not support: no change of plan in the portal",
        pays_with="klarna",
    ),
    Person(
        "Pavel Novák",
        "pavel.novak@example.com",
        "An update is scheduled: the portal can neither change nor cancel the subscription",
        steps=(HistoryStep(_MAY, "schedule", {"change_at": _FAR_AHEAD, "price": "starter_eur_year"}),),
    ),
    Person(
        "Grace Osei",
        "grace.osei@example.com",
        "A price without a tax behavior: no change of plan in the portal",
        prices=("starter_2023_month",),
    ),
    Person(
        "Hugo Martin",
        "hugo.martin@example.com",
        "In a trial: a change of plan would end it",
        terms={"trial_end": _FAR_AHEAD},
    ),
    Person("Ingrid Berg", "ingrid.berg@example.com", "No subscription at all", prices=()),
)


_PRODUCTS: Mapping[str, str] = {
    "starter": "Northwind Starter",
    "team": "Northwind Team",
    "api_calls": "Northwind API calls",
}
_PRICES: tuple[dict[str, Any], ...] = (
    {"lookup_key": "starter_eur_month", "product": "starter", "currency": "eur", "unit_amount": 2900},
    {"lookup_key": "starter_eur_year", "product": "starter", "currency": "eur", "unit_amount": 29000},
    {"lookup_key": "starter_2023_month", "product": "starter", "currency": "eur", "unit_amount": 1900},
    {"lookup_key": "starter_jpy_month", "product": "starter", "currency": "jpy", "unit_amount": 4500},
    {"lookup_key": "team_eur_month", "product": "team", "currency": "eur", "unit_amount": 8900},
    {"lookup_key": "team_usd_month", "product": "team", "currency": "usd", "unit_amount": 9900},
    {"lookup_key": "api_calls_eur_month", "product": "api_calls", "currency": "eur", "unit_amount": 2},
)
# An old price whose tax_behavior was never specified.
_WITHOUT_TAX = "starter_2023_month"
_CANCEL = {
    "enabled": True,
    "mode": "at_period_end",
    "cancellation_reason": {"enabled": True, "options": ["too_expensive", "unused", "missing_features", "other"]},
}
_FEATURES: Mapping[str, Any] = {
    "customer_update": {"enabled": True, "allowed_updates": ["address", "phone"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": _CANCEL,
}
_MONTHS = [{"interval": "month", "interval_count": count} for count in (1, 2, 3)]
_PAUSE_TODAY = {"enabled": True, "duration": {"type": "interval_options", "interval_options": _MONTHS}}


class Seed:
    """Creates the demo data in the simulator; waits for the deliveries before it moves the clock."""

    def __init__(
        self, client: StripeClient, simulator_url: str, site_url: str, clock: StackClock, signals: StopSignals
    ) -> None:
        self._client = client
        self._simulator_url = simulator_url
        self._site_url = site_url
        self._clock = clock
        self._signals = signals
        self._price_ids: dict[str, str] = {}

    def make_configurations(self) -> dict[str, str]:
        """Create the default portal configuration and an old one; return the configuration of each group."""
        self._clock.go_to(SIGN_UP)
        self._make_prices()
        features = {**_FEATURES, "subscription_update": self._plan_changes()}
        profile = {
            "headline": "Northwind manages its plans with Stripe",
            "privacy_policy_url": "https://northwind.example/privacy",
            "terms_of_service_url": "https://northwind.example/terms",
        }
        common = {"business_profile": profile, "default_return_url": f"{self._site_url}/"}
        self._admin(
            "default_configuration",
            common | {"login_page": {"enabled": True}, "features": {**features, "subscription_pause": _PAUSE_TODAY}},
        )
        legacy = self._admin(
            "configurations",
            common | {"name": "Legacy plans", "features": {**features, "subscription_pause": {"enabled": True}}},
        )
        return {"legacy": legacy["id"]}

    @property
    def checkout_price(self) -> str:
        """The price that the site sells in Checkout; known once the configurations are made."""
        return self._price_ids["starter_eur_month"]

    def make_history(self, settle: Callable[[], None], promise: PromisePause) -> None:
        """Create the people and everything that happened to them; leaves the clock at the last step.

        `settle` waits until the events that could not be ordered at once are settled.
        """
        present = self._clock.present
        has_pauses = present.date() >= PORTAL_PAUSE_RETURNED_ON
        people = [person for person in PEOPLE if has_pauses or not person.is_recent]
        self._clock.go_to(SIGN_UP)
        subscriptions = {person.email: self._sign_up(person) for person in people}
        steps: dict[datetime, list[tuple[HistoryStep, str]]] = {}
        for person in people:
            for step in person.steps:
                moment = min(step.at if isinstance(step.at, datetime) else present - step.at, present)
                steps.setdefault(moment, []).append((step, subscriptions[person.email]))
        for moment in sorted(steps):
            self.wait_until_idle()
            # What is settled years later would count as sent again by somebody. It is from now, not from the step's own
            # time: on a slow machine the step takes longer than that.
            self._clock.go_to(datetime.now(UTC) + _SETTLED)
            settle()
            self._clock.go_to(moment)
            for step, subscription in steps[moment]:
                self._signals.check()
                if step.act == "promise":
                    self.wait_until_idle()
                    promise(subscription, (present + _AWAY).date())
                else:
                    self._perform(step, subscription)
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until the webhook has accepted every event so far. Raises `requests.HTTPError` after half a minute."""
        for _ in range(_IDLE_SECONDS):
            self._signals.check()
            response = requests.get(f"{self._simulator_url}/_simulator/idle", {"timeout": 1}, timeout=5)
            if response.ok:
                return
        response.raise_for_status()

    def _make_prices(self) -> None:
        for product_id, name in _PRODUCTS.items():
            self._client.v1.products.create({"id": product_id, "name": name})
        for price in _PRICES:
            self._signals.check()
            key = price["lookup_key"]
            usage = {"usage_type": "metered"} if price["product"] == "api_calls" else {}
            recurring: Any = {"interval": key.rpartition("_")[2], **usage}
            terms = {**price, "recurring": recurring} | ({} if key == _WITHOUT_TAX else {"tax_behavior": "exclusive"})
            self._price_ids[key] = self._client.v1.prices.create(terms).id  # type: ignore[arg-type]  # from a table

    def _plan_changes(self) -> dict[str, Any]:
        """The plans that customers may switch between. Stripe allows one price for each product and interval."""
        offered = {"starter": ("starter_eur_month", "starter_eur_year"), "team": ("team_eur_month",)}
        return {
            "enabled": True,
            "default_allowed_updates": ["price", "quantity"],
            "proration_behavior": "create_prorations",
            "products": [
                {"product": product, "prices": [self._price_ids[key] for key in keys]}
                for product, keys in offered.items()
            ],
        }

    def _sign_up(self, person: Person) -> str:
        """Return the id of the person's first subscription, or an empty string."""
        self._signals.check()
        params: Any = {
            "name": person.name,
            "email": person.email,
            "metadata": {"purpose": person.purpose} | ({"portal_group": person.group} if person.group else {}),
        }
        customer = self._client.v1.customers.create(
            params | ({"payment_method": "pm_card_visa"} if person.pays_with == "card" else {})
        )
        if person.pays_with not in {None, "card"}:
            self._pay_with(person, customer.id)
        items = [{"price": self._price_ids[key]} for key in person.prices]
        ids = []
        for subscription_items in [items] if person.in_one else [[item] for item in items]:
            terms: Any = {"customer": customer.id, "items": subscription_items, **person.terms}
            ids.append(self._client.v1.subscriptions.create(terms).id)
        return ids[0] if ids else ""

    def _pay_with(self, person: Person, customer: str) -> None:
        params: Any = {"type": person.pays_with, "billing_details": {"email": person.email}}
        method_id = self._client.v1.payment_methods.create(params).id
        self._client.v1.payment_methods.attach(method_id, {"customer": customer})
        self._client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method_id}})

    def _give_card_that_fails(self, subscription_id: str) -> None:
        """Replace the customer's card by one that is declined at the next renewal."""
        customer = str(self._client.v1.subscriptions.retrieve(subscription_id).customer)
        old = self._client.v1.payment_methods.list({"customer": customer}).data
        card = self._client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer})
        self._client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card.id}})
        for one in old:
            self._client.v1.payment_methods.detach(one.id)

    def _schedule(self, subscription_id: str, change_at: int, key: str) -> None:
        """Schedule another price for a subscription."""
        schedule = self._client.v1.subscription_schedules.create({"from_subscription": subscription_id})
        current = schedule.phases[0]
        kept: Any = [{"price": str(item.price), "quantity": item.quantity or 1} for item in current["items"]]
        now: Any = {"items": kept, "start_date": current.start_date, "end_date": change_at}
        later: Any = {"items": [{"price": self._price_ids[key]}], "duration": {"interval": "year"}}
        self._client.v1.subscription_schedules.update(schedule.id, {"phases": [now, later]})

    def _perform(self, step: HistoryStep, subscription_id: str) -> None:
        params: Any = step.params
        match step.act:
            case "update":
                self._client.v1.subscriptions.update(subscription_id, params)
            case "pause":
                self._client.v1.subscriptions.pause(subscription_id, params)
            case "schedule":
                self._schedule(subscription_id, params["change_at"], params["price"])
            case "cancel":
                self._client.v1.subscriptions.cancel(subscription_id, params)
            case "fail_payment":
                self._give_card_that_fails(subscription_id)

    def _admin(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        response = requests.post(f"{self._simulator_url}/_simulator/{path}", json=body, timeout=10)
        if not response.ok:
            raise RuntimeError(f"The simulator refused {path}: {json.dumps(response.json())}")
        made: dict[str, Any] = response.json()
        return made
