"""Stand-ins with state; each passes the same tests as what it stands for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from functions.access_changes.access_table import AT_ONCE, DecidedAccess
from shared.audit.findings import Finding, PausedFindings
from shared.audit.report import Report
from shared.errors import Unavailable
from shared.mirror.items import (
    Beginnings,
    EntitlementsWrite,
    MirroredCustomer,
    MirroredEntitlements,
    MirroredSubscription,
    Write,
    blocks_write,
    item_key,
)
from shared.mirror.table import TablePage
from shared.pausing.history import HistoryEntry, PauseRecord
from shared.portal.pause import Phase
from shared.stripe.subscription import Subscription, is_collected
from shared.stripe.subscription_read import SubscriptionRead


@dataclass
class FakePauses:
    """The table `Pauses` in memory, as the audit reads it; `requests` counts what DynamoDB is asked for."""

    records: dict[str, PauseRecord] = field(default_factory=dict)
    entries: list[HistoryEntry] = field(default_factory=list)
    requests: int = 0
    refuses: bool = False

    def get_many(self, subscription_ids: Iterable[str]) -> dict[str, PauseRecord]:
        self._request()
        return {each: self.records[each] for each in subscription_ids if each in self.records}

    def newest_entries(self, *, until: int) -> Iterator[HistoryEntry]:
        found = sorted((each for each in self.entries if each.at <= until), key=lambda each: each.at, reverse=True)
        for place in range(0, max(len(found), 1), 1000):
            self._request()
            yield from found[place : place + 1000]

    def entries_of_customer(self, customer_id: str, *, since: int) -> list[HistoryEntry]:
        self._request()
        of_customer = (each for each in self.entries if each.customer_id == customer_id and each.at >= since)
        return sorted(of_customer, key=lambda each: each.at)

    def due(self, *, now: float) -> Iterator[str]:
        self._request()
        retries = {each.subscription_id: each.retry_at for each in self.records.values() if each.retry_at is not None}
        yield from sorted((each for each, at in retries.items() if at <= now), key=lambda each: retries[each])

    def _request(self) -> None:
        self.requests += 1
        if self.refuses:
            raise Unavailable("pauses_unavailable", "The fake table refuses")


@dataclass
class FakeTable:
    """The table `Subscriptions` in memory; `requests` counts what DynamoDB would bill."""

    items: dict[tuple[str, str], MirroredSubscription] = field(default_factory=dict)
    expires_at: dict[tuple[str, str], int | None] = field(default_factory=dict)
    entitlements: dict[str, MirroredEntitlements] = field(default_factory=dict)
    requests: int = 0
    refuses: bool = False

    def get(self, customer_id: str, subscription_id: str) -> MirroredSubscription | None:
        self._request()
        return self.items.get((customer_id, subscription_id))

    def get_many(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MirroredSubscription]:
        self._request()
        return {key: self.items[key] for key in keys if key in self.items}

    def all(self) -> Iterator[MirroredSubscription]:
        self._request()
        yield from list(self.items.values())

    def page(self, start: Mapping[str, Any] | None) -> TablePage:
        """Two items a page."""
        self._request()
        keys = [item_key(*key) for key in self.items]
        first = keys.index(dict(start)) + 1 if start else 0
        found = [each for each in list(self.items.values())[first : first + 2] if not each.subscription.ended]
        return TablePage(tuple(found), keys[first + 1] if first + 2 < len(keys) else None)

    def put_if_older(self, write: Write, than: int) -> MirroredSubscription | None:
        self._request()
        old = self._old(write)
        if old and blocks_write(old, write, than):
            return old
        self._put(write, old)
        return None

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:
        self._request()
        old = self._old(write)
        if (old and old.revision) != (since and since.revision):
            return old
        self._put(write, old)
        return None

    def customer(self, customer_id: str) -> MirroredCustomer:
        self._request()
        subscriptions = (item for key, item in self.items.items() if key[0] == customer_id)
        return MirroredCustomer(tuple(subscriptions), self.entitlements.get(customer_id))

    def put_entitlements(self, write: EntitlementsWrite) -> bool:
        self._request()
        old = self.entitlements.get(write.customer_id)
        if old and old.as_of >= write.as_of:
            return False
        account = write.account or (old.account if old else None)
        revision = (old.revision if old else 0) + 1
        self.entitlements[write.customer_id] = MirroredEntitlements(
            write.customer_id, write.features, write.as_of, revision, write.products, account=account
        )
        return True

    def show_entitlements(
        self, customer_id: str, features: tuple[str, ...], created: int, *, account: str | None
    ) -> bool:
        self._request()
        old = self.entitlements.get(customer_id, MirroredEntitlements(customer_id, (), 0, 0))
        if old.revision and (old.as_of >= created or (old.settling or 0) > created):
            return False
        self.entitlements[customer_id] = replace(
            old, features=features, settling=created, revision=old.revision + 1, account=account or old.account
        )
        return True

    def expire(self) -> None:
        """Delete what has ended, as DynamoDB does by the time to live."""
        self.items = {key: item for key, item in self.items.items() if not item.subscription.ended}

    def only(self) -> MirroredSubscription:
        (item,) = self.items.values()
        return item

    def _request(self) -> None:
        self.requests += 1
        if self.refuses:
            raise Unavailable("mirror_unavailable", "The fake table refuses")

    def _old(self, write: Write) -> MirroredSubscription | None:
        return self.items.get((write.subscription.customer_id, write.subscription.id))

    def add_beginnings(self, to: MirroredSubscription, beginnings: Beginnings) -> bool:
        self._request()
        key = (to.subscription.customer_id, to.subscription.id)
        old = self.items.get(key)
        if old is None or old.revision != to.revision:
            return False
        known = {name: value for name, value in asdict(beginnings).items() if value}
        self.items[key] = replace(old, revision=old.revision + 1, beginnings=replace(old.beginnings, **known))
        return True

    def _put(self, write: Write, old: MirroredSubscription | None) -> None:
        key = (write.subscription.customer_id, write.subscription.id)
        self.items[key] = MirroredSubscription(
            write.subscription,
            write.as_of,
            (old.revision if old else 0) + 1,
            write.event_id,
            _beginnings(write, old.beginnings if old else Beginnings()),
            write.settling,
            *(
                getattr(old, name) if old and getattr(write, name) is None else getattr(write, name)
                for name in ("account", "delivery_lag", "stamp_lag")
            ),
        )
        self.expires_at[key] = write.expires_at


@dataclass
class FakeAccessTable:
    """The table `Access` in memory."""

    items: dict[str, DecidedAccess] = field(default_factory=dict)

    def get(self, customer_id: str) -> DecidedAccess | None:
        return self.items.get(customer_id)

    def decide(self, answer: Mapping[str, Any], since: DecidedAccess | None) -> DecidedAccess | None:
        old = self.items.get(answer["customer_id"])
        if (old and old.version) != (since and since.version):
            return None
        version, published = (since.version + 1, since.published) if since else (1, 0)
        decided = DecidedAccess(answer, version, published, AT_ONCE)
        self.items[answer["customer_id"]] = decided
        return decided

    def settle(self, customer_id: str, version: int, due_at: int | None) -> None:
        old = self.items.get(customer_id)
        if old and old.version == version:
            self.items[customer_id] = replace(old, published=version, due_at=due_at)

    def due(self, *, now: int) -> Iterator[str]:
        yield from [name for name, item in self.items.items() if item.due_at is not None and item.due_at <= now]

    def customers(self, after: str | None) -> Iterator[str]:
        names = list(self.items)
        yield from names[names.index(after) + 1 if after else 0 :]


def _beginnings(write: Write, old: Beginnings) -> Beginnings:
    if write.settling is not None:
        return old
    state, new = write.subscription, write.beginnings
    since = {"paused_since": state.is_pause_running(write.as_of), "past_due_since": state.is_past_due}
    known: dict[str, int | bool | None] = {}
    for name, goes_on in since.items():
        exact = f"{name}_exact"
        if getattr(new, name) is not None:
            known |= {name: getattr(new, name), exact: getattr(new, exact)}
        elif goes_on and getattr(old, name) is not None:
            known |= {name: getattr(old, name), exact: getattr(old, exact)}
        elif goes_on:
            known |= {name: write.seen_since(name), exact: False}
    if is_collected(state, at=write.as_of):
        known["paid_through"] = state.current_period_end
    else:
        known["paid_through"] = old.paid_through if new.paid_through is None else new.paid_through
    return Beginnings(**known)  # type: ignore[arg-type]  # each name has its own type


@dataclass
class FakeStripe:
    """Stripe's own state of one subscription; `before_answer` lets a test act while a read is under way."""

    subscription: Subscription
    now: int
    took: float = 0.0
    reads: int = 0
    before_answer: Callable[[], None] | None = None

    def read(self, subscription_id: str) -> SubscriptionRead:
        assert subscription_id == self.subscription.id
        self.reads += 1
        answer = SubscriptionRead(self.subscription, self.now, self.took)
        if self.before_answer:
            self.before_answer()
        return answer


def subscription(status: str = "active", **fields: object) -> Subscription:
    """A subscription of customer cus_1."""
    return replace(Subscription("sub_1", "cus_1", status, livemode=False), **fields)  # type: ignore[arg-type]


def audit_report(*findings: Finding, livemode: bool | None = True, timezone: str = "Europe/Paris") -> Report:
    """The report of a run after the cutoff that read 7 subscriptions."""
    return Report(
        datetime(2026, 11, 22, 6, tzinfo=UTC),
        ZoneInfo(timezone),
        Phase.STRANDED,
        0,
        livemode,
        7,
        tuple(finding for finding in findings if not finding.paused),
        PausedFindings.of(finding for finding in findings if finding.paused),
    )
