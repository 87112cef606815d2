"""What `portal doctor` finds on a healthy stack and on many that are each broken in one way; it changes nothing."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from cli.deployment import Deployment
from cli.setup import check_connection, check_operation, doctor
from cli.setup.check import HealthCheck, Result, Results, State, failed, ok
from cli.setup.check_connection import OUTPUTS
from cli.setup.doctor import CHECKS
from local.aws.template import Template
from shared.aws import serialize
from shared.errors import Unavailable
from shared.i18n import Message, verbatim
from tests.integration.conftest import Api, Aws
from tests.integration.setup_world import KEY, SetupWorld, forget_secrets, setup_world, with_parameters
from tests.integration.simulator_fixtures import RunningSimulator

Rows = dict[str, list[tuple[str, str, str]]]


@pytest.fixture
def world(
    aws: Aws, api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SetupWorld]:
    """A deployment that works: connected, with a subscription in its mirror, and last night's mail sent."""
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    monkeypatch.setattr(check_operation, "_ON_ITS_WAY_SECONDS", 0)
    with setup_world(aws, api, simulator, monkeypatch, str(key_file)) as made:
        made.save_portal_settings()
        assert made.connect().exit_code == 0
        forget_secrets()
        assert set(made.deliver()) == {200}
        night(made, mail="sent")
        yield made


def night(world: SetupWorld, *, hours_ago: int = 3, **fields: Any) -> None:
    """An item of the table of nights."""
    begun = datetime.now(UTC) - timedelta(hours=hours_ago)
    values = {"begun_at": int(begun.timestamp()), "failed": False, "mail": None} | fields
    item: dict[str, Any] = {"night": {"S": begun.date().isoformat()}}
    item |= {name: serialize(value) for name, value in values.items() if value is not None}
    table = world.deployment.outputs["AuditsTableName"]
    for old in world.aws.clients.dynamodb.scan(TableName=table)["Items"]:
        world.aws.clients.dynamodb.delete_item(TableName=table, Key={"night": old["night"]})
    world.aws.clients.dynamodb.put_item(TableName=table, Item=item)


def examined(world: SetupWorld, *arguments: str) -> tuple[int, Rows]:
    """The exit code, and for each check its states, texts and instructions."""
    result = world.portal("doctor", "--format", "json", *arguments)
    lines = result.stdout.splitlines()
    # The functions log to the same output here.
    text = "\n".join(lines[next(place for place, line in enumerate(lines) if line == "{") :])
    found = json.loads(text[: text.rindex("\n}") + 2])
    rows: Rows = {}
    for each in found["results"]:
        rows.setdefault(each["check"], []).append((each["state"], each["text"], each["to_do"]))
    assert found["healthy"] == (result.exit_code == 0)
    return result.exit_code, rows


def test_a_healthy_stack_is_healthy(world: SetupWorld) -> None:
    code, rows = examined(world)
    assert {state for several in rows.values() for state, _, _ in several} <= {"ok", "skipped"}, rows
    assert code == 0
    assert list(rows) == [check.name for check in CHECKS]


# ---------------------------------------------------------------- broken in one way


@dataclass(frozen=True)
class Broken:
    """What is broken, which checks say so, and a part of what the first of them says and advises."""

    how: Callable[[SetupWorld], Any]
    checks: tuple[str, ...]
    text: str
    to_do: str


def without_key(world: SetupWorld) -> None:
    world.put_secret("Secret", {"stripe_api_key": "", "unused": "x"})


def key_without_a_permission(world: SetupWorld) -> None:
    world.forbid("POST", "/v1/billing_portal/sessions", "rak_customer_portal_write")


def key_revoked(world: SetupWorld) -> None:
    world.simulator.admin("POST", "faults", {"fail": [{"status": 401, "times": 1000, "message": "Invalid API Key"}]})


def key_of_another_account(world: SetupWorld) -> None:
    world.simulator.admin("POST", "faults", {"fail": [{"status": 404, "times": 99, "path": "/v1/subscriptions/sub_"}]})


