"""Everything that the simulator sends, in all its forms: each operation once at least, and each type of event.

A new operation or a new form of an object belongs here, so that Stripe's own types check it. A test fails when an
operation or an event type is missing.
"""

from dataclasses import dataclass, field
from typing import Any

from local.stripe_simulator import api, checkout
from local.stripe_simulator.resources import status
from local.stripe_simulator.resources.events import snapshot
from local.stripe_simulator.simulator import Call, Simulator
from tests.simulator_in_process import Params, SimulatorInProcess

_DAY = 86_400
# The portal's pause exists from 28 October 2026.
NOW = 1_795_000_000


@dataclass
class Recorder:
    """Sends requests, and keeps the body of every response."""

    client: SimulatorInProcess = field(default_factory=lambda: SimulatorInProcess(NOW))
    bodies: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: set[str] = field(default_factory=set)

    @property
    def simulator(self) -> Simulator:
        """The account's state."""
        simulator: Simulator = self.client.app.state.simulator
        return simulator

    def send(self, method: str, path: str, params: Params | None = None) -> dict[str, Any]:
        answer = self.client.call(method, path, params)
        assert answer.status == 200, f"{method} {path}: {answer.body}"
        # Lists of API v2 have no `object`; what is in them is checked.
        self.bodies += answer.body["data"] if "next_page_url" in answer.body else [answer.body]
        found = api.find(method, path if path.startswith("/v2/") else f"/v1/{path}")
        assert found is not None
        self.operations.add(found.route.name)
        self.keep_events()
        return answer.body

    def keep_events(self) -> None:
        """Keep the events so far, because the simulator drops those older than thirty days."""
        events = self.simulator.store.events
        for _, _, event_id in events.positions():
            self.events.setdefault(event_id, snapshot(events.get(event_id)))

    def create(self, path: str, params: Params | None = None) -> str:
        return str(self.send("POST", path, params)["id"])

    def wait(self, seconds: int) -> None:
        """Move the clock; what is due happens with the next request."""
        self.simulator.clock.set(self.simulator.clock.now() + seconds)


def record() -> Recorder:
    """Return the responses to every operation, and the simulator whose store holds the events."""
    recorder = Recorder()
    prices = _catalog(recorder)
    customer = _customer(recorder)
    _account(recorder)
    _subscriptions(recorder, customer, prices)
    _schedules(recorder, customer, prices)
    _invoices(recorder, prices)
    _portal(recorder, customer, prices)
    _checkout(recorder, customer, prices)
    _lists(recorder, customer)
    _test_clocks(recorder)
    _entitlements(recorder, customer, prices)
    _event_destinations(recorder)
    recorder.send("DELETE", f"customers/{customer}")
    recorder.send("GET", f"customers/{customer}")
    recorder.send("GET", "events", {"limit": 100})
    recorder.send("GET", f"events/{list(recorder.events)[-1]}")
    return recorder


@dataclass(frozen=True)
class Prices:
    """Prices of one product."""

    product: str
    monthly: str
    yearly: str
    metered: str


