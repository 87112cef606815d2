"""The whole simulated account, and one call made on it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from local.stripe_simulator.agenda import Agenda
from local.stripe_simulator.clock import Clock
from local.stripe_simulator.deliveries import Deliveries
from local.stripe_simulator.faults import Faults, RateLimit
from local.stripe_simulator.idempotency import IdempotencyKeys
from local.stripe_simulator.store import Store, StripeObject
from local.stripe_simulator.versions import CURRENT


@dataclass
class Visit:
    """A portal session as its hosted page knows it: last activity, and where its flow stands."""

    session: StripeObject
    last_activity: int
    is_used: bool = False
    is_flow_done: bool = False
    notice: str = ""
    by_login: bool = False


class Simulator:
    """State that lives as long as the server: clock, objects, deliveries, faults, counts."""

    def __init__(self, *, public_url: str, now: float | None = None, retry_seconds: float = 2.0) -> None:
        self.public_url = public_url.rstrip("/")
        self.clock = Clock(now)
        self.store = Store()
        self.faults = Faults()
        self.rate_limit = RateLimit()
        self.idempotency_keys = IdempotencyKeys()
        self.request_counts: Counter[str] = Counter()
        self.deliveries = Deliveries(self.clock, lambda: self.faults, retry_seconds)
        # Subscription id to the time at which a pause made in the portal for a fixed term ends.
        self.pause_ends: dict[str, int] = {}
        # Subscription id to the time at which the next phase of its schedule begins.
        self.phase_starts: dict[str, int] = {}
        self.agenda = Agenda(self.pause_ends, self.phase_starts)
        self.deleted_customers: dict[str, StripeObject] = {}
        self.checkout_params: dict[str, dict[str, Any]] = {}
        self.visits: dict[str, Visit] = {}
        self.login_codes: list[dict[str, Any]] = []


@dataclass(frozen=True)
class Call:
    """What a handler is given: a request of the API, a click on a hosted page, or Stripe acting by itself."""

    simulator: Simulator
    params: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    version: str = CURRENT
    request_id: str | None = None
    idempotency_key: str | None = None
    moment: int | None = None

    @property
    def store(self) -> Store:
        """The account's objects."""
        return self.simulator.store

    @property
    def now(self) -> int:
        """The simulator's time in unix seconds, or the moment that a page is previewed at."""
        return self.simulator.clock.now() if self.moment is None else self.moment

    def about(self, object_id: str, **params: Any) -> "Call":
        """The same caller asking for something else of one object."""
        return replace(self, ids={"id": object_id}, params=params)
