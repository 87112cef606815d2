"""The demo site's server side: like a real site's backend it has the Stripe key, the link secret and the mirror."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import requests
from stripe import StripeClient

from functions.pause.wiring import wire
from local.addresses import Addresses
from local.aws.lambda_function import LambdaFunction
from local.aws.resources import AwsClients
from local.aws.template import Template
from local.stack_clock import real_time
from shared.link_token import ACCESS_AUDIENCE, Flow, LinkClaims, LinkTokens
from shared.mirror.items import MirroredSubscription
from shared.mirror.table import MirrorTable
from shared.pausing.history import CUSTOMER, PauseRecord, PauseTable
from shared.pausing.plan import PauseRequest
from shared.portal.changes import limits_of
from shared.portal.pause import pause_refusals
from shared.stripe.subscription import Subscription

_LINK_AGE = timedelta(hours=1)
_SHOWN_CUSTOMERS = 50
# Longer than an event waits in the settle queue.
_SETTLED_SECONDS = 20
_LONGEST_SETTLING_SECONDS = 5
# A pause is looked at once a day, and the function sends its notice a day early for that.
_NOTICE_LEAD = timedelta(days=1)
_SHOWN_SUBSCRIPTIONS = 100


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of the site; `purpose` says which state this customer demonstrates."""

    id: str
    name: str
    email: str
    purpose: str
    group: str | None


