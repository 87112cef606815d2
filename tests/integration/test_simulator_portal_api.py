from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import RunningSimulator, Shop, refusal

server, simulator, client = given.server, given.simulator, given.client
shop, subscribe = given.shop, given.subscribe
Subscribe = Callable[..., stripe.Subscription]
HISTORY: Any = {"features": {"invoice_history": {"enabled": True}}}
PAUSE: Any = {"features": {"subscription_pause": {"enabled": True}}}
MID_2024, AUTUMN_2024 = 1_718_000_000, 1_727_000_000


def pause_feature(configuration: stripe.billing_portal.Configuration) -> Any:
    """The feature as the answer carries it."""
    return configuration.to_dict()["features"]["subscription_pause"]


def test_todays_version_takes_the_pause_with_a_duration(client: stripe.StripeClient) -> None:
    plain = client.v1.billing_portal.configurations.create(PAUSE)
    month = {"interval_options": [{"interval": "month", "interval_count": 1}], "type": "interval_options"}
    assert pause_feature(plain) == {"enabled": True, "duration": month}
    free: Any = {"features": {"subscription_pause": {"enabled": True, "duration": {"type": "indefinite"}}}}
    changed = client.v1.billing_portal.configurations.update(plain.id, free)
    assert pause_feature(changed)["duration"] == {"interval_options": [], "type": "indefinite"}
    data = client.v1.events.list({"limit": 1}).data[0].to_dict()
    assert data["type"] == "billing_portal.configuration.updated"
    assert data["data"]["previous_attributes"]["features"] == {"subscription_pause": {"duration": month}}


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        ({"type": "interval_options"}, r"Missing required param: features\[subscription_pause\]"),
        ({"type": "interval_options", "interval_options": [{"interval": "year", "interval_count": 4}]}, "three years"),
        ({"type": "interval_options", "interval_options": [{"interval": "hour"}]}, "must be one of day, month, week"),
        ({}, r"Missing required param: features\[subscription_pause\]\[duration\]\[type\]|Invalid"),
    ],
)
def test_a_duration_that_makes_no_sense_is_refused(client: stripe.StripeClient, duration: Any, words: str) -> None:
    features: Any = {"subscription_pause": {"enabled": True, "duration": duration or {"wish": "1"}}}
    with pytest.raises(stripe.InvalidRequestError, match=words if duration else "unknown parameter"):
        client.v1.billing_portal.configurations.create({"features": features})


@pytest.mark.parametrize("version", ["2024-04-10", "2025-09-30.clover", "2026-09-30.endive"])
def test_versions_between_do_not_know_the_pause(simulator: RunningSimulator, version: str) -> None:
    client = simulator.client(stripe_version=version)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.billing_portal.configurations.create(PAUSE)
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "features[subscription_pause]")


def test_old_versions_took_the_old_form_until_the_cutoff(simulator: RunningSimulator) -> None:
    client = simulator.client(stripe_version="2023-10-16")
    simulator.admin("POST", "clock", {"now": MID_2024})
    made = client.v1.billing_portal.configurations.create(PAUSE)
    assert pause_feature(made) == {"enabled": True}
    with_duration: Any = {"features": {"subscription_pause": {"enabled": True, "duration": {"type": "indefinite"}}}}
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        client.v1.billing_portal.configurations.create(with_duration)
    simulator.admin("POST", "clock", {"now": AUTUMN_2024})
    with pytest.raises(stripe.InvalidRequestError, match=r"unknown parameter: features\[subscription_pause\]"):
        client.v1.billing_portal.configurations.create(PAUSE)
    assert pause_feature(client.v1.billing_portal.configurations.retrieve(made.id)) == {"enabled": True}


def test_the_dashboard_makes_one_default_configuration_and_changes_it(simulator: RunningSimulator) -> None:
    client = simulator.client()
    client.v1.billing_portal.configurations.create(HISTORY)
    assert client.v1.billing_portal.configurations.list({"is_default": True}).data == []
    made = simulator.admin("POST", "default_configuration", {**HISTORY, "login_page": {"enabled": True}})
    assert made["login_page"]["url"].startswith(f"{simulator.url}/p/login/test_")
    again = simulator.admin("POST", "default_configuration", {"default_return_url": "https://example.com/back"})
    assert (again["id"], again["is_default"]) == (made["id"], True)
    assert again["features"]["invoice_history"] == {"enabled": True}
    listed = client.v1.billing_portal.configurations.list({"is_default": True, "active": True})
    assert [one.id for one in listed.data] == [made["id"]]


