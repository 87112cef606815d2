"""Who the caller is: what the claims of a token or a user stand for, and the one customer that a user gets."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe

from functions.create_session.portal_link import portal_user
from functions.create_session.settings import CreateSessionSettings
from shared.errors import Forbidden, InvalidRequest, OperatorError, PortalError, Unavailable
from shared.identity import (
    MAX_NAME_LENGTH,
    Identity,
    User,
    customer_of_user,
    identity_of_token,
)
from shared.link_token import LinkClaims

USER = User("https://id.example/", "user|1", "ada@example.com")
REPLAYED = {"Idempotent-Replayed": "true"}
Answer = tuple[int, Mapping[str, Any], Mapping[str, str]]


class ScriptedStripe(stripe.HTTPClient):
    """Returns each kind of request with the next of its answers, the last one again and again."""

    name = "scripted"

    def __init__(self, **answers: list[Answer]) -> None:
        super().__init__()
        self._answers = answers
        self.requests: list[tuple[str, dict[str, list[str]], str | None]] = []

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        parts = urlsplit(url)
        kind = {"/v1/customers": "list", "/v1/customers/search": "search"}.get(parts.path, "retrieve")
        kind = "create" if method == "post" else kind
        sent = parse_qs(post_data if method == "post" else parts.query)
        self.requests.append((kind, sent, (headers or {}).get("Idempotency-Key")))
        mine = self._answers.get(kind, [found()])
        status, body, answer_headers = mine.pop(0) if len(mine) > 1 else mine[0]
        return json.dumps(body), status, answer_headers

    def close(self) -> None:
        """Hold nothing."""

    def keys(self) -> list[str | None]:
        return [key for kind, _, key in self.requests if kind == "create"]


def found(*customers: Mapping[str, Any], has_more: bool = False) -> Answer:
    return 200, {"object": "list", "data": list(customers), "has_more": has_more, "url": "/v1/customers"}, {}


def customer(name: str = "cus_1", created: int = 1, **metadata: str) -> dict[str, Any]:
    mine = {"portal_issuer": USER.issuer, "portal_subject": USER.subject}
    return {
        "id": name,
        "object": "customer",
        "created": created,
        "email": USER.email,
        "subscriptions": {"object": "list", "data": []},
        "metadata": mine | metadata,
    }


def made(name: str = "cus_1", headers: Mapping[str, str] | None = None) -> Answer:
    return 200, customer(name), headers or {}


def failed(status: int, headers: Mapping[str, str] | None = None, **error: str) -> Answer:
    return status, {"error": {"type": "api_error", "message": "no", **error}}, headers or {}


def ask(transport: ScriptedStripe, user: User = USER, *, create_missing: bool = True) -> str | None:
    client = stripe.StripeClient("sk_test_1", http_client=transport, max_network_retries=0)
    return customer_of_user(client, user, create_missing=create_missing)


def test_a_customer_is_made_with_the_address_and_whom_it_is_for() -> None:
    transport = ScriptedStripe(create=[made("cus_new")])
    assert ask(transport) == "cus_new"
    _, sent, key = transport.requests[-1]
    assert sent == {
        "email": ["ada@example.com"],
        "metadata[portal_issuer]": ["https://id.example/"],
        "metadata[portal_subject]": ["user|1"],
    }
    assert key is not None
    assert len(key) <= 255
    assert "user" not in key


def test_the_key_is_the_users_own_and_the_same_every_time() -> None:
    def key_of(user: User) -> str | None:
        transport = ScriptedStripe(create=[made()])
        ask(transport, user)
        return transport.keys()[0]

    others = [
        User("https://id.example/", "user|2", USER.email),
        User("https://other.example/", "user|1", USER.email),
        # Where one ends and the other begins is part of it.
        User("https://id.example/user|", "1", USER.email),
    ]
    assert key_of(USER) == key_of(User(USER.issuer, USER.subject, "new@example.com"))
    assert len({key_of(user) for user in [USER, *others]}) == 4


def test_one_that_was_made_before_is_found_by_its_metadata() -> None:
    transport = ScriptedStripe(search=[found(customer("cus_2", 2), customer("cus_1", 1))])
    assert ask(transport) == "cus_1"
    assert transport.keys() == []


@pytest.mark.parametrize(
    "other", [{"portal_subject": "USER|1"}, {"portal_issuer": "https://ID.example/"}, {"portal_subject": "user|12"}]
)
def test_search_is_blind_to_case_and_we_are_not(other: dict[str, str]) -> None:
    transport = ScriptedStripe(search=[found(customer("cus_others", 1, **other))], create=[made("cus_new")])
    assert ask(transport) == "cus_new"


def test_a_subject_cannot_leave_its_quotes() -> None:
    transport = ScriptedStripe(create=[made()])
    ask(transport, User(USER.issuer, "x' OR metadata['portal_subject']:'\\", USER.email))
    query = next(sent["query"][0] for kind, sent, _ in transport.requests if kind == "search")
    assert query.endswith(r"metadata['portal_subject']:'x\' OR metadata[\'portal_subject\']:\'\\'")


def test_where_search_is_not_to_be_had_a_customer_is_made_all_the_same() -> None:
    refused = failed(400, type="invalid_request_error")
    assert ask(ScriptedStripe(search=[refused], create=[made("cus_new")])) == "cus_new"


def test_a_second_click_gets_the_first_ones_customer() -> None:
    transport = ScriptedStripe(create=[made("cus_first", REPLAYED)], retrieve=[made("cus_first")])
    assert ask(transport) == "cus_first"


def test_a_first_answer_whose_customer_is_deleted_since_does_not_bind_for_a_day() -> None:
    gone: Answer = 200, {"id": "cus_gone", "object": "customer", "deleted": True}, {}
    transport = ScriptedStripe(create=[made("cus_gone", REPLAYED), made("cus_new")], retrieve=[gone])
    assert ask(transport) == "cus_new"
    assert len(set(transport.keys())) == 2


def test_a_first_answer_that_was_a_500_does_not_bind_for_a_day() -> None:
    transport = ScriptedStripe(create=[failed(500, REPLAYED), made("cus_new")])
    assert ask(transport) == "cus_new"
    assert len(set(transport.keys())) == 2


def test_after_such_a_500_a_customer_that_was_made_in_spite_of_it_is_found() -> None:
    transport = ScriptedStripe(create=[failed(500, REPLAYED)], list=[found(), found(customer("cus_made"))])
    assert ask(transport) == "cus_made"


def test_a_500_of_now_is_left_to_a_later_try_with_the_same_key() -> None:
    transport = ScriptedStripe(create=[failed(500)])
    with pytest.raises(Unavailable):
        ask(transport)
    assert len(transport.keys()) == 1


def test_it_gives_up_after_three_keys() -> None:
    transport = ScriptedStripe(create=[failed(500, REPLAYED)])
    with pytest.raises(Unavailable) as caught:
        ask(transport)
    assert (caught.value.code, len(set(transport.keys()))) == ("customer_not_made", 3)


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        # The same key with another address, while the search does not know the first customer yet.
        (failed(400, type="idempotency_error"), Unavailable, "customer_not_found_yet"),
        (failed(409, type="invalid_request_error", code="idempotency_key_in_use"), Unavailable, "stripe_unavailable"),
        (failed(429, type="invalid_request_error"), Unavailable, "stripe_rate_limited"),
        (failed(400, type="invalid_request_error", code="email_invalid", param="email"), Forbidden, "no_customer"),
        (failed(400, type="invalid_request_error", message="What?"), OperatorError, "stripe_refused"),
        (failed(401, type="invalid_request_error"), OperatorError, "stripe_key_invalid"),
        (
            failed(403, message="Having the 'rak_customer_write' permission would allow this request to continue."),
            OperatorError,
            "stripe_key_lacks_permission",
        ),
    ],
)
def test_what_stripe_refuses_is_told_apart(answer: Answer, kind: type[Exception], code: str) -> None:
    with pytest.raises(kind) as caught:
        ask(ScriptedStripe(create=[answer]))
    assert getattr(caught.value, "code", None) == code


def by_email(answer: Answer) -> str | None:
    return ask(ScriptedStripe(list=[answer]), create_missing=False)


def unbound(name: str = "cus_1") -> dict[str, Any]:
    return customer(name) | {"metadata": {}}


OTHERS = [{"portal_subject": "user|2"}, {"portal_issuer": "https://other.example/"}, {"portal_subject": ""}]


@pytest.mark.parametrize("owner", OTHERS)
def test_a_customer_of_another_user_is_not_found_by_the_address(owner: dict[str, str]) -> None:
    others = customer("cus_others", 2, **owner)
    assert by_email(found(others)) is None
    assert by_email(found(others, customer("cus_ada"))) == "cus_ada"
    assert by_email(found(others, unbound("cus_ada"))) == "cus_ada"
    assert ask(ScriptedStripe(list=[found(others)], create=[made("cus_new")])) == "cus_new"


def test_the_first_opening_binds_the_customer_and_the_next_ones_write_nothing() -> None:
    transport = ScriptedStripe(list=[found(unbound("cus_1"))], create=[made()])
    assert ask(transport, create_missing=False) == "cus_1"
    kind, sent, key = transport.requests[-1]
    assert kind == "create"
    assert sent == {"metadata[portal_issuer]": [USER.issuer], "metadata[portal_subject]": [USER.subject]}
    assert key is not None
    later = ScriptedStripe(list=[found(customer("cus_1"))])
    assert ask(later, create_missing=False) == "cus_1"
    assert [kind for kind, _, _ in later.requests] == ["list"]


def test_a_users_own_customer_is_found_before_an_unbound_one_with_the_address() -> None:
    """Someone has written the user's new address into a customer of their own."""
    transport = ScriptedStripe(list=[found(unbound("cus_mallory"))], search=[found(customer("cus_ada"))])
    assert ask(transport) == "cus_ada"
    assert transport.keys() == []


