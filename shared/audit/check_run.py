"""Shows each object to every check, and keeps what they find, never the objects. A check that crashes is a finding."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import stripe

from shared.audit.check import AccountFacts, AuditContext, Check, KnownCustomers, nothing
from shared.audit.findings import (
    CRASHED_CHECK,
    MISSING_PERMISSION,
    SKIPPED_LIST,
    UNREADABLE_LIST,
    UNREADABLE_SUBSCRIPTION,
    CustomerName,
    Finding,
    Findings,
    Severity,
)
from shared.audit.options import OPTIONAL_LISTS
from shared.audit.pauses import PausesRead
from shared.errors import PortalError
from shared.i18n import NOTHING, _, listed, sentences, verbatim
from shared.mirror.drift import Failure
from shared.mirror.items import Beginnings
from shared.pausing.history import PauseRecord
from shared.stripe.gateway import StripeJson
from shared.stripe.subscription_read import SubscriptionRead

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
        self._of_paused = tuple(check for check in checks if check.of_subscription is not nothing)
        self._of_any = tuple(check for check in self._of_paused if not check.of_paused)
        self._context = context
        self._paused = paused
        self._found = Findings()
        self._own = Findings()
        self._crashed: set[tuple[str, str]] = set()
        self.subscriptions_read = 0
        self.livemode: bool | None = None

    def check_subscriptions(
        self,
        read: Iterable[SubscriptionRead | Failure],
        beginnings: Mapping[str, Beginnings],
        listed: Mapping[str, StripeJson],
        pauses: Mapping[str, PauseRecord],
        pauses_read: PausesRead | None,
    ) -> None:
        """Run the checks on subscriptions.

        By id: `beginnings` is what the mirror knows, `listed` is Stripe's JSON, `pauses` what the table `Pauses` has.
        """
        context = replace(
            self._context,
            paused_since={key: each.paused_since for key, each in beginnings.items() if each.paused_since is not None},
            exactly_paused=[key for key, each in beginnings.items() if each.paused_since_exact],
            paid_through={key: each.paid_through for key, each in beginnings.items() if each.paid_through is not None},
            listed=listed,
            pauses=pauses,
            pauses_read=pauses_read,
        )
        for each in read:
            self.subscriptions_read += 1
            if isinstance(each, Failure):
                self._found.add(_with_customer(_unreadable(each), customer_of(listed.get(each.subject, {}))))
                continue
            subscription = each.subscription
            self.livemode = subscription.livemode
            customer = customer_of(listed.get(subscription.id, {}))
            for check in self._of_any if subscription.pause_kind is None else self._of_paused:
                act = partial(check.of_subscription, subscription, context)
                self._run_check(check.name, act, subscription.id, customer)

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

    def _run_check(
        self,
        name: str,
        check: Callable[[], Iterable[Finding]],
        subject_id: str,
        customer: CustomerName | None = None,
    ) -> None:
        try:
            for found in check():
                finding = _with_customer(found, customer) if customer else found
                (self._paused if finding.paused else self._found.add)(finding)
        except PortalError as error:  # no fault of the check; prices are all that checks read by themselves
            self.add_own_finding(not_read(error, "Prices"))
        except Exception as error:  # the one boundary: whatever a check does, the others run
            crash = (name, type(error).__name__)
            if crash not in self._crashed:
                self._crashed.add(crash)
                logger.exception("The check %s crashed at %s", name, subject_id or "the account")
            crashed = _crash(*crash, subject_id)
            self._own.add(_with_customer(crashed, customer) if customer else crashed)


def customer_of(raw: StripeJson) -> CustomerName:
    """Return whom a subscription's JSON belongs to; the name is known only where the customer was expanded."""
    customer = raw.get("customer") or raw.get("customer_account")
    if not isinstance(customer, Mapping):
        return CustomerName(str(customer or ""))
    return CustomerName(*(str(customer.get(key) or "") for key in ("id", "name", "email")))


def _with_customer(finding: Finding, customer: CustomerName) -> Finding:
    return replace(finding, customers=(customer,) * len(finding.subjects))


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


def not_read(error: PortalError, permission: str) -> Finding:
    """Report a list that was not read, or not to its end, by the name that the Dashboard has for its permission."""
    if isinstance(error.__cause__, stripe.PermissionError):
        return _missing_permission(error, permission)
    logger.warning("The audit goes on without the whole list of %s: %s", permission, error.message)
    return Finding(
        UNREADABLE_LIST,
        Severity.WARNING,
        (),
        sentences(
            _("Could not be read, or not to the end: {name}.", name=permission),
            _("The checks that need it may have found nothing."),
        ),
        _("Nothing, if the next audit can read it; otherwise find the error in the audit's log."),
    )


def _missing_permission(error: PortalError, permission: str) -> Finding:
    """Name the permission as Stripe itself does in its refusal, too."""
    named = re.search(r"rak_\w+", str(error.__cause__))
    name = f"{permission} ({named[0]})" if named else permission
    return Finding(
        MISSING_PERMISSION,
        Severity.WARNING,
        (),
        sentences(_("The API key may not read: {name}.", name=name), _("The checks that need it found nothing.")),
        sentences(
            _("Allow the restricted key to read {permission} (docs/how-to/deploy.md).", permission=permission),
            _("If your team does without, name it in AuditSkips: then it is not asked for.")
            if permission in OPTIONAL_LISTS
            else NOTHING,
        ),
    )


def skipped(lists: Iterable[str], checks: Iterable[Check]) -> Finding:
    """Report what the team does without, and the checks that find nothing for that."""
    unused = [check.title for check in checks if check.permission in lists]
    return Finding(
        SKIPPED_LIST,
        Severity.INFO,
        (),
        sentences(
            _("Not looked at, because AuditSkips says so: {names}.", names=listed(map(verbatim, lists))),
            _("So these checks found nothing: {checks}.", checks=listed(unused)) if unused else NOTHING,
        ),
        _("Nothing, if that is intended; otherwise take it out of AuditSkips, and allow the key to read it."),
    )


def read_optional(read: Callable[[], _Result], permission: str, add: Callable[[Finding], None]) -> _Result | None:
    """Read, or add a finding when Stripe refuses or does not answer: one list is not worth the whole report."""
    try:
        return read()
    except PortalError as error:
        add(not_read(error, permission))
        return None