def _catalog(recorder: Recorder) -> Prices:
    product = recorder.create("products", {"name": "Gold"})
    recorder.create(
        "products",
        {
            "name": "Silver",
            "default_price_data[currency]": "usd",
            "default_price_data[unit_amount]": 500,
            "marketing_features[0][name]": "Fast",
            "package_dimensions[height]": 1,
            "package_dimensions[length]": 1,
            "package_dimensions[weight]": 1,
            "package_dimensions[width]": 1,
            "images[0]": "https://example.com/a.png",
            "metadata[a]": "b",
        },
    )
    recorder.send("POST", f"products/{product}", {"description": "Everything"})

    def price(interval: str, **params: Any) -> str:
        base = {"product": product, "currency": "eur", "recurring[interval]": interval}
        return recorder.create("prices", base | params)

    monthly = price("month", unit_amount=1200, tax_behavior="exclusive")
    yearly = price("year", unit_amount_decimal="12000.5", lookup_key="yearly", nickname="A year")
    metered = price("month", unit_amount=5, **{"recurring[usage_type]": "metered"})
    price(
        "month",
        billing_scheme="tiered",
        tiers_mode="graduated",
        **{"tiers[0][up_to]": 10, "tiers[0][unit_amount]": 100, "tiers[1][up_to]": "inf", "tiers[1][flat_amount]": 50},
    )
    price("month", unit_amount=7, **{"transform_quantity[divide_by]": 10, "transform_quantity[round]": "up"})
    recorder.create("prices", {"product": product, "currency": "eur", "custom_unit_amount[enabled]": "true"})
    recorder.send("POST", f"prices/{monthly}", {"nickname": "A month"})
    coupon = recorder.create("coupons", {"percent_off": 30, "duration": "repeating", "duration_in_months": 3})
    recorder.create("coupons", {"amount_off": 500, "currency": "eur", "id": "FIVE", "max_redemptions": 5})
    terms = {"promotion[type]": "coupon", "promotion[coupon]": coupon, "code": "LESS", "max_redemptions": 5}
    code = recorder.create("promotion_codes", terms | {"restrictions[first_time_transaction]": "true"})
    recorder.send("POST", f"promotion_codes/{code}", {"active": "false", "metadata[a]": "b"})
    recorder.send("GET", f"promotion_codes/{code}", {"expand[0]": "promotion.coupon"})
    recorder.send("GET", "promotion_codes")
    recorder.send("GET", f"coupons/{coupon}")
    recorder.send("POST", f"coupons/{coupon}", {"name": "Less"})
    recorder.send("DELETE", f"coupons/{coupon}")
    recorder.send("DELETE", f"products/{recorder.create('products', {'name': 'Bronze'})}")
    for path in (f"products/{product}", f"prices/{yearly}", "products", "prices", "coupons"):
        recorder.send("GET", path)
    recorder.send("GET", "prices", {"expand[0]": "data.tiers", "expand[1]": "data.product"})
    return Prices(product, monthly, yearly, metered)


def _customer(recorder: Recorder) -> str:
    customer = recorder.create(
        "customers",
        {
            "email": "ada@example.com",
            "name": "Ada",
            "payment_method": "pm_card_visa",
            "address[city]": "Paris",
            "shipping[name]": "Ada",
            "shipping[address][line1]": "1 rue A",
            "metadata[user]": "1",
        },
    )
    recorder.send("POST", f"customers/{customer}", {"phone": "123", "invoice_settings[footer]": "Thanks"})
    card = recorder.create("payment_methods", {"type": "card", "card[token]": "tok_mastercard"})
    recorder.create("payment_methods", {"type": "sepa_debit", "billing_details[address][city]": "Paris"})
    recorder.send("POST", f"payment_methods/{card}/attach", {"customer": customer})
    recorder.send("GET", f"payment_methods/{card}")
    recorder.send("POST", f"payment_methods/{card}/detach")
    return customer


def _account(recorder: Recorder) -> None:
    recorder.send("GET", "account")
    recorder.send("GET", "balance")
    endpoint = recorder.create(
        "webhook_endpoints", {"url": "https://example.com/hook", "enabled_events[0]": "charge.captured"}
    )
    recorder.send("GET", f"webhook_endpoints/{endpoint}")
    recorder.send("POST", f"webhook_endpoints/{endpoint}", {"description": "Ours", "disabled": "true"})
    recorder.send("GET", "webhook_endpoints")
    recorder.send("DELETE", f"webhook_endpoints/{endpoint}")


