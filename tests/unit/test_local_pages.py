"""What the demo's pages say about a subscription."""

from dataclasses import replace
from typing import Any

import pytest

from local.site.pages import detail, price, state, tone
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem

ACTIVE = Subscription("sub_1", "cus_1", "active", livemode=False)
ITEM = SubscriptionItem("si_1", unit_amount_decimal="2900", currency="eur", interval="month")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ("active", "", "good")),
        ({"status": "past_due"}, ("past due", "", "bad")),
        ({"cancel_at": 1720000000}, ("active", "ends 2024-07-03", "bad")),
        ({"status": "canceled"}, ("canceled", "", "over")),
        (
            {"status": "paused", "paused_reason": "pause_requested"},
            ("paused", "on request", "wait"),
        ),
        ({"status": "paused", "paused_reason": "system"}, ("paused", "system", "wait")),
        (
            {"pause_collection": PauseCollection("void")},
            ("active, collection paused", "invoices voided, without an end", "wait"),
        ),
        (
            {"pause_collection": PauseCollection("keep_as_draft", 1720000000)},
            ("active, collection paused", "invoices kept as drafts, until 2024-07-03", "wait"),
        ),
        # What ends while it is paused says both, or the control room would show no sign of the later change.
        (
            {"pause_collection": PauseCollection("void"), "cancel_at": 1720000000},
            ("active, collection paused", "invoices voided, without an end; the subscription ends 2024-07-03", "wait"),
        ),
        (
            {"status": "paused", "paused_reason": "pause_requested", "cancel_at": 1720000000},
            ("paused", "on request; the subscription ends 2024-07-03", "wait"),
        ),
        ({"status": "canceled", "pause_collection": PauseCollection("void"), "cancel_at": 1}, ("canceled", "", "over")),
    ],
)
def test_a_state_is_told_in_words_and_colour(changes: dict[str, Any], words: tuple[str, str, str]) -> None:
    subscription = replace(ACTIVE, **changes)
    assert (state(subscription), detail(subscription), tone(subscription)) == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "29.00 EUR a month"),
        ({"quantity": 3}, "3 x 29.00 EUR a month"),
        ({"quantity": 1200, "usage_type": "licensed"}, "1,200 x 29.00 EUR a month"),
        ({"quantity": None}, "29.00 EUR a month"),
        ({"currency": "jpy"}, "2,900 JPY a month"),
        ({"interval_count": 3}, "29.00 EUR every 3 months"),
        ({"usage_type": "metered"}, "29.00 EUR a month, metered"),
        ({"unit_amount_decimal": None}, "price not known"),
    ],
)
def test_a_price_is_told_in_words(changes: dict[str, Any], words: str) -> None:
    assert price(replace(ITEM, **changes)) == words
