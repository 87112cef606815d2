"""Compares a company's own list of who is served with the mirror's decision about each customer.

The list is streamed, and the mirror's table is read once, a megabyte a request. One query for each line would take a
thousand times as many requests, and could not find who is missing from the list. What differs is then read again, one
query for each, so that a customer whose event has come meanwhile is not reported. The decisions and the marks of the
list stand in a temporary file without a name, which is gone when the process ends: memory grows neither with the list
nor with the mirror.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from itertools import islice
from typing import Protocol

import stripe
from stripe import StripeClient

from shared.access import (
    AccessPolicy,
    CustomerAccess,
    Reason,
    customer_access,
    subscription_access,
    without_service_since,
)
from shared.errors import OperatorError, PortalError, Unavailable
from shared.i18n import Message, _
from shared.mirror.items import MirroredSubscription
from shared.served_list import BadLine, ListedCustomer
from shared.stripe.gateway import refused_request
from shared.stripe.lists import pages, read_page
from shared.stripe.money import MonthlyAmount, add_amounts, monthly_amount
from shared.stripe.pacing import Retries

# Read again side by side: fewer than the connections that boto3 keeps.
WORKERS = 8
BATCH = 256
# A decision as a number: of several, the lowest is the customer's, as in `shared.access`.
_REFUSED = 100
_RANKS = {reason: rank for rank, reason in enumerate(Reason)}
_NOTHING_KNOWN = _REFUSED + _RANKS[Reason.NO_SUBSCRIPTION]
# What lines of the list say of a customer: bits.
_SERVED, _NOT_SERVED = 1, 2
_PROGRESS = 1000

_TABLES = """
CREATE TABLE entries (
    customer TEXT, product TEXT, decision INTEGER, listed INTEGER DEFAULT 0, line INTEGER, email TEXT,
    PRIMARY KEY (customer, product)
) WITHOUT ROWID;
CREATE TABLE emails (
    email TEXT, product TEXT, listed INTEGER, line INTEGER, PRIMARY KEY (email, product)
) WITHOUT ROWID;
CREATE TABLE owners (email TEXT, customer TEXT, PRIMARY KEY (email, customer)) WITHOUT ROWID;
"""
# Several lines about one customer, such as its users: served if one line says so.
_MARK = """
INSERT INTO {table} VALUES ({values}) ON CONFLICT DO UPDATE SET
listed = listed | excluded.listed, line = coalesce(line, excluded.line)
"""
_MARK_CUSTOMER = _MARK.format(table="entries (customer, product, decision, listed, line)", values="?, ?, ?, ?, ?")
_MARK_EMAIL = _MARK.format(table="emails (email, product, listed, line)", values="?, ?, ?, ?")
_DECIDE = """
INSERT INTO entries (customer, product, decision) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET decision = min(decision, excluded.decision)
"""
# The owners of an address that is listed as served: those with service, or all if none has it.
_MARK_OWNERS = f"""
INSERT INTO entries (customer, product, decision, listed, line, email)
SELECT customer, product, decision, listed, line, email FROM (
    SELECT o.customer, m.product, coalesce(e.decision, {_NOTHING_KNOWN}) AS decision, m.listed, m.line, m.email,
        min(coalesce(e.decision, {_NOTHING_KNOWN})) OVER (PARTITION BY m.email, m.product) AS best
    FROM emails m JOIN owners o USING (email)
    LEFT JOIN entries e ON e.customer = o.customer AND e.product = m.product
) WHERE NOT (listed & {_SERVED} AND best < {_REFUSED} AND decision >= {_REFUSED})
ON CONFLICT DO UPDATE SET
listed = listed | excluded.listed, line = coalesce(line, excluded.line), email = excluded.email
"""  # noqa: S608 - the numbers are ours
_DIFFERENT = f"""
SELECT customer, product, listed, line, email FROM entries e WHERE
(listed & {_SERVED} AND decision >= {_REFUSED}) OR (listed = {_NOT_SERVED} AND decision < {_REFUSED})
OR (listed = 0 AND decision < {_REFUSED} AND (NOT :products
    OR product <> '' AND NOT EXISTS (
        SELECT 1 FROM entries w WHERE w.customer = e.customer AND w.product = '' AND w.listed > 0)
    OR product = '' AND NOT EXISTS (
        SELECT 1 FROM entries w WHERE w.customer = e.customer AND w.product <> '' AND w.decision < {_REFUSED})))
