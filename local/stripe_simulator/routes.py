"""The table of API routes: method, address, handler, and the library's type of its parameters."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import stripe.params as api
from stripe.params import billing_portal as portal
from stripe.params import checkout

from local.stripe_simulator import (
    account,
    catalog,
    checkout_sessions,
    coupons,
    customers,
    events,
    pauses,
    payment_methods,
    portal_configurations,
    portal_sessions,
    subscription_schedules,
    subscription_updates,
    subscriptions,
    webhook_endpoints,
)
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

Handler = Callable[[Call], StripeObject]


@dataclass(frozen=True)
class ApiRoute:
    """One operation of the API."""

    method: str
    path: str
    handler: Handler
    shape: type

    @property
    def name(self) -> str:
        """What request counts and rate limits know it by."""
        return f"{self.method} /v1/{self.path}"


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
    ApiRoute("GET", "products/{id}", catalog.retrieve_product, api.ProductRetrieveParams),
    ApiRoute("POST", "products/{id}", catalog.update_product, api.ProductUpdateParams),
    ApiRoute("POST", "prices", catalog.create_price, api.PriceCreateParams),
    ApiRoute("GET", "prices", catalog.list_prices, api.PriceListParams),
    ApiRoute("GET", "prices/{id}", catalog.retrieve_price, api.PriceRetrieveParams),
    ApiRoute("POST", "prices/{id}", catalog.update_price, api.PriceUpdateParams),
    ApiRoute("POST", "coupons", coupons.create, api.CouponCreateParams),
    ApiRoute("GET", "coupons", coupons.list_coupons, api.CouponListParams),
    ApiRoute("GET", "coupons/{id}", coupons.retrieve, api.CouponRetrieveParams),
    ApiRoute("POST", "promotion_codes", coupons.create_promotion_code, api.PromotionCodeCreateParams),
    ApiRoute("POST", "subscriptions", subscriptions.create, api.SubscriptionCreateParams),
    ApiRoute("GET", "subscriptions", subscriptions.list_subscriptions, api.SubscriptionListParams),
    ApiRoute("GET", "subscriptions/{id}", subscriptions.retrieve, api.SubscriptionRetrieveParams),
    ApiRoute("POST", "subscriptions/{id}", subscription_updates.update, api.SubscriptionUpdateParams),
    ApiRoute("DELETE", "subscriptions/{id}", subscriptions.cancel, api.SubscriptionCancelParams),
    ApiRoute("POST", "subscriptions/{id}/pause", pauses.pause, api.SubscriptionPauseParams),
    ApiRoute("POST", "subscriptions/{id}/resume", pauses.resume, api.SubscriptionResumeParams),
    ApiRoute("POST", "subscriptions/{id}/migrate", pauses.migrate, api.SubscriptionMigrateParams),
    ApiRoute("POST", "subscription_schedules", subscription_schedules.create, api.SubscriptionScheduleCreateParams),
    ApiRoute(
        "GET", "subscription_schedules/{id}", subscription_schedules.retrieve, api.SubscriptionScheduleRetrieveParams
    ),
    ApiRoute(
        "POST", "subscription_schedules/{id}", subscription_schedules.update, api.SubscriptionScheduleUpdateParams
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
    ApiRoute("GET", "events", events.list_events, api.EventListParams),
    ApiRoute("GET", "events/{id}", events.retrieve, api.EventRetrieveParams),
    ApiRoute("POST", "webhook_endpoints", webhook_endpoints.create, api.WebhookEndpointCreateParams),
    ApiRoute("GET", "webhook_endpoints", webhook_endpoints.list_endpoints, api.WebhookEndpointListParams),
    ApiRoute("GET", "webhook_endpoints/{id}", webhook_endpoints.retrieve, api.WebhookEndpointRetrieveParams),
    ApiRoute("POST", "webhook_endpoints/{id}", webhook_endpoints.update, api.WebhookEndpointUpdateParams),
    ApiRoute("DELETE", "webhook_endpoints/{id}", webhook_endpoints.delete, api.WebhookEndpointDeleteParams),
]

_PATTERNS = [(route, re.compile("/v1/" + route.path.replace("{id}", r"(?P<id>[^/]+)"))) for route in ROUTES]


def find(method: str, path: str) -> tuple[ApiRoute, dict[str, str]] | None:
    """The route of a request and what its address names."""
    for route, pattern in _PATTERNS:
        match = pattern.fullmatch(path) if route.method == method else None
        if match:
            return route, match.groupdict()
    return None