def test_the_old_form_can_be_planted_at_any_date(simulator: RunningSimulator) -> None:
    planted = simulator.admin("POST", "configurations", PAUSE)
    assert planted["features"]["subscription_pause"] == {"enabled": True}
    assert planted["is_default"] is False
    answer = simulator.session.post(f"{simulator.url}/_simulator/configurations", json={"wish": 1}, timeout=60)
    assert answer.json()["error"]["code"] == "parameter_unknown"


def test_configurations_keep_stripes_rules(client: stripe.StripeClient, shop: Shop) -> None:
    def refused(**params: Any) -> str:
        wanted: Any = HISTORY | params
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.billing_portal.configurations.create(wanted)
        return str(caught.value.user_message)

    product, monthly = str(shop.monthly.product), shop.monthly.id
    twin = client.v1.prices.create(
        {"product": product, "currency": "usd", "unit_amount": 1, "recurring": {"interval": "month"}}
    )
    enabled = {"payment_method_update": {"enabled": True}}
    update = {"enabled": True, "default_allowed_updates": ["price"]}
    twins = {**update, "products": [{"product": product, "prices": [monthly, twin.id]}]}
    many = {**update, "products": [{"product": product, "prices": [monthly]}] * 11}
    headline = refused(business_profile={"headline": "x" * 61})
    assert headline.endswith("; must be at most 60 characters")
    assert refused(features={"subscription_update": update}) == (
        "Cannot enable subscription updates while payment method update is disabled."
    )
    assert refused(features={**enabled, "subscription_update": twins}) == (
        "For each product, its price must have unique billing intervals."
    )
    assert "exceeded maximum 10" in refused(features={**enabled, "subscription_update": many})
    invoiced = {"enabled": True, "proration_behavior": "always_invoice"}
    assert "must be one of none or create_prorations" in refused(features={"subscription_cancel": invoiced})


def test_products_of_a_configuration_are_only_shown_when_asked_for(client: stripe.StripeClient, shop: Shop) -> None:
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id]}]
    update = {"enabled": True, "default_allowed_updates": ["price"], "products": products}
    wanted: Any = {"features": {"payment_method_update": {"enabled": True}, "subscription_update": update}}
    portal, path = client.v1.billing_portal, "features.subscription_update.products"
    asking: Any = {"expand": [path]}
    made = portal.configurations.create(wanted)
    silent = [
        made,
        portal.configurations.update(made.id, {"name": "Plans"}),
        portal.configurations.retrieve(made.id),
        portal.configurations.list().data[0],
    ]
    assert [hasattr(each.features.subscription_update, "products") for each in silent] == [False] * 4
    telling = [
        portal.configurations.create(wanted | asking),
        portal.configurations.update(made.id, asking),
        portal.configurations.retrieve(made.id, asking),
        portal.configurations.list({"expand": [f"data.{path}"]}).data[-1],
    ]
    for each in telling:
        assert each.features.subscription_update.products
        assert each.features.subscription_update.products[0].prices == [shop.monthly.id]
    asked: Any = {"customer": shop.customer.id, "configuration": made.id, "expand": ["configuration"]}
    session = portal.sessions.create(asked).to_dict()
    assert "products" not in session["configuration"]["features"]["subscription_update"]
    asked["expand"].append(f"configuration.{path}")
    session = portal.sessions.create(asked).to_dict()
    assert session["configuration"]["features"]["subscription_update"]["products"][0]["prices"] == [shop.monthly.id]


