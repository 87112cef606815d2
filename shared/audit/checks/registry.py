"""The checks of the audit, in the order in which a report shows them, and the title of every finding."""

from shared.audit.check import Check
from shared.audit.checks import configurations as configuration_checks
from shared.audit.checks import mirror as mirror_checks
from shared.audit.checks import paused as paused_checks
from shared.audit.checks import subscriptions as subscription_checks
from shared.audit.findings import CRASHED_CHECK, MIRROR_UNREADABLE, MISSING_PERMISSION, UNREADABLE_SUBSCRIPTION
from shared.i18n import Text, same

CHECKS: tuple[Check, ...] = (
    paused_checks.PAUSED_COLLECTION,
    paused_checks.PAUSED_STATUS,
    configuration_checks.PORTAL_PAUSE,
    configuration_checks.DEFAULT_CONFIGURATION,
    *configuration_checks.CHECKS_OF_RULES,
    subscription_checks.PORTAL_LIMITS,
    subscription_checks.SEVERAL_SUBSCRIPTIONS,
    mirror_checks.WEBHOOK_ENDPOINTS,
    mirror_checks.UNDELIVERED_EVENTS,
    mirror_checks.DRIFT,
)

# What the audit says of itself.
OWN_TITLES = {
    CRASHED_CHECK: Text("A check that crashed", "Un contrôle a échoué"),
    MIRROR_UNREADABLE: Text("The mirror could not be read", "Le miroir n'a pas pu être lu"),
    MISSING_PERMISSION: Text("A permission is missing", "Une autorisation manque"),
    UNREADABLE_SUBSCRIPTION: Text("A subscription that cannot be read", "Un abonnement illisible"),
}
_TITLES = OWN_TITLES | {check.name: check.title for check in CHECKS}


def title_of(check: str) -> Text:
    """Return what people call the findings of a check; one that this version does not know keeps its name."""
    return _TITLES.get(check) or same(check)
