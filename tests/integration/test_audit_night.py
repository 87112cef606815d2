"""A whole night: Stripe, the mirror, the table of nights, the bucket and the mail, as a durable execution of Lambda."""

import csv
import gzip
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from functions.nightly_audit import app, night, wiring
from functions.nightly_audit.audits_table import LONGEST_RUN, AuditsTable
from functions.nightly_audit.mail import Mailer
from local.aws.intrinsics import PhysicalNames
from local.aws.lambda_function import ExecutionFailed, run_durably
from local.aws.resources import put_parameters
from local.aws.template import Template
from shared.errors import OperatorError, Unavailable
from shared.mirror.items import Beginnings, Write
from shared.mirror.table import MirrorTable
from shared.stripe.gateway import TIMEOUT_SECONDS, stripe_client
from shared.stripe.pacing import RateLimit
from shared.stripe.subscription import read_subscription
from tests.clock import Clock
from tests.integration.audit_account import Account, serve, subscription
from tests.integration.conftest import SENDER, Aws

READER = "team@shop.example"
SECRET_KEY = "sk_test_1"
PAUSED_SINCE = 1_709_300_000


@pytest.fixture
def account(aws: Aws) -> Account:
    return Account(endpoint=aws.template.outputs()["WebhookUrl"])


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """All that the function logs."""
    text = StringIO()
    monkeypatch.setattr(app.logger.registered_handler, "stream", text)
    return text


