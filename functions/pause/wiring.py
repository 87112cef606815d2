"""Makes what the pause function needs, once per execution environment."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING

from functions.pause.answers import PauseAnswers
from functions.pause.look import Brand
from functions.pause.notices import Notices
from functions.pause.page import PausePages, PortalFlow
from functions.pause.settings import PauseSettings
from shared.aws import REQUEST_SETTINGS, request_client
from shared.lean_client import lean_client
from shared.link_token import AUDIENCE, MAX_AGE, PAUSE_AUDIENCE, LinkClaims, LinkTokens
from shared.pausing.at_stripe import StripePauses
from shared.pausing.history import PauseTable
from shared.pausing.operations import Pausing
from shared.secret_store import LinkSecrets, SecretStore, StripeSecret
from shared.stripe.gateway import stripe_client

if TYPE_CHECKING:
    from stripe import StripeClient

# The portal's page is opened right after ours.
_PORTAL_LINK_AGE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PauseParts:
    """The API, the page and the mails, over the same operations."""

    answers: PauseAnswers
    pages: PausePages
    notices: Notices

    @property
    def pausing(self) -> Pausing:
        """The operations."""
        return self.answers.pausing


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links that need no sign-in: to the page for pauses, and to one page of the portal."""

    secrets: SecretStore[LinkSecrets]
    pause_page_url: str
    portal_url: str
    clock: Callable[[], float] = time.time

    def pause_page(self, customer: str) -> str:
        """Return a link that opens a customer's page for a week, the longest that a link may live."""
        return f"{self.pause_page_url}?token={self._token(PAUSE_AUDIENCE, LinkClaims(sub=customer), MAX_AGE)}"

    def portal(self, customer: str, flow: PortalFlow, subscription: str | None) -> str:
        """Return a link that opens one page of the portal for an hour."""
        claims = LinkClaims(sub=customer, flow=flow, subscription=subscription)
        return f"{self.portal_url}?token={self._token(AUDIENCE, claims, _PORTAL_LINK_AGE)}"

    def _token(self, audience: str, claims: LinkClaims, age: timedelta) -> str:
        now = self.clock()
        return LinkTokens(self.secrets.get().valid_at(now), audience).mint(claims, expires_in=age, now=now)


def wire() -> PauseParts:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong."""
    settings = PauseSettings.from_environment()
    secrets_manager = lean_client("secretsmanager", REQUEST_SETTINGS)
    secrets = SecretStore("SECRET_ID", settings.secret_id, StripeSecret, secrets_manager)
    link_secrets = SecretStore("LINK_SECRETS_ID", settings.link_secrets_id, LinkSecrets, secrets_manager)
    # Transactions and pages are boto3's.
    table = PauseTable(request_client("dynamodb", REQUEST_SETTINGS), settings.pauses_table_name)

    def client() -> "StripeClient":
        return stripe_client(secrets.get().api_key, settings.stripe_api_base)

    pausing = Pausing(lambda: StripePauses(client()), table, settings.audit_timezone)
    links = Links(link_secrets, settings.pause_page_url, settings.portal_url)
    brand = Brand(settings.brand_name, settings.brand_color, settings.brand_logo_url, settings.brand_url)
    notices = Notices(
        cache(partial(request_client, "sesv2", REQUEST_SETTINGS)),
        client,
        table,
        sender=settings.pause_email_from,
        brand=brand,
        timezone=settings.audit_timezone,
        notice_days=settings.pause_notice_days,
        page_link=links.pause_page,
    )
    answers = PauseAnswers(settings, link_secrets, pausing, client)
    return PauseParts(answers, PausePages(pausing, brand, links.portal), notices)