def test_of_several_unbound_customers_none_is_opened() -> None:
    with pytest.raises(Forbidden) as caught:
        by_email(found(unbound("cus_1"), unbound("cus_2")))
    assert caught.value.code == "several_customers"


def of_others(count: int) -> list[dict[str, Any]]:
    return [customer(f"cus_other{number}", portal_subject=f"user|{number + 2}") for number in range(count)]


def test_an_unbound_customer_is_not_the_only_one_because_the_other_is_on_the_next_page() -> None:
    first, second = [unbound("cus_1"), *of_others(99)], [unbound("cus_2")]
    with pytest.raises(Forbidden) as caught:
        ask(ScriptedStripe(list=[found(*first, has_more=True), found(*second)]), create_missing=False)
    assert caught.value.code == "several_customers"


def test_the_own_customer_is_found_behind_a_hundred_others_with_the_address() -> None:
    pages = [found(*of_others(100), has_more=True), found(customer("cus_ada"))]
    transport = ScriptedStripe(list=pages)
    assert ask(transport) == "cus_ada"
    assert transport.keys() == []


def test_of_more_customers_than_a_request_reads_none_is_opened_and_none_is_made() -> None:
    transport = ScriptedStripe(list=[found(*of_others(100), has_more=True)])
    with pytest.raises(Forbidden) as caught:
        ask(transport)
    assert caught.value.code == "several_customers"
    assert ([kind for kind, _, _ in transport.requests].count("list"), transport.keys()) == (5, [])