@pytest.fixture(autouse=True)
def table(aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[MirrorTable]:
    """The function's environment; no pause of the audit takes time."""
    with serve(account) as stripe_base:
        overrides = {"STRIPE_API_BASE": stripe_base}
        for name, value in aws.template.environment("NightlyAuditFunction", overrides).items():
            monkeypatch.setenv(name, value)
        update_stack(aws)
        monkeypatch.setattr(app.metrics.provider, "namespace", "StripePortal")
        clock = Clock()
        monkeypatch.setattr(night, "RateLimit", lambda rate: RateLimit(rate, clock=clock, sleep=clock.sleep))
        wiring.clients.cache_clear()
        wiring.secrets.cache_clear()
        yield MirrorTable(aws.clients.dynamodb, aws.template.ref("Subscriptions"))
        stripe_client.cache_clear()


def update_stack(aws: Aws, **parameters: str) -> None:
    """Change parameters of the stack, as `sam deploy --parameter-overrides` does; the function is not touched."""
    changed = {"AuditTimezone": "Europe/Paris", "AuditRequestsPerSecond": "25"} | parameters
    template = Template.load(parameters=aws.template.parameters() | changed, names=PhysicalNames(aws_url=aws.url))
    put_parameters(template, aws.clients.ssm)


def run(**event: Any) -> dict[str, Any]:
    answer: dict[str, Any] = run_durably(app.handler, "nightly_audit", event)
    return answer


def sent(aws: Aws) -> list[EmailMessage]:
    data = requests.get(f"{aws.url}/moto-api/data.json", timeout=60).json()
    return [
        message_from_bytes(each["raw_data"].encode(), policy=SMTP) for each in data.get("ses", {}).get("RawMessage", [])
    ]


def only_mail(aws: Aws) -> EmailMessage:
    (mail,) = sent(aws)
    return mail


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part
    return " ".join(str(part.get_content()).split())


def kept(aws: Aws) -> dict[str, Any]:
    """The one item of the table of nights."""
    (item,) = aws.clients.dynamodb.scan(TableName=aws.template.ref("Audits"))["Items"]
    return item


def test_a_quiet_account_gets_an_all_clear(aws: Aws) -> None:
    assert run() == {
        "subscriptions_read": 0,
        "subscriptions_paused": 0,
        "customers_served_free": 0,
        "subscriptions_repaired": 0,
        "oldest_secret_days": 0,
        "findings": 0,
        "uncollected_per_month": {},
        "mail": "sent",
    }
    mail = only_mail(aws)
    assert mail["Subject"] == "Stripe audit: all clear"
    assert (mail["From"], mail["To"]) == (SENDER, READER)


def test_every_pause_reaches_the_team_as_text_html_and_csv(aws: Aws, account: Account, table: MirrorTable) -> None:
    account.subscriptions = [
        *(subscription(number) for number in range(130)),
        subscription(200, pause_collection=None),
        subscription(201, pause_collection={"behavior": "void", "resumes_at": 1}),
        subscription(202, pause_collection=None, status="paused"),
    ]
    mirrored = read_subscription(account.subscriptions[0])
    table.put_if_older(Write(mirrored, PAUSED_SINCE, "evt_1", Beginnings(PAUSED_SINCE)), than=PAUSED_SINCE)

    counts = run()

    assert counts["subscriptions_read"] == 133
    assert counts["subscriptions_paused"] == 131
    assert counts["customers_served_free"] == 130
    mail = only_mail(aws)
    for kind in ("plain", "html"):
        assert "1,625.00" in body(mail, kind)
    (attachment,) = mail.iter_attachments()
    rows = list(csv.DictReader(StringIO(attachment.get_content())))
    assert {row["id"] for row in rows} == {f"sub_{number}" for number in (*range(130), 202)}
    assert {row["Paused Since (UTC)"] for row in rows if row["id"] == "sub_0"} == {"2024-03-01 13:33"}
    assert account.keys == {SECRET_KEY}


def last_subject(aws: Aws) -> str:
    return str(sent(aws)[-1]["Subject"])


@pytest.fixture
def healthy(account: Account) -> None:
    """Nothing but pauses is to be found."""
    account.configurations = [{"id": "bpc_1", "is_default": True, "active": True, "login_page": {"enabled": True}}]


@pytest.mark.usefixtures("healthy")
def test_with_every_pause_acknowledged_the_mail_is_an_all_clear(aws: Aws, account: Account) -> None:
    forever = {"portal_pause_ok": "yes", "portal_pause_ok_by": "ada"}
    account.subscriptions = [
        subscription(1, metadata=forever),
        subscription(2, metadata=forever, pause_collection=None, status="paused"),
    ]
    run()  # fills the mirror
    assert run(send_again=True)["customers_served_free"] == 0
    assert last_subject(aws) == "[test] Stripe audit: all clear, 2 paused"
    assert "No customer is served for free." in body(sent(aws)[-1], "plain")
    account.subscriptions[0]["metadata"] = {}
    assert run(send_again=True)["customers_served_free"] == 1
    assert last_subject(aws) == "[test] up to 12.50 EUR a month, up to 1 customer"


@pytest.mark.usefixtures("healthy")
def test_a_service_that_honors_pauses_gets_an_all_clear_until_a_pause_is_too_old(
    aws: Aws, account: Account, table: MirrorTable
) -> None:
    account.subscriptions = [subscription(1)]
    mirrored = read_subscription(account.subscriptions[0])
    table.put_if_older(Write(mirrored, PAUSED_SINCE, "evt_1", Beginnings(PAUSED_SINCE)), than=PAUSED_SINCE)
    update_stack(aws, ServiceHonorsPauses="true", MaxPauseDays="0")
    run()
    assert last_subject(aws) == "[test] Stripe audit: all clear, 1 paused"
    for kind in ("plain", "html"):
        assert "1 customer is paused: up to 12.50 EUR a month not collected." in body(only_mail(aws), kind)
        assert "The oldest pause began on 1 March 2024 or earlier." in body(only_mail(aws), kind)
    update_stack(aws, ServiceHonorsPauses="true")
    run(send_again=True)
    assert "1 warning" in last_subject(aws)
    assert "older than 365 days" in body(sent(aws)[-1], "plain")


def test_what_waits_in_the_dead_letter_queues_is_counted_and_left_there(aws: Aws) -> None:
    sqs = aws.clients.sqs
    queues = {name: aws.template.ref(name) for name in ("DeadLetterQueue", "AuditDeadLetterQueue")}
    for number in range(12):
        sqs.send_message(QueueUrl=queues["DeadLetterQueue"], MessageBody=str(number))
    sqs.send_message(QueueUrl=queues["AuditDeadLetterQueue"], MessageBody="{}")
    for _again in range(2):
        run(send_again=True)
        text = body(sent(aws)[-1], "plain")
        assert "12 events could not be understood, and wait in the dead-letter queue." in text
        assert "1 run of the audit was not started, or failed" in text


def test_the_night_repairs_a_mirror_that_had_drifted(aws: Aws, account: Account, table: MirrorTable) -> None:
    lost, changed, dead = (subscription(number, pause_collection=None) for number in range(3))
    account.subscriptions = [lost, changed, dead | {"status": "canceled", "ended_at": 1_700_000_000}]
    for raw in (changed | {"status": "past_due"}, dead):
        table.put_if_older(Write(read_subscription(raw), PAUSED_SINCE, "evt_1"), than=PAUSED_SINCE)

    run()

    states = {each.subscription.id: each.subscription.status for each in table.all()}
    assert states == {"sub_0": "active", "sub_1": "active", "sub_2": "canceled"}
    text = body(only_mail(aws), "plain")
    assert "3 subscriptions in the mirror differed from Stripe." in text
    assert "has repaired this" in text


def test_a_mirror_that_does_not_answer_costs_no_mail(
    aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.subscriptions = [subscription(1)]
    monkeypatch.setenv("TABLE_NAME", "NoSuchTable")
    counts = run()
    assert (counts["customers_served_free"], counts["mail"]) == (1, "sent")
    assert "The table of subscriptions did not answer" in body(only_mail(aws), "plain")


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/billing_portal/configurations", "Customer portal"),
        ("/v1/webhook_endpoints", "Webhook Endpoints"),
        ("/v1/events", "Events"),
        ("/v1/invoices", "Invoices"),
        ("/v2/core/event_destinations", "Event Destinations"),
    ],
)
def test_a_night_on_which_one_list_cannot_be_read_has_its_mail_which_says_so(
    aws: Aws, account: Account, path: str, name: str, status: int
) -> None:
    account.subscriptions = [subscription(1)]
    account.broken = {path: status}
    assert run()["subscriptions_paused"] == 1
    assert ("may not read" if status == 403 else "Could not be read, or not to the end") in body(
        only_mail(aws), "plain"
    )
    assert name in body(only_mail(aws), "plain")


