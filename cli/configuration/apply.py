"""Turns what an entry asks for into the parameters of Stripe's two requests, which clear things differently."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import stripe
from stripe import StripeClient

from cli.configuration.plan import Action, FieldChange, PlanStep, actual_fields, field_changes, fields
from shared.errors import InvalidRequest, OperatorError, PortalError
from shared.stripe.gateway import StripeJson
from shared.stripe.pacing import Retries

_OFF = {"enabled": False}


def of_creation(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a new configuration: it is active by itself, and what is empty or off is left out."""
    params: dict[str, Any] = _without_empty(asked)
    params.pop("active", None)
    features = {name: feature for name, feature in params["features"].items() if feature != _OFF}
    # Stripe requires the features, if only to say that there are none.
    params["features"] = features or {"invoice_history": _OFF}
    reason = features.get("subscription_cancel", {}).get("cancellation_reason")
    if reason is not None:
        # Stripe requires the options beside it, if only to say that there are none.
        reason.setdefault("options", "")
    return params


def of_update(asked: Mapping[str, Any], changes: Iterable[FieldChange]) -> dict[str, Any]:
    """Return the parameters of a change: whole features that differ, and no others."""
    paths = [change.path.split(".") for change in changes]
    params = {name: _cleared(asked[name]) for name in {path[0] for path in paths} - {"features", "metadata"}}
    features = {path[1] for path in paths if path[0] == "features"}
    if features:
        params["features"] = {name: _cleared(asked["features"][name]) for name in sorted(features)}
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
    """Return the same with the empty string, which is how a request clears something."""
    if isinstance(value, Mapping):
        return {key: _cleared(item) for key, item in value.items()}
    if isinstance(value, list) and value:
        return [_cleared(item) for item in value]
    return "" if value is None or value == [] else value


_Result = TypeVar("_Result")
_PAGE = 100
# Stripe leaves the products out of its answers unless they are asked for.
_PRODUCTS = "features.subscription_update.products"


class PortalAccount:
    """One account, spoken to at one API version."""

    def __init__(self, client: StripeClient, version: str, retries: Retries) -> None:
        self._client = client
        self._version = version
        self._retries = retries
        self._prices: dict[str, StripeJson | None] = {}

    def configurations(self) -> list[StripeJson]:
        """Return all portal configurations, inactive ones too, with their products; the newest first."""
        found: list[StripeJson] = []
        while True:
            answer = self._page(found[-1]["id"] if found else None)
            found += [_raw(each) for each in answer.data]
            if not answer.has_more:
                return [each if _is_whole(each) else self.configuration(str(each["id"])) for each in found]

    def _page(self, after: str | None) -> Any:
        params: Any = {"limit": _PAGE, "expand": [f"data.{_PRODUCTS}"]} | ({"starting_after": after} if after else {})
        return self._ask("configurations", lambda options: self._portal.configurations.list(params, options))

    def configuration(self, configuration_id: str) -> StripeJson:
        """Return one configuration with its products."""
        read = self._portal.configurations.retrieve
        return _raw(self._ask("configurations", lambda use: read(configuration_id, {"expand": [_PRODUCTS]}, use)))

    def create(self, params: Mapping[str, Any]) -> StripeJson:
        """Make a configuration. Tried again, it is made once: every try has the same idempotency key."""
        asked, key = {**params, "expand": [_PRODUCTS]}, uuid4().hex
        make = self._portal.configurations.create
        return _raw(self._ask("create", lambda options: make(asked, {**options, "idempotency_key": key})))

    def update(self, configuration_id: str, params: Mapping[str, Any]) -> StripeJson:
        """Change a configuration."""
        asked, key = {**params, "expand": [_PRODUCTS]}, uuid4().hex
        change = self._portal.configurations.update
        return _raw(self._ask("update", lambda use: change(configuration_id, asked, {**use, "idempotency_key": key})))

    def price(self, price_id: str) -> StripeJson | None:
        """Return a price with its product, read once, or nothing if the account has no such price."""
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
                # A key may read prices and not products.
                return self._retrieved(price_id, {})
        except OperatorError as error:
            if getattr(error.__cause__, "code", None) == "resource_missing":
                return None
            raise

    def _retrieved(self, price_id: str, params: Any) -> StripeJson:
        read = self._client.v1.prices.retrieve
        return _raw(self._ask("prices", lambda options: read(price_id, params, options)))

    @property
    def _portal(self) -> Any:
        return self._client.v1.billing_portal

    def _ask(self, what: str, ask: Callable[[Any], _Result]) -> _Result:
        """Ask one thing. Raises `OperatorError` with Stripe's own words when it refuses."""

        def ask_once() -> _Result:
            try:
                return ask({"stripe_version": self._version})
            except stripe.InvalidRequestError as error:
                raise OperatorError("stripe_refused", f"Stripe refused: {error.user_message or error}") from error

        try:
            return self._retries.of_stripe(ask_once)
        except OperatorError as error:
            if isinstance(error.__cause__, stripe.PermissionError):
                raise OperatorError(
                    "no_portal_permission", f"The API key lacks the permission {_NEEDED[what]}"
                ) from error
            raise


_NEEDED = {
    "configurations": "Customer portal: Read",
    "create": "Customer portal: Write",
    "update": "Customer portal: Write",
    "prices": "Prices: Read",
}


def _raw(answer: stripe.StripeObject) -> StripeJson:
    return answer.to_dict(for_json=True)


def _is_whole(configuration: StripeJson) -> bool:
    update = (configuration.get("features") or {}).get("subscription_update") or {}
    return not update.get("enabled") or update.get("products") is not None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a step: `id` is its configuration's; `failure` says why it was not done, or not wholly.

    `login_page` is the address that a step switched on.
    """

    step: PlanStep
    id: str | None
    failure: str | None = None
    login_page: str | None = None


def apply_plan(account: PortalAccount, steps: Sequence[PlanStep], seen: Mapping[str, StripeJson]) -> Iterator[Applied]:
    """Do one step after the other; the first failure is the last that is answered.

    `seen` are the configurations that the plan was made from: one that somebody changed since is not touched.
    """
    for step in steps:
        if not step.acts:
            continue
        try:
            done = _do(account, step, seen)
        except PortalError as error:
            yield Applied(step, step.id, error.message)
            return
        yield done
        if done.failure:
            return


def _do(account: PortalAccount, step: PlanStep, seen: Mapping[str, StripeJson]) -> Applied:
    if step.act is Action.CREATE:
        answer = account.create(of_creation(step.asked))
    else:
        _check_unchanged(account, step, seen)
        answer = account.update(str(step.id), of_update(step.asked, step.changes))
    left = field_changes(step.asked, answer)
    failure = None
    if left:
        names = ", ".join(change.path for change in left)
        failure = f"Stripe took the request, and still shows something else for: {names}"
    on = any(change.path == "login_page.enabled" and change.after for change in step.changes)
    return Applied(step, str(answer["id"]), failure, (answer.get("login_page") or {}).get("url") if on else None)


def _check_unchanged(account: PortalAccount, step: PlanStep, seen: Mapping[str, StripeJson]) -> None:
    now, before = account.configuration(str(step.id)), seen[str(step.id)]
    if fields(actual_fields(now)) != fields(actual_fields(before)):
        raise InvalidRequest("changed_meanwhile", f"{step.id} was changed since it was read: run the command again")