def _subscriptions(recorder: Recorder, customer: str, prices: Prices) -> None:
    def subscribe(**params: Any) -> str:
        base = {"customer": customer, "items[0][price]": prices.monthly}
        return recorder.create("subscriptions", base | params)

    plain = subscribe(description="Ours", **{"metadata[a]": "b"})
    recorder.send("POST", f"subscriptions/{plain}", {"items[0][price]": prices.yearly})
    recorder.send(
        "POST", f"subscriptions/{plain}", {"pause_collection[behavior]": "void", "discounts[0][coupon]": "FIVE"}
    )
    expanded = ("customer", "default_payment_method", "discounts", "items.data.price.product", "latest_invoice")
    recorder.send("GET", f"subscriptions/{plain}", {f"expand[{n}]": name for n, name in enumerate(expanded)})
    recorder.send("POST", f"subscriptions/{plain}", {"pause_collection": "", "cancel_at_period_end": "true"})
    recorder.send("POST", f"subscriptions/{plain}", {"cancel_at_period_end": "false"})
    recorder.send("POST", f"subscriptions/{plain}/pause", {"type": "subscription"})
    recorder.send("POST", f"subscriptions/{plain}/resume")
    classic = subscribe(**{"billing_mode[type]": "classic", "items[0][quantity]": 3})
    recorder.send("POST", f"subscriptions/{classic}/migrate", {"billing_mode[type]": "flexible"})
    subscribe(collection_method="send_invoice", days_until_due=30, **{"items[1][price]": prices.metered})
    trial = {"trial_period_days": 3, "trial_settings[end_behavior][missing_payment_method]": "pause"}
    subscribe(**trial)
    subscribe(payment_behavior="default_incomplete")
    subscribe(**{f"items[{n}][price]": _other_price(recorder, prices, n) for n in range(12)})
    changing = subscribe()
    item = recorder.create("subscription_items", {"subscription": changing, "price": prices.yearly, "quantity": 2})
    recorder.send("POST", f"subscription_items/{item}", {"quantity": 3, "metadata[a]": "b"})
    recorder.send("GET", f"subscription_items/{item}", {"expand[0]": "price.product"})
    recorder.send("DELETE", f"subscription_items/{item}")
    recorder.send("DELETE", f"subscriptions/{subscribe()}", {"cancellation_details[comment]": "Too dear"})
    recorder.wait(40 * _DAY)


def _invoices(recorder: Recorder, prices: Prices) -> None:
    customer = recorder.create(
        "customers", {"email": "bo@example.com", "payment_method": "pm_card_visa", "balance": -100}
    )

    def subscribe(**params: Any) -> dict[str, Any]:
        return recorder.send(
            "POST", "subscriptions", {"customer": customer, "items[0][price]": prices.monthly, **params}
        )

    paid = subscribe(**{"discounts[0][coupon]": "FIVE"})
    recorder.send("GET", f"invoices/{paid['latest_invoice']}", {"expand[0]": "discounts", "expand[1]": "customer"})
    recorder.send("GET", f"invoices/{paid['latest_invoice']}/lines")
    sent = subscribe(collection_method="send_invoice", days_until_due=7)["latest_invoice"]
    recorder.send("POST", f"invoices/{sent}", {"description": "Thanks", "metadata[a]": "b", "days_until_due": 3})
    recorder.send("POST", f"invoices/{sent}/finalize")
    recorder.send("POST", f"invoices/{sent}/send")
    recorder.send("POST", f"invoices/{sent}/mark_uncollectible")
    other = subscribe(payment_behavior="default_incomplete")
    recorder.send("POST", f"invoices/{other['latest_invoice']}/pay")
    void = subscribe(payment_behavior="default_incomplete")["latest_invoice"]
    recorder.send("POST", f"invoices/{void}/void")
    for card in ("pm_card_chargeCustomerFail", "pm_card_authenticationRequired"):
        failing = recorder.create("customers", {"payment_method": card})
        subscribe(customer=failing)
    _waiting(recorder, prices)
    recorder.wait(40 * _DAY)
    recorder.send("GET", "invoices", {"customer": customer, "status": "paid", "expand[0]": "data.parent"})


