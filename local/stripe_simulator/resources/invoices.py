"""Invoices: what they bill, and their way from draft to open, and to paid, void or uncollectible.

What an invoice does to its subscription is the subject of `billing`. The wording of refusals was reported from Stripe
at 2026-08-26.dahlia, and so were the times of a draft; the amounts follow docs.stripe.com/billing.
"""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Literal

from local.stripe_simulator.answers import created_range, embedded_page, list_page
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.parameters import apply_fields
from local.stripe_simulator.resources import payment_methods, test_cards
from local.stripe_simulator.resources.account import BUSINESS_NAME
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.resources.test_cards import Decline
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id

_DAY = 86_400
# A draft is finalized one second after its first payment attempt is planned, as at Stripe.
_ATTEMPTED_AFTER = 3600
_FINALIZED_AFTER = 3601

_NULLS = (
    *("account_tax_ids", "application", "automatically_finalizes_at", "custom_fields", "customer_account"),
    *("default_payment_method", "default_source", "description", "due_date", "effective_at", "ending_balance"),
    *("footer", "from_invoice", "hosted_invoice_url", "invoice_pdf", "last_finalization_error", "latest_revision"),
    *("next_payment_attempt", "number", "on_behalf_of", "receipt_number", "rendering", "shipping_cost"),
    *("shipping_details", "statement_descriptor"),
)
_ZEROS = (
    *(
        "amount_overpaid",
        "amount_paid",
        "amount_paid_off_stripe",
        "amount_shipping",
        "attempt_count",
        "post_payment_credit_notes_amount",
    ),
    "pre_payment_credit_notes_amount",
)


# Who charges an invoice: Stripe by itself, a request to do so, or the customer on a hosted page.
ChargedBy = Literal["schedule", "request", "page"]


# Lines and amounts.


def line(
    subscription: StripeObject, item: StripeObject, amount: int, description: str, period: tuple[int, int]
) -> StripeObject:
    """Return a line for an item of a subscription; `period` is its start and its end, in Unix seconds."""
    price, quantity = item["price"], item.get("quantity", 0)
    start, end = period
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": dict(subscription["metadata"]),
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": None,
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"end": end, "start": start},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": subscription["id"],
        "subtotal": amount,
        "taxes": [],
    }


def amount_of(call: Call, item: StripeObject) -> int:
    """Return what an item costs for one period, in the smallest unit of its currency; usage is never recorded."""
    price, quantity = item["price"], Decimal(item.get("quantity", 0))
    if price["transform_quantity"]:
        divided = quantity / price["transform_quantity"]["divide_by"]
        rounding = "ROUND_CEILING" if price["transform_quantity"]["round"] == "up" else "ROUND_FLOOR"
        quantity = divided.quantize(Decimal(1), rounding)
    if price["billing_scheme"] == "tiered":
        exact = _tiered(price, (call.store.on_demand.find(price["id"]) or {}).get("tiers", []), quantity)
    else:
        exact = quantity * Decimal(price["unit_amount_decimal"] or 0)
    return rounded(exact)


def _tiered(price: StripeObject, tiers: list[StripeObject], quantity: Decimal) -> Decimal:
    total, reached = Decimal(0), Decimal(0)
    for tier in tiers:
        limit = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        flat, unit = (Decimal(tier[f"{name}_decimal"] or 0) for name in ("flat_amount", "unit_amount"))
        is_last = limit == quantity
        if price["tiers_mode"] == "volume":
            if is_last:
                return flat + quantity * unit
            continue
        total += flat + (limit - reached) * unit
        reached = limit
        if is_last:
            break
    return total


# Quantities and prices may be so large that the usual 28 digits do not hold their product.
_EXACT = Context(prec=60)


def rounded(exact: Decimal) -> int:
    """Return a whole amount, halves away from zero."""
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP, context=_EXACT))


