"""What a subscription is worth a month, exactly or not at all, and amounts of money as people write them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from shared.i18n import NOTHING, Message, _, listed
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
    """A list price a month, before discounts and taxes.

    `amounts`: by currency (lower case), in the currency's smallest unit. `unknown`: why parts are missing from it;
    empty when it is the whole.
    """

    amounts: Mapping[str, Decimal]
    unknown: tuple[Message, ...] = ()

    @property
    def is_zero(self) -> bool:
        """Whether it is known that there is nothing to pay."""
        return not self.unknown and not any(self.amounts.values())


def monthly_amount(subscription: Subscription) -> MonthlyAmount:
    """Sum the items of a subscription; an item that cannot be priced for certain is left out, and its reason given."""
    known: list[Mapping[str, Decimal]] = []
    reasons: list[Message] = []
    for item in subscription.items:
        try:
            currency = _currency_of(item, subscription)
            known.append({currency: _per_month(item)})
        except _NotKnowableError as error:
            reasons.append(error.reason)
    if not subscription.items:
        reasons.append(_("the subscription shows no items"))
    return MonthlyAmount(add_amounts(known), tuple(dict.fromkeys(reasons)))


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


def _per_month(item: SubscriptionItem) -> Decimal:
    # Both fields came with metered and tiered prices: before them every price was licensed and per unit.
    if item.usage_type not in (None, "licensed"):
        raise _NotKnowableError(_("a usage-based price"))
    if item.billing_scheme not in (None, "per_unit"):
        raise _NotKnowableError(_("a tiered price"))
    if item.unit_amount_decimal is None or not _AMOUNT.fullmatch(item.unit_amount_decimal):
        raise _NotKnowableError(_("a price without a fixed amount"))
    if item.interval not in _PER_MONTH:
        raise _NotKnowableError(_("a price with an unknown interval"))
    numerator, denominator = _PER_MONTH[item.interval]
    with localcontext(_EXACT):
        each_time = Decimal(item.unit_amount_decimal) * _billed_quantity(item)
        return each_time * numerator / (denominator * item.interval_count)


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