def _waiting(recorder: Recorder, prices: Prices) -> None:
    """An update and a resume that wait for their payment."""
    customer = recorder.create("customers", {"payment_method": "pm_card_visa"})
    base = {"customer": customer, "items[0][price]": prices.monthly}
    one, other, paused = (recorder.send("POST", "subscriptions", base) for _ in range(3))
    recorder.wait(_DAY)
    recorder.send("POST", f"subscriptions/{paused['id']}/pause", {"invoicing_behavior": "invoice"})
    card = recorder.create("payment_methods/pm_card_chargeCustomerFail/attach", {"customer": customer})
    recorder.send("POST", f"customers/{customer}", {"invoice_settings[default_payment_method]": card, "balance": 0})
    resume = {"payment_behavior": "resume_on_payment_success"}
    recorder.send("POST", f"subscriptions/{paused['id']}/resume", resume)
    for subscription in (one, other):
        change = {
            "items[0][id]": subscription["items"]["data"][0]["id"],
            "items[0][quantity]": 4,
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        }
        recorder.send("POST", f"subscriptions/{subscription['id']}", change)
    invoice = recorder.send("GET", f"subscriptions/{one['id']}")["latest_invoice"]
    recorder.send("POST", f"invoices/{invoice}/pay", {"paid_out_of_band": "true"})
    recorder.wait(_DAY)
    recorder.send("GET", f"subscriptions/{other['id']}")


def _other_price(recorder: Recorder, prices: Prices, amount: int) -> str:
    params = {"product": prices.product, "currency": "eur", "unit_amount": amount, "recurring[interval]": "month"}
    return recorder.create("prices", params)


def _schedules(recorder: Recorder, customer: str, prices: Prices) -> None:
    subscription = recorder.create("subscriptions", {"customer": customer, "items[0][price]": prices.monthly})
    schedule = recorder.create("subscription_schedules", {"from_subscription": subscription})
    recorder.send(
        "POST",
        f"subscription_schedules/{schedule}",
        {
            "phases[0][items][0][price]": prices.monthly,
            "phases[0][start_date]": "now",
            "phases[0][duration][interval]": "month",
            "phases[1][items][0][price]": prices.yearly,
            "phases[1][items][0][quantity]": 2,
            "phases[1][duration][interval]": "year",
        },
    )
    recorder.send("GET", f"subscription_schedules/{schedule}")
    recorder.wait(40 * _DAY)
    recorder.send("GET", f"subscriptions/{subscription}", {"expand[0]": "schedule"})
    recorder.send("POST", f"subscription_schedules/{schedule}/release")
    for reason in ("cancellation_requested", "payment_failed"):
        ended = recorder.create("subscriptions", {"customer": customer, "items[0][price]": prices.monthly})
        recorder.send("POST", "subscription_schedules", {"from_subscription": ended})
        status.end(Call(recorder.simulator), recorder.simulator.store.subscriptions.get(ended), reason)
    recorder.keep_events()
    _planned_pause(recorder, customer, prices)
    _phases(recorder, customer, prices)


def _phases(recorder: Recorder, customer: str, prices: Prices) -> None:
    """Schedules of a customer, with all that a phase can set; one begins at once, one later."""
    terms = {
        "customer": customer,
        "default_settings[collection_method]": "send_invoice",
        "default_settings[invoice_settings][days_until_due]": 7,
        "phases[0][items][0][price]": prices.monthly,
        "phases[0][duration][interval]": "week",
        "phases[0][trial]": "true",
        "phases[1][items][0][price]": prices.yearly,
        "phases[1][duration][interval]": "week",
        "phases[1][billing_cycle_anchor]": "phase_start",
        "phases[1][collection_method]": "charge_automatically",
        "phases[1][description]": "Second",
        "phases[1][discounts][0][coupon]": "FIVE",
        "phases[1][invoice_settings][days_until_due]": 3,
        "phases[1][metadata][a]": "b",
    }
    recorder.create("subscription_schedules", terms)
    later = recorder.create("subscription_schedules", terms | {"start_date": recorder.simulator.clock.now() + _DAY})
    recorder.send("GET", "subscription_schedules", {"scheduled": "true"})
    recorder.wait(10 * _DAY)
    recorder.send("GET", "subscription_schedules")
    recorder.send("POST", f"subscription_schedules/{later}/cancel")


