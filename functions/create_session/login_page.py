"""The no-code login page: where a visitor goes who brings no token."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

import stripe
from stripe import StripeClient

from functions.create_session.refusals import no_default_configuration, refusal
from shared.errors import OperatorError, PortalError, Unavailable
from shared.stripe.gateway import stripe_errors

CACHE_SECONDS = 300
# Nobody has to prove anything to ask: what Stripe refuses is not asked again for each visitor either.
FAILURE_SECONDS = 10
MAX_EMAIL_LENGTH = 512


@dataclass(frozen=True, slots=True)
class _Known:
    """What the client was answered, good until a time on the monotonic clock."""

    client: StripeClient
    answer: str | PortalError
    until: float


class LoginPage:
    """Knows the address of the default configuration's login page, and asks Stripe for it every 5 minutes at most.

    A failure is remembered for 10 seconds. While Stripe does not answer, the address that was known last goes on.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: _Known | None = None

    def url(self, client: StripeClient) -> str:
        """Return the address. Raises `OperatorError` when there is no such page, `Unavailable` when nobody knows."""
        known = self._known if self._known and self._known.client is client else None
        if known is None or self._monotonic() >= known.until:
            known = self._known = self._asked(client, known)
        if isinstance(known.answer, PortalError):
            raise known.answer.with_traceback(None)
        return known.answer

    def _asked(self, client: StripeClient, last: _Known | None) -> _Known:
        try:
            return _Known(client, _ask(client), self._monotonic() + CACHE_SECONDS)
        except PortalError as error:
            is_known = isinstance(error, Unavailable) and last is not None and isinstance(last.answer, str)
            answer = last.answer if last and is_known else error
            return _Known(client, answer, self._monotonic() + FAILURE_SECONDS)


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
