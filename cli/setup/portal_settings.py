"""The account's default portal configuration, which only Stripe's Dashboard can make."""

from stripe import StripeClient

from cli.setup.stripe_key import mode_of
from shared.stripe.gateway import StripeJson, stripe_errors


def portal_settings_url(key: str) -> str:
    """Return where the Dashboard saves the portal's settings, as Stripe's refusal of a session names it."""
    return f"https://dashboard.stripe.com/{'' if mode_of(key) == 'live' else 'test/'}settings/billing/portal"


def default_configuration(client: StripeClient) -> StripeJson | None:
    """Read the account's default portal configuration, if its settings were ever saved."""
    with stripe_errors():
        found = client.v1.billing_portal.configurations.list({"is_default": True, "limit": 1}).data
    raw: StripeJson | None = found[0].to_dict(for_json=True) if found else None
    return raw


def turn_on_login_page(client: StripeClient, configuration: str) -> None:
    """Let customers without a link sign in with a code that Stripe mails them."""
    with stripe_errors():
        client.v1.billing_portal.configurations.update(configuration, {"login_page": {"enabled": True}})