def _planned_pause(recorder: Recorder, customer: str, prices: Prices) -> None:
    subscription = recorder.create("subscriptions", {"customer": customer, "items[0][price]": prices.monthly})
    start = recorder.simulator.clock.now() + _DAY
    plan = {
        "pause_schedules[0][key]": "summer",
        "pause_schedules[0][pause][pause_at][type]": "timestamp",
        "pause_schedules[0][pause][pause_at][timestamp]": start,
        "pause_schedules[0][resume][resume_at][type]": "duration",
        "pause_schedules[0][resume][resume_at][duration][interval]": "week",
    }
    schedule = recorder.create("subscription_schedules", {"from_subscription": subscription, **plan})
    recorder.send("POST", f"subscription_schedules/{schedule}", {"end_behavior": "cancel"})
    for days in (2, 8, 14, 26):
        recorder.wait(days * _DAY)
        recorder.send("GET", f"subscription_schedules/{schedule}")


def _portal(recorder: Recorder, customer: str, prices: Prices) -> None:
    bare = recorder.create("billing_portal/configurations", {"features[invoice_history][enabled]": "true"})
    features = {
        "features[customer_update][enabled]": "true",
        "features[customer_update][allowed_updates][0]": "email",
        "features[payment_method_update][enabled]": "true",
        "features[subscription_cancel][enabled]": "true",
        "features[subscription_cancel][cancellation_reason][enabled]": "true",
        "features[subscription_cancel][cancellation_reason][options][0]": "too_expensive",
        "features[subscription_pause][enabled]": "true",
        "features[subscription_update][enabled]": "true",
        "features[subscription_update][default_allowed_updates][0]": "price",
        "features[subscription_update][products][0][product]": prices.product,
        "features[subscription_update][products][0][prices][0]": prices.monthly,
        "features[subscription_update][products][0][prices][1]": prices.yearly,
        "business_profile[headline]": "Hello",
        "default_return_url": "https://example.com/",
        "login_page[enabled]": "true",
        "expand[0]": "features.subscription_update.products",
    }
    full = recorder.create("billing_portal/configurations", features)
    recorder.send("GET", f"billing_portal/configurations/{full}")
    recorder.send("POST", f"billing_portal/configurations/{bare}", {"active": "false", "metadata[a]": "b"})
    recorder.send("GET", "billing_portal/configurations")
    subscription = recorder.send(
        "POST", "subscriptions", {"customer": customer, "items[0][price]": prices.monthly, "items[0][quantity]": 2}
    )
    name, item = subscription["id"], subscription["items"]["data"][0]["id"]
    flows: list[Params] = [
        {},
        {"flow_data[type]": "payment_method_update", "after_expiration[type]": "customer_login"},
        {"flow_data[type]": "customer_update"},
        {
            "flow_data[type]": "subscription_cancel",
            "flow_data[subscription_cancel][subscription]": name,
            "flow_data[subscription_cancel][retention][type]": "coupon_offer",
            "flow_data[subscription_cancel][retention][coupon_offer][coupon]": "FIVE",
            "flow_data[after_completion][type]": "redirect",
            "flow_data[after_completion][redirect][return_url]": "https://example.com/done",
        },
        {
            "flow_data[type]": "subscription_pause",
            "flow_data[subscription_pause][subscription]": name,
            "flow_data[after_completion][type]": "hosted_confirmation",
        },
        {"flow_data[type]": "subscription_update", "flow_data[subscription_update][subscription]": name},
        {
            "flow_data[type]": "subscription_update_confirm",
            "flow_data[subscription_update_confirm][subscription]": name,
            "flow_data[subscription_update_confirm][items][0][id]": item,
            "flow_data[subscription_update_confirm][items][0][price]": prices.yearly,
            "flow_data[subscription_update_confirm][discounts][0][coupon]": "FIVE",
        },
    ]
    for flow in flows:
        recorder.create("billing_portal/sessions", {"customer": customer, "configuration": full, **flow})


