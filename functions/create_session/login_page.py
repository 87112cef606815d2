"""The no-code login page: where a visitor goes who brings no token."""

import time
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit, urlunsplit

import stripe
from stripe import StripeClient

from functions.create_session.refusal import no_default_configuration, refusal
from shared.errors import OperatorError
from shared.stripe_gateway import stripe_errors

CACHE_SECONDS = 300
MAX_EMAIL_LENGTH = 512


class LoginPage:
    """Knows the address of the default configuration's login page, and asks Stripe for it every 5 minutes at most."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: tuple[StripeClient, float, str] | None = None

    def url(self, client: StripeClient) -> str:
        """Answer the address. Raises `OperatorError` when there is no such page."""
        now = self._monotonic()
        if self._known is None or self._known[0] is not client or now - self._known[1] >= CACHE_SECONDS:
            self._known = (client, now, _ask(client))
        return self._known[2]


def _ask(client: StripeClient) -> str:
    with stripe_errors():
        try:
            listed = client.v1.billing_portal.configurations.list({"is_default": True, "limit": 1}).data
        except stripe.InvalidRequestError as error:
            raise refusal(error) from error
    if not listed:
        raise no_default_configuration()
    default = listed[0]
    if not default.active:
        raise OperatorError("configuration_inactive", f"Activate the default portal configuration {default.id}")
    if not default.login_page.enabled or not default.login_page.url:
        raise OperatorError(
            "login_page_off",
            "Turn the login link on in Stripe's Dashboard (Settings > Billing > Customer portal), "
            "in the mode of the API key",
        )
    return default.login_page.url


def with_email(url: str, email: str | None) -> str:
    """Fill in the visitor's address, which the visitor can still change; nothing is looked up.

    Source: docs.stripe.com/customer-management/activate-no-code-customer-portal, `prefilled_email`.
    """
    if not email or len(email) > MAX_EMAIL_LENGTH:
        return url
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode({"prefilled_email": email})]))
    return urlunsplit(parts._replace(query=query))
