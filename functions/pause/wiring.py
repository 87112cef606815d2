"""Makes what the pause function needs, once per execution environment."""

from functions.pause.answers import PauseAnswers
from functions.pause.settings import PauseSettings
from shared.aws import REQUEST_CONFIG, request_client
from shared.lean_client import lean_client
from shared.pausing.at_stripe import StripePauses
from shared.pausing.history import PauseTable
from shared.pausing.operations import Pausing
from shared.secret_store import LinkSecrets, SecretStore, StripeSecret
from shared.stripe.gateway import stripe_client


def wire() -> PauseAnswers:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong."""
    settings = PauseSettings.from_environment()
    secrets_manager = lean_client("secretsmanager", REQUEST_CONFIG)
    secrets = SecretStore("SECRET_ID", settings.secret_id, StripeSecret, secrets_manager)
    # Transactions and pages are boto3's.
    table = PauseTable(request_client("dynamodb", REQUEST_CONFIG), settings.pauses_table_name)

    def stripe() -> StripePauses:
        return StripePauses(stripe_client(secrets.get().api_key, settings.stripe_api_base))

    return PauseAnswers(
        settings,
        SecretStore("LINK_SECRETS_ID", settings.link_secrets_id, LinkSecrets, secrets_manager),
        Pausing(stripe, table, settings.audit_timezone),
        lambda: stripe_client(secrets.get().api_key, settings.stripe_api_base),
    )
