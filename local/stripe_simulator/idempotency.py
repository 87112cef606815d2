"""Idempotency keys: the stored answer is given again, other parameters are refused."""

from dataclasses import dataclass

from local.stripe_simulator.errors import ApiError

_LONGEST_KEY = 255


@dataclass(frozen=True)
class Stored:
    """What the first request with a key said, and what it was answered."""

    method_and_path: str
    body: bytes
    status: int
    answer: bytes
    request_id: str


class IdempotencyKeys:
    """The answers kept, by key."""

    def __init__(self) -> None:
        self._stored: dict[str, Stored] = {}

    def find(self, key: str | None, method_and_path: str, body: bytes) -> Stored | None:
        """The stored answer of the same request, or Stripe's refusal if it was another one."""
        if key is not None and len(key) > _LONGEST_KEY:
            raise ApiError("Idempotency keys may be at most 255 characters.", kind="idempotency_error")
        stored = self._stored.get(key or "")
        if stored and (stored.method_and_path, stored.body) != (method_and_path, body):
            raise ApiError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        return stored

    def keep(self, key: str | None, stored: Stored) -> None:
        """Remember an answer under its key."""
        if key:
            self._stored[key] = stored