def test_two_users_who_bind_one_customer_send_the_same_key_and_two_customers_have_two() -> None:
    def key_of(user: User, name: str) -> str | None:
        transport = ScriptedStripe(list=[found(unbound(name))], create=[made(name)])
        assert ask(transport, user) == name
        return transport.keys()[0]

    other = User(USER.issuer, "user|2", USER.email)
    assert key_of(USER, "cus_1") == key_of(other, "cus_1")
    assert key_of(USER, "cus_1") != key_of(USER, "cus_2")


@pytest.mark.parametrize(("live", "expected"), [("cus_old", "cus_old"), ("cus_new", "cus_new"), (None, "cus_new")])
def test_of_a_users_own_customers_the_newest_with_a_live_subscription_opens(live: str | None, expected: str) -> None:
    def own(name: str, created: int) -> dict[str, Any]:
        status = "active" if name == live else "canceled"
        listed = {"object": "list", "data": [{"id": "sub_1", "object": "subscription", "status": status}]}
        return customer(name, created) | {"subscriptions": listed}

    assert by_email(found(own("cus_old", 1), own("cus_new", 3), customer("cus_without", 2))) == expected


def test_of_two_users_at_once_only_the_first_gets_the_customer() -> None:
    taken = ScriptedStripe(list=[found(unbound("cus_1"))], create=[failed(400, type="idempotency_error")])
    with pytest.raises(Unavailable):
        ask(taken)