@dataclass(frozen=True, slots=True)
class StripeSubscriptions:
    """Stripe's side of the comparison: subscriptions in its form, and names by the customer's id."""

    subscriptions: list[dict[str, Any]]
    customers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ShownDeadLetter:
    """A message of a dead-letter queue; `reason` is the webhook's, or the message's id if it gave none."""

    queue: str
    reason: str
    body: str


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything that the pages read and change; `account` is the test account that takes the simulator's place."""

    addresses: Addresses
    template: Template
    stripe: StripeClient
    aws: AwsClients
    functions: Mapping[str, LambdaFunction]
    link_secrets: Mapping[str, str]
    groups: Mapping[str, str]
    account: str = ""

    @property
    def is_simulated(self) -> bool:
        """Whether Stripe is the simulator, which alone has a clock, faults and a list of deliveries."""
        return self.addresses.stripe_port is not None

    @property
    def mirror(self) -> MirrorTable:
        """The table that the webhook writes."""
        return MirrorTable(self.aws.dynamodb, self.template.outputs()["TableName"])

    @property
    def pauses(self) -> PauseTable:
        """The table that the pause function writes."""
        return PauseTable(self.aws.dynamodb, self.template.outputs()["PausesTableName"])

    def customers(self) -> list[Customer]:
        """Return Stripe's customers, oldest first."""
        found = self.stripe.v1.customers.list({"limit": _SHOWN_CUSTOMERS}).data
        return [_customer(one.to_dict()) for one in reversed(found)]

    def customer(self, customer_id: str) -> Customer:
        """Return one customer. Raises `stripe.InvalidRequestError` when Stripe has none."""
        return _customer(self.stripe.v1.customers.retrieve(customer_id).to_dict())

    def portal_link(self, customer: Customer, *, flow: Flow | None = None, subscription: str | None = None) -> str:
        """Mint a link as any site's backend does, to the whole portal or to one of its pages."""
        claims = LinkClaims(sub=customer.id, group=customer.group, flow=flow, subscription=subscription)
        token = LinkTokens(self.link_secrets).mint(claims, expires_in=_LINK_AGE, now=time.time())
        return f"/portal?token={token}"

    def home_link(self, link: str, customer: Customer) -> str:
        """Let a portal link lead back to the customer's row of the home page."""
        return f"{link}&{urlencode({'return_url': f'{self.addresses.site_url}/#{customer.id}'})}"

    def login_codes(self) -> list[dict[str, Any]]:
        """Return the codes that Stripe's simulator would have mailed, the newest first."""
        if not self.is_simulated:
            return []
        found = requests.get(f"{self.addresses.stripe_url}/_simulator/login_codes", timeout=10).json()
        return list(reversed(found["data"]))

    def deep_links(self, customer: Customer, mirrored: Sequence[MirroredSubscription]) -> dict[str, str]:
        """Return links to single pages of the portal: those that the mirror does not rule out.

        About prices, payment methods and the portal's configuration the mirror knows nothing; there Stripe decides.
        """
        links = {"payment method": self.portal_link(customer, flow="payment_method_update")}
        live = [one.subscription for one in mirrored if not one.subscription.ended]
        for name, flow in _flows(live[0], update_is_planned=self._update_is_planned(live[0])) if live else ():
            links[name] = self.portal_link(customer, flow=flow, subscription=live[0].id)
        return links

    def _update_is_planned(self, subscription: Subscription) -> bool | None:
        """A schedule that the pause function has made plans a pause and no update; of others nothing is known here."""
        if subscription.schedule_id is None:
            return None
        pause = self.pauses.get(subscription.id)
        return False if pause and pause.schedule_id == subscription.schedule_id else None

    def access(self, customer: Customer, product: str | None = None) -> dict[str, Any] | None:
        """Ask whether the customer has service, as any site's backend does; `None` while nothing is known."""
        tokens = LinkTokens(self.link_secrets, ACCESS_AUDIENCE)
        token = tokens.mint(LinkClaims(sub=customer.id), expires_in=_LINK_AGE, now=time.time())
        answer = requests.get(
            f"{self.template.outputs()['AccessUrl']}/{customer.id}",
            {"product": product} if product else {},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def let_time_pass(self, until: datetime | None) -> None:
        """Move the clock of the stack and of the simulator, which then does what Stripe would have done meanwhile.

        On the way it stops where the pause function's schedule has something to do, such as a mail before a return.
        `until` is later than now; `None` is real time.
        """
        self.wait_for_webhooks()
        soon = time.time() + _SETTLED_SECONDS
        if until is None or until.timestamp() > soon:
            # What waits to be settled is settled before anything else happens, as it would have been.
            self._set_clock(soon)
            self.settle_now()
        while stop := self._next_stop(until.timestamp() if until else real_time()):
            self._set_clock(stop)
            self.follow_pauses()
        self._set_clock(until.timestamp() if until else None)
        self.follow_pauses()

    def promise_pause(self, subscription_id: str, resume_on: date) -> None:
        """Pause a subscription when its paid period ends, as its customer does on the page for pauses.

        The pause function refuses that in the last minutes of a period, and then there is no pause.
        """
        parts = wire()
        policy = parts.answers.settings.policy_of(None)
        request = PauseRequest(resume_on)
        result = parts.pausing.pause(subscription_id, request, customer=None, actor=CUSTOMER, policy=policy)
        if result.record:
            parts.notices.send_due(result.record, now=time.time())

    def follow_pauses(self) -> None:
        """Run the schedule of the pause function now, when the events so far have reached the mirror."""
        self.wait_for_webhooks()
        self.functions["PauseFunction"].invoke({})
        self.wait_for_webhooks()

    def _next_stop(self, until: float) -> float | None:
        """Return the first time before `until` at which a pause begins, is announced to end, or ends."""
        notice = timedelta(days=int(self.template.parameters()["PauseNoticeDays"])) + _NOTICE_LEAD
        now = time.time()
        moments = [moment for record in self.pauses.open_pauses() for moment in _moments(record, notice)]
        return min((moment for moment in moments if now + 1 < moment < until), default=None)

    def settle_now(self) -> bool:
        """End the delays of the queues, because the clock has moved on; return whether the settle queue got empty."""
        requests.post(f"{self.addresses.aws_url}/_local", json={"queues_due": True}, timeout=10).raise_for_status()
        counts: Any = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "Delayed", "NotVisible")]
        until = time.monotonic() + _LONGEST_SETTLING_SECONDS
        while time.monotonic() < until:
            found = self.aws.sqs.get_queue_attributes(QueueUrl=self.template.ref("SettleQueue"), AttributeNames=counts)
            if not any(int(count) for count in found["Attributes"].values()):
                return True
            time.sleep(0.05)
        return False

    def _set_clock(self, now: float | None) -> None:
        body = {"receiver_now": now, "now": now}
        requests.post(f"{self.addresses.stripe_url}/_simulator/clock", json=body, timeout=60).raise_for_status()

    def subscriptions_at_stripe(self) -> "StripeSubscriptions":
        """Return every subscription as Stripe has it now, canceled ones too, and the names of their customers."""
        if self.is_simulated:
            # Not through the API, which the faults on the control room's page disturb.
            found = requests.get(f"{self.addresses.stripe_url}/_simulator/subscriptions", timeout=10).json()
            return StripeSubscriptions(found["data"], found["customers"])
        listed = self.stripe.v1.subscriptions.list({"status": "all", "limit": _SHOWN_SUBSCRIPTIONS}).data
        return StripeSubscriptions([one.to_dict() for one in listed], {one.id: one.name for one in self.customers()})

    def run_audit(self) -> Any:
        """Invoke the audit's handler as the schedule does, and send the mail again if it was sent today."""
        name, _, _alias = self.template.outputs()["NightlyAuditFunctionName"].partition(":")
        return self.functions[name].invoke({"send_again": True})

    def deliveries(self) -> list[dict[str, Any]]:
        """Return the simulator's delivery attempts, newest first; empty against Stripe itself."""
        if not self.is_simulated:
            return []
        answer = requests.get(f"{self.addresses.stripe_url}/_simulator/deliveries", timeout=5)
        return list(reversed(answer.json()["data"]))

    def wait_for_webhooks(self) -> None:
        """Wait until the simulator's events have reached the mirror, so that the next page shows them."""
        if self.is_simulated:
            requests.get(f"{self.addresses.stripe_url}/_simulator/idle", {"timeout": 5}, timeout=6)

    def dead_letters(self) -> list[ShownDeadLetter]:
        """Return up to ten messages of each queue and leave them there."""
        return [
            _dead_letter(queue_id, message)
            for queue_id in self.template.resources("AWS::SQS::Queue")
            for message in self.aws.sqs.receive_message(
                QueueUrl=self.template.ref(queue_id),
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                VisibilityTimeout=0,
            ).get("Messages", [])
        ]


def _moments(record: PauseRecord, notice: timedelta) -> tuple[float, float, float]:
    return record.begins, record.next_charge - notice.total_seconds(), record.resumes


def _flows(subscription: Subscription, *, update_is_planned: bool | None) -> Iterator[tuple[str, Flow]]:
    limits = tuple(limits_of(subscription, update_is_planned=update_is_planned))
    if not limits and subscription.status in {"active", "past_due", "trialing"}:
        yield "change plan", "subscription_update"
    if not subscription.cancel_at and not any(limit.forbids_cancelling for limit in limits):
        yield "cancel", "subscription_cancel"
    if not any(pause_refusals(subscription)):
        yield "pause", "subscription_pause"


def _dead_letter(queue_id: str, message: Mapping[str, Any]) -> ShownDeadLetter:
    reason = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue")
    return ShownDeadLetter(queue_id, reason or message.get("MessageId", ""), message.get("Body", ""))


def _customer(raw: Mapping[str, Any]) -> Customer:
    metadata = raw.get("metadata") or {}
    return Customer(
        raw["id"],
        raw.get("name") or raw.get("email") or raw["id"],
        raw.get("email") or "",
        metadata.get("purpose", ""),
        metadata.get("portal_group"),
    )
