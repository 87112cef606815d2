"""The names under which CloudWatch counts what became of portal links; all have the unit Count."""

from enum import StrEnum


class PortalMetric(StrEnum):
    """One of them for each request."""

    OPENED = "PortalOpened"
    CHECKOUT = "PortalCheckout"
    CHECKED = "PortalChecked"
    REFUSED = "PortalRefused"
    MISCONFIGURED = "PortalMisconfigured"
    UNAVAILABLE = "PortalUnavailable"
