"""The portal link under attack: whatever is sent, only a proven customer's own portal opens."""

import base64
import io
import json
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest
import time_machine

from local.gateway.event import HttpRequest, event_of
from shared import secret_store
from tests.integration.conftest import Api, Aws
from tests.integration.portal_world import World, code, configure, header
from tests.integration.simulator_fixtures import RunningSimulator

POST = "POST /portal/sessions"


@pytest.fixture
def world(api: Api, simulator: RunningSimulator) -> World:
    return World(api, simulator)


def event(*headers: tuple[str, str], body: bytes = b"{}", query: str = "") -> dict[str, Any]:
    """API Gateway's event for a request for a session, whose headers may repeat."""
    method, path = POST.split(" ")
    pairs = (("content-type", "application/json"), *headers)
    return event_of(HttpRequest(method, path, query, pairs, body, "192.0.2.1", "HTTP/1.1"), POST, {})


def bearer(token: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {token}")


# ---------------------------------------------------------------- what a JWT authorizer passes on


@pytest.mark.parametrize(
    "authorizer",
    [
        {},
        {"claims": {"stripe_customer_id": "OWN"}},
        {"lambda": {"jwt": {"claims": {"stripe_customer_id": "OWN"}}}},
        {"iam": {"jwt": {"claims": {"stripe_customer_id": "OWN"}}}},
        {"stripe_customer_id": "OWN"},
        None,
    ],
)
def test_claims_from_anywhere_but_the_jwt_authorizer_are_no_claims(world: World, authorizer: Any) -> None:
    sent = event()
    sent["requestContext"]["authorizer"] = json.loads(json.dumps(authorizer).replace("OWN", world.customer))
    assert code(world.api.invoke(POST, sent)) == (401, "no_token")
    assert world.sessions() == []


@pytest.mark.parametrize(
    "headers",
    [
        (("x-amzn-oidc-data", "{}"), ("x-amzn-oidc-identity", "{}")),
        (("requestcontext", '{"authorizer": {"jwt": {"claims": {"stripe_customer_id": "{}"}}}}'),),
        (("x-forwarded-user", "{}"), ("x-stripe-customer", "{}"), ("cookie", "stripe_customer_id={}")),
    ],
)
def test_no_header_is_a_claim(world: World, headers: tuple[tuple[str, str], ...]) -> None:
    named = tuple((name, value.replace("{}", world.customer)) for name, value in headers)
    body = json.dumps({"requestContext": {"authorizer": {"jwt": {"claims": {}}}}}).encode()
    assert code(world.api.invoke(POST, event(*named))) == (401, "no_token")
    assert code(world.api.invoke(POST, event(*named, body=body))) == (401, "no_token")


@pytest.mark.parametrize("jwt_entry", [None, {}, {"claims": None}, {"claims": {}}, {"scopes": ["portal"]}])
def test_a_jwt_authorizer_without_claims_does_not_fall_back_to_a_link_token(world: World, jwt_entry: Any) -> None:
    sent = event(bearer(world.token()))
    sent["requestContext"]["authorizer"] = {"jwt": jwt_entry}
    assert code(world.api.invoke(POST, sent)) == (403, "no_customer")
    assert world.sessions() == []


NOT_IDS: list[Any] = [
    "[{} {}]x",
    " {}",
    "{} ",
    "{}\n",
    "[{}\u2003{}]",
    "[{},{}]",
    "[{}, {}]",
    "[{}  {}]",
    "[ {}]",
    '["{}"]',
    "[{}] [{}]",
    "map[id:{}]",
    "<nil>",
    "{}\x00",
    "CUS_{}",
    "cus_",
    ["{}"],
    [["{}"]],
    {"0": "{}"},
    7,
    1.5,
    True,
]


def test_a_claim_that_is_not_exactly_ids_opens_nothing(world: World) -> None:
    def opens(claim: Any) -> bool:
        named = {"stripe_customer_id": json.loads(json.dumps(claim).replace("{}", world.customer))}
        allowed = {"email": "ada@example.com", "email_verified": "true"}
        return {code(world.post(claims=claims)) for claims in (named, allowed | named)} != {(403, "no_customer")}

    assert [claim for claim in NOT_IDS if opens(claim)] == []
    assert world.sessions() == []


def test_an_injected_separator_makes_no_second_customer(world: World) -> None:
    """More than one id counts only in the brackets that API Gateway itself puts round a list."""
    claims = {"stripe_customer_id": f"{world.customer} {world.other}"}
    assert code(world.post(claims=claims, customer=world.other)) == (403, "no_customer")


def test_a_customer_named_twice_is_one(world: World) -> None:
    assert world.post(claims={"stripe_customer_id": f"[{world.customer} {world.customer}]"}).status == 201


def test_several_customers_in_any_order_are_the_callers_and_nobody_elses(world: World) -> None:
    third, _ = world.subscriber("grace@example.com")
    claims = {"stripe_customer_id": f"[{world.customer} {third}]"}
    for own in (world.customer, third):
        assert world.post(claims=claims, customer=own).status == 201
        assert world.last()["customer"] == own
    for foreign in (world.other, f"[{world.customer} {third}]", f"{world.customer} {third}", ""):
        assert world.post(claims=claims, customer=foreign).status in {400, 403}
    assert code(world.post(claims=claims)) == (400, "customer_required")


# ---------------------------------------------------------------- the verified e-mail


NOT_VERIFIED: list[Any] = [
    "false",
    "False",
    "",
    "0",
    "1",
    "yes",
    "TRUE",
    "True",
    "true ",
    " true",
    "[true]",
    None,
    True,
    1,
    [],
    {},
]


def test_only_a_verified_address_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true")

    def opens(**verified: Any) -> bool:
        return code(world.post(claims={"email": "ada@example.com", **verified})) != (403, "no_customer")

    assert [verified for verified in NOT_VERIFIED if opens(email_verified=verified)] == []
    assert not opens()
    assert world.sessions() == []


NOT_ONE_ADDRESS: list[Any] = [
    "[ada@example.com eve@example.com]",
    "ada@example.com,eve@example.com",
    "ada@example.com eve@example.com",
    "Ada <ada@example.com>",
    "ada@example.com\r\nBcc: eve@example.com",
    "ada@example.com\x00",
    "ada",
    "@example.com",
    "ada@",
    "a@b@example.com",
    "",
    "a" * 250 + "@example.com",
    ["ada@example.com"],
    7,
    None,
]


def test_what_is_not_one_plain_address_finds_and_makes_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true", CREATE_MISSING_CUSTOMERS="true")
    before = world.simulator.admin("GET", "requests")

    def opens(email: Any) -> bool:
        claims = {"iss": "https://id.example", "sub": "user-1", "email": email, "email_verified": "true"}
        return code(world.post(claims=claims)) != (403, "no_customer")

    assert [email for email in NOT_ONE_ADDRESS if opens(email)] == []
    assert world.simulator.admin("GET", "requests") == before


def test_an_address_in_other_letters_is_another_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true")
    for email in ("ADA@example.com", "ada@EXAMPLE.com", "\u0430da@example.com", "ada@example.co\u217f"):
        assert code(world.post(claims={"email": email, "email_verified": "true"})) == (403, "no_customer")


# ---------------------------------------------------------------- whose customer an address finds


def signed_in(subject: str, email: str) -> dict[str, str]:
    return {"iss": "https://id.example", "sub": subject, "email": email, "email_verified": "true"}


@pytest.mark.parametrize("creates", ["true", "false"])
def test_a_recycled_address_does_not_open_the_first_users_customer(
    world: World, monkeypatch: pytest.MonkeyPatch, creates: str
) -> None:
    """Ada's provider gives her old address to somebody else, and says that it is verified."""
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true", CREATE_MISSING_CUSTOMERS=creates)
    assert world.post(claims=signed_in("ada", "ada@example.com")).status == 201
    assert world.last()["customer"] == world.customer
    answer = world.post(claims=signed_in("somebody-else", "ada@example.com"))
    assert answer.status == (201 if creates == "true" else 403)
    assert [session["customer"] for session in world.sessions()].count(world.customer) == 1


def test_a_bound_customer_is_found_under_every_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true")
    assert world.post(claims=signed_in("ada", "ada@example.com")).status == 201
    world.simulator.admin("POST", "clock", {"now": time.time() + 61})  # Stripe's search is a minute behind
    assert world.post(claims=signed_in("ada", "ada@new.example")).status == 201
    assert world.last()["customer"] == world.customer


def test_an_address_written_into_the_portal_does_not_capture_its_owner(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mallory gives her own customer Ada's address, before Ada signs in for the first time and after."""
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true", CREATE_MISSING_CUSTOMERS="true")
    world.simulator.admin("POST", "clock", {"now": time.time() + 60})
    mallorys, _ = world.subscriber("mallory@example.com")
    world.stripe.v1.customers.update(mallorys, {"email": "ada@example.com"})
    refused = world.post(claims=signed_in("ada", "ada@example.com"))
    assert code(refused) == (403, "several_customers")
    assert "support" in json.loads(refused.body)["detail"]
    world.stripe.v1.customers.update(mallorys, {"email": "mallory@example.com"})
    assert world.post(claims=signed_in("ada", "ada@example.com")).status == 201
    world.stripe.v1.customers.update(mallorys, {"email": "ada@example.com"})
    assert world.post(claims=signed_in("ada", "ada@example.com")).status == 201
    assert {session["customer"] for session in world.sessions()} == {world.customer}


def test_two_users_at_once_cannot_both_take_a_customer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read the customer before either was written to it."""
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true")
    assert world.post(claims=signed_in("ada", "ada@example.com")).status == 201
    # As the second user's request still sees it.
    world.stripe.v1.customers.update(world.customer, {"metadata": {"portal_issuer": "", "portal_subject": ""}})
    assert world.post(claims=signed_in("somebody-else", "ada@example.com")).status == 503
    assert len(world.sessions()) == 1


# ---------------------------------------------------------------- the secrets


def keep_link_secrets(aws: Aws, secrets: dict[str, Any]) -> None:
    id_ = aws.template.ref("LinkSecrets")
    aws.clients.secretsmanager.put_secret_value(SecretId=id_, SecretString=json.dumps(secrets))


def test_a_new_link_secret_works_at_once_and_a_removed_one_no_longer(world: World, aws: Aws) -> None:
    old = world.token()
    assert world.follow(token=old).status == 303
    keep_link_secrets(aws, {"2": "n" * 43})
    claims = {"sub": world.customer, "aud": "portal", "exp": int(time.time()) + 60}
    new = jwt.encode(claims, "n" * 43, "HS256", headers={"kid": "2"})
    assert world.follow(token=new).status == 303
    assert code(world.follow(token=old)) == (401, "bad_token")


@pytest.mark.parametrize(("ends_in", "expected"), [(30, [303, 401, 303, 401]), (-1, [401] * 4)])
def test_a_replaced_link_secret_opens_nothing_after_its_end(
    world: World, aws: Aws, ends_in: int, expected: list[int]
) -> None:
    """Neither with its own `kid`, nor with the new one's, nor without, nor with the name of the ends for a `kid`."""
    claims = {"sub": world.customer, "aud": "portal", "exp": int(time.time()) + 60}
    headers: list[dict[str, Any]] = [{"kid": "1"}, {"kid": "2"}, {}, {"kid": "_until"}]
    keep_link_secrets(aws, {"2": "n" * 43, "1": "o" * 43, "_until": {"1": int(time.time()) + ends_in}})
    tokens = [jwt.encode(claims, "o" * 43, "HS256", headers=each) for each in headers]
    assert [world.follow(token=each).status for each in tokens] == expected


@pytest.mark.parametrize("logical_id", ["Secret", "LinkSecrets"])
def test_no_response_to_a_stranger_names_a_secret_or_the_account(
    world: World, aws: Aws, monkeypatch: pytest.MonkeyPatch, logical_id: str
) -> None:
    token = world.token()
    monkeypatch.setattr(secret_store, "is_refusal", lambda _error: False)  # moto has no outage
    aws.clients.secretsmanager.delete_secret(SecretId=aws.template.ref(logical_id), ForceDeleteWithoutRecovery=True)
    answer = world.follow(token=token)
    assert code(answer) == (503, "secret_unreadable")
    for name in ("arn:", "123456789012", aws.template.ref(logical_id)):
        assert name not in answer.body.decode()


def test_a_deleted_secret_is_for_the_operator_to_fix(world: World, aws: Aws) -> None:
    token = world.token()
    aws.clients.secretsmanager.delete_secret(SecretId=aws.template.ref("LinkSecrets"), ForceDeleteWithoutRecovery=True)
    assert code(world.follow(token=token)) == (500, "secret_refused")


# ---------------------------------------------------------------- smuggling


def test_a_repeated_token_is_no_token(world: World) -> None:
    """API Gateway joins what is repeated with a comma."""
    mine, theirs = world.token(), world.token(sub=world.other)
    for tokens in ((mine, theirs), (mine, mine), (mine, ""), ("", mine), (mine, "x")):
        answer = world.api.send("GET /portal", query=urlencode([("token", each) for each in tokens]))
        assert code(answer) == (401, "bad_token")
    assert world.sessions() == []


def test_a_repeated_parameter_is_refused_or_ours(world: World) -> None:
    token = world.token()
    for name, values, expected in (
        ("return_url", ("https://shop.example", "https://evil.example/"), "bad_return_url"),
        ("return_url", ("https://evil.example/", "https://shop.example/"), "bad_return_url"),
        ("flow", ("payment_method_update", "subscription_cancel"), "bad_request"),
        ("subscription", (world.subscription, world.others_subscription), "bad_request"),
        ("customer", (world.customer, world.other), "bad_request"),
        ("locale", ("fr", "de"), "bad_request"),
    ):
        query = urlencode([("token", token), *((name, value) for value in values)])
        assert code(world.api.send("GET /portal", query=query)) == (400, expected)
    assert world.sessions() == []


def test_a_comma_in_an_allowed_return_address_stays_in_its_path(world: World) -> None:
    query = urlencode([("token", world.token()), ("return_url", "https://shop.example/a"), ("return_url", "b")])
    assert world.api.send("GET /portal", query=query).status == 303
    assert world.last()["return_url"] == "https://shop.example/a,b"


@pytest.mark.parametrize("name", ["Token", "TOKEN", "token[]", "token ", "%74oken%00", "tokеn"])  # noqa: RUF001 - the last has a Cyrillic letter
def test_only_the_parameter_called_token_is_one(world: World, name: str) -> None:
    answer = world.api.send("GET /portal", query=urlencode({name: world.token()}))
    assert "/p/login/" in header(answer, "location")
    assert world.sessions() == []


def test_two_authorization_headers_are_none(world: World) -> None:
    mine, theirs = bearer(world.token()), bearer(world.token(sub=world.other))
    for headers in ((mine, theirs), (mine, mine), (("authorization", "Basic YTpi"), mine)):
        assert world.api.invoke(POST, event(*headers)).status == 401
    assert world.sessions() == []


@pytest.mark.parametrize(
    "scheme",
    ["Basic {}", "{}", "Bearer{}", "Bearer", "Bearer Bearer {}", "bearer:{}", "Token {}", "Bearer {} extra", ""],
)
def test_only_the_bearer_scheme_is_read(world: World, scheme: str) -> None:
    sent = event(("authorization", scheme.replace("{}", world.token())))
    assert world.api.invoke(POST, sent).status == 401


@pytest.mark.parametrize("scheme", ["Bearer {}", "bearer {}", "BEARER  {}", "Bearer {} "])
def test_the_bearer_scheme_is_read_as_http_has_it(world: World, scheme: str) -> None:
    sent = event(("authorization", scheme.replace("{}", world.token())))
    assert world.api.invoke(POST, sent).status == 201
    assert world.last()["customer"] == world.customer


def test_a_token_in_the_wrong_place_is_none(world: World) -> None:
    token = world.token()
    for query, body, cookie in (
        (urlencode({"token": token}), b"{}", ""),
        ("", json.dumps({"token": token}).encode(), ""),
        ("", b"{}", f"token={token}"),
        (urlencode({"access_token": token, "authorization": f"Bearer {token}"}), b"{}", ""),
    ):
        headers = (("cookie", cookie),) if cookie else ()
        assert code(world.api.invoke(POST, event(*headers, body=body, query=query))) == (401, "no_token")


def test_parameters_of_the_address_do_not_count_where_the_body_does(world: World) -> None:
    query = urlencode({"customer": world.other, "return_url": "https://evil.example", "flow": "subscription_cancel"})
    assert world.api.invoke(POST, event(bearer(world.token()), query=query)).status == 201
    last = world.last()
    assert (last["customer"], last["return_url"], last["flow"]) == (
        world.customer,
        "https://shop.example/account",
        None,
    )


BODIES: list[Any] = [
    '{"customer": "OWN", "customer": "OTHER"}',
    '{"return_url": "https://shop.example/", "return_url": "https://evil.example/"}',
    '{"subscription": "SUB", "subscription": "OTHERS", "flow": "subscription_cancel"}',
    '{"customer": ["OWN"]}',
    '{"customer": {"id": "OWN"}}',
    '{"customer\\u0000": "OTHER"}',
    '{"Customer": "OTHER"}',
    '{"__proto__": {"customer": "OTHER"}}',
    '{"identity": {"customers": ["OTHER"]}}',
    '{"configuration": "bpc_1"}',
    '{"group": "business"}',
    '{"on_behalf_of": "acct_1"}',
    '{"customer_account": "acct_1"}',
    '{"flow_data": {"type": "subscription_cancel"}}',
    '{"return_url": "https://shop.example/\\u0000"}',
    '[{"customer": "OWN"}]',
    '[["customer", "OWN"]]',
    '"customer=OWN"',
    "null",
    "true",
    "1",
    " ",
    "customer=OWN",
    "[" * 2000,
    '{"a":' * 2000,
    '{"customer": NaN}',
    "{'customer': 'OWN'}",
    '{"customer": "OWN"} {"customer": "OTHER"}',
    "\ufeff{}",
]


def test_no_body_opens_anothers_portal(world: World) -> None:
    names = {
        "OWN": world.customer,
        "OTHERS": world.others_subscription,
        "OTHER": world.other,
        "SUB": world.subscription,
    }

    def is_refused(body: str) -> bool:
        for name, value in names.items():
            body = body.replace(name, value)
        answer = world.api.invoke(POST, event(bearer(world.token()), body=body.encode()))
        return answer.status in {400, 403} and len(answer.body) < 2000

    assert [body for body in BODIES if not is_refused(body)] == []
    assert world.sessions() == []


def test_no_body_at_all_opens_the_tokens_own_portal(world: World) -> None:
    assert world.api.invoke(POST, event(bearer(world.token()), body=b"")).status == 201
    assert world.last()["customer"] == world.customer


def test_a_body_in_base64_is_the_same_body(world: World) -> None:
    sent = event(bearer(world.token()))
    for text, expected in (("{}", 201), ('{"customer": "cus_else"}', 403), ("[]", 400), ("\x00", 400)):
        sent |= {"body": base64.b64encode(text.encode()).decode(), "isBase64Encoded": True}
        assert world.api.invoke(POST, sent).status == expected
    for broken in ("{}", "e30", "e30=\n", "é"):
        sent |= {"body": broken, "isBase64Encoded": True}
        assert world.api.invoke(POST, sent).status in {201, 400}
    assert {session["customer"] for session in world.sessions()} == {world.customer}


def test_a_fields_name_as_long_as_a_body_may_be_comes_back_cut(world: World, log: io.StringIO) -> None:
    body = json.dumps({"x" * 10_000: 1, **{f"field{n}": 1 for n in range(400)}}).encode()
    answer = world.api.invoke(POST, event(bearer(world.token()), body=body))
    assert code(answer) == (400, "bad_request")
    assert len(answer.body) < 2000
    assert len(log.getvalue()) < 5000


# ---------------------------------------------------------------- another's subscription


def test_anothers_subscription_is_not_told_from_nobodys(world: World) -> None:
    claims = {"stripe_customer_id": world.customer}
    for flow in ("subscription_cancel", "subscription_update", "subscription_pause"):
        answers = [
            world.post(claims=claims, flow=flow, subscription=subscription)
            for subscription in (world.others_subscription, "sub_nobodys")
        ]
        assert {code(answer) for answer in answers} == {(403, "not_your_subscription")}
        assert len({answer.body for answer in answers}) == 1
    assert world.sessions() == []


def test_a_user_with_two_customers_cannot_mix_them(world: World) -> None:
    claims = {"stripe_customer_id": f"[{world.customer} {world.other}]"}
    asked = {"flow": "subscription_cancel", "subscription": world.others_subscription}
    assert code(world.post(claims=claims, customer=world.customer, **asked)) == (403, "not_your_subscription")
    assert world.post(claims=claims, customer=world.other, **asked).status == 201


# ---------------------------------------------------------------- the login page tells nothing


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.com\r\nLocation: https://evil.example",
        "a@b.example&prefilled_email=eve@example.com",
        "a@b.example?x=1#y",
        "a@b.example%0d%0aX: 1",
        "<script>alert(1)</script>@b.example",
        "a@b.example,c@d.example",
        "\x00",
        "\u202eada@example.com",
        "é" * 200,
    ],
)
def test_an_address_stays_one_parameter_of_the_login_page(world: World, email: str) -> None:
    location = header(world.api.send("GET /portal", query=urlencode({"email": email})), "location")
    assert location.isascii()
    assert location.isprintable()
    parts = urlsplit(location)
    assert parse_qsl(parts.query) == [("prefilled_email", email)]
    assert parts.fragment == ""


