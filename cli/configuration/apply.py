"""Carries out a plan: the parameters of each step's request, and the account that receives them.

Stripe clears a field in different ways on create and on update, so each has its own parameters.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import stripe
from stripe import StripeClient

from cli.configuration.plan import Action, FieldChange, PlanStep, actual_fields, field_changes, fields
from shared.errors import InvalidRequest, OperatorError, PortalError, sentence
from shared.stripe.gateway import StripeJson
from shared.stripe.pacing import Retries

_OFF = {"enabled": False}


def creation_params(desired: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a new configuration, without what is empty or off; Stripe makes it active."""
    params: dict[str, Any] = _without_empty(desired)
    params.pop("active", None)
    features = {name: feature for name, feature in params["features"].items() if feature != _OFF}
    # Stripe requires the parameter `features`, even without any feature.
    params["features"] = features or {"invoice_history": _OFF}
    reason = features.get("subscription_cancel", {}).get("cancellation_reason")
    if reason is not None:
        # Stripe requires the parameter `options`, even without any option.
        reason.setdefault("options", "")
    return params


def update_params(desired: Mapping[str, Any], changes: Iterable[FieldChange]) -> dict[str, Any]:
    """Return the parameters of an update: the fields that differ, and each feature that differs as a whole."""
    paths = [change.path.split(".") for change in changes]
    params = {name: _cleared(desired[name]) for name in {path[0] for path in paths} - {"features", "metadata"}}
    features = {path[1] for path in paths if path[0] == "features"}
    if features:
        params["features"] = {name: _cleared(desired["features"][name]) for name in sorted(features)}
    metadata = {change.path.partition(".")[2]: change.after or "" for change in changes if _is_metadata(change)}
    return params | ({"metadata": metadata} if metadata else {})


def _is_metadata(change: FieldChange) -> bool:
    return change.path.startswith("metadata.")


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], {})}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def _cleared(value: Any) -> Any:
    """Replace what is empty by the empty string, which is how a request clears a field."""
    if isinstance(value, Mapping):
        return {key: _cleared(item) for key, item in value.items()}
    if isinstance(value, list) and value:
        return [_cleared(item) for item in value]
    return "" if value is None or value == [] else value


_Result = TypeVar("_Result")
_PAGE = 100
# Stripe leaves the products out of its answers unless they are expanded.
_PRODUCTS = "features.subscription_update.products"


