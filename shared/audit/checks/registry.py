"""The checks of the audit, in the order in which a report shows them, and the title of every finding."""

from shared.audit.check import Check
from shared.audit.checks import configurations as configuration_checks
from shared.audit.checks import mirror as mirror_checks
from shared.audit.checks import paused as paused_checks
from shared.audit.checks import subscriptions as subscription_checks
from shared.audit.findings import (
    CRASHED_CHECK,
    MIRROR_UNREADABLE,
    MISSING_PERMISSION,
    NIGHT_WITHOUT_MAIL,
    UNREADABLE_LIST,
    UNREADABLE_SUBSCRIPTION,
)
from shared.i18n import Message, _, verbatim

CHECKS: tuple[Check, ...] = (
    paused_checks.PAUSED_COLLECTION,
    paused_checks.PAUSED_STATUS,
    paused_checks.LONG_PAUSE,
    configuration_checks.PORTAL_PAUSE,
    configuration_checks.DEFAULT_CONFIGURATION,
    *configuration_checks.CHECKS_OF_RULES,
    subscription_checks.PORTAL_LIMITS,
    subscription_checks.SEVERAL_SUBSCRIPTIONS,
    mirror_checks.WEBHOOK_ENDPOINTS,
    mirror_checks.UNDELIVERED_EVENTS,
    mirror_checks.DRIFT,
)

# Findings of the audit about itself.
OWN_TITLES = {
    CRASHED_CHECK: _("A check crashed"),
    MIRROR_UNREADABLE: _("The mirror could not be read"),
    MISSING_PERMISSION: _("A permission is missing"),
    NIGHT_WITHOUT_MAIL: _("A night without a mail"),
    UNREADABLE_LIST: _("Not everything could be read"),
    UNREADABLE_SUBSCRIPTION: _("A subscription could not be read"),
}
_TITLES = OWN_TITLES | {check.name: check.title for check in CHECKS}


def title_of(check: str) -> Message:
    """Return the title of a check's findings; the name itself for a check that this version does not know."""
    return _TITLES.get(check) or verbatim(check)
