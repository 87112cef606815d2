"""A deployment, rehearsed: the translated template is created, updated and deleted in moto's CloudFormation.

moto knows some of its resource types; cfn-lint compares all of them with the resource specification. `CREATED` and
`CHECKED_ONLY` say which is which. What no rehearsal on one machine can show is whether AWS itself accepts it:
quotas, names that are taken, permissions of whoever deploys.
"""

import io
import json
import re
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator
from moto import mock_aws

from tests.kept_resources import IDENTIFIERS, TEMPLATE_FILE, import_template, resources_to_import
from tests.package.test_changed_parameters import SAM_PYTHON, translated
from tests.unit.test_alarms import DOMAIN

ROOT = Path(__file__).parents[2]
DEPLOY = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
CREATED = {
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::IAM::Role",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::LogGroup",
    "AWS::Route53::RecordSet",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
}
CHECKED_ONLY = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::Events::Rule",  # moto's cannot name a bus of the same template
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Logs::MetricFilter",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::SecretsManager::Secret",
}
PARAMETERS = {
    "AllowedReturnOrigins": "https://shop.example,https://www.shop.example",
    "DefaultReturnUrl": "https://shop.example/account",
    "AuditEmailFrom": "Northwind <audit@shop.example>",
    "AuditEmailTo": "team@shop.example,more@shop.example",
    "StripeEventSource": "aws.partner/stripe.com/ed_1",
    **DOMAIN,
}
pytestmark = pytest.mark.skipif(not SAM_PYTHON.exists(), reason="`make validate` installs SAM")


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return translated({})


