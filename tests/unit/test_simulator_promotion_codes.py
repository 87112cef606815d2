"""Promotion codes: who can redeem them, until when and how often; and limits on what a customer can have."""

from typing import Any

import pytest

from local.stripe_simulator.resources import subscriptions
from tests.simulator_in_process import Answer, Params, SimulatorInProcess

NOW = 1_795_000_000
DAY = 86_400


class Shop(SimulatorInProcess):
    """Two customers with cards, a price and a coupon."""

    def __init__(self) -> None:
        super().__init__(NOW)
        terms = {"product_data[name]": "Gold", "currency": "eur", "recurring[interval]": "month", "unit_amount": 900}
        self.price = self.create("prices", terms)
        self.ada, self.bob = (self.create("customers", {"payment_method": "pm_card_visa"}) for _ in range(2))
        self.coupon = self.create("coupons", {"percent_off": 10})

    def code(self, **more: Any) -> str:
        return self.create("promotion_codes", {"promotion[type]": "coupon", "promotion[coupon]": self.coupon, **more})

    def redeem(self, code: str, customer: str) -> Answer:
        terms = {"customer": customer, "items[0][price]": self.price, "discounts[0][promotion_code]": code}
        return self.call("POST", "subscriptions", terms)

    def subscribe(self, customer: str) -> Answer:
        return self.call("POST", "subscriptions", {"customer": customer, "items[0][price]": self.price})

    def codes(self, **filters: Any) -> list[str]:
        answer = self.call("GET", "promotion_codes", filters)
        assert answer.status == 200, answer.body
        return [one["id"] for one in answer.body["data"]]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_customers_code_is_nobody_elses(shop: Shop) -> None:
    code = shop.code(customer=shop.ada)
    refused = shop.redeem(code, shop.bob)
    assert (refused.status, refused.error["param"]) == (400, "discounts[0][promotion_code]")
    assert shop.call("GET", "subscriptions", {"customer": shop.bob}).body["data"] == []
    assert len(shop.redeem(code, shop.ada).body["discounts"]) == 1
    assert shop.call("GET", f"promotion_codes/{code}").body["times_redeemed"] == 1
    assert shop.call("GET", f"coupons/{shop.coupon}").body["times_redeemed"] == 1


def test_the_portals_flows_refuse_the_code_of_another_customer(shop: Shop) -> None:
    code, subscription = shop.code(customer=shop.bob), shop.subscribe(shop.ada).body
    features = {
        "features[payment_method_update][enabled]": "true",
        "features[subscription_update][enabled]": "true",
        "features[subscription_update][default_allowed_updates][0]": "quantity",
        "features[subscription_update][products][0][product]": subscription["items"]["data"][0]["price"]["product"],
        "features[subscription_update][products][0][prices][0]": shop.price,
    }
    flow = "flow_data[subscription_update_confirm]"
    params = {
        "customer": shop.ada,
        "configuration": shop.create("billing_portal/configurations", features),
        "flow_data[type]": "subscription_update_confirm",
        f"{flow}[subscription]": subscription["id"],
        f"{flow}[items][0][id]": subscription["items"]["data"][0]["id"],
        f"{flow}[items][0][quantity]": 2,
        f"{flow}[discounts][0][promotion_code]": code,
    }
    refused = shop.call("POST", "billing_portal/sessions", params)
    assert refused.error["param"] == f"{flow}[discounts][0][promotion_code]"
    mine = params | {f"{flow}[discounts][0][promotion_code]": shop.code(customer=shop.ada)}
    assert shop.call("POST", "billing_portal/sessions", mine).status == 200


@pytest.mark.parametrize("limits", [{"max_redemptions": 1}, {"expires_at": NOW + DAY}])
def test_a_code_that_is_used_up_or_over_is_no_longer_active(shop: Shop, limits: Params) -> None:
    code = shop.code(**limits)
    assert shop.redeem(code, shop.ada).status == 200
    shop.app.state.simulator.clock.set(NOW + 2 * DAY)
    assert shop.redeem(code, shop.bob).error["message"] == "This promotion code is not active."
    assert shop.call("GET", f"promotion_codes/{code}").body["active"] is False
    assert (shop.codes(active="true"), shop.codes(active="false")) == ([], [code])


def test_a_code_for_first_orders_refuses_who_has_paid_before(shop: Shop) -> None:
    code = shop.code(**{"restrictions[first_time_transaction]": "true"})
    shop.subscribe(shop.ada)
    refused = shop.redeem(code, shop.ada)
    assert refused.error["code"] == "promotion_code_customer_not_first_time"
    assert shop.redeem(code, shop.bob).status == 200


