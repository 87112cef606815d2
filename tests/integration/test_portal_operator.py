"""What only the operator can fix: a code, the fix in the log, a metric, and a visitor page that shows none of it."""

import io
import json
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from functions.create_session import app as create_session_app
from functions.create_session.portal_link import PortalLink
from shared.i18n import languages
from tests.integration.conftest import Api
from tests.integration.portal_world import FEATURES, World, code, configure, errors, header
from tests.integration.simulator_fixtures import RunningSimulator

SESSIONS = "/v1/billing_portal/sessions"
CONFIGURATIONS = "/v1/billing_portal/configurations"
NO_DEFAULT = (
    "No configuration provided and your {0} mode default configuration has not been created. Provide a configuration "
    "or create your default by saving your customer portal settings in {0} mode at https://dashboard.stripe.com/x."
)
OLD_NO_DEFAULT = (
    "You can\u2019t create a portal session in test mode until you save your customer portal settings in test mode at "
    "https://dashboard.stripe.com/test/settings/billing/portal."
)
OTHER_MODE = "No such {}: '{}'; a similar object exists in {} mode, but a {} mode key was used to make this request."
NOT_PERMITTED = (
    "The provided key 'rk_live_*****abcd' does not have the required permissions for this endpoint on account "
    "'acct_1'. Having the 'rak_customer_portal_write' permission would allow this request to continue."
)


@dataclass(frozen=True)
class Fault:
    """Stripe's refusal, and what becomes of it."""

    code: str
    metric: str
    fix: str
    failure: dict[str, Any]


FAULTS = [
    Fault(
        "no_default_configuration",
        "PortalNoDefaultConfiguration",
        "Settings > Billing > Customer portal",
        {"status": 400, "message": NO_DEFAULT.format("test"), "code": "parameter_missing"},
    ),
    Fault(
        "no_default_configuration",
        "PortalNoDefaultConfiguration",
        "Settings > Billing > Customer portal",
        {"status": 400, "message": NO_DEFAULT.format("live"), "code": "resource_missing"},
    ),
    Fault(
        "no_default_configuration",
        "PortalNoDefaultConfiguration",
        "in the mode of the API key",
        {"status": 400, "message": OLD_NO_DEFAULT},
    ),
    Fault(
        "wrong_mode",
        "PortalWrongMode",
        "The customer is of live mode and stripe_api_key in the secret is of test mode",
        {
            "status": 400,
            "message": OTHER_MODE.format("customer", "cus_1", "live", "test"),
            "code": "resource_missing",
            "param": "customer",
        },
    ),
    Fault(
        "wrong_mode",
        "PortalWrongMode",
        "put the test key there",
        {
            "status": 400,
            "message": OTHER_MODE.format("configuration", "bpc_1", "test", "live"),
            "code": "resource_missing",
            "param": "configuration",
        },
    ),
    Fault(
        "customer_missing",
        "PortalCustomerMissing",
        "The customer is deleted",
        {"status": 400, "message": "No such customer: 'cus_1'", "code": "resource_missing", "param": "customer"},
    ),
    Fault(
        "configuration_missing",
        "PortalConfigurationMissing",
        "Correct PORTAL_CONFIGURATIONS",
        {
            "status": 400,
            "message": "No such configuration: 'bpc_1'",
            "code": "resource_missing",
            "param": "configuration",
        },
    ),
    Fault(
        "stripe_key_lacks_permission",
        "PortalKeyLacksPermission",
        "rak_customer_portal_write",
        {"status": 403, "message": NOT_PERMITTED},
    ),
    Fault(
        "stripe_key_invalid",
        "PortalKeyInvalid",
        "put a new one into stripe_api_key",
        {"status": 401, "message": "Invalid API Key provided: sk_live_****abcd"},
    ),
    Fault(
        "stripe_key_invalid",
        "PortalKeyInvalid",
        "api_key_expired",
        {"status": 401, "message": "Expired API Key provided: sk_live_****abcd", "code": "api_key_expired"},
    ),
    Fault(
        "billing_not_available",
        "PortalBillingNotAvailable",
        "ask Stripe for access",
        {"status": 400, "message": "Your account does not have access to Billing."},
    ),
]


@pytest.fixture
def world(api: Api, simulator: RunningSimulator) -> World:
    return World(api, simulator)


def break_stripe(world: World, path: str, failure: dict[str, Any]) -> None:
    world.simulator.admin("POST", "faults", {"fail": [{"path": path, "times": 50, **failure}]})


def visit(api: Api, language: str = "en", **query: str) -> Any:
    headers = {"accept": "text/html,*/*;q=0.8", "accept-language": language}
    return api.send("GET /portal", query=urlencode(query), headers=headers)


