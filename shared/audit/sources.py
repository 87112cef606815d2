"""Where an audit reads: Stripe, within a rate, and the mirror."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from stripe import StripeClient

from shared.audit.day import AuditDay
from shared.mirror import Mirror
from shared.mirror import Table as WritableTable
from shared.mirror_item import MirroredSubscription
from shared.rate_limit import RateLimit
from shared.recovery.bring import limited_reads
from shared.recovery.comparison import Comparison
from shared.recovery.comparison import Table as ComparedTable
from shared.recovery.seen import Seen


class Table(ComparedTable, WritableTable, Protocol):
    """The mirror's table, as an audit needs it."""

    def page(self, start: Mapping[str, Any] | None) -> tuple[list[MirroredSubscription], Mapping[str, Any] | None]:
        """Read some of what has not ended, and where to go on."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where an audit reads, and within which rate; `repair` writes what differs in the mirror."""

    client: StripeClient
    table: Table
    limit: RateLimit
    uncertainty: timedelta
    retention: timedelta
    repair: bool
    streams: int = 8

    def comparison(self, day: AuditDay, seen: Seen) -> Comparison:
        """Begin to compare the mirror with Stripe."""
        read = limited_reads(self.client, self.limit)
        rule = Mirror(self.table, read, uncertainty=self.uncertainty, retention=self.retention) if self.repair else None
        now = day.now.timestamp()
        return Comparison(self.table, rule, read, now, self.retention, self.uncertainty, self.limit, seen)
