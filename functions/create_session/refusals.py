"""What Stripe refused, told apart by who can mend it."""

import re

import stripe

from shared.errors import InvalidRequest, OperatorError, PortalError

# Stripe's own words: its `code` for these varies or is absent. Two wordings of the first are known.
_NO_DEFAULT = re.compile(r"default configuration has not been created|until you save your customer portal settings")
_INACTIVE = re.compile(r"configuration\b.*\b(inactive|not active)\b", re.IGNORECASE)
_OTHER_MODE = re.compile(r"similar object exists in (live|test) mode")
# The portal is for paying users of Billing in live mode; no page of Stripe's has the words of its refusal.
_NO_BILLING = re.compile(r"\baccess to (Stripe )?Billing\b|\bBilling (customer portal|plan)\b|\bpaid Billing\b")
# Stripe quotes what it refuses, and what is refused is logged.
_ADDRESS = re.compile(r"[^\s'\"<>(),;:]+@[^\s'\"<>(),;:]+")


def without_addresses(text: str) -> str:
    """Leave e-mail addresses out of a text for the log."""
    return _ADDRESS.sub("(an e-mail address)", text)


def refusal(error: stripe.InvalidRequestError) -> PortalError:
    """Return the bundle's error for what Stripe refused; its message names the mend."""
    text, param = without_addresses(error.user_message or str(error)), error.param or ""
    if _NO_DEFAULT.search(text):
        return no_default_configuration()
    if mode := _OTHER_MODE.search(text):
        return _wrong_mode(mode[1], param)
    if _NO_BILLING.search(text):
        return _billing_not_available(text)
    if refused_flow := flow_refusal(text, param):
        return refused_flow
    return _of_configuration(error, text, param) or _of_customer(error, text, param)


def no_default_configuration() -> OperatorError:
    """The portal's settings have never been saved."""
    return OperatorError(
        "no_default_configuration",
        "Save the portal's settings once in Stripe's Dashboard (Settings > Billing > Customer portal), "
        "in the mode of the API key",
    )


def _billing_not_available(text: str) -> OperatorError:
    return OperatorError(
        "billing_not_available",
        f"The portal in live mode is for paying users of Stripe Billing: ask Stripe for access. Stripe says: {text}",
    )


def _wrong_mode(mode: str, param: str) -> OperatorError:
    key = {"live": "test", "test": "live"}[mode]
    return OperatorError(
        "wrong_mode",
        f"The {param or 'object'} is of {mode} mode and stripe_api_key in the secret is of {key} mode: put the "
        f"{mode} key there, or name what is of {key} mode",
    )


def _of_configuration(error: stripe.InvalidRequestError, text: str, param: str) -> PortalError | None:
    if _INACTIVE.search(text):
        return OperatorError(
            "configuration_inactive",
            "Activate the portal configuration, or name another one in PORTAL_CONFIGURATIONS. "
            f"Stripe says: {text} ({error.request_id})",
        )
    if param == "configuration" and error.code == "resource_missing":
        return OperatorError(
            "configuration_missing",
            f"Mend PORTAL_CONFIGURATIONS: Stripe has no such configuration. It says: {text} ({error.request_id})",
        )
    return None


def _of_customer(error: stripe.InvalidRequestError, text: str, param: str) -> PortalError:
    if param in {"customer", "id"} and error.code == "resource_missing":
        return OperatorError(
            "customer_missing",
            "The customer is deleted, or another account's: mend what the link token or the claim names, or the key",
        )
    return OperatorError("stripe_refused", f"Stripe refused the portal session: {text} ({error.request_id})")


# Stripe's own words; it has no `code` for them.
_FEATURE_OFF = "in the portal configuration is disabled"
_NO_CHANGES = "no changes to confirm"


def flow_refusal(text: str, param: str) -> InvalidRequest | None:
    """Return the refusal, or `None` when it is not about the flow. Stripe's `param` says which part it is about."""
    if _FEATURE_OFF in text:
        return InvalidRequest("flow_disabled", f"The portal's configuration does not offer this flow: {text}")
    if _NO_CHANGES in text:
        return InvalidRequest("nothing_to_confirm", "The subscription already has this price and quantity")
    if not param.startswith("flow_data"):
        return None
    if "[price]" in param or "[quantity]" in param:
        return InvalidRequest("change_refused", "The portal's configuration does not offer this price or quantity")
    if "[retention]" in param or "[discounts]" in param:
        return InvalidRequest("discount_refused", "Stripe does not take the link's coupon or promotion code")
    return InvalidRequest("flow_refused", f"Stripe does not offer this flow here: {text}")