def test_a_session_needs_a_configuration_that_is_active(simulator: RunningSimulator, shop: Shop) -> None:
    client, customer = simulator.client(), shop.customer.id
    create = client.v1.billing_portal.sessions.create
    with pytest.raises(stripe.InvalidRequestError) as caught:
        create({"customer": customer})
    assert str(caught.value.user_message).startswith(
        "No configuration provided and your test mode default configuration has not been created. Provide"
    )
    wanted: Any = {**HISTORY, "default_return_url": "https://example.com/account"}
    configuration = client.v1.billing_portal.configurations.create(wanted)
    session = create({"customer": customer, "configuration": configuration.id, "locale": "fr"})
    assert session.url.startswith(f"{simulator.url}/p/session/test_")
    assert (session.return_url, session.locale, session.flow) == ("https://example.com/account", "fr", None)
    assert simulator.event_types()[-1] == "billing_portal.session.created"
    client.v1.billing_portal.configurations.update(configuration.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        create({"customer": customer, "configuration": configuration.id})
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'"):
        create({"customer": "cus_none"})
    simulator.admin("POST", "default_configuration", HISTORY)
    with pytest.raises(stripe.InvalidRequestError, match="Not a valid URL"):
        create({"customer": customer, "return_url": "javascript:alert(1)"})


def flow_about(kind: str, subscription: str, **more: Any) -> Any:
    return {"type": kind, kind: {"subscription": subscription, **more}}


def refused_flow(client: stripe.StripeClient, customer: str, flow: Any) -> str:
    """Why no link is made."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.billing_portal.sessions.create({"customer": customer, "flow_data": flow})
    return str(caught.value.user_message)


def test_a_flow_needs_its_feature(simulator: RunningSimulator, subscribe: Subscribe, shop: Shop) -> None:
    client, subscription = simulator.client(), subscribe().id
    simulator.admin("POST", "default_configuration", HISTORY)
    assert refused_flow(client, shop.customer.id, flow_about("subscription_update", subscription)) == (
        "This subscription cannot be updated because the subscription update feature "
        "in the portal configuration is disabled."
    )
    pause = refused_flow(client, shop.customer.id, flow_about("subscription_pause", subscription))
    card = refused_flow(client, shop.customer.id, {"type": "payment_method_update"})
    assert "subscription pause feature" in pause
    assert "payment method cannot be updated" in card


@pytest.fixture
def all_features(simulator: RunningSimulator, shop: Shop) -> None:
    features: Any = {name: {"enabled": True} for name in ("payment_method_update", "subscription_cancel")}
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id]}]
    update = {"enabled": True, "default_allowed_updates": ["price"], "products": products}
    features |= {"subscription_update": update, "subscription_pause": {"enabled": True}}
    simulator.admin("POST", "default_configuration", {"features": features})


@pytest.mark.usefixtures("all_features")
def test_flows_are_checked_before_the_link_is_made(
    client: stripe.StripeClient, subscribe: Subscribe, shop: Shop
) -> None:
    subscription, customer = subscribe(), shop.customer.id
    item = subscription["items"].data[0].id
    same = [{"id": item, "price": shop.monthly.id, "quantity": 1}]
    unchanged = flow_about("subscription_update_confirm", subscription.id, items=same)
    assert refused_flow(client, customer, unchanged) == (
        "Cannot update the subscription because there are no changes to confirm."
    )
    other = client.v1.customers.create({}).id
    assert "does not belong" in refused_flow(client, other, flow_about("subscription_cancel", subscription.id))
    missing = refused_flow(client, customer, {"type": "subscription_cancel"})
    assert missing == "Missing required param: flow_data[subscription_cancel]."
    assert "No such subscription" in refused_flow(client, customer, flow_about("subscription_pause", "sub_none"))


@pytest.mark.usefixtures("all_features")
def test_a_session_echoes_its_flow(client: stripe.StripeClient, subscribe: Subscribe, shop: Shop) -> None:
    subscription, customer = subscribe(), shop.customer.id
    flow, after = flow_about("subscription_pause", subscription.id), {"type": "customer_login"}
    wanted: Any = {"customer": customer, "flow_data": flow, "after_expiration": after}
    session = client.v1.billing_portal.sessions.create(wanted).to_dict()
    assert session["flow"]["subscription_pause"] == {"subscription": subscription.id}
    assert session["flow"]["after_completion"]["type"] == "portal_homepage"
    assert session["after_expiration"]["type"] == "customer_login"
    client.v1.subscriptions.pause(subscription.id)
    assert "status `paused`" in refused_flow(client, customer, flow)


def test_flows_that_make_no_sense_are_refused(simulator: RunningSimulator, subscribe: Subscribe, shop: Shop) -> None:
    client = simulator.client()
    ending, ended, two = (
        subscribe(),
        subscribe(),
        subscribe(items=[{"price": shop.monthly.id}, {"price": shop.yearly.id}]),
    )
    client.v1.subscriptions.update(ending.id, {"cancel_at_period_end": True})
    client.v1.subscriptions.cancel(ended.id)
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id]}]
    update = {"enabled": True, "default_allowed_updates": ["quantity"], "products": products}
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
    assert "Update information" in simulator.session.get(session.url, timeout=60).text
