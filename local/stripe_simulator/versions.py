"""Versions of the API: what each release changed, and how today's objects and requests looked before it.

Handlers know today's form alone. What an older version gets is made of it release by release, newest first, and what an
older version sends is brought into today's form, oldest first; this is how Stripe describes its own versioning
(stripe.com/blog/api-versioning). The source of the table is the changelog of stripe-node, which names the version of
each change, and docs.stripe.com/changelog where a comment says so.

A field that a release added is left out of older versions, as their documentation has it. Stripe itself shows some of
them there (`billing_mode`, `customer_account` and the periods of items have been seen at 2024-06-20): the fault
`newer_fields` keeps them.
"""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from stripe.params import WebhookEndpointCreateParams

from local.stripe_simulator.errors import ApiError, missing, not_implemented, unknown
from local.stripe_simulator.parameters import Tree, literals_of
from local.stripe_simulator.plans import plan_of
from local.stripe_simulator.store import Store, StripeObject

CURRENT = "2026-10-28.endive"

# `features.subscription_pause` of portal configurations was taken out at the first and came back at the second.
PORTAL_PAUSE_REMOVED = "2024-04-10"
PORTAL_PAUSE_RETURNED = "2026-10-28"


@cache
def known_versions() -> frozenset[str]:
    """Return every version of the API that a webhook endpoint may be created with."""
    return frozenset(literals_of(WebhookEndpointCreateParams, "api_version"))


def requested(header: str | None) -> str:
    """Return the version of a request: its `Stripe-Version` header, or the account's default."""
    version = header or CURRENT
    if version not in known_versions():
        raise ApiError(f"Invalid Stripe API version: {version}")
    return version


def before(version: str, release: str) -> bool:
    """Whether a version is older than a release, which a date or a whole version names."""
    return version[:10] < release[:10]


# From (an object on its way to the older form, the same object as it is today, the account's objects).
Older = Callable[[StripeObject, StripeObject, Store], None]


# From (the parameters of an older version, which it changes, the account's objects).
Request = Callable[[Tree, Store], None]


@dataclass(frozen=True)
class Release:
    """What one version of the API changed.

    `added` are fields by the kind of object, and `parameters` by operation: separated by blanks, with `a.b` for b in a,
    in lists too; `*` is any object or operation. `older` gives an object fields from before; of these, `held` names
    those that hold objects, with the kind of object. `request` brings the parameters of an older version into this
    one's form. `routes` are operations that did not exist before.
    """

    version: str
    added: Mapping[str, str] = field(default_factory=dict)
    older: Mapping[str, Older] = field(default_factory=dict)
    held: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    request: Mapping[str, Request] = field(default_factory=dict)
    routes: frozenset[str] = frozenset()


# What objects looked like.


def _single_plan(node: StripeObject, today: StripeObject, _: Store) -> None:
    """Add the plan and quantity of a single item: no type has named them since 2020, payloads go on carrying them."""
    items = today["items"]["data"]
    node["plan"] = copy.deepcopy(items[0]["plan"]) if len(items) == 1 else None
    node["quantity"] = items[0].get("quantity") if len(items) == 1 else None


_OLD_UI_MODES = {"elements": "custom", "embedded_page": "embedded", "hosted_page": "hosted"}


def _old_ui_mode(node: StripeObject, today: StripeObject, _: Store) -> None:
    node["ui_mode"] = _OLD_UI_MODES.get(today["ui_mode"], today["ui_mode"])


def _discount_with_coupon(node: StripeObject, today: StripeObject, store: Store) -> None:
    node["coupon"] = _whole(today["source"]["coupon"], today["start"], store)


def _promotion_code_with_coupon(node: StripeObject, today: StripeObject, store: Store) -> None:
    node["coupon"] = _whole(today["promotion"]["coupon"], today["created"], store)


def _whole(coupon: str | StripeObject, redeemed: int, store: Store) -> StripeObject | None:
    """Return a coupon that is given by its id, or whole because the request expanded it."""
    return copy.deepcopy(store.redeemed_coupon(coupon, redeemed) if isinstance(coupon, str) else coupon)


def _period_and_discount(node: StripeObject, today: StripeObject, store: Store) -> None:
    """Add the billing period and the first discount.

    Of items with different periods it is the latest start and the earliest end: the list filters of these names have
    meant these since (docs.stripe.com/changelog/basil/2025-03-31/deprecate-subscription-current-period-start-and-end).
    """
    items = today["items"]["data"]
    node["current_period_start"] = max((item["current_period_start"] for item in items), default=None)
    node["current_period_end"] = min((item["current_period_end"] for item in items), default=None)
    _single_discount(node, today, store)
    _with_thresholds(node, today, store)


