"""The API under `/v1`: its table of routes, and the way of a request from its key to its response."""

import asyncio
import base64
import binascii
import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import stripe.params as api
from starlette.requests import Request
from starlette.responses import Response
from stripe.params import billing_portal as portal
from stripe.params import checkout, test_helpers
from stripe.params import entitlements as entitled
from stripe.params.v2 import core as v2

from local.stripe_simulator import checkout as checkout_sessions
from local.stripe_simulator import operations, parameters, versions
from local.stripe_simulator.errors import ApiError, not_implemented_operation, unrecognized
from local.stripe_simulator.expansion import check_paths, expand
from local.stripe_simulator.implemented import check_implemented
from local.stripe_simulator.limits import check_limits
from local.stripe_simulator.parameters import Tree, decode, from_json
from local.stripe_simulator.portal import configurations as portal_configurations
from local.stripe_simulator.portal import sessions as portal_sessions
from local.stripe_simulator.resources import (
    account,
    catalog,
    customers,
    entitlements,
    event_destinations,
    events,
    invoice_requests,
    invoices,
    payment_methods,
    product_features,
    subscription_changes,
    subscription_items,
    subscription_schedules,
    subscriptions,
    test_clocks,
    thin_events,
    webhook_endpoints,
)
from local.stripe_simulator.resources.passing_time import advance
from local.stripe_simulator.simulator import Call, KeyInUse, Simulator, StoredResponse
from local.stripe_simulator.store import StripeObject

Handler = Callable[[Call], StripeObject]


@dataclass(frozen=True)
class ApiRoute:
    """One operation of the API."""

    method: str
    path: str
    handler: Handler
    shape: type
    version: str = "v1"

    @property
    def name(self) -> str:
        """The name in request counts and rate limits."""
        return f"{self.method} /{self.version}/{self.path}"

    @property
    def collection(self) -> str:
        """The objects that it is about, such as `billing_portal/configurations`."""
        return self.path.partition("/{id}")[0]


