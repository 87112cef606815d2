"""Which payment methods the portal supports, where, and why the last one stays."""

from dataclasses import dataclass
from enum import StrEnum

from shared.i18n import Message, _, verbatim
from shared.portal.facts import Answer, PortalFacts, Reason, answer

TABLE = "https://docs.stripe.com/customer-management"


class Support(StrEnum):
    """Whether the customers of a business in a country can use a payment method; `UNKNOWN` without a source."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "see_stripes_table"


@dataclass(frozen=True, slots=True)
class Supported:
    """A type that the portal supports; `countries` are those of the business, `None` is nearly everywhere.

    Source of the types: docs.stripe.com/customer-management, "Supported payment methods". Source of the countries: that
    table, and "Business locations" on the page of each method, such as docs.stripe.com/payments/sepa-debit.
    """

    type: str
    name: Message
    countries: frozenset[str] | None
    note: Message | None = None

    def in_country(self, country: str | None) -> Support:
        """Return the support in the country of the Stripe account (two letters, `None` if unknown)."""
        if self.countries is None:
            return Support.YES
        if country is None:
            return Support.UNKNOWN
        return Support.YES if country.upper() in self.countries else Support.NO


def _countries(codes: str) -> frozenset[str]:
    return frozenset(codes.split())


_EUROPE = _countries("AT BE BG CH CY CZ DE DK EE ES FI FR GB GR HR IE IT LI LT LU LV MT NL NO PL PT RO SE SI SK")
_SEPA = _EUROPE | _countries("AU CA GI HK HU JP MX NZ SG US")
_BACS = (_EUROPE - {"CH"}) | _countries("AU CA HU SG US")
_ACSS = _countries("CA US")
_AMAZON_PAY = _countries("AT BE CH CY DE DK ES FR GB HU IE IT LU NL PT SE US")
_EVERYWHERE = _("in most countries")
_PAYPAL = _("after Stripe's approval")
SUPPORTED = (
    Supported("card", _("cards, Apple Pay and Google Pay"), None, _EVERYWHERE),
    Supported("link", verbatim("Link"), None, _EVERYWHERE),
    Supported("us_bank_account", _("US bank account (ACH)"), frozenset({"US"})),
    Supported("cashapp", verbatim("Cash App Pay"), frozenset({"US"})),
    Supported("au_becs_debit", _("BECS debit (Australia)"), frozenset({"AU"})),
    Supported("boleto", verbatim("Boleto"), frozenset({"BR"})),
    Supported("paypal", verbatim("PayPal"), _EUROPE, _PAYPAL),
    Supported("amazon_pay", verbatim("Amazon Pay"), _AMAZON_PAY),
    Supported("sepa_debit", _("SEPA debit"), _SEPA),
    Supported("bacs_debit", _("Bacs debit"), _BACS),
    Supported("acss_debit", _("pre-authorized debit (ACSS)"), _ACSS),
)
_TYPES = frozenset(each.type for each in SUPPORTED)


def support_in(country: str | None) -> tuple[tuple[Supported, Support], ...]:
    """Return every type that the portal supports, and whether it does for an account of the country."""
    return tuple((each, each.in_country(country)) for each in SUPPORTED)


_TITLE = _("Remove a payment method")
LAST = Reason(
    "last_payment_method",
    _("It is the only payment method, and a subscription has not ended: one that can be charged has to remain."),
    _("Add the new payment method first, then remove the old one."),
)
_NONE = Reason(
    "no_payment_method",
    _("There is no payment method to remove."),
)
_OFF = Reason(
    "payment_method_update_off",
    _("The configuration does not let customers change payment methods."),
    _("Switch features.payment_method_update on."),
    configured=True,
)
_NOT_READ = _("The number of payment methods was not read: the last one stays while a subscription is active.")


def is_supported(payment_method_type: str) -> bool:
    """Whether the portal supports subscriptions that are charged to this type."""
    return payment_method_type in _TYPES


def unsupported(payment_method_type: str) -> Reason:
    """Return the reason that a subscription charged to this type cannot be changed."""
    return Reason(
        "unsupported_payment_method",
        _(
            "It is charged to a payment method that the portal does not support ({type}).",
            type=payment_method_type,
        ),
        _("Charge it to a supported payment method, such as a card."),
    )


def keeps_last(payment_methods: int | None, *, has_live_subscription: bool) -> bool:
    """Whether the portal refuses to remove a payment method: the only one, while a subscription has not ended."""
    return has_live_subscription and payment_methods == 1


def removal(facts: PortalFacts) -> Answer:
    """Whether the customer can remove a payment method: not the last one while a subscription is active."""
    known = facts.payment_methods
    reasons = (
        None if facts.features.payment_method_update.enabled else _OFF,
        _NONE if known == 0 else None,
        LAST if keeps_last(known, has_live_subscription=facts.has_live_subscription) else None,
    )
    return answer("remove_payment_method", _TITLE, reasons, (_NOT_READ if known is None else None,))
