"""Coupons at the simulator: offered in the portal's flows, taken there, and refused as Stripe refuses them."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import RunningSimulator, Shop
from tests.integration.test_simulator_portal_pages import Portal

server, simulator, client = given.server, given.simulator, given.client
shop, subscribe = given.shop, given.subscribe
Subscribe = Callable[..., stripe.Subscription]


@pytest.fixture
def coupon(client: stripe.StripeClient) -> str:
    return client.v1.coupons.create({"percent_off": 30, "duration": "repeating", "duration_in_months": 3}).id


def opened(simulator: RunningSimulator, shop: Shop, flow: dict[str, Any]) -> Portal:
    update = {"enabled": True, "default_allowed_updates": ["price"]}
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id, shop.yearly.id]}]
    enabled = ("subscription_cancel", "payment_method_update")
    features: dict[str, Any] = {name: {"enabled": True} for name in enabled}
    features |= {"subscription_update": update | {"products": products}}
    simulator.admin("POST", "default_configuration", {"features": features})
    params: Any = {"customer": shop.customer.id, "flow_data": flow}
    return Portal(simulator, simulator.client().v1.billing_portal.sessions.create(params).url)


def cancel(subscription: str, coupon: str) -> dict[str, Any]:
    retention = {"type": "coupon_offer", "coupon_offer": {"coupon": coupon}}
    about = {"subscription": subscription, "retention": retention}
    return {"type": "subscription_cancel", "subscription_cancel": about}


def confirm(subscription: Any, price: str, **discount: str) -> dict[str, Any]:
    item = {"id": subscription["items"].data[0].id, "price": price}
    about = {"subscription": subscription.id, "items": [item], "discounts": [discount]}
    return {"type": "subscription_update_confirm", "subscription_update_confirm": about}


def test_who_wants_to_cancel_is_offered_the_coupon_once(
    simulator: RunningSimulator, subscribe: Subscribe, shop: Shop, coupon: str
) -> None:
    subscription, client = subscribe().id, simulator.client()
    portal = opened(simulator, shop, cancel(subscription, coupon))
    assert "Stay, and get 30% off for 3 months." in portal.page()
    assert portal.actions() == {"accept_offer", "cancel"}
    portal.press("accept_offer")
    found = client.v1.subscriptions.retrieve(subscription, {"expand": ["discounts"]})
    assert [one.source.coupon for one in found.discounts if not isinstance(one, str)] == [coupon]
    assert (found.status, found.cancel_at_period_end) == ("active", False)
    assert "Your subscription goes on, with 30% off for 3 months." in portal.page()
    assert portal.press("accept_offer").status_code == 403
    assert len(client.v1.subscriptions.retrieve(subscription).discounts) == 1
    event = client.v1.events.list({"type": "customer.subscription.updated"}).data[0]
    assert event.data.to_dict()["previous_attributes"] == {"discounts": []}


def test_who_cancels_all_the_same_gets_no_discount(
    simulator: RunningSimulator, subscribe: Subscribe, shop: Shop, coupon: str
) -> None:
    subscription = subscribe().id
    opened(simulator, shop, cancel(subscription, coupon)).press("cancel", subscription=subscription)
    found = simulator.client().v1.subscriptions.retrieve(subscription)
    assert (found.cancel_at_period_end, found.discounts) == (True, [])


def test_without_an_offer_there_is_none_to_accept(
    simulator: RunningSimulator, subscribe: Subscribe, shop: Shop
) -> None:
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscribe().id}}
    portal = opened(simulator, shop, flow)
    assert portal.actions() == {"cancel"}
    assert portal.press("accept_offer").status_code == 403


def test_a_confirmed_change_shows_its_discount_and_gets_it(
    simulator: RunningSimulator, subscribe: Subscribe, shop: Shop, coupon: str
) -> None:
    subscription = subscribe()
    portal = opened(simulator, shop, confirm(subscription, shop.yearly.id, coupon=coupon))
    assert "New: Gold, 120.00 EUR / year, 30% off for 3 months" in portal.page()
    portal.press("update", subscription=subscription.id, price=shop.yearly.id)
    found = simulator.client().v1.subscriptions.retrieve(subscription.id)
    assert (found["items"].data[0].price.id, len(found.discounts)) == (shop.yearly.id, 1)


def test_coupons_and_promotion_codes_that_do_not_exist_are_named(
    simulator: RunningSimulator, subscribe: Subscribe, shop: Shop, client: stripe.StripeClient, coupon: str
) -> None:
    subscription = subscribe()
    promotion: Any = {"type": "coupon", "coupon": coupon}
    inactive = client.v1.promotion_codes.create({"promotion": promotion, "active": False}).id
    for flow, said, param in (
        (cancel(subscription.id, "GONE"), "No such coupon: 'GONE'", "[retention][coupon_offer][coupon]"),
        (confirm(subscription, shop.yearly.id, coupon="GONE"), "No such coupon: 'GONE'", "[discounts][0][coupon]"),
        (confirm(subscription, shop.yearly.id, promotion_code="promo_1"), "No such promotion code", "[promotion_code]"),
        (confirm(subscription, shop.yearly.id, promotion_code=inactive), "is not active", "[promotion_code]"),
    ):
        with pytest.raises(stripe.InvalidRequestError, match=said) as caught:
            opened(simulator, shop, flow)
        assert str(caught.value.param).endswith(param)
    with pytest.raises(stripe.InvalidRequestError, match="Missing required param"):
        client.v1.coupons.create({})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        client.v1.coupons.create({"id": coupon, "amount_off": 500, "currency": "eur"})
    assert client.v1.coupons.retrieve(coupon).percent_off == 30
    assert [one.id for one in client.v1.coupons.list().data] == [coupon]