ROUTES = [
    ApiRoute("GET", "account", account.retrieve, api.AccountRetrieveCurrentParams),
    ApiRoute("GET", "balance", account.balance, api.BalanceRetrieveParams),
    ApiRoute("POST", "customers", customers.create, api.CustomerCreateParams),
    ApiRoute("GET", "customers", customers.list_customers, api.CustomerListParams),
    ApiRoute("GET", "customers/search", customers.search_customers, api.CustomerSearchParams),
    ApiRoute("GET", "customers/{id}", customers.retrieve, api.CustomerRetrieveParams),
    ApiRoute("POST", "customers/{id}", customers.update, api.CustomerUpdateParams),
    ApiRoute("DELETE", "customers/{id}", customers.delete, api.CustomerDeleteParams),
    ApiRoute(
        "GET", "customers/{id}/payment_methods", payment_methods.list_methods, api.CustomerPaymentMethodListParams
    ),
    ApiRoute("POST", "payment_methods", payment_methods.create, api.PaymentMethodCreateParams),
    ApiRoute("GET", "payment_methods", payment_methods.list_methods, api.PaymentMethodListParams),
    ApiRoute("GET", "payment_methods/{id}", payment_methods.retrieve, api.PaymentMethodRetrieveParams),
    ApiRoute("POST", "payment_methods/{id}/attach", payment_methods.attach, api.PaymentMethodAttachParams),
    ApiRoute("POST", "payment_methods/{id}/detach", payment_methods.detach, api.PaymentMethodDetachParams),
    ApiRoute("POST", "products", catalog.create_product, api.ProductCreateParams),
    ApiRoute("GET", "products", catalog.list_products, api.ProductListParams),
    ApiRoute("GET", "products/search", catalog.search_products, api.ProductSearchParams),
    ApiRoute("GET", "products/{id}", catalog.retrieve_product, api.ProductRetrieveParams),
    ApiRoute("POST", "products/{id}", catalog.update_product, api.ProductUpdateParams),
    ApiRoute("DELETE", "products/{id}", catalog.delete_product, api.ProductDeleteParams),
    ApiRoute("POST", "products/{id}/features", product_features.create, api.ProductCreateFeatureParams),
    ApiRoute("GET", "products/{id}/features", product_features.list_features, api.ProductListFeaturesParams),
    ApiRoute("GET", "products/{id}/features/{feature}", product_features.retrieve, api.ProductRetrieveFeatureParams),
    ApiRoute("DELETE", "products/{id}/features/{feature}", product_features.delete, api.ProductDeleteFeatureParams),
    ApiRoute("POST", "entitlements/features", entitlements.create_feature, entitled.FeatureCreateParams),
    ApiRoute("GET", "entitlements/features", entitlements.list_features, entitled.FeatureListParams),
    ApiRoute("GET", "entitlements/features/{id}", entitlements.retrieve_feature, entitled.FeatureRetrieveParams),
    ApiRoute("POST", "entitlements/features/{id}", entitlements.update_feature, entitled.FeatureUpdateParams),
    ApiRoute(
        "GET",
        "entitlements/active_entitlements",
        entitlements.list_entitlements,
        entitled.ActiveEntitlementListParams,
    ),
    ApiRoute(
        "GET",
        "entitlements/active_entitlements/{id}",
        entitlements.retrieve_entitlement,
        entitled.ActiveEntitlementRetrieveParams,
    ),
    ApiRoute("POST", "prices", catalog.create_price, api.PriceCreateParams),
    ApiRoute("GET", "prices", catalog.list_prices, api.PriceListParams),
    ApiRoute("GET", "prices/search", catalog.search_prices, api.PriceSearchParams),
    ApiRoute("GET", "prices/{id}", catalog.retrieve_price, api.PriceRetrieveParams),
    ApiRoute("POST", "prices/{id}", catalog.update_price, api.PriceUpdateParams),
    ApiRoute("POST", "coupons", catalog.create_coupon, api.CouponCreateParams),
    ApiRoute("GET", "coupons", catalog.list_coupons, api.CouponListParams),
    ApiRoute("GET", "coupons/{id}", catalog.retrieve_coupon, api.CouponRetrieveParams),
    ApiRoute("POST", "coupons/{id}", catalog.update_coupon, api.CouponUpdateParams),
    ApiRoute("DELETE", "coupons/{id}", catalog.delete_coupon, api.CouponDeleteParams),
    ApiRoute("GET", "promotion_codes", catalog.list_promotion_codes, api.PromotionCodeListParams),
    ApiRoute("GET", "promotion_codes/{id}", catalog.retrieve_promotion_code, api.PromotionCodeRetrieveParams),
    ApiRoute("POST", "promotion_codes/{id}", catalog.update_promotion_code, api.PromotionCodeUpdateParams),
    ApiRoute("POST", "promotion_codes", catalog.create_promotion_code, api.PromotionCodeCreateParams),
    ApiRoute("POST", "subscriptions", subscriptions.create, api.SubscriptionCreateParams),
    ApiRoute("GET", "subscriptions", subscriptions.list_subscriptions, api.SubscriptionListParams),
    ApiRoute("GET", "subscriptions/search", subscriptions.search_subscriptions, api.SubscriptionSearchParams),
    ApiRoute("GET", "subscriptions/{id}", subscriptions.retrieve, api.SubscriptionRetrieveParams),
    ApiRoute("POST", "subscriptions/{id}", subscription_changes.update, api.SubscriptionUpdateParams),
    ApiRoute("DELETE", "subscriptions/{id}", subscriptions.cancel, api.SubscriptionCancelParams),
    ApiRoute("POST", "subscription_items", subscription_items.create, api.SubscriptionItemCreateParams),
    ApiRoute("GET", "subscription_items", subscription_items.list_items, api.SubscriptionItemListParams),
    ApiRoute("GET", "subscription_items/{id}", subscription_items.retrieve, api.SubscriptionItemRetrieveParams),
    ApiRoute("POST", "subscription_items/{id}", subscription_items.update, api.SubscriptionItemUpdateParams),
    ApiRoute("DELETE", "subscription_items/{id}", subscription_items.delete, api.SubscriptionItemDeleteParams),
    ApiRoute("POST", "subscriptions/{id}/pause", subscription_changes.pause, api.SubscriptionPauseParams),
    ApiRoute("POST", "subscriptions/{id}/resume", subscription_changes.resume, api.SubscriptionResumeParams),
    ApiRoute("POST", "subscriptions/{id}/migrate", subscription_changes.migrate, api.SubscriptionMigrateParams),
    ApiRoute("GET", "invoices", invoices.list_invoices, api.InvoiceListParams),
    ApiRoute("GET", "invoices/{id}", invoices.retrieve, api.InvoiceRetrieveParams),
    ApiRoute("POST", "invoices/{id}", invoices.update, api.InvoiceUpdateParams),
    ApiRoute("GET", "invoices/{id}/lines", invoices.list_lines, api.InvoiceLineItemListParams),
    ApiRoute("POST", "invoices/{id}/finalize", invoice_requests.finalize, api.InvoiceFinalizeInvoiceParams),
    ApiRoute("POST", "invoices/{id}/pay", invoice_requests.pay, api.InvoicePayParams),
    ApiRoute("POST", "invoices/{id}/void", invoice_requests.void, api.InvoiceVoidInvoiceParams),
    ApiRoute(
        "POST",
        "invoices/{id}/mark_uncollectible",
        invoice_requests.mark_uncollectible,
        api.InvoiceMarkUncollectibleParams,
    ),
    ApiRoute("POST", "invoices/{id}/send", invoice_requests.send, api.InvoiceSendInvoiceParams),
    ApiRoute("POST", "subscription_schedules", subscription_schedules.create, api.SubscriptionScheduleCreateParams),
    ApiRoute(
        "GET", "subscription_schedules", subscription_schedules.list_schedules, api.SubscriptionScheduleListParams
    ),
    ApiRoute(
        "GET", "subscription_schedules/{id}", subscription_schedules.retrieve, api.SubscriptionScheduleRetrieveParams
    ),
    ApiRoute(
        "POST", "subscription_schedules/{id}", subscription_schedules.update, api.SubscriptionScheduleUpdateParams
    ),
    ApiRoute(
        "POST",
        "subscription_schedules/{id}/cancel",
        subscription_schedules.cancel,
        api.SubscriptionScheduleCancelParams,
    ),
    ApiRoute(
        "POST",
        "subscription_schedules/{id}/release",
        subscription_schedules.release,
        api.SubscriptionScheduleReleaseParams,
    ),
    ApiRoute("POST", "billing_portal/configurations", portal_configurations.create, portal.ConfigurationCreateParams),
    ApiRoute(
        "GET",
        "billing_portal/configurations",
        portal_configurations.list_configurations,
        portal.ConfigurationListParams,
    ),
    ApiRoute(
        "GET", "billing_portal/configurations/{id}", portal_configurations.retrieve, portal.ConfigurationRetrieveParams
    ),
    ApiRoute(
        "POST", "billing_portal/configurations/{id}", portal_configurations.update, portal.ConfigurationUpdateParams
    ),
    ApiRoute("POST", "billing_portal/sessions", portal_sessions.create, portal.SessionCreateParams),
    ApiRoute("POST", "checkout/sessions", checkout_sessions.create, checkout.SessionCreateParams),
    ApiRoute("GET", "checkout/sessions", checkout_sessions.list_sessions, checkout.SessionListParams),
    ApiRoute("GET", "checkout/sessions/{id}", checkout_sessions.retrieve, checkout.SessionRetrieveParams),
    ApiRoute("POST", "checkout/sessions/{id}/expire", checkout_sessions.expire, checkout.SessionExpireParams),
    ApiRoute("POST", "test_helpers/test_clocks", test_clocks.create, test_helpers.TestClockCreateParams),
    ApiRoute("GET", "test_helpers/test_clocks", test_clocks.list_clocks, test_helpers.TestClockListParams),
    ApiRoute("GET", "test_helpers/test_clocks/{id}", test_clocks.retrieve, test_helpers.TestClockRetrieveParams),
    ApiRoute("DELETE", "test_helpers/test_clocks/{id}", test_clocks.delete, test_helpers.TestClockDeleteParams),
    ApiRoute("POST", "test_helpers/test_clocks/{id}/advance", test_clocks.advance, test_helpers.TestClockAdvanceParams),
    ApiRoute("GET", "events", events.list_events, api.EventListParams),
    ApiRoute("GET", "events/{id}", events.retrieve, api.EventRetrieveParams),
    ApiRoute("POST", "webhook_endpoints", webhook_endpoints.create, api.WebhookEndpointCreateParams),
    ApiRoute("GET", "webhook_endpoints", webhook_endpoints.list_endpoints, api.WebhookEndpointListParams),
    ApiRoute("GET", "webhook_endpoints/{id}", webhook_endpoints.retrieve, api.WebhookEndpointRetrieveParams),
    ApiRoute("POST", "webhook_endpoints/{id}", webhook_endpoints.update, api.WebhookEndpointUpdateParams),
    ApiRoute("DELETE", "webhook_endpoints/{id}", webhook_endpoints.delete, api.WebhookEndpointDeleteParams),
    *(
        ApiRoute(method, f"core/{path}", handler, shape, "v2")
        for method, path, handler, shape in (
            ("GET", "events", thin_events.list_events, thin_events.ListParams),
            ("GET", "events/{id}", thin_events.retrieve, v2.EventRetrieveParams),
            ("POST", "event_destinations", event_destinations.create, v2.EventDestinationCreateParams),
            ("GET", "event_destinations", event_destinations.list_destinations, event_destinations.ListParams),
            ("GET", "event_destinations/{id}", event_destinations.retrieve, v2.EventDestinationRetrieveParams),
            ("POST", "event_destinations/{id}", event_destinations.update, v2.EventDestinationUpdateParams),
            ("DELETE", "event_destinations/{id}", event_destinations.delete, v2.EventDestinationDeleteParams),
            ("POST", "event_destinations/{id}/disable", event_destinations.disable, v2.EventDestinationDisableParams),
            ("POST", "event_destinations/{id}/enable", event_destinations.enable, v2.EventDestinationEnableParams),
            ("POST", "event_destinations/{id}/ping", event_destinations.ping, v2.EventDestinationPingParams),
        )
    ),
]

