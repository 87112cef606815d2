"""What a subscription is worth a month, exactly or not at all, and amounts of money as people write them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

from shared.i18n import NOTHING, Message, _, listed
from shared.stripe.periods import period_ends
from shared.stripe.subscription import Subscription, SubscriptionItem

# docs.stripe.com/currencies. Stripe's list of zero-decimal currencies names UGX too, and its "special cases" take that
# back: like ISK it has no subunit, and is still counted in hundredths by the API (5 UGX = 500).
ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

# Intervals in a month, as a fraction: a year has 12 months and 365 days, 52 1/7 weeks.
_PER_MONTH = {"day": (365, 12), "week": (365, 84), "month": (1, 1), "year": (1, 12)}
_AMOUNT = re.compile(r"\d+(\.\d+)?", re.ASCII)
_CURRENCY = re.compile(r"[a-z]{3}", re.ASCII)
# Room for the largest amount and quantity that `shared.stripe.subscription` lets through.
_EXACT = Context(prec=80)


class _NotKnowableError(Exception):
    """Raised for an item whose price cannot be told from the subscription."""

    def __init__(self, reason: Message) -> None:
        super().__init__(reason.id)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class MonthlyAmount:
    """What is charged a month, after the discounts that are known and before taxes.

    `amounts`: by currency (lower case), in the currency's smallest unit. `unknown`: why parts are missing from it;
    empty when it is the whole. `at_most`: why it may be less; empty when it is not.
    """

    amounts: Mapping[str, Decimal]
    unknown: tuple[Message, ...] = ()
    at_most: tuple[Message, ...] = ()

    @property
    def is_zero(self) -> bool:
        """Whether it is known that there is nothing to pay."""
        return not self.unknown and not any(self.amounts.values())


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount of a whole subscription: a share or an amount of each invoice, of one or some months, or of all."""

    duration: str | None
    percent_off: Decimal | None = None
    amount_off: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Discounts:
    """The discounts that a subscription has at a moment; `unread`: there are others whose terms are not known."""

    known: tuple[Discount, ...] = ()
    unread: bool = False


NO_DISCOUNTS = Discounts()


def read_discounts(raw: Mapping[str, Any], now: int) -> Discounts:
    """Read the discounts of a subscription's JSON that are in force at `now` (Unix seconds).

    Stripe sends ids unless `discounts.source.coupon` is expanded (before API 2025-09-30.clover: `discounts`). Those of
    an item cannot be expanded that far in a list, and are unread.
    """
    read = [_read_discount(each) for each in discounts_in_force(raw, now)]
    items = raw.get("items")
    of_items = any(each.get("discounts") or each.get("discount") for each in (items.get("data", ()) if items else ()))
    return Discounts(tuple(filter(None, read)), unread=of_items or None in read)


def discounts_in_force(raw: Mapping[str, Any], now: int) -> Iterator[Any]:
    """Return the subscription's own discounts, as ids or as JSON, that have not ended at `now` (Unix seconds)."""
    found = raw.get("discounts") or [each for each in (raw.get("discount"),) if each]
    return (each for each in found if not _has_ended(each, now))


def coupon_of(discount: Any) -> Mapping[str, Any] | None:
    """Return the coupon of a discount, where Stripe has expanded it."""
    if not isinstance(discount, Mapping):
        return None
    source = discount.get("source")
    coupon = discount.get("coupon") or (source.get("coupon") if isinstance(source, Mapping) else None)
    return coupon if isinstance(coupon, Mapping) else None


def _has_ended(discount: Any, now: int) -> bool:
    end = discount.get("end") if isinstance(discount, Mapping) else None
    return isinstance(end, int) and end <= now


def _read_discount(discount: Any) -> Discount | None:
    coupon = coupon_of(discount)
    if coupon is None:
        return None
    percent, amount = _number(coupon.get("percent_off")), _number(coupon.get("amount_off"))
    return Discount(coupon.get("duration"), percent, amount, coupon.get("currency")) if percent or amount else None


def is_zero(amount: str | None) -> bool:
    """Whether a price's amount is known to be nothing."""
    return amount is not None and bool(_AMOUNT.fullmatch(amount)) and not Decimal(amount)


def _number(value: Any) -> Decimal | None:
    return Decimal(str(value)) if _AMOUNT.fullmatch(str(value)) else None


_UNREAD = _("a discount whose terms are not known")
_ONCE = _("a discount on one invoice")
_SOME_PRODUCTS = _("a discount that may be on some of the products only")
_OTHER_CURRENCY = _("a discount in another currency")
_SEVERAL_INTERVALS = _("a discount on invoices of several intervals")


