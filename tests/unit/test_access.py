"""Who has service: the documented cases, and what holds whatever the subscriptions are."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.access import AccessPolicy, CustomerAccess, Reason, customer_access, subscription_access
from shared.mirror.items import Beginnings, MirroredEntitlements, MirroredSubscription
from shared.mirror.rule import Mirror, Outcome
from shared.stripe.events import SnapshotEvent, SubscriptionEvent, read_event, subscription_event
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem
from shared.stripe.subscription_read import SubscriptionRead
from tests.access_cases import DEFAULTS, MONTHLY, PAGE, PAID, SEEN_PAUSE, SETTINGS, VOID, Case, day, shown, with_tables
from tests.fakes import FakeTable

DAY = 86_400
DEFAULT = AccessPolicy()
STATUSES = ("active", "trialing", "past_due", "unpaid", "incomplete", "incomplete_expired", "paused", "canceled", "new")
BEHAVIORS = ("void", "keep_as_draft", "mark_uncollectible", "new")


def named(case: Case) -> str:
    return f"{case.state} {case.on} {case.policy or ''}"


@pytest.mark.parametrize("case", [*DEFAULTS, *SETTINGS], ids=named)
def test_every_documented_case_gets_its_answer(case: Case) -> None:
    answer = case.answer()
    assert (answer.granted, answer.reason, shown(answer.until)) == (case.granted, case.reason, case.until or "")
    (own,) = answer.subscriptions
    assert (own.granted, own.reason, own.until) == (answer.granted, answer.reason, answer.until)


def test_the_documented_table_is_that_of_the_code() -> None:
    text = PAGE.read_text()
    assert text.count("<!-- access: ") == 2
    assert with_tables(text) == text, "run `make reference`"


def test_the_cases_cover_every_reason_and_every_setting() -> None:
    of_customers = {
        Reason.NO_SUBSCRIPTION,
        Reason.PRODUCT_NOT_SUBSCRIBED,
        Reason.FEATURE_NOT_ENTITLED,
        Reason.ENTITLEMENTS_UNKNOWN,
    }
    assert {case.reason for case in (*DEFAULTS, *SETTINGS)} == {*Reason} - of_customers
    assert {name for case in SETTINGS for name in case.policy} == {*AccessPolicy.model_fields}


def mirrored(subscription: Subscription = MONTHLY, beginnings: Beginnings = PAID, **own: Any) -> MirroredSubscription:
    return MirroredSubscription(subscription, day("2 Jan"), 1, beginnings=beginnings, **own)


def ask(*items: MirroredSubscription, on: str = "10 Apr", **narrowed: Any) -> CustomerAccess:
    return customer_access("cus_1", items, now=day(on), policy=DEFAULT, **narrowed)


# ------------------------------------------------------------------ several subscriptions, and products

PAUSED = mirrored(replace(MONTHLY, id="sub_2", pause_collection=VOID), SEEN_PAUSE)


def test_a_customer_without_subscriptions_has_no_service() -> None:
    assert ask() == CustomerAccess("cus_1", False, Reason.NO_SUBSCRIPTION, None, ())


def test_one_subscription_that_gives_service_is_enough() -> None:
    answer = ask(PAUSED, mirrored())
    assert (answer.granted, answer.reason, answer.until) == (True, Reason.ACTIVE, None)
    assert [(each.subscription_id, each.granted) for each in answer.subscriptions] == [
        ("sub_1", True),
        ("sub_2", False),
    ]


def test_service_ends_when_the_last_of_two_subscriptions_ends() -> None:
    ending = [
        mirrored(replace(MONTHLY, id=f"sub_{name}", cancel_at=day(end)))
        for name, end in (("a", "20 Apr"), ("b", "12 Apr"))
    ]
    answer = ask(*ending)
    assert (answer.granted, shown(answer.until)) == (True, "20 Apr")
    assert [shown(each.until) for each in answer.subscriptions] == ["20 Apr", "12 Apr"]


def test_a_refusal_names_what_the_customer_can_still_mend() -> None:
    ended = mirrored(replace(MONTHLY, id="sub_0", status="canceled"))
    assert ask(ended, PAUSED).reason is Reason.COLLECTION_PAUSED


def test_only_subscriptions_to_the_product_count() -> None:
    other = replace(MONTHLY, id="sub_3", items=(SubscriptionItem("si_3", "price_3", "prod_2"),))
    assert ask(PAUSED, mirrored(other), product="prod_2").granted
    paused = ask(PAUSED, mirrored(other), product="prod_1")
    assert (paused.granted, paused.reason) == (False, Reason.COLLECTION_PAUSED)
    unknown = ask(PAUSED, mirrored(other), product="prod_unknown")
    assert (unknown.granted, unknown.reason, unknown.subscriptions) == (False, Reason.PRODUCT_NOT_SUBSCRIBED, ())
    assert ask(product="prod_1").reason is Reason.NO_SUBSCRIPTION


def test_quantities_are_told_by_product_and_none_of_a_product_is_no_subscription_to_it() -> None:
    items = (
        SubscriptionItem("si_1", product_id="prod_1", quantity=2),
        SubscriptionItem("si_2", product_id="prod_1", quantity=3),
        SubscriptionItem("si_3", product_id="prod_metered"),
        SubscriptionItem("si_4", product_id="prod_none", quantity=0),
        SubscriptionItem("si_5", product_id=None, quantity=1),
    )
    item = mirrored(replace(MONTHLY, items=items))
    assert ask(item).subscriptions[0].products == {"prod_1": 5, "prod_metered": None}
    assert not ask(item, product="prod_none").granted


# ------------------------------------------------------------------ features

PREMIUM = replace(MONTHLY, id="sub_premium", items=(SubscriptionItem("si_2", "price_2", "prod_premium", 1),))
PREMIUM_PAUSED = mirrored(replace(PREMIUM, pause_collection=VOID), SEEN_PAUSE)


def entitled(*features: str, **products: tuple[str, ...]) -> MirroredEntitlements:
    return MirroredEntitlements("cus_1", features, day("2 Jan"), 1, products)


def verdict(answer: CustomerAccess) -> tuple[bool, str, str]:
    return answer.granted, str(answer.reason), shown(answer.until)


def test_a_feature_needs_the_entitlement_and_the_service() -> None:
    """Stripe keeps the entitlement while collection is paused: only the pause policy closes the door."""
    sso = entitled("sso")
    assert verdict(ask(mirrored(), entitlements=sso, feature="sso")) == (True, "active", "")
    assert verdict(ask(PAUSED, entitlements=sso, feature="sso", on="20 Feb")) == (True, "collection_paused", "1 Mar")
    assert verdict(ask(PAUSED, entitlements=sso, feature="sso")) == (False, "collection_paused", "")
    assert verdict(ask(mirrored(), entitlements=sso, feature="audit_log")) == (False, "feature_not_entitled", "")
    assert verdict(ask(mirrored(), entitlements=entitled(), feature="sso")) == (False, "feature_not_entitled", "")
    assert verdict(ask(entitlements=sso, feature="sso")) == (False, "no_subscription", "")


def test_another_subscription_that_gives_service_does_not_open_the_feature_of_the_paused_one() -> None:
    known = entitled("sso", "exports", prod_premium=("sso", "exports"), prod_1=("exports",))
    both = (mirrored(), PREMIUM_PAUSED)
    assert verdict(ask(*both, entitlements=known, feature="sso")) == (False, "collection_paused", "")
    assert verdict(ask(*both, entitlements=known, feature="exports")) == (True, "active", "")
    answer = ask(*both, entitlements=known)
    assert (answer.granted, answer.reason, answer.features) == (True, Reason.ACTIVE, ("exports",))


def test_a_product_whose_features_are_not_known_may_have_the_feature() -> None:
    both = (mirrored(), PREMIUM_PAUSED)
    assert ask(*both, entitlements=entitled("sso", prod_premium=("sso",)), feature="sso").granted
    # It was taken off the product since, and Stripe still says that the customer is entitled.
    assert ask(*both, entitlements=entitled("sso", prod_premium=(), prod_1=()), feature="sso").granted


def test_a_feature_and_a_product_are_asked_about_together() -> None:
    known, both = entitled("sso", prod_premium=("sso",), prod_1=("sso",)), (mirrored(), PREMIUM_PAUSED)
    assert ask(*both, entitlements=known, feature="sso", product="prod_1").granted
    assert verdict(ask(*both, entitlements=known, feature="sso", product="prod_premium"))[:2] == (
        False,
        "collection_paused",
    )
    assert ask(*both, entitlements=known, feature="sso", product="prod_3").reason is Reason.PRODUCT_NOT_SUBSCRIBED


def test_entitlements_that_are_not_known_are_for_the_setting_to_decide() -> None:
    assert verdict(ask(mirrored(), feature="sso")) == (True, "entitlements_unknown", "")
    assert ask(mirrored(), feature="sso").features is None
    strict = AccessPolicy(access_if_unknown="deny")
    answer = customer_access("cus_1", [mirrored()], now=day("10 Apr"), policy=strict, feature="sso")
    assert verdict(answer) == (False, "entitlements_unknown", "")
    # Never more than the subscriptions give.
    assert verdict(ask(PAUSED, feature="sso")) == (False, "collection_paused", "")


def test_entitlements_of_another_customer_or_account_never_count() -> None:
    foreign = replace(entitled("sso"), customer_id="cus_2")
    assert ask(mirrored(), entitlements=foreign).features is None
    other = replace(entitled("sso"), account="acct_2")
    assert ask(mirrored(), entitlements=other, account="acct_1").features is None
    assert ask(mirrored(), entitlements=other, account="acct_2").features == ("sso",)


def test_the_answer_ends_when_a_feature_ends_although_service_goes_on() -> None:
    known = entitled("sso", prod_premium=("sso",), prod_1=())
    both = (mirrored(), PREMIUM_PAUSED)
    before = ask(*both, entitlements=known, on="20 Feb")
    assert (before.reason, before.features, shown(before.until)) == (Reason.ACTIVE, ("sso",), "1 Mar")
    after = ask(*both, entitlements=known, on="1 Mar")
    assert (after.reason, after.features, after.until) == (Reason.ACTIVE, (), None)
    # Without entitlements nothing of the answer changes then.
    assert ask(*both, on="20 Feb").until is None


@given(
    st.sampled_from([(), ("sso",), ("audit_log", "sso")]),
    st.sampled_from([{}, {"prod_1": ()}, {"prod_1": ("sso",)}, {"prod_premium": ("sso",), "prod_1": ()}]),
    st.sampled_from([(), (PAUSED,), (mirrored(),), (mirrored(), PREMIUM_PAUSED), (PAUSED, mirrored(PREMIUM))]),
    st.sampled_from(["20 Feb", "1 Mar", "10 Apr"]),
)
def test_a_feature_is_never_granted_without_service_and_the_list_agrees_with_the_question(
    features: tuple[str, ...], products: dict[str, tuple[str, ...]], items: tuple[MirroredSubscription, ...], on: str
) -> None:
    known = entitled(*features, **products)
    whole = ask(*items, entitlements=known, on=on)
    for key in ("audit_log", "sso", "unheard_of"):
        asked = ask(*items, entitlements=known, feature=key, on=on)
        assert asked.granted == (key in (whole.features or ()))
        assert not asked.granted or (whole.granted and key in features)
    assert (whole.granted, whole.reason) == (ask(*items, on=on).granted, ask(*items, on=on).reason)


# ------------------------------------------------------------------ whose items they are, and how old


def test_another_customers_or_another_accounts_item_never_counts() -> None:
    assert ask(mirrored(replace(MONTHLY, customer_id="cus_2"))).reason is Reason.NO_SUBSCRIPTION
    foreign = mirrored(account="acct_2")
    assert ask(foreign, account="acct_1").reason is Reason.NO_SUBSCRIPTION
    assert ask(foreign, account="acct_2").granted
    assert ask(foreign).granted
    assert ask(mirrored(), account="acct_1").granted


def test_an_item_that_an_earlier_version_wrote_is_understood() -> None:
    """Without any beginnings; `settling` is when the pause, and the overdue payment, were seen."""
    paused = mirrored(replace(MONTHLY, pause_collection=VOID), Beginnings(), settling=day("10 Feb"))
    assert (ask(paused, on="20 Feb").reason, shown(ask(paused, on="20 Feb").until)) == ("paid_time_unknown", "1 Mar")
    overdue = mirrored(replace(MONTHLY, status="past_due"), Beginnings(), settling=day("1 Apr"))
    assert shown(ask(overdue).until) == "15 Apr"
    bare = mirrored(Subscription("sub_1", "cus_1", "active", livemode=False), Beginnings())
    assert ask(bare).granted


def test_a_clock_that_is_behind_the_mirror_opens_nothing_that_has_closed() -> None:
    closed = replace(PAUSED, as_of=day("2 Mar"))
    assert not ask(closed, on="1 Feb").granted
    assert ask(closed, on="1 Feb").until is None


def test_the_answer_is_plain_json() -> None:
    answer = ask(mirrored())
    assert json.loads(json.dumps(answer.as_json())) == {
        "customer_id": "cus_1",
        "granted": True,
        "reason": "active",
        "until": None,
        "subscriptions": [
            {"subscription_id": "sub_1", "granted": True, "reason": "active", "until": None, "products": {"prod_1": 2}}
        ],
    }


# ------------------------------------------------------------------ what holds whatever happens

# Days since the epoch, few enough for boundaries to meet.
days = st.integers(0, 70).map(lambda number: number * DAY)
maybe_days = st.none() | days


@st.composite
def subscriptions(draw: st.DrawFn, number: int) -> MirroredSubscription:
    behavior = draw(st.none() | st.sampled_from(BEHAVIORS))
    end = draw(maybe_days)
    subscription = Subscription(
        f"sub_{number}",
        "cus_1",
        draw(st.sampled_from(STATUSES)),
        livemode=False,
        created=draw(maybe_days),
        cancel_at=draw(maybe_days),
        cancel_at_period_end=draw(st.booleans()),
        ended_at=draw(maybe_days),
        pause_collection=PauseCollection(behavior, draw(maybe_days)) if behavior else None,
        current_period_end=end,
        cancellation_reason=draw(st.sampled_from([None, "cancellation_requested", "payment_failed"])),
        items=(SubscriptionItem("si_1", product_id="prod_1", interval="week", current_period_end=end),),
    )
    beginnings = Beginnings(
        paused_since=draw(maybe_days),
        paused_since_exact=draw(st.booleans()),
        past_due_since=draw(maybe_days),
        paid_through=draw(maybe_days),
    )
    return MirroredSubscription(subscription, draw(days), 1, beginnings=beginnings, settling=draw(maybe_days))


customers = st.tuples(subscriptions(1), subscriptions(2)).flatmap(lambda both: st.sampled_from([both, both[:1]]))
rules = st.sampled_from(["keep", "paid_period", "stop"])
policies = st.builds(
    AccessPolicy,
    access_collection_void=rules,
    access_collection_keep_as_draft=rules,
    access_paused=st.sampled_from(["keep", "stop"]),
    access_past_due_days=st.integers(0, 20),
    access_unpaid=st.sampled_from(["keep", "grace", "stop"]),
    access_canceled=st.sampled_from(["paid_period", "stop"]),
    access_if_unknown=st.sampled_from(["grant", "deny"]),
)


@settings(max_examples=100, deadline=None)
@given(customers, policies)
def test_time_alone_changes_an_answer_only_at_the_boundary_that_it_named(
    items: tuple[MirroredSubscription, ...], policy: AccessPolicy
) -> None:
    """Asked every day, until after every time in the items."""
    moments = range(0, 100 * DAY, DAY)
    whole = {now: customer_access("cus_1", items, now=now, policy=policy) for now in moments}
    single = {now: subscription_access(items[0], now=now, policy=policy) for now in moments}
    for answers in (whole, single):
        for now, then in pairwise(moments):
            before, after = answers[now], answers[then]
            has_changed = (before.granted, before.reason) != (after.granted, after.reason)
            assert has_changed == (before.until is not None and before.until <= then)
            assert has_changed or before.until == after.until
            assert before.until is None or before.until > now


@settings(max_examples=50, deadline=None)
@given(customers, policies, days)
def test_the_order_of_the_items_does_not_matter(
    items: tuple[MirroredSubscription, ...], policy: AccessPolicy, now: int
) -> None:
    assert customer_access("cus_1", items, now=now, policy=policy) == customer_access(
        "cus_1", reversed(items), now=now, policy=policy
    )


MONTHS = [day(f"1 {name}") for name in ("Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep")]


@settings(deadline=None)
@given(
    rolled=st.sampled_from(MONTHS[1:]),
    now=st.sampled_from(MONTHS),
    exact=st.booleans(),
    paid_through=st.sampled_from([None, day("1 Mar")]),
)
def test_paid_time_stays_frozen_while_stripe_lets_the_period_roll_on(
    *, rolled: int, now: int, exact: bool, paid_through: int | None
) -> None:
    """However long the pause lasts, the answer is the one that the item of its first day gave."""
    known = replace(SEEN_PAUSE, paused_since_exact=exact, paid_through=paid_through)

    def answer(period_end: int) -> CustomerAccess:
        items = (replace(MONTHLY.items[0], current_period_end=period_end),)
        paused = replace(MONTHLY, pause_collection=VOID, current_period_end=period_end, items=items)
        item = MirroredSubscription(paused, day("10 Feb"), 1, beginnings=known)
        return customer_access("cus_1", [item], now=now, policy=DEFAULT)

    assert answer(rolled) == answer(day("1 Mar"))


# ------------------------------------------------------------------ the same events in another order


def raw(status: str, period_end: str, behavior: str | None = None) -> dict[str, Any]:
    item = {
        "id": "si_1",
        "quantity": 1,
        "price": {"id": "price_1", "product": "prod_1", "recurring": {"interval": "month"}},
        "current_period_end": day(period_end),
    }
    return {
        "id": "sub_1",
        "customer": "cus_1",
        "status": status,
        "livemode": False,
        "created": day("1 Jan"),
        "pause_collection": {"behavior": behavior, "resumes_at": None} if behavior else None,
        "items": {"data": [item]},
    }


HISTORIES = {
    "a pause whose period rolls on": [
        ("1 Jan", raw("active", "1 Feb")),
        ("1 Feb", raw("active", "1 Mar")),
        ("10 Feb", raw("active", "1 Mar", "void")),
        ("1 Mar", raw("active", "1 Apr", "void")),
        ("1 Apr", raw("active", "1 May", "void")),
    ],
    "a payment that is retried": [
        ("1 Feb", raw("active", "1 Mar")),
        ("1 Mar", raw("past_due", "1 Apr")),
        ("4 Mar", raw("past_due", "1 Apr") | {"metadata": {"retry": "1"}}),
        ("7 Mar", raw("past_due", "1 Apr") | {"metadata": {"retry": "2"}}),
        ("20 Mar", raw("unpaid", "1 Apr")),
    ],
    "a pause that ends, and another": [
        ("10 Jan", raw("active", "1 Feb", "void")),
        ("1 Feb", raw("active", "1 Mar", "void")),
        ("10 Mar", raw("active", "1 Apr")),
        ("20 Mar", raw("active", "1 Apr", "void")),
        ("1 Apr", raw("active", "1 May", "void")),
    ],
    "an end": [
        ("1 Jan", raw("trialing", "1 Feb")),
        ("1 Feb", raw("active", "1 Mar")),
        ("1 Mar", raw("past_due", "1 Apr")),
        ("15 Mar", raw("canceled", "1 Apr") | {"ended_at": day("15 Mar")}),
    ],
}


def events_of(history: list[tuple[str, dict[str, Any]]]) -> list[SubscriptionEvent]:
    """As Stripe sends them: each with what it changed."""
    events = []
    before: dict[str, Any] = {}
    for number, (on, state) in enumerate(history):
        previous = {name: value for name, value in before.items() if value != state.get(name)}
        body = {
            "id": f"evt_{number}",
            "object": "event",
            "type": f"customer.subscription.{'updated' if number else 'created'}",
            "created": day(on),
            "livemode": False,
            "data": {"object": state, "previous_attributes": previous},
        }
        event = read_event(json.dumps(body).encode())
        assert isinstance(event, SnapshotEvent)
        events.append(subscription_event(event))
        before = state
    return events


def never_read(subscription_id: str) -> SubscriptionRead:
    raise AssertionError(f"{subscription_id}: the events are far enough apart to be ordered by their times")


def answers_after(events: Iterable[SubscriptionEvent]) -> list[CustomerAccess]:
    table = FakeTable()
    mirror = Mirror(table, never_read, uncertainty=timedelta(seconds=10), retention=timedelta(days=400))
    for event in events:
        assert mirror.apply(event, now=day("2 Apr")) is not Outcome.QUEUED
    asked = range(day("2 Apr") - 100 * DAY, day("2 Apr") + 60 * DAY, 4 * DAY)
    return [customer_access("cus_1", table.items.values(), now=now, policy=LENIENT) for now in asked]


# So that as many times as can be count.
LENIENT = AccessPolicy(access_unpaid="grace", access_canceled="paid_period", access_past_due_days=25)


@pytest.mark.parametrize("history", HISTORIES)
def test_no_order_of_the_same_events_changes_an_answer(history: str) -> None:
    events = events_of(HISTORIES[history])
    expected = answers_after(events)
    for order in permutations(events):
        assert answers_after(order) == expected, [event.id for event in order]
    assert answers_after([*events, *events]) == expected


def test_a_retry_of_an_overdue_payment_does_not_extend_the_grace() -> None:
    events = events_of(HISTORIES["a payment that is retried"])
    table = FakeTable()
    mirror = Mirror(table, never_read, uncertainty=timedelta(seconds=10), retention=timedelta(days=400))
    ends = []
    for event in events[1:4]:
        mirror.apply(event, now=day("8 Mar"))
        answer = customer_access("cus_1", table.items.values(), now=event.created, policy=DEFAULT)
        ends.append((answer.granted, shown(answer.until)))
    assert ends == [(True, "15 Mar")] * 3
