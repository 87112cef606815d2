"""The checks of the audit, in the order in which a report shows them, and the title of every finding."""

from dataclasses import dataclass

from shared.audit.check import Check
from shared.audit.checks import access_list as access_list_checks
from shared.audit.checks import configurations as configuration_checks
from shared.audit.checks import leaks as leak_checks
from shared.audit.checks import mirror as mirror_checks
from shared.audit.checks import paused as paused_checks
from shared.audit.checks import pauses as pause_checks
from shared.audit.checks import subscriptions as subscription_checks
from shared.audit.findings import (
    CRASHED_CHECK,
    MIRROR_UNREADABLE,
    MISSING_PERMISSION,
    NIGHT_WITHOUT_MAIL,
    SKIPPED_LIST,
    UNREADABLE_LIST,
    UNREADABLE_SUBSCRIPTION,
    Severity,
)
from shared.i18n import Message, _, verbatim

CHECKS: tuple[Check, ...] = (
    paused_checks.PAUSED_COLLECTION,
    paused_checks.PAUSED_STATUS,
    paused_checks.LONG_PAUSE,
    pause_checks.PAUSE_NOT_ENDED,
    pause_checks.NEW_PAUSES,
    pause_checks.PAUSES_BEYOND_RULES,
    configuration_checks.PORTAL_PAUSE,
    configuration_checks.DEFAULT_CONFIGURATION,
    *configuration_checks.CHECKS_OF_RULES,
    subscription_checks.PORTAL_LIMITS,
    subscription_checks.SEVERAL_SUBSCRIPTIONS,
    leak_checks.LONG_PAST_DUE,
    leak_checks.OVERDUE_INVOICES,
    leak_checks.NO_PAYMENT_METHOD,
    leak_checks.LASTING_DISCOUNT,
    leak_checks.NOTHING_TO_PAY,
    leak_checks.LONG_TRIAL,
    leak_checks.HIDDEN_PAUSE,
    access_list_checks.ACCESS_LIST,
    mirror_checks.WEBHOOK_ENDPOINTS,
    mirror_checks.EVENT_DESTINATIONS,
    mirror_checks.UNDELIVERED_EVENTS,
    mirror_checks.DEAD_LETTERS,
    mirror_checks.DRIFT,
    mirror_checks.EVENT_TIMES,
)


@dataclass(frozen=True, slots=True)
class OwnFinding:
    """What the audit can find about itself."""

    title: Message
    severities: tuple[Severity, ...]
    reports: str


OWN_FINDINGS = {
    CRASHED_CHECK: OwnFinding(
        _("A check crashed"),
        (Severity.CRITICAL,),
        "nothing is known of its subjects (the first five are named); the other checks continued",
    ),
    MIRROR_UNREADABLE: OwnFinding(
        _("The mirror could not be read"),
        (Severity.CRITICAL,),
        "the table did not respond: since when collection is paused, and whether the mirror is true, is not known; the "
        "rest of the audit continued",
    ),
    MISSING_PERMISSION: OwnFinding(
        _("A permission is missing"),
        (Severity.WARNING, Severity.INFO),
        "the key may not read a list: the checks that need it found nothing; info for the customers' names",
    ),
    NIGHT_WITHOUT_MAIL: OwnFinding(
        _("A night without a mail"),
        (Severity.WARNING,),
        "the audits since the last mail that failed, or that Lambda ended at its limit of 12 hours",
    ),
    SKIPPED_LIST: OwnFinding(
        _("Not looked at"),
        (Severity.INFO,),
        "the lists that `AuditSkips` names, and the checks that find nothing without them",
    ),
    UNREADABLE_LIST: OwnFinding(
        _("Not everything could be read"),
        (Severity.WARNING,),
        "Stripe refused a list, or did not give all of it within 100 seconds: the checks that need it may have found "
        "nothing; the rest of the audit continued",
    ),
    UNREADABLE_SUBSCRIPTION: OwnFinding(
        _("A subscription could not be read"),
        (Severity.CRITICAL,),
        "a subscription in a form that this version cannot read: nothing is known of it; the others were read",
    ),
}
_TITLES = {name: own.title for name, own in OWN_FINDINGS.items()} | {check.name: check.title for check in CHECKS}


def title_of(check: str) -> Message:
    """Return the title of a check's findings; the name itself for a check that this version does not know."""
    return _TITLES.get(check) or verbatim(check)
