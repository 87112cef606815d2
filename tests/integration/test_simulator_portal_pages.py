import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import RunningSimulator, Shop

server, simulator, client = given.server, given.simulator, given.client
shop, subscribe = given.shop, given.subscribe
Subscribe = Callable[..., stripe.Subscription]
MONTH = {"enabled": True, "duration": {"type": "interval_options", "interval_options": [{"interval": "month"}]}}
BEFORE, RESUME_ONLY, AFTER = 1_710_000_000, 1_718_000_000, 1_727_000_000  # March, June, September 2024


@dataclass
class Portal:
    """A customer with the portal open."""

    simulator: RunningSimulator
    url: str

    def page(self) -> str:
        """What the page shows now."""
        answer = self.simulator.session.get(self.url, timeout=60)
        assert answer.status_code == 200
        return html.unescape(answer.text)

    def actions(self) -> set[str]:
        """The buttons on the page."""
        return set(re.findall(r'name="action" value="(\w+)"', self.page()))

    def press(self, action: str, **form: str) -> requests.Response:
        """Press a button; the answer is not followed."""
        data = {"action": action, **form}
        return self.simulator.session.post(self.url, data=data, timeout=60, allow_redirects=False)


@pytest.fixture
def portal(simulator: RunningSimulator, shop: Shop) -> Callable[..., Portal]:
    """Open the portal of the shop's customer with these features."""

    def opened(features: Any = None, **params: Any) -> Portal:
        simulator.admin(
            "POST", "default_configuration", {"features": features or {"invoice_history": {"enabled": True}}}
        )
        wanted: Any = {"customer": shop.customer.id, **params}
        return Portal(simulator, simulator.client().v1.billing_portal.sessions.create(wanted).url)

    return opened


Open = Callable[..., Portal]


def test_features_that_are_off_are_absent_and_refused(portal: Open, subscribe: Subscribe) -> None:
    subscription = subscribe()
    page = portal(return_url="https://example.com/account")
    text = page.page()
    assert page.actions() == set()
    assert "Ada ada@example.com" in text
    assert "12.00 EUR / month" in text
    assert 'href="https://example.com/account">Return to Northwind' in text
    assert 'id="invoice-history"' in text
    for action in ("cancel", "pause", "update", "add_payment_method", "update_customer", "wish"):
        assert page.press(action, subscription=subscription.id).status_code == 403


