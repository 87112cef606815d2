"""What Stripe does by itself as time passes: renewals, ends of trials, pauses and subscriptions, phases."""

from contextlib import suppress
from dataclasses import dataclass

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.resources import (
    billing,
    pause_schedules,
    payment_methods,
    subscription_changes,
    subscription_schedules,
    subscriptions,
)
from local.stripe_simulator.resources.events import announce_due, emit, emit_update, snapshot
from local.stripe_simulator.resources.periods import period_end, set_period
from local.stripe_simulator.resources.subscription_changes import end_trial
from local.stripe_simulator.simulator import Call, Simulator
from local.stripe_simulator.store import BILLED, StripeObject


def advance(simulator: Simulator) -> None:
    """Carry out everything that is due; a jump over several periods makes one renewal, into the current one."""
    call = Call(simulator)
    for start in _starts(simulator, None, call.now):
        subscription_schedules.start_due(Call(simulator, moment=start.moment), start.schedule)
    while (subscription_id := simulator.due_changes.pop_due(call.now)) is not None:
        subscription = simulator.store.subscriptions.find(subscription_id)
        if subscription is None or subscription["test_clock"]:
            continue
        due = simulator.due_changes.due_at(subscription)
        if due is not None and due <= call.now:
            _carry_out(call, subscription)


def advance_test_clock(simulator: Simulator, clock: StripeObject, target: int) -> None:
    """Move a test clock to `target`, and carry out everything on the way at the time at which it is due."""
    stored = simulator.store.subscriptions
    every = [stored.get(name) for _, _, name in stored.positions()]
    own = [subscription for subscription in every if subscription["test_clock"] == clock["id"]]
    while True:
        dues = [(due, one) for one in own if (due := simulator.due_changes.due_at(one)) is not None]
        dues += [(start.moment, start.schedule) for start in _starts(simulator, clock["id"], target)]
        due, subject = min(dues, key=lambda pair: pair[0], default=(target + 1, clock))
        if due > target:
            break
        clock["frozen_time"] = max(due, clock["frozen_time"])
        call = Call(simulator, moment=clock["frozen_time"])
        if subject["object"] == "subscription":
            _carry_out(call, subject)
        else:
            subscription_schedules.start_due(call, subject)
            own += [one for one in (stored.find(subject["subscription"] or ""),) if one]
    clock["frozen_time"] = target


@dataclass(frozen=True)
class ScheduleStart:
    """The time at which a schedule creates its subscription."""

    moment: int
    schedule: StripeObject


def _starts(simulator: Simulator, clock: str | None, until: int) -> list[ScheduleStart]:
    """Return the schedules that begin until a time, earliest first; only those of a test clock, or of none."""
    schedules = simulator.store.subscription_schedules
    due = [(moment, name) for name, moment in simulator.schedule_starts.items() if moment <= until]
    found = [ScheduleStart(moment, schedules.get(name)) for moment, name in sorted(due)]
    return [start for start in found if start.schedule["test_clock"] == clock]


def _carry_out(call: Call, subscription: StripeObject) -> None:
    if announce_due(call, subscription):
        return
    if subscription["cancel_at"] and subscription["cancel_at"] <= call.now:
        subscriptions.cancel(call.about(subscription["id"]))
    elif call.simulator.pause_ends.get(subscription["id"], call.now + 1) <= call.now:
        _resume(call, subscription)
    elif call.simulator.pause_plans.get(subscription["id"], call.now + 1) <= call.now:
        pause_schedules.carry_out_due(call, subscription)
    elif call.simulator.phase_starts.get(subscription["id"], call.now + 1) <= call.now:
        subscription_schedules.begin_phase(call, subscription)
    elif call.simulator.invoice_moments.get(subscription["id"], call.now + 1) <= _next_period(call, subscription):
        billing.carry_out_due(call, subscription)
    else:
        _renew(call, subscription)


def _resume(call: Call, subscription: StripeObject) -> None:
    """End a pause of a fixed time, which is paid at once if there is something to charge."""
    call.simulator.pause_ends.pop(subscription["id"], None)
    has_method = payment_methods.default_of(call, subscription) is not None
    behavior = "resume_on_payment_success" if has_method else "resume_on_payment_attempt"
    # Somebody may have made it one that cannot be resumed; that is nobody's request.
    with suppress(ApiError):
        subscription_changes.resume(call.about(subscription["id"], payment_behavior=behavior))


def _next_period(call: Call, subscription: StripeObject) -> int:
    """Return when the next period begins, if that is in the past too, else now."""
    return min(call.now, period_end(subscription)) if subscription["status"] in BILLED else call.now


def _renew(call: Call, subscription: StripeObject) -> None:
    before = snapshot(subscription)
    if subscription["status"] == "trialing":
        end_trial(call, subscription)
    if subscription["status"] == "canceled":
        emit(call, "customer.subscription.deleted", subscription)
        return
    if subscription["status"] == "paused":
        emit(call, "customer.subscription.paused", subscription)
    else:
        _bill_new_periods(call, subscription, before)
    emit_update(call, "customer.subscription.updated", before, subscription)


def _bill_new_periods(call: Call, subscription: StripeObject, before: StripeObject) -> None:
    ends = {item["id"]: item["current_period_end"] for item in before["items"]["data"]}
    begun = []
    for item in subscription["items"]["data"]:
        set_period(item, subscription, call.now)
        if item["current_period_end"] != ends[item["id"]]:
            begun.append(item)
    if begun:
        billing.renew(call, subscription, begun)