def item_name(call: Call, item: StripeObject) -> str:
    """Return an item as a line describes it, such as `3 x Gold` (with a multiplication sign)."""
    product = call.store.products.find(item["price"]["product"])
    name = str(product["name"]) if product else "Product"
    return f"{item['quantity']} × {name}" if "quantity" in item else name  # noqa: RUF001 - as Stripe does


def period_lines(call: Call, subscription: StripeObject, items: list[StripeObject] | None = None) -> list[StripeObject]:
    """Return the lines for the current period of all items, or of these."""
    lines = []
    for item in subscription["items"]["data"] if items is None else items:
        in_trial = subscription["status"] == "trialing"
        text = f"Trial period for {item_name(call, item)}" if in_trial else item_name(call, item)
        period = (item["current_period_start"], item["current_period_end"])
        lines.append(line(subscription, item, 0 if in_trial else amount_of(call, item), text, period))
    return lines


def _discounted(call: Call, invoice: StripeObject, subscription: StripeObject) -> None:
    """Take the discounts of a subscription off the lines that can be discounted, one after the other."""
    lines = [one for one in invoice["lines"]["data"] if one["discountable"] and one["amount"] > 0]
    totals = []
    for discount_id in subscription["discounts"]:
        discount = call.store.discounts.find(discount_id)
        coupon = call.store.redeemed_coupon(discount["source"]["coupon"], discount["start"]) if discount else None
        if discount is None or coupon is None or not _applies(call, invoice, subscription, discount, coupon):
            continue
        invoice["discounts"].append(discount_id)
        left = {one["id"]: one["amount"] - sum(cut["amount"] for cut in one["discount_amounts"]) for one in lines}
        total = sum(left.values())
        if coupon["percent_off"]:
            amount = rounded(Decimal(total) * Decimal(str(coupon["percent_off"])) / 100)
        else:
            amount = min(total, coupon["amount_off"]) if coupon["currency"] == invoice["currency"] else 0
        for one, share in zip(lines, _shares(amount, [left[one["id"]] for one in lines]), strict=True):
            one["discount_amounts"].append({"amount": share, "discount": discount_id})
            one["pretax_credit_amounts"].append({"amount": share, "discount": discount_id, "type": "discount"})
        totals.append({"amount": amount, "discount": discount_id})
    invoice["total_discount_amounts"] = totals
    invoice["total_pretax_credit_amounts"] = [{**one, "type": "discount"} for one in totals]


def _applies(
    call: Call, invoice: StripeObject, subscription: StripeObject, discount: StripeObject, coupon: StripeObject
) -> bool:
    if coupon["duration"] == "repeating":
        return bool(invoice["created"] < discount["end"])
    if coupon["duration"] == "forever":
        return True
    earlier = of_subscription(call, subscription["id"])
    return not any(
        used["discount"] == discount["id"] and used["amount"]
        for one in earlier
        if one["status"] != "void"
        for used in one["total_discount_amounts"]
    )


def _shares(amount: int, parts: list[int]) -> list[int]:
    """Split an amount in proportion to parts that it does not exceed; the shares add up to it."""
    shares, left, amount_left = [], sum(parts), amount
    for part in parts:
        share = rounded(Decimal(amount_left) * part / left) if left else 0
        shares.append(share)
        left, amount_left = left - part, amount_left - share
    return shares


# The object, and what happens to it.


