from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import RunningSimulator, Shop, refusal

server, simulator, client = given.server, given.simulator, given.client
shop, subscribe = given.shop, given.subscribe
Subscribe = Callable[..., stripe.Subscription]
DAY = 86_400


def last_events(client: stripe.StripeClient, count: int) -> dict[str, Any]:
    """The newest events about subscriptions by type, as plain data."""
    events = client.v1.events.list({"limit": count, "type": "customer.subscription.*"})
    return {event.type: event.to_dict()["data"] for event in events.data}


def test_a_new_subscription_has_todays_shape(client: stripe.StripeClient, subscribe: Subscribe, shop: Shop) -> None:
    made = subscribe(metadata={"plan": "gold"})
    item = made["items"].data[0]
    assert (made.status, made.billing_mode.type, made.pause_collection) == ("active", "flexible", None)
    assert (made.schedule, made.customer_account) == (None, None)
    assert not {"current_period_end", "status_details"} & made.to_dict().keys()
    assert 28 * DAY <= item.current_period_end - item.current_period_start <= 31 * DAY
    assert (item.price.id, item.plan.interval, item.quantity) == (shop.monthly.id, "month", 1)
    assert made.metadata["plan"] == "gold"
    assert list(last_events(client, 1)) == ["customer.subscription.created"]


def test_pause_collection_sends_one_update_that_holds_only_what_changed(
    client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    paused = client.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})
    assert paused.status == "active"
    event = client.v1.events.list({"limit": 1}).data[0]
    assert event.type == "customer.subscription.updated"
    assert event.to_dict()["data"]["previous_attributes"] == {"pause_collection": None}
    assert event.request is not None
    assert str(event.request.id).startswith("req_")
    assert event.request.idempotency_key

    assert client.v1.subscriptions.update(subscription.id, {"pause_collection": ""}).pause_collection is None
    data = last_events(client, 1)["customer.subscription.updated"]
    assert data["previous_attributes"] == {"pause_collection": {"behavior": "void", "resumes_at": None}}
    assert not client.v1.events.list({"type": "customer.subscription.paused"}).data


