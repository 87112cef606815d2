from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import RunningSimulator, Shop

server, simulator, client = given.server, given.simulator, given.client
shop, subscribe = given.shop, given.subscribe
Subscribe = Callable[..., stripe.Subscription]
URL = "https://example.com/done"


def refusal(client: stripe.StripeClient, method: str, path: str, params: Any) -> str:
    """What Stripe says to a request that it refuses."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.raw_request(method, f"/v1/{path}", **params)
    return str(caught.value.user_message)


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        ("prices", {"currency": "eur", "product": "prod_x"}, "Missing required param: unit_amount."),
        ("prices", {"currency": "eur", "unit_amount": 1}, "Missing required param: product."),
        ("payment_methods", {}, "Missing required param: type."),
        ("payment_methods/pm_card_visa/attach", {}, "Missing required param: customer."),
        ("checkout/sessions", {"mode": "subscription", "success_url": URL}, "Missing required param: line_items."),
        ("checkout/sessions", {"mode": "payment", "success_url": URL, "line_items": [{"price": "p"}]}, "only knows"),
        ("webhook_endpoints", {"url": "ftp://example.com", "enabled_events": ["*"]}, "Not a valid URL."),
        ("billing_portal/sessions", {}, "Missing required param: customer."),
    ],
)
def test_incomplete_requests_are_told_what_is_missing(
    client: stripe.StripeClient, path: str, params: Any, words: str
) -> None:
    assert words in refusal(client, "post", path, params)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"collection_method": "send_invoice"}, "`days_until_due` must be given"),
        ({"items": [{"quantity": 1}]}, "Missing required param: items[0][price]."),
        ({"trial_end": 1}, "in the future"),
        ({"default_payment_method": "pm_none"}, "No such PaymentMethod"),
        ({"items": [{"price": "one time"}]}, "type=one_time"),
        ({"items": [{"price": "inactive"}]}, "price specified is inactive"),
        ({"items": [{"price": "monthly"}, {"price": "dollars"}]}, "same currency"),
    ],
)
def test_subscriptions_that_cannot_be_are_refused(
    client: stripe.StripeClient, shop: Shop, params: Any, words: str
) -> None:
    def price(**more: Any) -> str:
        given_price: Any = {"currency": "eur", "unit_amount": 1, "product": str(shop.monthly.product), **more}
        return client.v1.prices.create(given_price).id

    every = {"recurring": {"interval": "month"}}
    prices = {
        "one time": price(),
        "inactive": price(active=False, **every),
        "dollars": price(**{**every, "currency": "usd"}),
        "monthly": shop.monthly.id,
    }
    named: Any = {"customer": shop.customer.id, "items": [{"price": "monthly"}], **params}
    named["items"] = [
        {**item, **({"price": prices[item["price"]]} if "price" in item else {})} for item in named["items"]
    ]
    assert words in refusal(client, "post", "subscriptions", named)


def test_a_subscription_keeps_an_item_and_a_card_keeps_its_customer(
    client: stripe.StripeClient, subscribe: Subscribe, shop: Shop
) -> None:
    subscription = subscribe()
    item = subscription["items"].data[0].id
    last = {"items": [{"id": item, "deleted": True}]}
    assert "at least one active item" in refusal(client, "post", f"subscriptions/{subscription.id}", last)
    card = client.v1.payment_methods.list({"customer": shop.customer.id}).data[0].id
    again = {"customer": shop.customer.id}
    assert "already been attached" in refusal(client, "post", f"payment_methods/{card}/attach", again)
    client.v1.payment_methods.detach(card)
    assert "not attached" in refusal(client, "post", f"payment_methods/{card}/detach", {})
    classic = subscribe(billing_mode={"type": "classic"})
    client.v1.subscriptions.migrate(classic.id, {"billing_mode": {"type": "flexible"}})
    mode = {"billing_mode": {"type": "flexible"}}
    assert "already uses" in refusal(client, "post", f"subscriptions/{classic.id}/migrate", mode)


def test_the_other_fields_of_an_update_are_kept(client: stripe.StripeClient, subscribe: Subscribe, shop: Shop) -> None:
    subscription = subscribe()
    card = client.v1.payment_methods.list({"customer": shop.customer.id}).data[0].id
    later = subscription.created + 5 * 86_400
    changes: Any = {"default_payment_method": card, "description": "Gold", "trial_end": later}
    changed = client.v1.subscriptions.update(subscription.id, changes)
    assert (changed.default_payment_method, changed.description) == (card, "Gold")
    assert (changed.status, changed["items"].data[0].current_period_end) == ("trialing", later)
    by_invoice: Any = {"collection_method": "send_invoice", "days_until_due": 7, "cancel_at": later + 5}
    changed = client.v1.subscriptions.update(subscription.id, by_invoice)
    assert (changed.collection_method, changed.days_until_due, changed.cancel_at) == ("send_invoice", 7, later + 5)
    assert client.v1.subscriptions.update(subscription.id, {"cancel_at": ""}).cancel_at is None
    changed = client.v1.subscriptions.update(subscription.id, {"cancel_at": "max_period_end"})
    assert changed.cancel_at == later


def test_a_trial_may_end_in_a_cancellation(simulator: RunningSimulator, subscribe: Subscribe) -> None:
    client = simulator.client()
    settings = {"end_behavior": {"missing_payment_method": "cancel"}}
    terms = {"customer": client.v1.customers.create({}).id, "trial_period_days": 3, "trial_settings": settings}
    one, other = subscribe(**terms), subscribe(**terms)
    assert client.v1.subscriptions.update(one.id, {"trial_end": "now"}).status == "canceled"
    simulator.admin("POST", "clock", {"now": (other.trial_end or 0) + 1})
    assert client.v1.subscriptions.retrieve(other.id).status == "canceled"
    deleted = client.v1.events.list({"type": "customer.subscription.deleted"}).data
    assert [one.data.object["id"] for one in deleted] == [other.id, one.id]


def test_products_may_have_an_id_and_a_price_from_the_start(client: stripe.StripeClient) -> None:
    price: Any = {"currency": "eur", "unit_amount": 100, "recurring": {"interval": "year"}}
    product = client.v1.products.create({"id": "gold", "name": "Gold", "default_price_data": price})
    assert client.v1.prices.retrieve(str(product.default_price)).product == "gold"
    assert refusal(client, "post", "products", {"id": "gold", "name": "Gold"}) == "Product already exists."


def test_an_address_outside_the_api_is_stripes_404_too(simulator: RunningSimulator) -> None:
    answer = simulator.session.get(f"{simulator.url}/elsewhere", timeout=5)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
    assert answer.headers["Request-Id"].startswith("req_")


def test_checkout_expires_after_a_day(simulator: RunningSimulator, shop: Shop) -> None:
    client = simulator.client()
    wanted: Any = {"mode": "subscription", "line_items": [{"price": shop.monthly.id}], "success_url": URL}
    wanted["customer"] = shop.customer.id
    session = client.v1.checkout.sessions.create(wanted)
    simulator.admin("POST", "clock", {"now": session.expires_at})
    assert client.v1.checkout.sessions.list({"customer": shop.customer.id}).data[0].id == session.id
    assert simulator.session.post(str(session.url), data={"email": "x@example.com"}, timeout=5).status_code == 400
    assert client.v1.checkout.sessions.retrieve(session.id).status == "expired"


def test_flows_that_make_no_sense_are_refused(simulator: RunningSimulator, subscribe: Subscribe, shop: Shop) -> None:
    client = simulator.client()
    ending, ended, two = (
        subscribe(),
        subscribe(),
        subscribe(items=[{"price": shop.monthly.id}, {"price": shop.yearly.id}]),
    )
    client.v1.subscriptions.update(ending.id, {"cancel_at_period_end": True})
    client.v1.subscriptions.cancel(ended.id)
    update = {"enabled": True, "default_allowed_updates": ["quantity"], "products": []}
    features = {name: {"enabled": True} for name in ("payment_method_update", "subscription_cancel", "customer_update")}
    features["subscription_update"] = update  # type: ignore[assignment]
    simulator.admin("POST", "default_configuration", {"features": features})

    def message(kind: str, subscription: str, **more: Any) -> str:
        flow = {"type": kind, kind: {"subscription": subscription, **more}}
        return refusal(client, "post", "billing_portal/sessions", {"customer": shop.customer.id, "flow_data": flow})

    assert "already set to be canceled" in message("subscription_cancel", ending.id)
    assert "already canceled" in message("subscription_cancel", ended.id)
    item = [{"id": "si_none", "quantity": 2}]
    assert "Only subscriptions with one item" in message("subscription_update_confirm", two.id, items=item)
    assert "No such subscription_item" in message("subscription_update_confirm", ending.id, items=item)
    session = client.v1.billing_portal.sessions.create(
        {"customer": shop.customer.id, "flow_data": {"type": "customer_update"}, "on_behalf_of": "acct_1"}
    )
    assert "Update information" in simulator.session.get(session.url, timeout=5).text
