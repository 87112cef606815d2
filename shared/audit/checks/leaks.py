"""Money that is not collected without a pause: free for good, unpaid for long, and pauses under another name.

What is about one subscription is read from Stripe's list of subscriptions, at no further request. A subscription whose
metadata accepts it (`AUDIT_OK`) is left out.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.audit.acknowledgement import AUDIT_OK, PAUSE_OK, acknowledgement_of
from shared.audit.check import AccountFacts, AuditContext, Check, InvoicesRead, UnpaidInvoice
from shared.audit.findings import SAMPLE, Finding, Severity
from shared.i18n import NOTHING, Message, _, _n, sentences
from shared.stripe.gateway import StripeJson
from shared.stripe.money import (
    Discounts,
    add_amounts,
    coupon_of,
    discounts_in_force,
    is_zero,
    monthly_amount,
    read_discounts,
    written_amounts,
)
from shared.stripe.periods import next_invoice_at
from shared.stripe.subscription import LIVE_STATUSES, Subscription, SubscriptionItem, is_paused

DAY = 86_400
_FOREVER = "forever"
_WHOLE = 100


_ACCEPT = _("If it is intended, acknowledge it (`portal acknowledge --findings`): it is not reported again.")


def _leak(check: str, code: str, severity: Severity, meaning: Message, action: Message) -> Finding:
    """One of the things that a check can find, of whatever subscription."""
    return Finding(check, severity, (), meaning, sentences(action, _ACCEPT), sampled=True, code=code)


def _is_watched(subscription: Subscription, audit: AuditContext) -> bool:
    """Whether it is to be collected: not over, not paused, and not accepted by the team as it is."""
    return (
        subscription.status in LIVE_STATUSES
        and not is_paused(subscription, audit.now)
        and acknowledgement_of(audit.json_of(subscription), audit.today, AUDIT_OK) is None
    )


def _seconds(raw: StripeJson, name: str) -> int | None:
    value = raw.get(name)
    return value if isinstance(value, int) else None


LASTING_DISCOUNT_NAME = "lasting_discount"

_END_DISCOUNT = _("Remove the discount, and tell the customer before the next invoice.")
_FREE_FOREVER = _leak(
    LASTING_DISCOUNT_NAME,
    "free_forever",
    Severity.WARNING,
    _("A discount that never ends leaves nothing to pay, for all or some of the products: these are free for good."),
    _END_DISCOUNT,
)
_EXPIRED_PROMOTION = _leak(
    LASTING_DISCOUNT_NAME,
    "expired_promotion",
    Severity.INFO,
    _("These have a discount that never ends, of a coupon that can no longer be redeemed."),
    _END_DISCOUNT,
)


def find_lasting_discount(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Report discounts without an end that leave nothing to pay, or that outlived their promotion.

    A coupon that was redeemed as often as it may be is no promotion that ended: the first hundred customers may well
    keep what they were promised. The terms are known where the key may read coupons.
    """
    raw, now = audit.json_of(subscription), audit.seconds
    coupons = [
        coupon
        for discount in discounts_in_force(raw, now)
        if (coupon := coupon_of(discount)) and coupon.get("duration") == _FOREVER
    ]
    if not coupons or not _is_watched(subscription, audit):
        return
    if _is_free_forever(subscription, read_discounts(raw, now), coupons):
        yield _FREE_FOREVER.about(subscription.id)
    elif any(map(_is_expired, coupons)):
        yield _EXPIRED_PROMOTION.about(subscription.id)


def _is_free_forever(subscription: Subscription, discounts: Discounts, coupons: Iterable[Mapping[str, Any]]) -> bool:
    if any(Decimal(str(coupon.get("percent_off") or 0)) >= _WHOLE for coupon in coupons):
        return True
    lasting = Discounts(tuple(each for each in discounts.known if each.duration == _FOREVER))
    return not monthly_amount(subscription).is_zero and monthly_amount(subscription, lasting).is_zero


