"""A drill: a fault is made to happen, and the metrics that the functions count ring its alarm, and no other's."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from functions.access import app as access_app
from functions.access_changes import app as access_changes_app
from functions.create_session import app as create_session_app
from functions.nightly_audit import app as audit_app
from functions.nightly_audit import wiring
from functions.pause import app as pause_app
from functions.webhook import app as webhook_app
from local.aws.lambda_function import ExecutionFailed, run_durably
from shared.errors import Unavailable
from shared.pausing.at_stripe import StripePauses
from shared.stripe.gateway import stripe_client
from tests.integration.audit_account import Account, serve, subscription
from tests.integration.conftest import Api, Aws
from tests.integration.portal_world import World
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_access_changes import MARCH, NO_EVENTS, Context, record
from tests.integration.test_access_changes import World as AccessWorld
from tests.integration.test_access_changes import subscription as subscription_of
from tests.integration.test_access_function import Access
from tests.integration.test_pause_function import Pauses, day, tick
from tests.integration.test_webhook import ROUTE, event, signed, two_events
from tests.integration.test_webhook import World as WebhookWorld


def never_answered(*_: Any, **__: Any) -> str:
    raise Unavailable("stripe_unavailable", "The answer was lost")


STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max, "Average": fmean}


def counted(output: str) -> dict[tuple[str, str], list[float]]:
    """The values of each metric that was printed in CloudWatch's embedded format, by service and name."""
    values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for line in output.splitlines():
        if not line.startswith('{"_aws"'):
            continue
        record = json.loads(line)
        for metric in record["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
            value = record[metric["Name"]]
            values[record["service"], metric["Name"]] += value if isinstance(value, list) else [value]
    return dict(values)


def datapoint(values: dict[tuple[str, str], list[float]], metric: dict[str, Any], statistic: str) -> float | None:
    service = next((each["Value"] for each in metric["Dimensions"] if each["Name"] == "service"), "")
    found = values.get((service, metric["MetricName"]))
    return STATISTICS[statistic](found) if found else None


def fires(alarm: dict[str, Any], values: dict[tuple[str, str], list[float]]) -> bool:
    """Whether the alarm would ring if each of its periods had these values."""
    if "MetricName" in alarm:
        point = datapoint(values, alarm, alarm["Statistic"])
    else:
        points = {
            part["Id"]: datapoint(values, part["MetricStat"]["Metric"], part["MetricStat"]["Stat"])
            for part in alarm["Metrics"]
            if "MetricStat" in part
        }
        (expression,) = (part["Expression"] for part in alarm["Metrics"] if "Expression" in part)
        terms = re.findall(r"FILL\((\w+), 0\)", expression)
        assert "+".join(f"FILL({term}, 0)" for term in terms) == expression
        point = sum(points[term] or 0 for term in terms)
    if point is None:
        return bool(alarm["TreatMissingData"] == "breaching")
    threshold = float(alarm["Threshold"])
    return point < threshold if alarm["ComparisonOperator"] == "LessThanThreshold" else point >= threshold


@pytest.fixture
def ours(aws: Aws) -> dict[str, dict[str, Any]]:
    """The alarms about metrics that the functions count."""
    return {
        name.removesuffix("Alarm"): alarm
        for name, alarm in aws.template.resources("AWS::CloudWatch::Alarm").items()
        if '"service"' in json.dumps(alarm)
    }


@pytest.fixture
def ring(ours: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> Callable[[str], set[str]]:
    """Which alarms about a service the metrics counted since the last call would ring."""
    capsys.readouterr()

    def ringing(service: str) -> set[str]:
        values = counted(capsys.readouterr().out)
        return {
            name
            for name, alarm in ours.items()
            if f'"Value": "{service}"' in json.dumps(alarm) and fires(alarm, values)
        }

    return ringing


class TestWebhook:
    def test_an_ordinary_event_rings_nothing(self, api: Api, ring: Callable[[str], set[str]]) -> None:
        body = json.dumps(event(created=int(time.time()) - 60)).encode()
        assert api.send(ROUTE, headers=signed(body), body=body).status == 200
        assert ring("webhook") == set()

    def test_silence(self, ring: Callable[[str], set[str]]) -> None:
        assert ring("webhook") == {"WebhookSilent"}

    def test_a_wrong_signing_secret(self, api: Api, ring: Callable[[str], set[str]]) -> None:
        body = json.dumps(event()).encode()
        for _ in range(10):
            assert api.send(ROUTE, headers=signed(body, "whsec_of_another_endpoint"), body=body).status == 400
        assert ring("webhook") == {"WebhookRefused", "WebhookSilent"}

    def test_a_table_that_is_gone(self, api: Api, aws: Aws, ring: Callable[[str], set[str]]) -> None:
        aws.clients.dynamodb.delete_table(TableName=aws.template.ref("Subscriptions"))
        body = json.dumps(event()).encode()
        assert api.send(ROUTE, headers=signed(body), body=body).status >= 500
        assert ring("webhook") == {"WebhookFailing", "WebhookSilent"}

    def test_an_event_that_arrives_late(self, api: Api, ring: Callable[[str], set[str]]) -> None:
        body = json.dumps(event(created=int(time.time()) - 1200)).encode()
        assert api.send(ROUTE, headers=signed(body), body=body).status == 200
        assert ring("webhook") == {"MirrorLag"}

    def test_a_secret_that_somebody_broke(
        self, api: Api, aws: Aws, ring: Callable[[str], set[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = json.dumps(event()).encode()
        assert api.send(ROUTE, headers=signed(body), body=body).status == 200
        secret_id = aws.template.ref("SigningSecrets")
        aws.clients.secretsmanager.put_secret_value(SecretId=secret_id, SecretString="{")
        ring("webhook")
        store = webhook_app._wire().receiver.signing_secrets
        monkeypatch.setattr(store, "_monotonic", lambda: time.monotonic() + 1000)
        assert api.send(ROUTE, headers=signed(body), body=body).status == 200
        assert ring("webhook") == {"SecretKept"}

    def test_stripe_limits_the_rate_of_reads(
        self, api: Api, aws: Aws, simulator: RunningSimulator, ring: Callable[[str], set[str]]
    ) -> None:
        world = WebhookWorld(api, aws)
        two_events(world, simulator)
        ring("webhook")
        simulator.admin("POST", "faults", {"fail": [{"status": 429, "times": 1}]})
        world.settle()
        assert ring("webhook") == {"StripeReadsWaiting", "WebhookSilent"}


class TestPortal:
    @pytest.fixture
    def world(self, api: Api, simulator: RunningSimulator) -> World:
        return World(api, simulator)

    def fail(self, world: World, **failure: Any) -> None:
        world.simulator.admin(
            "POST", "faults", {"fail": [{"path": "/v1/billing_portal/sessions", "times": 50, **failure}]}
        )

    def test_an_ordinary_opening_rings_nothing(self, world: World, ring: Callable[[str], set[str]]) -> None:
        assert world.follow(token=world.token()).status == 303
        assert ring("create_session") == set()

    def test_a_key_that_was_revoked(self, world: World, ring: Callable[[str], set[str]]) -> None:
        self.fail(world, status=401, message="Invalid API Key provided")
        assert world.follow(token=world.token()).status == 500
        assert ring("create_session") == {"PortalBroken"}

    def test_a_fault_of_our_own(
        self, world: World, ring: Callable[[str], set[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(create_session_app, "_wire", lambda: 1 / 0)
        assert world.follow(token=world.token()).status == 500
        assert ring("create_session") == {"PortalBroken"}

    def test_stripe_is_down(self, world: World, ring: Callable[[str], set[str]]) -> None:
        self.fail(world, status=503, message="down")
        assert world.follow(token=world.token()).status == 503
        assert ring("create_session") == {"PortalUnavailable"}


class TestAccess:
    @pytest.fixture
    def access(self, api: Api, aws: Aws, simulator: RunningSimulator) -> Access:
        return Access(api, aws, simulator)

    def test_an_ordinary_question_rings_nothing(self, access: Access, ring: Callable[[str], set[str]]) -> None:
        access.mirror()
        assert access.get().status == 200
        assert ring("access") == set()

    def test_a_table_that_is_gone(self, access: Access, aws: Aws, ring: Callable[[str], set[str]]) -> None:
        aws.clients.dynamodb.delete_table(TableName=aws.template.ref("Subscriptions"))
        assert access.get().status == 503
        assert ring("access") == {"AccessUnavailable"}

    def test_a_setting_that_is_wrong(
        self, access: Access, ring: Callable[[str], set[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ACCESS_PAUSED", "maybe")
        access_app._wire.cache_clear()
        assert access.get().status == 500
        assert ring("access") == {"AccessBroken"}

    def test_a_bus_that_is_gone(
        self, aws: Aws, ring: Callable[[str], set[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = AccessWorld(aws)
        world.write(subscription_of(), MARCH)
        monkeypatch.setattr(access_changes_app, "_wire", lambda: replace(world.changes, events=NO_EVENTS))
        assert access_changes_app.handler({"Records": [record("cus_1", 1)]}, Context())["batchItemFailures"]  # type: ignore[arg-type]
        assert ring("access_changes") == {"AccessChangesFailing"}


class TestPause:
    @pytest.fixture
    def pauses(self, api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Pauses:
        monkeypatch.setenv("PAUSE_ALLOWED", "everybody")
        pause_app._wire.cache_clear()
        return Pauses(api, simulator)

    def due(self, pauses: Pauses) -> None:
        """Make the pause due for the schedule's next look."""
        table = pause_app._wire().pausing.table
        record = table.get(pauses.subscription)
        assert record
        assert table.write(replace(record, retry_at=0), record)

    def test_an_ordinary_pause_rings_nothing(self, pauses: Pauses, ring: Callable[[str], set[str]]) -> None:
        assert pauses.ask("pause", resume_on=day(60)).status == 200
        self.due(pauses)
        assert tick()["followed"] == 1
        assert ring("pause") == set()

    def test_a_setting_that_is_wrong(
        self, pauses: Pauses, ring: Callable[[str], set[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PAUSE_NOW", "maybe")
        pause_app._wire.cache_clear()
        assert pauses.ask().status == 500
        assert ring("pause") == {"PauseBroken"}

    def test_stripe_is_down_when_the_schedule_looks(self, pauses: Pauses, ring: Callable[[str], set[str]]) -> None:
        pauses.ask("pause", resume_on=day(60))
        self.due(pauses)
        pauses.simulator.admin("POST", "faults", {"fail": [{"status": 500, "times": 100}]})
        assert tick()["failed"] == 1
        assert ring("pause") == {"PauseFollowFailing"}

    def test_stripe_refuses_what_a_customer_was_promised(
        self, pauses: Pauses, ring: Callable[[str], set[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as lost:
            lost.setattr(StripePauses, "schedule_pause", never_answered)
            assert pauses.ask("pause", resume_on=day(60)).status == 202
        invoiced: Any = {"collection_method": "send_invoice", "days_until_due": 30}
        pauses.stripe.v1.subscriptions.update(pauses.subscription, invoiced)
        self.due(pauses)
        assert tick()["not_carried_out"] == 1
        assert ring("pause") == {"PauseNotCarriedOut"}

    def test_a_sender_that_ses_refuses(
        self, pauses: Pauses, ring: Callable[[str], set[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PAUSE_EMAIL_FROM", "nobody@unverified.example")
        pause_app._wire.cache_clear()
        assert pauses.ask("pause", resume_on=day(60)).status == 200
        assert ring("pause") == {"PauseNoticesFailing"}


class TestAudit:
    @pytest.fixture(autouse=True)
    def account(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
        account = Account(endpoint=aws.template.outputs()["WebhookUrl"])
        with serve(account) as stripe_base:
            overrides = {"STRIPE_API_BASE": stripe_base}
            for name, value in aws.template.environment("NightlyAuditFunction", overrides).items():
                monkeypatch.setenv(name, value)
            wiring.clients.cache_clear()
            wiring.secrets.cache_clear()
            yield account
            stripe_client.cache_clear()

    def test_a_night_that_finds_the_mirror_as_it_should_be_rings_nothing(self, ring: Callable[[str], set[str]]) -> None:
        run_durably(audit_app.handler, "nightly_audit", {})
        assert ring("nightly_audit") == set()

    def test_no_night(self, ring: Callable[[str], set[str]]) -> None:
        assert ring("nightly_audit") == {"NoAudit"}

    def test_a_subscription_that_the_mirror_missed(self, account: Account, ring: Callable[[str], set[str]]) -> None:
        account.subscriptions = [subscription(1)]
        run_durably(audit_app.handler, "nightly_audit", {})
        assert ring("nightly_audit") == {"DriftRepaired"}

    @pytest.mark.parametrize(("days", "rings"), [(364, set[str]()), (366, {"SecretsOld"})])
    @pytest.mark.parametrize("old", ["Secret", "SigningSecrets", "LinkSecrets"])
    def test_a_secret_that_nobody_has_changed_for_a_year(  # noqa: PLR0913, PLR0917 - fixtures and parameters
        self,
        aws: Aws,
        monkeypatch: pytest.MonkeyPatch,
        ring: Callable[[str], set[str]],
        old: str,
        days: int,
        rings: set[str],
    ) -> None:
        secretsmanager: Any = wiring.clients().secretsmanager
        describe = secretsmanager.describe_secret

        def described(**secret: Any) -> dict[str, Any]:
            found: dict[str, Any] = describe(**secret)
            is_old = secret["SecretId"] == aws.template.ref(old)
            return found | ({"LastChangedDate": datetime.now(UTC) - timedelta(days=days)} if is_old else {})

        monkeypatch.setattr(secretsmanager, "describe_secret", described)
        run_durably(audit_app.handler, "nightly_audit", {})
        assert ring("nightly_audit") == rings

    def test_an_age_that_may_not_be_read_costs_no_mail(
        self,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
        ring: Callable[[str], set[str]],
    ) -> None:
        secretsmanager: Any = wiring.clients().secretsmanager
        refused = ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeSecret")
        monkeypatch.setattr(secretsmanager, "describe_secret", Mock(side_effect=refused))
        assert run_durably(audit_app.handler, "nightly_audit", {})["mail"] == "sent"
        assert "The age of the secret of LINK_SECRETS_ID is not known (AccessDeniedException)" in caplog.text
        assert ring("nightly_audit") == set()
        assert "OldestSecretDays" not in capsys.readouterr().out

    def test_a_sender_that_ses_refuses(self, aws: Aws, ring: Callable[[str], set[str]]) -> None:
        aws.clients.sesv2.delete_email_identity(EmailIdentity="audit@shop.example")
        with pytest.raises(ExecutionFailed, match="SES refused the mail"):
            run_durably(audit_app.handler, "nightly_audit", {})
        assert ring("nightly_audit") == {"AuditFailed", "NoAudit"}


def test_every_alarm_about_a_metric_of_our_own_is_drilled(ours: dict[str, dict[str, Any]]) -> None:
    assert set(ours) <= set(re.findall(r'"([A-Z]\w+)"[,}]', Path(__file__).read_text()))
