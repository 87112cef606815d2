"""The alarms and the dashboard: what they watch exists, and the runbook says what to do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local.aws.intrinsics import PhysicalNames
from local.aws.template import Template
from tests.unit.test_docs import METRICS, TEMPLATE

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
OPERATIONS = (ROOT / "docs" / "reference" / "operations.md").read_text()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
OURS = "StripePortal/"
FUNCTIONS = {name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::Serverless::Function"}
PARAMETERS = {
    "AllowedReturnOrigins": "https://shop.example",
    "DefaultReturnUrl": "https://shop.example/",
    "AuditEmailFrom": "audit@shop.example",
    "AuditEmailTo": "team@shop.example,more@shop.example",
}
DOMAIN = {
    "DomainName": "billing.shop.example",
    "CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/11111111-2222-3333-4444-555555555555",
}
# What a metric filter counts, not a function.
FROM_LOGS = {"ApiThrottled"}


def template(**parameters: str) -> Template:
    names = PhysicalNames(aws_url="http://127.0.0.1:9")
    return Template.load(parameters=PARAMETERS | parameters, names=names)


def alarms() -> dict[str, dict[str, Any]]:
    """Every alarm that a stack can have."""
    return template(**DOMAIN).resources("AWS::CloudWatch::Alarm")


def watched(alarm: dict[str, Any]) -> list[tuple[str, str]]:
    """The namespace and name of each metric that an alarm is about."""
    single = [alarm] if "MetricName" in alarm else []
    parts = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", ()) if "MetricStat" in part]
    return [(metric["Namespace"], metric["MetricName"]) for metric in [*single, *parts]]


ALARMS = alarms()


@pytest.mark.parametrize("logical_id", ALARMS)
def test_an_alarm_has_a_section_in_the_runbook_that_its_mail_names(logical_id: str) -> None:
    alarm, name = ALARMS[logical_id], logical_id.removesuffix("Alarm")
    section = re.search(rf"^### {name}\n(.+?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert section, f"docs/how-to/runbook.md has no section {name}"
    for part in ("**Means:**", "**Look at:**", "**Do:**"):
        assert part in section[1], f"{name} lacks {part}"
    assert alarm["AlarmName"].endswith(f"-{name}")
    assert alarm["AlarmDescription"].endswith(f"docs/how-to/runbook.md#{name.lower()}")


@pytest.mark.parametrize("logical_id", ALARMS)
def test_an_alarm_says_what_missing_data_means_and_tells_somebody(logical_id: str) -> None:
    alarm = ALARMS[logical_id]
    assert alarm["TreatMissingData"] in {"breaching", "notBreaching"}
    assert len(alarm["AlarmActions"]) == 1
    # The longest that CloudWatch looks back: a day, or a week with periods of an hour or more.
    periods = [part["MetricStat"]["Period"] for part in alarm.get("Metrics", ()) if "MetricStat" in part]
    period = max([alarm["Period"]] if "Period" in alarm else periods)
    assert period * int(alarm["EvaluationPeriods"]) <= (604_800 if period >= 3600 else 86_400)


@pytest.mark.parametrize("parameter", ["NoAuditHours", "SilentWebhookHours"])
def test_the_longest_time_that_a_parameter_allows_is_one_that_cloudwatch_allows(parameter: str) -> None:
    assert TEMPLATE["Parameters"][parameter]["MaxValue"] * 3600 <= 604_800


def test_the_runbook_says_how_many_metrics_the_alarms_watch_and_what_that_costs() -> None:
    watched_metrics = sum(len(watched(alarm)) for alarm in ALARMS.values())
    assert f"The alarms watch {watched_metrics} metrics" in RUNBOOK
    assert f"up to {watched_metrics * 0.1:.2f} dollars" in RUNBOOK


def test_the_runbook_has_no_section_of_an_alarm_that_is_gone() -> None:
    sections = re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(sections) == sorted(name.removesuffix("Alarm") for name in ALARMS)


def test_every_metric_of_our_own_that_an_alarm_or_the_dashboard_shows_is_counted() -> None:
    body = next(iter(template().resources("AWS::CloudWatch::Dashboard").values()))["DashboardBody"]
    widgets = json.loads(body)["widgets"]
    rows = [row for widget in widgets for row in widget["properties"]["metrics"] if isinstance(row[0], str)]
    shown = {row[1] for row in rows if row[0].startswith(OURS)}
    searched = set(re.findall(r'MetricName="(\w+)"', json.dumps(widgets).replace('\\"', '"')))
    alarmed = {name for alarm in ALARMS.values() for namespace, name in watched(alarm) if namespace.startswith(OURS)}
    assert shown
    assert searched
    assert (shown | searched | alarmed) - FROM_LOGS <= METRICS


def test_every_metric_says_which_alarm_watches_it() -> None:
    """The column of docs/reference/operations.md is right, both ways."""
    by_alarm: dict[str, set[str]] = {}
    for logical_id, alarm in ALARMS.items():
        for namespace, name in watched(alarm):
            if namespace.startswith(OURS):
                by_alarm.setdefault(name, set()).add(logical_id.removesuffix("Alarm"))
    said: dict[str, set[str]] = {}
    table = OPERATIONS.split("## Metrics")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (`.+?) \|.*\| (.*?) \|$", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", row[0]):
            said[name] = set(re.findall(r"\[(\w+)\]", row[1]))
    assert {name: alarms for name, alarms in said.items() if alarms} == by_alarm


@pytest.mark.parametrize("name", ["FunctionErrors", "FunctionThrottled"])
def test_every_function_is_watched(name: str) -> None:
    metrics = RESOURCES[f"{name}Alarm"]["Properties"]["Metrics"]
    parts = [part for part in metrics if "MetricStat" in part]
    functions = [part["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"] for part in parts]
    assert set(functions) == FUNCTIONS
    # Each of them counts in the sum.
    sums = next(part["Expression"] for part in metrics if "Expression" in part)
    assert sums == "+".join(f"FILL({part['Id']}, 0)" for part in parts)


def test_every_dead_letter_queue_is_watched() -> None:
    queues = {name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::SQS::Queue"}
    text = json.dumps([RESOURCES[name]["Properties"] for name in ALARMS])
    assert {name for name in queues if f'"{name}", "QueueName"' in text or f"{name}.QueueName" in text} == queues


@pytest.mark.parametrize(
    ("alarm_email", "endpoint"), [("", "team@shop.example"), ("ops@shop.example", "ops@shop.example")]
)
def test_alarms_are_mailed_to_the_team(alarm_email: str, endpoint: str) -> None:
    [subscription] = template(AlarmEmail=alarm_email).resources("AWS::SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", endpoint)


def test_a_certificate_that_is_not_renewed_or_has_expired_rings_where_there_is_one() -> None:
    """ACM counts the days twice a day, and renews 60 days before the end: 30 are a renewal that failed."""
    alarm = ALARMS["CertificateExpiryAlarm"]
    assert alarm["Dimensions"] == [{"Name": "CertificateArn", "Value": DOMAIN["CertificateArn"]}]
    assert (alarm["Statistic"], alarm["Threshold"], alarm["TreatMissingData"]) == ("Minimum", 30, "breaching")
    assert "CertificateExpiryAlarm" not in template().resources("AWS::CloudWatch::Alarm")


def test_alarms_can_be_left_out() -> None:
    without = template(Alarms="false", **DOMAIN)
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::SNS::Topic", "AWS::Logs::MetricFilter")
    assert [kind for kind in kinds if without.resources(kind)] == []
    assert all(template().resources(kind) for kind in kinds)


def test_records_of_the_stream_that_are_given_up_are_kept_and_alarmed() -> None:
    """One that cannot be read comes again some times, then its place goes to a queue that an alarm watches."""
    mapping = RESOURCES["AccessChangesMapping"]["Properties"]
    assert "ReportBatchItemFailures" in mapping["FunctionResponseTypes"]
    assert mapping["MaximumRetryAttempts"] > 0
    kept = mapping["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"]
    queue = (kept if isinstance(kept, str) else kept[0]).partition(".")[0]
    assert RESOURCES[queue]["Type"] == "AWS::SQS::Queue"
    raw = RESOURCES["AccessChangesGivenUpAlarm"]["Properties"]
    assert queue in json.dumps(raw["Dimensions"])
    assert ALARMS["AccessChangesGivenUpAlarm"]["AlarmActions"]