def _single_discount(node: StripeObject, today: StripeObject, store: Store) -> None:
    first = next(iter(today["discounts"]), None)
    node["discount"] = copy.deepcopy(store.discounts.find(first)) if isinstance(first, str) else copy.deepcopy(first)


def _with_thresholds(node: StripeObject, today: StripeObject, _: Store) -> None:
    """Bring back what was taken out for two months."""
    node["billing_thresholds"] = today["billing_thresholds"]


def _schedule_with_thresholds(node: StripeObject, today: StripeObject, _: Store) -> None:
    node["default_settings"]["billing_thresholds"] = today["default_settings"]["billing_thresholds"]
    for phase, todays in zip(node["phases"], today["phases"], strict=True):
        phase["billing_thresholds"], phase["coupon"] = todays["billing_thresholds"], None
        for item in phase["items"]:
            item["billing_thresholds"] = None


def _invoice_before_basil(node: StripeObject, today: StripeObject, store: Store) -> None:
    """Add what `parent`, `payments` and `total_taxes` took the place of."""
    details = (today.get("parent") or {}).get("subscription_details") or {}
    node["subscription"] = details.get("subscription")
    node["subscription_details"] = {"metadata": details.get("metadata")} if details else {"metadata": None}
    node["paid"] = today["status"] == "paid"
    node |= dict.fromkeys(("application_fee_amount", "charge", "payment_intent", "quote", "transfer_data"))
    node |= {"paid_out_of_band": False, "total_tax_amounts": []}
    taxes = [tax["amount"] for tax in today.get("total_taxes") or []]
    node["tax"] = sum(taxes) if taxes else None
    _single_discount(node, today, store)


def _line_before_basil(node: StripeObject, today: StripeObject, store: Store) -> None:
    """Add what `parent`, `pricing` and `taxes` took the place of."""
    parent = today["parent"] or {}
    of_item = parent.get("subscription_item_details")
    details = of_item or parent.get("invoice_item_details") or {}
    name = ((today["pricing"] or {}).get("price_details") or {}).get("price")
    price = store.prices.find(name) if isinstance(name, str) else name
    node["price"] = copy.deepcopy(price)
    node["plan"] = plan_of(price) if price and price["recurring"] else None
    node["type"] = "subscription" if of_item else "invoiceitem"
    node |= {"proration": bool(details.get("proration")), "proration_details": details.get("proration_details")}
    node["proration_details"] = node["proration_details"] or {"credited_items": None}
    for field_name in ("invoice_item", "subscription_item"):
        if details.get(field_name):
            node[field_name] = details[field_name]
    node |= {"amount_excluding_tax": today["amount"], "tax_amounts": [], "tax_rates": []}
    node["unit_amount_excluding_tax"] = (today["pricing"] or {}).get("unit_amount_decimal")


def _with_aggregate_usage(node: StripeObject, today: StripeObject, _: Store) -> None:
    """Add how metered usage was summed up: `sum` was the default."""
    holder, todays = (node.get("recurring"), today.get("recurring")) if today["object"] == "price" else (node, today)
    if holder is not None and todays is not None:
        is_summed = todays["usage_type"] == "metered" and not todays.get("meter")
        holder["aggregate_usage"] = "sum" if is_summed else None


def _old_pause_feature(node: StripeObject, today: StripeObject, _: Store) -> None:
    node["features"]["subscription_pause"] = {"enabled": today["features"]["subscription_pause"]["enabled"]}


def _product_with_features(node: StripeObject, today: StripeObject, _: Store) -> None:
    node["features"] = copy.deepcopy(today["marketing_features"])


def _with_tax_percent(node: StripeObject, _: StripeObject, __: Store) -> None:
    node["tax_percent"] = None


def _phases_with_plans(node: StripeObject, today: StripeObject, _: Store) -> None:
    for phase, todays in zip(node["phases"], today["phases"], strict=True):
        phase["plans"], phase["tax_percent"] = copy.deepcopy(todays["items"]), None
        del phase["items"]


def _with_billing_and_start(node: StripeObject, today: StripeObject, _: Store) -> None:
    """Add both old names; `start` was when the present plan began, which the simulator does not keep."""
    node["billing"] = today["collection_method"]
    if "start_date" in today:
        node["start"] = today["start_date"]


