"""Holds what was found of every paused subscription in a file: however many, a report takes the same memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Self

from pydantic import TypeAdapter

from shared.audit.finding import Finding, FindingKind, PausedSubscription, Severity
from shared.audit.findings import SAMPLE
from shared.audit.history import Change
from shared.money import add_amounts, in_major_units

FINDING = TypeAdapter(Finding)

_MILDEST_FIRST = tuple(Severity)
_TABLE = """
CREATE TABLE paused (
    subscription TEXT PRIMARY KEY, customer TEXT, severity INTEGER, served_free INTEGER, unknown INTEGER, amount REAL,
    finding BLOB
)
"""


class PausedFindings:
    """One finding for each paused subscription.

    Iterating answers the worst first, of these the ones served for free, of these the largest amount a month; amounts
    of different currencies are compared as numbers. SQLite deletes its temporary file with the object; it belongs to
    the thread that made it.
    """

    def __init__(self) -> None:
        # Without a name it is a temporary file, of which SQLite keeps a few megabytes in memory.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        # A finding has some 2 KB: of 4 KB, SQLite's own page, half would stay empty.
        self._database.execute("PRAGMA page_size = 8192")
        self._database.execute(_TABLE)
        self.totals: dict[str, Decimal] = {}
        self._kinds: dict[FindingKind, tuple[Finding, int]] = {}

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Self:
        """Gather findings, all of which are about a paused subscription."""
        paused = cls()
        for finding in findings:
            paused.add(finding)
        return paused

    def add(self, finding: Finding) -> None:
        """Keep a finding about a paused subscription; of one subscription the first is kept."""
        facts = finding.paused
        if facts is None:
            raise ValueError("not a finding about a paused subscription")
        row = (
            facts.subscription_id,
            facts.customer_id,
            _MILDEST_FIRST.index(finding.severity),
            facts.served_free,
            bool(facts.monthly.unknown),
            float(_size(facts)),
            FINDING.dump_json(finding),
        )
        added = self._database.execute("INSERT OR IGNORE INTO paused VALUES (?, ?, ?, ?, ?, ?, ?)", row).rowcount
        if not added:
            return
        example, size = self._kinds.get(finding.kind, (finding, 0))
        self._kinds[finding.kind] = example, size + 1
        if facts.served_free:
            self.totals = add_amounts((self.totals, facts.monthly.amounts))

    def __len__(self) -> int:
        return self._number("SELECT COUNT(*) FROM paused")

    def __iter__(self) -> Iterator[Finding]:
        rows = self._database.execute(
            "SELECT finding FROM paused ORDER BY severity DESC, served_free DESC, amount DESC, subscription"
        )
        return (FINDING.validate_json(finding) for (finding,) in rows)

    @property
    def served_free(self) -> int:
        """How many of them a service that looks at the status alone serves for free."""
        return self._number("SELECT COUNT(*) FROM paused WHERE served_free")

    @property
    def customers_served_free(self) -> int:
        """How many customers these belong to."""
        return self._number("SELECT COUNT(DISTINCT customer) FROM paused WHERE served_free")

    @property
    def unknown_amounts(self) -> int:
        """How many of those served for free are not, or not wholly, in `totals`."""
        return self._number("SELECT COUNT(*) FROM paused WHERE served_free AND unknown")

    def kinds(self) -> tuple[tuple[Finding, int], ...]:
        """One finding of each kind, and how many say the same; a few dozens at most, in the order of their coming."""
        return tuple(self._kinds.values())

    def change_since(self, night: date, listed: Iterable[str]) -> Change:
        """Compare with the subscriptions that the list of an earlier night had, in that list's order."""
        self._database.execute("CREATE TEMPORARY TABLE earlier (place INTEGER PRIMARY KEY, subscription TEXT UNIQUE)")
        self._database.executemany(
            "INSERT OR IGNORE INTO earlier (subscription) VALUES (?)", ((each,) for each in listed)
        )
        new = "FROM paused WHERE subscription NOT IN (SELECT subscription FROM earlier)"
        gone = "FROM earlier WHERE subscription NOT IN (SELECT subscription FROM paused)"
        change = Change(
            night,
            self._names(
                f"SELECT subscription {new} ORDER BY severity DESC, served_free DESC, amount DESC, subscription"
            ),
            self._number(f"SELECT COUNT(*) {new}"),
            self._names(f"SELECT subscription {gone} ORDER BY place"),
            self._number(f"SELECT COUNT(*) {gone}"),
        )
        self._database.execute("DROP TABLE earlier")
        return change

    def severities(self) -> tuple[Severity, ...]:
        """Which severities they have, the worst first."""
        rows = self._database.execute("SELECT DISTINCT severity FROM paused ORDER BY severity DESC")
        return tuple(_MILDEST_FIRST[rank] for (rank,) in rows)

    def _names(self, query: str) -> tuple[str, ...]:
        return tuple(name for (name,) in self._database.execute(f"{query} LIMIT {SAMPLE}"))

    def _number(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])


def _size(facts: PausedSubscription) -> Decimal:
    return sum((in_major_units(amount, currency) for currency, amount in facts.monthly.amounts.items()), Decimal(0))
