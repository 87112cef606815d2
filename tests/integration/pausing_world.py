"""A simulator with its clock, the table `Pauses`, and the operations on them, one crash at any request if asked for."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Literal, TypeVar, cast

import pytest
import stripe

from functions.pause.links import Links
from local.aws.template import Template
from shared.access import AccessPolicy, SubscriptionAccess, subscription_access
from shared.errors import Unavailable
from shared.link_token import LinkClaims
from shared.mirror.rule import Mirror
from shared.mirror.table import MirrorTable
from shared.pausing.at_stripe import StripePauses
from shared.pausing.history import CUSTOMER, Actor, HistoryEntry, PauseRecord, PauseTable
from shared.pausing.operations import Outcome, PauseResult, Pausing
from shared.pausing.plan import Begin, PauseRequest
from shared.pausing.policy import PausePolicy
from shared.stripe.events import SnapshotEvent, read_event, subscription_event
from shared.stripe.gateway import read_from_stripe
from tests.integration.dynamodb_fixtures import DynamoDb, create_table
from tests.integration.simulator_fixtures import RunningSimulator, Server

DAY = 86_400
OPEN = PausePolicy(pause_allowed="everybody", pause_reasons=("holiday", "too_expensive"))
TEAM = Actor("team", "ops@shop.example")
INTERVALS: tuple[Literal["month", "year"], ...] = ("month", "year")
_NEEDED = ("AllowedReturnOrigins", "DefaultReturnUrl", "AuditEmailFrom", "AuditEmailTo")


class PlainLinks(Links):
    """Links whose tokens say in plain words what they are for."""

    def _token(self, audience: str, claims: LinkClaims, _age: timedelta) -> str:
        return ".".join(filter(None, (audience, claims.sub, claims.group, claims.flow, claims.subscription)))


LINKS = PlainLinks(cast("Any", None), "https://api.example/pause", "https://api.example/portal")
T = TypeVar("T")


class Crashed(BaseException):
    """The process is gone: nothing catches it."""


@dataclass
class World:
    """A customer with a card and a monthly subscription, and the shop's clock (Unix seconds)."""

    simulator: RunningSimulator
    table: PauseTable
    timezone: tzinfo = UTC
    now: int = 1_801_476_000  # 2027-02-01 10:00 UTC
    policy: PausePolicy = OPEN
    requests: list[str] = field(default_factory=list)
    # Before (even) or after (odd) which of the next requests to Stripe the process dies.
    crash_at: int | None = None
    # How long a request to Stripe takes: time goes on meanwhile, and Stripe does what is due.
    seconds_per_request: int = 0

    def __post_init__(self) -> None:
        self.go_to(self.now)
        self.stripe = self.simulator.client()
        product = self.stripe.v1.products.create({"name": "Gold"})
        self.prices = {
            interval: self.stripe.v1.prices.create(
                {"product": product.id, "currency": "eur", "unit_amount": 1200, "recurring": {"interval": interval}}
            ).id
            for interval in INTERVALS
        }
        self.customer = self.stripe.v1.customers.create({"payment_method": "pm_card_visa"}).id

    def subscribe(self, *, mode: str = "flexible", interval: Literal["month", "year"] = "month", **params: Any) -> str:
        wanted: Any = {
            "customer": self.customer,
            "items": [{"price": self.prices[interval]}],
            "billing_mode": {"type": mode},
        }
        return self.stripe.v1.subscriptions.create(wanted | params).id

    @property
    def pausing(self) -> Pausing:
        return Pausing(lambda: _Watched(self), self.table, self.timezone, lambda: self.now, lambda _seconds: None)

    def step(self, act: Callable[[], T]) -> T:
        """Act, and die before or after it if that is the step."""
        if self.crash_at is None:
            return act()
        self.crash_at -= 2
        if self.crash_at == -2:
            self.crash_at = None
            raise Crashed
        is_last, self.crash_at = self.crash_at == -1, None if self.crash_at == -1 else self.crash_at
        try:
            return act()
        finally:
            if is_last:
                raise Crashed

    def go_to(self, moment: float) -> None:
        self.now = int(moment)
        self.simulator.admin("POST", "clock", {"now": self.now})

    def tick(self, subscription: str | None = None) -> list[PauseRecord | None]:
        return [self.pausing.follow(each) for each in self.table.due(now=self.now) if subscription in {None, each}]

    def pass_time(self, until: float) -> None:
        """Let time pass with the ticks that have something to do, without the daily looks at what only waits."""
        while self.now < until:
            soon = self.now + 300
            self.go_to(min([until, *(max(self._next_moment(each), soon) for each in self.table.open_pauses())]))
            self.tick()

    def _next_moment(self, record: PauseRecord) -> int:
        ahead = [moment + 60 for moment in (record.begins, record.resumes) if moment + 60 > self.now]
        is_quiet = record.state.is_settled and ahead
        return min(ahead) if is_quiet else record.retry_at or 0

    def pause(self, subscription: str, on: date, begin: Begin = Begin.PERIOD_END, **options: Any) -> PauseResult:
        override, group = options.pop("override", False), options.pop("group", None)
        request = PauseRequest(on, begin, options.pop("reason", None), override, group)
        given: Any = {"customer": self.customer, "actor": CUSTOMER, "policy": self.policy} | options
        return self.pausing.pause(subscription, request, **given)

    def resume(self, subscription: str) -> PauseResult:
        return self.pausing.resume(subscription, customer=self.customer, actor=CUSTOMER)

    def undo(self, subscription: str) -> PauseResult:
        return self.pausing.undo(subscription, customer=self.customer, actor=CUSTOMER)

    def release(self, subscription: str) -> PauseResult:
        return self.pausing.release(subscription, customer=self.customer, actor=CUSTOMER)

    def read(self, subscription: str) -> dict[str, Any]:
        return self.stripe.v1.subscriptions.retrieve(subscription).to_dict()

    def record(self, subscription: str) -> PauseRecord:
        found = self.table.get(subscription)
        assert found
        return found

    def actions(self, subscription: str) -> list[str]:
        return [entry.action.value for entry in self.table.history(subscription)]

    def history(self, subscription: str) -> list[HistoryEntry]:
        return self.table.history(subscription)

    def period_end(self, subscription: str) -> int:
        return max(int(item["current_period_end"]) for item in self.read(subscription)["items"]["data"])

    def charges(self, subscription: str) -> list[int]:
        """When the invoices that were paid, or wait to be, were made; oldest first. Void ones cost nothing."""
        listed = self.stripe.v1.invoices.list({"subscription": subscription, "limit": 100}).data
        return sorted(one.created for one in listed if one.status not in {"void", "draft"} and one.amount_due > 0)

    def day(self, days: float) -> date:
        return (datetime.fromtimestamp(self.now, self.timezone) + timedelta(days=days)).date()