def _is_expired(coupon: Mapping[str, Any]) -> bool:
    """Whether it is `valid` no more, for another reason than its number of redemptions (stripe-python 16.1.0)."""
    most, redeemed = coupon.get("max_redemptions"), coupon.get("times_redeemed")
    used_up = isinstance(most, int) and isinstance(redeemed, int) and redeemed >= most
    return coupon.get("valid") is False and not used_up


LASTING_DISCOUNT = Check(
    LASTING_DISCOUNT_NAME,
    _("Discounts that never end"),
    (Severity.WARNING, Severity.INFO),
    reports=(
        "discounts without an end that leave nothing to pay; those of a coupon that can no longer be redeemed, "
        "unless it was redeemed as often as it may be"
    ),
    permission="Coupons",
    of_subscription=find_lasting_discount,
)


NOTHING_TO_PAY_NAME = "nothing_to_pay"

_QUANTITY_OF_ZERO = _leak(
    NOTHING_TO_PAY_NAME,
    "quantity_of_zero",
    Severity.WARNING,
    _("These have a price with a quantity of zero: nothing is charged for it."),
    _("Set the quantity, or remove the price from the subscription."),
)
_PRICE_OF_ZERO = _leak(
    NOTHING_TO_PAY_NAME,
    "price_of_zero",
    Severity.INFO,
    _("All prices of these are zero: nothing is ever charged."),
    _("Move the subscription to a price that is charged."),
)


