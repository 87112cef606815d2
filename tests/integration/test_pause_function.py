"""The pause function behind its routes, with its schedule, and its document."""

import io
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import jsonschema
import jwt
import pytest
from pydantic import SecretStr

from functions.pause import app as pause_app
from functions.pause import wiring
from functions.pause.look import shown
from functions.pause.openapi import document
from local.gateway.event import HttpResponse
from local.site.mails import read_outbox
from shared.secret_store import SecretStore, StripeSecret
from tests.integration.conftest import LINK_SECRET, Api, Aws
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_access_changes import Context

KEPT = Path(__file__).parents[2] / "docs" / "reference" / "pause.openapi.json"
DOCUMENT = document()
PATH = "/subscriptions/{subscription}"


class Pauses:
    """Two customers with a subscription each, and how one of them asks."""

    def __init__(self, api: Api, simulator: RunningSimulator) -> None:
        self.api, self.simulator, self.stripe = api, simulator, simulator.client()
        product = self.stripe.v1.products.create({"name": "Gold"})
        self.price = self.stripe.v1.prices.create(
            {"product": product.id, "currency": "eur", "unit_amount": 1200, "recurring": {"interval": "month"}}
        ).id
        self.customer, self.subscription = self.subscriber("ida@example.com")
        self.other, self.others = self.subscriber("eva@example.com")

    def subscriber(self, email: str) -> tuple[str, str]:
        customer = self.stripe.v1.customers.create({"email": email, "payment_method": "pm_card_visa"})
        wanted: Any = {
            "customer": customer.id,
            "items": [{"price": self.price}],
            "billing_mode": {"type": "flexible"},
        }
        return customer.id, self.stripe.v1.subscriptions.create(wanted).id

    def token(self, **claims: Any) -> str:
        good = {"sub": self.customer, "aud": "pause", "exp": int(time.time()) + 600}
        return jwt.encode(good | claims, LINK_SECRET, algorithm="HS256")

    def ask(self, action: str = "", subscription: str = "", **options: Any) -> HttpResponse:
        """POST an action, or GET the list without one."""
        headers = {"authorization": f"Bearer {options.pop('token', None) or self.token()}"}
        headers |= options.pop("headers", {})
        claims, query = options.pop("claims", None), urlencode(options.pop("query", {}))
        if not action:
            return self.api.send("GET /subscriptions", headers=headers, claims=claims, query=query)
        path = f"/subscriptions/{subscription or self.subscription}/{action}"
        body = options.pop("body", None) or json.dumps(options).encode()
        return self.api.send(f"POST {PATH}/{action}", path=path, headers=headers, body=body, claims=claims, query=query)


def day(days: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 86_400))


def tick() -> dict[str, Any]:
    context: Any = Context()
    return pause_app.handler({}, context)


def body(answer: HttpResponse) -> Any:
    return json.loads(answer.body)


def check(answer: HttpResponse, method: str, path: str) -> int:
    """Check a response against the document, and return its status."""
    described = DOCUMENT["paths"][path][method]["responses"][str(answer.status)]
    kind = {name.lower(): value for name, value in answer.headers}["content-type"]
    schema = described["content"][kind]["schema"] | {"components": DOCUMENT["components"]}
    jsonschema.validate(body(answer), schema)
    return answer.status