def test_a_night_on_which_the_dead_letter_queues_cannot_be_read_has_its_mail_which_says_so(
    aws: Aws, account: Account
) -> None:
    account.subscriptions = [subscription(1)]
    aws.clients.sqs.delete_queue(QueueUrl=aws.template.ref("SettleDeadLetterQueue"))
    assert run()["subscriptions_paused"] == 1
    assert "not to the end: dead-letter queues." in body(only_mail(aws), "plain")


def test_an_account_of_many_steps_is_read_whole(aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.subscriptions = [subscription(number) for number in range(1450)]
    monkeypatch.setenv("TABLE_NAME", "NoSuchTable")
    monkeypatch.setattr(app, "wire", lambda: replace(wiring.wire(), step_seconds=0.05))
    assert run()["subscriptions_paused"] == 1450
    assert len({key.split("/")[2] for key in keys(aws, "parts/")}) > 4


def keys(aws: Aws, prefix: str) -> list[str]:
    found = aws.clients.s3.list_objects_v2(Bucket=aws.template.ref("AuditReports"), Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_stripe_refuses_for_now_only_slows_it_down(aws: Aws, account: Account, status: int) -> None:
    account.subscriptions = [subscription(number) for number in range(30)]
    account.status, account.failures = status, 20
    assert run()["subscriptions_paused"] == 30
    assert only_mail(aws)


@pytest.mark.parametrize(("status", "code"), [(401, "stripe_key_invalid"), (500, "stripe_unavailable")])
def test_no_mail_at_all_goes_out_when_stripe_cannot_be_read(  # noqa: PLR0913, PLR0917 - fixtures
    aws: Aws, account: Account, status: int, code: str, capsys: pytest.CaptureFixture[str], log: StringIO
) -> None:
    account.status = status
    with pytest.raises(ExecutionFailed):
        run()
    assert sent(aws) == []
    output = capsys.readouterr().out + log.getvalue()
    assert '"AuditRuns"' in output
    assert '"AuditFailures"' in output
    assert '"AuditReports"' not in output
    assert code in output


def test_an_outage_of_more_than_two_hours_is_waited_for(account: Account) -> None:
    account.subscriptions = [subscription(1)]
    # Eight tries at each of 20 attempts, which together last more than three hours.
    account.status, account.failures = 503, 8 * 20
    assert run()["mail"] == "sent"


def test_the_next_mail_names_a_night_whose_run_failed_once(
    aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.status = 401
    with pytest.raises(ExecutionFailed):
        run()
    account.status = 200
    for day in (1, 2):
        later(monkeypatch, days=day)
        assert run()["mail"] == "sent"
    first, second = (body(mail, "plain") for mail in sent(aws))
    assert "No mail was sent for the audit of" in first
    assert "No mail was sent for the audit of" not in second


def test_a_run_that_lambda_ended_at_its_limit_is_counted_and_named_by_the_next(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = aws.template.resources("AWS::Serverless::Function")["NightlyAuditFunction"]["DurableConfig"]
    assert limit["ExecutionTimeout"] == LONGEST_RUN.total_seconds()
    begun = replace(wiring.wire(), clock=lambda: time.time() - 86_400)
    begun.begin(lambda _: None)
    run()
    assert "reached its time limit" in body(only_mail(aws), "plain")
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [line["AuditFailures"] for line in counted if "AuditFailures" in line] == [[1.0]]


def test_a_run_that_may_still_send_its_mail_is_not_named(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch, days=1)
    monkeypatch.setattr("functions.nightly_audit.audits_table.LONGEST_RUN", timedelta(days=2))
    wiring.wire().begin(lambda _: None)
    run()
    assert only_mail(aws)["Subject"] == "Stripe audit: all clear"


def test_a_second_run_of_a_night_sends_nothing_unless_it_is_told_to(aws: Aws, account: Account) -> None:
    account.subscriptions = [subscription(1)]
    assert [run()["mail"], run()["mail"]] == ["sent", "sent_before"]
    assert len(sent(aws)) == 1
    assert run(send_again=True)["mail"] == "sent"
    assert len(sent(aws)) == 2


def test_a_run_that_died_while_sending_leaves_the_mail_to_another_one_only_after_a_while(
    aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.subscriptions = [subscription(1)]
    with monkeypatch.context() as broken:
        broken.setattr(Mailer, "send", _die)
        with pytest.raises(ExecutionFailed):
            run()
    assert kept(aws)["mail"] == {"S": "sending"}
    assert run()["mail"] == "sent_before"
    assert sent(aws) == []
    later(monkeypatch, minutes=16)
    assert run()["mail"] == "sent"


def _die(*_: object) -> None:
    raise RuntimeError("died")


def test_a_mail_that_was_refused_can_be_sent_as_soon_as_the_team_has_fixed_that(aws: Aws, account: Account) -> None:
    account.subscriptions = [subscription(1)]
    update_stack(aws, AuditEmailFrom="nobody@elsewhere.example")
    with pytest.raises(ExecutionFailed):
        run()
    update_stack(aws)
    assert kept(aws)["mail"] == {"S": "refused"}
    assert run()["mail"] == "sent"
    assert kept(aws)["mail"] == {"S": "sent"}
    assert len(sent(aws)) == 1


def test_a_mail_that_cannot_be_noted_is_not_sent_again(
    aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.subscriptions = [subscription(1)]

    def lost(*_: object) -> None:
        raise Unavailable("nights_unavailable", "down")

    monkeypatch.setattr(AuditsTable, "record_mail", lost)
    assert run()["mail"] == "sent"
    assert len(sent(aws)) == 1


def test_a_changed_parameter_reaches_the_next_run(aws: Aws, account: Account) -> None:
    account.subscriptions = [subscription(1)]
    run()
    aws.clients.sesv2.create_email_identity(EmailIdentity="audit@new.example")
    update_stack(aws, AuditEmailFrom="audit@new.example", AuditEmailTo="one@new.example", AuditLanguage="fr")
    run(send_again=True)
    first, second = sent(aws)
    assert (first["From"], first["To"], first["Content-Language"]) == (SENDER, READER, "en")
    assert (second["From"], second["To"]) == ("audit@new.example", "one@new.example")
    assert second["Content-Language"] == "fr"


def test_silence_is_kept_on_a_night_on_which_all_is_well_and_only_then(aws: Aws, account: Account) -> None:
    update_stack(aws, AuditAllClear="silence")
    assert run()["mail"] == "silent"
    assert sent(aws) == []
    assert kept(aws)["mail"] == {"S": "silent"}
    account.subscriptions = [subscription(1)]
    assert run(send_again=True)["mail"] == "sent"


def test_the_next_night_tells_what_changed(aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.subscriptions = [subscription(1), subscription(2)]
    run()
    later(monkeypatch, days=1)
    account.subscriptions = [subscription(2), subscription(3), subscription(4)]
    run()
    first, second = sent(aws)
    text = body(second, "plain")
    assert "sub_3" in text
    assert "yesterday" in text
    assert "yesterday" not in body(first, "plain")


@pytest.mark.parametrize("spoilt", [None, b"", b"\xff\xfe,\r\n\xff", b"name\r\nsub_1\r\n"])
def test_a_list_of_last_night_that_is_lost_costs_the_comparison_and_not_the_mail(
    aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch, spoilt: bytes | None
) -> None:
    account.subscriptions = [subscription(1)]
    run()
    (key,) = keys(aws, "lists/")
    where: Any = {"Bucket": aws.template.ref("AuditReports"), "Key": key}
    if spoilt is None:
        aws.clients.s3.delete_object(**where)
    else:
        aws.clients.s3.put_object(Body=spoilt, **where)
    later(monkeypatch, days=1)
    assert run()["mail"] == "sent"
    assert "yesterday" not in body(sent(aws)[1], "plain")


def test_a_run_that_sends_nothing_leaves_the_list_of_the_mail_as_it_was(aws: Aws, account: Account) -> None:
    account.subscriptions = [subscription(1)]
    run()
    account.subscriptions = [subscription(2)]
    assert run()["mail"] == "sent_before"
    (key,) = keys(aws, "lists/")
    kept_list = aws.clients.s3.get_object(Bucket=aws.template.ref("AuditReports"), Key=key)["Body"].read()
    assert b"sub_1" in kept_list
    assert b"sub_2" not in kept_list


def later(monkeypatch: pytest.MonkeyPatch, **span: int) -> None:
    ahead = timedelta(**span).total_seconds()
    monkeypatch.setattr(app, "wire", lambda: replace(wiring.wire(), clock=lambda: time.time() + ahead))


def test_a_list_too_long_for_a_mail_is_linked_to(aws: Aws, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(night, "LARGEST_ATTACHMENT", 1000)
    account.subscriptions = [subscription(number) for number in range(20)]
    run()
    mail = only_mail(aws)
    assert list(mail.iter_attachments()) == []
    (url,) = {
        found.replace("&amp;", "&")
        for found in re.findall(r'href="(http[^"]+X-Amz-Signature=[^"]+)"', body(mail, "html"))
    }
    fetched = requests.get(url, timeout=60)
    assert len(list(csv.DictReader(StringIO(fetched.text)))) == 20
    assert fetched.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert fetched.headers["Content-Disposition"].startswith("attachment; ")
    today = datetime.now(ZoneInfo("Europe/Paris")).date()
    assert f"lists/{today}.csv" in body(mail, "plain")


def test_the_mail_speaks_french_where_it_is_told_to(aws: Aws, account: Account) -> None:
    update_stack(aws, AuditLanguage="fr")
    account.subscriptions = [subscription(1)]
    run()
    assert "client" in body(only_mail(aws), "plain")
    assert "served for free" not in body(only_mail(aws), "plain")


def test_the_log_and_the_metrics_hold_counts_and_no_address_key_or_customer(
    account: Account, capsys: pytest.CaptureFixture[str], log: StringIO
) -> None:
    account.subscriptions = [subscription(1)]
    run()
    output = capsys.readouterr().out
    assert "customers_served_free" in log.getvalue()
    for private in (SENDER, READER, SECRET_KEY, "cus_1"):
        assert private not in output + log.getvalue()
    counted = [line for line in map(json.loads, output.splitlines()) if "_aws" in line]
    for name in ("AuditRuns", "AuditMails", "AuditReports", "PausedSubscriptions", "CustomersServedFree"):
        assert [line[name] for line in counted if name in line] == [[1.0]]


def test_a_run_of_many_invocations_is_counted_once(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.subscriptions = [subscription(number) for number in range(450)]
    monkeypatch.setenv("TABLE_NAME", "NoSuchTable")
    monkeypatch.setattr(app, "wire", lambda: replace(wiring.wire(), step_seconds=0.01))
    run()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    for name in ("AuditRuns", "AuditReports", "AuditMails"):
        assert [line[name] for line in lines if name in line] == [[1.0]]


def test_an_unverified_sender_is_the_operators_to_mend_and_is_not_named_in_the_log(
    aws: Aws, capsys: pytest.CaptureFixture[str], log: StringIO
) -> None:
    update_stack(aws, AuditEmailFrom="nobody@elsewhere.example")
    with pytest.raises(ExecutionFailed, match="Verify AUDIT_EMAIL_FROM"):
        run()
    assert "mail_refused" in log.getvalue()
    assert "nobody@elsewhere" not in capsys.readouterr().out + log.getvalue()


def test_the_parts_and_the_list_of_a_night_are_kept_apart(aws: Aws, account: Account) -> None:
    account.subscriptions = [subscription(1)]
    run()
    assert [key.rpartition("/")[2] for key in keys(aws, "lists/")] == [f"{kept(aws)['night']['S']}.csv"]
    assert {key.split("/")[3] for key in keys(aws, "parts/")} == {"paused.jsonl.gz", "seen", "state.json.gz"}


@pytest.mark.parametrize("event", [None, "", [], "again", {"send_again": "true"}, {"send_again": 1}])
def test_whatever_the_schedule_sends_is_an_ordinary_run(aws: Aws, event: Any) -> None:
    assert run_durably(app.handler, "nightly_audit", event)["mail"] == "sent"
    assert run_durably(app.handler, "nightly_audit", event)["mail"] == "sent_before"
    assert len(sent(aws)) == 1


def test_what_stripe_says_of_a_key_stays_out_of_the_log(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    account.status, account.message = 401, "Invalid API Key provided: sk_test_*******wxyz"
    with pytest.raises(ExecutionFailed):
        run()
    assert "does not take the API key" in caplog.text
    assert "wxyz" not in caplog.text


def test_what_aws_or_stripe_refuse_for_now_is_tried_again_until_lambda_ends_the_run() -> None:
    delays, attempts = [], 1
    strategy = app._PATIENCE.retry_strategy
    assert strategy
    while (decision := strategy(Unavailable("stripe_unavailable", "down"), attempts)).should_retry:
        delays.append(decision.delay_seconds)
        attempts += 1
    assert sum(delays) > LONGEST_RUN.total_seconds()
    assert not strategy(OperatorError("reports_refused", "no"), 1).should_retry


@pytest.mark.parametrize(
    ("setting", "code"), [("AUDIT_BUCKET", "reports_refused"), ("AUDITS_TABLE_NAME", "nights_refused")]
)
def test_what_only_the_team_can_mend_fails_at_once(
    account: Account, monkeypatch: pytest.MonkeyPatch, log: StringIO, setting: str, code: str
) -> None:
    account.subscriptions = [subscription(1)]
    monkeypatch.setenv(setting, "no-such-thing")
    with pytest.raises(ExecutionFailed):
        run()
    assert log.getvalue().count(f'"{code}"') == 1


def test_the_audit_waits_longer_for_a_page_than_a_visitor_for_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []

    def client(key: str, base: str, timeout: float = TIMEOUT_SECONDS) -> Any:
        waits.append(timeout)
        return stripe_client(key, base, timeout)

    monkeypatch.setattr(night, "stripe_client", client)
    run()
    assert min(waits) >= 5 * TIMEOUT_SECONDS


def upload(aws: Aws, text: str) -> None:
    bucket = aws.template.outputs()["AuditBucketName"]
    aws.clients.s3.put_object(Bucket=bucket, Key="access/users.csv", Body=text.encode())
    update_stack(aws, AccessList="access/users.csv")


@pytest.mark.usefixtures("healthy")
def test_the_companys_own_list_is_compared_every_night(aws: Aws, account: Account) -> None:
    account.subscriptions = [subscription(number, pause_collection=None) for number in range(3)]
    run()  # fills the mirror
    held = [read_subscription(each).customer_id for each in account.subscriptions]
    lines = [f"{held[0]},yes", f"{held[1]},no", "nobody,yes", *(f"cus_free{number},no" for number in range(3000))]
    upload(aws, "customer,served\n" + "\n".join(lines))
    run(send_again=True)
    text = body(sent(aws)[-1], "plain")
    assert "Your list refuses 1 customer who should have service." in text
    assert "1 customer who should have service is not in your list." in text
    assert held[1] in text
    assert held[2] in text
    assert "1 line of your list could not be read. The first are: 4." in text
    # Nothing of the list is kept but who is named in the mail.
    bucket = aws.template.outputs()["AuditBucketName"]
    for each in aws.clients.s3.list_objects_v2(Bucket=bucket)["Contents"]:
        if not each["Key"].startswith("access/"):
            content = aws.clients.s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            plain = gzip.decompress(content) if each["Key"].endswith(".gz") else content
            assert b"cus_free" not in plain


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "The list is empty"), ("a,b\n1,2\n", "Name the column"), (None, "did not answer (NoSuchKey)")],
)
def test_a_list_that_cannot_be_compared_costs_only_itself(aws: Aws, text: str | None, problem: str) -> None:
    if text is None:
        update_stack(aws, AccessList="access/users.csv")
    else:
        upload(aws, text)
    assert run()["mail"] == "sent"
    assert problem in body(only_mail(aws), "plain")


@pytest.mark.usefixtures("healthy")
def test_a_list_that_takes_too_long_is_given_up(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(aws, "customer,served\ncus_1,no\n")
    made = night.NightlyAudit
    monkeypatch.setattr(wiring, "NightlyAudit", lambda *parts: replace(made(*parts), list_seconds=-1))
    assert run()["mail"] == "sent"
    assert "It takes longer than -1 s" in body(only_mail(aws), "plain")