def without_what_moto_lacks(template: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the resources that moto cannot create; where another refers to one, its name stands instead."""
    left_out = {name for name, each in template["Resources"].items() if each["Type"] in CHECKED_ONLY}

    def replaced(node: Any) -> Any:
        match node:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]} if name in left_out:
                return name
            case {"Fn::Sub": str(text)}:
                return {"Fn::Sub": with_names(text)}
            case {"Fn::Sub": [text, own]}:
                return {"Fn::Sub": [with_names(text), replaced(own)]}
            case dict():
                return {key: replaced(value) for key, value in node.items()}
            case list():
                return [replaced(each) for each in node]
            case _:
                return node

    def with_names(text: str) -> str:
        return re.sub(rf"\$\{{({'|'.join(left_out)})(\.\w+)?\}}", r"\1", text)

    kept = {name: each for name, each in template["Resources"].items() if name not in left_out}
    for name, each in kept.items():
        # moto makes up no name for these, as CloudFormation does, and sees no parameter in a `Fn::Sub`.
        if each["Type"] == "AWS::SSM::Parameter":
            named = [
                {"Ref": one} for one in re.findall(r"\$\{(\w+)\}", json.dumps(each)) if one in template["Parameters"]
            ]
            kept[name] = {**each, "Properties": {**each["Properties"], "Name": name}, "Metadata": {"Parameters": named}}
    # What CloudFormation does from the second operation on; moto knows the older word only.
    text = json.dumps(replaced({**template, "Resources": kept})).replace("RetainExceptOnCreate", "Retain")
    rehearsed: dict[str, Any] = json.loads(text)
    return rehearsed


class Account:
    """An AWS account that moto plays, with one stack of the template."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.template = without_what_moto_lacks(template)
        self.cloudformation = boto3.client("cloudformation")
        self.tables = boto3.client("dynamodb")
        zone = boto3.client("route53").create_hosted_zone(Name="shop.example", CallerReference="one")
        self.parameters = PARAMETERS | {"HostedZoneId": zone["HostedZone"]["Id"].rpartition("/")[2]}
        # What Stripe does when an event destination is made.
        boto3.client("events").create_partner_event_source(Name=PARAMETERS["StripeEventSource"], Account="123456789012")
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("function.py", "")
        s3.put_object(Bucket="artifacts", Key="function.zip", Body=archive.getvalue())
        self.cloudformation.create_stack(StackName="portal", **self._request({}))

    def _request(self, changes: Mapping[str, str]) -> dict[str, Any]:
        values = self.parameters | dict(changes)
        return {
            "TemplateBody": json.dumps(self.template),
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
            "Capabilities": ["CAPABILITY_IAM"],
        }

    def update(self, **changes: str) -> None:
        self.cloudformation.update_stack(StackName="portal", **self._request(changes))

    def resources(self) -> dict[str, str]:
        """The physical ids by the logical ones."""
        listed = self.cloudformation.describe_stack_resources(StackName="portal")["StackResources"]
        return {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in listed}

    def outputs(self) -> dict[str, str]:
        (stack,) = self.cloudformation.describe_stacks(StackName="portal")["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


@pytest.fixture
def account(template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield Account(template)


def test_every_type_of_resource_is_created_here_or_named_as_checked_only(template: dict[str, Any]) -> None:
    assert {each["Type"] for each in template["Resources"].values()} == CREATED | CHECKED_ONLY


def test_the_stack_is_created_with_everything_that_moto_knows(account: Account) -> None:
    wanted = {name: each["Type"] for name, each in account.template["Resources"].items()}
    listed = account.cloudformation.describe_stack_resources(StackName="portal")["StackResources"]
    assert {each["LogicalResourceId"]: each["ResourceType"] for each in listed} == wanted
    assert {each["ResourceStatus"] for each in listed} == {"CREATE_COMPLETE"}
    assert account.outputs()["PortalUrl"] == "https://billing.shop.example/portal"
    (record,) = (
        each
        for each in boto3.client("route53").list_resource_record_sets(HostedZoneId=account.parameters["HostedZoneId"])[
            "ResourceRecordSets"
        ]
        if each["Type"] == "A"
    )
    assert record["Name"].rstrip(".") == DOMAIN["DomainName"]


def test_a_changed_parameter_changes_the_settings_and_no_data(account: Account) -> None:
    before = account.resources()
    # A table without a stream, for whose records moto would start a container.
    account.tables.put_item(TableName=before["Audits"], Item={"night": {"S": "2026-11-27"}})
    account.update(AuditEmailTo="new@shop.example")
    after = account.resources()
    settings = boto3.client("ssm").get_parameter(Name=after["AuditSettings"])["Parameter"]["Value"]
    assert "AUDIT_EMAIL_TO=new@shop.example" in settings.splitlines()
    assert after == before
    assert account.tables.scan(TableName=before["Audits"])["Count"] == 1


def test_deleting_the_stack_leaves_what_the_guide_names(account: Account) -> None:
    before, bucket = account.resources(), account.resources()["AuditReports"]
    tables = {name for name, each in account.template["Resources"].items() if each["Type"] == "AWS::DynamoDB::Table"}
    account.cloudformation.delete_stack(StackName="portal")
    assert {*account.tables.list_tables()["TableNames"]} == {before[name] for name in tables}
    assert {each["Name"] for each in boto3.client("s3").list_buckets()["Buckets"]} == {bucket, "artifacts"}
    assert boto3.client("sqs").list_queues().get("QueueUrls", []) == []
    assert boto3.client("logs").describe_log_groups()["logGroups"] == []
    assert boto3.client("lambda").list_functions()["Functions"] == []
    removal = DEPLOY.split("## Remove it")[1].split("\n## ")[0]
    assert {*re.findall(r"`([A-Z]\w+)`", removal.split("\n\n")[2])} == {*tables, "AuditReports"}


SCHEMAS = """
import json, sys
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema
print(json.dumps({kind: schema("eu-west-1", kind).schema for kind in sys.argv[1:]}))
"""


def specification(*kinds: str) -> dict[str, dict[str, Any]]:
    """CloudFormation's own schema of each type, as cfn-lint carries it."""
    ran = subprocess.run([str(SAM_PYTHON), "-c", SCHEMAS, *kinds], check=True, capture_output=True, text=True)
    schemas: dict[str, dict[str, Any]] = json.loads(ran.stdout)
    return schemas


def test_no_parameter_can_replace_a_table_or_the_bucket(template: dict[str, Any]) -> None:
    """moto makes a table anew for any change; CloudFormation does for the properties that its schema lists."""
    kinds = ("AWS::DynamoDB::Table", "AWS::S3::Bucket")
    kept = {name: each for name, each in template["Resources"].items() if each["Type"] in kinds}
    schemas = specification(*kinds)
    for name, each in kept.items():
        fixed = {path.split("/")[2] for path in schemas[each["Type"]].get("createOnlyProperties", [])}
        assert fixed
        given = {key: value for key, value in each["Properties"].items() if key in fixed}
        assert "Ref" not in json.dumps(given), name
        assert "DeletionProtectionEnabled" not in fixed


def lint(*templates: Path) -> subprocess.CompletedProcess[str]:
    command = [str(SAM_PYTHON.parent / "cfn-lint"), "--regions", "eu-west-1", "--template", *map(str, templates)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_every_resource_is_what_the_specification_allows(template: dict[str, Any], tmp_path: Path) -> None:
    whole = tmp_path / "template.json"
    whole.write_text(json.dumps(template))
    assert lint(whole).stdout == ""
    # The tool sees what CloudFormation would refuse.
    table = json.dumps(template["Resources"]["Audits"]).replace('"PAY_PER_REQUEST"', '"PAY_NOTHING"')
    parameters = {"ProtectTables": template["Parameters"]["ProtectTables"]}
    whole.write_text(json.dumps({"Parameters": parameters, "Resources": {"Audits": json.loads(table)}}))
    assert "PAY_NOTHING" in lint(whole).stdout


def test_a_new_stack_takes_over_what_the_old_one_left_as_the_deployment_after_it_wants_it(
    template: dict[str, Any], account: Account
) -> None:
    """moto knows no import; the request has the form that CloudFormation's model and schemas ask for."""
    kept = import_template()["Resources"]
    assert kept == {name: each for name, each in template["Resources"].items() if each["Type"] in IDENTIFIERS}
    # An import refuses a resource without a deletion policy, and properties that only AWS sets.
    assert all(each["DeletionPolicy"] == "RetainExceptOnCreate" for each in kept.values())
    for kind, schema in specification(*IDENTIFIERS).items():
        assert schema["primaryIdentifier"] == [f"/properties/{IDENTIFIERS[kind]}"]
        assert {"read", "list"} <= schema["handlers"].keys(), "types without these cannot be imported"
    assert lint(TEMPLATE_FILE).stdout == ""
    model = account.cloudformation.meta.service_model.operation_model("CreateChangeSet").input_shape
    request = {
        "StackName": "STACK",
        "ChangeSetName": "take-over",
        "ChangeSetType": "IMPORT",
        "TemplateBody": TEMPLATE_FILE.read_text(),
        "ResourcesToImport": resources_to_import(),
    }
    assert len(request["TemplateBody"]) < 51_200
    assert ParamValidator().validate(request, model).generate_report() == ""
    assert "IMPORT" in model.members["ChangeSetType"].enum