def _schedule_with_billing(node: StripeObject, today: StripeObject, _: Store) -> None:
    node["billing"] = today["default_settings"]["collection_method"]


# What requests looked like.


def _anchor_into_hash(tree: Tree, _: Store) -> None:
    anchor = tree.get("billing_cycle_anchor")
    if isinstance(anchor, dict):
        raise ApiError(f"Invalid string: {anchor}", param="billing_cycle_anchor")
    if anchor is not None:
        tree["billing_cycle_anchor"] = {"type": anchor}


def _without_card(tree: Tree, _: Store) -> None:
    """Take out `payment_method_types`, which this release replaced, where they say what the simulator does anyway."""
    kinds = tree.pop("payment_method_types", {})
    if kinds and list(kinds.values()) != ["card"]:
        raise not_implemented("payment_method_types")


def _classic_by_default(tree: Tree, _: Store) -> None:
    """New subscriptions were classic (docs.stripe.com/changelog/clover/2025-09-30/billing-mode-default-flexible)."""
    tree.setdefault("billing_mode", {"type": "classic"})


def _checkout_classic_by_default(tree: Tree, store: Store) -> None:
    if tree.get("mode") == "subscription":
        _classic_by_default(tree.setdefault("subscription_data", {}), store)


def _coupon_into_promotion(tree: Tree, _: Store) -> None:
    if "coupon" not in tree:
        raise missing("coupon")
    tree["promotion"] = {"type": "coupon", "coupon": tree.pop("coupon")}


def _coupon_into_discounts(tree: Tree, _: Store) -> None:
    for name in ("coupon", "promotion_code"):
        if name in tree:
            given = tree.pop(name)
            tree["discounts"] = {"0": {name: given}} if given else ""


def _cancel_at_is_a_time(tree: Tree, _: Store) -> None:
    given = tree.get("cancel_at")
    if given in {"max_period_end", "min_period_end"}:
        raise ApiError(f"Invalid integer: {given}", code="parameter_invalid_integer", param="cancel_at")


def _features_into_marketing(tree: Tree, _: Store) -> None:
    if "features" in tree:
        tree["marketing_features"] = tree.pop("features")


_ITERATIONS = re.compile(r"[1-9][0-9]{0,3}")


def _iterations_into_duration(tree: Tree, store: Store) -> None:
    """Count a phase in intervals of its first price, instead of in iterations of it."""
    phases = tree.get("phases")
    for phase in phases.values() if isinstance(phases, dict) else ():
        if not isinstance(phase, dict) or "iterations" not in phase:
            continue
        items: Tree = phase.get("items") or {}
        item: Tree = next(iter(items.values()), {})
        price = store.prices.find(item.get("price") or item.get("plan") or "")
        iterations = phase.pop("iterations")
        if not price or not price["recurring"] or not _ITERATIONS.fullmatch(str(iterations)):
            raise ApiError(f"Invalid integer: {iterations}", code="parameter_invalid_integer", param="phases")
        count = int(iterations) * price["recurring"]["interval_count"]
        phase["duration"] = {"interval": price["recurring"]["interval"], "interval_count": str(count)}


def _no_flow(kind: str) -> Request:
    def check(tree: Tree, _: Store) -> None:
        flow = tree.get("flow_data")
        if isinstance(flow, dict) and flow.get("type") == kind:
            raise ApiError(f"Invalid flow_data[type]: {kind}", param="flow_data[type]")

    return check


_SUBSCRIPTION, _SUBSCRIPTIONS = "POST /v1/subscriptions/{id}", "POST /v1/subscriptions"
_SCHEDULE, _SCHEDULES = "POST /v1/subscription_schedules/{id}", "POST /v1/subscription_schedules"
_CONFIGURATION, _CONFIGURATIONS = (
    "POST /v1/billing_portal/configurations/{id}",
    "POST /v1/billing_portal/configurations",
)
_PORTAL_SESSIONS, _CHECKOUT_SESSIONS = "POST /v1/billing_portal/sessions", "POST /v1/checkout/sessions"
_PRODUCT, _PRODUCTS = "POST /v1/products/{id}", "POST /v1/products"
_RESUME = "POST /v1/subscriptions/{id}/resume"


def _both(first: str, second: str, value: Any) -> dict[str, Any]:
    return {first: value, second: value}


_CANCEL_FEATURE, _UPDATE_FEATURE = "features.subscription_cancel", "features.subscription_update"

