"""Stripe's test cards, by number and by name, and what happens when one of them is attached or charged.

The numbers, names, codes and decline codes are those of docs.stripe.com/testing.
"""

from dataclasses import dataclass

from local.stripe_simulator.errors import ApiError

_PREFIXES = ("pm_card_", "tok_")


@dataclass(frozen=True)
class Decline:
    """Why a card is declined, with the fields of Stripe's `card_error`."""

    code: str
    decline_code: str | None
    message: str
    # A card that the customer has to authenticate can still be paid with, on a page where the customer is.
    needs_authentication: bool = False
    # A card that can be attached to a customer fails later, when it is charged.
    is_attachable: bool = False

    def error(self) -> ApiError:
        """Return the error of a request whose payment is declined."""
        return ApiError(
            self.message, status=402, kind="card_error", code=self.code, decline_code=self.decline_code, param=None
        )


_DECLINED = "Your card was declined."
_GENERIC = Decline("card_declined", "generic_decline", _DECLINED)
_AUTHENTICATE = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    needs_authentication=True,
    is_attachable=True,
)
# A hard decline, after which Stripe does not retry (docs.stripe.com/billing/revenue-recovery/smart-retries).
HARD_DECLINES = {
    *("incorrect_number", "lost_card", "pickup_card", "stolen_card", "revocation_of_authorization"),
    *("revocation_of_all_authorizations", "authentication_required", "highest_risk_level", "transaction_not_allowed"),
}

# Test cards differ in their last four digits, so that these are all that has to be remembered of a card.
_DECLINES = {
    "0002": _GENERIC,
    "9995": Decline("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "9987": Decline("card_declined", "lost_card", _DECLINED),
    "9979": Decline("card_declined", "stolen_card", _DECLINED),
    "0069": Decline("expired_card", None, "Your card has expired."),
    "0127": Decline("incorrect_cvc", None, "Your card's security code is incorrect."),
    "0119": Decline(
        "processing_error", None, "An error occurred while processing your card. Try again in a little bit."
    ),
    "6975": Decline(
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    "0019": Decline("card_declined", "fraudulent", _DECLINED),
    "0341": Decline("card_declined", "generic_decline", _DECLINED, is_attachable=True),
    "3155": _AUTHENTICATE,
    "3184": _AUTHENTICATE,
    "3178": _AUTHENTICATE,
    "3220": _AUTHENTICATE,
}

# By the part of a name after `pm_card_` or `tok_`.
_NUMBERS = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "mastercard_debit": "5200828282828210",
    "mastercard_prepaid": "5105105105105100",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "3056930009020004",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "us": "4242424242424242",
    "br": "4000000760000002",
    "ca": "4000001240000000",
    "mx": "4000004840008001",
    "at": "4000000400000008",
    "be": "4000000560000004",
    "de": "4000002760000016",
    "es": "4000007240000007",
    "fr": "4000002500000003",
    "gb": "4000008260000000",
    "gb_debit": "4000058260000005",
    "gb_mastercard": "5555558265554449",
    "ie": "4000003720000005",
    "it": "4000003800000008",
    "nl": "4000005280000002",
    "au": "4000000360000006",
    "in": "4000003560000008",
    "jp": "4000003920000003",
    "chargeDeclined": "4000000000000002",
    "visa_chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedLostCard": "4000000000009987",
    "visa_chargeDeclinedLostCard": "4000000000009987",
    "chargeDeclinedStolenCard": "4000000000009979",
    "visa_chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "visa_chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "visa_chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "visa_chargeDeclinedProcessingError": "4000000000000119",
    "visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "radarBlock": "4100000000000019",
    "chargeCustomerFail": "4000000000000341",
    "visa_chargeCustomerFail": "4000000000000341",
    "authenticationRequired": "4000002760003184",
    "authenticationRequiredOnSetup": "4000002500003155",
    "authenticationRequiredSetupForOffSession": "4000003800000446",
    "authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "threeDSecure2Required": "4000000000003220",
    "threeDSecureOptional": "4000000000003055",
    "bypassPending": "4000000000000077",
    "createDispute": "4000000000000259",
    "riskLevelElevated": "4000000000009235",
}
_ALL_NUMBERS = {*_NUMBERS.values(), "4012888888881881", "4111111111111111", "371449635398431", "6011000990139424"}
_BRANDS = {
    **dict.fromkeys(("30", "36", "38"), "diners"),
    **dict.fromkeys(("34", "37"), "amex"),
    "35": "jcb",
    "4": "visa",
    "5": "mastercard",
    "60": "discover",
    "62": "unionpay",
    "65": "discover",
}


def named(name: str) -> str | None:
    """Return the number of a card such as `pm_card_visa` or `tok_visa`; null when Stripe has no such name."""
    prefix = next((one for one in _PREFIXES if name.startswith(one)), None)
    return None if prefix is None else _NUMBERS.get(name.removeprefix(prefix))


def check_number(number: str, param: str) -> None:
    """Raise Stripe's error for a number that is no card's, or that is not a test card's."""
    if not _passes_luhn(number):
        raise ApiError(
            "Your card number is incorrect.", status=402, kind="card_error", code="incorrect_number", param=param
        )
    if number not in _ALL_NUMBERS:
        raise ApiError(
            "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of "
            "valid test cards, visit: https://stripe.com/docs/testing.",
            status=402,
            kind="card_error",
            code="card_declined",
            decline_code="test_mode_live_card",
        )


def _passes_luhn(number: str) -> bool:
    if not number.isascii() or not number.isdigit() or len(number) < 12:  # noqa: PLR2004 - the shortest card number
        return False
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def brand_of(number: str) -> str:
    """Return the brand of a card, as `visa`."""
    return next((brand for start, brand in _BRANDS.items() if number.startswith(start)), "unknown")


def decline_of(last4: str) -> Decline | None:
    """Return why a card is declined; null for a card that pays."""
    return _DECLINES.get(last4)
