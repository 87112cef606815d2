"""A subscription as Stripe's JSON, for tests that need many which differ little."""

from typing import Any

VOID = {"behavior": "void", "resumes_at": None}


def raw_subscription(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An active one at 12.50 EUR a month; `number` tells subscriptions and their customers apart."""
    price = {
        "id": "price_1",
        "object": "price",
        "currency": "eur",
        "unit_amount_decimal": "1250",
        "billing_scheme": "per_unit",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    }
    item = {"id": f"si_{number}", "object": "subscription_item", "quantity": 1, "price": price}
    return {
        "id": f"sub_{number}",
        "object": "subscription",
        "customer": f"cus_{number}",
        "status": "active",
        "livemode": False,
        "currency": "eur",
        "pause_collection": None,
        "items": {"object": "list", "data": [item]},
        **changes,
    }
