"""What template.yaml promises: bounds for every parameter, the least of rights, no log kept for ever."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from local.aws.intrinsics import TemplateLoader

TEMPLATE: dict[str, Any] = yaml.load((Path(__file__).parents[2] / "template.yaml").read_text(), TemplateLoader)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::Function"}
TABLES = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::DynamoDB::Table"}
# What each function may do, and no more.
RIGHTS = {
    "CreateSessionFunction": {"secretsmanager:GetSecretValue"},
    "WebhookFunction": {
        "secretsmanager:GetSecretValue",
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "sqs:SendMessage",
    },
    "NightlyAuditFunction": {
        "secretsmanager:GetSecretValue",
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "ses:SendEmail",
        "ses:SendRawEmail",
    },
}


def statements(function: dict[str, Any]) -> list[dict[str, Any]]:
    return [statement for policy in function["Properties"]["Policies"] for statement in policy["Statement"]]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_every_parameter_is_described_and_bounded(name: str) -> None:
    parameter = TEMPLATE["Parameters"][name]
    assert parameter["Description"]
    bounds = {"AllowedPattern", "AllowedValues", "MinValue", "MaxLength"}
    assert bounds & parameter.keys() or name == "OidcAudience"
    assert ("MinValue" in parameter) == ("MaxValue" in parameter)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_do_what_it_does_and_no_more(name: str) -> None:
    allowed = {action for statement in statements(FUNCTIONS[name]) for action in listed(statement["Action"])}
    assert allowed == RIGHTS[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_right_is_for_everything(name: str) -> None:
    for statement in statements(FUNCTIONS[name]):
        assert statement["Effect"] == "Allow"
        assert "*" not in "".join(listed(statement["Action"]))
        assert "*" not in listed(statement["Resource"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_functions_log_is_kept_for_a_while_only(name: str) -> None:
    group = FUNCTIONS[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    assert RESOURCES[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_survives_the_stack_and_can_be_restored(name: str) -> None:
    table = TABLES[name]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["TimeToLiveSpecification"]["Enabled"] is True


def test_the_access_log_has_no_query_string_and_no_header() -> None:
    text = RESOURCES["ApiStage"]["Properties"]["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in text
    assert not any(word in text.lower() for word in ("querystring", "header", "authorizer", "$context.path"))


@pytest.mark.parametrize("name", [name for name, each in RESOURCES.items() if each["Type"] == "AWS::SQS::Queue"])
def test_dead_letters_are_kept_for_as_long_as_sqs_can_and_encrypted(name: str) -> None:
    assert RESOURCES[name]["Properties"] == {"MessageRetentionPeriod": 1_209_600, "SqsManagedSseEnabled": True}