_PATTERNS = [
    (route, re.compile(f"/{route.version}/" + re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route.path))) for route in ROUTES
]


@dataclass(frozen=True)
class RouteMatch:
    """The route of a request, and the ids in its path."""

    route: ApiRoute
    ids: dict[str, str]


def find(method: str, path: str) -> RouteMatch | None:
    """Return the route of a request, if there is one."""
    for route, pattern in _PATTERNS:
        match = pattern.fullmatch(path) if route.method == method else None
        if match:
            return RouteMatch(route, match.groupdict())
    return None


async def endpoint(request: Request) -> Response:
    """Handle one API request."""
    simulator: Simulator = request.app.state.simulator
    body = await request.body()
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    try:
        with simulator.idempotency_keys.running(key):
            response = _respond_or_refuse(request, body, simulator)
            if simulator.faults.latency_seconds:
                await asyncio.sleep(simulator.faults.latency_seconds)
    except KeyInUse as error:
        response = _refusal(error, request)
    return response


def _respond_or_refuse(request: Request, body: bytes, simulator: Simulator) -> Response:
    try:
        return _respond(request, body, simulator)
    except ApiError as error:
        return _refusal(error, request)


def _refusal(error: ApiError, request: Request) -> Response:
    return _json(error.body(request.state.request_id), error.status, error.headers)


