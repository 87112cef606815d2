"""Fills the Stripe simulator with a small business and its history, through Stripe's API as anybody would."""

import json
from collections.abc import Mapping
from typing import Any

import requests
from stripe import StripeClient

from local.seed_people import PEOPLE, SIGN_UP, Person, Step
from local.stack_clock import StackClock

_PRODUCTS: Mapping[str, str] = {
    "starter": "Northwind Starter",
    "team": "Northwind Team",
    "api_calls": "Northwind API calls",
}
_PRICES: tuple[dict[str, Any], ...] = (
    {"lookup_key": "starter_eur_month", "product": "starter", "currency": "eur", "unit_amount": 2900},
    {"lookup_key": "starter_eur_year", "product": "starter", "currency": "eur", "unit_amount": 29000},
    {"lookup_key": "starter_jpy_month", "product": "starter", "currency": "jpy", "unit_amount": 4500},
    {"lookup_key": "team_eur_month", "product": "team", "currency": "eur", "unit_amount": 8900},
    {"lookup_key": "team_usd_month", "product": "team", "currency": "usd", "unit_amount": 9900},
    {"lookup_key": "api_calls_eur_month", "product": "api_calls", "currency": "eur", "unit_amount": 2},
)
_CANCEL = {
    "enabled": True,
    "mode": "at_period_end",
    "cancellation_reason": {"enabled": True, "options": ["too_expensive", "unused", "missing_features", "other"]},
}
_FEATURES: Mapping[str, Any] = {
    "customer_update": {"enabled": True, "allowed_updates": ["email", "address", "phone"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": _CANCEL,
}
_MONTHS = [{"interval": "month", "interval_count": count} for count in (1, 2, 3)]
_PAUSE_TODAY = {"enabled": True, "duration": {"type": "interval_options", "interval_options": _MONTHS}}


class Seed:
    """Makes history at the simulator; deliveries are waited for before time moves on."""

    def __init__(self, client: StripeClient, simulator_url: str, site_url: str, clock: StackClock) -> None:
        self._client = client
        self._simulator_url = simulator_url
        self._site_url = site_url
        self._clock = clock
        self._prices: Mapping[str, str] = {}

    def configurations(self) -> dict[str, str]:
        """Save the portal's default configuration and one of old, and answer which group has which (the setting)."""
        self._clock.go_to(SIGN_UP)
        profile = {
            "headline": "Northwind manages its plans with Stripe",
            "privacy_policy_url": "https://northwind.example/privacy",
            "terms_of_service_url": "https://northwind.example/terms",
        }
        common = {"business_profile": profile, "default_return_url": f"{self._site_url}/"}
        self._admin(
            "default_configuration",
            common | {"login_page": {"enabled": True}, "features": {**_FEATURES, "subscription_pause": _PAUSE_TODAY}},
        )
        legacy = self._admin(
            "configurations",
            common | {"name": "Legacy plans", "features": {**_FEATURES, "subscription_pause": {"enabled": True}}},
        )
        return {"legacy": legacy["id"]}

    def catalog(self) -> str:
        """Make products and prices, and answer the price that the site sells in Checkout."""
        self._clock.go_to(SIGN_UP)
        self._prices = self._make_prices()
        return self._prices["starter_eur_month"]

    def history(self) -> None:
        """Make people and everything that happened to them; leaves the clock where the last step was."""
        self._clock.go_to(SIGN_UP)
        subscriptions = {person.email: self._sign_up(person, self._prices) for person in PEOPLE}
        steps = [(step, subscriptions[person.email]) for person in PEOPLE for step in person.steps]
        for moment in sorted({step.at for step, _ in steps}):
            self.wait_until_idle()
            self._clock.go_to(moment)
            for step, subscription in steps:
                if step.at == moment:
                    self._take(step, subscription)
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until the webhook has taken every event so far."""
        requests.get(f"{self._simulator_url}/_simulator/idle", {"timeout": 30}, timeout=35).raise_for_status()

    def _make_prices(self) -> dict[str, str]:
        for product_id, name in _PRODUCTS.items():
            self._client.v1.products.create({"id": product_id, "name": name})
        ids = {}
        for price in _PRICES:
            key = price["lookup_key"]
            usage = {"usage_type": "metered"} if price["product"] == "api_calls" else {}
            recurring: Any = {"interval": key.rpartition("_")[2], **usage}
            ids[key] = self._client.v1.prices.create({**price, "recurring": recurring}).id  # type: ignore[typeddict-item]  # built from a table
        return ids

    def _sign_up(self, person: Person, prices: Mapping[str, str]) -> str:
        """Answer the id of the person's first subscription, or nothing."""
        about: Any = {
            "name": person.name,
            "email": person.email,
            "metadata": {"purpose": person.purpose} | ({"portal_group": person.group} if person.group else {}),
        }
        customer = self._client.v1.customers.create(
            about | ({"payment_method": "pm_card_visa"} if person.has_card else {})
        )
        ids = []
        for key in person.prices:
            terms: Any = {"customer": customer.id, "items": [{"price": prices[key]}], **person.terms}
            ids.append(self._client.v1.subscriptions.create(terms).id)
        return ids[0] if ids else ""

    def _take(self, step: Step, subscription_id: str) -> None:
        params: Any = step.params
        match step.act:
            case "update":
                self._client.v1.subscriptions.update(subscription_id, params)
            case "pause":
                self._client.v1.subscriptions.pause(subscription_id, params)
            case "cancel":
                self._client.v1.subscriptions.cancel(subscription_id, params)
            case "fail_payment":
                # Stripe does this by itself; the simulator on request.
                self._admin(f"subscriptions/{subscription_id}", {"status": "past_due"})

    def _admin(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = requests.post(f"{self._simulator_url}/_simulator/{path}", json=body, timeout=10)
        if not answer.ok:
            raise RuntimeError(f"The simulator refused {path}: {json.dumps(answer.json())}")
        found: dict[str, Any] = answer.json()
        return found
