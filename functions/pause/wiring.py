"""Makes what the pause function needs, once per execution environment."""

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from functions.pause.answers import PauseAnswers
from functions.pause.links import Links
from functions.pause.look import Brand
from functions.pause.notices import Notices
from functions.pause.page import PausePages
from functions.pause.portal_pause import PortalPauses
from functions.pause.settings import PauseSettings
from shared.aws import REQUEST_SETTINGS, request_client
from shared.lean_client import lean_client
from shared.pausing.at_stripe import StripePauses
from shared.pausing.history import PauseTable
from shared.pausing.operations import Pausing
from shared.secret_store import LinkSecrets, SecretStore, StripeSecret
from shared.stripe.gateway import stripe_client

if TYPE_CHECKING:
    from stripe import StripeClient


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
        policy_of=settings.policy_of,
        links=links,
    )
    portal_pauses = PortalPauses(client, settings.portal_configurations, links, pausing.clock)
    answers = PauseAnswers(settings, link_secrets, pausing, portal_pauses, client)
    return PauseParts(answers, PausePages(pausing, brand, links, portal_pauses), notices)
