"""The checks of the audit, in the order in which a report shows them."""

from shared.audit import old_portal_pause, paused_collection, paused_status
from shared.audit.check import Check

CHECKS: tuple[Check, ...] = (paused_collection.CHECK, paused_status.CHECK, old_portal_pause.CHECK)
