"""Whatever hangs, and however many services at once: a visitor reads an apology in time, and Stripe gets its 503.

Lambda's own time-out never comes first: after it there is no page, no metric and no line in the log.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cache
from itertools import combinations, count, product
from typing import Any
from unittest.mock import Mock, patch

import boto3
import jwt
import pytest

from functions.access import app as access_app
from functions.create_session import app as create_session_app
from functions.nightly_audit import wiring as audit_wiring
from functions.webhook import app as webhook_app
from shared.errors import Unavailable
from shared.secret_store import LinkSecrets, Secret
from shared.ses import send
from shared.stripe import pacing
from shared.stripe.gateway import stripe_client
from tests.integration.conftest import LINK_SECRET, SENDER, Api, Aws
from tests.integration.portal_world import ADA, World, configure
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_webhook import event, signed
from tests.slow_services import Fault, Service, SlowServices

pytestmark = pytest.mark.real_timeouts

# What each may take in the function. The rest of a visitor's 10 seconds and of Stripe's 8 is for a cold start.
VISITOR_SECONDS, WEBHOOK_SECONDS, LAMBDA_SECONDS = 8.5, 7.0, 24.0
# Lambda gives an invocation of the audit 900 seconds, which the mail may share with other steps.
AUDIT_STEP_SECONDS = 300
PORTAL_SERVICES = (Service.SECRETS_MANAGER, Service.STRIPE)
ACCESS_SERVICES = (Service.SECRETS_MANAGER, Service.DYNAMODB, Service.STRIPE)
WEBHOOK_SERVICES = (Service.SECRETS_MANAGER, Service.DYNAMODB, Service.SQS, Service.STRIPE)
LONG_FAULTS = dict.fromkeys(Service, (Fault.HANGING, Fault.SLUGGISH, Fault.THROTTLED)) | {
    Service.STRIPE: (Fault.HANGING, Fault.SLOW, Fault.THROTTLED)
}
STATES = ("cold", "secrets to read again", "warm")
PAGE = {"accept": "text/html", "accept-language": "fr"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status of HTTP's, or of a batch how many messages left the queue."""

    status: int
    body: str