def _checkout(recorder: Recorder, customer: str, prices: Prices) -> None:
    def session(**params: Any) -> str:
        base = {
            "mode": "subscription",
            "success_url": "https://example.com/done",
            "line_items[0][price]": prices.monthly,
            "line_items[0][quantity]": 2,
        }
        return recorder.create("checkout/sessions", base | params)

    paid = session(customer=customer, locale="fr", client_reference_id="user-1")
    checkout.complete(Call(recorder.simulator, ids={"id": paid}), "")
    recorder.send("GET", f"checkout/sessions/{paid}", {"expand[0]": "line_items", "expand[1]": "subscription"})
    recorder.send("POST", f"checkout/sessions/{session(customer_email='new@example.com')}/expire")
    recorder.send("GET", "checkout/sessions")


def _test_clocks(recorder: Recorder) -> None:
    clock = recorder.create("test_helpers/test_clocks", {"frozen_time": NOW, "name": "Ours"})
    recorder.create("customers", {"test_clock": clock})
    recorder.send("POST", f"test_helpers/test_clocks/{clock}/advance", {"frozen_time": NOW + _DAY})
    recorder.send("GET", f"test_helpers/test_clocks/{clock}")
    recorder.send("GET", "test_helpers/test_clocks")
    recorder.send("DELETE", f"test_helpers/test_clocks/{clock}")


def _entitlements(recorder: Recorder, customer: str, prices: Prices) -> None:
    recorder.create("subscriptions", {"customer": customer, "items[0][price]": prices.monthly})
    feature = recorder.create("entitlements/features", {"lookup_key": "sso", "name": "Single sign-on"})
    recorder.send("POST", f"entitlements/features/{feature}", {"metadata[a]": "b"})
    recorder.send("GET", f"entitlements/features/{feature}")
    recorder.send("GET", "entitlements/features")
    path = f"products/{prices.product}/features"
    attached = recorder.create(path, {"entitlement_feature": feature})
    recorder.send("GET", f"{path}/{attached}")
    recorder.send("GET", path)
    expanded = {"customer": customer, "expand[0]": "data.feature"}
    (entitlement,) = recorder.send("GET", "entitlements/active_entitlements", expanded)["data"]
    recorder.send("GET", f"entitlements/active_entitlements/{entitlement['id']}")
    recorder.send("DELETE", f"{path}/{attached}")


def _event_destinations(recorder: Recorder) -> None:
    path = "/v2/core/event_destinations"
    common: Params = {"name": "Ours", "event_payload": "thin", "enabled_events": ["v1.customer.updated"]}
    bus = {"aws_account_id": "111122223333", "aws_region": "eu-west-1"}
    recorder.create(path, {**common, "type": "amazon_eventbridge", "amazon_eventbridge": bus})
    name = recorder.create(
        path,
        {
            **common,
            "type": "webhook_endpoint",
            "webhook_endpoint": {"url": "https://example.com"},
            "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
            "metadata": {"a": "b"},
        },
    )
    recorder.send("POST", f"{path}/{name}", {"description": "Thin"})
    recorder.send("POST", f"{path}/{name}/disable")
    recorder.send("GET", f"{path}/{name}")
    recorder.send("POST", f"{path}/{name}/enable")
    recorder.send("POST", f"{path}/{name}/ping")
    recorder.send("GET", path, {"limit": 1})
    recorder.send("DELETE", f"{path}/{name}")
    thin = recorder.send("GET", "/v2/core/events", {"limit": 100})
    recorder.send("GET", f"/v2/core/events/{thin['data'][0]['id']}")


def _lists(recorder: Recorder, customer: str) -> None:
    recorder.send("GET", "customers", {"expand[0]": "data.subscriptions"})
    recorder.wait(_DAY)
    recorder.send("GET", "customers/search", {"query": "metadata['user']:'1'"})
    for kind in ("prices", "products"):
        recorder.send("GET", f"{kind}/search", {"query": "active:'true'"})
    recorder.send("GET", "subscriptions/search", {"query": "-status:'canceled'"})
    recorder.send("GET", f"customers/{customer}")
    recorder.send("GET", f"customers/{customer}/payment_methods")
    recorder.send("GET", "payment_methods", {"customer": customer})
    listed = recorder.send("GET", "subscriptions", {"status": "all", "limit": 100})
    recorder.send("GET", "subscription_items", {"subscription": listed["data"][0]["id"]})
