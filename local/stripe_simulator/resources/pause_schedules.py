"""Pauses and resumes that a subscription schedule plans (docs.stripe.com/billing/subscriptions/pause/schedules)."""

from typing import Any

from local.stripe_simulator.errors import ApiError, in_the_past, missing
from local.stripe_simulator.resources import resumption, subscription_changes
from local.stripe_simulator.resources.events import emit_update, snapshot
from local.stripe_simulator.resources.periods import add_interval
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, token

_PAUSE_SETTINGS: dict[str, Any] = {"invoicing_behavior": "pending_invoice_item", "type": "subscription"}
_BILL_FOR = {"outstanding_usage_through": {"type": "pause_at"}, "unused_time_from": {"type": "pause_at"}}
_RESUME_SETTINGS = {
    "billing_cycle_anchor": "resume_at",
    "payment_behavior": "resume_on_payment_success",
    "proration_behavior": "create_prorations",
}


def planned(
    call: Call, subscription: StripeObject, schedule: StripeObject, given: list[dict[str, Any]] | str
) -> list[StripeObject]:
    """Return `pause_schedules` of a schedule after a request; `given` is empty to clear them.

    An entry with the key of the stored one changes the parts that it names; any other takes its place.
    """
    if not given or isinstance(given, str):
        return []
    if len(given) > 1:
        raise ApiError("You can provide at most one pause schedule.", param="pause_schedules")
    _check_eligible(subscription, schedule)
    entry = given[0]
    is_refused = call.simulator.billing.pause_of_paused_collection == "refuse"
    if "pause" in entry and is_refused and subscription.get("pause_collection"):
        raise resumption.paused_collection()
    old = next((one for one in schedule["pause_schedules"] if one["key"] == entry.get("key")), None)
    result: StripeObject = (
        snapshot(old) if old else {"key": entry.get("key") or token(16), "pause": None, "resume": None}
    )
    if "pause" in entry:
        result["pause"] = _pause(call, entry["pause"], result["pause"])
    elif result["pause"] is None:
        result["pause"] = _pause_already_made(subscription)
    if "resume" in entry:
        result["resume"] = _resume(call, entry["resume"], result) if entry["resume"] else None
    _check_order(result)
    return [result]


def _check_eligible(subscription: StripeObject, schedule: StripeObject) -> None:
    methods = {subscription["collection_method"], *(phase.get("collection_method") for phase in schedule["phases"])}
    if subscription["billing_mode"]["type"] != "flexible":
        raise ApiError(
            "You can only schedule pauses of subscriptions with `billing_mode` set to `flexible`.",
            param="pause_schedules",
        )
    if "send_invoice" in methods:
        raise ApiError(
            "You can only schedule pauses of subscriptions with `collection_method` set to `charge_automatically`, in "
            "every phase.",
            param="pause_schedules",
        )


def _pause(call: Call, given: dict[str, Any], old: StripeObject | None) -> StripeObject:
    if old and old["status"]["type"] != "scheduled":
        raise ApiError(
            "You cannot change a pause that has already been carried out.", param="pause_schedules[0][pause]"
        )
    if "pause_at" in given:
        pause_at = _moment(call, given["pause_at"], "pause", call.now)
    elif old:
        pause_at = old["pause_at"]
    else:
        raise missing("pause_schedules[0][pause][pause_at]")
    settings = old["settings"] if old else {**_PAUSE_SETTINGS, "bill_for": _BILL_FOR}
    wanted = given.get("settings", {})
    return {
        "pause_at": pause_at,
        "settings": {**settings, **wanted, "bill_for": {**settings["bill_for"], **wanted.get("bill_for", {})}},
        "status": {"type": "scheduled"},
    }


def _pause_already_made(subscription: StripeObject) -> StripeObject:
    """Return the pause of a subscription that is paused already, and gets a date of return."""
    if subscription["status"] != "paused":
        raise missing("pause_schedules[0][pause]")
    since = subscription["status_details"]["paused"]["transitioned_at"]
    return {"pause_at": since, "settings": None, "status": {"type": "succeeded"}}


