"""What a deployment accepts and refuses, what its addresses are, and in what its environments differ."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from functions.create_session.settings import CreateSessionSettings
from local.aws.intrinsics import Intrinsics, TemplateLoader
from local.aws.template import Template
from shared.return_url import is_allowed
from tests.unit.test_alarms import DOMAIN, PARAMETERS

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), TemplateLoader)
API = "http://127.0.0.1:8787"
DOMAIN_URL = "https://billing.shop.example"
NAMES = {name: str(each.get("Default", "")) for name, each in DOCUMENT["Parameters"].items()} | PARAMETERS


def refusals(**parameters: str) -> list[str]:
    """What the rules of the template say against these parameters."""
    rules = Intrinsics({}, (NAMES | parameters).__getitem__, lambda _name, _attribute: "")
    return [
        assertion["AssertDescription"]
        for rule in DOCUMENT["Rules"].values()
        if rules.resolve(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not rules.resolve(assertion["Assert"])
    ]


def test_the_addresses_that_people_see_have_the_name_of_the_company() -> None:
    template = Template.load(parameters=PARAMETERS | DOMAIN)
    outputs = template.outputs()
    assert {name: outputs[name] for name in ("ApiUrl", "PortalUrl", "AccessUrl")} == {
        "ApiUrl": DOMAIN_URL,
        "PortalUrl": f"{DOMAIN_URL}/portal",
        "AccessUrl": f"{DOMAIN_URL}/access",
    }
    assert template.environment("CreateSessionFunction")["PORTAL_URL"] == f"{DOMAIN_URL}/portal"
    assert outputs["DomainTarget"]


def test_a_new_domain_does_not_move_the_endpoint_to_which_stripe_sends() -> None:
    """Stripe would go on sending to the old one, and the audit would report that the new one is missing."""
    template = Template.load(parameters=PARAMETERS | DOMAIN)
    webhook = f"{API}/webhooks/stripe"
    assert template.outputs()["WebhookUrl"] == webhook
    settings = template.resources("AWS::SSM::Parameter")["AuditSettings"]["Value"].splitlines()
    assert f"WEBHOOK_URL={webhook}" in settings
    (api,) = template.resources("AWS::ApiGatewayV2::Api").values()
    assert "DisableExecuteApiEndpoint" not in api


def test_without_a_domain_the_addresses_are_those_of_api_gateway() -> None:
    template = Template.load(parameters=PARAMETERS)
    outputs = template.outputs()
    assert (outputs["ApiUrl"], outputs["PortalUrl"]) == (API, f"{API}/portal")
    assert template.environment("CreateSessionFunction")["PORTAL_URL"] == f"{API}/portal"
    assert "DomainTarget" not in outputs
    kinds = ("AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::ApiMapping", "AWS::Route53::RecordSet")
    assert [kind for kind in kinds if template.resources(kind)] == []


def test_the_domain_leads_to_the_api_and_dns_is_written_only_into_a_zone_that_is_named() -> None:
    template = Template.load(parameters=PARAMETERS | DOMAIN)
    (mapping,) = template.resources("AWS::ApiGatewayV2::ApiMapping").values()
    assert mapping == {"ApiId": "Api", "DomainName": "ApiDomain", "Stage": "ApiStage"}
    assert not template.resources("AWS::Route53::RecordSet")
    record = DOCUMENT["Resources"]["ApiDomainRecord"]
    assert record["Condition"] == "HasDomainRecord"
    assert record["Properties"]["Name"] == {"Ref": "DomainName"}
    assert record["Properties"]["AliasTarget"]["HostedZoneId"] == {"Fn::GetAtt": ["ApiDomain", "RegionalHostedZoneId"]}


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({}, 0),
        (DOMAIN, 0),
        (DOMAIN | {"HostedZoneId": "Z0ABC"}, 0),
        ({"DomainName": DOMAIN["DomainName"]}, 1),
        ({"CertificateArn": DOMAIN["CertificateArn"]}, 1),
        ({"HostedZoneId": "Z0ABC"}, 1),
        ({"OidcIssuer": "https://id.example"}, 1),
        ({"CreateMissingCustomers": "true"}, 1),
    ],
)
def test_half_a_setting_is_refused(parameters: dict[str, str], count: int) -> None:
    assert len(refusals(**parameters)) == count


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("billing.example.com", True),
        ("a-b.example.xn--p1ai", True),
        ("https://billing.example.com", False),
        ("billing.example.com/portal", False),
        ("example", False),
        ("*.example.com", False),
        ("Billing.example.com", False),
    ],
)
def test_a_domain_is_a_name_and_not_an_address(name: str, valid: bool) -> None:  # noqa: FBT001
    assert bool(re.search(DOCUMENT["Parameters"]["DomainName"]["AllowedPattern"], name)) is valid


ORIGINS = "https://shop.example,https://www.shop.example:8443,http://127.0.0.1:8787"


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/",
        "https://shop.example/account?tab=billing#plan",
        "https://shop.example?tab=billing",
        "https://www.shop.example:8443/",
        "http://127.0.0.1:8787/account",
        "http://shop.example/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "https://shop.example:8443/",
        "https://shopXexample/",
        "https://www.shop.example/",
        "https://evil.example/https://shop.example/",
        "https://127.0.0.1:8787/",
    ],
)
def test_the_deployment_refuses_the_default_return_url_that_the_function_refuses(url: str) -> None:
    """Systems Manager compares a parameter's value with its pattern; the function has the last word."""
    template = Template.load(parameters=PARAMETERS | {"AllowedReturnOrigins": ORIGINS, "DefaultReturnUrl": url})
    check = template.resources("AWS::SSM::Parameter")["DefaultReturnUrlIsAllowed"]
    assert check["Value"] == url
    assert bool(re.search(check["AllowedPattern"], url)) is is_allowed(url, ORIGINS.split(","))


