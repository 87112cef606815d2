"""A portal configuration's features as the rules read them, in every form that they have had."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PausePeriod:
    """A length of pause that the customer may choose, such as 3 months."""

    interval: str
    count: int


@dataclass(frozen=True, slots=True)
class PortalFeatures:
    """What a configuration offers.

    `products`: product to the prices that the customer may switch to; `None` when the answer did not hold them.
    `pause_periods`: empty for a pause without an end, `None` for the form of before API 2024-04-10.
    """

    cancel: bool = False
    cancel_mode: str = "at_period_end"
    update: bool = False
    allowed_updates: frozenset[str] = frozenset()
    products: Mapping[str, tuple[str, ...]] | None = None
    continues_trial: bool = False
    payment_method_update: bool = False
    pause: bool = False
    pause_periods: tuple[PausePeriod, ...] | None = None

    @classmethod
    def read(cls, configuration: Raw) -> Self:
        """Read a raw `billing_portal.configuration`; a feature that is absent is off."""
        features = configuration.get("features") or {}
        cancel, update = features.get("subscription_cancel") or {}, features.get("subscription_update") or {}
        pause = features.get("subscription_pause") or {}
        return cls(
            cancel=bool(cancel.get("enabled")),
            cancel_mode=str(cancel.get("mode") or "at_period_end"),
            update=bool(update.get("enabled")),
            allowed_updates=frozenset(update.get("default_allowed_updates") or ()),
            products=_products(update),
            continues_trial=update.get("trial_update_behavior") == "continue_trial",
            payment_method_update=bool((features.get("payment_method_update") or {}).get("enabled")),
            pause=bool(pause.get("enabled")),
            pause_periods=_periods(pause.get("duration")),
        )


def _products(update: Raw) -> dict[str, tuple[str, ...]] | None:
    """Stripe leaves the list out unless it is expanded."""
    listed = update.get("products")
    if listed is None:
        return None if "products" not in update else {}
    return {str(each["product"]): tuple(each.get("prices") or ()) for each in listed}


def _periods(duration: Raw | None) -> tuple[PausePeriod, ...] | None:
    if not duration:
        return None
    if duration.get("type") == "indefinite":
        return ()
    options = duration.get("interval_options") or [{"interval": "month"}]
    return tuple(PausePeriod(str(each["interval"]), int(each.get("interval_count") or 1)) for each in options)
