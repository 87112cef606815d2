"""The account itself, as much as Stripe's CLI asks for."""

from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

ACCOUNT_ID = "acct_1SimulatedStripe"
BUSINESS_NAME = "Example Business"


def retrieve(_: Call) -> StripeObject:
    """`GET /v1/account`."""
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "business_profile": {"name": BUSINESS_NAME, "url": None},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@example.com",
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": BUSINESS_NAME, "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def balance(_: Call) -> StripeObject:
    """`GET /v1/balance`, always empty."""
    nothing = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
    return {"object": "balance", "available": nothing, "livemode": False, "pending": nothing}