def endpoint_disabled(world: SetupWorld) -> None:
    (endpoint,) = world.endpoints()
    world.simulator.client().v1.webhook_endpoints.update(endpoint["id"], {"disabled": True})


def endpoint_deleted(world: SetupWorld) -> None:
    world.simulator.client().v1.webhook_endpoints.delete(world.endpoints()[0]["id"])


def endpoint_without_an_event(world: SetupWorld) -> None:
    (endpoint,) = world.endpoints()
    few: Any = ["customer.subscription.created", "customer.subscription.updated"]
    world.simulator.client().v1.webhook_endpoints.update(endpoint["id"], {"enabled_events": few})


def second_endpoint(world: SetupWorld) -> None:
    world.by_hand()


def signing_secret_malformed(world: SetupWorld) -> None:
    world.put_secret("SigningSecrets", {"webhook_signing_secrets": ["whsec_short"]})


def signing_secret_not_there(world: SetupWorld) -> None:
    world.put_secret("SigningSecrets", {"webhook_signing_secrets": []})


def link_secret_malformed(world: SetupWorld) -> None:
    world.put_secret("LinkSecrets", {"1": "short"})


def api_moved(world: SetupWorld) -> None:
    gone = {"ApiUrl": "http://127.0.0.1:9", "WebhookUrl": "http://127.0.0.1:9/webhooks/stripe"}
    world.deployment = replace(world.deployment, outputs={**world.deployment.outputs, **gone})


def login_page_off(world: SetupWorld) -> None:
    configurations = world.simulator.client().v1.billing_portal.configurations
    default = configurations.list({"is_default": True}).data[0]
    configurations.update(default.id, {"login_page": {"enabled": False}})


def configuration_of_a_group_missing(world: SetupWorld) -> None:
    with_parameters(world, PortalConfigurations='{"business": "bpc_missing"}')


def sender_unknown(world: SetupWorld) -> None:
    with_parameters(world, AuditEmailFrom="audit@elsewhere.example")


def settings_changed_by_hand(world: SetupWorld) -> None:
    name = world.deployment.outputs["AuditSettingsName"]
    value = world.aws.clients.ssm.get_parameter(Name=name)["Parameter"]["Value"]
    other = value.replace("AUDIT_LANGUAGE=en", "AUDIT_LANGUAGE=fr")
    world.aws.clients.ssm.put_parameter(Name=name, Value=other, Type="String", Overwrite=True)


def night_failed(world: SetupWorld) -> None:
    night(world, failed=True)


def night_refused(world: SetupWorld) -> None:
    night(world, mail="refused")


def nights_stopped(world: SetupWorld) -> None:
    night(world, hours_ago=50, mail="sent")


def dead_letter(world: SetupWorld) -> None:
    world.aws.clients.sqs.send_message(QueueUrl=world.deployment.outputs["DeadLetterQueueUrl"], MessageBody="{}")


def lost_change_of_access(world: SetupWorld) -> None:
    url = world.deployment.outputs["AccessChangesDeadLetterQueueUrl"]
    world.aws.clients.sqs.send_message(QueueUrl=url, MessageBody="{}")


def alarm_raised(_world: SetupWorld) -> None:
    put_alarm("local-WebhookFailing", "ALARM")