class Deployment:
    """The two functions that somebody waits for, with all that their requests need."""

    def __init__(self, world: World, aws: Aws) -> None:
        self.world = world
        self.aws = aws
        self.numbers = count()
        self.first: dict[str, Any] | None = None
        self.newcomer = world.stripe.v1.customers.create({"email": "new@example.com"}).id

    def portal(self, route: str, **request: Any) -> Answer:
        answer = self.world.api.send(route, **{"headers": PAGE} | request)
        return Answer(answer.status, answer.body.decode())

    def token(self, customer: str, audience: str = "portal") -> str:
        claims = {"sub": customer, "aud": audience, "exp": int(time.time()) + 600 + next(self.numbers)}
        return jwt.encode(claims, LINK_SECRET, algorithm="HS256")

    def follow(self, customer: str) -> Answer:
        return self.portal("GET /portal", query=f"token={self.token(customer)}")

    def come_back(self) -> Answer:
        cookie = f"__Host-portal-return={self.token(self.world.customer, 'portal-return')}"
        return self.portal(
            "GET /portal/return", query=f"customer={self.world.customer}", headers=PAGE | {"cookie": cookie}
        )

    def sign_in(self) -> Answer:
        number = next(self.numbers)
        claims = ADA | {"sub": f"user {number}", "email": f"user.{number}@example.com"}
        return self.portal("POST /portal/sessions", claims=claims, body=b"{}")

    def ask_access(self) -> Answer:
        """A customer whom the mirror does not have, so that Stripe is asked too."""
        return self.portal("GET /access", headers={"authorization": f"Bearer {self.token(self.newcomer, 'access')}"})

    def ask_access_of_many(self) -> Answer:
        headers = {"authorization": f"Bearer {self.token(self.newcomer, 'access-batch')}"}
        body = json.dumps({"customers": [self.newcomer, *(f"cus_{number}" for number in range(20))]})
        return self.portal("POST /access", headers=headers, body=body.encode())

    def snapshot(self, **changes: Any) -> dict[str, Any]:
        """An event of a subscription that the mirror does not have."""
        number = next(self.numbers)
        return event(id=f"evt_{number}", snapshot={"id": f"sub_{number}"} | changes)

    def close_event(self) -> dict[str, Any]:
        """An event that cannot be ordered by its time against the one that the mirror has."""
        if self.first is None:
            self.first = self.snapshot()
            self.post(self.first)
        return self.first | {"id": f"evt_{next(self.numbers)}", "created": self.first["created"] + 1}

    def thin(self, subscription: str | None = None) -> dict[str, Any]:
        return {
            "id": f"evt_{next(self.numbers)}",
            "object": "v2.core.event",
            "type": "v1.customer.subscription.updated",
            "created": datetime.fromtimestamp(int(time.time()) - 60, UTC).isoformat(),
            "livemode": False,
            "related_object": {"id": subscription or self.world.subscription, "type": "subscription"},
        }

    def post(self, content: dict[str, Any]) -> Answer:
        body = json.dumps(content).encode()
        answer = self.world.api.send("POST /webhooks/stripe", headers=signed(body), body=body)
        return Answer(answer.status, answer.body.decode())

    def from_bus(self) -> Answer:
        """Without an exception EventBridge's event is done; with one, Lambda invokes the function again."""
        envelope = {"source": "aws.partner/stripe.com/ed_1", "detail-type": "x", "detail": self.thin()}
        try:
            answer = self.world.api._functions["WebhookFunction"].invoke(envelope)
        except Exception as error:  # noqa: BLE001 - whatever it is, Lambda sees it
            return Answer(503, repr(error))
        return Answer(answer["statusCode"], answer["body"])

    def settle(self, subscription: str | None = None) -> Answer:
        """A batch; the messages that fail come again. Three that hang would take Lambda's time."""
        records = [
            {
                "messageId": str(number),
                "receiptHandle": "receipt",
                "eventSource": "aws:sqs",
                "body": json.dumps(self.thin(subscription)),
                "attributes": {"SentTimestamp": str(int(time.time() * 1000)), "ApproximateReceiveCount": "1"},
                "messageAttributes": {},
            }
            for number in range(4)
        ]
        failed = self.world.api._functions["WebhookFunction"].invoke({"Records": records})["batchItemFailures"]
        return Answer(503 if failed else 200, f"{len(failed)} failed")


@dataclass(frozen=True, slots=True)
class Entrance:
    """A way in, the services behind it, and within how many seconds somebody has to have an answer."""

    services: tuple[Service, ...]
    within: float
    enter: Callable[[Deployment], Answer]


ENTRANCES = {
    "login page": Entrance(
        PORTAL_SERVICES, VISITOR_SECONDS, lambda at: at.portal("GET /portal", query="email=a%40b.c")
    ),
    "link": Entrance(PORTAL_SERVICES, VISITOR_SECONDS, lambda at: at.follow(at.world.customer)),
    "link to Checkout": Entrance(PORTAL_SERVICES, VISITOR_SECONDS, lambda at: at.follow(at.newcomer)),
    "back from Checkout": Entrance(PORTAL_SERVICES, VISITOR_SECONDS, Deployment.come_back),
    "signed-in user": Entrance(PORTAL_SERVICES, VISITOR_SECONDS, Deployment.sign_in),
    "access, own": Entrance(ACCESS_SERVICES, WEBHOOK_SECONDS, Deployment.ask_access),
    "access, many": Entrance(ACCESS_SERVICES, WEBHOOK_SECONDS, Deployment.ask_access_of_many),
    "webhook, event alone": Entrance(WEBHOOK_SERVICES, WEBHOOK_SECONDS, lambda at: at.post(at.snapshot())),
    "webhook, close events": Entrance(WEBHOOK_SERVICES, WEBHOOK_SECONDS, lambda at: at.post(at.close_event())),
    "webhook, thin event": Entrance(WEBHOOK_SERVICES, WEBHOOK_SECONDS, lambda at: at.post(at.thin())),
    "webhook, dead letter": Entrance(WEBHOOK_SERVICES, WEBHOOK_SECONDS, lambda at: at.post(at.snapshot(customer=None))),
    "EventBridge": Entrance(WEBHOOK_SERVICES, LAMBDA_SECONDS, Deployment.from_bus),
    "settle queue": Entrance(WEBHOOK_SERVICES, LAMBDA_SECONDS, Deployment.settle),
}