def test_the_login_page_is_reached_without_looking_anybody_up(world: World) -> None:
    """Not a single request about customers, so that neither the answer nor its time tells who is one."""
    world.follow()
    world.simulator.admin("DELETE", "requests")
    answers = [world.follow(email=email) for email in ("ada@example.com", "nobody@example.com")]
    assert world.simulator.admin("GET", "requests") == {}
    assert [answer.status for answer in answers] == [303, 303]
    shapes = [{name: value for name, value in answer.headers if name != "location"} for answer in answers]
    assert shapes[0] == shapes[1]


def test_an_address_is_not_looked_up_for_whoever_has_not_verified_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true")
    world.simulator.admin("DELETE", "requests")
    answers = [
        world.post(claims={"email": email, "email_verified": "false"}) for email in ("ada@example.com", "b@example.com")
    ]
    assert answers[0] == answers[1]
    assert world.simulator.admin("GET", "requests") == {}


def test_replay_works_until_the_token_expires_and_never_after(world: World) -> None:
    token = world.token(exp=int(time.time()) + 3600)
    assert [world.follow(token=token).status for _ in range(2)] == [303, 303]
    with time_machine.travel(time.time() + 3600):
        for answer in (world.follow(token=token), world.post(token)):
            assert code(answer) == (401, "expired_token")
    assert len(world.sessions()) == 2
