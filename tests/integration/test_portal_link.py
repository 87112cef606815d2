"""The portal link, from API Gateway's event to Stripe's session: who may open what."""

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import jwt
import pytest
import requests

from local.gateway.event import HttpRequest, event_of
from tests.integration.conftest import LINK_SECRET, Api, Aws
from tests.integration.portal_world import ADA, FEATURES, World, code, configure, header
from tests.integration.simulator_fixtures import RunningSimulator


@pytest.fixture
def world(api: Api, simulator: RunningSimulator) -> World:
    return World(api, simulator)


def test_a_link_token_opens_its_customers_portal(world: World) -> None:
    answer = world.follow(token=world.token())
    assert answer.status == 303
    page = requests.get(header(answer, "location"), timeout=60)
    assert "ada@example.com" in page.text
    assert (world.last()["customer"], world.last()["return_url"]) == (world.customer, "https://shop.example/account")
    assert header(answer, "cache-control") == "no-store"
    assert header(answer, "referrer-policy") == "no-referrer"


def test_a_server_gets_the_address_as_json(world: World) -> None:
    answer = world.post(world.token())
    assert (answer.status, header(answer, "content-type")) == (201, "application/json")
    assert "/p/session/test_" in json.loads(answer.body)["url"]


def test_without_a_token_a_visitor_goes_to_the_login_page(world: World) -> None:
    answer = world.follow()
    assert answer.status == 303
    assert "/p/login/test_" in header(answer, "location")
    assert world.sessions() == []


def test_the_login_page_is_the_same_for_known_and_unknown_addresses(world: World) -> None:
    known = header(world.follow(email="ada@example.com"), "location")
    unknown = header(world.follow(email="bob+x@example.com"), "location")
    assert known == f"{header(world.follow(), 'location')}?prefilled_email=ada%40example.com"
    assert unknown == known.replace("ada%40", quote("bob+x@"))
    counts = world.simulator.admin("GET", "requests")
    assert not any("customers" in name and name.startswith("GET") for name in counts)


def test_head_makes_no_session(world: World) -> None:
    answer = world.api.send("HEAD /portal", query=urlencode({"token": world.token()}))
    assert (answer.status, answer.body, world.sessions()) == (200, b"", [])


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é"])
def test_what_is_no_token_opens_nothing(world: World, token: str) -> None:
    assert code(world.follow(token=token))[0] == 401
    assert code(world.post(token or None))[0] == 401
    assert world.sessions() == []


@pytest.mark.parametrize(
    "forge",
    [
        lambda w: w.token(exp=int(time.time()) - 1),
        lambda w: w.token(exp=int(time.time()) + 8 * 86_400),
        lambda w: w.token(aud="other"),
        lambda w: jwt.encode(jwt.decode(w.token(), options={"verify_signature": False}), "k" * 64, "HS256"),
        lambda w: jwt.encode(jwt.decode(w.token(), options={"verify_signature": False}), "", "none"),
        lambda w: w.token() + "." + w.token(),
    ],
    ids=["expired", "too long-lived", "other audience", "other key", "alg none", "two tokens"],
)
def test_a_forged_token_opens_nothing(world: World, forge: Callable[[World], str]) -> None:
    token = forge(world)
    assert world.follow(token=token).status == 401
    assert world.post(token).status == 401
    assert world.sessions() == []


def test_identity_is_never_a_parameter(world: World) -> None:
    assert world.follow(token=world.token(), customer=world.other).status == 403
    assert code(world.post(world.token(), customer=world.other)) == (403, "not_your_customer")
    assert code(world.post(customer=world.other)) == (401, "no_token")
    assert code(world.post(world.token(), configuration="bpc_1")) == (400, "bad_request")
    assert code(world.post(world.token(), group="business")) == (400, "bad_request")
    assert world.sessions() == []


def test_a_browser_cannot_choose_the_configuration_or_the_group(world: World) -> None:
    assert (
        world.follow(token=world.token(), configuration="bpc_1", group="business", portal_group="business").status
        == 303
    )
    assert (
        world.last()["configuration"]
        == world.stripe.v1.billing_portal.configurations.list({"is_default": True}).data[0].id
    )


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "https://shop.example@evil.example/", "//evil.example", "javascript:alert(1)", ""]
)
def test_a_return_address_elsewhere_is_refused(world: World, url: str) -> None:
    assert code(world.follow(token=world.token(), return_url=url)) == (400, "bad_return_url")
    assert code(world.post(world.token(), return_url=url)) == (400, "bad_return_url")
    assert world.sessions() == []


def test_a_return_address_of_an_allowed_origin_is_taken(world: World) -> None:
    world.follow(token=world.token(), return_url="https://shop.example/thanks?x=1")
    assert world.last()["return_url"] == "https://shop.example/thanks?x=1"