ORDER BY line IS NULL, line, customer, product
"""  # noqa: S608 - the numbers are ours
_WITHOUT_OWNER = f"""
SELECT email, product, line FROM emails m
WHERE listed & {_SERVED} AND NOT EXISTS (SELECT 1 FROM owners o WHERE o.email = m.email) ORDER BY line
"""  # noqa: S608 - the numbers are ours


NO_AMOUNT = MonthlyAmount({})


class DifferenceKind(StrEnum):
    """How the list and the mirror can differ about a customer, the costliest first."""

    SERVED_WITHOUT_ACCESS = "served_without_access"
    NOT_SERVED = "not_served"
    NOT_LISTED = "not_listed"
    UNKNOWN_TO_STRIPE = "unknown_to_stripe"
    NOT_MIRRORED = "not_mirrored"

    @property
    def heading(self) -> Message:
        """What people read above the customers."""
        return _TITLES[self]


_TITLES = {
    DifferenceKind.SERVED_WITHOUT_ACCESS: _("Served, and should not be"),
    DifferenceKind.NOT_SERVED: _("Not served, and should be"),
    DifferenceKind.NOT_LISTED: _("Not in the list, and should be served"),
    DifferenceKind.UNKNOWN_TO_STRIPE: _("Served, and unknown to Stripe"),
    DifferenceKind.NOT_MIRRORED: _("Served, with a subscription at Stripe that is missing in the mirror"),
}

REASONS: dict[Reason, Message] = {
    Reason.ACTIVE: _("the subscription is active"),
    Reason.TRIALING: _("the subscription is in its trial"),
    Reason.CANCELING: _("the subscription is set to be canceled"),
    Reason.PAST_DUE: _("a payment is overdue"),
    Reason.COLLECTION_PAUSED: _("collection is paused"),
    Reason.PAID_TIME_UNKNOWN: _("it is not known until when was paid"),
    Reason.PAUSED: _("the subscription is paused"),
    Reason.UNPAID: _("Stripe has given up collecting a payment"),
    Reason.INCOMPLETE: _("the first payment has not succeeded"),
    Reason.UNKNOWN_STATUS: _("this version does not know the status"),
    Reason.CANCELED: _("the subscription has ended"),
    Reason.INCOMPLETE_EXPIRED: _("the first payment never succeeded"),
    Reason.ENTITLEMENTS_UNKNOWN: _("the mirror does not know the entitlements"),
    Reason.FEATURE_NOT_ENTITLED: _("Stripe does not entitle the customer to the feature"),
    Reason.PRODUCT_NOT_SUBSCRIBED: _("no subscription contains the product"),
    Reason.NO_SUBSCRIPTION: _("the mirror holds no subscription of this customer"),
}


@dataclass(frozen=True, slots=True)
class AccessDifference:
    """A customer about whom the list is wrong; times are Unix seconds.

    `customer_id` is empty where only an unknown address is known, `email` and `line` where the list does not have them.
    `since`: since when there should be no service, where that is known. `monthly`: the price of the subscriptions that
    have not ended, before discounts.
    """

    kind: DifferenceKind
    customer_id: str
    email: str = ""
    line: int | None = None
    product: str = ""
    reason: Reason = Reason.NO_SUBSCRIPTION
    since: int | None = None
    until: int | None = None
    monthly: MonthlyAmount = NO_AMOUNT
    subscriptions: tuple[str, ...] = ()


class ReadableTable(Protocol):
    """What is needed of the mirror's table."""

    def all(self) -> Iterator[MirroredSubscription]:
        """Read the whole table."""

    def of_customer(self, customer_id: str) -> Iterator[MirroredSubscription]:
        """Read all subscriptions of a customer, consistently."""