def draft(
    call: Call, subscription: StripeObject, reason: str, lines: list[StripeObject], created: int | None = None
) -> StripeObject:
    """Return a draft for a subscription; neither stored nor announced yet."""
    invoice_id, customer = new_id("in"), call.store.customers.get(subscription["customer"])
    now = call.now if created is None else created
    by_invoice = subscription["collection_method"] == "send_invoice"
    for one in lines:
        one["invoice"] = invoice_id
    invoice: StripeObject = dict.fromkeys(_NULLS) | dict.fromkeys(_ZEROS, 0)
    invoice |= {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": BUSINESS_NAME,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": dict.fromkeys(("disabled_reason", "liability", "provider", "status")) | {"enabled": False},
        "billing_reason": reason,
        "collection_method": subscription["collection_method"],
        "created": now,
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "discounts": [],
        "due_date": now + subscription["days_until_due"] * _DAY if by_invoice else None,
        "issuer": {"type": "self"},
        "lines": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "total_count": len(lines),
            "url": f"/v1/invoices/{invoice_id}/lines",
        },
        "livemode": False,
        "metadata": {},
        "parent": {
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
            "type": "subscription_details",
        },
        "payment_settings": dict.fromkeys(("default_mandate", "payment_method_options", "payment_method_types")),
        "period_end": now,
        "period_start": now,
        "starting_balance": customer["balance"],
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "test_clock": subscription["test_clock"],
        "total_taxes": [],
        "webhooks_delivered_at": now,
    }
    if reason == "subscription_cycle":
        invoice["period_start"] = min((one["period"]["start"] for one in lines), default=now)
    _copy_customer(invoice, customer)
    _discounted(call, invoice, subscription)
    _add_up(invoice)
    set_advance(invoice, advances=True)
    return invoice


_OF_CUSTOMER = ("address", "email", "name", "phone", "shipping", "tax_exempt")


def _copy_customer(invoice: StripeObject, customer: StripeObject) -> None:
    copied = snapshot({name: customer[name] for name in _OF_CUSTOMER})
    invoice |= {f"customer_{name}": value for name, value in copied.items()}


def _add_up(invoice: StripeObject) -> None:
    subtotal = sum(one["amount"] for one in invoice["lines"]["data"])
    total = subtotal - sum(one["amount"] for one in invoice["total_discount_amounts"])
    due = max(0, total + invoice["starting_balance"]) if total > 0 else 0
    invoice |= {"subtotal": subtotal, "subtotal_excluding_tax": subtotal, "total": total, "total_excluding_tax": total}
    invoice |= {"amount_due": due, "amount_remaining": due}


def set_advance(invoice: StripeObject, *, advances: bool) -> None:
    """Let an invoice advance by itself, or not."""
    charged = invoice["collection_method"] == "charge_automatically"
    invoice["auto_advance"] = advances
    if invoice["status"] == "draft":
        invoice["automatically_finalizes_at"] = invoice["created"] + _FINALIZED_AFTER if advances else None
        invoice["next_payment_attempt"] = invoice["created"] + _ATTEMPTED_AFTER if advances and charged else None
    elif not advances:
        invoice["next_payment_attempt"] = None


def announce(call: Call, invoice: StripeObject) -> None:
    """Store a new draft."""
    call.store.invoices.add(invoice)
    emit(call, "invoice.created", invoice)


