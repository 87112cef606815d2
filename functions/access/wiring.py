"""Makes what the access function needs, once per execution environment."""

from functions.access.answers import AccessAnswers
from functions.access.lookups import Lookups
from functions.access.settings import AccessSettings
from shared.aws import REQUEST_SETTINGS
from shared.lean_client import lean_client
from shared.mirror.table import MirrorTable
from shared.secret_store import LinkSecrets, SecretStore, StripeSecret
from shared.stripe.entitlements import EntitlementsReader
from shared.stripe.gateway import stripe_client


def wire() -> AccessAnswers:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong."""
    settings = AccessSettings.from_environment()
    secrets_manager = lean_client("secretsmanager", REQUEST_SETTINGS)
    dynamodb = lean_client("dynamodb", REQUEST_SETTINGS)
    secrets = SecretStore("SECRET_ID", settings.secret_id, StripeSecret, secrets_manager)
    return AccessAnswers(
        settings,
        secrets,
        SecretStore("LINK_SECRETS_ID", settings.link_secrets_id, LinkSecrets, secrets_manager),
        MirrorTable(dynamodb, settings.table_name),
        Lookups(dynamodb, settings.lookups_table_name, per_minute=settings.access_lookups_per_minute),
        EntitlementsReader(lambda: stripe_client(secrets.get().api_key, settings.stripe_api_base)),
    )