# Newest first.
RELEASES = (
    Release(
        "2026-10-28.endive",
        added={
            "billing_portal.configuration": "features.subscription_pause",
            "billing_portal.session": "after_expiration flow.subscription_pause",
        },
        parameters={_PORTAL_SESSIONS: "after_expiration flow_data.subscription_pause"},
        request={_PORTAL_SESSIONS: _no_flow("subscription_pause")},
    ),
    Release(
        "2026-09-30.endive",
        added={
            "checkout.session": "allowed_payment_method_types",
            "invoice": "status_details",
            "subscription": """
                status_details trial_settings.end_behavior.billing_cycle_anchor pending_update.cancel_at_period_end
            """,
            "subscription_item": "current_trial",
            "subscription_schedule": "pause_schedules",
        },
        older={"subscription": _single_plan},
        held={"subscription": {"plan": "plan"}},
        parameters={
            _SUBSCRIPTIONS: "items.current_trial trial_settings.end_behavior.billing_cycle_anchor",
            _SUBSCRIPTION: "items.current_trial trial_settings.end_behavior.billing_cycle_anchor",
            _RESUME: "payment_behavior",
            _SCHEDULES: "pause_schedules",
            _SCHEDULE: "pause_schedules",
            _CHECKOUT_SESSIONS: "allowed_payment_method_types",
        },
        request={
            **_both(_SUBSCRIPTION, _RESUME, _anchor_into_hash),
            _CHECKOUT_SESSIONS: _without_card,
        },
        routes=frozenset({"POST /v1/subscriptions/{id}/pause"}),
    ),
    Release(
        "2026-08-26.dahlia",
        added={
            "billing_portal.configuration": f"{_CANCEL_FEATURE}.cancellation_reason.feedback_options",
            "billing_portal.session": "flow.customer_update",
            "subscription": "cancellation_details.feedback_option",
        },
        parameters={
            **_both(_CONFIGURATION, _CONFIGURATIONS, f"{_CANCEL_FEATURE}.cancellation_reason.feedback_options"),
            **_both(_SUBSCRIPTION, "DELETE /v1/subscriptions/{id}", "cancellation_details.feedback_option"),
        },
        request={_PORTAL_SESSIONS: _no_flow("customer_update")},
    ),
    Release(
        "2026-07-29.dahlia",
        added={
            "subscription_schedule": """
                default_settings.invoice_settings.custom_fields default_settings.invoice_settings.description
                default_settings.invoice_settings.footer phases.trial
            """,
        },
    ),
    Release(
        "2026-06-24.dahlia",
        added={
            "subscription": """
                invoice_settings.custom_fields invoice_settings.description invoice_settings.footer
            """,
        },
    ),
    Release(
        "2026-05-27.dahlia",
        added={
            "invoice": "amount_paid_off_stripe",
            "subscription": """
                billing_schedules pending_update.discount pending_update.discounts pending_update.metadata
            """,
            "subscription_item": "billed_until",
        },
        parameters=_both(_SUBSCRIPTION, _SUBSCRIPTIONS, "billing_schedules"),
    ),
    Release(
        "2026-04-22.dahlia",
        added={"checkout.session": "managed_payments", "subscription": "managed_payments"},
        parameters={_CHECKOUT_SESSIONS: "managed_payments"},
    ),
    Release(
        "2026-03-25.dahlia",
        added={"checkout.session": "integration_identifier"},
        older={"checkout.session": _old_ui_mode},
        parameters={_CHECKOUT_SESSIONS: "integration_identifier"},
    ),
    Release(
        "2025-12-15.clover",
        added={"*": "customer_account", "billing_portal.configuration": f"{_UPDATE_FEATURE}.billing_cycle_anchor"},
        parameters={
            "*": "customer_account",
            **_both(_CONFIGURATION, _CONFIGURATIONS, f"{_UPDATE_FEATURE}.billing_cycle_anchor"),
        },
    ),
    Release(
        "2025-11-17.clover",
        added={"billing_portal.configuration": "features.payment_method_update.payment_method_configuration"},
    ),
    Release(
        "2025-10-29.clover",
        parameters=_both(
            _CONFIGURATION, _CONFIGURATIONS, "features.payment_method_update.payment_method_configuration"
        ),
    ),
    Release(
        "2025-09-30.clover",
        added={
            "billing_portal.configuration": f"{_UPDATE_FEATURE}.trial_update_behavior",
            "checkout.session": """
                branding_settings customer_details.business_name customer_details.individual_name
                excluded_payment_method_types name_collection
            """,
            "customer": "business_name individual_name",
            "discount": "source",
            "promotion_code": "promotion",
            "subscription": "billing_mode.flexible",
            "subscription_schedule": "billing_mode.flexible",
        },
        older={"discount": _discount_with_coupon, "promotion_code": _promotion_code_with_coupon},
        held={"discount": {"coupon": "coupon"}, "promotion_code": {"coupon": "coupon"}},
        parameters={
            **_both(_CONFIGURATION, _CONFIGURATIONS, f"{_UPDATE_FEATURE}.trial_update_behavior"),
            **_both("POST /v1/customers", "POST /v1/customers/{id}", "business_name individual_name"),
            _SUBSCRIPTIONS: "billing_mode.flexible",
            "POST /v1/promotion_codes": "promotion",
        },
        request={
            _SUBSCRIPTIONS: _classic_by_default,
            _CHECKOUT_SESSIONS: _checkout_classic_by_default,
            **_both(_SCHEDULE, _SCHEDULES, _iterations_into_duration),
            "POST /v1/promotion_codes": _coupon_into_promotion,
        },
    ),
    Release(
        "2025-08-27.basil",
        added={"billing_portal.configuration": "name"},
        parameters=_both(_CONFIGURATION, _CONFIGURATIONS, "name"),
    ),
    Release(
        "2025-07-30.basil",
        added={
            "billing_portal.configuration": f"{_UPDATE_FEATURE}.products.adjustable_quantity",
            "checkout.session": "origin_context",
        },
        parameters={
            **_both(_CONFIGURATION, _CONFIGURATIONS, f"{_UPDATE_FEATURE}.products.adjustable_quantity"),
            _SCHEDULE: "phases.duration",
        },
        request=_both(_SUBSCRIPTION, _SUBSCRIPTIONS, _cancel_at_is_a_time),
    ),
    Release(
        "2025-06-30.basil",
        added={"subscription": "billing_mode", "subscription_schedule": "billing_mode"},
        parameters={
            **_both(_SUBSCRIPTIONS, _SCHEDULES, "billing_mode"),
            _CHECKOUT_SESSIONS: "subscription_data.billing_mode",
        },
        routes=frozenset({"POST /v1/subscriptions/{id}/migrate"}),
    ),
    Release(
        "2025-05-28.basil",
        added={
            **_both("subscription", "subscription_item", "billing_thresholds"),
            "subscription_schedule": """
                default_settings.billing_thresholds phases.billing_thresholds phases.items.billing_thresholds
            """,
        },
    ),
    Release(
        "2025-04-30.basil",
        added={"checkout.session": "automatic_tax.provider wallet_options", "invoice": "automatic_tax.provider"},
    ),
    Release(
        "2025-03-31.basil",
        added={
            "checkout.session": "permissions",
            "invoice": "amount_overpaid confirmation_secret parent payments total_taxes",
            "line_item": "parent pricing taxes",
            "subscription_item": "current_period_end current_period_start",
        },
        older={
            "invoice": _invoice_before_basil,
            "line_item": _line_before_basil,
            **_both("plan", "price", _with_aggregate_usage),
            "subscription": _period_and_discount,
            "subscription_item": _with_thresholds,
            "subscription_schedule": _schedule_with_thresholds,
        },
        held={
            "invoice": {name: name for name in ("charge", "discount", "payment_intent", "quote", "subscription")},
            "line_item": {"plan": "plan", "price": "price"},
            "subscription": {"discount": "discount"},
        },
        request=_both(_SUBSCRIPTION, _SUBSCRIPTIONS, _coupon_into_discounts),
    ),
    Release("2025-01-27.acacia", added={"checkout.session": "discounts"}),
    Release(
        "2024-12-18.acacia",
        added={
            "invoice": "automatic_tax.disabled_reason",
            "subscription": "automatic_tax.disabled_reason",
            "subscription_schedule": "default_settings.automatic_tax.disabled_reason",
        },
    ),
    Release("2024-11-20.acacia", added={"checkout.session": "adaptive_pricing"}),
    Release(
        "2024-10-28.acacia",
        added={"billing_portal.configuration": f"{_UPDATE_FEATURE}.schedule_at_period_end"},
        parameters=_both(_CONFIGURATION, _CONFIGURATIONS, f"{_UPDATE_FEATURE}.schedule_at_period_end"),
    ),
    Release(
        "2024-09-30.acacia",
        routes=frozenset(
            {
                *(f"GET /v2/core/{path}" for path in ("events", "events/{id}")),
                *(f"{method} /v2/core/event_destinations" for method in ("GET", "POST")),
                *(f"{method} /v2/core/event_destinations/{{id}}" for method in ("DELETE", "GET", "POST")),
                *(f"POST /v2/core/event_destinations/{{id}}/{verb}" for verb in ("disable", "enable", "ping")),
            }
        ),
    ),
    Release(
        "2024-04-10",
        added={"product": "marketing_features"},
        older={"billing_portal.configuration": _old_pause_feature, "product": _product_with_features},
        parameters=_both(_PRODUCT, _PRODUCTS, "marketing_features"),
        request=_both(_PRODUCT, _PRODUCTS, _features_into_marketing),
    ),
    # docs.stripe.com/changelog/2020-08-27; search needs it (docs.stripe.com/search).
    Release(
        "2020-08-27",
        added={"subscription_item": "price"},
        older={
            **_both("invoice", "subscription", _with_tax_percent),
            "subscription_schedule": _phases_with_plans,
        },
        routes=frozenset({"GET /v1/customers/search", "GET /v1/subscriptions/search"}),
    ),
    # docs.stripe.com/changelog/2019-10-17.
    Release(
        "2019-10-17",
        older={
            **_both("invoice", "subscription", _with_billing_and_start),
            "subscription_schedule": _schedule_with_billing,
        },
    ),
)


