"""Payment methods: test cards, and other types without details, attached to customers."""

from typing import Any

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError, missing, no_such
from local.stripe_simulator.parameters import full_address
from local.stripe_simulator.resources import test_cards
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id, token


def _card(given: dict[str, Any]) -> StripeObject:
    number = _number(given)
    brand = test_cards.brand_of(number)
    return {
        "brand": brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": brand,
        "exp_month": given.get("exp_month", 12),
        "exp_year": given.get("exp_year", 2034),
        "fingerprint": token(16),
        "funding": "credit",
        "generated_from": None,
        "last4": number[-4:],
        "networks": {"available": [brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _number(given: dict[str, Any]) -> str:
    """Return the number of a card, which may be named by a token, or left to the simulator."""
    if given.get("token"):
        number = test_cards.named(given["token"])
        if number is None:
            raise no_such("token", given["token"], "card[token]")
        return number
    if given.get("number"):
        test_cards.check_number(given["number"], "number")
    return str(given.get("number") or test_cards.named("pm_card_visa"))


# The fields of the types that have any; all are null, except where the value stands here.
_DETAILS: dict[str, StripeObject] = {
    "acss_debit": dict.fromkeys(("bank_name", "fingerprint", "institution_number", "last4", "transit_number")),
    "au_becs_debit": dict.fromkeys(("bsb_number", "fingerprint", "last4")),
    "bacs_debit": dict.fromkeys(("fingerprint", "last4", "sort_code")),
    "boleto": {"tax_id": ""},
    "cashapp": dict.fromkeys(("buyer_id", "cashtag")),
    "eps": {"bank": None},
    "fpx": {"account_holder_type": None, "bank": "maybank2u"},
    "ideal": dict.fromkeys(("bank", "bic")),
    "kr_card": dict.fromkeys(("brand", "last4")),
    "link": {"email": None},
    "naver_pay": {"buyer_id": None, "funding": "points"},
    "nz_bank_account": dict.fromkeys(("bank_code", "bank_name", "branch_code", "last4"), "")
    | {"account_holder_name": None, "suffix": None},
    "p24": {"bank": None},
    "paypal": dict.fromkeys(("country", "payer_email", "payer_id")),
    "payto": dict.fromkeys(("bsb_number", "last4", "pay_id")),
    "sepa_debit": dict.fromkeys(("bank_code", "branch_code", "country", "fingerprint", "generated_from", "last4")),
    "sofort": {"country": None},
    "upi": {"vpa": None},
    "us_bank_account": dict.fromkeys(
        ("account_holder_type", "account_type", "bank_name", "financial_connections_account", "fingerprint", "last4")
    )
    | dict.fromkeys(("networks", "routing_number", "status_details")),
}


def create(call: Call) -> StripeObject:
    """`POST /v1/payment_methods`; whatever the type, only cards have details that are not empty."""
    if "type" not in call.params:
        raise missing("type")
    kind, billing = call.params["type"], dict(call.params.get("billing_details", {}))
    billing["address"] = full_address(billing.get("address"))
    method: StripeObject = {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None} | billing,
        "created": call.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": call.params.get("metadata") or {},
        "type": kind,
        kind: _card(call.params.get("card", {})) if kind == "card" else dict(_DETAILS.get(kind, {})),
    }
    return call.store.payment_methods.add(method)


def attach(call: Call) -> StripeObject:
    """`POST /v1/payment_methods/{id}/attach`; Stripe's test names such as `pm_card_visa` make a new card."""
    customer = call.params.get("customer")
    if not customer:
        raise missing("customer")
    call.store.customers.get(customer, "customer")
    name = call.ids["id"]
    number = test_cards.named(name)
    if number:
        _check_attachable(number[-4:])
        method = create(call.about("", type="card", card={"token": name}))
    else:
        method = call.store.payment_methods.get(name, "payment_method")
    if method["customer"]:
        raise ApiError("This PaymentMethod has already been attached to a customer.", param="payment_method")
    _check_attachable(last4(method))
    call.store.payment_methods.move(method, customer)
    emit(call, "payment_method.attached", method)
    return method


def _check_attachable(digits: str) -> None:
    decline = test_cards.decline_of(digits)
    if decline and not decline.is_attachable:
        raise decline.error()


def last4(method: StripeObject) -> str:
    """Return the digits that tell one test card from another; empty for what is no card."""
    return str(method["card"]["last4"]) if method["type"] == "card" else ""


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


def default_of(call: Call, subscription: StripeObject) -> str | None:
    """Return the id of what is charged for a subscription: its own payment method, or the customer's default."""
    customer = call.store.customers.get(subscription["customer"])
    default: str | None = (
        subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    )
    return default
