"""What template.yaml promises: bounds for every parameter, the least of rights, no log kept for ever."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.setup.stripe_key import PROBES
from functions.webhook.wiring import SETTLING_ENVIRONMENTS
from local.aws.intrinsics import Intrinsics, TemplateLoader
from shared.access import AccessPolicy
from shared.pausing.policy import PausePolicy
from tests.kept_resources import RESOURCES_FILE, TEMPLATE_FILE, as_text, import_template, resources_to_import
from tests.permissions import CALLS, COMMANDS_PAGE, DEPLOY, permission, with_command_table, with_table

TEMPLATE: dict[str, Any] = yaml.load((Path(__file__).parents[2] / "template.yaml").read_text(), TemplateLoader)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::Function"}
TABLES = {name: each for name, each in RESOURCES.items() if each["Type"] == "AWS::DynamoDB::Table"}
# Which secrets each function may read: those that it uses.
SECRETS = {
    "AccessFunction": {"Secret", "LinkSecrets"},
    "AccessChangesFunction": set(),
    "CreateSessionFunction": {"Secret", "LinkSecrets"},
    "WebhookFunction": {"Secret", "SigningSecrets"},
    "NightlyAuditFunction": {"Secret"},
    "PauseFunction": {"Secret", "LinkSecrets"},
}
SECURITY = Path(__file__).parents[2] / "docs" / "security.md"


def statements(function: dict[str, Any]) -> list[dict[str, Any]]:
    return [statement for policy in function["Properties"]["Policies"] for statement in policy["Statement"]]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_parameter_is_described_and_bounded() -> None:
    bounds = {"AllowedPattern", "AllowedValues", "MinValue", "MaxLength"}
    parameters = TEMPLATE["Parameters"].items()
    assert [name for name, each in parameters if not each.get("Description")] == []
    assert [name for name, each in parameters if not bounds & each.keys()] == ["OidcAudience"]
    assert [name for name, each in parameters if ("MinValue" in each) != ("MaxValue" in each)] == []


def test_the_rules_of_access_have_the_defaults_that_the_docs_table_shows() -> None:
    defaults = {
        name: TEMPLATE["Parameters"][name.title().replace("_", "")]["Default"] for name in AccessPolicy.model_fields
    }
    assert AccessPolicy.model_validate(defaults) == AccessPolicy()


def test_the_rules_of_pauses_have_the_defaults_that_the_code_has() -> None:
    defaults = {
        name: TEMPLATE["Parameters"][name.title().replace("_", "")]["Default"] for name in PausePolicy.model_fields
    }
    assert PausePolicy.model_validate(defaults) == PausePolicy()


def test_the_audit_can_mail_nobody_but_its_readers() -> None:
    (mailing,) = [
        each for each in statements(FUNCTIONS["NightlyAuditFunction"]) if "ses:SendEmail" in listed(each["Action"])
    ]
    assert mailing["Condition"] == {
        "StringEquals": {"ses:FromAddress": mailing["Condition"]["StringEquals"]["ses:FromAddress"]},
        "ForAllValues:StringEquals": {"ses:Recipients": {"Fn::Split": [",", {"Ref": "AuditEmailTo"}]}},
        # A condition for all values of a key holds too where a request does not have the key.
        "Null": {"ses:Recipients": "false"},
    }


@pytest.mark.parametrize("sender", ["audit@shop.example", "Northwind <audit@shop.example>"])
def test_the_audit_may_send_from_the_address_whatever_name_stands_before_it(sender: str) -> None:
    """`ses:FromAddress` is the address alone; the name is `ses:FromDisplayName` (SES developer guide)."""
    (mailing,) = [
        each for each in statements(FUNCTIONS["NightlyAuditFunction"]) if "ses:SendEmail" in listed(each["Action"])
    ]
    resolver = Intrinsics({}, {"AuditEmailFrom": sender}.__getitem__, lambda _name, _attribute: "")
    assert resolver.resolve(mailing["Condition"]["StringEquals"]) == {"ses:FromAddress": "audit@shop.example"}
    assert re.fullmatch(TEMPLATE["Parameters"]["AuditEmailFrom"]["AllowedPattern"], sender)


@pytest.mark.parametrize(
    "sender",
    ["", "Northwind", "a@b, c@d", "Name <a@b> <c@d>", "<a@b>", 'x" <a@b>', "Name <a@b>x", "a@b<c@d>"],
)
def test_no_parameter_names_two_senders_or_none(sender: str) -> None:
    assert not re.fullmatch(TEMPLATE["Parameters"]["AuditEmailFrom"]["AllowedPattern"], sender)


def test_each_function_may_do_what_its_code_does_and_no_more() -> None:
    """`tests/integration/test_permissions.py` records what the code does."""
    permitted = {
        each["Properties"]["Handler"].split(".")[1]: {
            f"{action} {resource}".strip()
            for statement in statements(each)
            for action in listed(statement["Action"])
            for resource in map(logical_id, listed(statement["Resource"]))
        }
        for each in FUNCTIONS.values()
    }
    assert permitted == {function: {*calls.aws, *calls.without_call} for function, calls in CALLS.items()}


def logical_id(resource: Any) -> str:
    """Return the resource of this template that an ARN in a policy is of, and its index; none for SES's identities."""
    match resource:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return name
        case {"Fn::GetAtt": str(name)}:
            return name.partition(".")[0]
        case {"Fn::Sub": str(text)}:
            (name,) = {*re.findall(r"\$\{(\w+)(?:\.Arn)?\}", text)} & RESOURCES.keys() or {""}
            _, index, which = str(text).partition("/index/")
            return f"{name}{index}{which}"
    raise AssertionError(resource)


