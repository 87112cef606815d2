"""A portal configuration as Stripe's answers of every age show it."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.portal.configuration import Configuration

ON = {"enabled": True}
SHOWN: dict[str, Any] = {
    "id": "bpc_1",
    "object": "billing_portal.configuration",
    "active": True,
    "is_default": True,
    "business_profile": {"headline": None, "privacy_policy_url": "https://a.example/p", "terms_of_service_url": ""},
    "login_page": {"enabled": True, "url": "https://billing.stripe.com/p/login/test_1"},
    "metadata": {"portal_yaml": "team"},
    "features": {
        "customer_update": {**ON, "allowed_updates": ["email"]},
        "subscription_cancel": {
            **ON,
            "mode": "immediately",
            "cancellation_reason": {**ON, "feedback_options": None, "options": ["other"]},
        },
        "subscription_update": {
            **ON,
            "default_allowed_updates": ["price"],
            "products": [
                {
                    "product": "prod_1",
                    "prices": ["price_1", "price_2"],
                    "adjustable_quantity": {"enabled": False, "maximum": None, "minimum": 0},
                }
            ],
            "schedule_at_period_end": {"conditions": [{"type": "shortening_interval"}]},
        },
    },
}


def update(**changes: Any) -> dict[str, Any]:
    return {"features": {"subscription_update": {**ON, **changes}}}


def test_an_answer_is_read_whole() -> None:
    read = Configuration.from_stripe(SHOWN)
    assert (read.active, read.default, read.login_page.enabled) == (True, True, True)
    assert read.business_profile.model_dump(exclude_none=True) == {"privacy_policy_url": "https://a.example/p"}
    assert read.features.customer_update.allowed_updates == ("email",)
    assert read.features.subscription_cancel.mode == "immediately"
    assert read.features.subscription_cancel.cancellation_reason.options == ("other",)
    (product,) = read.features.subscription_update.products or ()
    assert [each.price for each in product.prices] == ["price_1", "price_2"]
    assert not read.features.payment_method_update.enabled


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"features": None},
        {"features": {"subscription_update": None, "subscription_pause": None}},
        {"features": {"subscription_update": {}, "subscription_pause": {}, "subscription_cancel": {"mode": "x"}}},
        {"features": {"subscription_update": {"enabled": False, "products": None, "default_allowed_updates": None}}},
    ],
)
def test_a_feature_that_is_absent_is_off(raw: dict[str, Any]) -> None:
    read = Configuration.from_stripe(raw)
    assert [name for name in type(read.features).model_fields if getattr(read.features, name).enabled] == []
    assert (read.active, read.default) == (True, False)


def test_products_that_stripe_left_out_are_not_taken_for_none() -> None:
    assert Configuration.from_stripe(update()).features.subscription_update.products is None
    empty: Any
    for empty in ("", None, []):
        assert Configuration.from_stripe(update(products=empty)).features.subscription_update.products == ()


@pytest.mark.parametrize(
    ("feature", "old"),
    [
        (ON, True),
        ({**ON, "duration": None}, True),
        ({"enabled": False}, False),
        ({**ON, "duration": {"type": "indefinite", "interval_options": None}}, False),
        ({**ON, "duration": {"type": "a_type_of_tomorrow"}}, False),
    ],
)
def test_the_old_pause_is_the_one_without_a_duration(feature: Any, *, old: bool) -> None:
    read = Configuration.from_stripe({"features": {"subscription_pause": feature}})
    assert read.features.subscription_pause.is_old_form is old


def test_what_stripe_adds_later_changes_nothing_else() -> None:
    known = Configuration.from_stripe(SHOWN)
    added = deepcopy(SHOWN)
    added["features"]["feature_of_tomorrow"] = ON
    added["features"]["subscription_update"]["products"][0]["key_of_tomorrow"] = [1]
    added["business_profile"]["logo"] = {"url": "x"}
    assert Configuration.from_stripe(added) == known
    added["features"]["customer_update"]["allowed_updates"].append("word_of_tomorrow")
    assert Configuration.from_stripe(added).features.customer_update.allowed_updates == ("email", "word_of_tomorrow")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for key, item in inner for found in [(*path, key), *_paths(item, (*path, key))]]


@given(path=st.sampled_from(_paths(SHOWN)), value=_JSON)
def test_no_value_of_any_type_stops_the_reading(path: tuple[Any, ...], value: Any) -> None:
    broken = deepcopy(SHOWN)
    around = broken
    for part in path[:-1]:
        around = around[part]
    around[path[-1]] = value
    before = deepcopy(broken)
    Configuration.from_stripe(broken)
    assert broken == before


def test_the_prices_of_the_account_say_more_than_their_ids() -> None:
    recurring = {"interval": "month", "interval_count": 3}
    raw: dict[str, Any] = {
        "price_1": {"id": "price_1", "currency": "eur", "recurring": recurring},
        "price_2": {"recurring": None},
    }
    priced = Configuration.from_stripe(SHOWN).with_prices(raw.__getitem__)
    (product,) = priced.features.subscription_update.products or ()
    assert [(each.price, each.interval, each.interval_count, each.currency) for each in product.prices] == [
        ("price_1", "month", 3, "eur"),
        ("price_2", None, 1, None),
    ]
    unread = Configuration.from_stripe(update())
    assert unread.with_prices(raw.__getitem__) == unread