def test_more_origins_than_a_pattern_can_hold_are_left_to_the_function() -> None:
    def check(count: int) -> dict[str, Any] | None:
        origins = [f"https://{'x' * 60}{number}.shop.example" for number in range(count)]
        parameters = {"AllowedReturnOrigins": ",".join(origins), "DefaultReturnUrl": origins[-1]}
        parameters = PARAMETERS | parameters
        return Template.load(parameters=parameters).resources("AWS::SSM::Parameter").get("DefaultReturnUrlIsAllowed")

    eight = check(8)
    assert eight
    assert len(eight["AllowedPattern"]) <= 1024
    assert re.search(eight["AllowedPattern"], eight["Value"])
    assert check(9) is None


def test_the_function_refuses_what_the_deployment_could_not_see() -> None:
    environment = Template.load(parameters=PARAMETERS | {"DefaultReturnUrl": "https://evil.example/"}).environment(
        "CreateSessionFunction"
    )
    with pytest.raises(ValidationError, match="DEFAULT_RETURN_URL must begin with one of ALLOWED_RETURN_ORIGINS"):
        CreateSessionSettings.model_validate({name: value for name, value in environment.items() if value})


def test_tables_are_protected_by_choice_so_that_a_first_deployment_can_be_rolled_back() -> None:
    """DynamoDB refuses DeleteTable for a protected table, and a first deployment that fails deletes its tables."""
    for chosen, protected in (("", "false"), ("true", "true")):
        parameters = PARAMETERS | ({"ProtectTables": chosen} if chosen else {})
        tables = Template.load(parameters=parameters).resources("AWS::DynamoDB::Table").values()
        assert {table["DeletionProtectionEnabled"] for table in tables} == {protected}


def environments() -> dict[str, dict[str, Any]]:
    document = tomllib.loads((ROOT / "samconfig.toml").read_text())
    return {name: each for name, each in document.items() if isinstance(each, dict)}


def overrides(environment: str) -> dict[str, str]:
    found = environments()[environment]["deploy"]["parameters"]["parameter_overrides"]
    return dict(each.split("=", 1) for each in found)


def test_each_environment_is_a_stack_of_its_own() -> None:
    found = environments()
    names = {name: each["global"]["parameters"]["stack_name"] for name, each in found.items()}
    assert names.keys() == {"default", "staging", "production"}
    assert len({*names.values()}) == len(names)
    deployments = [each["deploy"]["parameters"] for each in found.values()]
    # SAM reads one environment only: none inherits these of another.
    assert all(each["resolve_s3"] and each["capabilities"] == "CAPABILITY_IAM" for each in deployments)
    # Nobody changes production without having seen what changes.
    assert found["production"]["deploy"]["parameters"]["confirm_changeset"] is True


def test_environments_differ_in_the_same_parameters_which_the_template_accepts() -> None:
    staging, production = overrides("staging"), overrides("production")
    assert staging.keys() == production.keys()
    for name, value in [*staging.items(), *production.items()]:
        parameter = DOCUMENT["Parameters"][name]
        assert value in map(str, parameter.get("AllowedValues", [value])), name
        if "MinValue" in parameter:
            assert parameter["MinValue"] <= float(value) <= parameter["MaxValue"], name
    # A first deployment has to be able to roll back.
    assert staging["ProtectTables"] == production["ProtectTables"] == "false"
    assert int(staging["LogRetentionDays"]) < int(production["LogRetentionDays"])