def test_the_docs_have_the_permissions_that_the_code_needs() -> None:
    text = DEPLOY.read_text()
    assert "<!-- permissions -->" in text
    assert with_table(text) == text, "run `make reference`"
    text = COMMANDS_PAGE.read_text()
    assert "<!-- permissions -->" in text
    assert with_command_table(text) == text, "run `make reference`"


def test_concurrency_is_reserved_for_the_functions_that_strangers_reach_and_only_if_asked_for() -> None:
    """A reservation also keeps others of the account from the rest, so none is made by default; 0 would stop all."""
    reserved = {name: each["Properties"].get("ReservedConcurrentExecutions") for name, each in FUNCTIONS.items()}
    reached = {"AccessFunction": "Access", "CreateSessionFunction": "Portal", "PauseFunction": "Pause"}
    reached |= {"WebhookFunction": "Webhook"}
    assert reserved == {"AccessChangesFunction": None, "NightlyAuditFunction": None} | {
        name: {"Fn::If": [f"Has{part}Reservation", {"Ref": f"{part}ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]}
        for name, part in reached.items()
    }
    for part in reached.values():
        parameter = TEMPLATE["Parameters"][f"{part}ReservedConcurrency"]
        assert (parameter["Default"], parameter["MinValue"]) == (0, 0)
        is_none = {"Fn::Equals": [{"Ref": f"{part}ReservedConcurrency"}, "0"]}
        assert TEMPLATE["Conditions"][f"Has{part}Reservation"] == {"Fn::Not": [is_none]}


def test_each_function_may_read_the_secrets_that_it_uses_and_no_other() -> None:
    readable = {
        name: {
            secret["Ref"]
            for statement in statements(each)
            if "secretsmanager:GetSecretValue" in listed(statement["Action"])
            for secret in listed(statement["Resource"])
        }
        for name, each in FUNCTIONS.items()
    }
    assert readable == SECRETS
    outputs = {each["Value"]["Ref"]: name for name, each in TEMPLATE["Outputs"].items() if "Ref" in each["Value"]}
    rows = re.findall(
        r"^\| (access|access_changes|create_session|nightly_audit|pause|webhook) \| (.+?) \|",
        SECURITY.read_text(),
        re.MULTILINE,
    )
    assert {function: set(re.findall(r"`(\w+)`", cell)) for function, cell in rows} == {
        FUNCTIONS[name]["Properties"]["Handler"].split(".")[1]: {outputs[secret] for secret in secrets}
        for name, secrets in SECRETS.items()
    }


def test_no_right_is_for_everything() -> None:
    assert [
        (name, statement)
        for name, each in FUNCTIONS.items()
        for statement in statements(each)
        if statement["Effect"] != "Allow"
        or "*" in "".join(listed(statement["Action"]))
        or "*" in listed(statement["Resource"])
    ] == []


def test_every_functions_log_is_deleted_after_a_while() -> None:
    groups = {name: each["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] for name, each in FUNCTIONS.items()}
    kept = {name: RESOURCES[group]["Properties"]["RetentionInDays"] for name, group in groups.items()}
    assert kept == {key: {"Ref": "LogRetentionDays"} for key in FUNCTIONS}


def test_what_is_kept_is_kept_except_by_a_first_deployment_that_fails() -> None:
    """A table that `Retain` leaves behind then would stay with no stack that it belongs to."""
    kept = {name: each for name, each in RESOURCES.items() if "DeletionPolicy" in each}
    assert {each["Type"] for each in kept.values()} == {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}
    policies = {(each["DeletionPolicy"], each["UpdateReplacePolicy"]) for each in kept.values()}
    assert policies == {("RetainExceptOnCreate", "Retain")}


def test_the_files_to_take_over_kept_tables_are_those_of_the_template() -> None:
    assert TEMPLATE_FILE.read_text() == as_text(import_template()), "run `make reference`"
    assert RESOURCES_FILE.read_text() == as_text(resources_to_import()), "run `make reference`"
    kept = {name for name, each in RESOURCES.items() if "DeletionPolicy" in each}
    assert (
        import_template()["Resources"].keys() == kept == {each["LogicalResourceId"] for each in resources_to_import()}
    )


def test_the_apis_log_needs_no_line_of_its_own_in_the_accounts_policy() -> None:
    assert RESOURCES["ApiLogs"]["Properties"]["LogGroupName"]["Fn::Sub"].startswith("/aws/vendedlogs/")


def test_the_audit_can_mail_from_an_identity_with_a_default_configuration_set() -> None:
    (mailing,) = [
        each for each in statements(FUNCTIONS["NightlyAuditFunction"]) if "ses:SendEmail" in listed(each["Action"])
    ]
    kinds = {resource["Fn::Sub"].rpartition(":")[2] for resource in listed(mailing["Resource"])}
    assert kinds == {"identity/*", "configuration-set/*"}


def test_every_table_survives_the_stack_and_can_be_restored() -> None:
    promises = {
        name: (
            each.get("DeletionPolicy"),
            each.get("UpdateReplacePolicy"),
            each["Properties"].get("PointInTimeRecoverySpecification"),
            each["Properties"].get("TimeToLiveSpecification", {}).get("Enabled"),
        )
        for name, each in TABLES.items()
    }
    kept = ("RetainExceptOnCreate", "Retain", {"PointInTimeRecoveryEnabled": True})
    assert promises == {name: (*kept, None if name in {"Access", "Pauses"} else True) for name in TABLES}


def test_the_access_log_has_no_query_string_and_no_header() -> None:
    text = RESOURCES["ApiStage"]["Properties"]["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in text
    assert not any(word in text.lower() for word in ("querystring", "header", "authorizer", "$context.path"))


def test_dead_letters_are_kept_for_as_long_as_sqs_can_and_encrypted() -> None:
    queues = {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::SQS::Queue"}
    kept = {"MessageRetentionPeriod": 1209600, "SqsManagedSseEnabled": True}
    assert [key for key, properties in queues.items() if not properties.items() >= kept.items()] == []
    assert queues


def test_every_route_has_its_own_throttle_and_the_webhook_has_its_own_limits() -> None:
    """Junk at the webhook must not shut visitors out, nor limits meant for visitors answer Stripe's bursts with 429."""
    routes = {
        name: resource["Properties"]["RouteKey"]
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == "AWS::ApiGatewayV2::Route"
    }
    stage = TEMPLATE["Resources"]["ApiStage"]
    settings = stage["Properties"]["RouteSettings"]
    assert set(settings) == set(routes.values())
    # API Gateway refuses the settings of a route that does not exist yet.
    assert set(stage["DependsOn"]) == set(routes)
    webhook = settings.pop("POST /webhooks/stripe")
    for limit in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
        assert {each[limit]["Ref"] for each in settings.values()}.isdisjoint({webhook[limit]["Ref"]})


def test_the_settle_queue_is_read_by_the_webhook_within_its_rate_and_its_time() -> None:
    mapping, queue = RESOURCES["SettleQueueMapping"]["Properties"], RESOURCES["SettleQueue"]["Properties"]
    assert mapping["ScalingConfig"]["MaximumConcurrency"] == SETTLING_ENVIRONMENTS
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["VisibilityTimeout"] >= 6 * TEMPLATE["Globals"]["Function"]["Timeout"]


def parameters_in(node: Any) -> set[str]:
    """Return the parameters of the stack that a part of the template depends on."""
    match node:
        case {"Ref": str(name)}:
            return {name} if name in TEMPLATE["Parameters"] else set()
        case {"Fn::If": [condition, *rest]}:
            return parameters_in(TEMPLATE["Conditions"][condition]) | parameters_in(rest)
        case {"Fn::Sub": text}:
            written = text if isinstance(text, str) else text[0]
            named = {name for name in re.findall(r"\$\{(\w+)\}", written) if name in TEMPLATE["Parameters"]}
            return named | (set() if text is written else parameters_in(text[1:]))
        case dict():
            return set().union(*map(parameters_in, node.values()))
        case list():
            return set().union(*map(parameters_in, node))
        case _:
            return set()


def test_no_parameter_of_the_stack_is_in_what_a_published_version_keeps() -> None:
    published = {
        name: each["Properties"] for name, each in FUNCTIONS.items() if "AutoPublishAlias" in each["Properties"]
    }
    elsewhere = {"Policies", "Events"}
    kept = [{key: value for key, value in each.items() if key not in elsewhere} for each in published.values()]
    assert published.keys() == {"NightlyAuditFunction"}
    assert parameters_in([*kept, TEMPLATE["Globals"]["Function"]]) == set()
    assert "AuditEmailFrom" in parameters_in(RESOURCES["AuditSettings"])


def test_the_probes_are_those_permissions_that_the_functions_need() -> None:
    """`portal connect` and `portal doctor` ask Stripe for each."""
    needed = {function: {permission(route) for route in calls.stripe} for function, calls in CALLS.items()}
    for probe in PROBES:
        shown = f"*{probe.permission}*: {'write' if probe.writes else 'read'}"
        users = {function for function, permissions in needed.items() if shown in permissions}
        assert set(probe.functions) <= users, probe.name
    probed = {f"*{each.permission}*: {'write' if each.writes else 'read'}" for each in PROBES}
    written = {each.replace("write", "read") for each in probed if each.endswith("write")}
    assert set.union(*needed.values()) - probed - written == set()


def test_no_key_stands_twice() -> None:
    """YAML's readers here take the last of two; CloudFormation's refuses the template."""

    def twice(node: yaml.Node) -> Iterator[str]:
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value]
            yield from (f"{name}, line {node.start_mark.line}" for name in set(names) if names.count(name) > 1)
            for _, value in node.value:
                yield from twice(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                yield from twice(value)

    root = yaml.compose((Path(__file__).parents[2] / "template.yaml").read_text(), Loader=yaml.SafeLoader)
    assert root is not None
    assert list(twice(root)) == []