class _Watched(StripePauses):
    """Counts the requests to Stripe, and dies before or after one of them if the world says so."""

    def __init__(self, world: World) -> None:
        super().__init__(world.stripe)
        self._world = world

    def _send(self, method: str, path: str, key: str | None = None, /, **params: Any) -> Any:
        world = self._world
        world.requests.append(f"{method} {path}")

        def send() -> Any:
            answer = super(_Watched, self)._send(method, path, key, **params)
            if world.seconds_per_request:
                world.go_to(world.now + world.seconds_per_request)
            return answer

        return world.step(send)


def pauses_properties() -> Any:
    return Template.load(parameters=dict.fromkeys(_NEEDED, "any")).resources("AWS::DynamoDB::Table")["Pauses"]


__all__ = ["DAY", "LINKS", "OPEN", "TEAM", "Crashed", "Outcome", "World", "stripe"]


@pytest.fixture
def pauses(dynamodb: DynamoDb) -> Iterator[PauseTable]:
    client = dynamodb.client()
    name = "Pauses-test"
    create_table(client, name, pauses_properties())
    yield PauseTable(client, name)
    client.delete_table(TableName=name)


@pytest.fixture
def world(server: Server, pauses: PauseTable) -> Iterator[World]:
    with server.simulator() as simulator:
        yield World(simulator, pauses)


class Watcher:
    """The mirror, fed by the simulator's events as the webhook would, and the access that follows from it."""

    def __init__(self, world: World, table: MirrorTable) -> None:
        self._world, self._table, self._seen = world, table, set[str]()
        read = partial(read_from_stripe, world.stripe)
        self._mirror = Mirror(table, read, uncertainty=timedelta(seconds=3), retention=timedelta(days=60))

    def catch_up(self) -> None:
        """Apply all events that have not been applied, oldest first."""
        listed = self._world.stripe.v1.events.list({"limit": 100}).data
        for event in reversed(listed):
            if event.id not in self._seen and event.type.startswith("customer.subscription."):
                self._seen.add(event.id)
                read = read_event(json.dumps(event.to_dict(for_json=True)).encode())
                assert isinstance(read, SnapshotEvent)
                self._apply(read)

    def _apply(self, event: SnapshotEvent) -> None:
        """Several in one second are settled some seconds later, as from the webhook's queue."""
        try:
            self._mirror.apply(subscription_event(event), now=self._world.now)
        except Unavailable:
            self._world.go_to(self._world.now + 10)
            self._mirror.apply(subscription_event(event), now=self._world.now, received=self._world.now - 10)

    def access(self, subscription: str) -> SubscriptionAccess:
        """Whether the subscription gives service now."""
        self.catch_up()
        items = self._table.of_customer(self._world.customer)
        (item,) = [item for item in items if item.subscription.id == subscription]
        return subscription_access(item, now=self._world.now, policy=AccessPolicy())
