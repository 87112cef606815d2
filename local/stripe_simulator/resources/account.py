"""The account itself, as much as Stripe's CLI asks for."""

from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

ACCOUNT_ID = "acct_1SimulatedStripe"
BUSINESS_NAME = "Northwind"

_PROFILE = (
    *("mcc", "minority_owned_business_designation", "name", "specified_commercial_transactions_act_url"),
    *("support_address", "support_email", "support_phone", "support_url", "url"),
)
_DESCRIPTORS = (
    *("statement_descriptor", "statement_descriptor_kana", "statement_descriptor_kanji"),
    *("statement_descriptor_prefix_kana", "statement_descriptor_prefix_kanji"),
)


def retrieve(_: Call) -> StripeObject:
    """`GET /v1/account`."""
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "business_profile": dict.fromkeys(_PROFILE) | {"name": BUSINESS_NAME},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@example.com",
        "payouts_enabled": True,
        "settings": {
            "branding": dict.fromkeys(("icon", "logo", "primary_color", "secondary_color")),
            "card_payments": dict.fromkeys(
                f"statement_descriptor_prefix{script}" for script in ("", "_kana", "_kanji")
            ),
            "dashboard": {"display_name": BUSINESS_NAME, "timezone": "Etc/UTC"},
            "payments": dict.fromkeys(_DESCRIPTORS),
        },
        "type": "standard",
    }


def balance(_: Call) -> StripeObject:
    """`GET /v1/balance`, always empty."""
    nothing = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
    return {"object": "balance", "available": nothing, "livemode": False, "pending": nothing}
