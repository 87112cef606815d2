"""The client of Stripe: it retries, times out early enough, and fails with the bundle's own errors."""

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import stripe
from pydantic_core import from_json
from stripe import StripeClient, StripeResponse
from urllib3 import Timeout

from shared.deadline import seconds_left
from shared.errors import OperatorError, Unavailable, UnreadableEvent, sentence, without_addresses
from shared.stripe.subscription import has_more_items, read_subscription
from shared.stripe.subscription_read import SubscriptionRead

StripeJson = Mapping[str, Any]

stripe.enable_telemetry = False
# At INFO they log each request's path and query, at DEBUG its parameters and response: e-mail addresses, session URLs.
for _library in ("stripe", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)

# Of one attempt, connection and response together. The invocation's deadline may leave less.
TIMEOUT_SECONDS = 4
RETRIES = 1
# Stripe usually responds within half a second, and the library pauses for as long before it tries again.
LEAST_SECONDS = 0.5
# Readers of whole lists can wait, and a page of 100 large subscriptions may take Stripe some seconds.
PATIENT_TIMEOUT_SECONDS = 20
ITEMS_PAGE = 100

# How Stripe's refusal names it: the 'rak_customer_portal_write' permission would allow the request.
_PERMISSION = re.compile(r"rak_\w+")
_OTHER_MODE = re.compile(r"similar object exists in (live|test) mode")


class _UntilDeadline(Timeout):
    """A time-out of so many seconds, which ends with the invocation's deadline at the latest."""

    def __init__(self, seconds: float) -> None:
        super().__init__(total=seconds)
        self._seconds = seconds

    def clone(self) -> Timeout:
        """Return the time-out of one attempt: urllib3 asks for one at each."""
        return Timeout(total=min(self._seconds, max(seconds_left(), LEAST_SECONDS)))


# Where `read_json` wants the body of a successful response; the library is then given an empty object in its place.
_bodies: ContextVar[list[bytes] | None] = ContextVar("_bodies", default=None)


class _PunctualClient(stripe.RequestsClient):
    """Sends no request that the invocation's deadline leaves no time for, and does not try again then."""

    def request(self, *args: Any, **options: Any) -> Any:
        """Send one attempt."""
        if seconds_left() < LEAST_SECONDS:
            raise stripe.APIConnectionError("Too little time is left for another request")  # type: ignore[no-untyped-call]
        try:
            body, status, headers = super().request(*args, **options)
        except stripe.APIConnectionError as error:
            error.should_retry = error.should_retry and seconds_left() >= 2 * LEAST_SECONDS
            raise
        bodies = _bodies.get()
        if bodies is None or status != HTTPStatus.OK:
            return body, status, headers
        bodies.append(body)
        return b"{}", status, headers


@lru_cache(maxsize=2)
def stripe_client(api_key: str, api_base: str, timeout: float = TIMEOUT_SECONDS) -> StripeClient:
    """Return the client for a key, the same one (and its connections) as long as the key stays the same.

    `timeout` is in seconds, for one attempt. A request that the deadline leaves no time for fails like one that Stripe
    did not answer.
    """
    return StripeClient(
        api_key,
        base_addresses={"api": api_base},
        http_client=_PunctualClient(timeout=_UntilDeadline(timeout)),  # type: ignore[arg-type]  # requests takes this too
        max_network_retries=RETRIES,
    )


@contextmanager
def stripe_errors() -> Iterator[None]:
    """Turn Stripe's failures into the bundle's.

    `Unavailable` for what may pass (network, 429, 5xx), `OperatorError` for the key's faults (401, 403). All else,
    `stripe.InvalidRequestError` above all, is left to the caller.
    """
    try:
        yield
    except stripe.AuthenticationError as error:
        raise OperatorError(
            "stripe_key_invalid",
            sentence(
                "Stripe does not take the API key ({code}): put a new one into stripe_api_key in the secret. "
                "Request: {request_id}",
                code=_code_of(error) or sentence("revoked or mistyped"),
                request_id=error.request_id,
            ),
        ) from error
    except stripe.PermissionError as error:
        raise OperatorError("stripe_key_lacks_permission", _lacking(error)) from error
    except stripe.RateLimitError as error:
        raise Unavailable(
            "stripe_rate_limited",
            sentence("Stripe's rate limit is reached. Request: {request_id}", request_id=error.request_id),
            retry_after=_retry_after(error),
        ) from error
    except (stripe.APIConnectionError, stripe.APIError) as error:
        raise Unavailable(
            "stripe_unavailable",
            sentence(
                "Stripe did not answer ({error}, {status}). Request: {request_id}",
                error=type(error).__name__,
                status=error.http_status,
                request_id=error.request_id,
            ),
        ) from error


@dataclass(frozen=True, slots=True)
class JsonRead:
    """The JSON of a response, and the response with its headers."""

    data: StripeJson
    response: StripeResponse