def has_route(operation: str, version: str) -> bool:
    """Whether a version has an operation, such as `POST /v1/subscriptions/{id}/pause`."""
    return not any(operation in release.routes for release in _newer(version))


def todays_parameters(tree: Tree, operation: str, version: str, store: Store) -> None:
    """Bring a request of an older version into today's form; raises Stripe's errors for what it does not have yet."""
    for release in _newer(version):
        for scope in ("*", operation):
            for path in release.parameters.get(scope, "").split():
                param = _given(tree, path.split("."), "")
                if param:
                    raise unknown(param)
    for release in reversed(_newer(version)):
        if operation in release.request:
            release.request[operation](tree, store)


def held_before(version: str, kind: str, name: str) -> str | None:
    """Return the kind of object that a field held which only older versions have, if this is one."""
    found = (release.held.get(kind, {}).get(name) for release in _newer(version))
    return next((held for held in found if held), None)


@cache
def _newer(version: str) -> tuple[Release, ...]:
    """Return the releases after a version, newest first."""
    return tuple(release for release in RELEASES if before(version, release.version))


def _given(tree: Any, parts: list[str], param: str) -> str | None:
    """Return the full name of a parameter, if it is given; positions of lists are passed over."""
    if not parts:
        return param
    if not isinstance(tree, dict):
        return None
    name, *rest = parts
    if name in tree:
        return _given(tree[name], rest, f"{param}[{name}]" if param else name)
    places = (_given(inner, parts, f"{param}[{key}]") for key, inner in tree.items() if key.isdigit())
    return next((found for found in places if found), None)


