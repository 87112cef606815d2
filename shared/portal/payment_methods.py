"""Which payment methods the portal supports, where, and why the last one stays."""

from dataclasses import dataclass
from enum import StrEnum

from shared.i18n import Text, same
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
    name: Text
    countries: frozenset[str] | None
    note: Text | None = None

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
_EVERYWHERE = Text("in most countries", "dans la plupart des pays")
_PAYPAL = Text("after Stripe's approval", "après l'accord de Stripe")
SUPPORTED = (
    Supported("card", Text("cards, Apple Pay and Google Pay", "cartes, Apple Pay et Google Pay"), None, _EVERYWHERE),
    Supported("link", same("Link"), None, _EVERYWHERE),
    Supported("us_bank_account", Text("US bank account (ACH)", "compte bancaire américain (ACH)"), frozenset({"US"})),
    Supported("cashapp", same("Cash App Pay"), frozenset({"US"})),
    Supported("au_becs_debit", Text("BECS debit (Australia)", "prélèvement BECS (Australie)"), frozenset({"AU"})),
    Supported("boleto", same("Boleto"), frozenset({"BR"})),
    Supported("paypal", same("PayPal"), _EUROPE, _PAYPAL),
    Supported("amazon_pay", same("Amazon Pay"), _AMAZON_PAY),
    Supported("sepa_debit", Text("SEPA debit", "prélèvement SEPA"), _SEPA),
    Supported("bacs_debit", Text("Bacs debit", "prélèvement Bacs"), _BACS),
    Supported("acss_debit", Text("pre-authorized debit (ACSS)", "prélèvement préautorisé (ACSS)"), _ACSS),
)
_TYPES = frozenset(each.type for each in SUPPORTED)


def support_in(country: str | None) -> tuple[tuple[Supported, Support], ...]:
    """Return every type that the portal supports, and whether it does for an account of the country."""
    return tuple((each, each.in_country(country)) for each in SUPPORTED)


_TITLE = Text("Remove a payment method", "Supprimer un moyen de paiement")
LAST = Reason(
    "last_payment_method",
    Text(
        "It is the only payment method, and a subscription has not ended: one has to remain that can be charged.",
        "C'est le seul moyen de paiement, et un abonnement n'est pas terminé : il doit en rester un à débiter.",
    ),
    Text(
        "Add the new payment method first, then remove the old one.",
        "Ajoutez d'abord le nouveau moyen de paiement, puis supprimez l'ancien.",
    ),
)
_NONE = Reason(
    "no_payment_method",
    Text("There is no payment method to remove.", "Aucun moyen de paiement n'est enregistré."),
)
_OFF = Reason(
    "payment_method_update_off",
    Text(
        "The configuration does not let customers change payment methods.",
        "La configuration ne permet pas aux clients de changer de moyen de paiement.",
    ),
    Text(
        "Switch features.payment_method_update on.",
        "Activez features.payment_method_update.",
    ),
    configured=True,
)
_NOT_READ = Text(
    "How many payment methods there are was not read: with one only, it stays while a subscription is active.",
    "Le nombre de moyens de paiement n'a pas été lu : s'il n'y en a qu'un, il reste tant qu'un abonnement est actif.",
)


def is_supported(payment_method_type: str) -> bool:
    """Whether the portal supports subscriptions that are charged to this type."""
    return payment_method_type in _TYPES


def unsupported(payment_method_type: str) -> Reason:
    """Return the reason that a subscription charged to this type cannot be changed."""
    return Reason(
        "unsupported_payment_method",
        Text(
            f"It is charged to a payment method that the portal does not support ({payment_method_type}).",
            f"Il est débité d'un moyen de paiement que le portail ne prend pas en charge ({payment_method_type}).",
        ),
        Text(
            "Charge it to a supported payment method, such as a card.",
            "Débitez-le d'un moyen de paiement pris en charge, une carte par exemple.",
        ),
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