def test_a_deep_link_opens_its_flow_and_comes_back(world: World) -> None:
    answer = world.post(world.token(), flow="subscription_cancel", subscription=world.subscription)
    assert answer.status == 201
    flow = world.last()["flow"]
    assert (flow["type"], flow["subscription_cancel"]["subscription"]) == ("subscription_cancel", world.subscription)
    assert flow["after_completion"]["redirect"]["return_url"] == "https://shop.example/account"
    assert world.post(world.token(), flow="payment_method_update").status == 201
    assert world.last()["flow"]["type"] == "payment_method_update"


def test_anothers_subscription_and_an_unknown_one_get_the_same_refusal(world: World) -> None:
    for subscription in (world.others_subscription, "sub_unknown"):
        answer = world.post(world.token(), flow="subscription_cancel", subscription=subscription)
        assert code(answer) == (403, "not_your_subscription")
        token = world.token(flow="subscription_cancel", subscription=subscription)
        assert world.follow(token=token).status == 403
    assert world.sessions() == []


def test_what_a_token_fixes_cannot_be_asked_otherwise(world: World) -> None:
    limited = world.token(flow="payment_method_update")
    assert code(world.post(limited, flow="subscription_cancel", subscription=world.subscription)) == (403, "other_flow")
    fixed = world.token(flow="subscription_cancel", subscription=world.subscription)
    assert code(world.post(fixed, subscription="sub_other")) == (403, "other_subscription")
    assert world.post(limited).status == 201
    assert world.last()["flow"]["type"] == "payment_method_update"


@pytest.mark.parametrize(
    "body",
    [
        {"flow": "subscription_cancel"},
        {"flow": "refund"},
        {"flow": ["subscription_cancel"]},
        {"subscription": "sub 1"},
        {"locale": "<script>"},
        {"return_url": 7},
        {"amount": 0},
    ],
)
def test_a_wrong_request_is_named(world: World, body: dict[str, Any]) -> None:
    answer = world.post(world.token(), **body)
    assert answer.status == 400
    assert next(iter(body)) in json.loads(answer.body)["detail"]


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", "text/plain"])
@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_a_bad_request(world: World, body: bytes, content_type: str) -> None:
    headers = {"authorization": f"Bearer {world.token()}", "content-type": content_type}
    assert code(world.api.send("POST /portal/sessions", headers=headers, body=body)) == (400, "bad_request")


def test_the_flow_that_the_configuration_does_not_offer_is_the_callers_to_know(world: World) -> None:
    answer = world.post(world.token(), flow="subscription_update", subscription=world.subscription)
    assert code(answer) == (400, "flow_disabled")


def test_a_signed_in_user_is_the_customer_of_the_claim(world: World) -> None:
    answer = world.post(claims={"sub": "user-1", "stripe_customer_id": world.customer})
    assert answer.status == 201
    assert world.last()["customer"] == world.customer


def test_a_user_with_several_customers_picks_one_of_them(world: World) -> None:
    claims = {"stripe_customer_id": f"[{world.customer} {world.other}]"}
    assert code(world.post(claims=claims)) == (400, "customer_required")
    assert world.post(claims=claims, customer=world.other).status == 201
    assert world.last()["customer"] == world.other
    assert code(world.post(claims=claims, customer="cus_third")) == (403, "not_your_customer")


@pytest.mark.parametrize(
    "claim", [None, "", "[]", "user-1", "[cus_1 user-1]", "cus_1 cus_2", "[[cus_1]]", 7, True, {"id": "cus_1"}]
)
def test_a_claim_that_names_no_customer_opens_nothing(world: World, claim: Any) -> None:
    assert code(world.post(claims={"sub": "user-1", "stripe_customer_id": claim})) == (403, "no_customer")
    assert world.sessions() == []


def test_verified_claims_win_over_a_link_token(world: World) -> None:
    token = world.token(sub=world.other)
    answer = world.post(token, claims={"stripe_customer_id": world.customer})
    assert (answer.status, world.last()["customer"]) == (201, world.customer)