def put_alarm(name: str, state: str) -> None:
    client: Any = boto3.client("cloudwatch")  # type: ignore[call-overload, unused-ignore]
    metric = {"Namespace": "x", "MetricName": "x", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    client.put_metric_alarm(AlarmName=name, ComparisonOperator="GreaterThanThreshold", Statistic="Sum", **metric)
    client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")


def mirror_empty(world: SetupWorld) -> None:
    world.aws.create_table("Subscriptions")


def mirror_behind(world: SetupWorld) -> None:
    """One of two subscriptions differs: an event was lost."""
    world.deliver()
    newest = world.simulator.client().v1.subscriptions.list({"limit": 1}).data[0]
    world.simulator.admin("POST", "faults", {"drop": 1})
    world.simulator.client().v1.subscriptions.update(newest.id, {"cancel_at_period_end": True})
    world.simulator.settle()


def output_missing(world: SetupWorld) -> None:
    outputs = {name: each for name, each in world.deployment.outputs.items() if name != "AuditsTableName"}
    world.deployment = replace(world.deployment, outputs=outputs)


BROKEN = (
    Broken(
        without_key,
        (*("Stripe key", "permissions", "webhook endpoint", "webhook", "portal link", "portal settings", "mirror"),),
        "must be a secret or restricted key",
        "portal connect",
    ),
    Broken(key_without_a_permission, ("permissions",), "Customer portal: write (for create_session)", "Dashboard"),
    Broken(
        key_revoked,
        (*("Stripe key", "permissions", "webhook endpoint", "portal link", "portal settings", "mirror"),),
        "does not take the API key",
        "portal connect",
    ),
    Broken(key_of_another_account, ("Stripe key",), "a key of another account", "portal connect"),
    Broken(endpoint_disabled, ("webhook endpoint",), "is disabled", "portal connect"),
    Broken(endpoint_deleted, ("webhook endpoint",), "the account has none for http", "portal connect"),
    Broken(
        endpoint_without_an_event,
        ("webhook endpoint",),
        "is not sent customer.subscription.deleted",
        "portal connect",
    ),
    Broken(second_endpoint, ("webhook endpoint",), "its events are refused", "portal connect"),
    Broken(
        signing_secret_malformed,
        ("signing secrets", "webhook endpoint", "webhook"),
        "must be the whole signing secret",
        "SigningSecretsArn",
    ),
    Broken(
        signing_secret_not_there,
        ("signing secrets", "webhook endpoint"),
        "the webhook refuses every event",
        "portal connect",
    ),
    Broken(link_secret_malformed, ("link secrets",), "at least 32", "LinkSecretsArn"),
    Broken(api_moved, ("webhook endpoint", "portal link"), "the account has none for http", "portal connect"),
    Broken(login_page_off, ("portal link", "portal settings"), "answers", "CreateSessionFunction"),
    Broken(configuration_of_a_group_missing, ("portal settings",), "of the group business", "PortalConfigurations"),
    Broken(
        sender_unknown, ("mail (SES)", "audit settings"), "audit@elsewhere.example is no identity", "portal connect"
    ),
    Broken(settings_changed_by_hand, ("audit settings",), "for AuditLanguage", "change it back"),
    Broken(night_failed, ("last night",), "failed", "AuditDeadLetterQueue"),
    Broken(night_refused, ("last night",), "SES refused the mail", "SES"),
    Broken(nights_stopped, ("last night",), "no audit has begun since", "schedule"),
    Broken(dead_letter, ("queues",), "events that could not be understood: 1", "portal replay"),
    Broken(lost_change_of_access, ("queues",), "changes of access", "AccessChanges"),
    Broken(alarm_raised, ("alarms",), "WebhookFailing is raised", "runbook.md#webhookfailing"),
    Broken(mirror_empty, ("mirror",), "none of the newest 1", "portal backfill"),
    Broken(mirror_behind, ("mirror",), "1 of the newest 2 subscriptions differ", "portal reconcile"),
    Broken(output_missing, ("outputs", "last night"), "AuditsTableName", "sam deploy"),
)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.how.__name__)
def test_what_is_broken_is_named_with_what_to_do_and_nothing_else(world: SetupWorld, broken: Broken) -> None:
    broken.how(world)
    code, rows = examined(world)
    failing = tuple(name for name, several in rows.items() if any(state == "failed" for state, _, _ in several))
    assert code == 1
    assert failing == broken.checks, rows
    first = [(text, to_do) for state, text, to_do in rows[failing[0]] if state == "failed"]
    assert any(broken.text in text and broken.to_do in to_do for text, to_do in first), first


