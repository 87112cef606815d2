"""Payment methods: test cards, and other types without details, attached to customers."""

from typing import Any

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id, token

# The first digit, or the name in `tok_visa` and `pm_card_visa`, decides the brand.
_BRANDS = {"4": "visa", "5": "mastercard", "3": "amex", "6": "discover"}
_LAST4 = {"visa": "4242", "mastercard": "4444", "amex": "8431", "discover": "9424"}
_TEST_CARDS = ("pm_card_", "tok_")


def _card(given: dict[str, Any]) -> StripeObject:
    number = str(given.get("number", ""))
    named = str(given.get("token", "")).rpartition("_")[2]
    brand = _BRANDS.get(number[:1], named if named in _LAST4 else "visa")
    return {
        "brand": brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": brand,
        "exp_month": given.get("exp_month", 12),
        "exp_year": given.get("exp_year", 2034),
        "fingerprint": token(16),
        "funding": "credit",
        "last4": number[-4:] or _LAST4[brand],
        "networks": {"available": [brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def create(call: Call) -> StripeObject:
    """`POST /v1/payment_methods`; whatever the type, only cards carry details."""
    if "type" not in call.params:
        raise missing("type")
    method: StripeObject = {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}
        | call.params.get("billing_details", {}),
        "created": call.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": call.params.get("metadata") or {},
        "type": call.params["type"],
        call.params["type"]: _card(call.params.get("card", {})) if call.params["type"] == "card" else {},
    }
    return call.store.payment_methods.add(method)


def attach(call: Call) -> StripeObject:
    """`POST /v1/payment_methods/{id}/attach`; Stripe's test names such as `pm_card_visa` make a new card."""
    customer = call.params.get("customer")
    if not customer:
        raise missing("customer")
    call.store.customers.get(customer, "customer")
    name = call.ids["id"]
    if name.startswith(_TEST_CARDS):
        method = create(call.about("", type="card", card={"token": name}))
    else:
        method = call.store.payment_methods.get(name, "payment_method")
    if method["customer"]:
        raise ApiError("This PaymentMethod has already been attached to a customer.", param="payment_method")
    call.store.payment_methods.move(method, customer)
    emit(call, "payment_method.attached", method)
    return method


def detach(call: Call) -> StripeObject:
    """`POST /v1/payment_methods/{id}/detach`; a customer's default is cleared with it."""
    method = call.store.payment_methods.get(call.ids["id"], "payment_method")
    if not method["customer"]:
        raise ApiError("The payment method you provided is not attached to a customer so detachment is impossible.")
    before = snapshot(method)
    customer = call.store.customers.get(method["customer"])
    call.store.payment_methods.move(method, None)
    emit_update(call, "payment_method.detached", before, method)
    if customer["invoice_settings"]["default_payment_method"] == method["id"]:
        old = snapshot(customer)
        customer["invoice_settings"]["default_payment_method"] = None
        emit_update(call, "customer.updated", old, customer)
    return method


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/payment_methods/{id}`."""
    return call.store.payment_methods.get(call.ids["id"])


def list_methods(call: Call) -> StripeObject:
    """`GET /v1/payment_methods` of one customer, by type."""
    kind, customer = call.params.get("type"), call.ids.get("id") or call.params.get("customer", "")
    if customer:
        call.store.customers.get(customer, "customer")
    url = f"/v1/customers/{customer}/payment_methods" if "id" in call.ids else "/v1/payment_methods"
    keep = (lambda one: one["type"] == kind) if kind else (lambda _: True)
    return list_page(call.store.payment_methods, call.params, url, keep, customer=customer)


def require_attached(call: Call, method_id: str, customer: str, param: str) -> None:
    """Raise an error unless the payment method is the customer's."""
    if call.store.payment_methods.get(method_id, param)["customer"] != customer:
        raise ApiError(
            f"The customer does not have a payment method with the ID {method_id}. "
            "The payment method must be attached to the customer.",
            code="resource_missing",
            param=param,
        )


def has_any(call: Call, subscription: StripeObject) -> bool:
    """Whether there is something to charge for this subscription."""
    customer = call.store.customers.get(subscription["customer"])
    default = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    return default is not None
