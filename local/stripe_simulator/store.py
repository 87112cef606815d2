"""What a simulator keeps: its clock, its objects by kind, and the changes that time will bring."""

import heapq
import secrets
import string
import time
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from email.utils import formatdate
from itertools import takewhile
from typing import Any

from local.stripe_simulator.errors import no_such

StripeObject = dict[str, Any]


class Clock:
    """The simulator's time: real time plus an offset, so that years of history can be made in a second."""

    def __init__(self, now: float | None = None) -> None:
        self._offset = 0.0
        self.set(now)

    def set(self, now: float | None) -> None:
        """Jump to `now` (unix seconds), or back to real time."""
        self._offset = 0.0 if now is None else now - time.time()

    def move(self, offset: float) -> None:
        """Run `offset` seconds ahead of real time."""
        self._offset = offset

    @property
    def offset(self) -> float:
        """Seconds between the simulator's time and real time."""
        return self._offset

    def now(self) -> int:
        """Whole unix seconds, as Stripe counts time."""
        return int(time.time() + self._offset)

    def http_date(self) -> str:
        """The value of the `Date` header."""
        return formatdate(self.now(), usegmt=True)


_ALPHABET = string.ascii_letters + string.digits


def token(length: int) -> str:
    """Return random letters and digits."""
    # One read of the system's random numbers, because events and invoices need many identifiers.
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(length))


def new_id(prefix: str) -> str:
    """Return a new identifier such as `sub_1A...`; those of requests are shorter."""
    return f"{prefix}_{token(14 if prefix == 'req' else 24)}"


# (created, arrival, id): the order of a list, oldest first.
Position = tuple[int, int, str]


class StoredObjects:
    """The objects of one kind."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._objects: dict[str, StripeObject] = {}
        self._positions: dict[str, Position] = {}
        self._order: list[Position] = []
        self._by_customer: defaultdict[str, list[Position]] = defaultdict(list)
        self._arrivals = 0

    def __iter__(self) -> Iterator[StripeObject]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    def add(self, added: StripeObject) -> StripeObject:
        """Store a new object."""
        self._arrivals += 1
        # Discounts have no `created`, and features neither that nor a `start`.
        created = added.get("created") or added.get("start") or 0
        position = (int(created), self._arrivals, str(added["id"]))
        self._objects[added["id"]] = added
        self._positions[added["id"]] = position
        insort(self._order, position)
        if isinstance(added.get("customer"), str):
            insort(self._by_customer[added["customer"]], position)
        return added

    def move(self, moved: StripeObject, customer: str | None) -> None:
        """Give an object to another customer, or to none."""
        position = self._positions[moved["id"]]
        if moved["customer"]:
            self._by_customer[moved["customer"]].remove(position)
        if customer:
            insort(self._by_customer[customer], position)
        moved["customer"] = customer

    def remove(self, object_id: str) -> None:
        """Remove an object."""
        position = self._positions.pop(object_id)
        del self._order[bisect_left(self._order, position)]
        gone = self._objects.pop(object_id)
        if isinstance(gone.get("customer"), str):
            self._by_customer[gone["customer"]].remove(position)

    @property
    def arrivals(self) -> int:
        """The number of objects that were ever added."""
        return self._arrivals

    def take_back(self, arrivals: int) -> None:
        """Remove what was added since that many objects had arrived."""
        for object_id in list(takewhile(lambda one: self._positions[one][1] > arrivals, reversed(self._positions))):
            self.remove(object_id)

    def remove_before(self, created: int) -> None:
        """Remove all objects created before a time."""
        for _, _, object_id in self._order[: bisect_left(self._order, (created,))]:
            self.remove(object_id)

    def find(self, object_id: str) -> StripeObject | None:
        """Return the object, if it exists."""
        return self._objects.get(object_id)

    def get(self, object_id: str, param: str = "id") -> StripeObject:
        """Return the object; raises `resource_missing` naming `param`."""
        found = self._objects.get(object_id)
        if found is None:
            raise no_such(self.noun, object_id, param)
        return found

    def positions(self, customer: str | None = None) -> list[Position]:
        """The list order, oldest first, of all objects or of one customer's."""
        return self._order if customer is None else self._by_customer.get(customer, [])

    def position(self, object_id: str, param: str) -> Position:
        """Return the position of a cursor."""
        self.get(object_id, param)
        return self._positions[object_id]

    def of_customer(self, customer: str) -> list[StripeObject]:
        """A customer's objects, newest first."""
        return [self._objects[object_id] for _, _, object_id in reversed(self.positions(customer))]


class StoredInvoices(StoredObjects):
    """Invoices, which are found by their subscription too: one customer may have many subscriptions."""

    def __init__(self) -> None:
        super().__init__("invoice")
        self._by_subscription: defaultdict[str, list[Position]] = defaultdict(list)

    def add(self, added: StripeObject) -> StripeObject:
        """Store a new invoice."""
        super().add(added)
        subscription = added["parent"]["subscription_details"]["subscription"]
        insort(self._by_subscription[subscription], self._positions[added["id"]])
        return added

    def of_subscription(self, subscription: str) -> list[StripeObject]:
        """A subscription's invoices, newest first."""
        return [self._objects[name] for _, _, name in reversed(self._by_subscription.get(subscription, []))]


