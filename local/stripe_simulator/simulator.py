"""The state of one simulator, and what each handler is given of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from local.stripe_simulator.deliveries import Deliveries
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.faults import Faults, RateLimit
from local.stripe_simulator.store import Clock, DueChanges, Store, StripeObject
from local.stripe_simulator.versions import CURRENT


class Simulator:
    """The state of one simulated account: clock, objects, deliveries, faults, counts."""

    def __init__(self, *, public_url: str, now: float | None = None, retry_seconds: float = 2.0) -> None:
        self.public_url = public_url.rstrip("/")
        self._first_time = now
        self.clock = Clock(now)
        # The time of those who receive deliveries and check their signatures. A jump of the simulator's time moves it
        # only if asked to.
        self.receiver_clock = Clock()
        # Where those who keep the receivers' time are told of its changes.
        self.clock_follower: str | None = None
        # Sessions of `stripe listen`, by the id of their web socket, with the secret that signs what they get.
        self.cli_sessions: dict[str, str] = {}
        # Called with each snapshot event.
        self.listeners: list[Callable[[StripeObject], None]] = []
        self.deliveries = Deliveries(self.clock, self.receiver_clock, lambda: self.faults, retry_seconds)
        self._begin()

    def _begin(self) -> None:
        self.store = Store()
        self.faults = Faults()
        self.rate_limit = RateLimit()
        self.idempotency_keys = IdempotencyKeys()
        self.request_counts: Counter[str] = Counter()
        # Subscription id to the time at which a pause made in the portal for a fixed term ends.
        self.pause_ends: dict[str, int] = {}
        # Subscription id to the time at which the next phase of its schedule begins.
        self.phase_starts: dict[str, int] = {}
        # Subscription schedule id to the time at which its first phase creates the subscription.
        self.schedule_starts: dict[str, int] = {}
        # Subscription id to the time of the next pause or resume that its schedule plans.
        self.pause_plans: dict[str, int] = {}
        # Subscription id to the time at which one of its invoices is finalized, charged or given up.
        self.invoice_moments: dict[str, int] = {}
        # Invoice id to the time at which its retries end.
        self.retries_end: dict[str, int] = {}
        # Subscription id to the lines that wait for its next invoice.
        self.pending_lines: dict[str, list[StripeObject]] = {}
        # Subscription id to a resume that waits for its payment: the invoice, and what follows when it is paid.
        self.resumptions: dict[str, StripeObject] = {}
        # Subscription id to an update that waits for its payment, in the same form.
        self.waiting_updates: dict[str, StripeObject] = {}
        # Subscription id to the invoice because of which it is paused.
        self.payment_pauses: dict[str, str] = {}
        self.billing = BillingSettings()
        # Subscription id to the time at which the end of its trial, or of its schedule, is announced.
        self.trial_notices: dict[str, int] = {}
        self.expiry_notices: dict[str, int] = {}
        # Subscription id to the end of the trial that was announced last.
        self.announced_trials: dict[str, int] = {}
        self.due_changes = DueChanges(
            *(self.pause_ends, self.phase_starts, self.pause_plans, self.invoice_moments),
            *(self.trial_notices, self.expiry_notices),
        )
        # `account` and `context` of events, as an endpoint of a Connect platform or of an organization gets them.
        self.origin: dict[str, str] = {}
        self.deleted_customers: dict[str, StripeObject] = {}
        self.checkout_params: dict[str, dict[str, Any]] = {}
        self.visits: dict[str, PortalVisit] = {}
        self.login_codes: list[dict[str, Any]] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take back what a request has created when it is refused, its events included.

        A refused payment is no refused request: it leaves an invoice, and events.
        """
        arrivals = {name: kind.arrivals for name, kind in self.store.collections().items()}
        with self.deliveries.waiting() as sent:
            try:
                yield
            except ApiError as error:
                if error.kind != "card_error":
                    sent.clear()
                    for name, kind in self.store.collections().items():
                        kind.take_back(arrivals[name])
                raise

    def reset(self) -> None:
        """Forget everything, and return the clock to its first time."""
        self.clock.set(self._first_time)
        self.deliveries.reset()
        self._begin()


AfterRetries = Literal["leave_past_due", "mark_unpaid", "cancel", "pause"]
ResumeWhenPaid = Literal["no", "anchor_unchanged", "anchor_now"]
PauseOfPausedCollection = Literal["keep", "clear", "refuse", "refuse_when_due"]


