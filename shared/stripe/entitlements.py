"""Entitlements as Stripe has them: a customer's features, and which products give them.

Source: docs.stripe.com/billing/entitlements. They follow a subscription's status, so paused collection leaves them as
they are. What `past_due` and `unpaid` do to them is not documented.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import stripe
from stripe import StripeClient

from shared.errors import Unavailable, sentence
from shared.stripe.gateway import StripeJson, date_of, refused_request, stripe_errors
from shared.stripe.subscription_read import LIST_LAG

PAGE = 100
_ENTITLEMENTS = "/v1/entitlements/active_entitlements"
# Products get and lose features rarely, and existing subscribers only at their next period.
PRODUCT_SECONDS = 300
_MOST_PRODUCTS = 1_000


@dataclass(frozen=True, slots=True)
class EntitlementsRead:
    """A customer's features (lookup keys, sorted), and the features of each product that was asked about.

    `as_of` (Stripe's clock in Unix seconds) and `took` are as in `SubscriptionRead`.
    """

    features: tuple[str, ...]
    products: Mapping[str, tuple[str, ...]]
    as_of: int
    took: float

    @property
    def certain_as_of(self) -> int:
        """The time before which every change is in the list, though it may come from a copy that lags behind."""
        return self.as_of - math.ceil(self.took + LIST_LAG.total_seconds())


class EntitlementsReader:
    """Reads entitlements; keeps the features of products for five minutes.

    `client` makes the client. `wait` is called before each request, for a rate limit.
    """

    def __init__(
        self,
        client: Callable[[], StripeClient],
        *,
        wait: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._wait, self._clock = client, wait, clock
        self._products: dict[str, tuple[float, tuple[str, ...]]] = {}

    def read(self, customer_id: str, products: Collection[str]) -> EntitlementsRead | None:
        """Read a customer's entitlements, and the features of these products; `None`: Stripe has no such customer.

        Raises `Unavailable` for what may pass, `OperatorError` for what the operator has to fix.
        """
        began = self._clock()
        found = self._keys(_ENTITLEMENTS, {"customer": customer_id}, lambda one: str(one["lookup_key"]))
        if found is None:
            return None
        took = self._clock() - began
        of_products = {product: self._features_of(product) for product in sorted(products)}
        return EntitlementsRead(found.keys, of_products, found.as_of, took)

    def _features_of(self, product: str) -> tuple[str, ...]:
        """Return the lookup keys of a product's features; a product that is deleted has none."""
        read_at, features = self._products.get(product, (-math.inf, ()))
        if self._clock() - read_at < PRODUCT_SECONDS:
            return features
        path = f"/v1/products/{product}/features"
        found = self._keys(path, {}, lambda one: str(one["entitlement_feature"]["lookup_key"]))
        features = found.keys if found else ()
        if len(self._products) >= _MOST_PRODUCTS:
            self._products.clear()
        self._products[product] = (self._clock(), features)
        return features

    def _keys(self, path: str, params: Mapping[str, Any], key: Callable[[StripeJson], str]) -> "_Keys | None":
        """Read a list to its end; `None` where Stripe does not have what it is about."""
        keys: list[str] = []
        as_of = None
        try:
            for answer in self._pages(path, params):
                # The first page's date: the whole read began before it.
                as_of = date_of(answer) if as_of is None else as_of
                keys += map(key, answer.data["data"])
        except stripe.InvalidRequestError as error:
            if error.param == "starting_after":
                raise Unavailable(
                    "stripe_unavailable", sentence("A list of Stripe's changed while it was read")
                ) from error
            if error.http_status == HTTPStatus.NOT_FOUND or error.code == "resource_missing":
                return None
            raise refused_request(error) from error
        return _Keys(tuple(sorted(set(keys))), as_of or 0)

    def _pages(self, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
        query = {**params, "limit": PAGE}
        while True:
            self._wait()
            with stripe_errors():
                answer = self._client().raw_request("get", path, **query)
            yield answer
            data = answer.data["data"]
            if not answer.data["has_more"] or not data:
                return
            query["starting_after"] = data[-1]["id"]


@dataclass(frozen=True, slots=True)
class _Keys:
    keys: tuple[str, ...]
    as_of: int
