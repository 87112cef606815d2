"""What a change within a period costs: the rest of the old item is credited, the rest of the new one is charged.

Source: docs.stripe.com/billing/subscriptions/prorations. A credit is a part of what was billed, discounts included, as
in the flexible billing mode.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from local.stripe_simulator.resources import invoices
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_PRORATED = {"active", "past_due", "unpaid"}


@dataclass(frozen=True)
class UpdateBill:
    """What an update costs; `lines` are on an invoice of their own, or they wait for the next one."""

    lines: list[StripeObject]
    is_due_now: bool


def bill_of_update(call: Call, before: StripeObject, after: StripeObject) -> UpdateBill:
    """Return what it costs to turn a subscription from `before` into `after`."""
    behavior = call.params.get("proration_behavior", "create_prorations")
    moment = int(call.params.get("proration_date", call.now))
    if after["status"] not in _PRORATED:
        lines = credits_for(call, before, moment) if after["status"] == "trialing" != before["status"] else []
        return UpdateBill(lines if behavior != "none" else [], is_due_now=False)
    if before["status"] == "trialing":
        return UpdateBill(invoices.period_lines(call, after), is_due_now=True)
    if before["billing_cycle_anchor"] != after["billing_cycle_anchor"]:
        unused = credits_for(call, before, moment) if behavior != "none" else []
        return UpdateBill([*unused, *invoices.period_lines(call, after)], is_due_now=True)
    changed = [] if behavior == "none" else _of_items(call, before, after, moment)
    has_new_interval = bool(_intervals(before) - _intervals(after)) and bool(changed)
    return UpdateBill(changed, is_due_now=(behavior == "always_invoice" and bool(changed)) or has_new_interval)


def _intervals(subscription: StripeObject) -> set[tuple[str, str, int]]:
    return {
        (item["id"], item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"])
        for item in subscription["items"]["data"]
    }


def _of_items(call: Call, before: StripeObject, after: StripeObject, moment: int) -> list[StripeObject]:
    old = {item["id"]: item for item in before["items"]["data"]}
    new = {item["id"]: item for item in after["items"]["data"]}
    lines = []
    for name in {**old, **new}:
        was, now = old.get(name), new.get(name)
        if was and now and was["price"]["id"] == now["price"]["id"] and was.get("quantity") == now.get("quantity"):
            continue
        lines += [credit_for(call, before, was, moment)] if was else []
        lines += [charge_for(call, after, now, moment)] if now else []
    return [line for line in lines if line]


def credits_for(call: Call, subscription: StripeObject, moment: int | None = None) -> list[StripeObject]:
    """Return the credits for the rest of all current periods, or for the whole of them when `moment` is null."""
    found = [credit_for(call, subscription, item, moment) for item in subscription["items"]["data"]]
    return [line for line in found if line]


def credit_for(call: Call, subscription: StripeObject, item: StripeObject, moment: int | None) -> StripeObject | None:
    """Return the credit for the rest of an item's period from `moment` on; null when nothing was billed for it."""
    billed = _billed(call, subscription, item)
    if billed is None:
        return None
    start, end = billed["period"]["start"], billed["period"]["end"]
    since = start if moment is None else max(moment, start)
    net = billed["amount"] - sum(cut["amount"] for cut in billed["discount_amounts"])
    amount = _part(Decimal(net), since, start, end)
    if amount == 0:
        return None
    text = f"Unused time on {invoices.item_name(call, item)} after {_day(since)}"
    line = invoices.line(subscription, item, -amount, text, (since, end))
    line["discountable"] = False
    credited = billed["invoice"] and {"invoice": billed["invoice"], "invoice_line_items": [billed["id"]]}
    return _as_proration(line, {"credited_items": credited or None})


def charge_for(call: Call, subscription: StripeObject, item: StripeObject, moment: int) -> StripeObject | None:
    """Return the charge for the rest of an item's period from `moment` on; null when it is free."""
    start, end = item["current_period_start"], item["current_period_end"]
    since = max(moment, start)
    amount = _part(Decimal(invoices.amount_of(call, item)), since, start, end)
    if amount == 0:
        return None
    text = f"Remaining time on {invoices.item_name(call, item)} after {_day(since)}"
    return _as_proration(invoices.line(subscription, item, amount, text, (since, end)), None)


def _billed(call: Call, subscription: StripeObject, item: StripeObject) -> StripeObject | None:
    """Return the newest line that bills an item until the end of its current period."""
    waiting = reversed(call.simulator.pending_lines.get(subscription["id"], []))
    # What an update costs that is not carried out yet is no price of the present period.
    update = call.simulator.waiting_updates.get(subscription["id"], {}).get("invoice")
    own = invoices.of_subscription(call, subscription["id"])
    billed = (line for one in own if one["status"] != "void" and one["id"] != update for line in one["lines"]["data"])
    fitting = (
        line
        for line in (*waiting, *billed)
        if line["parent"]["subscription_item_details"]["subscription_item"] == item["id"]
        and line["amount"] > 0
        and line["period"]["end"] == item["current_period_end"]
    )
    return next(fitting, None)


def _part(amount: Decimal, since: int, start: int, end: int) -> int:
    return invoices.rounded(amount * max(0, end - since) / (end - start)) if end > start else 0


def _as_proration(line: StripeObject, details: StripeObject | None) -> StripeObject:
    line["parent"]["subscription_item_details"] |= {"proration": True, "proration_details": details}
    return line


def _day(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%d %b %Y}"