@dataclass(frozen=True)
class BillingSettings:
    """What an account sets in the Dashboard about payments that fail.

    `retry_after_days` are the days from each failed attempt to the next one. Stripe's default is eight retries within
    two weeks, at times that it chooses (docs.stripe.com/billing/revenue-recovery/smart-retries).
    """

    retry_after_days: tuple[float, ...] = (1.75,) * 8
    after_retries: AfterRetries = "leave_past_due"
    pause_after_first_failure: bool = False
    resume_when_paid: ResumeWhenPaid = "anchor_unchanged"
    pause_of_paused_collection: PauseOfPausedCollection = "keep"

    def changed(self, given: Any) -> "BillingSettings":
        """Return the settings with those of a JSON hash; raises `ValueError`, which says what is wrong."""
        names = [one.name for one in fields(self)]
        if not isinstance(given, dict) or not given.keys() <= set(names):
            raise ValueError(f"The settings are {', '.join(names)}.")
        choices = {
            "after_retries": get_args(AfterRetries),
            "resume_when_paid": get_args(ResumeWhenPaid),
            "pause_of_paused_collection": get_args(PauseOfPausedCollection),
        }
        for name, words in choices.items():
            if name in given and given[name] not in words:
                raise ValueError(f"{name} is one of {', '.join(words)}.")
        if type(given.get("pause_after_first_failure", False)) is not bool:
            raise ValueError("pause_after_first_failure is true or false.")
        days = given.get("retry_after_days", [])
        if not isinstance(days, list) or len(days) > _MOST_RETRIES or not all(_is_wait(one) for one in days):
            raise ValueError(
                f"retry_after_days is a list of at most {_MOST_RETRIES} numbers of days, each up to {_LONGEST_WAIT}."
            )
        known = {"retry_after_days": tuple(days)} if "retry_after_days" in given else {}
        return replace(self, **{**given, **known})


_MOST_RETRIES = 20
_LONGEST_WAIT = 60


def _is_wait(days: Any) -> bool:
    return type(days) in {int, float} and 0 < days <= _LONGEST_WAIT


@dataclass
class PortalVisit:
    """A portal session in use: its last activity, its next notice, and whether its flow is done."""

    session: StripeObject
    last_activity: int
    is_used: bool = False
    is_flow_done: bool = False
    notice: str = ""
    by_login: bool = False


@dataclass(frozen=True)
class Call:
    """What a handler works on: a request to the API, a click on a hosted page, or a change that Stripe makes itself."""

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
        """The simulator's time in Unix seconds, or that of a test clock, or the time at which a page is previewed."""
        return self.simulator.clock.now() if self.moment is None else self.moment

    def about(self, object_id: str, **params: Any) -> "Call":
        """Return a call of the same origin about one object, with these parameters."""
        return replace(self, ids={"id": object_id}, params=params)


_LONGEST_KEY = 255


@dataclass(frozen=True)
class StoredResponse:
    """The first request with an idempotency key, and its response."""

    method_and_path: str
    params: dict[str, Any]
    status: int
    response: bytes
    request_id: str


class KeyInUse(ApiError):
    """The refusal of a request whose idempotency key belongs to one that has no response yet."""

    def __init__(self, key: str) -> None:
        super().__init__(
            "There is currently another in-progress request using this Idempotent Key (that probably means you "
            f"submitted twice, and the other request is still going through): {key}. Please try again later.",
            status=409,
            kind="idempotency_error",
            code="idempotency_key_in_use",
            headers={"Stripe-Should-Retry": "true"},
        )


class IdempotencyKeys:
    """The responses to requests that named an idempotency key."""

    def __init__(self) -> None:
        self._stored: dict[str, StoredResponse] = {}
        self._running: set[str] = set()

    @contextmanager
    def running(self, key: str | None) -> Iterator[None]:
        """Refuse the key of a first request to others meanwhile, not that of a repeated one; raises `KeyInUse`."""
        if key in self._running:
            raise KeyInUse(key or "")
        if not key or key in self._stored:
            yield
            return
        self._running.add(key)
        try:
            yield
        finally:
            self._running.discard(key)

    def find(self, key: str | None, method_and_path: str, params: dict[str, Any]) -> StoredResponse | None:
        """Return the stored response to the same request, whatever the order of its parameters.

        Raises `idempotency_error` if the key was another request's.
        """
        if key is not None and len(key) > _LONGEST_KEY:
            raise ApiError("Idempotency keys may be at most 255 characters.", kind="idempotency_error")
        stored = self._stored.get(key or "")
        if stored and (stored.method_and_path, stored.params) != (method_and_path, params):
            raise ApiError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        return stored

    def keep(self, key: str | None, stored: StoredResponse) -> None:
        """Store a response under its key."""
        if key:
            self._stored[key] = stored