@pytest.mark.parametrize("email", [None, "", "ADA@example.com", "eve@example.com"])
def test_a_list_that_stripe_did_not_filter_opens_nothing(email: str | None) -> None:
    assert by_email(found(customer() | {"email": email})) is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            failed(400, type="invalid_request_error", code="email_invalid", message=f"Invalid: {USER.email}"),
            "no_customer",
        ),
        (failed(400, type="invalid_request_error", message=f"Invalid: {USER.email}"), "stripe_refused"),
    ],
)
def test_an_address_that_stripe_does_not_look_for_is_no_fault_and_in_no_log(answer: Answer, code: str) -> None:
    with pytest.raises(PortalError) as caught:
        by_email(answer)
    assert caught.value.code == code
    assert USER.email not in caught.value.message


def test_the_permission_that_is_lacking_is_named_and_the_key_is_not() -> None:
    text = (
        "The provided key 'rk_live_***abcd' does not have the required permissions for this endpoint on account "
        "'acct_1'. Having the 'rak_customer_write' permission would allow this request to continue."
    )
    with pytest.raises(OperatorError) as caught:
        ask(ScriptedStripe(create=[failed(403, message=text)]))
    assert "rak_customer_write" in caught.value.message
    assert "abcd" not in caught.value.message


# ------------------------------------------------------------------ the caller's claims
SETTINGS = {
    "SECRET_ID": "secret",
    "LINK_SECRETS_ID": "links",
    "STRIPE_API_BASE": "https://api.stripe.com",
    "ALLOWED_RETURN_ORIGINS": "https://shop.example",
    "DEFAULT_RETURN_URL": "https://shop.example/account",
    "PORTAL_CONFIGURATIONS": "{}",
    "CUSTOMER_CLAIM": "stripe_customer_id",
    "GROUP_CLAIM": "portal_group",
    "ALLOW_VERIFIED_EMAIL": "true",
    "PORTAL_URL": "https://api.example/portal",
    "EXPIRED_SESSION_LOGIN": "true",
    "CREATE_MISSING_CUSTOMERS": "true",
    "PAUSE_PAGE_URL": "https://api.example/pause",
}
SIGNED_IN = {"iss": USER.issuer, "sub": USER.subject, "email": USER.email, "email_verified": "true"}


def identity_of(claims: Mapping[str, Any], transport: ScriptedStripe | None = None, **settings: str) -> Identity:
    client = stripe.StripeClient("sk_test_1", http_client=transport or ScriptedStripe(), max_network_retries=0)
    return portal_user(claims, CreateSessionSettings.from_environment(SETTINGS | settings), client)


@pytest.mark.parametrize(
    ("claim", "customers"),
    [
        ("cus_1", ("cus_1",)),
        ("[cus_1]", ("cus_1",)),
        ("[cus_1 cus_2]", ("cus_1", "cus_2")),
        ("[cus_2 cus_1 cus_2]", ("cus_2", "cus_1")),
    ],
)
def test_the_customer_claim_names_one_customer_or_several(claim: str, customers: tuple[str, ...]) -> None:
    transport = ScriptedStripe()
    assert identity_of(SIGNED_IN | {"stripe_customer_id": claim}, transport) == Identity(customers, is_user=True)
    assert transport.requests == []


def test_the_group_claim_goes_with_the_customers_however_they_are_found() -> None:
    group = {"portal_group": "business"}
    assert identity_of({"stripe_customer_id": "cus_1"} | group) == Identity(("cus_1",), "business", is_user=True)
    transport = ScriptedStripe(list=[found(customer())])
    assert identity_of(SIGNED_IN | group, transport) == Identity(("cus_1",), "business", is_user=True)
    assert identity_of({"stripe_customer_id": "cus_1", "portal_group": True}).group is None
    assert identity_of({"stripe_customer_id": "cus_1", "team": "x"}, GROUP_CLAIM="team").group == "x"