def monthly_amount(subscription: Subscription, discounts: Discounts = NO_DISCOUNTS) -> MonthlyAmount:
    """Sum the items of a subscription, and take the discounts off.

    An item that cannot be priced for certain is left out, and its reason given. A discount that cannot be reckoned for
    certain is not taken off, and its reason given.
    """
    known: list[Mapping[str, Decimal]] = []
    reasons: list[Message] = []
    for item in subscription.items:
        try:
            currency = _currency_of(item, subscription)
            with localcontext(_EXACT):
                known.append({currency: _each_month(_each_invoice(item), item)})
        except _NotKnowableError as error:
            reasons.append(error.reason)
    if not subscription.items:
        reasons.append(_("the subscription shows no items"))
    amounts, at_most = _discounted(add_amounts(known), subscription, discounts)
    return MonthlyAmount(amounts, tuple(dict.fromkeys(reasons)), at_most)


@dataclass(frozen=True, slots=True)
class PeriodAmount:
    """What one whole period of every item costs, before discounts and taxes; the fields are as in `MonthlyAmount`."""

    amounts: Mapping[str, Decimal]
    unknown: tuple[Message, ...] = ()


def period_amount(subscription: Subscription) -> PeriodAmount:
    """Sum one period of each item: what the first invoice of a new billing cycle charges."""
    known: list[Mapping[str, Decimal]] = []
    reasons: list[Message] = []
    for item in subscription.items:
        try:
            known.append({_currency_of(item, subscription): _each_invoice(item)})
        except _NotKnowableError as error:
            reasons.append(error.reason)
    if not subscription.items:
        reasons.append(_("the subscription shows no items"))
    return PeriodAmount(add_amounts(known), tuple(dict.fromkeys(reasons)))


def _discounted(
    amounts: Mapping[str, Decimal], subscription: Subscription, discounts: Discounts
) -> tuple[Mapping[str, Decimal], tuple[Message, ...]]:
    """Take off what can be reckoned, in Stripe's order; a discount that cannot only makes the amount smaller."""
    at_most = [_UNREAD] if discounts.unread else []
    with localcontext(_EXACT):
        for discount in discounts.known:
            doubt = _doubt(discount, amounts, subscription)
            if doubt:
                at_most.append(doubt)
            elif discount.percent_off is not None:
                left = max(Decimal(0), 1 - discount.percent_off / 100)
                amounts = {currency: amount * left for currency, amount in amounts.items()}
            elif discount.amount_off is not None and discount.currency and discount.currency in amounts:
                off = _each_month(discount.amount_off, subscription.items[0])
                amounts = {**amounts, discount.currency: max(Decimal(0), amounts[discount.currency] - off)}
    return amounts, tuple(dict.fromkeys(at_most))


def _doubt(discount: Discount, amounts: Mapping[str, Decimal], subscription: Subscription) -> Message | None:
    """Return why a discount cannot be taken off a month's amount for certain."""
    items = subscription.items
    if discount.duration not in ("forever", "repeating"):
        return _ONCE if discount.duration == "once" else _UNREAD
    # A coupon may be restricted to products (`applies_to`), which a list does not show.
    if len({item.product_id for item in items}) > 1:
        return _SOME_PRODUCTS
    if discount.percent_off is None:
        if amounts and discount.currency not in amounts:
            return _OTHER_CURRENCY
        if len({(item.interval, item.interval_count) for item in items}) > 1:
            return _SEVERAL_INTERVALS
    return None


@dataclass(frozen=True, slots=True)
class MissedAmount:
    """What the invoices since a pause began would have brought, at today's prices and discounts.

    `amounts` is as in `MonthlyAmount`. `at_least`: invoices or items may be missing from it. `at_most`: it may be less.
    """

    amounts: Mapping[str, Decimal]
    at_least: bool = False
    at_most: bool = False


def missed_amount(
    subscription: Subscription, discounts: Discounts, *, since: int, now: int, anchor: int | None = None
) -> MissedAmount:
    """Sum the invoices due later than `since`, up to `now` (Unix seconds): one at the end of each period.

    Of a trial's periods none is due before its end. See `period_ends` for `anchor`.
    """
    start = max(since, (subscription.trial_end or 0) - 1, subscription.created or 0)
    missed: list[Mapping[str, Decimal]] = []
    for item in subscription.items:
        try:
            currency, each = _currency_of(item, subscription), _each_invoice(item)
        except _NotKnowableError:  # `monthly` says so
            continue
        invoices = sum(end <= now for end in period_ends(item, after=start, anchor=anchor))
        with localcontext(_EXACT):
            missed.append({currency: each * invoices})
    monthly, whole = monthly_amount(subscription, discounts), monthly_amount(subscription).amounts
    amounts = add_amounts(missed)
    passing = any(each.duration != "forever" for each in discounts.known)
    if not passing:
        # What is left of a month's amount is left of each invoice.
        with localcontext(_EXACT):
            amounts = {
                currency: amount * monthly.amounts[currency] / whole[currency]
                for currency, amount in amounts.items()
                if whole[currency]
            }
    return MissedAmount(amounts, bool(monthly.unknown), passing or bool(monthly.at_most))