def test_an_update_that_changes_nothing_sends_nothing(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    subscription = subscribe(metadata={"a": "1"})
    before = client.v1.events.list({"limit": 1}).data[0].id
    client.v1.subscriptions.update(subscription.id, {"metadata": {"a": "1"}})
    assert client.v1.events.list({"limit": 1}).data[0].id == before


def test_a_real_pause_cuts_the_period_and_sends_paused_and_updated(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    old_end = subscription["items"].data[0].current_period_end
    now = simulator.admin("POST", "clock", {"now": subscription.created + 10 * DAY})["now"]
    paused = client.v1.subscriptions.pause(subscription.id)
    assert paused.status == "paused"
    assert paused.status_details is not None
    assert paused.status_details.paused.subscription is not None
    assert paused.status_details.paused.subscription.type == "pause_requested"
    assert 0 <= paused["items"].data[0].current_period_end - now <= 2
    events = last_events(client, 2)
    assert set(events) == {"customer.subscription.paused", "customer.subscription.updated"}
    previous = events["customer.subscription.updated"]["previous_attributes"]
    assert set(previous) == {"items", "status", "status_details"}
    assert (previous["status"], previous["status_details"]) == ("active", None)
    assert previous["items"]["data"][0]["current_period_end"] == old_end
    assert "previous_attributes" not in events["customer.subscription.paused"]


def test_resuming_begins_a_new_period_or_keeps_the_anchor(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    one, other = subscribe(), subscribe()
    client.v1.subscriptions.pause(one.id)
    client.v1.subscriptions.pause(other.id)
    now = simulator.admin("POST", "clock", {"now": one.created + 10 * DAY})["now"]
    resumed = client.v1.subscriptions.resume(one.id)
    assert (resumed.status, "status_details" in resumed) == ("active", False)
    assert 0 <= resumed["items"].data[0].current_period_start - now <= 2
    kept = client.v1.subscriptions.resume(other.id, {"billing_cycle_anchor": {"type": "unchanged"}})
    assert kept["items"].data[0].current_period_start == other.billing_cycle_anchor
    assert set(last_events(client, 2)) == {"customer.subscription.resumed", "customer.subscription.updated"}


def test_the_anchor_of_resume_was_a_word_before_endive(simulator: RunningSimulator, subscribe: Subscribe) -> None:
    subscription, old = subscribe(), simulator.client(stripe_version="2026-08-26.dahlia")
    simulator.client().v1.subscriptions.pause(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="Invalid object"):
        simulator.client().raw_request(
            "post", f"/v1/subscriptions/{subscription.id}/resume", billing_cycle_anchor="now"
        )
    answer = old.raw_request("post", f"/v1/subscriptions/{subscription.id}/resume", billing_cycle_anchor="now")
    assert answer.data["status"] == "active"


@pytest.mark.parametrize(
    ("params", "fields", "words"),
    [
        ({"collection_method": "send_invoice", "days_until_due": 30}, {}, "charge_automatically"),
        ({"billing_mode": {"type": "classic"}}, {}, "`flexible`"),
        ({"trial_period_days": 7}, {}, "in a trial"),
        ({"payment_behavior": "default_incomplete", "customer": "without card"}, {}, "status `incomplete`"),
        ({}, {"schedule": "sub_sched_1"}, "subscription schedule"),
        ({}, {"billing_cadence": "bc_1"}, "billing cadence"),
        ({}, {"status": "unpaid"}, "status `unpaid`"),
        ({}, {"status": "paused"}, "status `paused`"),
    ],
)
def test_what_cannot_be_paused_is_refused_with_the_reason(
    simulator: RunningSimulator, subscribe: Subscribe, params: Any, fields: Any, words: str
) -> None:
    client = simulator.client()
    if "customer" in params:
        params = {**params, "customer": client.v1.customers.create({}).id}
    subscription = subscribe(**params)
    if fields:
        simulator.admin("POST", f"subscriptions/{subscription.id}", fields)
    with pytest.raises(stripe.InvalidRequestError, match=words):
        client.v1.subscriptions.pause(subscription.id)


def test_a_classic_subscription_can_be_paused_after_migration(
    client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    subscription = subscribe(billing_mode={"type": "classic"})
    client.v1.subscriptions.migrate(subscription.id, {"billing_mode": {"type": "flexible"}})
    assert client.v1.subscriptions.pause(subscription.id).status == "paused"


def test_only_a_paused_subscription_can_be_resumed(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="it is not paused"):
        client.v1.subscriptions.resume(subscribe().id)


def test_canceling_ends_it_once_and_leaves_only_metadata_to_change(
    client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    assert client.v1.subscriptions.cancel(subscription.id).status == "canceled"
    assert list(last_events(client, 1)) == ["customer.subscription.deleted"]
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        client.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="A canceled subscription can only update"):
        client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert client.v1.subscriptions.update(subscription.id, {"metadata": {"a": "1"}}).metadata["a"] == "1"


def test_lists_hide_canceled_ones_unless_asked_for(
    client: stripe.StripeClient, subscribe: Subscribe, shop: Shop
) -> None:
    active, paused, canceled = subscribe(), subscribe(), subscribe(items=[{"price": shop.yearly.id}])
    client.v1.subscriptions.pause(paused.id)
    client.v1.subscriptions.cancel(canceled.id)
    trialing = subscribe(trial_period_days=3)

    def ids(**params: Any) -> list[str]:
        wanted: Any = params
        return [one.id for one in client.v1.subscriptions.list(wanted).data]

    assert ids() == [trialing.id, paused.id, active.id]
    assert ids(status="all") == [trialing.id, canceled.id, paused.id, active.id]
    assert ids(status="ended") == [canceled.id]
    assert ids(status="paused") == [paused.id]
    assert ids(status="all", price=shop.yearly.id) == [canceled.id]
    assert ids(customer=shop.customer.id, limit=1) == [trialing.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'"):
        ids(customer="cus_none")


def test_auto_paging_walks_every_subscription_once_while_others_are_made(
    client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    made = [subscribe().id for _ in range(5)]
    walk = client.v1.subscriptions.list({"limit": 2}).auto_paging_iter()
    seen = [next(walk).id]
    subscribe()
    seen += [one.id for one in walk]
    assert seen == made[::-1]


def test_items_can_be_changed_added_and_removed(client: stripe.StripeClient, subscribe: Subscribe, shop: Shop) -> None:
    subscription = subscribe()
    item = subscription["items"].data[0].id
    update = client.v1.subscriptions.update
    assert update(subscription.id, {"items": [{"id": item, "quantity": 3}]})["items"].data[0].quantity == 3
    both = update(subscription.id, {"items": [{"price": shop.yearly.id}]})["items"].data
    assert [one.price.id for one in both] == [shop.monthly.id, shop.yearly.id]
    left = update(subscription.id, {"items": [{"id": item, "deleted": True}]})["items"].data
    assert [one.price.id for one in left] == [shop.yearly.id]


def test_a_cancellation_at_period_end_can_be_taken_back_until_it_happens(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    end = subscription["items"].data[0].current_period_end
    update = client.v1.subscriptions.update
    assert update(subscription.id, {"cancel_at_period_end": True}).cancel_at == end
    assert update(subscription.id, {"cancel_at_period_end": False}).cancel_at is None
    update(subscription.id, {"cancel_at": "min_period_end"})
    simulator.admin("POST", "clock", {"now": end + 60})
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    event = client.v1.events.list({"limit": 1}).data[0]
    assert event.type == "customer.subscription.deleted"
    assert event.request is not None
    assert event.request.id is None


def test_time_renews_periods_by_the_calendar(simulator: RunningSimulator) -> None:
    simulator.admin("POST", "clock", {"now": 1_706_659_200})  # 2024-01-31
    client = simulator.client()
    customer = client.v1.customers.create({"payment_method": "pm_card_visa"})
    price: Any = {"currency": "eur", "unit_amount": 100, "recurring": {"interval": "month"}}
    price["product_data"] = {"name": "Gold"}
    price_id = client.v1.prices.create(price).id
    made = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price_id}]})
    assert made["items"].data[0].current_period_end - 1_709_164_800 <= 2  # 2024-02-29
    simulator.admin("POST", "clock", {"now": 1_711_000_000})
    item = client.v1.subscriptions.retrieve(made.id)["items"].data[0]
    assert item.current_period_end - 1_711_843_200 <= 2  # 2024-03-31
    assert list(last_events(client, 1)) == ["customer.subscription.updated"]


def test_a_trial_that_ends_without_a_card_pauses_if_it_was_asked_to(
    simulator: RunningSimulator, subscribe: Subscribe
) -> None:
    client = simulator.client()
    without_card = client.v1.customers.create({}).id
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    trial = subscribe(customer=without_card, trial_period_days=7, trial_settings=settings)
    now_ended = subscribe(customer=without_card, trial_period_days=7, trial_settings=settings)
    assert client.v1.subscriptions.update(now_ended.id, {"trial_end": "now"}).status == "paused"
    assert set(last_events(client, 3)) == {
        *("customer.subscription.paused", "customer.subscription.updated", "customer.subscription.trial_will_end")
    }
    simulator.admin("POST", "clock", {"now": trial.trial_end or 0})
    paused = client.v1.subscriptions.retrieve(trial.id).to_dict()
    assert paused["status_details"]["paused"]["subscription"]["type"] == "trial_end_without_payment_method"
    with_card = subscribe(trial_period_days=7, trial_settings=settings)
    assert client.v1.subscriptions.update(with_card.id, {"trial_end": "now"}).status == "active"


def test_stripe_acting_by_itself_is_an_event_without_a_request(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    simulator.admin("POST", f"subscriptions/{subscription.id}", {"status": "past_due"})
    event = client.v1.events.list({"limit": 1}).data[0].to_dict()
    assert event["data"]["previous_attributes"] == {"status": "active"}
    assert event["request"] == {"id": None, "idempotency_key": None}


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
    classic = subscribe(billing_mode={"type": "classic"})
    client.v1.payment_methods.detach(card)
    assert "not attached" in refusal(client, "post", f"payment_methods/{card}/detach", {})
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


def test_a_trial_that_ends_early_keeps_its_anchor_if_it_was_asked_to(
    client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    settings: Any = {"end_behavior": {"billing_cycle_anchor": "unchanged"}}
    kept, restarted = subscribe(trial_period_days=7, trial_settings=settings), subscribe(trial_period_days=7)
    ends = [
        client.v1.subscriptions.update(one.id, {"trial_end": "now"})["items"].data[0].current_period_end
        for one in (kept, restarted)
    ]
    assert ends[0] == kept.trial_end
    assert ends[1] >= (restarted.trial_end or 0) + 20 * DAY


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
