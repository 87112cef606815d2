"""What comparisons of mirror and Stripe found in the course of an audit, small enough to be kept between its steps."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.audit.findings import SAMPLE
from shared.recovery.drift import DriftKind
from shared.recovery.summary import Summary

# What the rule of every write can mend; the others are for people to judge.
_REPAIRABLE = (DriftKind.ABSENT, DriftKind.DIFFERENT)


@dataclass(frozen=True, slots=True)
class DriftSeen:
    """What one comparison after the other found. Counts are of all; `subjects` and `odd` are the first few ids.

    `odd` are items of the mirror that Stripe does not have, or has of another customer. `asked`: how many items of the
    mirror Stripe was asked for singly; `given_up`: there were more of these than an audit asks for.
    """

    found: Mapping[DriftKind, int] = field(default_factory=dict)
    repaired: int = 0
    failed: int = 0
    subjects: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    asked: int = 0
    given_up: bool = False

    def plus(self, summary: Summary) -> "DriftSeen":
        """Add what another stretch found."""
        names = [drift.subscription_id for drift in summary.drifts if drift.kind in _REPAIRABLE]
        odd = [drift.subscription_id for drift in summary.drifts if drift.kind not in _REPAIRABLE]
        return replace(
            self,
            found=dict(Counter(self.found) + Counter(summary.found)),
            repaired=self.repaired + summary.repaired,
            failed=self.failed + summary.failed,
            subjects=(*self.subjects, *names)[:SAMPLE],
            odd=(*self.odd, *odd)[:SAMPLE],
        )

    @property
    def drifted(self) -> int:
        """How many subscriptions differed, repaired or not."""
        return sum(self.found.get(kind, 0) for kind in _REPAIRABLE)