def add_amounts(all_amounts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Sum amounts currency by currency, in the order of the currencies' codes."""
    sums: dict[str, Decimal] = {}
    with localcontext(_EXACT):
        for amounts in all_amounts:
            for currency, amount in amounts.items():
                sums[currency] = sums.get(currency, Decimal(0)) + amount
    return dict(sorted(sums.items()))


def in_major_units(amount: Decimal, currency: str) -> Decimal:
    """Turn the smallest unit into the main one (cents to euros), rounded half up to the currency's own places."""
    places = _places(currency)
    with localcontext(_EXACT):
        return amount.scaleb(-places).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def price_in_major_units(unit_amount_decimal: str | None, currency: str | None) -> Decimal | None:
    """Turn a price's amount into the main unit, exactly: it may have more places than the currency. `None`: unknown."""
    if unit_amount_decimal is None or currency is None or not _AMOUNT.fullmatch(unit_amount_decimal):
        return None
    with localcontext(_EXACT):
        exact = Decimal(unit_amount_decimal).scaleb(-_places(currency))
    rounded = in_major_units(Decimal(unit_amount_decimal), currency)
    return rounded if rounded == exact else exact.normalize(_EXACT)


def written_amount(amount: Decimal, currency: str) -> Message:
    """Return an amount, given in the smallest unit, as people write it: `1,234.50 EUR`."""
    return _("{amount} {currency}", amount=in_major_units(amount, currency), currency=currency.upper())


def written_amounts(amounts: Mapping[str, Decimal]) -> Message:
    """Return one amount per currency, such as `15.00 CHF, 1,234.50 EUR and 500 JPY`; nothing when there is none."""
    every = [written_amount(amount, currency) for currency, amount in amounts.items()]
    if len(every) > 1:
        return _("{others} and {last}", others=listed(every[:-1]), last=every[-1])
    return every[0] if every else NOTHING


def _places(currency: str) -> int:
    if currency.lower() in ZERO_DECIMAL:
        return 0
    return 3 if currency.lower() in THREE_DECIMAL else 2


def _currency_of(item: SubscriptionItem, subscription: Subscription) -> str:
    """A price with several currencies shows its default one, and the amounts of the others only when asked."""
    currency = item.currency
    if currency is None or not _CURRENCY.fullmatch(currency):
        raise _NotKnowableError(_("a price without a currency"))
    if subscription.currency not in (None, currency):
        raise _NotKnowableError(_("a price in another currency than the subscription's"))
    return currency


def _each_invoice(item: SubscriptionItem) -> Decimal:
    # Both fields came with metered and tiered prices: before them every price was licensed and per unit.
    if item.usage_type not in (None, "licensed"):
        raise _NotKnowableError(_("a usage-based price"))
    if item.billing_scheme not in (None, "per_unit"):
        raise _NotKnowableError(_("a tiered price"))
    if item.unit_amount_decimal is None or not _AMOUNT.fullmatch(item.unit_amount_decimal):
        raise _NotKnowableError(_("a price without a fixed amount"))
    if item.interval not in _PER_MONTH:
        raise _NotKnowableError(_("a price with an unknown interval"))
    with localcontext(_EXACT):
        return Decimal(item.unit_amount_decimal) * _billed_quantity(item)


def _each_month(amount: Decimal, item: SubscriptionItem) -> Decimal:
    """Turn an amount of each invoice into one of each month, by an interval that is Stripe's."""
    numerator, denominator = _PER_MONTH[str(item.interval)]
    return amount * numerator / (denominator * item.interval_count)


def _billed_quantity(item: SubscriptionItem) -> int:
    """Stripe's `transform_quantity` sells packages: the quantity is divided first, and rounded up or down."""
    if item.quantity is None:
        raise _NotKnowableError(_("a price without a quantity"))
    if item.quantity_divide_by is None:
        return item.quantity
    whole, rest = divmod(item.quantity, item.quantity_divide_by)
    match item.quantity_round:
        case "up":
            return whole + (rest > 0)
        case "down":
            return whole
        case _:
            raise _NotKnowableError(_("a package price without a rounding rule"))
