"""Shows one object after another to every check, and keeps what they find, never the objects."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from shared.audit.account import is_refused, missing_permission
from shared.audit.check import Account, AuditContext, Check
from shared.audit.finding import CRASHED_CHECK, UNREADABLE_SUBSCRIPTION, Finding, Severity
from shared.audit.findings import Findings
from shared.audit.text import Text
from shared.errors import OperatorError, PortalError, UnreadableEvent
from shared.stripe_shapes import read_subscription

logger = logging.getLogger(__name__)

_Subject = TypeVar("_Subject")
_Look = Callable[[_Subject, AuditContext], Iterable[Finding]]


class Looking:
    """One run's checks, and what they found so far; a finding about a paused subscription is handed on at once."""

    def __init__(self, checks: tuple[Check, ...], context: AuditContext, paused: Callable[[Finding], None]) -> None:
        self._checks = checks
        self._context = context
        self._paused = paused
        self._found = Findings()
        self._own = Findings()
        self._crashed: set[tuple[str, str]] = set()
        self.subscriptions_read = 0
        self.livemode: bool | None = None

    def at_subscription(self, raw: Mapping[str, Any]) -> None:
        """Show a subscription, if it can be read."""
        self.subscriptions_read += 1
        try:
            subscription = read_subscription(raw)
        except UnreadableEvent as error:
            self._found.add(_unreadable(raw, error))
            return
        self.livemode = subscription.livemode
        for check in self._checks:
            self._look(check.name, check.of_subscription, subscription, subscription.id)

    def at_configuration(self, raw: Mapping[str, Any]) -> None:
        """Show a portal configuration."""
        if isinstance(raw.get("livemode"), bool):
            self.livemode = raw["livemode"]
        for check in self._checks:
            self._look(check.name, check.of_configuration, raw, str(raw.get("id")))

    def at_account(self, account: Account) -> None:
        """Show what the account has once."""
        for check in self._checks:
            self._look(check.name, check.of_account, account, "")

    def note(self, finding: Finding) -> None:
        """Keep a finding of the audit about itself; the same is kept once."""
        if finding not in self._own.all():
            self._own.add(finding)

    def findings(self) -> tuple[Finding, ...]:
        """Answer all but those about paused subscriptions: what the audit has to say of itself comes first."""
        return (*self._own.all(), *self._found.all())

    def _look(self, name: str, look: _Look[_Subject], subject: _Subject, subject_id: str) -> None:
        try:
            for finding in look(subject, self._context):
                (self._paused if finding.paused else self._found.add)(finding)
        except OperatorError as error:
            if not is_refused(error):
                raise
            self.note(missing_permission(error, "Prices"))
        except PortalError:  # Stripe does not answer: no fault of the check
            raise
        except Exception as error:  # the one boundary: whatever a check does, the others go on
            crash = (name, type(error).__name__)
            if crash not in self._crashed:
                self._crashed.add(crash)
                logger.exception("The check %s crashed at %s", name, subject_id or "the account")
            self._own.add(_crash(*crash, subject_id))


def _crash(name: str, error_name: str, subject_id: str) -> Finding:
    return Finding(
        CRASHED_CHECK,
        Severity.CRITICAL,
        (subject_id,) if subject_id else (),
        Text(
            f"The check {name} crashed ({error_name}): what it would have said of these is not known.",
            f"Le contrôle {name} a échoué ({error_name}) : ce qu'il aurait dit de ces objets est inconnu.",
        ),
        Text(
            "Look into the audit's log for the stack trace, and report it.",
            "Cherchez la trace de l'erreur dans le journal de l'audit, et signalez-la.",
        ),
        sampled=True,
    )


def _unreadable(raw: Mapping[str, Any], error: UnreadableEvent) -> Finding:
    return Finding(
        UNREADABLE_SUBSCRIPTION,
        Severity.CRITICAL,
        (str(raw.get("id")),),
        Text(
            f"{error.message}. Whether it is paused is not known.",
            f"Abonnement illisible ({error.message}). Nul ne sait s'il est en pause.",
        ),
        Text(
            "Look at it in the Dashboard, and report its shape.",
            "Consultez-le dans le Dashboard, et signalez sa forme.",
        ),
        sampled=True,
    )
