"""Makes what the portal link needs, once per execution environment."""

from functions.create_session.portal_link import PortalLink
from functions.create_session.settings import CreateSessionSettings
from shared.aws import REQUEST_SETTINGS
from shared.lean_client import lean_client
from shared.secret_store import LinkSecrets, SecretStore, StripeSecret


def wire() -> PortalLink:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong.

    Stripe's client is made with each request, from the secret as it is then.
    """
    settings = CreateSessionSettings.from_environment()
    client = lean_client("secretsmanager", REQUEST_SETTINGS)
    return PortalLink(
        settings,
        SecretStore("SECRET_ID", settings.secret_id, StripeSecret, client),
        SecretStore("LINK_SECRETS_ID", settings.link_secrets_id, LinkSecrets, client),
    )