def test_pause_and_resume_are_the_real_thing(client: stripe.StripeClient, portal: Open, subscribe: Subscribe) -> None:
    subscription = subscribe()
    page = portal({"subscription_pause": {"enabled": True, "duration": {"type": "indefinite"}}})
    assert page.actions() == {"pause"}
    assert f'data-subscription="{subscription.id}"' in page.page()
    answer = page.press("pause", subscription=subscription.id)
    assert (answer.status_code, page.url.endswith(answer.headers["Location"])) == (303, True)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "paused"
    assert "This subscription is paused" in page.page()
    event = client.v1.events.list({"type": "customer.subscription.paused"}).data[0].to_dict()
    assert event["request"] == {"id": None, "idempotency_key": None}
    assert page.actions() == {"resume"}
    page.press("resume", subscription=subscription.id)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_a_pause_for_a_month_ends_by_itself(
    simulator: RunningSimulator, client: stripe.StripeClient, portal: Open, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    page = portal({"subscription_pause": MONTH})
    assert '<option value="1 month">1 month</option>' in page.page()
    assert page.press("pause", subscription=subscription.id, duration="9 years").status_code == 403
    page.press("pause", subscription=subscription.id, duration="1 month")
    assert "This subscription is paused until" in page.page()
    simulator.admin("POST", "clock", {"now": subscription.created + 32 * 86_400})
    assert client.v1.subscriptions.retrieve(subscription.id).status == "active"
    assert simulator.event_types()[-2:] == ["customer.subscription.resumed", "customer.subscription.updated"]


def test_the_old_pause_button_stops_money_only_and_is_withdrawn_in_two_steps(
    simulator: RunningSimulator, portal: Open
) -> None:
    simulator.admin("POST", "clock", {"now": BEFORE})
    client = simulator.client()
    price: Any = {"currency": "eur", "unit_amount": 100, "recurring": {"interval": "year"}}
    price["product_data"] = {"name": "Gold"}
    customer = client.v1.customers.create({"payment_method": "pm_card_visa"}).id
    price_id = client.v1.prices.create(price).id
    one, other = (
        client.v1.subscriptions.create({"customer": customer, "items": [{"price": price_id}]}).id for _ in range(2)
    )
    old = {"subscription_pause": {"enabled": True}}
    page = portal(old, customer=customer)
    assert "Pause plan" in page.page()
    page.press("pause", subscription=one)
    paused = client.v1.subscriptions.retrieve(one).to_dict()
    assert (paused["status"], paused["pause_collection"]["behavior"]) == ("active", "void")
    types = [one.type for one in client.v1.events.list({"type": "customer.subscription.*"}).data]
    assert types == ["customer.subscription.updated", *["customer.subscription.created"] * 2]
    assert page.actions() == {"pause", "resume"}

    simulator.admin("POST", "clock", {"now": RESUME_ONLY})
    page = portal(old, customer=customer)
    assert (page.actions(), page.press("pause", subscription=other).status_code) == ({"resume"}, 403)

    simulator.admin("POST", "clock", {"now": AFTER})
    page = portal(old, customer=customer)
    assert page.actions() == set()
    assert "Payments for this subscription are paused" in page.page()
    assert page.press("resume", subscription=one).status_code == 403


def test_cancel_waits_for_the_period_and_can_be_taken_back(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    reason = {"enabled": True, "options": ["too_expensive", "unused"]}
    page = portal({"subscription_cancel": {"enabled": True, "cancellation_reason": reason}})
    page.press("cancel", subscription=subscription.id, feedback="too_expensive")
    canceled = client.v1.subscriptions.retrieve(subscription.id).to_dict()
    assert (canceled["status"], canceled["cancel_at_period_end"]) == ("active", True)
    assert canceled["cancellation_details"]["feedback"] == "too_expensive"
    assert page.actions() == {"uncancel"}
    page.press("uncancel", subscription=subscription.id)
    assert client.v1.subscriptions.retrieve(subscription.id).cancel_at is None


def test_cancel_may_be_immediate(client: stripe.StripeClient, portal: Open, subscribe: Subscribe) -> None:
    subscription = subscribe()
    page = portal({"subscription_cancel": {"enabled": True, "mode": "immediately"}})
    page.press("cancel", subscription=subscription.id)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    assert page.actions() == set()


def test_plans_and_quantities_change_within_the_configuration(
    simulator: RunningSimulator, client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop
) -> None:
    subscription = subscribe()
    two_items = subscribe(items=[{"price": shop.monthly.id}, {"price": shop.yearly.id}])
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id, shop.yearly.id]}]
    update = {"enabled": True, "default_allowed_updates": ["price", "quantity"], "products": products}
    page = portal({"subscription_update": update, "payment_method_update": {"enabled": True}})
    assert page.page().count('value="update"') == 1
    page.press("update", subscription=subscription.id, price=shop.yearly.id, quantity="3")
    item = client.v1.subscriptions.retrieve(subscription.id)["items"].data[0]
    assert (item.price.id, item.quantity) == (shop.yearly.id, 3)
    assert page.press("update", subscription=two_items.id, quantity="2").status_code == 403
    assert page.press("update", subscription=subscription.id, price="price_none").status_code == 403
    assert [kind for kind in simulator.event_types() if kind.startswith("customer.")][-1] == (
        "customer.subscription.updated"
    )


def test_the_last_payment_method_stays_while_a_subscription_lives(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop
) -> None:
    subscription = subscribe()
    page = portal({"payment_method_update": {"enabled": True}})
    settings = client.v1.customers.retrieve(shop.customer.id).to_dict()["invoice_settings"]
    old = settings["default_payment_method"]
    assert page.actions() == {"add_payment_method"}
    refused = page.press("remove_payment_method", payment_method=old)
    assert (refused.status_code, "cannot be removed" in refused.text) == (403, True)
    page.press("add_payment_method", number="5555 5555 5555 4444")
    assert "(mastercard) ending in 4444" in page.page()
    assert page.press("remove_payment_method", payment_method=old).status_code == 303
    assert [one.id for one in client.v1.payment_methods.list({"customer": shop.customer.id}).data] != [old]
    client.v1.subscriptions.cancel(subscription.id)
    last = client.v1.payment_methods.list({"customer": shop.customer.id}).data[0].id
    assert page.press("remove_payment_method", payment_method=last).status_code == 303


