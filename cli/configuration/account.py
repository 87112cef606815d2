"""The account's side of portal configurations: reads them whole, and writes them with patience."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

import stripe
from stripe import StripeClient

from shared.errors import InvalidRequest, OperatorError
from shared.recovery.retries import Retries

_Answer = TypeVar("_Answer")
Raw = Mapping[str, Any]
_PAGE = 100
# Stripe leaves the products out of its answers unless they are asked for.
_PRODUCTS = "features.subscription_update.products"


class Account:
    """One account, spoken to at one API version."""

    def __init__(self, client: StripeClient, version: str, retries: Retries) -> None:
        self._client = client
        self._version = version
        self._retries = retries
        self._prices: dict[str, Raw | None] = {}

    def configurations(self) -> list[Raw]:
        """Answer all portal configurations, inactive ones too, with their products; the newest first."""
        found: list[Raw] = []
        while True:
            answer = self._page(found[-1]["id"] if found else None)
            found += [_raw(each) for each in answer.data]
            if not answer.has_more:
                return [each if _is_whole(each) else self.configuration(str(each["id"])) for each in found]

    def _page(self, after: str | None) -> Any:
        params: Any = {"limit": _PAGE, "expand": [f"data.{_PRODUCTS}"]} | ({"starting_after": after} if after else {})
        return self._ask("configurations", lambda options: self._portal.configurations.list(params, options))

    def configuration(self, configuration_id: str) -> Raw:
        """Answer one configuration with its products."""
        read = self._portal.configurations.retrieve
        return _raw(self._ask("configurations", lambda use: read(configuration_id, {"expand": [_PRODUCTS]}, use)))

    def create(self, params: Mapping[str, Any]) -> Raw:
        """Make a configuration. Tried again, it is made once: every try has the same idempotency key."""
        asked, key = {**params, "expand": [_PRODUCTS]}, uuid4().hex
        make = self._portal.configurations.create
        return _raw(self._ask("create", lambda options: make(asked, {**options, "idempotency_key": key})))

    def update(self, configuration_id: str, params: Mapping[str, Any]) -> Raw:
        """Change a configuration."""
        asked, key = {**params, "expand": [_PRODUCTS]}, uuid4().hex
        change = self._portal.configurations.update
        return _raw(self._ask("update", lambda use: change(configuration_id, asked, {**use, "idempotency_key": key})))

    def price(self, price_id: str) -> Raw | None:
        """Answer a price with its product, read once, or nothing if the account has no such price."""
        if price_id not in self._prices:
            self._prices[price_id] = self._read_price(price_id)
        return self._prices[price_id]

    def _read_price(self, price_id: str) -> Raw | None:
        try:
            try:
                return self._retrieved(price_id, {"expand": ["product"]})
            except OperatorError as error:
                if error.code != _LACKS_PERMISSION:
                    raise
                # A key may read prices and not products.
                return self._retrieved(price_id, {})
        except InvalidRequest as error:
            if getattr(error.__cause__, "code", None) == "resource_missing":
                return None
            raise

    def _retrieved(self, price_id: str, params: Any) -> Raw:
        read = self._client.v1.prices.retrieve
        return _raw(self._ask("prices", lambda options: read(price_id, params, options)))

    @property
    def _portal(self) -> Any:
        return self._client.v1.billing_portal

    def _ask(self, what: str, ask: Callable[[Any], _Answer]) -> _Answer:
        """Ask one thing. Raises `InvalidRequest` with Stripe's own words when it refuses."""

        def ask_once() -> _Answer:
            try:
                return ask({"stripe_version": self._version})
            except stripe.InvalidRequestError as error:
                raise InvalidRequest("stripe_refused", f"Stripe refused: {error.user_message or error}") from error

        try:
            return self._retries.of_stripe(ask_once)
        except OperatorError as error:
            if isinstance(error.__cause__, stripe.PermissionError):
                raise OperatorError(_LACKS_PERMISSION, f"The API key lacks the permission {_NEEDED[what]}") from error
            raise


_LACKS_PERMISSION = "no_portal_permission"
_NEEDED = {
    "configurations": "Customer portal: Read",
    "create": "Customer portal: Write",
    "update": "Customer portal: Write",
    "prices": "Prices: Read",
}


def _raw(answer: stripe.StripeObject) -> Raw:
    return answer.to_dict(for_json=True)


def _is_whole(configuration: Raw) -> bool:
    update = (configuration.get("features") or {}).get("subscription_update") or {}
    return not update.get("enabled") or update.get("products") is not None