def test_an_email_counts_only_when_allowed_and_verified(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = ADA
    assert code(world.post(claims=claims)) == (403, "no_customer")
    allow_email(monkeypatch)
    assert world.post(claims=claims).status == 201
    assert world.last()["customer"] == world.customer
    for verified in ("false", None, "yes", "1"):
        assert code(world.post(claims=claims | {"email_verified": verified})) == (403, "no_customer")
    assert code(world.post(claims=ADA | {"email": "nobody@example.com", "sub": "nobody"})) == (403, "no_customer")


def test_of_several_customers_with_one_email_none_is_opened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_email(monkeypatch)
    newer, _ = world.subscriber("ada@example.com")
    assert code(world.post(claims=ADA)) == (403, "several_customers")
    owner = {"portal_issuer": ADA["iss"], "portal_subject": ADA["sub"]}
    world.stripe.v1.customers.update(newer, {"metadata": owner})
    assert world.post(claims=ADA).status == 201
    assert world.last()["customer"] == newer


def test_a_browser_gets_a_page_that_says_what_to_do_about_several_customers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow_email(monkeypatch)
    world.subscriber("ada@example.com")
    headers = {"accept": "text/html,*/*;q=0.8", "accept-language": "fr"}
    answer = world.api.send("POST /portal/sessions", headers=headers, claims=ADA)
    assert (answer.status, header(answer, "content-type")) == (403, "text/html; charset=utf-8")
    page = answer.body.decode()
    assert "Nous ne savons pas quel compte est le vôtre" in page
    assert "\u00c9crivez-nous" in page
    # The page answers a POST: its address cannot be opened again.
    assert "<a " not in page


def test_a_large_body_is_refused_before_the_caller_is_identified(world: World) -> None:
    answer = world.api.send("POST /portal/sessions", body=b"{" + b" " * 20_000 + b"}")
    assert code(answer) == (400, "body_too_large")


def test_a_group_decides_the_configuration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = world.stripe.v1.billing_portal.configurations.create({"features": FEATURES})
    configure(monkeypatch, PORTAL_CONFIGURATIONS=json.dumps({"business": configuration.id}))
    grouped, _ = world.subscriber("grace@example.com", metadata={"portal_group": "business"})
    for answer in (
        world.follow(token=world.token(group="business")),
        world.post(claims={"stripe_customer_id": world.customer, "portal_group": "business"}),
        world.follow(token=world.token(sub=grouped)),
    ):
        assert answer.status in {201, 303}
        assert world.last()["configuration"] == configuration.id
    world.follow(token=world.token())
    assert world.last()["configuration"] != configuration.id


def test_an_unknown_group_is_the_operators_to_mend(
    world: World, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(world.post(world.token(group="gold"))) == (500, "unknown_group")
    assert "PORTAL_CONFIGURATIONS has no group 'gold'" in log.getvalue()
    assert '"PortalMisconfigured"' in capsys.readouterr().out


def test_no_default_configuration_is_the_operators_to_mend(
    api: Api, simulator: RunningSimulator, log: io.StringIO
) -> None:
    customer = simulator.client().v1.customers.create({"email": "ada@example.com"}).id
    token = jwt.encode({"sub": customer, "aud": "portal", "exp": int(time.time()) + 60}, LINK_SECRET, "HS256")
    for query in ({"token": token}, {}):
        answer = api.send("GET /portal", query=urlencode(query), headers={"accept": "text/html"})
        assert answer.status == 500
        page = answer.body.decode()
        assert "Dashboard" not in page
        assert "not set up right on our side" in page
    assert log.getvalue().count("Settings > Billing > Customer portal") == 2


def test_a_deleted_customer_is_the_operators_to_mend(world: World) -> None:
    assert code(world.post(world.token(sub="cus_gone"))) == (500, "customer_missing")


def test_stripes_failure_is_told_apart_from_the_callers(world: World) -> None:
    world.simulator.admin("POST", "faults", {"fail": [{"path": "/v1/billing_portal", "status": 500, "times": 10}]})
    assert code(world.post(world.token())) == (503, "stripe_unavailable")


def test_a_person_gets_a_page_without_any_of_their_own_words(world: World) -> None:
    answer = world.api.send("GET /portal", query="token=%3Cscript%3Ealert(1)", headers={"accept": "text/html,*/*"})
    assert (answer.status, header(answer, "content-type")) == (401, "text/html; charset=utf-8")
    assert b"<script>" not in answer.body
    assert "default-src 'none'" in header(answer, "content-security-policy")


def test_nothing_secret_is_logged(world: World, log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    token = world.token()
    location = header(world.follow(token=token, email="ada@example.com"), "location")
    world.post(token, claims={"stripe_customer_id": "nobody@example.com", "email": "ada@example.com"})
    world.follow(token=token + "x", return_url="https://evil.example")
    # A group claim that is set to the wrong claim, and Stripe's quoting of what it refuses.
    world.post(claims={"stripe_customer_id": world.customer, "portal_group": "ada@example.com"})
    refused = {"path": "/v1/billing_portal", "status": 400, "message": "Invalid e-mail address: 'ada@example.com'"}
    world.simulator.admin("POST", "faults", {"fail": [refused]})
    assert code(world.post(token)) == (500, "stripe_refused")
    logged = "".join([log.getvalue(), *capsys.readouterr()])
    assert "evil" not in logged
    assert '"level":"INFO"' in logged
    assert '"PortalOpened"' in logged
    for secret in (token, location, LINK_SECRET, "ada@example.com", "nobody@example.com", "sk_test_1", "Bearer"):
        assert secret not in logged


def test_the_libraries_log_nothing_of_a_request_however_low_the_root_loggers_level_is(
    world: World, aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    """Lambda's JSON log format sets the root logger to INFO, or to whatever the function's configuration says."""
    aws.clients.secretsmanager.get_secret_value(SecretId=aws.template.ref("Secret"))
    token = world.token()
    with caplog.at_level(logging.DEBUG):
        location = header(world.follow(token=token), "location")
        world.post(token)
    lines = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    libraries = ("stripe", "botocore", "boto3", "urllib3")
    assert [record.name for record in caplog.records if record.name.startswith(libraries)] == []
    assert not any(secret in line for line in lines for secret in (token, location, LINK_SECRET, "sk_test_1"))


def test_every_answer_is_kept_nowhere_and_shown_in_no_frame(world: World) -> None:
    page = {"accept": "text/html"}
    answers = [
        world.api.send("HEAD /portal"),
        world.api.send("GET /portal"),
        world.api.send("GET /portal/return"),
        world.follow(token=world.token()),
        world.post(world.token()),
        world.follow(token="x"),
        world.post("x"),
        world.api.send("GET /portal", query="token=x", headers=page),
        world.api.send("GET /portal/return", query="return_url=x", headers=page),
    ]
    assert {answer.status for answer in answers} == {200, 201, 303, 400, 401}
    for answer in answers:
        found = tuple(header(answer, name) for name in ("cache-control", "referrer-policy", "x-content-type-options"))
        assert found == ("no-store", "no-referrer", "nosniff")
    for answer in answers[-2:]:
        policy = header(answer, "content-security-policy").split("; ")
        assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} < set(policy)


def test_the_tokens_group_comes_before_the_customers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = (world.stripe.v1.billing_portal.configurations.create({"features": FEATURES}).id for _ in range(2))
    configure(monkeypatch, PORTAL_CONFIGURATIONS=json.dumps({"token": mine, "customer": theirs}))
    world.stripe.v1.customers.update(world.customer, {"metadata": {"portal_group": "customer"}})
    for claims, expected in (({}, theirs), ({"group": "token"}, mine)):
        assert world.post(world.token(**claims)).status == 201
        assert world.last()["configuration"] == expected


def test_no_variable_of_the_log_librarys_own_prints_an_event() -> None:
    """Its debugging aids are read when the function starts: hence a process of its own."""
    script = (
        "import json, sys\nfrom functions.create_session.app import handler\n"
        "class Context:\n    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = 'x'\n"
        "print(json.dumps(handler(json.loads(sys.argv[1]), Context())))"
    )
    request = HttpRequest(
        "GET", "/portal", "token=x.betrayed.x", (("cookie", "a=betrayed"),), b"", "192.0.2.1", "HTTP/1.1"
    )
    names = ("POWERTOOLS_DEV", "POWERTOOLS_DEBUG", "POWERTOOLS_LOGGER_LOG_EVENT")
    ran = subprocess.run(
        [sys.executable, "-c", script, json.dumps(event_of(request, "GET /portal", {}))],
        env={**os.environ, "POWERTOOLS_METRICS_NAMESPACE": "x", **dict.fromkeys(names, "true")},
        capture_output=True,
        check=True,
        text=True,
    )
    assert '"statusCode"' in ran.stdout
    assert "betrayed" not in ran.stdout + ran.stderr


def test_the_environment_is_complained_of_by_name(
    world: World, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    configure(monkeypatch, DEFAULT_RETURN_URL="https://elsewhere.example")
    assert code(world.follow(token=world.token())) == (500, "bad_settings")
    assert "DEFAULT_RETURN_URL" in log.getvalue()


def test_the_secret_is_complained_of_by_name(world: World, aws: Aws, log: io.StringIO) -> None:
    aws.clients.secretsmanager.put_secret_value(SecretId=aws.template.ref("Secret"), SecretString="{}")
    assert code(world.follow(token=world.token())) == (500, "bad_secret")
    assert "stripe_api_key" in log.getvalue()


def test_the_group_of_a_user_who_is_found_by_the_address_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = world.stripe.v1.billing_portal.configurations.create({"features": FEATURES})
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true", PORTAL_CONFIGURATIONS=json.dumps({"business": made.id}))
    assert world.post(claims=ADA | {"portal_group": "business"}).status == 201
    assert world.last()["configuration"] == made.id


def allow_email(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true")