@pytest.mark.parametrize("claim", ["cus_1 cus_2", "[cus_1,cus_2]", "[cus_1  cus_2]", "sub_1", "[]x", " ", 7, ["cus_1"]])
def test_a_customer_claim_of_another_form_is_never_replaced_by_the_address(claim: Any) -> None:
    transport = ScriptedStripe()
    with pytest.raises(Forbidden, match="not a Stripe customer id") as caught:
        identity_of(SIGNED_IN | {"stripe_customer_id": claim}, transport)
    assert (caught.value.code, transport.requests) == ("no_customer", [])


@pytest.mark.parametrize("claim", [None, "", "[]"])
def test_an_empty_customer_claim_leaves_the_verified_address(claim: str | None) -> None:
    transport = ScriptedStripe(list=[found(customer())])
    assert identity_of(SIGNED_IN | {"stripe_customer_id": claim}, transport) == Identity(("cus_1",), is_user=True)
    assert transport.requests[0][1]["email"] == [USER.email]


@pytest.mark.parametrize(
    "change",
    [
        {"email_verified": "false"},
        {"email_verified": "True"},
        {"email_verified": True},
        {"email_verified": None},
        {"email": None},
        {"email": ""},
        {"email": "[ada@example.com eve@example.com]"},
        {"email": "ada@example.com,eve@example.com"},
        {"email": "a" * 243 + "@example.com"},
    ],
)
def test_only_one_plain_verified_address_is_looked_up(change: dict[str, Any]) -> None:
    transport = ScriptedStripe()
    with pytest.raises(Forbidden, match="No customer belongs to your sign-in"):
        identity_of(SIGNED_IN | change, transport)
    assert transport.requests == []


def test_the_longest_address_and_the_longest_names_are_looked_up() -> None:
    longest = {"email": "a" * 242 + "@example.com", "iss": "i" * MAX_NAME_LENGTH, "sub": "s" * MAX_NAME_LENGTH}
    transport = ScriptedStripe(create=[made()])
    assert identity_of(SIGNED_IN | longest, transport) == Identity(("cus_1",), is_user=True)


@pytest.mark.parametrize("name", ["iss", "sub"])
@pytest.mark.parametrize("value", [None, "", 7, "x" * (MAX_NAME_LENGTH + 1)])
def test_without_an_issuer_and_a_subject_no_customer_can_belong_to_the_user(name: str, value: Any) -> None:
    transport = ScriptedStripe()
    with pytest.raises(Forbidden, match="needs the claims `iss` and `sub`") as caught:
        identity_of(SIGNED_IN | {name: value}, transport)
    assert (caught.value.code, transport.requests) == ("no_customer", [])


def test_the_settings_decide_about_the_address_and_about_new_customers() -> None:
    transport = ScriptedStripe(list=[found(customer())])
    off = {"ALLOW_VERIFIED_EMAIL": "false", "CREATE_MISSING_CUSTOMERS": "false"}
    with pytest.raises(Forbidden, match="No customer belongs to your sign-in"):
        identity_of(SIGNED_IN, transport, **off)
    assert transport.requests == []
    nobody = ScriptedStripe(create=[made()])
    with pytest.raises(Forbidden, match="No customer belongs to your sign-in"):
        identity_of(SIGNED_IN, nobody, CREATE_MISSING_CUSTOMERS="false")
    assert nobody.keys() == []


def test_a_link_token_stands_for_its_own_customer_and_limits_what_it_opens() -> None:
    claims = LinkClaims(sub="cus_1", group="business", locale="fr", flow="payment_method_update", checkout=False)
    assert identity_of_token(claims) == Identity(("cus_1",), "business", "fr", claims, checkout=False)


def test_a_caller_acts_for_a_customer_of_their_own() -> None:
    one, two = Identity(("cus_1",)), Identity(("cus_1", "cus_2"))
    assert (one.pick(None), one.pick("cus_1"), two.pick("cus_2")) == ("cus_1", "cus_1", "cus_2")
    with pytest.raises(InvalidRequest) as several:
        two.pick(None)
    with pytest.raises(Forbidden) as other:
        two.pick("cus_3")
    assert (several.value.code, other.value.code) == ("customer_required", "not_your_customer")