def finalize_draft(call: Call, invoice: StripeObject) -> None:
    """Turn a draft into an open invoice, or into a paid one if nothing is due; the customer's balance is used up."""
    customer = call.store.customers.get(invoice["customer"])
    _copy_customer(invoice, customer)
    invoice["starting_balance"] = customer["balance"]
    _add_up(invoice)
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    page = f"{call.simulator.public_url}/i/{invoice['id']}"
    invoice |= {"status": "open", "number": number, "effective_at": call.now, "automatically_finalizes_at": None}
    invoice |= {"next_payment_attempt": None, "hosted_invoice_url": page, "invoice_pdf": page}
    invoice["status_transitions"]["finalized_at"] = call.now
    # A balance below zero is the customer's credit, and one above zero is added to the next invoice.
    rest = customer["balance"] + invoice["total"] - invoice["amount_due"]
    invoice["ending_balance"] = rest
    _set_balance(call, customer, rest)
    emit(call, "invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        invoice["attempted"] = True
        mark_paid(call, invoice)


def _set_balance(call: Call, customer: StripeObject, balance: int) -> None:
    before = snapshot(customer)
    customer["balance"] = balance
    emit_update(call, "customer.updated", before, customer)


def charge(call: Call, invoice: StripeObject, method: str | None, by: ChargedBy = "schedule") -> Decline | None:
    """Try to pay an open invoice with a payment method; returns why it was declined, which is not announced yet.

    Attempts that the schedule of retries did not plan are not counted, except for the first. Customers who pay on a
    page authenticate their card.
    """
    decline = decline_of(call, method)
    if decline and decline.needs_authentication and by == "page":
        decline = None
    before = snapshot(invoice)
    invoice["attempt_count"] += 1 if by == "schedule" or not invoice["attempt_count"] else 0
    invoice["attempted"] = True
    if decline is None:
        invoice["amount_paid"] = invoice["amount_due"]
        mark_paid(call, invoice, before)
    return decline


NO_METHOD = Decline(
    "resource_missing",
    None,
    "This customer has no attached payment source or default payment method. Please consider adding a default payment "
    "method. For more information, visit "
    "https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.",
)


def decline_of(call: Call, method: str | None) -> Decline | None:
    """Return why a payment method is declined; null when it pays."""
    found = call.store.payment_methods.find(method) if method else None
    return NO_METHOD if found is None else test_cards.decline_of(payment_methods.last4(found))


def mark_paid(call: Call, invoice: StripeObject, before: StripeObject | None = None) -> None:
    """Close an invoice as paid; `before` is its state before the attempt that paid it."""
    before = before or snapshot(invoice)
    invoice |= {"status": "paid", "auto_advance": False, "amount_remaining": 0, "next_payment_attempt": None}
    invoice["status_transitions"]["paid_at"] = call.now
    emit_update(call, "invoice.updated", before, invoice)
    emit(call, "invoice.paid", invoice)
    emit(call, "invoice.payment_succeeded", invoice)


def mark_paid_elsewhere(call: Call, invoice: StripeObject) -> None:
    """Close an invoice that was paid outside of Stripe."""
    before = snapshot(invoice)
    invoice["amount_paid"] = invoice["amount_paid_off_stripe"] = invoice["amount_due"]
    mark_paid(call, invoice, before)


def mark_void(call: Call, invoice: StripeObject) -> None:
    """Void an open invoice; the customer gets the balance back that it had used up."""
    before = snapshot(invoice)
    invoice |= {"status": "void", "auto_advance": False, "next_payment_attempt": None}
    invoice["status_transitions"]["voided_at"] = call.now
    customer = call.store.customers.find(invoice["customer"])
    if customer:
        used = invoice["ending_balance"] - invoice["starting_balance"]
        _set_balance(call, customer, customer["balance"] - used)
    emit_update(call, "invoice.updated", before, invoice)
    emit(call, "invoice.voided", invoice)


def mark_as_uncollectible(call: Call, invoice: StripeObject, reason: str) -> None:
    """Give an open invoice up."""
    before = snapshot(invoice)
    invoice |= {"status": "uncollectible", "auto_advance": False, "next_payment_attempt": None}
    invoice["status_details"] = {"uncollectible": {"reason": reason}}
    invoice["status_transitions"]["marked_uncollectible_at"] = call.now
    emit_update(call, "invoice.updated", before, invoice)
    emit(call, "invoice.marked_uncollectible", invoice)


def stop_collection(call: Call, invoice: StripeObject) -> None:
    """Stop an invoice from advancing by itself."""
    before = snapshot(invoice)
    set_advance(invoice, advances=False)
    emit_update(call, "invoice.updated", before, invoice)


# Reading and changing them.


def subscription_of(invoice: StripeObject) -> str:
    """Return the id of the subscription that an invoice is for."""
    return str(invoice["parent"]["subscription_details"]["subscription"])


def of_subscription(call: Call, subscription_id: str) -> list[StripeObject]:
    """Return the invoices of a subscription, newest first."""
    return call.store.invoices.of_subscription(subscription_id)


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/invoices/{id}`."""
    return call.store.invoices.get(call.ids["id"])


def list_lines(call: Call) -> StripeObject:
    """`GET /v1/invoices/{id}/lines`: all of them, of which an invoice itself embeds the first ten."""
    invoice = call.store.invoices.get(call.ids["id"])
    return embedded_page(invoice["lines"]["data"], call.params, invoice["lines"]["url"], "line_item")


def list_invoices(call: Call) -> StripeObject:
    """`GET /v1/invoices`; those of a test clock only when their customer or subscription is named."""
    params = call.params
    customer, subscription = params.get("customer"), params.get("subscription")
    if customer and customer not in call.simulator.deleted_customers:
        call.store.customers.get(customer, "customer")
    if subscription:
        call.store.subscriptions.get(subscription, "subscription")
    due = params.get("due_date")

    def keep(one: StripeObject) -> bool:
        return (
            params.get("status") in {None, one["status"]}
            and params.get("collection_method") in {None, one["collection_method"]}
            and subscription in {None, subscription_of(one)}
            and (one["test_clock"] is None or bool(customer or subscription))
            and (due is None or _is_due(one["due_date"], due))
        )

    return list_page(call.store.invoices, params, "/v1/invoices", keep, customer)


def _is_due(due_date: int | None, wanted: int | dict[str, int]) -> bool:
    return due_date is not None and bool(created_range([(due_date, 0, "")], wanted))


_DRAFT_FIELDS = ("description", "footer", "statement_descriptor", "custom_fields")
_WHILE_OPEN = {"auto_advance", "metadata", "expand", "default_payment_method"}


def update(call: Call) -> StripeObject:
    """`POST /v1/invoices/{id}`: a draft as a whole; later, how it is collected; at last its metadata."""
    invoice, params = call.store.invoices.get(call.ids["id"]), call.params
    _check_update(call, invoice)
    before, changed = snapshot(invoice), snapshot(invoice)
    apply_fields(changed, params, _DRAFT_FIELDS)
    for name in ("default_payment_method", "automatically_finalizes_at"):
        if name in params:
            changed[name] = params[name]
    if "collection_method" in params:
        changed["collection_method"] = params["collection_method"]
        changed["due_date"] = None
    if "days_until_due" in params:
        changed["due_date"] = changed["created"] + params["days_until_due"] * _DAY
    changed["due_date"] = params.get("due_date", changed["due_date"])
    _check_due_date(changed, params)
    if "auto_advance" in params or "collection_method" in params:
        set_advance(changed, advances=bool(params.get("auto_advance", changed["auto_advance"])))
    invoice.update(changed)
    emit_update(call, "invoice.updated", before, invoice)
    return invoice


def _check_update(call: Call, invoice: StripeObject) -> None:
    allowed: set[str] = {"metadata", "expand"} if invoice["status"] != "open" else _WHILE_OPEN
    refused = next((name for name in call.params if name not in allowed), None)
    if invoice["status"] != "draft" and refused:
        raise ApiError("Finalized invoices can't be updated in this way", param=refused)
    if call.params.get("default_payment_method"):
        payment_methods.require_attached(
            call, call.params["default_payment_method"], invoice["customer"], "default_payment_method"
        )


def _check_due_date(invoice: StripeObject, params: dict[str, Any]) -> None:
    is_sent = invoice["collection_method"] == "send_invoice"
    if is_sent and invoice["due_date"] is None:
        raise ApiError(
            "If invoice collection method is 'send_invoice', you must specify 'due_date' or 'days_until_due'."
        )
    if not is_sent and {"due_date", "days_until_due"} & params.keys():
        raise ApiError(
            "You can only specify 'due_date' or 'days_until_due' if invoice collection method is 'send_invoice'."
        )
