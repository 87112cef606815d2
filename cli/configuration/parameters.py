"""Turns what an entry asks for into the parameters of Stripe's two requests, which clear things differently."""

from collections.abc import Iterable, Mapping
from typing import Any

from cli.configuration.planning import Change

_OFF = {"enabled": False}


def of_creation(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the parameters of a new configuration: it is active by itself, and what is empty or off is left out."""
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


def of_update(asked: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """Answer the parameters of a change: whole features that differ, and no others."""
    paths = [change.path.split(".") for change in changes]
    params = {name: _cleared(asked[name]) for name in {path[0] for path in paths} - {"features", "metadata"}}
    features = {path[1] for path in paths if path[0] == "features"}
    if features:
        params["features"] = {name: _cleared(asked["features"][name]) for name in sorted(features)}
    metadata = {change.path.partition(".")[2]: change.after or "" for change in changes if _is_metadata(change)}
    return params | ({"metadata": metadata} if metadata else {})


def _is_metadata(change: Change) -> bool:
    return change.path.startswith("metadata.")


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], {})}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def _cleared(value: Any) -> Any:
    """Answer the same with the empty string, which is how a request clears something."""
    if isinstance(value, Mapping):
        return {key: _cleared(item) for key, item in value.items()}
    if isinstance(value, list) and value:
        return [_cleared(item) for item in value]
    return "" if value is None or value == [] else value
