"""Findings for tests about how they are shown."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.audit.findings import Finding, PausedSubscription, Severity
from shared.i18n import verbatim
from shared.portal.pause import PauseOrigin
from shared.stripe.money import MonthlyAmount

PAUSED = PausedSubscription(
    subscription_id="sub_1",
    customer_id="cus_1",
    status="active",
    kind="collection",
    behavior="void",
    resumes_at=None,
    paused_since=datetime(2024, 3, 1, 23, 30, tzinfo=UTC),
    paused_since_is_exact=False,
    cause=None,
    monthly=MonthlyAmount({"eur": Decimal(1250)}),
    served_free=True,
    origin=PauseOrigin.BUTTON,
)


def finding(
    number: int = 1, severity: Severity = Severity.CRITICAL, meaning: str = "Meaning.", **facts: Any
) -> Finding:
    """A pause of collection, with these facts; `number` tells subscriptions and their customers apart."""
    paused = replace(PAUSED, **{"subscription_id": f"sub_{number}", "customer_id": f"cus_{number}", **facts})
    return Finding(
        "paused_collection", severity, (paused.subscription_id,), verbatim(meaning), verbatim("Action."), paused
    )