def counted(text: str) -> dict[str, float]:
    """The metrics in what was printed."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"_aws"')]
    names = [metric["Name"] for line in lines for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    return {name: names.count(name) for name in names}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code}-{fault.fix[:12]}")
def test_each_fault_has_its_code_fix_and_count_and_one_calm_page(
    world: World, log: io.StringIO, capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    break_stripe(world, SESSIONS, fault.failure)
    capsys.readouterr()
    assert code(world.post(world.token())) == (500, fault.code)
    assert counted(capsys.readouterr().out) == {"PortalMisconfigured": 1, fault.metric: 1}
    (line,) = errors(log)
    assert line["code"] == fault.code
    assert fault.fix in line["message"]
    assert "abcd" not in log.getvalue()

    problem = json.loads(world.post(world.token()).body)
    assert problem["detail"].startswith("Something is not set up right on our side.")
    page = visit(world.api, token=world.token())
    assert (page.status, header(page, "content-type")) == (500, "text/html; charset=utf-8")
    assert_calm(page.body.decode(), fault.fix, fault.code, fault.failure["message"])
    line = errors(log)[-1]
    assert line["correlation_id"] in page.body.decode()
    assert line["raised_at"].startswith(("portal_session._portal_url:", "gateway.stripe_errors:"))


def assert_calm(page: str, *unsaid: str) -> None:
    assert "This is our fault, not yours" in page
    for words in (*unsaid, "Stripe", "Dashboard", "Traceback", "API", "cus_", "bpc_", "sk_", "Error", "Exception"):
        assert words not in page


@pytest.mark.parametrize("path", [CONFIGURATIONS])
@pytest.mark.parametrize("status", [401, 403])
def test_the_key_is_also_told_of_where_only_the_login_page_is_asked_for(
    world: World, log: io.StringIO, path: str, status: int
) -> None:
    break_stripe(world, path, {"status": status, "message": NOT_PERMITTED})
    answer = visit(world.api)
    assert answer.status == 500
    expected = {401: "stripe_key_invalid", 403: "stripe_key_lacks_permission"}[status]
    assert [line["code"] for line in errors(log)] == [expected]


def test_no_default_configuration_is_told_from_a_login_page_that_is_off(
    api: Api, simulator: RunningSimulator, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(api.send("GET /portal")) == (500, "no_default_configuration")
    create_session_app._wire.cache_clear()
    simulator.admin("POST", "default_configuration", {"features": FEATURES, "login_page": {"enabled": False}})
    assert code(api.send("GET /portal")) == (500, "login_page_off")
    assert "Turn on the login link" in errors(log)[-1]["message"]
    assert counted(capsys.readouterr().out) == {
        "PortalMisconfigured": 2,
        "PortalNoDefaultConfiguration": 1,
        "PortalLoginPageOff": 1,
    }
    create_session_app._wire.cache_clear()
    simulator.admin("POST", "default_configuration", {"login_page": {"enabled": True}})
    assert api.send("GET /portal").status == 303


def test_an_inactive_configuration_is_told_by_name(
    world: World, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world.stripe.v1.billing_portal.configurations.create({"features": FEATURES})
    world.stripe.v1.billing_portal.configurations.update(made.id, {"active": False})
    configure(monkeypatch, PORTAL_CONFIGURATIONS=json.dumps({"business": made.id}))
    assert code(world.post(world.token(group="business"))) == (500, "configuration_inactive")
    assert made.id in errors(log)[-1]["message"]
    default = world.stripe.v1.billing_portal.configurations.list({"is_default": True}).data[0]
    world.stripe.v1.billing_portal.configurations.update(default.id, {"active": False})
    assert code(world.api.send("GET /portal")) == (500, "configuration_inactive")
    assert default.id in errors(log)[-1]["message"]


def test_a_configuration_that_stripe_does_not_have_is_told(world: World, log: io.StringIO) -> None:
    assert code(world.post(world.token(group="business"))) == (500, "configuration_missing")
    assert "bpc_missing" in errors(log)[-1]["message"]


def test_words_of_stripes_that_nobody_knows_are_passed_to_the_log(world: World, log: io.StringIO) -> None:
    break_stripe(world, SESSIONS, {"status": 400, "message": "The moon is not in the right phase."})
    assert code(world.post(world.token())) == (500, "stripe_refused")
    assert "The moon is not in the right phase. (req_" in errors(log)[-1]["message"]


def test_a_return_url_that_stripe_refuses_is_the_callers_fault_where_the_caller_named_it(
    world: World, log: io.StringIO
) -> None:
    refusal = {"status": 400, "message": "Not a valid URL", "code": "url_invalid", "param": "return_url"}
    break_stripe(world, SESSIONS, refusal)
    assert code(world.post(world.token(), return_url="https://shop.example/odd")) == (400, "bad_return_url")
    assert errors(log) == []
    break_stripe(world, SESSIONS, refusal)
    assert code(world.post(world.token())) == (500, "stripe_refused")


def test_a_fault_of_the_bundles_own_shows_nothing_of_itself(
    world: World, monkeypatch: pytest.MonkeyPatch, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("the secret is sk_live_1 and the address ada@example.com")

    monkeypatch.setattr(PortalLink, "follow", fail)
    monkeypatch.setattr(PortalLink, "create", fail)
    capsys.readouterr()
    assert code(world.post(world.token())) == (500, "internal_error")
    assert_calm(visit(world.api, token=world.token()).body.decode(), "RuntimeError", "secret", "ada@example.com")
    assert counted(capsys.readouterr().out) == {"PortalFailed": 2}
    for line in errors(log):
        assert (line["code"], line["error"]) == ("internal_error", "RuntimeError")
        assert any("test_portal_operator.py" in place for place in line["where"])
    assert "sk_live_1" not in log.getvalue()


# ---------------------------------------------------------------- the visitor's page


def assert_page(page: str, language: str) -> None:
    """What holds for every page: its language, one heading, no script, nothing loaded, and no place left unfilled."""
    assert page.startswith("<!doctype html>\n")
    assert f'<html lang="{language}">' in page
    assert page.count("<h1>") == 1
    assert re.search(r"<title>.+</title>", page)
    assert not re.search(
        r"<script|<img|<link|https?:|\{|\}(?!\s*(\}|</style>|[:a-z@]))|None", page.split("</style>")[1]
    )
    assert "prefers-color-scheme: dark" in page


def test_the_page_is_in_the_visitors_language(world: World) -> None:
    for language, expected, words in (
        ("fr-CA,fr;q=0.9,en;q=0.8", "fr", "Ce lien a expiré"),
        ("en-GB", "en", "This link has expired"),
        ("de,fr;q=0.5", "fr", "Se connecter plutôt avec une adresse e-mail"),
        ("de", "en", "Sign in with your e-mail address instead"),
        ("fr;q=0", "en", "Please ask for a new one"),
        ("<script>", "en", "This link has expired"),
        ("", "en", "This link has expired"),
    ):
        answer = visit(world.api, language, token=world.token(exp=int(time.time()) - 1))
        assert (answer.status, header(answer, "content-language")) == (401, expected)
        assert words in answer.body.decode()
        assert_page(answer.body.decode(), expected)


def test_french_is_set_as_it_is_printed(world: World) -> None:
    break_stripe(world, SESSIONS, {"status": 401, "message": "no"})
    page = visit(world.api, "fr", token=world.token()).body.decode()
    assert "Le problème vient de chez nous, pas de vous\u00a0: un réglage est à corriger" in page
    assert "Rien n\u2019a changé dans votre compte." in page
    assert "indiquez ce numéro\u00a0:" in page


@pytest.mark.parametrize("language", languages())
def test_every_refusal_of_a_link_has_a_page(world: World, language: str) -> None:
    queries: list[tuple[int, dict[str, str]]] = [
        (401, {"token": "x"}),
        (401, {"token": world.token(exp=1)}),
        (400, {"token": world.token(), "return_url": "https://evil.example"}),
        (400, {"token": world.token(), "flow": "subscription_cancel"}),
        (400, {"token": world.token(), "flow": "x"}),
        (403, {"token": world.token(flow="subscription_cancel", subscription=world.others_subscription)}),
        (403, {"token": world.token(), "customer": world.other}),
        (500, {"token": world.token(group="gold")}),
        (500, {"token": world.token(sub="cus_gone")}),
    ]
    for status, query in queries:
        answer = visit(world.api, language, **query)
        page = answer.body.decode()
        assert (answer.status, header(answer, "cache-control")) == (status, "no-store")
        assert_page(page, language)
        # Whoever followed a link can still sign in with an e-mail address.
        assert '<a href="?">' in page
        assert not any(value in page for value in query.values() if len(value) > 3)


def test_the_way_out_is_none_that_leads_back_here(world: World) -> None:
    break_stripe(world, "/v1/billing_portal", {"status": 401, "message": "no"})
    for query in ({}, {"email": "ada@example.com"}, {"token": world.token()}):
        assert "<a " not in visit(world.api, **query).body.decode()
    create_session_app._wire.cache_clear()
    break_stripe(world, "/v1/billing_portal", {"status": 500})
    for query in ({}, {"token": world.token()}):
        page = visit(world.api, "fr", **query).body.decode()
        assert '<a href="">Réessayer</a>' in page
        assert "Merci de réessayer dans un instant" in page


def test_programs_get_problem_json_in_english_whatever_language_they_speak(world: World) -> None:
    for accept in ("*/*", "application/json", "", "text/plain"):
        answer = world.api.send("GET /portal", query="token=x", headers={"accept": accept, "accept-language": "fr"})
        assert header(answer, "content-type") == "application/problem+json"
        assert json.loads(answer.body)["detail"].startswith("Not a valid link token")
    for accept in ("*/*", "application/json", "application/json, text/plain, */*"):
        answer = world.api.send("POST /portal/sessions", headers={"accept": accept, "accept-language": "fr"})
        assert header(answer, "content-type") == "application/problem+json"
        assert code(answer) == (401, "no_token")
