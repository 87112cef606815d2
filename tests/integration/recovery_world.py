"""A deployment with its Stripe, and the real `portal` command pointed at both."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.deployment import Deployment
from cli.main import app
from cli.recover import commands
from shared.mirror.items import MirroredSubscription
from shared.mirror.rule import Mirror
from shared.mirror.table import MirrorTable
from shared.stripe.pacing import RateLimit, limited_reads
from shared.stripe.subscription_read import SubscriptionRead
from tests.clock import Clock
from tests.integration.conftest import Aws
from tests.integration.simulator_fixtures import RunningSimulator

HOUR = 3600
FAST = ("--requests-per-second", "100")


@dataclass
class World:
    """One customer with a price at Stripe; an empty mirror."""

    aws: Aws
    simulator: RunningSimulator
    customer: str
    price: str
    deployment: Deployment

    def portal(self, *arguments: str) -> Result:
        """Run the command; what it raises is raised here, but for its exit."""
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def subscribe(self, count: int = 1, **params: Any) -> list[str]:
        """Make subscriptions at Stripe; answers their ids."""
        wanted: Any = {"customer": self.customer, "items": [{"price": self.price}], **params}
        return [self.simulator.client().v1.subscriptions.create(wanted).id for _ in range(count)]

    def change(self, subscription_id: str, **fields: Any) -> None:
        """Have Stripe change a subscription by itself."""
        self.simulator.admin("POST", f"subscriptions/{subscription_id}", fields)

    def later(self, seconds: int = HOUR) -> int:
        """Let time pass at Stripe; answers its clock."""
        now: int = self.simulator.admin("GET", "clock")["now"] + seconds
        self.simulator.admin("POST", "clock", {"now": now})
        return now

    @property
    def table(self) -> MirrorTable:
        return self.deployment.mirror

    def held(self) -> dict[str, MirroredSubscription]:
        """The whole mirror by subscription."""
        return {item.subscription.id: item for item in self.table.all()}

    def statuses(self) -> dict[str, str]:
        """The mirror's statuses."""
        return {name: item.subscription.status for name, item in self.held().items()}

    def limit(self) -> RateLimit:
        """A rate limit whose pauses take no time."""
        clock = Clock()
        return RateLimit(100, clock=clock, sleep=clock.sleep)

    def rule(self, limit: RateLimit) -> Mirror:
        """The deployment's rule."""
        return self.deployment.mirror_rule(limited_reads(self.simulator.client(), limit))

    def requests(self, name: str) -> int:
        """How often an operation of Stripe's was asked for."""
        counts: dict[str, int] = self.simulator.admin("GET", "requests")
        return counts.get(name, 0)

    def fail(self, *failures: dict[str, Any]) -> None:
        """Make the next requests fail."""
        self.simulator.admin("POST", "faults", {"fail": list(failures)})


def make_world(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> World:
    """Point the command at the test's own deployment."""
    client = simulator.client()
    customer = client.v1.customers.create({"email": "ada@example.com", "payment_method": "pm_card_visa"})
    product = client.v1.products.create({"name": "Gold"})
    price = client.v1.prices.create(
        {"product": product.id, "currency": "eur", "unit_amount": 1200, "recurring": {"interval": "month"}}
    )
    deployment = Deployment(aws.template.outputs(), simulator.url)
    monkeypatch.setattr(Deployment, "of_stack", lambda _name: deployment)
    return World(aws, simulator, customer.id, price.id, deployment)


def reconcile_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """`portal reconcile` waits until a difference is no longer younger than the clocks are uncertain."""
    clock = Clock()
    monkeypatch.setattr(commands, "RateLimit", lambda rate: RateLimit(rate, clock=clock, sleep=clock.sleep))


def reader(world: World, act: Callable[[], None]) -> Callable[[str], SubscriptionRead]:
    """A read of Stripe during which something happens."""
    read = limited_reads(world.simulator.client(), world.limit())

    def read_and_act(subscription_id: str) -> SubscriptionRead:
        found = read(subscription_id)
        act()
        return found

    return read_and_act
