from typing import Any
from urllib.parse import parse_qsl

import pytest
import stripe.params as api
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe import _encode

from local.stripe_simulator import api as simulator_api
from local.stripe_simulator import parameters, versions
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.parameters import decode, from_json
from local.stripe_simulator.portal import configurations as portal_configurations
from local.stripe_simulator.simulator import IdempotencyKeys, StoredResponse

WORDS = st.text("abc", min_size=1, max_size=3)
TREES = st.recursive(
    WORDS,
    lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(WORDS, inner, min_size=1, max_size=2),
    max_leaves=6,
)


def as_tree(value: Any) -> Any:
    """Lists as hashes by position, which is how they travel."""
    if isinstance(value, list):
        return {str(position): as_tree(item) for position, item in enumerate(value)}
    return {key: as_tree(item) for key, item in value.items()} if isinstance(value, dict) else value


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(WORDS, TREES, max_size=2))
def test_what_the_library_encodes_is_read_back(params: dict[str, Any]) -> None:
    pairs = [(name, str(value)) for name, value in _encode._api_encode(params)]
    assert decode(pairs) == as_tree(params) == from_json(params)


def test_empty_brackets_take_the_next_place() -> None:
    assert decode(parse_qsl("a[]=1&a[]=2")) == {"a": {"0": "1", "1": "2"}}
    pairs = parse_qsl("items[][price]=p&items[][quantity]=1&items[][price]=q")
    assert decode(pairs) == {"items": {"0": {"price": "p", "quantity": "1"}, "1": {"price": "q"}}}


def test_json_becomes_the_same_words_as_a_form() -> None:
    assert from_json({"a": True, "b": None, "c": 1, "d": ["x"]}) == {"a": "true", "b": "", "c": "1", "d": {"0": "x"}}


@pytest.mark.parametrize(
    ("shape", "query", "expected"),
    [
        (api.SubscriptionUpdateParams, "cancel_at=123", {"cancel_at": 123}),
        (api.SubscriptionUpdateParams, "cancel_at=", {"cancel_at": ""}),
        (api.SubscriptionUpdateParams, "cancel_at=min_period_end", {"cancel_at": "min_period_end"}),
        (api.SubscriptionUpdateParams, "trial_end=now", {"trial_end": "now"}),
        (api.SubscriptionUpdateParams, "pause_collection=", {"pause_collection": ""}),
        (api.SubscriptionListParams, "created[gte]=5&limit=3", {"created": {"gte": 5}, "limit": 3}),
        (api.SubscriptionListParams, "created=5", {"created": 5}),
        (api.CustomerCreateParams, "metadata[a]=b", {"metadata": {"a": "b"}}),
        (api.CustomerUpdateParams, "metadata=", {"metadata": ""}),
        (
            api.EventListParams,
            "types[]=a&types[]=b&delivery_success=false",
            {"types": ["a", "b"], "delivery_success": False},
        ),
        (
            api.PriceCreateParams,
            "currency=eur&unit_amount_decimal=0.5",
            {"currency": "eur", "unit_amount_decimal": "0.5"},
        ),
    ],
)
def test_words_become_what_the_library_says_they_are(shape: type, query: str, expected: dict[str, Any]) -> None:
    assert parameters.check(decode(parse_qsl(query, keep_blank_values=True)), shape) == expected


@pytest.mark.parametrize(
    ("shape", "query", "message"),
    [
        (api.SubscriptionListParams, "limit=many", "Invalid integer: many"),
        (api.SubscriptionListParams, "created[since]=1", "Received unknown parameter: created[since]"),
        (api.SubscriptionUpdateParams, "items=x", "Invalid array"),
        (api.SubscriptionUpdateParams, "trial_settings=", "Invalid object"),
        (api.SubscriptionUpdateParams, "description[a]=x", "Invalid string: {'a': 'x'}"),
        (api.SubscriptionUpdateParams, "cancel_at_period_end=yes", "Invalid boolean: yes"),
        (api.SubscriptionUpdateParams, "cancel_at=soon", "Invalid cancel_at: must be one of"),
        (api.WebhookEndpointCreateParams, "url=x", "Missing required param: enabled_events."),
        (api.ProductCreateParams, "name=a&stripe_account=acct_1", "Received unknown parameter: stripe_account"),
    ],
)
def test_what_does_not_fit_is_refused_in_stripes_words(shape: type, query: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        parameters.check(decode(parse_qsl(query, keep_blank_values=True)), shape)
    assert caught.value.message.startswith(message)


def test_every_route_has_parameters_that_can_be_read() -> None:
    for route in simulator_api.ROUTES:
        fields = parameters._fields(route.shape)
        assert "expand" in fields or route.version == "v2" or route.method == "DELETE" or "detach" in route.path


def test_routes_are_found_by_method_and_whole_address() -> None:
    found = simulator_api.find("POST", "/v1/subscriptions/sub_1/pause")
    assert found is not None
    assert (found.route.name, found.ids) == ("POST /v1/subscriptions/{id}/pause", {"id": "sub_1"})
    assert simulator_api.find("GET", "/v1/subscriptions/sub_1/pause") is None
    assert simulator_api.find("GET", "/v1/subscriptions/sub_1/other") is None


@pytest.mark.parametrize(
    ("version", "now", "known"),
    [
        (versions.CURRENT, 0, True),
        ("2026-09-30.endive", 0, False),
        ("2024-04-10", 0, False),
        ("2024-04-09", portal_configurations.CUTOFF_AT - 1, True),
        ("2024-04-09", portal_configurations.CUTOFF_AT, False),
        ("2020-08-27", portal_configurations.BUTTON_REMOVED_AT, True),
    ],
)
def test_the_portals_pause_is_known_to_old_and_newest_versions(version: str, now: int, known: bool) -> None:  # noqa: FBT001 - a column of the table
    params = {"features": {"subscription_pause": {"enabled": "true"}}}
    if known:
        portal_configurations.check_pause_version(params, version, now)
    else:
        with pytest.raises(ApiError, match="unknown parameter"):
            portal_configurations.check_pause_version(params, version, now)


def test_a_version_must_be_one_that_exists() -> None:
    assert versions.requested(None) == versions.CURRENT
    for wrong in ("latest", "2099-01-01", "2024-04-10x"):
        with pytest.raises(ApiError, match="Invalid Stripe API version"):
            versions.requested(wrong)


def test_idempotency_keys_remember_the_first_request() -> None:
    keys, stored = IdempotencyKeys(), StoredResponse("POST /v1/customers", {"a": "1"}, 200, b"{}", "req_1")
    keys.keep(None, stored)
    assert keys.find(None, "POST /v1/customers", {"a": "1"}) is None
    keys.keep("k", stored)
    assert keys.find("k", "POST /v1/customers", {"a": "1"}) is stored
    for path, params in (("POST /v1/customers", {"a": "2"}), ("POST /v1/products", {"a": "1"})):
        with pytest.raises(ApiError, match="same parameters"):
            keys.find("k", path, params)
    with pytest.raises(ApiError, match="255"):
        keys.find("k" * 256, "", {})