def _respond(request: Request, body: bytes, simulator: Simulator) -> Response:
    method, path = request.method, request.url.path
    check_key(request.headers.get("authorization"))
    simulator.faults.check_failure(method, path)
    found = find(method, path)
    name = f"{method} {path}"
    # A path such as `/v1/invoices/search` also looks like that of an invoice.
    if found and found.route.name != name and name in operations.operations():
        raise not_implemented_operation(method, path)
    if found is None:
        raise not_implemented_operation(method, path) if operations.exists(method, path) else unrecognized(method, path)
    route = found.route
    simulator.request_counts[route.name] += 1
    simulator.rate_limit.check(route.name, simulator.faults.requests_per_second)
    call = Call(
        simulator,
        ids=found.ids,
        version=versions.requested(request.headers.get("stripe-version")),
        request_id=request.state.request_id,
        idempotency_key=request.headers.get("idempotency-key") if method == "POST" else None,
    )
    if not versions.has_route(route.name, call.version):
        raise unrecognized(method, path)
    advance(simulator)
    tree = _tree(request.url.query, body, route)
    if method == "POST":
        return _respond_once(call, route, tree)
    return _json(_result(call, route, tree))


def _respond_once(call: Call, route: ApiRoute, tree: Tree) -> Response:
    """Carry out a POST, or repeat the response of its idempotency key.

    A refused payment is stored too; other refusals are not, because nothing had begun.
    """
    keys, operation = call.simulator.idempotency_keys, f"{route.name} {call.ids.get('id', '')}"
    headers = {"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {}
    # A copy, because versions may change the form of a parameter.
    given = copy.deepcopy(tree)
    stored = keys.find(call.idempotency_key, operation, given)
    if stored:
        headers |= {"Idempotent-Replayed": "true", "Original-Request": stored.request_id}
        if stored.status != _OK:
            # The libraries' source says that Stripe asks not to retry where that would change nothing.
            headers["Stripe-Should-Retry"] = "false"
        return Response(stored.response, stored.status, headers, media_type="application/json")
    status = _OK
    try:
        body = _result(call, route, tree)
    except ApiError as error:
        if error.kind != "card_error":
            raise
        status, body = error.status, error.body(call.request_id)
    response = json.dumps(body).encode()
    keys.keep(call.idempotency_key, StoredResponse(operation, given, status, response, call.request_id or ""))
    return Response(response, status, headers, media_type="application/json")


_OK = 200


def _result(call: Call, route: ApiRoute, tree: Tree) -> dict[str, Any]:
    portal_configurations.check_pause_version(tree, call.version, call.now)
    versions.todays_parameters(tree, route.name, call.version, call.store)
    params = parameters.check(tree, route.shape)
    check_implemented(params, route.name)
    if route.method == "POST":
        check_limits(params, route.collection)
    call = replace(call, params=params)
    if not route.path.startswith(_HOSTED):
        call = _at_test_clock(call)
    paths = params.get("expand", ())
    if route.method != "GET":
        # Before anything has changed.
        check_paths(paths, route.collection.removesuffix("s").replace("/", "."), call.version)
    with call.simulator.transaction():
        return expand(route.handler(call), paths, call.simulator, call.version)


def perform(simulator: Simulator, method: str, path: str, params: dict[str, Any]) -> dict[str, Any]:
    """Carry out a request without HTTP, with JSON parameters; raises `ApiError`."""
    found = find(method, path)
    if found is None:
        raise unrecognized(method, path)
    advance(simulator)
    return _result(Call(simulator, ids=found.ids), found.route, from_json(params))


# Sessions of hosted pages expire by the simulator's time, whosesoever they are.
_HOSTED = ("billing_portal/", "checkout/")


# Parameters that name a customer, or something of a customer's.
_OWNERS = ("customer", "subscription", "from_subscription")


def _at_test_clock(call: Call) -> Call:
    """Return a call at the time of the test clock of the customer that it is about, if there is one."""
    clock = call.store.test_clocks.find(str(call.params.get("test_clock", "")))
    for name in (call.ids.get("id"), *(call.params.get(name) for name in _OWNERS)):
        clock = clock or call.store.test_clock_of(name or "")
    return replace(call, moment=clock["frozen_time"]) if clock else call


def _tree(query: str, body: bytes, route: ApiRoute) -> Tree:
    """Return the parameters of a request; API v2 takes JSON."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if route.version == "v1":
        return decode(pairs + _form(body))
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError("The body of the request is not valid JSON.", code="invalid_json") from error
    if not isinstance(given, dict):
        raise ApiError("The body of the request must be a JSON object.", code="invalid_json")
    return {**decode(pairs), **from_json(given)}


def _form(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(errors="replace"), keep_blank_values=True)


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, media_type="application/json")


_KEYS = ("sk_test_", "rk_test_")

_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, "
    "or we can help at https://support.stripe.com/."
)


def check_key(authorization: str | None) -> None:
    """Raise Stripe's error unless a header names a test key."""
    scheme, _, credentials = (authorization or "").partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise ApiError(_NO_KEY, status=401, headers={"WWW-Authenticate": 'Basic realm="Stripe"'})
    if not key.startswith(_KEYS):
        shown = f"{key[:7]}{'*' * max(len(key) - 11, 4)}{key[-4:]}"
        raise ApiError(f"Invalid API Key provided: {shown}", status=401)