def test_portal_settings_that_were_never_saved_are_named_with_their_address(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_connection, "default_configuration", lambda _client: None)
    code, rows = examined(world)
    assert code == 1
    assert rows["portal settings"][0][0] == "failed"
    assert "dashboard.stripe.com/test/settings/billing/portal" in rows["portal settings"][0][2]


# ---------------------------------------------------------------- one check never hides another


def test_what_hangs_and_what_crashes_hides_nothing_and_costs_no_time(world: SetupWorld) -> None:
    release = threading.Event()

    def hang(_deployment: Deployment) -> Results:
        yield ok(verbatim("before"))
        release.wait(600)

    def crash(_deployment: Deployment) -> Results:
        yield ok(verbatim("before"))
        raise KeyError("sk_live_secret")

    def work(_deployment: Deployment) -> Results:
        yield ok(verbatim("all of it"))

    checks = [HealthCheck(Message(run.__name__), run) for run in (hang, crash, work)]
    began = time.monotonic()
    results = doctor.examine(world.deployment, checks, 3)
    took = time.monotonic() - began
    release.set()
    assert took < 60
    by_name: dict[str, list[Result]] = {}
    for check, each in results:
        by_name.setdefault(check.name, []).append(each)
    assert [each.state for each in by_name["hang"]] == [State.UNKNOWN]
    assert [each.state for each in by_name["crash"]] == [State.OK, State.UNKNOWN]
    assert "secret" not in by_name["crash"][1].text.say("en")
    assert [each.state for each in by_name["work"]] == [State.OK]
    assert doctor.exit_code_of(results) == 4


def test_stripe_gone_leaves_the_rest(world: SetupWorld) -> None:
    world.deployment = replace(world.deployment, stripe_api_base="http://127.0.0.1:9")
    code, rows = examined(world)
    assert code == 4
    unknown = {name for name, several in rows.items() if any(state == "unknown" for state, _, _ in several)}
    assert unknown == {"Stripe key", "permissions", "webhook endpoint", "portal settings", "mirror"}
    assert not any(state == "failed" for several in rows.values() for state, _, _ in several)