@dataclass
class Store:
    """One collection for each kind of object."""

    customers: StoredObjects = field(default_factory=lambda: StoredObjects("customer"))
    products: StoredObjects = field(default_factory=lambda: StoredObjects("product"))
    prices: StoredObjects = field(default_factory=lambda: StoredObjects("price"))
    payment_methods: StoredObjects = field(default_factory=lambda: StoredObjects("PaymentMethod"))
    subscriptions: StoredObjects = field(default_factory=lambda: StoredObjects("subscription"))
    subscription_schedules: StoredObjects = field(default_factory=lambda: StoredObjects("subscription_schedule"))
    invoices: StoredInvoices = field(default_factory=StoredInvoices)
    configurations: StoredObjects = field(default_factory=lambda: StoredObjects("configuration"))
    portal_sessions: StoredObjects = field(default_factory=lambda: StoredObjects("session"))
    checkout_sessions: StoredObjects = field(default_factory=lambda: StoredObjects("checkout.session"))
    coupons: StoredObjects = field(default_factory=lambda: StoredObjects("coupon"))
    # What they discount goes on being discounted.
    deleted_coupons: StoredObjects = field(default_factory=lambda: StoredObjects("coupon"))
    promotion_codes: StoredObjects = field(default_factory=lambda: StoredObjects("promotion code"))
    discounts: StoredObjects = field(default_factory=lambda: StoredObjects("discount"))
    webhook_endpoints: StoredObjects = field(default_factory=lambda: StoredObjects("webhook endpoint"))
    event_destinations: StoredObjects = field(default_factory=lambda: StoredObjects("event destination"))
    # The thin events of pings, the only ones that are not made of snapshots.
    pings: StoredObjects = field(default_factory=lambda: StoredObjects("event"))
    test_clocks: StoredObjects = field(default_factory=lambda: StoredObjects("test clock"))
    features: StoredObjects = field(default_factory=lambda: StoredObjects("feature"))
    product_features: StoredObjects = field(default_factory=lambda: StoredObjects("product_feature"))
    entitlements: StoredObjects = field(default_factory=lambda: StoredObjects("active entitlement"))
    events: StoredObjects = field(default_factory=lambda: StoredObjects("event"))
    # Under the id of an object, the fields that it shows only when they are expanded.
    on_demand: StoredObjects = field(default_factory=lambda: StoredObjects("field"))

    def collections(self) -> dict[str, StoredObjects]:
        """Return the collections by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def collection_of(self, object_id: str) -> StoredObjects | None:
        """Return the collection that the prefix of an identifier names, for `expand`."""
        return {
            "cus": self.customers,
            "feat": self.features,
            "prod": self.products,
            "price": self.prices,
            "pm": self.payment_methods,
            "sub": self.subscriptions,
            "in": self.invoices,
            "bpc": self.configurations,
            "di": self.discounts,
            "clock": self.test_clocks,
            "promo": self.promotion_codes,
            "sub_sched": self.subscription_schedules,
        }.get(object_id.rpartition("_")[0])

    def subscription_of_item(self, item_id: str) -> StripeObject | None:
        """Return the subscription that a subscription item belongs to."""
        if not item_id.startswith("si_"):
            return None
        every = map(self.subscriptions.get, (name for _, _, name in self.subscriptions.positions()))
        return next((one for one in every if any(item["id"] == item_id for item in one["items"]["data"])), None)

    def redeemed_coupon(self, coupon_id: str, moment: int) -> StripeObject | None:
        """Return the coupon that had an id at a time (Unix seconds); it may have been deleted, and replaced, since."""
        coupon = self.coupons.find(coupon_id)
        return coupon if coupon and coupon["created"] <= moment else self.deleted_coupons.find(coupon_id)

    def test_clock_of(self, object_id: str) -> StripeObject | None:
        """Return the test clock of a customer, or of something that is a customer's."""
        owned = (self.subscriptions, self.subscription_schedules, self.payment_methods, self.invoices)
        found = next((one for kind in owned if (one := kind.find(object_id))), None)
        found = found or self.subscription_of_item(object_id)
        customer = self.customers.find(found["customer"] or "" if found else object_id)
        return self.test_clocks.find(customer["test_clock"]) if customer and customer["test_clock"] else None


BILLED = {"active", "past_due", "unpaid", "trialing"}


class DueChanges:
    """A queue of subscriptions by the time of their next change; outdated entries are checked when they come up.

    `moments` are times of changes by the subscription's id; they are read again whenever they matter.
    """

    def __init__(self, *moments: dict[str, int]) -> None:
        self._moments = moments
        self._entries: list[tuple[int, str]] = []

    def due_at(self, subscription: StripeObject) -> int | None:
        """Return when a period, trial, pause or the subscription ends, or a phase begins; null when nothing is due."""
        if subscription["status"] in {"canceled", "incomplete_expired"}:
            return None
        name = subscription["id"]
        moments = [subscription["cancel_at"], *(times.get(name) for times in self._moments)]
        if subscription["status"] in BILLED:
            moments += [item["current_period_end"] for item in subscription["items"]["data"]]
        if subscription["status"] == "trialing":
            moments.append(subscription["trial_end"])
        return min((moment for moment in moments if moment), default=None)

    def add(self, subscription: StripeObject) -> None:
        """Queue the next change of a subscription."""
        due = self.due_at(subscription)
        if due is not None:
            heapq.heappush(self._entries, (due, subscription["id"]))

    def pop_due(self, now: int) -> str | None:
        """Return the id of a subscription with a change that may be due, earliest first."""
        if self._entries and self._entries[0][0] <= now:
            return heapq.heappop(self._entries)[1]
        return None