def find_nothing_to_pay(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Report quantities of zero, and subscriptions all of whose prices are zero: a free plan, or a mistake."""
    items = subscription.items
    free = [is_zero(each.unit_amount_decimal) for each in items if _is_per_unit(each)]
    unused = any(each.quantity == 0 and not is_zero(each.unit_amount_decimal) for each in items if _is_per_unit(each))
    all_free = bool(items) and len(free) == len(items) and all(free)
    if (unused or all_free) and _is_watched(subscription, audit):
        yield (_QUANTITY_OF_ZERO if unused else _PRICE_OF_ZERO).about(subscription.id)


def _is_per_unit(item: SubscriptionItem) -> bool:
    """Whether quantity and amount say what is charged, as they do not for usage and tiers."""
    return item.usage_type in (None, "licensed") and item.billing_scheme in (None, "per_unit")


NOTHING_TO_PAY = Check(
    NOTHING_TO_PAY_NAME,
    _("Subscriptions with nothing to pay"),
    (Severity.WARNING, Severity.INFO),
    reports="a quantity of zero; all prices zero, which may be a free plan (info)",
    of_subscription=find_nothing_to_pay,
)


LONG_TRIAL_NAME = "long_trial"


def find_long_trial(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Report a trial that is longer, from its beginning to its end, than the team's limit."""
    most = audit.options.max_trial_days
    start, end = _trial_start(subscription, audit), subscription.trial_end
    if not most or subscription.status != "trialing" or start is None or end is None or end - start <= most * DAY:
        return
    if _is_watched(subscription, audit):
        yield _leak(
            LONG_TRIAL_NAME,
            LONG_TRIAL_NAME,
            Severity.WARNING,
            _n("These trials are longer than {n} day.", "These trials are longer than {n} days.", most),
            _("Give the trial an earlier end, and tell the customer before the first charge."),
        ).about(subscription.id)


def _trial_start(subscription: Subscription, audit: AuditContext) -> int | None:
    start = _seconds(audit.json_of(subscription), "trial_start")
    return subscription.created if start is None else start


LONG_TRIAL = Check(
    LONG_TRIAL_NAME,
    _("Trials longer than the limit"),
    (Severity.WARNING,),
    reports="trials that are longer than `MaxTrialDays`, from their beginning to their end",
    of_subscription=find_long_trial,
)


HIDDEN_PAUSE_NAME = "hidden_pause"
# What `resume.status` of a planned pause is then (stripe-python 16.1.0).
RESUME_FAILED = frozenset({"error", "requires_action"})

_TRIAL_LATER = _leak(
    HIDDEN_PAUSE_NAME,
    "trial_after_the_start",
    Severity.WARNING,
    _(
        "These ran before their trial began: a trial that is given later collects nothing until its end, as a pause "
        "does, and no list of pauses shows it."
    ),
    _("Give the trial an earlier end, and tell the customer before the next charge."),
)
_PAUSE_PLANNED = _leak(
    HIDDEN_PAUSE_NAME,
    "pause_planned",
    Severity.INFO,
    _("A subscription schedule will pause these on a day to come; until then no list of pauses shows it."),
    _("Nothing, if the date is right; otherwise clear the plan (pause_schedules of the schedule)."),
)
_PAUSE_FAILED = _leak(
    HIDDEN_PAUSE_NAME,
    "planned_pause_failed",
    Severity.WARNING,
    _("A subscription schedule was to pause these, and could not: the customers are charged."),
    _("Find the error in the schedule (pause_schedules), and pause them again."),
)
_RESUME_FAILED = _leak(
    HIDDEN_PAUSE_NAME,
    "planned_resume_failed",
    Severity.WARNING,
    _("A subscription schedule was to resume these, and has not: its payment failed, or needs the customer."),
    _("Ask the customer to pay the open invoice, or resume them in the Dashboard."),
)


def find_hidden_pause(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Report what keeps money from being collected like a pause, or is to do so, and is not in a list of pauses.

    That a trial given to a running subscription begins (`trial_start`) when it is given, no page of Stripe says. What a
    schedule plans is known where Stripe expands it; a failed plan may send no event of its own.
    """
    raw = audit.json_of(subscription)
    schedule = raw.get("schedule")
    hidden: list[Finding] = [_TRIAL_LATER] if _is_trial_of_later(subscription, audit) else []
    if isinstance(schedule, Mapping):
        hidden += (leak for plan in schedule.get("pause_schedules") or () for leak in _of_plan(plan))
    if not hidden or subscription.ended:
        return
    if not any(acknowledgement_of(raw, audit.today, key) for key in (AUDIT_OK, PAUSE_OK)):
        yield from (leak.about(subscription.id) for leak in hidden)


def _is_trial_of_later(subscription: Subscription, audit: AuditContext) -> bool:
    if subscription.status != "trialing" or subscription.created is None:
        return False
    start = _trial_start(subscription, audit)
    return start is not None and start - subscription.created > DAY


def _of_plan(plan: Mapping[str, Any]) -> Iterator[Finding]:
    """`pause_schedules` of a schedule, whose two halves have a status each (stripe-python 16.1.0)."""
    pause, resume = status_of(plan.get("pause")), status_of(plan.get("resume"))
    if pause == "scheduled":
        yield _PAUSE_PLANNED
    elif pause == "error":
        yield _PAUSE_FAILED
    if resume in RESUME_FAILED:
        yield _RESUME_FAILED


def status_of(half: Any) -> Any:
    """Return the status of one half, `pause` or `resume`, of a planned pause."""
    status = half.get("status") if isinstance(half, Mapping) else None
    return status.get("type") if isinstance(status, Mapping) else None


HIDDEN_PAUSE = Check(
    HIDDEN_PAUSE_NAME,
    _("Pauses under another name"),
    (Severity.WARNING, Severity.INFO),
    reports=(
        "a trial that began more than a day after the subscription; a pause that a schedule plans (info); a "
        "planned pause or resume that failed"
    ),
    of_subscription=find_hidden_pause,
)


NO_PAYMENT_METHOD_NAME = "no_payment_method"


def find_no_payment_method(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Report a charge within the team's notice for which there is no payment method, or a card that expires before.

    Stripe charges the subscription's default, or else the customer's (docs.stripe.com/api/subscriptions/object). The
    customer's is known where Stripe expands the customer, or where the team lets the audit read payment methods; of a
    payment method that was not read, nothing more is known than that there is one.
    """
    notice, now = audit.options.payment_method_notice_days, audit.seconds
    charged_at = next_invoice_at(subscription)
    if not notice or charged_at is None or not now < charged_at <= now + notice * DAY:
        return
    if not _will_be_charged(subscription, charged_at, audit) or not _is_watched(subscription, audit):
        return
    raw = audit.json_of(subscription)
    method = _default_method(raw, audit)
    if method == "":
        yield _no_method(notice).about(subscription.id)
    elif method and (read := audit.look_up(f"/v1/payment_methods/{method}")) and _expires_before(read, charged_at):
        yield _card_expires(notice).about(subscription.id)


def _no_method(notice: int) -> Finding:
    return _leak(
        NO_PAYMENT_METHOD_NAME,
        "no_payment_method",
        Severity.WARNING,
        _n(
            "These are charged within {n} day, and neither subscription nor customer has a default payment method.",
            "These are charged within {n} days, and neither subscription nor customer has a default payment method.",
            notice,
        ),
        _("Ask the customer to add a payment method in the portal (`portal link --flow payment_method_update`)."),
    )


def _card_expires(notice: int) -> Finding:
    return _leak(
        NO_PAYMENT_METHOD_NAME,
        "card_expires",
        Severity.WARNING,
        _n(
            "These are charged within {n} day, to a card that has expired by then.",
            "These are charged within {n} days, to a card that has expired by then.",
            notice,
        ),
        _("Ask the customer for another card; the bank may also renew the card by itself."),
    )


def _will_be_charged(subscription: Subscription, at: int, audit: AuditContext) -> bool:
    ends = subscription.cancel_at_period_end or (subscription.cancel_at is not None and subscription.cancel_at <= at)
    by_invoice = subscription.collection_method == "send_invoice"
    if subscription.status not in ("active", "trialing") or ends or by_invoice:
        return False
    return not monthly_amount(subscription, read_discounts(audit.json_of(subscription), at)).is_zero


def _default_method(raw: StripeJson, audit: AuditContext) -> str | None:
    """Return the id of what will be charged; empty if there is none, `None` if it is not known."""
    own = _reference(raw, "default_payment_method") or _reference(raw, "default_source")
    if own:
        return own
    customer = raw.get("customer")
    if isinstance(customer, str):
        customer = audit.look_up(f"/v1/customers/{customer}")
    if not isinstance(customer, Mapping):
        return None
    settings = customer.get("invoice_settings")
    method = _reference(settings, "default_payment_method") if isinstance(settings, Mapping) else ""
    return method or _reference(customer, "default_source")


def _reference(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    return str((value.get("id") if isinstance(value, Mapping) else value) or "")


def _expires_before(method: StripeJson, at: int) -> bool:
    """A card is good to the end of its month."""
    card = method.get("card")
    if not isinstance(card, Mapping):
        return False
    charged = datetime.fromtimestamp(at, UTC)
    month, year = card.get("exp_month"), card.get("exp_year")
    return isinstance(month, int) and isinstance(year, int) and (year, month) < (charged.year, charged.month)


NO_PAYMENT_METHOD = Check(
    NO_PAYMENT_METHOD_NAME,
    _("No payment method for the next charge"),
    (Severity.WARNING,),
    reports=(
        "charged within `PaymentMethodNoticeDays`, and neither subscription nor customer has a default payment "
        "method; with `ReadsPaymentMethods`, a card that has expired by then"
    ),
    permission="Customers; Payment Methods",
    of_subscription=find_no_payment_method,
)


LONG_PAST_DUE_NAME = "long_past_due"
OVERDUE_INVOICES_NAME = "overdue_invoices"

_NOT_ALL_READ = _("There may be more: only the newest invoices were read.")


def find_long_past_due(account: AccountFacts, audit: AuditContext) -> Iterator[Finding]:
    """Report subscriptions that are past due or unpaid because of an invoice older than the team's limit."""
    read, days = account.unpaid_invoices, audit.options.max_past_due_days
    if read is None:
        return
    for status in ("past_due", "unpaid"):
        invoices = [each for each in _open(read, audit) if each.is_automatic and each.status == status]
        owed = {each.subscription_id: each.customer for each in invoices}
        if owed:
            yield Finding(
                LONG_PAST_DUE_NAME,
                Severity.WARNING,
                tuple(owed)[:SAMPLE],
                sentences(
                    _n(
                        "{n} subscription is {status}, and has owed {amounts} for more than {days}.",
                        "{n} subscriptions are {status}, and have owed {amounts} for more than {days}.",
                        len(owed),
                        status=status,
                        amounts=_total(invoices),
                        days=_n("{n} day", "{n} days", days),
                    ),
                    NOTHING if read.whole else _NOT_ALL_READ,
                ),
                _(
                    "Ask the customers to pay, then cancel what nobody will pay; a service that looks only at the "
                    "status may serve them meanwhile."
                ),
                more=max(0, len(owed) - SAMPLE),
                code=status,
                customers=tuple(owed.values())[:SAMPLE],
            )


def find_overdue_invoices(account: AccountFacts, audit: AuditContext) -> Iterator[Finding]:
    """Report invoices that the customer pays (`send_invoice`), and has not paid long after they were due."""
    read, days = account.unpaid_invoices, audit.options.max_overdue_days
    if read is None:
        return
    invoices = [each for each in _open(read, audit) if not each.is_automatic]
    if invoices:
        yield Finding(
            OVERDUE_INVOICES_NAME,
            Severity.WARNING,
            tuple(each.id for each in invoices[:SAMPLE]),
            sentences(
                _n(
                    "{n} invoice of a subscription was due more than {days} ago, and is not paid: {amounts}.",
                    "{n} invoices of subscriptions were due more than {days} ago, and are not paid: {amounts}.",
                    len(invoices),
                    amounts=_total(invoices),
                    days=_n("{n} day", "{n} days", days),
                ),
                NOTHING if read.whole else _NOT_ALL_READ,
            ),
            _("Ask the customers to pay; void or write off what nobody will pay, and cancel its subscription."),
            more=max(0, len(invoices) - SAMPLE),
            customers=tuple(each.customer for each in invoices[:SAMPLE]),
        )


def _open(read: InvoicesRead, audit: AuditContext) -> Iterator[UnpaidInvoice]:
    """The oldest first, without those whose subscription the team accepts as it is."""
    for invoice in reversed(read.invoices):
        if acknowledgement_of({"metadata": invoice.metadata}, audit.today, AUDIT_OK) is None:
            yield invoice


def _total(invoices: Iterable[UnpaidInvoice]) -> Message:
    return written_amounts(add_amounts({each.currency: Decimal(each.amount_remaining)} for each in invoices))


LONG_PAST_DUE = Check(
    LONG_PAST_DUE_NAME,
    _("Unpaid for longer than the limit"),
    (Severity.WARNING,),
    reports=(
        "subscriptions that are `past_due` or `unpaid` and have an open invoice older than `MaxPastDueDays`: how "
        "many, and what they owe"
    ),
    permission="Invoices",
    of_account=find_long_past_due,
)
OVERDUE_INVOICES = Check(
    OVERDUE_INVOICES_NAME,
    _("Invoices long overdue"),
    (Severity.WARNING,),
    reports=(
        "invoices of `send_invoice` subscriptions that are still open `MaxOverdueDays` after they were due: how "
        "many, and how much"
    ),
    permission="Invoices",
    of_account=find_overdue_invoices,
)
