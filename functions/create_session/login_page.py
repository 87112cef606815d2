"""The no-code login page, where a visitor without a token goes."""

import time
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit, urlunsplit

import stripe
from stripe import StripeClient

from functions.create_session.refusals import refusal
from shared.cached_read import CachedRead
from shared.errors import OperatorError
from shared.portal.which_configuration import no_default_configuration
from shared.stripe.gateway import stripe_errors

MAX_EMAIL_LENGTH = 512


class LoginPage:
    """Returns the address of the default configuration's login page, which anybody can ask for."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._addresses = CachedRead(_read_address, monotonic)

    def url(self, client: StripeClient) -> str:
        """Return the address. Raises `OperatorError` when there is no such page, `Unavailable` when it is not known."""
        return self._addresses.get(client)


def _read_address(client: StripeClient) -> str:
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
            "Turn on the login link in Stripe's Dashboard (Settings > Billing > Customer portal), "
            "in the mode of the API key",
        )
    return default.login_page.url


def with_email(url: str, email: str | None) -> str:
    """Prefill the visitor's e-mail address, which the visitor can still change; no customer is looked up.

    Source: docs.stripe.com/customer-management/activate-no-code-customer-portal, `prefilled_email`.
    """
    if not email or len(email) > MAX_EMAIL_LENGTH:
        return url
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode({"prefilled_email": email})]))
    return urlunsplit(parts._replace(query=query))
