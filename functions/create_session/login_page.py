"""The no-code login page, where a visitor without a token goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

import stripe
from stripe import StripeClient

from functions.create_session.refusals import refusal
from shared.errors import OperatorError, PortalError, Unavailable
from shared.portal.which_configuration import no_default_configuration
from shared.stripe.gateway import stripe_errors

CACHE_SECONDS = 300
# Anybody can ask for the login page, so that a failure too is remembered, lest every visitor costs a call to Stripe.
FAILURE_SECONDS = 10
MAX_EMAIL_LENGTH = 512


@dataclass(frozen=True, slots=True)
class _Known:
    """The outcome of asking Stripe with this client, valid until a time on the monotonic clock."""

    client: StripeClient
    outcome: str | PortalError
    until: float


class LoginPage:
    """Returns the address of the default configuration's login page, read from Stripe at most every 5 minutes.

    A failure is remembered for 10 seconds. While Stripe does not answer, the last known address remains valid.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: _Known | None = None

    def url(self, client: StripeClient) -> str:
        """Return the address. Raises `OperatorError` when there is no such page, `Unavailable` when it is not known."""
        known = self._known if self._known and self._known.client is client else None
        if known is None or self._monotonic() >= known.until:
            known = self._known = self._read(client, known)
        if isinstance(known.outcome, PortalError):
            raise known.outcome.with_traceback(None)
        return known.outcome

    def _read(self, client: StripeClient, last: _Known | None) -> _Known:
        try:
            return _Known(client, _read_address(client), self._monotonic() + CACHE_SECONDS)
        except PortalError as error:
            is_known = isinstance(error, Unavailable) and last is not None and isinstance(last.outcome, str)
            outcome = last.outcome if last and is_known else error
            return _Known(client, outcome, self._monotonic() + FAILURE_SECONDS)


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
