"""`features.subscription_pause`, which changed its meaning with the API version and with the year."""

from datetime import UTC, datetime
from typing import Any

from local.stripe_simulator.errors import ApiError, missing, unknown
from local.stripe_simulator.params import Tree
from local.stripe_simulator.store import StripeObject
from local.stripe_simulator.versions import PORTAL_PAUSE_REMOVED, PORTAL_PAUSE_RETURNED, before

# The portal's old pause button went at the first, its resume button and the old parameter at the second.
BUTTON_REMOVED_AT = int(datetime(2024, 3, 29, tzinfo=UTC).timestamp())
CUTOFF_AT = int(datetime(2024, 8, 1, tzinfo=UTC).timestamp())

_PARAM = "features[subscription_pause]"
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_LONGEST_DAYS = 3 * 365


def default_feature() -> StripeObject:
    """Today's form when nothing was asked for: off, one month."""
    options = [{"interval": "month", "interval_count": 1}]
    return {"duration": {"interval_options": options, "type": "interval_options"}, "enabled": False}


def check_version(params: Tree, version: str, now: int) -> None:
    """Refuse the parameter where that version, at that time, does not know it."""
    given = params.get("features", {}).get("subscription_pause") if isinstance(params.get("features"), dict) else None
    if given is None or not before(version, PORTAL_PAUSE_RETURNED):
        return
    if not before(version, PORTAL_PAUSE_REMOVED) or now >= CUTOFF_AT:
        raise unknown(_PARAM)
    for name in given:
        if name != "enabled":
            raise unknown(f"{_PARAM}[{name}]")


def feature(given: dict[str, Any], old: StripeObject, version: str) -> StripeObject:
    """The feature after a request: a version of before its removal leaves the old form, without duration."""
    if before(version, PORTAL_PAUSE_REMOVED):
        return {"enabled": given.get("enabled", old["enabled"])}
    result = {"duration": old.get("duration", default_feature()["duration"]), "enabled": old["enabled"]}
    if "enabled" in given:
        result["enabled"] = given["enabled"]
    if "duration" in given:
        result["duration"] = _duration(given["duration"])
    return result


def _duration(given: dict[str, Any]) -> StripeObject:
    options = [{"interval_count": 1, **option} for option in given.get("interval_options") or []]
    if given["type"] == "interval_options" and not options:
        raise missing(f"{_PARAM}[duration][interval_options]")
    for option in options:
        if not 0 < option["interval_count"] * _DAYS[option["interval"]] <= _LONGEST_DAYS:
            raise ApiError("The longest pause is three years.", param=f"{_PARAM}[duration][interval_options]")
    return {"interval_options": options, "type": given["type"]}


def is_old_form(configured: StripeObject) -> bool:
    """Whether a configuration carries the form of before 2024, which has no duration."""
    return "duration" not in configured
