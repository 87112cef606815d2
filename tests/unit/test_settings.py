"""Settings complain by name, and the template names them all."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from functions.create_session.settings import CreateSessionSettings
from functions.webhook.settings import WebhookSettings
from local.aws.intrinsics import TemplateLoader
from shared.errors import OperatorError
from shared.settings import FunctionSettings

ROOT = Path(__file__).parents[2]
TEMPLATE: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), TemplateLoader)
FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
COMMON = {"SECRET_ID": "secret", "STRIPE_API_BASE": "https://api.stripe.com"}
WEBHOOK = COMMON | {
    "SIGNING_SECRETS_ID": "signing-secrets",
    "TABLE_NAME": "Subscriptions",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/1",
    "SETTLE_QUEUE_URL": "https://sqs.example/2",
    "SETTLE_READS_PER_SECOND": "10",
    "EVENT_CLOCK_UNCERTAINTY_SECONDS": "3",
    "ENDED_RETENTION_DAYS": "400",
}
PORTAL = COMMON | {
    "ALLOWED_RETURN_ORIGINS": "https://shop.example, https://App.shop.example:8443",
    "DEFAULT_RETURN_URL": "https://shop.example/account",
    "PORTAL_CONFIGURATIONS": json.dumps({"business": "bpc_1"}),
    "CUSTOMER_CLAIM": "stripe_customer_id",
    "LINK_SECRETS_ID": "link-secrets",
    "GROUP_CLAIM": "portal_group",
    "ALLOW_VERIFIED_EMAIL": "false",
    "PORTAL_URL": "https://api.example/portal",
    "EXPIRED_SESSION_LOGIN": "true",
    "CREATE_MISSING_CUSTOMERS": "false",
    "PAUSE_PAGE_URL": "https://api.example/pause",
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_template_gives_each_function_its_settings_and_no_others(function: str) -> None:
    properties = FUNCTIONS[function]
    package = properties["Handler"].rpartition(".app.")[0]
    (settings,) = (
        value
        for value in vars(importlib.import_module(f"{package}.settings")).values()
        if isinstance(value, type) and issubclass(value, FunctionSettings) and value is not FunctionSettings
    )
    given = {*TEMPLATE["Globals"]["Function"]["Environment"]["Variables"], *properties["Environment"]["Variables"]}
    if "AUDIT_SETTINGS" in given:
        text, _ = TEMPLATE["Resources"]["AuditSettings"]["Properties"]["Value"]["Fn::Sub"]
        given |= {line.partition("=")[0] for line in text.splitlines()}
    read_by_others = {name for name in given if name.startswith(("POWERTOOLS_", "MALLOC_"))}
    assert {name.upper() for name in settings.model_fields} == given - read_by_others


def test_settings_are_read_from_the_environment() -> None:
    assert WebhookSettings.from_environment(WEBHOOK).uncertainty.total_seconds() == 3
    portal = CreateSessionSettings.from_environment(PORTAL)
    assert portal.allowed_return_origins == ("https://shop.example", "https://app.shop.example:8443")
    assert portal.portal_configurations == {"business": "bpc_1"}
    assert portal.allow_verified_email is False
    assert (portal.portal_locale, portal.retention_coupon, portal.checkout_price) == (None, None, None)


@pytest.mark.parametrize("name", WEBHOOK)
def test_a_missing_or_empty_setting_is_named(name: str) -> None:
    for environment in ({k: v for k, v in WEBHOOK.items() if k != name}, WEBHOOK | {name: ""}):
        with pytest.raises(OperatorError, match=name):
            WebhookSettings.from_environment(environment)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALLOWED_RETURN_ORIGINS", "https://shop.example/path", "without a path"),
        ("ALLOWED_RETURN_ORIGINS", "shop.example", "ALLOWED_RETURN_ORIGINS"),
        ("ALLOWED_RETURN_ORIGINS", ",", "ALLOWED_RETURN_ORIGINS"),
        ("ALLOWED_RETURN_ORIGINS", "*", "ALLOWED_RETURN_ORIGINS"),
        ("DEFAULT_RETURN_URL", "https://elsewhere.example/", "must begin with one of"),
        ("PORTAL_CONFIGURATIONS", "{", "PORTAL_CONFIGURATIONS"),
        ("PORTAL_CONFIGURATIONS", '{"business": "prod_1"}', "bpc_123"),
        ("ALLOW_VERIFIED_EMAIL", "perhaps", "ALLOW_VERIFIED_EMAIL"),
        ("PORTAL_LOCALE", "fr-BE", "Stripe's portal has these locales: auto, bg"),
        ("CHECKOUT_PRICE", "price 1", "CHECKOUT_PRICE"),
        ("RETENTION_COUPON", "é", "RETENTION_COUPON"),
        ("CREATE_MISSING_CUSTOMERS", "true", "also needs ALLOW_VERIFIED_EMAIL"),
        ("STRIPE_API_BASE", "ftp://stripe", "STRIPE_API_BASE"),
    ],
)
def test_a_wrong_setting_is_named_with_the_mend(name: str, value: str, said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        CreateSessionSettings.from_environment(PORTAL | {name: value})
