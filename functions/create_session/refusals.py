"""What Stripe's refusals mean here, and who can mend each: the caller, or the team."""

import stripe

from shared.errors import InvalidRequest, OperatorError, PortalError


def refusal(error: stripe.InvalidRequestError, *, coupon_of_setting: bool = False) -> PortalError:
    """Tell apart who can mend it. Stripe's `code` is not stable for these, so its text and `param` decide."""
    text, param = error.user_message or str(error), error.param or ""
    if "default configuration has not been created" in text:
        return OperatorError(
            "no_default_configuration",
            "Save the portal's settings once in Stripe's Dashboard (Settings > Billing > Customer portal), "
            "in the mode of the API key",
        )
    if "in the portal configuration is disabled" in text or param.startswith("flow_data") or "no changes to" in text:
        return _flow_refusal(text, param, coupon_of_setting=coupon_of_setting)
    if error.code == "resource_missing" and param in {"customer", "id"}:
        return OperatorError("customer_missing", "The customer is deleted, or of the other mode than the API key")
    return OperatorError("stripe_refused", f"Stripe refused the portal session: {text} ({error.request_id})")


def _flow_refusal(text: str, param: str, *, coupon_of_setting: bool) -> PortalError:
    if "in the portal configuration is disabled" in text:
        return InvalidRequest("flow_disabled", f"The portal's configuration does not offer this flow: {text}")
    if "no changes to" in text:
        return InvalidRequest("nothing_to_confirm", "The subscription already has this price and quantity")
    if "[price]" in param or "[quantity]" in param:
        return InvalidRequest("change_refused", "The portal's configuration does not offer this price or quantity")
    if "[coupon]" in param or "[promotion_code]" in param or "[discounts]" in param or "[retention]" in param:
        if coupon_of_setting:
            return OperatorError("bad_retention_coupon", f"RETENTION_COUPON is no coupon that Stripe takes: {text}")
        return InvalidRequest("discount_refused", "Stripe does not take the link's coupon or promotion code")
    return InvalidRequest("flow_refused", f"Stripe does not offer this flow here: {text}")