def test_customers_change_only_the_information_they_may(client: stripe.StripeClient, portal: Open, shop: Shop) -> None:
    page = portal({"customer_update": {"enabled": True, "allowed_updates": ["name", "address"]}})
    page.press("update_customer", name="Ada L.", line1="1 Main St", country="FR")
    changed = client.v1.customers.retrieve(shop.customer.id).to_dict()
    assert (changed["name"], changed["address"]["country"]) == ("Ada L.", "FR")
    assert page.press("update_customer", email="eve@example.com").status_code == 403


def test_nobody_touches_the_subscription_of_another(client: stripe.StripeClient, portal: Open, shop: Shop) -> None:
    other = client.v1.customers.create({"payment_method": "pm_card_visa"}).id
    foreign = client.v1.subscriptions.create({"customer": other, "items": [{"price": shop.monthly.id}]})
    page = portal({"subscription_cancel": {"enabled": True, "mode": "immediately"}})
    assert page.press("cancel", subscription=foreign.id).status_code == 403


def test_a_link_expires_unused_after_five_minutes_and_idle_after_an_hour(
    simulator: RunningSimulator, portal: Open
) -> None:
    unused, used = portal(), portal()
    used.page()
    now = simulator.admin("GET", "clock")["now"]
    simulator.admin("POST", "clock", {"now": now + 301})
    answer = simulator.session.get(unused.url, timeout=60)
    assert (answer.status_code, "This link has expired" in answer.text) == (410, True)
    used.page()
    simulator.admin("POST", "clock", {"now": now + 301 + 3600})
    assert simulator.session.get(used.url, timeout=60).status_code == 410
    assert used.press("cancel").status_code == 410
    assert simulator.session.get(f"{simulator.url}/p/session/test_none", timeout=60).status_code == 410


def test_flows_open_on_their_own_page_and_end_where_they_were_told_to(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop
) -> None:
    features = {"subscription_cancel": {"enabled": True}, "subscription_pause": MONTH}
    subscription, other = subscribe(), subscribe()
    cancel = {"type": "subscription_cancel", "subscription_cancel": {"subscription": subscription.id}}
    redirect = {"type": "redirect", "redirect": {"return_url": "https://example.com/done"}}
    page = portal(features, flow_data={**cancel, "after_completion": redirect})
    assert page.actions() == {"cancel"}
    assert page.press("cancel", subscription=subscription.id).headers["Location"] == "https://example.com/done"

    confirm = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": "See you soon"}}
    pause = {"type": "subscription_pause", "subscription_pause": {"subscription": other.id}}
    page = portal(features, flow_data={**pause, "after_completion": confirm})
    assert page.actions() == {"pause"}
    assert "See you soon" in page.press("pause", subscription=other.id).text
    assert client.v1.subscriptions.retrieve(other.id).status == "paused"

    card = {"payment_method_update": {"enabled": True}}
    page = portal(card, flow_data={"type": "payment_method_update"})
    assert 'data-flow="add_payment_method"' in page.page()
    assert page.press("add_payment_method", number="4242424242424242").status_code == 303
    assert 'id="payment-methods"' in page.page()
    assert len(client.v1.payment_methods.list({"customer": shop.customer.id}).data) == 2


def test_an_update_is_confirmed_with_what_the_link_says(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop
) -> None:
    subscription = subscribe()
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id, shop.yearly.id]}]
    update = {"enabled": True, "default_allowed_updates": ["price"], "products": products}
    items = [{"id": subscription["items"].data[0].id, "price": shop.yearly.id}]
    details = {"subscription": subscription.id, "items": items}
    flow = {"type": "subscription_update_confirm", "subscription_update_confirm": details}
    page = portal({"subscription_update": update, "payment_method_update": {"enabled": True}}, flow_data=flow)
    assert f'<input type="hidden" name="price" value="{shop.yearly.id}">' in page.page()
    page.press("update", subscription=subscription.id, price=shop.yearly.id)
    assert client.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == shop.yearly.id