@dataclass(frozen=True, slots=True)
class _Entry:
    customer: str
    product: str
    listed: int
    line: int | None
    email: str | None


class AccessComparison:
    """One comparison: read the list, the customers if it has addresses, and the mirror; then the differences.

    `now` returns Unix seconds. With `product` only subscriptions to it count; lines may name their own instead.
    """

    def __init__(  # noqa: PLR0913 - what decides about access, and who is asked
        self,
        table: ReadableTable,
        client: StripeClient,
        retries: Retries,
        *,
        policy: AccessPolicy,
        now: Callable[[], float],
        product: str | None = None,
        account: str | None = None,
    ) -> None:
        self._table, self._client, self._retries = table, client, retries
        self._policy, self._now, self._product, self._account = policy, now, product, account
        # Without a name it is a temporary file, of which SQLite keeps a few megabytes in memory.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.executescript(_TABLES)
        self._has_products = False
        self.lines = 0
        self.bad_lines = 0
        self.found: Counter[DifferenceKind] = Counter()
        # Why Stripe could not be asked about those whom the mirror does not know.
        self.not_asked: PortalError | None = None

    @property
    def customers(self) -> int:
        """How many customers and addresses the list has, each counted once."""
        (known,) = self._database.execute("SELECT count(DISTINCT customer) FROM entries WHERE listed > 0").fetchone()
        (unknown,) = self._database.execute(f"SELECT count(*) FROM ({_WITHOUT_OWNER})").fetchone()  # noqa: S608 - ours
        return int(known) + int(unknown)

    @property
    def is_whole(self) -> bool:
        """Whether every line was read, and Stripe was asked about everybody whom the mirror does not know."""
        return not self.bad_lines and self.not_asked is None

    def read_list(self, rows: Iterable[ListedCustomer | BadLine], *, bad: Callable[[BadLine], None]) -> None:
        """Read the whole list; each line that cannot be read is passed to `bad`."""

        def listed() -> Iterator[tuple[str, str, int, int, int]]:
            for row in rows:
                self.lines += 1
                if isinstance(row, BadLine):
                    self.bad_lines += 1
                    bad(row)
                    continue
                self._has_products = self._has_products or bool(row.product)
                mark = _SERVED if row.served else _NOT_SERVED
                if row.is_email:
                    self._database.execute(_MARK_EMAIL, (row.customer, row.product, mark, row.line))
                else:
                    yield row.customer, row.product, _NOTHING_KNOWN, mark, row.line

        self._database.executemany(_MARK_CUSTOMER, listed())

    def read_customers(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Find whose the listed addresses are: a hundred customers a request; none if the list has no addresses.

        Stripe's own filter by address tells upper from lower case (docs.stripe.com/api/customers/list), and would take
        a request for each. Raises as `Retries.of_stripe` does.
        """
        if not self._database.execute("SELECT 1 FROM emails LIMIT 1").fetchone():
            return
        read = 0
        for page in pages(self._client, self._retries, "/v1/customers"):
            owners = ((str(each.get("email") or "").strip().lower(), str(each["id"])) for each in page.data)
            self._database.executemany(
                "INSERT OR IGNORE INTO owners SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM emails WHERE email = ?1)",
                owners,
            )
            read += len(page.data)
            progress(read)

    def read_mirror(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Decide about every subscription of the mirror. Raises `Unavailable`."""
        now = self._now()

        def decided() -> Iterator[tuple[str, str, int]]:
            for number, item in enumerate(self._table.all(), 1):
                if number % _PROGRESS == 0:
                    progress(number)
                if item.account not in {None, self._account or item.account}:
                    continue
                one = subscription_access(item, now=now, policy=self._policy)
                decision = _RANKS[one.reason] + (0 if one.granted else _REFUSED)
                if self._product is not None and self._product not in one.products:
                    decision = _REFUSED + _RANKS[Reason.PRODUCT_NOT_SUBSCRIBED]
                yield item.subscription.customer_id, "", decision
                if self._has_products:
                    yield from ((item.subscription.customer_id, product, decision) for product in one.products)

        self._database.executemany(_DECIDE, decided())

    def differences(self) -> Iterator[AccessDifference]:
        """Read again what differs, and yield what still does: in the order of the list, then who is not in it.

        Raises `Unavailable` when the mirror does not answer.
        """
        self._database.execute(_MARK_OWNERS)
        for email, product, line in self._database.execute(_WITHOUT_OWNER):
            self.found[DifferenceKind.UNKNOWN_TO_STRIPE] += 1
            yield AccessDifference(DifferenceKind.UNKNOWN_TO_STRIPE, "", email, line, product)
        different = (_Entry(*row) for row in self._database.execute(_DIFFERENT, {"products": self._has_products}))
        with ThreadPoolExecutor(WORKERS) as pool:
            while batch := list(islice(different, BATCH)):
                for difference in filter(None, pool.map(self._look_again, batch)):
                    self.found[difference.kind] += 1
                    yield difference

    def _look_again(self, entry: _Entry) -> AccessDifference | None:
        items, product = list(self._table.of_customer(entry.customer)), entry.product or self._product
        access = customer_access(
            entry.customer, items, now=self._now(), policy=self._policy, product=product, account=self._account
        )
        if access.granted == bool(entry.listed & _SERVED):
            return None
        if not access.granted and not entry.listed:
            return None
        if access.granted:
            kind = DifferenceKind.NOT_SERVED if entry.listed else DifferenceKind.NOT_LISTED
        else:
            kind = DifferenceKind.SERVED_WITHOUT_ACCESS if items else self._at_stripe(entry.customer)
        own = {each.subscription_id for each in access.subscriptions}
        counted = [item for item in items if item.subscription.id in own]
        return AccessDifference(
            kind,
            entry.customer,
            entry.email or "",
            entry.line,
            entry.product,
            access.reason,
            None if access.granted else self._since(access, counted),
            access.until,
            _monthly(counted),
            tuple(each.subscription_id for each in access.subscriptions),
        )

    def _at_stripe(self, customer: str) -> DifferenceKind:
        """Ask Stripe about a customer without any subscription in the mirror, until that has failed once."""
        if self.not_asked is not None:
            return DifferenceKind.SERVED_WITHOUT_ACCESS

        def ask() -> DifferenceKind:
            try:
                page = read_page(self._client, "/v1/subscriptions", {"customer": customer, "limit": 1})
            except stripe.InvalidRequestError as error:
                if error.http_status == HTTPStatus.NOT_FOUND or error.code == "resource_missing":
                    return DifferenceKind.UNKNOWN_TO_STRIPE
                raise refused_request(error) from error
            return DifferenceKind.NOT_MIRRORED if page.data else DifferenceKind.SERVED_WITHOUT_ACCESS

        try:
            return self._retries.of_stripe(ask)
        except (OperatorError, Unavailable) as error:
            self.not_asked = error
            return DifferenceKind.SERVED_WITHOUT_ACCESS

    def _since(self, access: CustomerAccess, items: Iterable[MirroredSubscription]) -> int | None:
        """Since when none of the subscriptions gives service; `None` if that is not known of one."""
        verdicts = {each.subscription_id: each for each in access.subscriptions}
        ends = [without_service_since(item, verdicts[item.subscription.id], self._policy) for item in items]
        known = [each for each in ends if each is not None]
        return max(known) if known and len(known) == len(ends) else None


def _monthly(items: Iterable[MirroredSubscription]) -> MonthlyAmount:
    each = [monthly_amount(item.subscription) for item in items if not item.subscription.ended]
    return MonthlyAmount(add_amounts(one.amounts for one in each), tuple(why for one in each for why in one.unknown))
