"""Everything the simulated account holds, in memory, ordered as Stripe lists it."""

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from local.stripe_simulator.errors import no_such

StripeObject = dict[str, Any]
# (created, arrival, id): the order of a list, oldest first.
Position = tuple[int, int, str]


class Collection:
    """The objects of one kind."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._objects: dict[str, StripeObject] = {}
        self._positions: dict[str, Position] = {}
        self._order: list[Position] = []
        self._by_customer: defaultdict[str, list[Position]] = defaultdict(list)
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._objects)

    def add(self, created: StripeObject) -> StripeObject:
        """Keep a new object."""
        self._arrivals += 1
        position = (int(created["created"]), self._arrivals, str(created["id"]))
        self._objects[created["id"]] = created
        self._positions[created["id"]] = position
        insort(self._order, position)
        if isinstance(created.get("customer"), str):
            insort(self._by_customer[created["customer"]], position)
        return created

    def move(self, moved: StripeObject, customer: str | None) -> None:
        """Give an object to another customer, or to none."""
        position = self._positions[moved["id"]]
        if moved["customer"]:
            self._by_customer[moved["customer"]].remove(position)
        if customer:
            insort(self._by_customer[customer], position)
        moved["customer"] = customer

    def remove(self, object_id: str) -> None:
        """Forget an object."""
        position = self._positions.pop(object_id)
        del self._order[bisect_left(self._order, position)]
        gone = self._objects.pop(object_id)
        if isinstance(gone.get("customer"), str):
            self._by_customer[gone["customer"]].remove(position)

    def forget_before(self, created: int) -> None:
        """Drop everything older than a time."""
        for _, _, object_id in self._order[: bisect_left(self._order, (created,))]:
            self.remove(object_id)

    def find(self, object_id: str) -> StripeObject | None:
        """The object, if it exists."""
        return self._objects.get(object_id)

    def get(self, object_id: str, param: str = "id") -> StripeObject:
        """The object, or Stripe's refusal naming `param`."""
        found = self._objects.get(object_id)
        if found is None:
            raise no_such(self.noun, object_id, param)
        return found

    def positions(self, customer: str | None = None) -> list[Position]:
        """The list order, oldest first, of all objects or of one customer's."""
        return self._order if customer is None else self._by_customer.get(customer, [])

    def position(self, object_id: str, param: str) -> Position:
        """Where a cursor points."""
        self.get(object_id, param)
        return self._positions[object_id]

    def of_customer(self, customer: str) -> list[StripeObject]:
        """A customer's objects, newest first."""
        return [self._objects[object_id] for _, _, object_id in reversed(self.positions(customer))]


@dataclass
class Store:
    """One collection for each kind of object."""

    customers: Collection = field(default_factory=lambda: Collection("customer"))
    products: Collection = field(default_factory=lambda: Collection("product"))
    prices: Collection = field(default_factory=lambda: Collection("price"))
    payment_methods: Collection = field(default_factory=lambda: Collection("PaymentMethod"))
    subscriptions: Collection = field(default_factory=lambda: Collection("subscription"))
    subscription_schedules: Collection = field(default_factory=lambda: Collection("subscription_schedule"))
    configurations: Collection = field(default_factory=lambda: Collection("configuration"))
    portal_sessions: Collection = field(default_factory=lambda: Collection("session"))
    checkout_sessions: Collection = field(default_factory=lambda: Collection("checkout.session"))
    coupons: Collection = field(default_factory=lambda: Collection("coupon"))
    promotion_codes: Collection = field(default_factory=lambda: Collection("promotion code"))
    discounts: Collection = field(default_factory=lambda: Collection("discount"))
    webhook_endpoints: Collection = field(default_factory=lambda: Collection("webhook endpoint"))
    events: Collection = field(default_factory=lambda: Collection("event"))

    def by_prefix(self, prefix: str) -> Collection | None:
        """The collection whose identifiers begin so, for `expand`."""
        return {
            "cus": self.customers,
            "prod": self.products,
            "price": self.prices,
            "pm": self.payment_methods,
            "sub": self.subscriptions,
            "bpc": self.configurations,
            "di": self.discounts,
        }.get(prefix)