def test_the_login_page_never_tells_who_is_a_customer(
    simulator: RunningSimulator, subscribe: Subscribe, shop: Shop
) -> None:
    subscribe()
    simulator.client().v1.customers.create({"email": "ada@example.com", "name": "Without subscription"})
    features = {"invoice_history": {"enabled": True}}
    made = simulator.admin("POST", "default_configuration", {"features": features, "login_page": {"enabled": True}})
    url, session = made["login_page"]["url"], simulator.session
    assert 'value="a+b@example.com"' in session.get(url, params={"prefilled_email": "a+b@example.com"}, timeout=60).text
    unknown = session.post(url, data={"email": "eve@example.com"}, timeout=60).text
    known = session.post(url, data={"email": "ada@example.com"}, timeout=60).text
    assert known == unknown.replace("eve@", "ada@")
    (entry,) = simulator.admin("GET", "login_codes")["data"]
    assert (entry["email"], entry["customer"]) == ("ada@example.com", shop.customer.id)
    assert session.post(url, data={"email": "ada@example.com", "code": "x"}, timeout=60).status_code == 400
    portal = session.post(url, data={"email": "ada@example.com", "code": entry["code"]}, timeout=60)
    assert (portal.status_code, "Ada ada@example.com" in portal.text) == (200, True)
    simulator.admin("POST", "default_configuration", {"login_page": {"enabled": False}})
    assert session.get(url, timeout=60).status_code == 404


def limited(shop: Shop) -> dict[str, Any]:
    """Plan changes between the shop's two prices, and cancelling."""
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id, shop.yearly.id]}]
    update = {"enabled": True, "default_allowed_updates": ["price"], "products": products}
    return {
        "subscription_update": update,
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True},
    }


def test_limits_are_shown_with_their_reason(portal: Open, subscribe: Subscribe, shop: Shop) -> None:
    both = subscribe(items=[{"price": shop.monthly.id}, {"price": shop.yearly.id}])
    page = portal(limited(shop))
    text = page.page()
    assert "You can only cancel this subscription here:" in text
    assert "It has several products." in text
    assert page.press("update", subscription=both.id, price=shop.yearly.id).status_code == 403


def test_who_can_pause_is_not_told_that_only_cancelling_is_left(portal: Open, subscribe: Subscribe, shop: Shop) -> None:
    subscribe(items=[{"price": shop.monthly.id}, {"price": shop.yearly.id}])
    text = portal(limited(shop) | {"subscription_pause": MONTH}).page()
    assert "Pause subscription" in text
    assert "You cannot change this subscription here:" in text
    assert "only cancel" not in text


def test_a_planned_update_is_told_once_and_forbids_cancelling_too(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop
) -> None:
    subscription = subscribe()
    made = client.v1.subscription_schedules.create({"from_subscription": subscription.id})
    now: Any = {"items": [{"price": shop.monthly.id}], "start_date": made.phases[0].start_date}
    now["end_date"] = made.phases[0].end_date
    phases: Any = [now, {"items": [{"price": shop.yearly.id}], "duration": {"interval": "year"}}]
    client.v1.subscription_schedules.update(made.id, {"phases": phases})
    page = portal(limited(shop))
    assert page.page().count("A subscription schedule plans an update") == 1
    assert "You can neither change nor cancel" in page.page()
    assert page.press("cancel", subscription=subscription.id).status_code == 403


def test_a_payment_method_that_is_no_card_is_shown_and_limits(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop
) -> None:
    method = client.v1.payment_methods.create({"type": "klarna"}).id
    client.v1.payment_methods.attach(method, {"customer": shop.customer.id})
    subscribe(default_payment_method=method)
    text = portal(limited(shop)).page()
    assert ">Klarna" in text
    assert "does not support (klarna)" in text


