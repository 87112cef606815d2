"""The calls that each function makes are those that its policy, the Stripe key and the docs are about."""

import json
import time
from functools import cache
from typing import Any

import pytest

from functions.access import app as access_app
from functions.access_changes import app as access_changes_app
from functions.access_changes.wiring import wire as access_changes_wire
from functions.nightly_audit import app as audit_app
from functions.nightly_audit import wiring as audit_wiring
from functions.pause import app as pause_app
from functions.webhook import app as webhook_app
from local.aws.intrinsics import PhysicalNames
from local.aws.lambda_function import run_durably
from local.aws.resources import put_parameters
from local.aws.template import Template
from shared.pausing.history import PauseTable
from tests.integration.conftest import Aws
from tests.integration.portal_world import ADA, FEATURES, configure
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_access_changes import Context, record
from tests.integration.test_pause_function import Pauses, day, tick
from tests.integration.test_slow_dependencies import Deployment, deployment
from tests.integration.test_webhook import event
from tests.pause_records import pause_entry, pause_record
from tests.permissions import CALLS, CallRecorder

__all__ = ["deployment"]


KINDS = (
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
)


@pytest.fixture
def recorder(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> CallRecorder:
    recorder = CallRecorder()
    recorder.install(monkeypatch, lambda: simulator.url)
    for kind in KINDS:
        for logical_id in aws.template.resources(kind):
            recorder.logical_ids[aws.template.ref(logical_id)] = logical_id
    return recorder


def use_portal(at: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    at.portal("GET /portal")
    at.follow(at.world.customer)
    at.follow(at.newcomer)
    at.come_back()
    at.world.post(at.world.token(flow="subscription_cancel", subscription=at.world.subscription))
    at.sign_in()
    at.world.post(claims=ADA)
    # With another price, the session that was begun with the first one is expired.
    configure(monkeypatch, CHECKOUT_PRICE=another_price(at))
    at.follow(at.newcomer)


def use_access(at: Deployment, _: pytest.MonkeyPatch) -> None:
    at.ask_access()
    at.ask_access_of_many()
    at.portal("GET /access", claims=ADA)
    # The mirror has an end that Stripe has not, and does not have all items.
    customer, subscription = subscriber_of_many_items(at)
    at.post(event(id="evt_ended", snapshot={"id": subscription, "customer": customer, "status": "canceled"}))
    headers = {"authorization": f"Bearer {at.token(customer, 'access')}"}
    at.portal("GET /access", headers=headers)
    live = {"authorization": f"Bearer {at.token(at.world.customer, 'access')}"}
    at.portal("GET /access", headers=live, query="feature=sso")


def use_access_changes(at: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_changes_app, "_wire", cache(access_changes_wire))
    at.post(at.snapshot())
    (item,) = at.aws.clients.dynamodb.scan(TableName=at.aws.template.ref("Subscriptions"))["Items"]
    for event_ in ({"Records": [record(item["customer_id"]["S"], 1)]}, {}, {"everyone": True}):
        access_changes_app.handler(event_, Context())  # type: ignore[arg-type]


def use_webhook(at: Deployment, _: pytest.MonkeyPatch) -> None:
    at.post(at.snapshot())
    at.post(at.close_event())
    at.post(at.close_event())
    at.post(at.snapshot() | {"created": int(time.time()) + 100})
    at.settle(subscriber_of_many_items(at)[1])
    at.post(at.snapshot(customer=None))
    at.settle("sub_missing0")
    settle_entitlements(at)


def settle_entitlements(at: Deployment) -> None:
    """A signal about a customer whose subscription the mirror has."""
    subscription = at.world.stripe.v1.subscriptions.retrieve(at.world.subscription).to_dict(for_json=True)
    at.post(event(id="evt_subscribed", snapshot=subscription))
    signal = {
        "id": "evt_entitled",
        "object": "event",
        "type": "entitlements.active_entitlement_summary.updated",
        "created": int(time.time()) - 60,
        "livemode": False,
        "data": {"object": {"customer": at.world.customer}},
    }
    message = {
        "messageId": "1",
        "receiptHandle": "receipt",
        "eventSource": "aws:sqs",
        "body": json.dumps(signal),
        "attributes": {"SentTimestamp": str(int(time.time() * 1000)), "ApproximateReceiveCount": "1"},
        "messageAttributes": {},
    }
    at.world.api._functions["WebhookFunction"].invoke({"Records": [message]})


def use_audit(at: Deployment, _: pytest.MonkeyPatch) -> None:
    # An earlier test may have left its clients and secrets.
    audit_wiring.clients.cache_clear()
    audit_wiring.secrets.cache_clear()
    customer, subscription = subscriber_of_many_items(at)
    at.world.stripe.v1.subscriptions.update(subscription, {"pause_collection": {"behavior": "void"}})
    # A drift, so that the subscription is read by itself and repaired.
    at.post(event(id="evt_drift", snapshot={"id": subscription, "customer": customer, "status": "past_due"}))
    at.world.simulator.admin(
        "POST",
        "default_configuration",
        {"features": FEATURES | plan_changes(at), "login_page": {"enabled": True}, "business_profile": {}},
    )
    # The customer's payment method is looked up where it is charged soon and the customer is not expanded.
    soon = at.world.stripe.v1.customers.create({"email": "soon@example.com", "payment_method": "pm_card_visa"})
    at.world.stripe.v1.subscriptions.create(
        {"customer": soon.id, "items": [{"price": at.world.price.id}], "trial_period_days": 2}
    )
    # A pause of an hour ago, of the subscription that is paused.
    moment = int(time.time()) - 3600
    paused = pause_record(subscription, customer, begins=moment, resumes=moment + 86_400)
    pauses = PauseTable(at.aws.clients.dynamodb, at.aws.template.ref("Pauses"))
    assert pauses.write(paused, None, pause_entry(subscription, customer, at=moment))
    bucket = at.aws.template.outputs()["AuditBucketName"]
    at.aws.clients.s3.put_object(Bucket=bucket, Key="access/users.csv", Body=b"email,served\nsoon@example.com,no\n")
    for names in ("false", "true"):
        changed = {"AuditNamesCustomers": names, "ReadsPaymentMethods": "true", "AccessList": "access/users.csv"}
        parameters = at.aws.template.parameters() | changed
        put_parameters(
            Template.load(parameters=parameters, names=PhysicalNames(aws_url=at.aws.url)), at.aws.clients.ssm
        )
        run_durably(audit_app.handler, "nightly_audit", {"send_again": True})


def use_pause(at: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAUSE_ALLOWED", "everybody")
    monkeypatch.setenv("PAUSE_NOW", "forfeit")
    monkeypatch.setenv("PAUSE_EMAIL_FROM", "hello@shop.example")
    pause_app._wire.cache_clear()
    pauses = Pauses(at.world.api, at.world.simulator)
    pauses.ask()
    pauses.ask(claims=ADA)
    pauses.ask("pause", resume_on=day(60))
    pauses.ask("pause", resume_on=day(70))
    pauses.ask("undo")
    # The schedule is released, so that the resume is asked for directly; then the card is declined.
    declined = pauses.stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": pauses.customer}).id
    pauses.ask("pause", resume_on=day(60), begin="now")
    pauses.ask("release")
    pauses.stripe.v1.customers.update(pauses.customer, {"invoice_settings": {"default_payment_method": declined}})
    pauses.ask("resume")
    pauses.ask("release")
    customer, subscription = subscriber_of_many_items(at)
    pauses.ask("pause", subscription, token=pauses.token(sub=customer), resume_on=day(60))
    trial: Any = {"customer": pauses.customer, "items": [{"price": pauses.price}], "trial_period_days": 20}
    trialing = pauses.stripe.v1.subscriptions.create(trial).id
    pauses.ask("pause", trialing, resume_on=day(60))
    pauses.ask("undo", trialing)
    tick()
    # The portal's own pause: of the default configuration, and of a group's.
    monkeypatch.setenv("PAUSE_ALLOWED", "nobody")
    for groups in ("{}", '{"business": "bpc_0000000000missing"}'):
        monkeypatch.setenv("PORTAL_CONFIGURATIONS", groups)
        pause_app._wire.cache_clear()
        pauses.ask(token=pauses.token(sub=pauses.other, group="business"))


def plan_changes(at: Deployment) -> Any:
    product = str(at.world.price.product)
    recurring: Any = {"interval": "year"}
    yearly = at.world.stripe.v1.prices.create(
        {"product": product, "currency": "eur", "unit_amount": 9900, "recurring": recurring}
    )
    products = [{"product": product, "prices": [at.world.price.id, yearly.id]}]
    return {"subscription_update": {"enabled": True, "default_allowed_updates": ["price"], "products": products}}


def another_price(at: Deployment) -> str:
    product = at.world.stripe.v1.products.create({"name": "Silver"}).id
    recurring: Any = {"interval": "month"}
    price = at.world.stripe.v1.prices.create(
        {"product": product, "currency": "eur", "unit_amount": 900, "recurring": recurring}
    )
    return price.id


def subscriber_of_many_items(at: Deployment) -> tuple[str, str]:
    """A customer and a subscription, whose items Stripe does not embed all."""
    customer = at.world.stripe.v1.customers.create({"email": "many@example.com", "payment_method": "pm_card_visa"})
    items: Any = [{"price": another_price(at)} for _ in range(12)]
    made = at.world.stripe.v1.subscriptions.create({"customer": customer.id, "items": items})
    return customer.id, made.id


USES = {
    "create_session": use_portal,
    "access": use_access,
    "access_changes": use_access_changes,
    "webhook": use_webhook,
    "nightly_audit": use_audit,
    "pause": use_pause,
}


@pytest.mark.parametrize("function", CALLS)
def test_what_the_code_calls_is_what_is_declared(
    deployment: Deployment, recorder: CallRecorder, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    recorder.driven = function
    monkeypatch.setenv("ENTITLEMENTS", "true")
    for app in (access_app, webhook_app):
        app._wire.cache_clear()
    USES[function](deployment, monkeypatch)
    assert recorder.aws[function] == CALLS[function].aws
    assert recorder.stripe[function] == CALLS[function].stripe
