"""Metadata and other fields that a request sets one by one and clears with an empty value."""

from typing import Any

from local.stripe_simulator.store import StripeObject


def merged(old: dict[str, str], given: dict[str, str] | str | None) -> dict[str, str]:
    """Metadata after a request: an empty value removes a key, an empty whole removes all."""
    if given == "":
        return {}
    if not isinstance(given, dict):
        return old
    return {key: value for key, value in {**old, **given}.items() if value != ""}


def apply_fields(target: StripeObject, params: dict[str, Any], names: tuple[str, ...]) -> None:
    """Take over the named parameters as they are; the empty string becomes null."""
    for name in names:
        if name in params:
            target[name] = None if params[name] == "" else params[name]
    if "metadata" in params:
        target["metadata"] = merged(target["metadata"], params["metadata"])