@pytest.mark.parametrize(
    "expected",
    [("end_trial", "active", "bills at once"), ("continue_trial", "trialing", "goes on")],
    ids=lambda expected: expected[0],
)
def test_a_change_in_a_trial_ends_it_unless_it_may_continue(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop, expected: tuple[str, str, str]
) -> None:
    behavior, status, words = expected
    subscription = subscribe(trial_period_days=30)
    features = limited(shop)
    features["subscription_update"]["trial_update_behavior"] = behavior
    page = portal(features)
    assert words in page.page()
    page.press("update", subscription=subscription.id, price=shop.yearly.id)
    changed = client.v1.subscriptions.retrieve(subscription.id)
    assert (changed.status, changed["items"].data[0].price.id) == (status, shop.yearly.id)


def test_a_change_of_nothing_is_no_change(portal: Open, subscribe: Subscribe, shop: Shop) -> None:
    subscription = subscribe()
    answer = portal(limited(shop)).press("update", subscription=subscription.id, price=shop.monthly.id)
    assert (answer.status_code, "Choose another plan" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("conditions", "is_deferred"),
    [
        ([], False),
        (["shortening_interval"], True),
        (["decreasing_item_amount"], True),
        (["decreasing_item_amount", "shortening_interval"], True),
    ],
)
def test_a_downgrade_waits_for_the_period_where_the_configuration_says_so(
    portal: Open, subscribe: Subscribe, shop: Shop, conditions: list[str], *, is_deferred: bool
) -> None:
    subscription = subscribe(items=[{"price": shop.yearly.id}])
    features = limited(shop)
    features["subscription_update"]["schedule_at_period_end"] = {"conditions": [{"type": kind} for kind in conditions]}
    page = portal(features)
    page.press("update", subscription=subscription.id, price=shop.monthly.id)
    client, text = page.simulator.client(), page.page()
    now = client.v1.subscriptions.retrieve(subscription.id)
    assert now["items"].data[0].price.id == (shop.yearly.id if is_deferred else shop.monthly.id)
    assert ("You can neither change nor cancel" in text) is is_deferred
    assert ("Your subscription will change on" in text) is is_deferred
    page.simulator.admin("POST", "clock", {"now": now["items"].data[0].current_period_end})
    later = client.v1.subscriptions.retrieve(subscription.id)
    assert later["items"].data[0].price.id == shop.monthly.id


def test_an_upgrade_is_never_deferred(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop
) -> None:
    subscription = subscribe()
    features = limited(shop)
    kinds = [{"type": "decreasing_item_amount"}, {"type": "shortening_interval"}]
    features["subscription_update"]["schedule_at_period_end"] = {"conditions": kinds}
    portal(features).press("update", subscription=subscription.id, price=shop.yearly.id)
    changed = client.v1.subscriptions.retrieve(subscription.id)
    assert (changed["items"].data[0].price.id, changed.schedule) == (shop.yearly.id, None)


@pytest.mark.parametrize(("quantity", "status"), [("1", 403), ("2", 303), ("5", 303), ("6", 403)])
def test_a_quantity_stays_within_what_the_product_allows(
    portal: Open, subscribe: Subscribe, shop: Shop, quantity: str, status: int
) -> None:
    subscription = subscribe(items=[{"price": shop.monthly.id, "quantity": 3}])
    features = limited(shop)
    features["subscription_update"]["default_allowed_updates"] = ["quantity"]
    adjustable = {"enabled": True, "minimum": 2, "maximum": 5}
    features["subscription_update"]["products"][0]["adjustable_quantity"] = adjustable
    page = portal(features)
    assert 'name="quantity" min="2" max="5"' in page.page()
    assert page.press("update", subscription=subscription.id, quantity=quantity).status_code == status


