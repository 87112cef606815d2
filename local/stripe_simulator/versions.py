"""The API versions at which an answer changes."""

import re

from local.stripe_simulator.errors import ApiError

CURRENT = "2026-10-28.endive"
# `features.subscription_pause` of portal configurations was taken out at the first and came back at the second.
PORTAL_PAUSE_REMOVED = "2024-04-10"
PORTAL_PAUSE_RETURNED = "2026-10-28"
# `billing_cycle_anchor` of update and resume was a bare word before.
ANCHOR_IS_OBJECT = "2026-09-30"

_VERSION = re.compile(r"\d{4}-\d\d-\d\d(\.[a-z]+)?")


def requested(header: str | None) -> str:
    """The version of a request: its `Stripe-Version` header, or the account's default."""
    version = header or CURRENT
    if not _VERSION.fullmatch(version) or version[:10] > CURRENT[:10]:
        raise ApiError(f"Invalid Stripe API version: {version}")
    return version


def before(version: str, date: str) -> bool:
    """Whether a version is older than the release of that date."""
    return version[:10] < date
