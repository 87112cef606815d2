"""What the portal offers and why not, decided from plain data."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.portal.changes import allows_quantity, cancellation, choices, plan_change
from shared.portal.configuration import Configuration, Features
from shared.portal.explain import Explanation
from shared.portal.facts import Answer, PortalFacts, Price
from shared.portal.pause import pausing, resuming
from shared.portal.payment_methods import SUPPORTED, Support, removal
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem
from tests.fakes import subscription

ON = {"enabled": True}
UPDATE: dict[str, Any] = {
    **ON,
    "default_allowed_updates": ["price", "quantity"],
    "products": [{"product": "prod_1", "prices": ["price_1", "price_2"]}],
}
MONTH = {"type": "interval_options", "interval_options": [{"interval": "month", "interval_count": 1}]}


def features(**changes: Any) -> Features:
    """Every feature that the rules ask for, as Stripe shows it, with some changed."""
    shown = {
        "subscription_cancel": ON,
        "subscription_update": UPDATE,
        "payment_method_update": ON,
        "subscription_pause": {**ON, "duration": MONTH},
        **changes,
    }
    return Configuration.from_stripe({"features": shown}).features


EVERYTHING = features()
OLD_BUTTON = features(subscription_pause=ON)
NOW_PRICE, NEXT_PRICE = (Price(name, "prod_1", "eur", "exclusive") for name in ("price_1", "price_2"))
ITEM = SubscriptionItem("si_1", "price_1", "prod_1", 1, "2900", "eur", "month")
BUTTON, RESUME_ONLY, NOTHING, TODAY = (
    datetime(*day, 12, tzinfo=UTC) for day in ((2024, 3, 28), (2024, 3, 29), (2024, 8, 1), (2026, 10, 28))
)


def plain(status: str = "active", **changes: Any) -> Subscription:
    wanted: dict[str, Any] = {
        "items": (ITEM,),
        "billing_mode": "flexible",
        "collection_method": "charge_automatically",
        **changes,
    }
    return subscription(status, **wanted)


def facts(held: Subscription | None = None, **changes: Any) -> PortalFacts:
    usual: dict[str, Any] = {
        "features": EVERYTHING,
        "now": TODAY,
        "current": NOW_PRICE,
        "offered": (NOW_PRICE, NEXT_PRICE),
        "charged": "card",
        "payment_methods": 2,
        **changes,
    }
    return PortalFacts(held or plain(), **usual)


def codes(answer: Answer) -> list[str]:
    return [reason.code for reason in answer.reasons]


def test_a_plain_subscription_can_be_changed_cancelled_and_paused() -> None:
    given = facts()
    assert (plan_change(given).possible, cancellation(given).possible, pausing(given).possible) == (True, True, True)
    assert [price.id for price in choices(given)] == ["price_2"]
    assert removal(given).possible


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"items": (ITEM, ITEM)}, "several_items"),
        ({"items": (replace(ITEM, usage_type="metered"),)}, "metered"),
        ({"collection_method": "send_invoice"}, "send_invoice"),
    ],
)
def test_what_can_only_be_cancelled_is_told_with_its_reason(changes: dict[str, Any], code: str) -> None:
    given = facts(plain(**changes))
    assert codes(plan_change(given)) == [code]
    assert cancellation(given).possible
    without_pause = replace(given, features=features(subscription_pause=None))
    assert "can only cancel" in Explanation(without_pause).summary.say("en")
    assert "seulement résilier" in Explanation(without_pause).summary.say("fr")


def test_nobody_is_told_that_only_cancelling_is_left_who_can_pause_or_resume() -> None:
    several = Explanation(facts(plain(items=(ITEM, ITEM))))
    assert pausing(several.facts).possible
    assert "can cancel or pause this subscription, but not change its plan" in several.summary.say("en")
    assert "résilier ou mettre en pause" in several.summary.say("fr")
    paused = Explanation(facts(plain("paused")))
    assert resuming(paused.facts).possible
    assert "can cancel or resume this subscription, but not change its plan" in paused.summary.say("en")
    assert "résilier ou reprendre" in paused.summary.say("fr")


@pytest.mark.parametrize("status", ["active", "past_due", "trialing", "paused", "unpaid", "incomplete", "canceled"])
@pytest.mark.parametrize("moment", [BUTTON, RESUME_ONLY, NOTHING, TODAY])
@pytest.mark.parametrize("configured", [EVERYTHING, OLD_BUTTON, features(subscription_cancel=None)])
def test_the_headline_never_contradicts_the_list(status: str, moment: datetime, configured: Features) -> None:
    void, planned = PauseCollection("void", None), {"schedule_id": "sub_sched_1"}
    for changes in ({}, {"items": (ITEM, ITEM)}, {"pause_collection": void}, planned, {"billing_mode": "classic"}):
        held = plain(status, **changes)
        explanation = Explanation(facts(held, now=moment, features=configured))
        said = explanation.summary.say("en").partition("the customer ")[2]
        change, cancel, pause, resume, _ = (each.possible for each in explanation.answers)
        assert said.startswith("can change") == change, said
        assert (said.startswith(("can cancel", "can only cancel")) or "change and cancel" in said) == cancel, said
        if "only cancel" in said:
            assert not pause, said
            assert not resume, said
        assert ("cancel or pause" in said) <= pause
        assert ("cancel or resume" in said) <= resume


def test_every_reason_is_told_not_only_the_first() -> None:
    metered = replace(ITEM, usage_type="metered")
    given = facts(plain(items=(metered, metered), collection_method="send_invoice"), charged="klarna")
    assert codes(plan_change(given)) == ["several_items", "metered", "send_invoice", "unsupported_payment_method"]


@pytest.mark.parametrize("planned", [True, None])
def test_a_planned_update_forbids_both_and_an_unread_schedule_counts_as_one(*, planned: bool | None) -> None:
    given = facts(plain(schedule_id="sub_sched_1"), update_is_planned=planned)
    assert codes(plan_change(given)) == codes(cancellation(given)) == ["scheduled_update"]
    assert "neither change nor cancel" in Explanation(given).summary.say("en")
    assert bool(plan_change(given).notes) == (planned is None)


def test_a_schedule_that_plans_nothing_more_stands_in_nobodys_way_but_the_pauses() -> None:
    given = facts(plain(schedule_id="sub_sched_1"), update_is_planned=False)
    assert (plan_change(given).possible, cancellation(given).possible) == (True, True)
    assert "plans no further update" in plan_change(given).notes[0].say("en")
    assert codes(pausing(given)) == ["schedule"]


def test_the_tax_behavior_decides_what_there_is_to_choose() -> None:
    other = replace(NEXT_PRICE, tax_behavior="inclusive")
    only_prices = features(subscription_update={**UPDATE, "default_allowed_updates": ["price"]})
    assert codes(plan_change(facts(features=only_prices, offered=(NOW_PRICE, other)))) == ["no_other_price"]
    unspecified = replace(NOW_PRICE, tax_behavior="unspecified")
    twin = replace(NEXT_PRICE, tax_behavior="unspecified")
    assert codes(plan_change(facts(current=unspecified, offered=(unspecified, twin)))) == ["tax_behavior_unspecified"]
    assert choices(facts(current=unspecified, offered=(unspecified, twin))) == ()


def test_a_product_that_is_not_on_offer_has_no_quantity_to_change_and_no_way_back() -> None:
    elsewhere = replace(NOW_PRICE, product_id="prod_old")
    given = facts(current=elsewhere)
    assert not allows_quantity(given)
    assert "not among those on offer" in plan_change(given).notes[0].say("en")


def test_prices_that_nobody_read_are_said_to_be_unknown() -> None:
    answer = plan_change(facts(offered=None))
    assert answer.possible
    assert "were not read" in answer.notes[0].say("en")


@pytest.mark.parametrize(("continues", "words"), [(False, "bills at once"), (True, "goes on")])
def test_a_change_in_a_trial_ends_it_or_not(*, continues: bool, words: str) -> None:
    behavior = "continue_trial" if continues else "end_trial"
    given = features(subscription_update={**UPDATE, "trial_update_behavior": behavior})
    answer = plan_change(facts(plain("trialing"), features=given))
    assert answer.possible
    assert words in answer.notes[0].say("en")


def test_what_the_configuration_does_not_offer_is_the_teams_own_reason() -> None:
    given = facts(features=Features())
    assert codes(plan_change(given)) == ["subscription_update_off"]
    assert codes(cancellation(given)) == ["subscription_cancel_off"]
    assert codes(pausing(given)) == ["subscription_pause_off"]
    assert [each.limits for each in Explanation(given).answers] == [()] * 3 + [resuming(given).reasons, ()]
    idle = features(subscription_update={**UPDATE, "default_allowed_updates": ["promotion_code"]})
    assert codes(plan_change(facts(features=idle)))[0] == "nothing_allowed"


@pytest.mark.parametrize("status", ["canceled", "incomplete_expired"])
def test_nothing_is_offered_for_what_has_ended(status: str) -> None:
    given = facts(plain(status))
    assert {tuple(codes(each)) for each in Explanation(given).answers[:4]} == {("ended",)}
    assert "no access" in Explanation(given).access.say("en")


@pytest.mark.parametrize("status", ["paused", "unpaid", "incomplete", "a_status_of_tomorrow"])
def test_a_status_that_stripe_says_nothing_of_promises_nothing(status: str) -> None:
    assert "status" in codes(plan_change(facts(plain(status))))


@pytest.mark.parametrize(
    ("now", "may_pause", "may_resume"),
    [(BUTTON, True, True), (RESUME_ONLY, False, True), (NOTHING, False, False), (TODAY, False, False)],
)
def test_the_old_button_went_in_two_steps(now: datetime, *, may_pause: bool, may_resume: bool) -> None:
    suspended = plain(pause_collection=PauseCollection("void"))
    assert pausing(facts(features=OLD_BUTTON, now=now)).possible is may_pause
    assert resuming(facts(suspended, features=OLD_BUTTON, now=now)).possible is may_resume
    if not may_resume:
        text = resuming(facts(suspended, features=OLD_BUTTON, now=now)).reasons[0].text
        assert "Only the team can resume it" in text.say("en")


def test_the_cutoff_is_a_day_of_utc_whatever_zone_now_is_in() -> None:
    suspended = plain(pause_collection=PauseCollection("void"))
    eve = datetime.fromisoformat("2024-08-01T01:59:59+02:00")
    assert resuming(facts(suspended, features=OLD_BUTTON, now=eve)).possible
    assert not resuming(
        facts(suspended, features=OLD_BUTTON, now=datetime.fromisoformat("2024-08-01T02:00+02:00"))
    ).possible


def test_the_pause_of_today_came_in_october_2026() -> None:
    eve = datetime(2026, 10, 27, 23, 59, tzinfo=UTC)
    assert codes(pausing(facts(now=eve))) == ["pause_not_yet"]
    assert pausing(facts(now=TODAY)).possible
    paused = plain("paused", paused_reason="pause_requested")
    assert codes(resuming(facts(paused, now=eve))) == ["pause_not_yet"]
    assert resuming(facts(paused)).possible


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": "trialing"}, "trial"),
        ({"billing_mode": "classic"}, "classic_billing_mode"),
        ({"billing_mode": None}, "classic_billing_mode"),
        ({"collection_method": "send_invoice"}, "send_invoice"),
        ({"status": "unpaid"}, "status"),
    ],
)
def test_what_stripe_would_not_pause_is_told(changes: dict[str, Any], code: str) -> None:
    assert codes(pausing(facts(plain(**changes)))) == [code]


def test_a_pause_of_collection_is_not_ended_by_the_feature_of_today() -> None:
    suspended = plain(pause_collection=PauseCollection("void"))
    assert codes(resuming(facts(suspended))) == ["resume_cutoff"]
    assert codes(resuming(facts(suspended, now=RESUME_ONLY))) == ["no_old_button"]
    assert "serves it for free" in Explanation(facts(suspended)).access.say("en")


def test_a_pause_of_collection_that_is_over_is_none() -> None:
    over = plain(pause_collection=PauseCollection("void", int(TODAY.timestamp()) - 1))
    assert codes(resuming(facts(over))) == ["not_paused"]
    assert "looks only at the status grants access." in Explanation(facts(over)).access.say("en")


def test_a_pause_that_nobody_asked_for_is_not_promised_to_end_in_the_portal() -> None:
    given = facts(plain("paused", paused_reason="trial_end_without_payment_method"))
    assert codes(resuming(given)) == ["not_on_request"]
    assert "the service should stop" in Explanation(given).access.say("en")


def test_a_real_pause_of_a_subscription_paid_by_invoice_cannot_be_resumed_by_the_customer() -> None:
    paused = plain("paused", paused_reason="pause_requested", collection_method="send_invoice")
    assert codes(resuming(facts(paused))) == ["send_invoice"]


@pytest.mark.parametrize(
    ("known", "lives", "code"),
    [(1, True, "last_payment_method"), (0, True, "no_payment_method"), (1, False, None), (2, True, None)],
)
def test_the_last_payment_method_stays_while_a_subscription_lives(known: int, code: str | None, *, lives: bool) -> None:
    assert codes(removal(facts(payment_methods=known, has_live_subscription=lives))) == ([code] if code else [])


def test_a_count_of_payment_methods_that_nobody_read_is_said_to_be_unknown() -> None:
    assert "was not read" in removal(facts(payment_methods=None)).notes[0].say("en")


def test_each_payment_method_is_supported_where_stripe_says_so() -> None:
    told = {each.type: [each.in_country(country) for country in ("US", "au", "FR", None)] for each in SUPPORTED}
    yes, no, unknown = Support.YES, Support.NO, Support.UNKNOWN
    assert told["card"] == told["link"] == [yes] * 4
    assert told["us_bank_account"] == [yes, no, no, unknown]
    assert told["au_becs_debit"] == [no, yes, no, unknown]
    assert told["sepa_debit"] == told["bacs_debit"] == [yes, yes, yes, unknown]
    assert told["acss_debit"] == [yes, no, no, unknown]
    assert told["paypal"] == [no, no, yes, unknown]
    assert told["amazon_pay"] == [yes, no, yes, unknown]


def test_a_planned_end_can_be_taken_back() -> None:
    answer = cancellation(facts(plain(cancel_at=1_796_083_200)))
    assert answer.possible
    assert "1 December 2026" in answer.notes[0].say("en")


def test_every_text_speaks_both_languages() -> None:
    busy = facts(plain("trialing", schedule_id="sub_sched_1", items=(ITEM, ITEM)), charged="klarna", payment_methods=1)
    for answer in Explanation(busy).answers:
        for reason in answer.reasons:
            assert reason.text.say("en") != reason.text.say("fr")
            assert " :" not in reason.text.say("fr")