def test_a_suspension_whose_time_has_passed_is_none(
    simulator: RunningSimulator, client: stripe.StripeClient, portal: Open, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    end = subscription.created + 86_400
    client.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void", "resumes_at": end}})
    old = {"subscription_pause": {"enabled": True}}
    assert "Payments for this subscription are paused until" in portal(old).page()
    simulator.admin("POST", "clock", {"now": end})
    text = portal(old).page()
    assert "are paused" not in text
    assert "You cannot resume" not in text


def test_the_last_payment_method_is_said_to_stay(portal: Open, subscribe: Subscribe) -> None:
    subscribe()
    page = portal({"payment_method_update": {"enabled": True}})
    assert "Add the new payment method first, then remove the old one." in page.page()
    page.press("add_payment_method", number="5555 5555 5555 4444")
    assert 'id="last-payment-method"' not in page.page()


def test_the_portal_of_another_day_can_be_looked_at_and_not_touched(
    simulator: RunningSimulator, client: stripe.StripeClient, portal: Open, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    client.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})
    page = portal({"subscription_pause": {"enabled": True}})
    seen = {
        day: re.findall(
            r'name="action" value="(\w+)"', simulator.session.get(f"{page.url}?as_of={day}", timeout=60).text
        )
        for day in ("2024-03-28", "2024-07-31", "2024-08-01")
    }
    assert seen == {"2024-03-28": ["resume"], "2024-07-31": ["resume"], "2024-08-01": []}
    preview = simulator.session.get(f"{page.url}?as_of=2024-07-31", timeout=60).text
    assert "as of 31 July 2024" in preview
    assert "<fieldset disabled>" in preview
    # What a preview shows cannot be had: the button's form goes to the page of today.
    assert (
        simulator.session.post(
            f"{page.url}?as_of=2024-07-31", data={"action": "resume", "subscription": subscription.id}, timeout=5
        ).status_code
        == 403
    )
    assert "fieldset" not in simulator.session.get(f"{page.url}?as_of=soon", timeout=60).text.partition("</style>")[2]


def test_who_signed_in_by_e_mail_cannot_change_that_address(
    simulator: RunningSimulator, subscribe: Subscribe, portal: Open
) -> None:
    subscribe()
    features: Any = {"customer_update": {"enabled": True, "allowed_updates": ["email", "phone"]}}
    made = simulator.admin("POST", "default_configuration", {"features": features, "login_page": {"enabled": True}})
    url, session = made["login_page"]["url"], simulator.session
    session.post(url, data={"email": "ada@example.com"}, timeout=60)
    (entry,) = simulator.admin("GET", "login_codes")["data"]
    signed_in = session.post(url, data={"email": "ada@example.com", "code": entry["code"]}, timeout=60)
    page = Portal(simulator, signed_in.url)
    assert 'name="phone"' in page.page()
    assert 'name="email"' not in page.page()
    assert page.press("update_customer", email="eve@example.com").status_code == 403
    assert 'name="email"' in portal(features).page()


def test_customers_change_where_things_are_shipped_if_they_may(
    client: stripe.StripeClient, portal: Open, shop: Shop
) -> None:
    page = portal({"customer_update": {"enabled": True, "allowed_updates": ["shipping"]}})
    page.press("update_customer", shipping_name="Ada", shipping_line1="1 Main St", shipping_country="FR")
    shipping = client.v1.customers.retrieve(shop.customer.id).to_dict()["shipping"]
    assert (shipping["name"], shipping["address"]["country"]) == ("Ada", "FR")
    assert page.press("update_customer", line1="1 Main St").status_code == 403


@pytest.mark.parametrize("quantity", ["99999999999", "999999999", "-1", "1e9", "\u0663"])
def test_a_quantity_that_nobody_can_mean_changes_nothing(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop, quantity: str
) -> None:
    """Neither alone, nor beside another plan, which must not be changed without the quantity."""
    subscription = subscribe()
    features = limited(shop)
    features["subscription_update"]["default_allowed_updates"] = ["price", "quantity"]
    page = portal(features)
    assert page.press("update", subscription=subscription.id, quantity=quantity).status_code == 403
    other = {"price": shop.yearly.id, "quantity": quantity}
    assert page.press("update", subscription=subscription.id, **other).status_code == 403
    item = client.v1.subscriptions.retrieve(subscription.id)["items"].data[0]
    assert (item.price.id, item.quantity) == (shop.monthly.id, 1)


def test_a_card_that_is_declined_is_not_kept(
    client: stripe.StripeClient, portal: Open, subscribe: Subscribe, shop: Shop
) -> None:
    subscribe()
    page = portal({"payment_method_update": {"enabled": True}})
    before = {one.id for one in client.v1.customers.payment_methods.list(shop.customer.id).data}
    refused = page.press("add_payment_method", number="4000 0000 0000 0002")
    assert refused.status_code == 402
    assert "declined" in refused.text
    assert {one.id for one in client.v1.customers.payment_methods.list(shop.customer.id).data} == before