def _resume(call: Call, given: dict[str, Any], entry: StripeObject) -> StripeObject:
    old = entry["resume"]
    if old and old["status"]["type"] != "scheduled":
        raise ApiError(
            "You cannot change a resume that has already been carried out.", param="pause_schedules[0][resume]"
        )
    if "resume_at" not in given and not old:
        raise missing("pause_schedules[0][resume][resume_at]")
    start = entry["pause"]["pause_at"]
    return {
        "resume_at": _moment(call, given["resume_at"], "resume", start) if "resume_at" in given else old["resume_at"],
        "settings": {**(old["settings"] if old else _RESUME_SETTINGS), **given.get("settings", {})},
        "status": {"type": "scheduled"},
    }


def _moment(call: Call, given: dict[str, Any], half: str, start: int) -> int:
    """Return the time that `now`, a timestamp or a duration after `start` means."""
    kind, param = given["type"], f"pause_schedules[0][{half}][{half}_at]"
    if kind == "now":
        return call.now
    if kind not in given:
        raise missing(f"{param}[{kind}]")
    if kind == "duration":
        return add_interval(start, given[kind]["interval"], given[kind].get("interval_count", 1))
    if given[kind] <= call.now:
        raise in_the_past(f"{param}[timestamp]")
    return int(given[kind])


def _check_order(entry: StripeObject) -> None:
    if entry["resume"] and entry["resume"]["resume_at"] < entry["pause"]["pause_at"]:
        raise ApiError("`resume_at` must be after `pause_at`.", param="pause_schedules[0][resume][resume_at]")


def next_moment(schedule: StripeObject) -> int | None:
    """Return when the next planned pause or resume is due; null when there is none."""
    for entry in schedule["pause_schedules"]:
        if entry["pause"]["status"]["type"] == "scheduled":
            return int(entry["pause"]["pause_at"])
        resume = entry["resume"]
        if entry["pause"]["status"]["type"] == "succeeded" and resume and resume["status"]["type"] == "scheduled":
            return int(resume["resume_at"])
    return None


def queue(call: Call, schedule: StripeObject, subscription: StripeObject) -> None:
    """Carry out what is due, and queue the next planned pause or resume of a subscription."""
    plans = call.simulator.pause_plans
    plans.pop(subscription["id"], None)
    while (moment := next_moment(schedule)) is not None and moment <= call.now:
        _carry_out(call, schedule, subscription)
    if moment is not None:
        plans[subscription["id"]] = moment
        call.simulator.due_changes.add(subscription)


def carry_out_due(call: Call, subscription: StripeObject) -> None:
    """Carry out the pause or resume of a subscription that is due."""
    schedule = call.store.subscription_schedules.find(subscription["schedule"] or "")
    if schedule is None:
        call.simulator.pause_plans.pop(subscription["id"], None)
        return
    before = snapshot(schedule)
    queue(call, schedule, subscription)
    emit_update(call, "subscription_schedule.updated", before, schedule)


def _carry_out(call: Call, schedule: StripeObject, subscription: StripeObject) -> None:
    (entry,) = schedule["pause_schedules"]
    is_pause = entry["pause"]["status"]["type"] == "scheduled"
    half = entry["pause"] if is_pause else entry["resume"]
    try:
        if is_pause:
            subscription_changes.pause_by_schedule(call, subscription, half["settings"])
        else:
            anchor = "now" if half["settings"]["billing_cycle_anchor"] == "resume_at" else "unchanged"
            settings = {
                "billing_cycle_anchor": {"type": anchor},
                "payment_behavior": half["settings"]["payment_behavior"],
                "proration_behavior": half["settings"]["proration_behavior"],
            }
            subscription_changes.resume(call.about(subscription["id"], **settings))
    except ApiError as error:
        half["status"] = {"error": {"code": error.code, "message": error.message}, "type": "error"}
    else:
        # A resume that has to be paid has not succeeded before it is.
        is_done = is_pause or subscription["status"] != "paused"
        half["status"] = {"type": "succeeded" if is_done else "pending"}