@pytest.fixture
def pauses(api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Pauses:
    monkeypatch.setenv("PAUSE_ALLOWED", "everybody")
    monkeypatch.setenv("PAUSE_GROUPS", '{"gold": {"pause_now": "credit"}, "frozen": {"pause_allowed": "nobody"}}')
    pause_app._wire.cache_clear()
    return Pauses(api, simulator)


def test_a_customer_sees_pauses_changes_and_undoes(pauses: Pauses) -> None:
    (seen,) = body(pauses.ask())["subscriptions"]
    assert (seen["id"], seen["pause"], seen["offer"]["kind"]) == (pauses.subscription, None, "subscription")
    first = pauses.ask("pause", resume_on=day(60))
    assert (check(first, "post", f"{PATH}/pause"), body(first)["pause"]["state"]) == (200, "scheduled")
    later = pauses.ask("pause", resume_on=day(70))
    assert (later.status, body(later)["pause"]["asked_resume"]) == (200, day(70))
    listed = pauses.ask()
    assert check(listed, "get", "/subscriptions") == 200
    assert body(listed)["subscriptions"][0]["pause"]["state"] == "scheduled"
    undone = pauses.ask("undo")
    assert (check(undone, "post", f"{PATH}/undo"), body(undone)["pause"]["outcome"]) == (200, "undone")


def test_a_refusal_has_each_reason_in_the_callers_language(pauses: Pauses) -> None:
    refused = pauses.ask("pause", resume_on=day(1), headers={"accept-language": "fr"})
    assert check(refused, "post", f"{PATH}/pause") == 409
    assert body(refused)["code"] == "pause_refused"
    assert [each["code"] for each in body(refused)["reasons"]] == ["resume_too_early"]
    assert "date de reprise" in body(refused)["reasons"][0]["detail"]


@pytest.mark.parametrize("action", ["pause", "resume", "undo", "release"])
def test_nobody_reaches_somebody_elses_subscription(pauses: Pauses, action: str) -> None:
    fields = {"resume_on": day(60)} if action == "pause" else {}
    theirs, missing = (pauses.ask(action, each, **fields) for each in (pauses.others, "sub_missing"))
    assert (theirs.status, theirs.body) == (missing.status, missing.body)
    assert (theirs.status, body(theirs)["code"]) == (403, "not_your_subscription")
    for wrong in ({"aud": "portal"}, {"aud": "access"}, {"exp": 1}):
        assert pauses.ask(action, token=pauses.token(**wrong), **fields).status == 401
    limited = pauses.ask(action, token=pauses.token(subscription=pauses.others), **fields)
    assert (limited.status, body(limited)["code"]) == (403, "other_subscription")
    smuggled = pauses.ask(action, query={"customer": pauses.other}, **fields)
    assert (smuggled.status, body(smuggled)["code"]) == (403, "not_your_customer")
    assert pauses.stripe.v1.subscriptions.retrieve(pauses.others).schedule is None


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"x",
        b"[]",
        b'{"resume_on": 1}',
        b'{"resume_on": "2027-02-30"}',
        b'{"resume_on": "2027-03-01", "customer": "cus_2"}',
    ],
)
def test_a_body_that_is_wrong_is_refused_before_stripe_is_asked(pauses: Pauses, sent: bytes) -> None:
    answer = pauses.ask("pause", body=sent or b" ")
    assert (answer.status, body(answer)["code"]) == (400, "bad_request")


def test_a_group_has_its_own_rules(pauses: Pauses) -> None:
    frozen = pauses.ask("pause", token=pauses.token(group="frozen"), resume_on=day(60))
    assert [each["code"] for each in body(frozen)["reasons"]] == ["pauses_not_offered"]
    assert pauses.ask("pause", resume_on=day(60), begin="now").status == 409
    at_once = pauses.ask("pause", token=pauses.token(group="gold"), resume_on=day(60), begin="now")
    assert (at_once.status, body(at_once)["pause"]["state"]) == (200, "paused")
    assert body(at_once)["pause"]["unused_time"] == "credit"


