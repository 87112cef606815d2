"""The one environment that all functions share on a developer's machine."""

import os
from pathlib import Path

import pytest

from local.addresses import Addresses, Options
from local.assembly import process_environment
from local.aws.intrinsics import TemplateError
from local.aws.template import TEMPLATE_PATH, Template
from shared.aws import isolate_environment


def load(path: Path) -> Template:
    addresses = Addresses()
    return Template.load(path, parameters=addresses.parameters, names=addresses.names)


def test_it_leads_to_the_local_services_and_changes_nothing_else() -> None:
    template = load(TEMPLATE_PATH)
    environment = process_environment(template, Options(Addresses()))
    assert environment["STRIPE_API_BASE"] == "http://127.0.0.1:12111"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5555"
    assert environment["BRAND_URL"] == "http://127.0.0.1:8787/"
    for function_id in template.functions():
        for name, value in template.environment(function_id).items():
            changed = name in {"BRAND_URL", "STRIPE_API_BASE"} or name.startswith("POWERTOOLS_")
            assert environment[name] == value or changed


def test_two_values_for_one_variable_are_refused_by_name(tmp_path: Path) -> None:
    function = "  {}Function:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: a.b\n"
    variables = "      Environment: {{ Variables: {{ LIMIT: {}, POWERTOOLS_SERVICE_NAME: {} }} }}\n"
    parameters = "".join(f"  {name}: {{ Type: String }}\n" for name in Addresses().parameters)
    resources = "".join(function.format(name) + variables.format(name, name) for name in ("One", "Two"))
    path = tmp_path / "template.yaml"
    path.write_text(f"Parameters:\n{parameters}Resources:\n{resources}", encoding="utf-8")
    with pytest.raises(TemplateError, match="different values for LIMIT"):
        process_environment(load(path), Options(Addresses()))


def test_against_stripe_itself_there_is_no_simulator() -> None:
    addresses = Addresses(stripe_port=None)
    assert addresses.stripe_url == "https://api.stripe.com"


def test_nothing_of_the_developers_account_is_left_and_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_SQS": "https://x", "HOME": "/home/me", "NO_PROXY": "intranet"}
    monkeypatch.setattr(os, "environ", mine)
    isolate_environment()
    assert mine == {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "HOME": "/home/me",
        "NO_PROXY": "intranet,127.0.0.1,localhost",
        "no_proxy": "intranet,127.0.0.1,localhost",
    }
