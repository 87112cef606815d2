"""What a comparison of mirror and Stripe found, in a size that does not grow with the account."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.recovery.drift import Drift, DriftKind, Failure

MOST_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts are of all; `drifts` and `failures` hold the first 1,000 each.

    `read`: subscriptions that Stripe listed. `mirrored`: items of the table. `in_flight`: differences that went away,
    or are too young to judge. `expired`: ended so long ago that the mirror does not keep them.
    """

    read: int = 0
    mirrored: int = 0
    in_flight: int = 0
    expired: int = 0
    found: Mapping[DriftKind, int] = field(default_factory=dict)
    repaired: int = 0
    failed: int = 0
    drifts: tuple[Drift, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def drifted(self) -> int:
        """How many subscriptions drifted, repaired or not."""
        return sum(self.found.values())

    @property
    def is_whole(self) -> bool:
        """Whether mirror and Stripe agree now, as far as could be seen."""
        return self.drifted == self.repaired and not self.failed


class Tally:
    """Counts while a comparison runs."""

    def __init__(self) -> None:
        self.read = self.mirrored = self.in_flight = self.expired = 0
        self._repaired = self._failed = 0
        self._found: Counter[DriftKind] = Counter()
        self._drifts: list[Drift] = []
        self._failures: list[Failure] = []

    def add(self, drift: Drift, *, repaired: bool = False) -> None:
        """Count a drift."""
        self._found[drift.kind] += 1
        self._repaired += repaired
        if len(self._drifts) < MOST_RECORDS:
            self._drifts.append(replace(drift, repaired=repaired))

    def fail(self, failure: Failure) -> None:
        """Count a failure."""
        self._failed += 1
        if len(self._failures) < MOST_RECORDS:
            self._failures.append(failure)

    def summary(self) -> Summary:
        """Answer what is known so far."""
        return Summary(
            self.read,
            self.mirrored,
            self.in_flight,
            self.expired,
            dict(self._found),
            self._repaired,
            self._failed,
            tuple(self._drifts),
            tuple(self._failures),
        )