Shape = Callable[[Any], Any]


def shape_of(version: str, store: Store, *, newer_fields: bool = False) -> Shape:
    """Return the function that turns today's objects into those of a version, in lists and inside others too.

    Events stay as they are, because Stripe never renders them again.
    """
    newer = _newer(version)

    def shape(node: Any) -> Any:
        if isinstance(node, list):
            return [shape(one) for one in node]
        if not isinstance(node, dict) or node.get("object") == "event":
            return node
        kind = node.get("object")
        if isinstance(kind, str) and not node.get("deleted"):
            node = _older_form(node, kind)
        return {name: shape(value) for name, value in node.items()}

    def _older_form(today: StripeObject, kind: str) -> StripeObject:
        node = copy.deepcopy(today)
        for release in newer:
            if not newer_fields:
                for path in f"{release.added.get('*', '')} {release.added.get(kind, '')}".split():
                    _leave_out(node, path.split("."))
            if kind in release.older:
                release.older[kind](node, today, store)
        return node

    return shape if newer else _unchanged


def _unchanged(node: Any) -> Any:
    return node


def _leave_out(node: Any, parts: list[str]) -> None:
    if isinstance(node, list):
        for one in node:
            _leave_out(one, parts)
    elif isinstance(node, dict) and len(parts) == 1:
        node.pop(parts[0], None)
    elif isinstance(node, dict):
        _leave_out(node.get(parts[0]), parts[1:])
