"""Shows each object to every check, and keeps what they find, never the objects. A check that crashes is a finding."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import stripe

from shared.audit.check import AccountFacts, AuditContext, Check, KnownCustomers
from shared.audit.findings import (
    CRASHED_CHECK,
    MISSING_PERMISSION,
    UNREADABLE_SUBSCRIPTION,
    Finding,
    Findings,
    Severity,
)
from shared.errors import OperatorError, PortalError
from shared.i18n import _, sentences
from shared.mirror.drift import Failure
from shared.stripe.gateway import SubscriptionRead

_Result = TypeVar("_Result")


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckRunState:
    """What the checks have found so far; of bounded size, however large the account is."""

    subscriptions_read: int = 0
    livemode: bool | None = None
    own: tuple[Finding, ...] = ()
    found: tuple[Finding, ...] = ()
    customers: KnownCustomers = field(default_factory=KnownCustomers)


class CheckRun:
    """Runs the checks and collects what they find; findings about paused subscriptions are passed on at once."""

    def __init__(self, checks: tuple[Check, ...], context: AuditContext, paused: Callable[[Finding], None]) -> None:
        self._checks = checks
        self._context = context
        self._paused = paused
        self._found = Findings()
        self._own = Findings()
        self._crashed: set[tuple[str, str]] = set()
        self.subscriptions_read = 0
        self.livemode: bool | None = None

    def check_subscriptions(self, read: Iterable[SubscriptionRead | Failure], paused_since: Mapping[str, int]) -> None:
        """Run the checks on subscriptions; `paused_since` is as in `AuditContext`."""
        context = replace(self._context, paused_since=paused_since)
        for each in read:
            self.subscriptions_read += 1
            if isinstance(each, Failure):
                self._found.add(_unreadable(each))
                continue
            subscription = each.subscription
            self.livemode = subscription.livemode
            for check in self._checks:
                self._run_check(check.name, partial(check.of_subscription, subscription, context), subscription.id)

    def check_configuration(self, raw: Mapping[str, Any]) -> None:
        """Run the checks on a portal configuration."""
        if isinstance(raw.get("livemode"), bool):
            self.livemode = raw["livemode"]
        for check in self._checks:
            self._run_check(check.name, partial(check.of_configuration, raw, self._context), str(raw.get("id")))

    def check_account(self, account: AccountFacts) -> None:
        """Run the checks on what the account has only once."""
        for check in self._checks:
            self._run_check(check.name, partial(check.of_account, account, self._context), "")

    def add_own_finding(self, finding: Finding) -> None:
        """Add a finding of the audit about itself, once."""
        if finding not in self._own.all():
            self._own.add(finding)

    def findings(self) -> tuple[Finding, ...]:
        """Return all but those about paused subscriptions; the audit's own come first."""
        return (*self._own.all(), *self._found.all())

    def dump(self) -> "CheckRunState":
        """Return what the next step needs to continue."""
        customers = self._context.customers.dump()
        return CheckRunState(self.subscriptions_read, self.livemode, self._own.all(), self._found.all(), customers)

    def load(self, state: "CheckRunState") -> None:
        """Continue from the state of the step before."""
        self.subscriptions_read, self.livemode = state.subscriptions_read, state.livemode
        for finding in state.own:
            self._own.add(finding)
        for finding in state.found:
            self._found.add(finding)
        self._context.customers.load(state.customers)

    def _run_check(self, name: str, check: Callable[[], Iterable[Finding]], subject_id: str) -> None:
        try:
            for finding in check():
                (self._paused if finding.paused else self._found.add)(finding)
        except OperatorError as error:
            if not is_refused(error):
                raise
            self.add_own_finding(missing_permission(error, "Prices"))
        except PortalError:  # Stripe does not answer: no fault of the check
            raise
        except Exception as error:  # the one boundary: whatever a check does, the others run
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
        _(
            "The check {check} crashed ({error}): what it would have said about these is not known.",
            check=name,
            error=error_name,
        ),
        _("Find the stack trace in the audit's log, and report it."),
        sampled=True,
    )


def _unreadable(failure: Failure) -> Finding:
    return Finding(
        UNREADABLE_SUBSCRIPTION,
        Severity.CRITICAL,
        (failure.subject,),
        _("It is not known whether this subscription is paused: {reason}.", reason=failure.reason),
        _("Check it in the Dashboard, and report its shape."),
        sampled=True,
    )


def is_refused(error: OperatorError) -> bool:
    """Whether the key is good, and only lacks a permission."""
    return isinstance(error.__cause__, stripe.PermissionError)


def missing_permission(error: OperatorError, permission: str) -> Finding:
    """Name the permission: as Stripe itself does in its refusal, or else as the Dashboard calls it."""
    named = re.search(r"rak_\w+", str(error.__cause__))
    name = f"{permission} ({named[0]})" if named else permission
    return Finding(
        MISSING_PERMISSION,
        Severity.WARNING,
        (),
        sentences(_("The API key may not read: {name}.", name=name), _("The checks that need it found nothing.")),
        _("Allow the restricted key to read {permission} (docs/how-to/deploy.md).", permission=permission),
    )


def read_if_permitted(read: Callable[[], _Result], permission: str, add: Callable[[Finding], None]) -> _Result | None:
    """Read, or add a finding when Stripe answers 403. Raises every other failure."""
    try:
        return read()
    except OperatorError as error:
        if not is_refused(error):
            raise
        add(missing_permission(error, permission))
        return None
