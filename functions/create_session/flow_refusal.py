"""What Stripe refused about a deep link, with a code for each reason that the caller can act on."""

from shared.errors import InvalidRequest

# Stripe's own words; it has no `code` for them.
_FEATURE_OFF = "in the portal configuration is disabled"
_NO_CHANGES = "no changes to confirm"


def flow_refusal(text: str, param: str) -> InvalidRequest | None:
    """Answer the refusal, or `None` when it is not about the flow. Stripe's `param` says which part it is about."""
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