def test_a_service_of_aws_that_may_not_be_asked_is_not_known(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_client: Any = BaseClient
    call = every_client._make_api_call

    def refuse(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        if operation in {"GetQueueAttributes", "GetEmailIdentity"}:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(every_client, "_make_api_call", refuse)
    code, rows = examined(world)
    assert code == 4
    assert [rows[name][0][0] for name in ("queues", "mail (SES)", "mirror")] == ["unknown", "unknown", "ok"]
    assert "credentials" in rows["queues"][0][2]


def test_it_changes_nothing(world: SetupWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads at AWS; at Stripe it writes to what does not exist, and nothing comes of that."""
    operations: set[str] = set()
    every_client: Any = BaseClient
    call = every_client._make_api_call

    def recorded(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        if threading.current_thread().name in {check.name for check in CHECKS}:
            operations.add(operation)
        return call(client, operation, parameters)

    def state() -> Any:
        client = world.simulator.client()
        return (
            [world.secret(each) for each in ("Secret", "SigningSecrets", "LinkSecrets")],
            world.endpoints(),
            client.v1.events.list({"limit": 100}).data,
            world.aws.clients.dynamodb.scan(TableName=world.deployment.outputs["TableName"])["Items"],
        )

    before = state()
    monkeypatch.setattr(every_client, "_make_api_call", recorded)
    examined(world)
    assert {
        each for each in operations if not each.startswith(("Get", "Describe", "List", "BatchGet", "Query", "Scan"))
    } == set()
    assert len(operations) > 8
    assert state() == before


def test_a_webhook_that_accepts_what_it_cannot_verify_is_an_emergency(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_connection, "send_test_event", lambda *_, **__: 200)
    code, rows = examined(world)
    assert code == 1
    assert rows["webhook"][-1][0] == "failed"
    assert "signed with another secret" in rows["webhook"][-1][1]


def test_a_webhook_that_does_not_answer_is_not_known(world: SetupWorld) -> None:
    api_moved(world)
    _, rows = examined(world)
    assert rows["webhook"][0][0] == "unknown"


def test_alarms_of_a_stack_with_a_longer_name_are_not_ours(world: SetupWorld) -> None:
    put_alarm("local-staging-WebhookFailing", "ALARM")
    put_alarm("local-WebhookFailing", "OK")
    code, rows = examined(world)
    assert (code, rows["alarms"]) == (0, [("ok", "none of 1 is raised", "")])


def test_an_event_on_its_way_is_no_drift(world: SetupWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It arrives while the check waits."""
    (item,) = world.deployment.mirror.all()
    world.simulator.admin("POST", "faults", {"delay_seconds": 1})
    world.simulator.client().v1.subscriptions.update(item.subscription.id, {"cancel_at_period_end": True})
    monkeypatch.setattr(check_operation, "_ON_ITS_WAY_SECONDS", 3)
    _, rows = examined(world)
    assert rows["mirror"] == [("ok", "the newest 1 subscriptions are as at Stripe", "")]


@pytest.mark.parametrize("unlike", ["CodeSha256", "Environment"])
def test_an_alias_that_stayed_behind_is_found(monkeypatch: pytest.MonkeyPatch, unlike: str) -> None:
    deployed = {
        "CodeSha256": "1",
        "Environment": {"Variables": {"TABLE_NAME": "a"}},
        "Timeout": 900,
        "MemorySize": 1024,
    }

    class Lambda:
        def get_function_configuration(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803 - as boto3 calls it
            return deployed | ({unlike: "old"} if FunctionName.endswith(":live") else {})

    monkeypatch.setattr(check_operation, "aws_client", lambda _service: Lambda())
    outputs = {"NightlyAuditFunctionName": "audit:live"}
    (found,) = check_operation.check_alias(Deployment(outputs))
    assert found.state is State.FAILED
    assert unlike in found.text.say("en")


@pytest.mark.parametrize("days", [364, 366])
def test_a_secret_older_than_a_year_is_worth_a_rotation(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    changed = datetime.now(UTC) - timedelta(days=days)
    monkeypatch.setattr("cli.setup.stored_secret.StoredSecret.changed_at", lambda _self: changed)
    _, rows = examined(world)
    assert [state for state, _, _ in rows["age of secrets"]] == (["ok"] if days < 365 else ["warning"] * 3)


def test_it_needs_only_outputs_that_the_template_has() -> None:
    needed = ("AllowedReturnOrigins", "DefaultReturnUrl", "AuditEmailFrom", "AuditEmailTo")
    template = Template.load(parameters=dict.fromkeys(needed, "any"))
    assert set(OUTPUTS) <= template.outputs().keys()


def test_the_table_is_for_people(world: SetupWorld) -> None:
    endpoint_disabled(world)
    output = world.portal("doctor").output
    assert "webhook endpoint" in output
    assert "is disabled: Stripe sends it nothing" in output
    assert KEY not in output


def test_no_result_quotes_a_secret(world: SetupWorld) -> None:
    stored = world.secret("SigningSecrets")["webhook_signing_secrets"][0]
    world.put_secret("LinkSecrets", {"1": "sekretshort"})
    world.put_secret("Secret", {"stripe_api_key": "sekret"})
    output = world.portal("doctor", "--format", "json").output
    assert stored not in output
    assert "sekret" not in output


def test_a_check_that_finds_stripe_gone_halfway_keeps_what_it_found() -> None:
    def half(_deployment: Deployment) -> Results:
        yield failed(verbatim("the first half"), verbatim("repair it"))
        raise Unavailable("stripe_unavailable", "Stripe is gone")

    results = doctor.examine(Deployment({}), [HealthCheck(Message("half"), half)], 5)
    assert [each.state for _, each in results] == [State.FAILED, State.UNKNOWN]