def read_json(client: StripeClient, path: str, params: Mapping[str, Any]) -> JsonRead:
    """Read what may be large, without another try. Raises what the library raises.

    The library parses every body into ordered dictionaries (stripe-python 16.1.0, `_stripe_response.py`): for a page of
    100 subscriptions four times the time, and nearly three times the memory, of plain ones.
    """
    bodies: list[bytes] = []
    token = _bodies.set(bodies)
    try:
        response = client.raw_request("get", path, max_network_retries=0, **params)
    finally:
        _bodies.reset(token)
    return JsonRead(_parse(bodies.pop(), response) if bodies else response.data, response)


def _parse(body: bytes, response: StripeResponse) -> Any:
    """Parse a body; `from_json` refuses half of a surrogate pair, which a cut text can end with."""
    try:
        return from_json(body)
    except ValueError:
        try:
            return json.loads(body)
        except ValueError as error:
            raise stripe.APIError(
                "Invalid response body from API", http_status=response.code, headers=dict(response.headers)
            ) from error


def text_of(error: stripe.InvalidRequestError) -> str:
    """Return Stripe's own words, fit for the log."""
    return without_addresses(error.user_message or str(error))


def refused_request(error: stripe.InvalidRequestError) -> OperatorError:
    """Return the bundle's error for a request that Stripe refused, where the operator has to fix it."""
    text, param = text_of(error), error.param or ""
    if mode := _OTHER_MODE.search(text):
        key = {"live": "test", "test": "live"}[mode[1]]
        return OperatorError(
            "wrong_mode",
            sentence(
                "The {param} is of {mode} mode and stripe_api_key in the secret is of {key} mode: put the {mode} key "
                "there, or name an object of {key} mode",
                param=param or "object",
                mode=mode[1],
                key=key,
            ),
        )
    if param in {"customer", "id"} and error.code == "resource_missing":
        return OperatorError(
            "customer_missing",
            sentence(
                "The customer is deleted or belongs to another account: correct what the link token or the claim "
                "names, or the key"
            ),
        )
    return OperatorError(
        "stripe_refused",
        sentence("Stripe refused the request: {text} ({request_id})", text=text, request_id=error.request_id),
    )


def _retry_after(error: stripe.StripeError) -> float:
    """Read `Retry-After` in seconds: Stripe sends none today, and may begin to."""
    value = {name.lower(): value for name, value in (error.headers or {}).items()}.get("retry-after", "")
    return float(value) if value.isdecimal() else 0


def _code_of(error: stripe.StripeError) -> str | None:
    """Read the body's code: the library's own field has only some errors' codes."""
    return error.code or getattr(error.error, "code", None)


def _lacking(error: stripe.PermissionError) -> str:
    """Name what the key lacks; Stripe's own message quotes a part of the key."""
    named = ", ".join(sorted(set(_PERMISSION.findall(str(error)))))
    return sentence(
        "Give the restricted key in stripe_api_key of the secret {permissions}. Request: {request_id}",
        permissions=named or sentence("the permissions listed in docs/how-to/deploy.md"),
        request_id=error.request_id,
    )


def with_all_items(client: StripeClient, raw: StripeJson) -> StripeJson:
    """Return a subscription's JSON with all its items, read page by page (`GET /v1/subscription_items`).

    The items are of a later time than the rest. So whoever uses both must date them by the whole time that the reads
    took: a change in between is then newer than that time, and its own event brings it.
    """
    items: list[StripeJson] = []
    query: dict[str, Any] = {"subscription": raw["id"], "limit": ITEMS_PAGE}
    with stripe_errors():
        while True:
            page = client.raw_request("get", "/v1/subscription_items", **query).data
            items += page["data"]
            if not page["has_more"] or not page["data"]:
                return {**raw, "items": {**raw["items"], "data": items, "has_more": False}}
            query["starting_after"] = page["data"][-1]["id"]


def read_from_stripe(client: StripeClient, subscription_id: str) -> SubscriptionRead:
    """Read one subscription with all its items. Raises `UnreadableEvent` where Stripe has none or refuses."""
    began = time.monotonic()
    with stripe_errors():
        try:
            found = client.v1.subscriptions.retrieve(subscription_id)
            raw: StripeJson = found.to_dict(for_json=True)
            if has_more_items(raw):
                raw = with_all_items(client, raw)
        except stripe.InvalidRequestError as error:
            if error.http_status == HTTPStatus.NOT_FOUND:
                raise UnreadableEvent(
                    "subscription_missing",
                    sentence("Stripe has no subscription {subscription_id}", subscription_id=subscription_id),
                ) from error
            raise UnreadableEvent(
                "subscription_refused",
                sentence(
                    "Stripe refused to read {subscription_id} ({code}). Request: {request_id}",
                    subscription_id=subscription_id,
                    code=_code_of(error),
                    request_id=error.request_id,
                ),
            ) from error
    # The answer of the first request has the earlier date: the whole read began before it.
    took = time.monotonic() - began
    return SubscriptionRead(read_subscription(raw), date_of(found.last_response), took)


def date_of(response: StripeResponse | None) -> int:
    """Return the `Date` header in Unix seconds. Raises `Unavailable` without one: nothing can be ordered then."""
    if response is None or "Date" not in response.headers:
        raise Unavailable(
            "stripe_without_date", sentence("Stripe's answer had no Date header, so it cannot be ordered")
        )
    return int(parsedate_to_datetime(response.headers["Date"]).timestamp())
