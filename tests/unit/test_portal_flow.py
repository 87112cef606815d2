"""What a link may name is what Stripe's own library names."""

from typing import Any, Literal, NotRequired, get_args, get_origin

import pytest
from stripe.params import billing_portal, checkout

from local.stripe_simulator.parameters import _fields
from shared.i18n import CHECKOUT_LOCALES, PORTAL_LOCALES, stripe_locale
from shared.link_token import AfterCompletion, Flow


def words(shape: type, name: str) -> set[str]:
    """The words that the library lists for a parameter."""
    hint: Any = _fields(shape)[name]
    if get_origin(hint) is NotRequired:
        (hint,) = get_args(hint)
    return {word for member in get_args(hint) if get_origin(member) is Literal for word in get_args(member)}


def test_every_flow_and_what_may_follow_it() -> None:
    assert set(get_args(Flow)) == words(billing_portal.SessionCreateParamsFlowData, "type")
    assert set(get_args(AfterCompletion)) == words(billing_portal.SessionCreateParamsFlowDataAfterCompletion, "type")


def test_every_language() -> None:
    assert set(PORTAL_LOCALES) == words(billing_portal.SessionCreateParams, "locale")
    assert set(CHECKOUT_LOCALES) <= words(checkout.SessionCreateParams, "locale")


@pytest.mark.parametrize(
    ("wishes", "found"),
    [
        ((), None),
        ((None, ""), None),
        (("fr-BE", "de"), "fr"),
        ((None, "xx", "de-CH"), "de"),
        (("auto", "de"), None),
        (("*",), None),
        (("xx;q=1, es-419;q=0.5, *;q=0.1",), "es-419"),
        (("en-AU",), "en-AU"),
        (("<script>",), None),
    ],
)
def test_the_first_wish_that_can_be_granted_is(wishes: tuple[str | None, ...], found: str | None) -> None:
    assert stripe_locale(wishes) == found


def test_checkout_has_less_english() -> None:
    assert stripe_locale(("en-AU",), CHECKOUT_LOCALES) == "en"