def test_a_refused_payment_gives_the_redemption_back(shop: Shop) -> None:
    code, poor = shop.code(max_redemptions=1), shop.create("customers")
    assert shop.redeem(code, poor).status == 400
    assert shop.redeem(code, shop.ada).status == 200


def test_codes_are_switched_off_listed_and_unique_in_any_case(shop: Shop) -> None:
    first, second = shop.code(code="SUMMER", customer=shop.ada), shop.code(code="Winter")
    again = {"promotion[type]": "coupon", "promotion[coupon]": shop.coupon, "code": "summer"}
    refused = shop.call("POST", "promotion_codes", again)
    assert refused.error["message"] == "An active promotion code with `code: summer` already exists."
    assert shop.codes() == [second, first]
    assert (shop.codes(code="winter"), shop.codes(customer=shop.ada)) == ([second], [first])
    assert (shop.codes(coupon="none"), shop.codes(coupon=shop.coupon)) == ([], [second, first])
    changed = shop.call("POST", f"promotion_codes/{first}", {"active": "false", "metadata[a]": "b"}).body
    assert (changed["active"], changed["metadata"]) == (False, {"a": "b"})
    assert shop.call("POST", "promotion_codes", again).status == 200
    events = shop.call("GET", "events", {"limit": 100}).body["data"]
    kinds = [event["type"] for event in reversed(events) if event["type"].startswith("promotion")]
    assert kinds == [f"promotion_code.{word}" for word in ("created", "created", "updated", "created")]


@pytest.mark.parametrize(
    ("params", "param"), [({"customer": "cus_none"}, "customer"), ({"expires_at": NOW - 1}, "expires_at")]
)
def test_a_code_for_nobody_or_of_yesterday_is_refused(shop: Shop, params: Params, param: str) -> None:
    given = {"promotion[type]": "coupon", "promotion[coupon]": shop.coupon, **params}
    assert shop.call("POST", "promotion_codes", given).error["param"] == param


def test_a_customer_has_at_most_500_subscriptions_that_have_not_ended(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert subscriptions._MOST_SUBSCRIPTIONS == 500
    monkeypatch.setattr(subscriptions, "_MOST_SUBSCRIPTIONS", 2)
    made = [shop.subscribe(shop.ada).body["id"] for _ in range(2)]
    refused = shop.subscribe(shop.ada)
    assert refused.error == {
        "code": "customer_max_subscriptions",
        "message": f"Customer {shop.ada} already has the maximum 2 current subscriptions",
        "param": "customer",
    }
    assert shop.subscribe(shop.bob).status == 200
    shop.call("DELETE", f"subscriptions/{made[0]}")
    assert shop.subscribe(shop.ada).status == 200


def test_a_test_clock_has_three_customers_with_three_subscriptions_each(shop: Shop) -> None:
    clock = shop.create("test_helpers/test_clocks", {"frozen_time": NOW})
    terms = {"test_clock": clock, "payment_method": "pm_card_visa"}
    statuses = [shop.call("POST", "customers", terms).status for _ in range(4)]
    assert statuses == [200, 200, 200, 400]
    customer = shop.call("GET", "customers", {"test_clock": clock}).body["data"][0]["id"]
    assert [shop.subscribe(customer).status for _ in range(4)] == [200, 200, 200, 400]
    assert [shop.subscribe(shop.ada).status for _ in range(4)] == [200] * 4


def test_a_customer_joins_a_new_test_clock_with_its_subscriptions(shop: Shop) -> None:
    subscription = shop.subscribe(shop.ada).body
    schedule = shop.create("subscription_schedules", {"from_subscription": subscription["id"]})
    clock = shop.create("test_helpers/test_clocks", {"frozen_time": NOW, "customer": shop.ada})
    for path in (f"customers/{shop.ada}", f"subscriptions/{subscription['id']}", f"subscription_schedules/{schedule}"):
        assert shop.call("GET", path).body["test_clock"] == clock
    end = subscription["items"]["data"][0]["current_period_end"]
    shop.call("POST", f"test_helpers/test_clocks/{clock}/advance", {"frozen_time": end + 1})
    renewed = shop.call("GET", f"subscriptions/{subscription['id']}").body
    assert renewed["items"]["data"][0]["current_period_start"] == end
    again = shop.call("POST", "test_helpers/test_clocks", {"frozen_time": NOW, "customer": shop.ada})
    assert (again.status, again.error["param"]) == (400, "customer")
    for _ in range(4):
        shop.subscribe(shop.bob)
    crowded = shop.call("POST", "test_helpers/test_clocks", {"frozen_time": NOW, "customer": shop.bob})
    assert (crowded.status, crowded.error["param"]) == (400, "customer")
    assert len(shop.call("GET", "test_helpers/test_clocks").body["data"]) == 1