class PortalAccount:
    """The portal configurations and prices of an account, at one API version."""

    def __init__(self, client: StripeClient, version: str, retries: Retries) -> None:
        self._client = client
        self._version = version
        self._retries = retries
        self._prices: dict[str, StripeJson | None] = {}

    def configurations(self) -> list[StripeJson]:
        """Return all portal configurations with their products, the newest first, inactive ones included."""
        found: list[StripeJson] = []
        while True:
            answer = self._page(found[-1]["id"] if found else None)
            found += [_json(each) for each in answer.data]
            if not answer.has_more:
                return [each if _is_whole(each) else self.configuration(str(each["id"])) for each in found]

    def _page(self, after: str | None) -> Any:
        params: Any = {"limit": _PAGE, "expand": [f"data.{_PRODUCTS}"]} | ({"starting_after": after} if after else {})
        return self._request("configurations", lambda options: self._portal.configurations.list(params, options))

    def configuration(self, configuration_id: str) -> StripeJson:
        """Return one configuration with its products."""
        read = self._portal.configurations.retrieve
        return _json(self._request("configurations", lambda use: read(configuration_id, {"expand": [_PRODUCTS]}, use)))

    def create(self, params: Mapping[str, Any]) -> StripeJson:
        """Create a configuration. All retries have one idempotency key, so that only one is created."""
        params, key = {**params, "expand": [_PRODUCTS]}, uuid4().hex
        create = self._portal.configurations.create
        return _json(self._request("create", lambda options: create(params, {**options, "idempotency_key": key})))

    def update(self, configuration_id: str, params: Mapping[str, Any]) -> StripeJson:
        """Change a configuration."""
        params, key = {**params, "expand": [_PRODUCTS]}, uuid4().hex
        change = self._portal.configurations.update
        return _json(
            self._request("update", lambda use: change(configuration_id, params, {**use, "idempotency_key": key}))
        )

    def price(self, price_id: str) -> StripeJson | None:
        """Return a price with its product, `None` if the account has no such price. Each is read once."""
        if price_id not in self._prices:
            self._prices[price_id] = self._read_price(price_id)
        return self._prices[price_id]

    def _read_price(self, price_id: str) -> StripeJson | None:
        try:
            try:
                return self._retrieved(price_id, {"expand": ["product"]})
            except OperatorError as error:
                if error.code != "no_portal_permission":
                    raise
                # The key may have the permission to read prices, but not products.
                return self._retrieved(price_id, {})
        except OperatorError as error:
            if getattr(error.__cause__, "code", None) == "resource_missing":
                return None
            raise

    def _retrieved(self, price_id: str, params: Any) -> StripeJson:
        read = self._client.v1.prices.retrieve
        return _json(self._request("prices", lambda options: read(price_id, params, options)))

    @property
    def _portal(self) -> Any:
        return self._client.v1.billing_portal

    def _request(self, what: str, send: Callable[[Any], _Result]) -> _Result:
        """Ask one thing. Raises `OperatorError` with Stripe's own words when it refuses."""

        def send_once() -> _Result:
            try:
                return send({"stripe_version": self._version})
            except stripe.InvalidRequestError as error:
                raise OperatorError(
                    "stripe_refused",
                    sentence("Stripe refused: {message}", message=error.user_message or error),
                ) from error

        try:
            return self._retries.of_stripe(send_once)
        except OperatorError as error:
            if isinstance(error.__cause__, stripe.PermissionError):
                raise OperatorError(
                    "no_portal_permission",
                    sentence("The API key lacks the permission {name}", name=_NEEDED[what]),
                ) from error
            raise


_NEEDED = {
    "configurations": "Customer portal: Read",
    "create": "Customer portal: Write",
    "update": "Customer portal: Write",
    "prices": "Prices: Read",
}


def _json(answer: stripe.StripeObject) -> StripeJson:
    return answer.to_dict(for_json=True)


def _is_whole(configuration: StripeJson) -> bool:
    update = (configuration.get("features") or {}).get("subscription_update") or {}
    return not update.get("enabled") or update.get("products") is not None


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of a step: the id of its configuration, and why it failed if it did.

    `login_page` is the address of a login page that the step switched on.
    """

    step: PlanStep
    id: str | None
    failure: str | None = None
    login_page: str | None = None


def apply_plan(
    account: PortalAccount, steps: Sequence[PlanStep], seen: Mapping[str, StripeJson]
) -> Iterator[StepResult]:
    """Apply one step after the other, up to the first failure.

    `seen` are the configurations by id as the plan was made from them: one that has changed since is left alone.
    """
    for step in steps:
        if not step.changes_account:
            continue
        try:
            done = _do(account, step, seen)
        except PortalError as error:
            yield StepResult(step, step.id, error.message)
            return
        yield done
        if done.failure:
            return


def _do(account: PortalAccount, step: PlanStep, seen: Mapping[str, StripeJson]) -> StepResult:
    if step.action is Action.CREATE:
        answer = account.create(creation_params(step.desired))
    else:
        _check_unchanged(account, step, seen)
        answer = account.update(str(step.id), update_params(step.desired, step.changes))
    remaining = field_changes(step.desired, answer)
    failure = None
    if remaining:
        names = ", ".join(change.path for change in remaining)
        failure = sentence("Stripe accepted the request, but shows another value for: {names}", names=names)
    on = any(change.path == "login_page.enabled" and change.after for change in step.changes)
    return StepResult(step, str(answer["id"]), failure, (answer.get("login_page") or {}).get("url") if on else None)


def _check_unchanged(account: PortalAccount, step: PlanStep, seen: Mapping[str, StripeJson]) -> None:
    now, before = account.configuration(str(step.id)), seen[str(step.id)]
    if fields(actual_fields(now)) != fields(actual_fields(before)):
        raise InvalidRequest(
            "changed_meanwhile", sentence("{id} was changed since it was read: run the command again", id=step.id)
        )
