"""Stripe's errors: one exception, and its most frequent forms."""

from typing import Any


class ApiError(Exception):
    """A refused request, with the fields of Stripe's error body."""

    def __init__(  # noqa: PLR0913 - the fields of Stripe's error body
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        decline_code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.decline_code = decline_code
        self.param = param
        self.headers = headers or {}

    def body(self, request_id: str | None) -> dict[str, Any]:
        """Return the JSON body, without fields that do not apply."""
        fields = {
            "type": self.kind,
            "code": self.code,
            "decline_code": self.decline_code,
            "message": self.message,
            "param": self.param,
        }
        error = {name: value for name, value in fields.items() if value is not None}
        if self.code:
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if request_id:
            error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


def missing(param: str) -> ApiError:
    """Return the error for a required parameter that is absent."""
    return ApiError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(param: str) -> ApiError:
    """Return the error for a parameter that this API version does not have."""
    return ApiError(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)


NOT_IMPLEMENTED = "not_implemented_by_simulator"


def not_implemented(param: str) -> ApiError:
    """Return the simulator's own error for a parameter that Stripe has."""
    return ApiError(f"The simulator does not implement the parameter {param} here.", code=NOT_IMPLEMENTED, param=param)


def not_implemented_operation(method: str, path: str) -> ApiError:
    """Return the simulator's own error for an operation that Stripe has."""
    return ApiError(f"The simulator does not implement {method} {path}.", code=NOT_IMPLEMENTED)


def one_time(param: str) -> ApiError:
    """Return the error for a price without an interval where a subscription's is needed."""
    return ApiError(
        "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
        param=param,
    )


def in_the_past(param: str) -> ApiError:
    """Return the error for a time that should be ahead."""
    return ApiError("Invalid timestamp: must be an integer Unix timestamp in the future.", param=param)


def exclusive(*params: str) -> ApiError:
    """Return the error for parameters of which a request may have only one."""
    message = f"You may only specify one of these parameters: {', '.join(params)}."
    return ApiError(message, code="parameters_exclusive", param=params[0])


def no_such(noun: str, object_id: str, param: str = "id") -> ApiError:
    """Return the error for an object that does not exist: 404 when the path names it, 400 when a parameter does."""
    status = 404 if param == "id" else 400
    message = f"No such {noun}: '{object_id}'"
    return ApiError(message, status=status, code="resource_missing", param=param)


def unrecognized(method: str, path: str) -> ApiError:
    """Return the error for a path outside the API."""
    text = (
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs "
        "or we can help at https://support.stripe.com/."
    )
    return ApiError(text, status=404)


def rate_limited(reason: str) -> ApiError:
    """Return the error for too many requests; as at Stripe, a header names the reason and there is no `Retry-After`."""
    return ApiError(
        "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits.",
        status=429,
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": reason},
    )