@pytest.fixture
def deployment(api: Api, aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    world = World(api, simulator)
    configure(
        monkeypatch,
        ALLOW_VERIFIED_EMAIL="true",
        CREATE_MISSING_CUSTOMERS="true",
        CHECKOUT_PRICE=world.price.id,
        STRIPE_EVENT_SOURCE="aws.partner/stripe.com/ed_1",
    )
    return Deployment(world, aws)


def drills(services: tuple[Service, ...]) -> Iterator[tuple[str, Mapping[Service, Fault]]]:
    """Every service in every fault and state, and every two services in every two faults that take long."""
    for state, service, fault in product(STATES, services, Fault):
        yield state, {service: fault}
    for one, two in combinations(services, 2):
        for state, of_one, of_two in product(STATES[:2], LONG_FAULTS[one], LONG_FAULTS[two]):
            yield state, {one: of_one, two: of_two}


def forget() -> None:
    """As in a new execution environment."""
    webhook_app._wire.cache_clear()
    create_session_app._wire.cache_clear()
    access_app._wire.cache_clear()
    stripe_client.cache_clear()


def prepare(state: str, entrance: Entrance, deployment: Deployment) -> None:
    forget()
    if state == "warm":
        entrance.enter(deployment)
    elif state != "cold":
        with patch.object(Secret, "cache_seconds", 0), patch.object(LinkSecrets, "cache_seconds", 0):
            entrance.enter(deployment)


@pytest.mark.parametrize("name", ENTRANCES)
def test_every_answer_is_in_time(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None], name: str
) -> None:
    entrance = ENTRANCES[name]
    slow = SlowServices(deployment.world.simulator.url)
    slow.install(monkeypatch)
    # Making a client takes the most time of a drill, and asks nobody.
    monkeypatch.setattr(boto3, "client", cache(boto3.client))
    monkeypatch.setattr(pacing, "RateLimit", lambda rate: Mock(wait=lambda: time.sleep(1 / rate)))
    forget()
    if name == "webhook, close events":
        deployment.close_event()
    with slow.recording():
        assert entrance.enter(deployment).status < 400
    all_drills = list(drills(entrance.services))
    longest: dict[int, tuple[float, str]] = {}
    for state, faults in all_drills:
        prepare(state, entrance, deployment)
        began = slow.now
        with slow.failing(faults):
            answer = entrance.enter(deployment)
        took, drill = slow.now - began, f"{' and '.join(f'{each} {fault}' for each, fault in faults.items())} ({state})"
        assert took <= entrance.within, drill
        # A service that is not needed, or whose last answer is still good, stops nothing.
        assert answer.status in {200, 201, 303, 503}, (drill, answer)
        longest[len(faults)] = max(longest.get(len(faults), (0, "")), (took, drill))
    figures = "; ".join(f"{took:.1f} s with {drill}" for took, drill in longest.values())
    record_property("figures", f"{name}: {len(all_drills)} drills, longest {figures}; allowed {entrance.within:.1f} s")


@pytest.mark.parametrize("fault", Fault)
def test_a_step_of_the_audit_that_cannot_mail_ends_before_lambda_ends_it(
    api: Api,
    simulator: RunningSimulator,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    fault: Fault,
) -> None:
    del api
    slow = SlowServices(simulator.url)
    slow.install(monkeypatch)
    message = EmailMessage()
    message["Subject"] = "Stripe audit"
    began = slow.now
    with slow.failing({Service.SES: fault}), suppress(Unavailable):
        send(audit_wiring.clients().ses, message, SENDER, ["team@shop.example"], fix="")
    assert slow.now - began < AUDIT_STEP_SECONDS
    record_property("figures", f"the audit's mail: {slow.now - began:.1f} s with SES {fault}")