def test_off_by_default(pauses: Pauses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAUSE_ALLOWED")
    pause_app._wire.cache_clear()
    refused = pauses.ask("pause", resume_on=day(60))
    assert [each["code"] for each in body(refused)["reasons"]] == ["pauses_not_offered"]


def test_a_signed_in_user_pauses_the_own_subscription_only(pauses: Pauses) -> None:
    ada = {
        "iss": "https://id.example",
        "sub": "ada",
        "stripe_customer": pauses.customer,
        "customer_id": pauses.customer,
    }
    claim = pause_app._wire().answers.settings.customer_claim
    claims = ada | {claim: pauses.customer}
    assert pauses.ask("pause", claims=claims, resume_on=day(60)).status == 200
    assert pauses.ask("pause", pauses.others, claims=claims, resume_on=day(60)).status == 403


def test_what_stripe_lost_is_finished_by_the_schedule(pauses: Pauses) -> None:
    fault = {"status": 500, "method": "POST", "path": "/v1/subscription_schedules", "times": 5}
    pauses.simulator.admin("POST", "faults", {"fail": [fault]})
    answer = pauses.ask("pause", resume_on=day(60))
    assert (check(answer, "post", f"{PATH}/pause"), body(answer)["outcome"]) == (202, "underway")
    pauses.simulator.admin("POST", "faults", {})
    assert tick()["followed"] == 0
    pausing = pause_app._wire().pausing
    object.__setattr__(pausing, "clock", lambda: time.time() + 300)
    assert tick() == {"followed": 1, "failed": 0, "not_carried_out": 0}
    assert body(pauses.ask())["subscriptions"][0]["pause"]["state"] == "scheduled"


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_midway_leaves_the_pause_to_the_schedule(pauses: Pauses, status: int) -> None:
    """The intent is written by then. The operator reads of the key with each look, until it is right again."""
    fault = {"status": status, "method": "POST", "path": "/v1/subscription_schedules", "times": 2}
    pauses.simulator.admin("POST", "faults", {"fail": [fault]})
    answer = pauses.ask("pause", resume_on=day(60))
    assert (check(answer, "post", f"{PATH}/pause"), body(answer)["outcome"]) == (202, "underway")
    pausing = pause_app._wire().pausing
    object.__setattr__(pausing, "clock", lambda: time.time() + 300)
    assert tick() == {"followed": 0, "failed": 1, "not_carried_out": 0}
    object.__setattr__(pausing, "clock", lambda: time.time() + 600)
    assert tick() == {"followed": 1, "failed": 0, "not_carried_out": 0}
    assert body(pauses.ask())["subscriptions"][0]["pause"]["state"] == "scheduled"


def test_the_log_names_the_pause_that_the_schedule_could_not_follow_or_tell_of(
    pauses: Pauses, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    assert pauses.ask("pause", resume_on=day(60)).status == 200
    monkeypatch.setenv("PAUSE_EMAIL_FROM", "nobody@unverified.example")
    pause_app._wire.cache_clear()
    pausing = pause_app._wire().pausing
    object.__setattr__(pausing, "clock", lambda: time.time() + 86_400)
    assert tick()["followed"] == 1
    fault = {"status": 500, "method": "GET", "path": "/v1/subscriptions", "times": 9}
    pauses.simulator.admin("POST", "faults", {"fail": [fault]})
    object.__setattr__(pausing, "clock", lambda: time.time() + 2 * 86_400)
    assert tick()["failed"] == 1
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    for code in ("mail_refused", "stripe_unavailable"):
        assert [each.get("subscription") for each in lines if each.get("code") == code] == [pauses.subscription]


def test_settings_that_are_wrong_are_named_in_the_log_only(pauses: Pauses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAUSE_GROUPS", '{"gold": {"max_days": 3}}')
    pause_app._wire.cache_clear()
    answer = pauses.ask()
    assert (answer.status, body(answer)["code"]) == (500, "bad_settings")
    assert b"max_days" not in answer.body


def test_the_document_that_is_kept_is_the_handlers_own() -> None:
    assert json.loads(KEPT.read_text()) == DOCUMENT


def test_every_route_of_the_function_is_in_the_document(aws: Aws) -> None:
    # The page is for people.
    page = {"GET /pause", "POST /pause"}
    mine = {route.key for route in aws.template.routes() if route.function_id == "PauseFunction"} - page
    paths = DOCUMENT["paths"]
    assert {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} == mine


def page(pauses: Pauses, form: dict[str, str] | None = None, **query: str) -> HttpResponse:
    headers = {"accept": "text/html", "content-type": "application/x-www-form-urlencoded"}
    route, sent = ("GET /pause", b"") if form is None else ("POST /pause", urlencode(form).encode())
    return pauses.api.send(route, headers=headers, body=sent, query=urlencode(query))


def header(answer: HttpResponse, wanted: str) -> str:
    return {name.lower(): value for name, value in answer.headers}[wanted]


def test_the_page_pauses_and_mails_the_customer(pauses: Pauses, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAUSE_EMAIL_FROM", "Shop <hello@shop.example>")
    monkeypatch.setenv("BRAND_NAME", "Shop")
    pause_app._wire.cache_clear()
    aws.clients.sesv2.create_email_identity(EmailIdentity="hello@shop.example")
    token = pauses.token(locale="fr")
    shown = page(pauses, token=token)
    assert (shown.status, header(shown, "content-language")) == (200, "fr")
    assert "script-src" not in header(shown, "content-security-policy")
    assert header(shown, "cache-control") == "no-store"
    asked = {"token": token, "subscription": pauses.subscription, "resume_on": day(60)}
    preview = page(pauses, asked | {"action": "preview"})
    assert preview.status == 200
    expected = preview.body.decode().partition('name="expected" value="')[2].partition('"')[0]
    done = page(pauses, asked | {"action": "pause", "begin": "period_end", "expected": expected})
    assert (done.status, header(done, "location")) == (303, f"?token={token}&done=pause")
    assert body(pauses.ask())["subscriptions"][0]["pause"]["state"] == "scheduled"
    mail = read_outbox(aws.url)[-1]
    assert (mail.recipients, mail.sender) == ("ida@example.com", "Shop <hello@shop.example>")
    assert "/pause?token=" in mail.text


def test_a_day_begins_where_the_shop_is_for_the_pause_and_for_its_mail(
    pauses: Pauses, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their days begin fourteen hours before those of UTC."""
    monkeypatch.setenv("AUDIT_TIMEZONE", "Pacific/Kiritimati")
    monkeypatch.setenv("PAUSE_EMAIL_FROM", "Shop <hello@shop.example>")
    pause_app._wire.cache_clear()
    aws.clients.sesv2.create_email_identity(EmailIdentity="hello@shop.example")
    back = datetime.now(UTC).date() + timedelta(days=60)
    assert pauses.ask("pause", resume_on=back.isoformat()).status == 200
    record = pause_app._wire().pausing.table.get(pauses.subscription)
    assert record
    assert (
        record.resumes == datetime(back.year, back.month, back.day, tzinfo=ZoneInfo("Pacific/Kiritimati")).timestamp()
    )
    assert f"returns on {shown('en', back)}" in read_outbox(aws.url)[-1].text


def test_the_mails_keep_to_the_rules_of_the_customers_group(
    pauses: Pauses, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weeks of notice, the mail that a pause is set is that of its return too."""
    monkeypatch.setenv("PAUSE_GROUPS", '{"gold": {"pause_notice_days": 60}}')
    monkeypatch.setenv("PAUSE_EMAIL_FROM", "Shop <hello@shop.example>")
    pause_app._wire.cache_clear()
    aws.clients.sesv2.create_email_identity(EmailIdentity="hello@shop.example")
    other = pauses.token(sub=pauses.other)
    pauses.ask("pause", resume_on=day(45), token=pauses.token(group="gold"))
    pauses.ask("pause", pauses.others, resume_on=day(45), token=other)
    table = pause_app._wire().pausing.table
    gold, plain = table.get(pauses.subscription), table.get(pauses.others)
    assert gold
    assert plain
    assert (gold.notified_for, plain.notified_for) == (gold.resumes, None)


@pytest.mark.usefixtures("pauses")
def test_a_new_stripe_key_is_used_as_soon_as_it_is_in_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = iter(("sk_test_old", "sk_test_new"))
    used: list[str] = []
    monkeypatch.setattr(SecretStore, "get", lambda _: StripeSecret(stripe_api_key=SecretStr(next(keys))))
    monkeypatch.setattr(wiring, "stripe_client", lambda key, _base: used.append(key))
    pausing = wiring.wire().pausing
    for _ in range(2):
        pausing.stripe()
    assert used == ["sk_test_old", "sk_test_new"]


@pytest.mark.parametrize("claims", [{"aud": "portal"}, {"aud": "access"}, {"exp": 1}])
def test_the_page_opens_for_pause_tokens_only(pauses: Pauses, claims: dict[str, Any]) -> None:
    answer = page(pauses, token=pauses.token(**claims))
    assert (answer.status, header(answer, "content-type")) == (401, "text/html; charset=utf-8")
    assert pauses.subscription not in answer.body.decode()
    posted = page(pauses, {"action": "resume", "subscription": pauses.subscription, "token": pauses.token(**claims)})
    assert posted.status == 401


@pytest.mark.parametrize("sent", [b"\xff\xfe", b"a=1&" * 100, b"{}"])
def test_the_page_takes_no_nonsense(pauses: Pauses, sent: bytes) -> None:
    headers = {"accept": "text/html", "content-type": "application/x-www-form-urlencoded"}
    assert pauses.api.send("POST /pause", headers=headers, body=sent).status in {400, 401}


def test_what_ses_refuses_costs_no_pause(pauses: Pauses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAUSE_EMAIL_FROM", "nobody@unverified.example")
    pause_app._wire.cache_clear()
    assert pauses.ask("pause", resume_on=day(60)).status == 200


DAYS = ("0001-01-01", "1969-12-31", "2028-02-29", "2100-02-28", "2999-12-31", "9999-12-31")
WRONG_BODIES = (
    b'{"resume_on": "2027-02-29"}',
    b'{"resume_on": "10000-01-01"}',
    b'{"resume_on": "-0001-01-01"}',
    b'{"resume_on": "2027-03-01T00:00:00+14:00"}',
    b'{"resume_on": "2027-03-01", "begin": "yesterday"}',
    b'{"resume_on": "2027-03-01", "reason": "caf\xc3\xa9"}',
    b'{"resume_on": "2027-03-01", "reason": "' + b"a" * 5_000 + b'"}',
    b'{"resume_on": NaN}',
    b'{"resume_on": 1e999}',
    b'{"resume_on": "\\ud800"}',
    b'{"resume_on": "2027-03-01\\u0000"}',
    b"[" * 2_000,
    b"\xff\xfe",
    b"x" * 100_000,
)


def odd_subscriptions(pauses: Pauses) -> dict[str, str]:
    """Return the customer's subscriptions in every state in which one cannot simply be paused."""
    stripe = pauses.stripe
    product = stripe.v1.prices.retrieve(pauses.price).product
    yearly: Any = {"product": product, "currency": "eur", "unit_amount": 9900, "recurring": {"interval": "year"}}
    dollars: Any = {"product": product, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "week"}}
    prices = {"yearly": stripe.v1.prices.create(yearly).id, "dollars": stripe.v1.prices.create(dollars).id}

    def make(**params: Any) -> str:
        wanted: Any = {"customer": pauses.customer, "items": [{"price": pauses.price}], **params}
        return stripe.v1.subscriptions.create(wanted).id

    found = {
        "active": make(billing_mode={"type": "flexible"}),
        "classic": make(billing_mode={"type": "classic"}),
        "trial": make(trial_period_days=20),
        "invoiced": make(collection_method="send_invoice", days_until_due=30),
        "incomplete": make(payment_behavior="default_incomplete"),
        "dollars": make(items=[{"price": prices["dollars"]}]),
        "several": make(items=[{"price": pauses.price}, {"price": prices["yearly"]}]),
        "canceled": make(),
        "canceling": make(cancel_at_period_end=True),
        "collection paused": make(),
        "past due": make(),
        "unpaid": make(),
        "of a schedule": make(),
    }
    stripe.v1.subscriptions.cancel(found["canceled"])
    stripe.v1.subscriptions.update(found["collection paused"], {"pause_collection": {"behavior": "keep_as_draft"}})
    for name, status in (("past due", "past_due"), ("unpaid", "unpaid")):
        pauses.simulator.admin("POST", f"subscriptions/{found[name]}", {"status": status})
    stripe.v1.subscription_schedules.create({"from_subscription": found["of a schedule"]})
    return found


def test_no_date_and_no_state_of_a_subscription_is_a_fault_of_ours(pauses: Pauses) -> None:
    for name, subscription in odd_subscriptions(pauses).items():
        for on in DAYS:
            for begin in ("period_end", "now"):
                answer = pauses.ask("pause", subscription, resume_on=on, begin=begin)
                assert answer.status in {200, 409}, (name, on, begin, answer.body)
        answer = pauses.ask("pause", subscription, resume_on=day(59))
        assert answer.status in {200, 202, 409}, (name, answer.body)
        for action in ("resume", "undo", "release"):
            answer = pauses.ask(action, subscription)
            assert answer.status in {200, 202, 409}, (name, action, answer.body)
    assert pauses.ask().status == 200


@pytest.mark.parametrize("sent", WRONG_BODIES, ids=range(len(WRONG_BODIES)))
def test_no_body_is_a_fault_of_ours(pauses: Pauses, sent: bytes) -> None:
    answer = pauses.ask("pause", body=sent)
    assert answer.status in {400, 413}, answer.body


@pytest.mark.parametrize("name", ["sub_%00", "sub_" + "a" * 3_000, "sub_caf\u00e9", "..", "su%62_1", "sub_1 OR 1=1"])
@pytest.mark.parametrize("action", ["pause", "undo"])
def test_no_name_of_a_subscription_is_a_fault_of_ours(pauses: Pauses, name: str, action: str) -> None:
    fields = {"resume_on": day(60)} if action == "pause" else {}
    assert pauses.ask(action, name, **fields).status in {403, 404}


def test_the_subscription_of_a_test_clock_that_is_far_ahead_is_no_fault_of_ours(pauses: Pauses) -> None:
    clock = pauses.stripe.v1.test_helpers.test_clocks.create({"frozen_time": int(time.time()) + 400 * 86_400})
    customer = pauses.stripe.v1.customers.create({"test_clock": clock.id, "payment_method": "pm_card_visa"}).id
    wanted: Any = {"customer": customer, "items": [{"price": pauses.price}], "billing_mode": {"type": "flexible"}}
    subscription = pauses.stripe.v1.subscriptions.create(wanted).id
    token = pauses.token(sub=customer)
    for days in (60, 410, 460):
        assert pauses.ask("pause", subscription, token=token, resume_on=day(days)).status in {200, 202, 409}
    for action in ("resume", "release"):
        assert pauses.ask(action, subscription, token=token).status in {200, 202, 409}
