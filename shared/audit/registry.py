"""The checks of the audit, in the order in which a report shows them, and the title of every finding."""

from shared.audit import (
    configuration_links,
    configuration_updates,
    default_configuration,
    drift,
    duplicate_prices,
    old_portal_pause,
    paused_collection,
    paused_status,
    portal_limits,
    portal_pause,
    several_subscriptions,
    undelivered_events,
    webhook_endpoints,
)
from shared.audit.check import Check
from shared.audit.finding import CRASHED_CHECK, MIRROR_UNREADABLE, MISSING_PERMISSION, UNREADABLE_SUBSCRIPTION
from shared.audit.text import Text, same

CHECKS: tuple[Check, ...] = (
    paused_collection.CHECK,
    paused_status.CHECK,
    old_portal_pause.CHECK,
    portal_pause.CHECK,
    default_configuration.CHECK,
    configuration_links.CHECK,
    configuration_updates.CHECK,
    duplicate_prices.CHECK,
    portal_limits.CHECK,
    several_subscriptions.CHECK,
    webhook_endpoints.CHECK,
    undelivered_events.CHECK,
    drift.CHECK,
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
    """Answer what people call the findings of a check; one that this version does not know keeps its name."""
    return _TITLES.get(check) or same(check)
