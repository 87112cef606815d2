"""Turns what Stripe refuses into the bundle's errors, by who can fix it.

Stripe's `code` for most of these varies or is absent, so they are recognised by Stripe's own words.
"""

import re

import stripe

from shared.errors import InvalidRequest, OperatorError, PortalError
from shared.portal.which_configuration import no_default_configuration
from shared.stripe.gateway import refused_request, text_of

# Two wordings are known.
_NO_DEFAULT = re.compile(r"default configuration has not been created|until you save your customer portal settings")
_INACTIVE = re.compile(r"configuration\b.*\b(inactive|not active)\b", re.IGNORECASE)
# The portal is for paying users of Billing in live mode. Stripe's documentation does not quote this refusal.
_NO_BILLING = re.compile(r"\baccess to (Stripe )?Billing\b|\bBilling (customer portal|plan)\b|\bpaid Billing\b")
_FEATURE_OFF = "in the portal configuration is disabled"
_NO_CHANGES = "no changes to confirm"


def refusal(error: stripe.InvalidRequestError) -> PortalError:
    """Return the bundle's error for what Stripe refused; an `OperatorError` says how to fix it."""
    text, param = text_of(error), error.param or ""
    if _NO_DEFAULT.search(text):
        return no_default_configuration()
    known = refused_request(error)
    if known.code == "wrong_mode":
        return known
    if _NO_BILLING.search(text):
        return OperatorError(
            "billing_not_available",
            f"The portal in live mode is for paying users of Billing: ask Stripe for access. Stripe says: {text}",
        )
    return _flow_refusal(text, param) or _configuration_refusal(error, text, param) or known


def _flow_refusal(text: str, param: str) -> InvalidRequest | None:
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
        return InvalidRequest("discount_refused", "Stripe does not accept the link's coupon or promotion code")
    return InvalidRequest("flow_refused", f"Stripe does not offer this flow here: {text}")


def _configuration_refusal(error: stripe.InvalidRequestError, text: str, param: str) -> OperatorError | None:
    if _INACTIVE.search(text):
        return OperatorError(
            "configuration_inactive",
            "Activate the portal configuration, or name another one in PORTAL_CONFIGURATIONS. "
            f"Stripe says: {text} ({error.request_id})",
        )
    if param == "configuration" and error.code == "resource_missing":
        return OperatorError(
            "configuration_missing",
            "Correct PORTAL_CONFIGURATIONS: it names a configuration that Stripe does not have. "
            f"Stripe says: {text} ({error.request_id})",
        )
    return None
