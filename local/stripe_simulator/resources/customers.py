"""Customers, with their cards and default payment method."""

from typing import Any

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.limits import MOST_AT_TEST_CLOCK
from local.stripe_simulator.parameters import apply_fields, full_address
from local.stripe_simulator.resources import payment_methods
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.resources.status import ENDED
from local.stripe_simulator.search import search
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id, token

_FIELDS = (
    "address",
    "balance",
    "business_name",
    "description",
    "email",
    "individual_name",
    "name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
    "invoice_prefix",
    "next_invoice_sequence",
)

# These are left out as long as nobody has set them.
_ABSENT = {"business_name", "individual_name"}


def _blank(call: Call) -> StripeObject:
    nulls = ("currency", "customer_account", "default_source", "discount", "test_clock")
    invoice_settings = ("custom_fields", "default_payment_method", "footer", "rendering_options")
    return (
        {"id": new_id("cus"), "object": "customer"}
        | dict.fromkeys((*(name for name in _FIELDS if name not in _ABSENT), *nulls))
        | {
            "balance": 0,
            "created": call.now,
            "delinquent": False,
            "invoice_prefix": token(8).upper(),
            "invoice_settings": dict.fromkeys(invoice_settings),
            "livemode": False,
            "metadata": {},
            "next_invoice_sequence": 1,
            "preferred_locales": [],
            "tax_exempt": "none",
        }
    )


def create(call: Call) -> StripeObject:
    """`POST /v1/customers`; `payment_method` and `source` give it a card at once."""
    customer = _blank(call)
    if "test_clock" in call.params:
        customer["test_clock"] = call.store.test_clocks.get(call.params["test_clock"], "test_clock")["id"]
        others = sum(one["test_clock"] == customer["test_clock"] for one in call.store.customers)
        if others >= MOST_AT_TEST_CLOCK:
            raise ApiError(f"A test clock can have at most {MOST_AT_TEST_CLOCK} customers.", param="test_clock")
    _apply_details(call, customer)
    settings = dict(call.params.get("invoice_settings", {}))
    card = call.params.get("payment_method") or call.params.get("source")
    default = settings.get("default_payment_method")
    if default and default != card:
        # Before anything is attached, because a refused request changes nothing.
        payment_methods.require_attached(call, default, customer["id"], "invoice_settings[default_payment_method]")
    call.store.customers.add(customer)
    if card:
        attached = payment_methods.attach(call.about(card, customer=customer["id"]))
        # A request may attach `pm_card_visa` and name it as the default too: both mean the card just made.
        if settings.get("default_payment_method", card) == card:
            settings["default_payment_method"] = attached["id"]
    _apply_invoice_settings(call, customer, settings)
    emit(call, "customer.created", customer)
    return customer


def update(call: Call) -> StripeObject:
    """`POST /v1/customers/{id}`."""
    customer = call.store.customers.get(call.ids["id"])
    before, changed = snapshot(customer), snapshot(customer)
    _apply_invoice_settings(call, changed, call.params.get("invoice_settings", {}))
    _apply_details(call, changed)
    customer.clear()
    customer.update(changed)
    emit_update(call, "customer.updated", before, customer)
    return customer


def _apply_details(call: Call, customer: StripeObject) -> None:
    apply_fields(customer, call.params, _FIELDS)
    for name in _ABSENT:
        if customer.get(name, "") is None:
            del customer[name]
    if "address" in call.params:
        customer["address"] = full_address(call.params["address"])
    if call.params.get("shipping"):
        given = call.params["shipping"]
        customer["shipping"] = {"phone": None, **given, "address": full_address(given["address"])}


def _apply_invoice_settings(call: Call, customer: StripeObject, settings: dict[str, Any]) -> None:
    default = settings.get("default_payment_method")
    if default:
        payment_methods.require_attached(call, default, customer["id"], "invoice_settings[default_payment_method]")
    apply_fields(customer["invoice_settings"], settings, ("custom_fields", "default_payment_method", "footer"))


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/customers/{id}`; a deleted one leaves a stub."""
    deleted = call.simulator.deleted_customers.get(call.ids["id"])
    return deleted or call.store.customers.get(call.ids["id"])


def list_customers(call: Call) -> StripeObject:
    """`GET /v1/customers`, by exact e-mail address and time; those of a test clock only when it is named."""
    email, clock = call.params.get("email"), call.params.get("test_clock")

    def keep(one: StripeObject) -> bool:
        return email in {None, one["email"]} and one["test_clock"] == clock

    return list_page(call.store.customers, call.params, "/v1/customers", keep)


def search_customers(call: Call) -> StripeObject:
    """`GET /v1/customers/search`."""
    return search(call, call.store.customers, "customers")


def delete(call: Call) -> StripeObject:
    """`DELETE /v1/customers/{id}`; its subscriptions are canceled first."""
    from local.stripe_simulator.resources import subscriptions  # noqa: PLC0415 - subscriptions themselves read customers

    customer = call.store.customers.get(call.ids["id"])
    for subscription in call.store.subscriptions.of_customer(customer["id"]):
        if subscription["status"] not in ENDED:
            subscriptions.cancel(call.about(subscription["id"]))
    call.store.customers.remove(customer["id"])
    stub = {"id": customer["id"], "object": "customer", "deleted": True}
    call.simulator.deleted_customers[customer["id"]] = stub
    emit(call, "customer.deleted", customer)
    return stub
