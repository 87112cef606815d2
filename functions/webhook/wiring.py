"""Makes what the webhook needs, once per execution environment."""

import time
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from functions.webhook.receive import Receiver
from functions.webhook.settings import WebhookSettings
from functions.webhook.settle import Settler
from shared.aws import REQUEST_SECONDS, REQUEST_SETTINGS, request_client
from shared.deadline import leaving
from shared.lean_client import lean_client
from shared.mirror.dead_letters import DeadLetterQueue
from shared.mirror.entitlements import EntitlementsMirror
from shared.mirror.intake import Intake
from shared.mirror.rule import Mirror
from shared.mirror.settle_queue import SettleQueue
from shared.mirror.table import MirrorTable
from shared.secret_store import SecretStore, SigningSecrets, StripeSecret

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from shared.stripe.entitlements import EntitlementsRead, EntitlementsReader
    from shared.stripe.pacing import RateLimit
    from shared.stripe.subscription_read import SubscriptionRead

# As many environments settle at a time (MaximumConcurrency of template.yaml), and share the rate.
SETTLING_ENVIRONMENTS = 2


@dataclass(frozen=True, slots=True)
class Webhook:
    """What the function does with a request or an event of the bus, and with a message of the settle queue."""

    receiver: Receiver
    settler: Settler


def wire() -> Webhook:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong.

    What most events do not need is imported when one does: boto3's clients and Stripe's library.
    """
    settings = WebhookSettings.from_environment()
    secrets_manager = lean_client("secretsmanager", REQUEST_SETTINGS)
    secrets = SecretStore("SECRET_ID", settings.secret_id, StripeSecret, secrets_manager)
    signing_secrets = SecretStore("SIGNING_SECRETS_ID", settings.signing_secrets_id, SigningSecrets, secrets_manager)
    table = MirrorTable(lean_client("dynamodb", REQUEST_SETTINGS), settings.table_name)

    def read(subscription_id: str) -> "SubscriptionRead":
        from shared.stripe.gateway import read_from_stripe, stripe_client  # noqa: PLC0415

        return read_from_stripe(stripe_client(secrets.get().api_key, settings.stripe_api_base), subscription_id)

    def read_before_queueing(subscription_id: str) -> "SubscriptionRead":
        with leaving(REQUEST_SECONDS + 1):
            return read(subscription_id)

    @cache
    def limit() -> "RateLimit":
        from shared.stripe.pacing import RateLimit  # noqa: PLC0415

        return RateLimit(settings.settle_reads_per_second / SETTLING_ENVIRONMENTS)

    def limited_read(subscription_id: str) -> "SubscriptionRead":
        limit().wait()
        return read(subscription_id)

    def entitlements_read(customer_id: str, products: "Collection[str]") -> "EntitlementsRead | None":
        return entitlements_reader().read(customer_id, products)

    @cache
    def entitlements_reader() -> "EntitlementsReader":
        from shared.stripe.entitlements import EntitlementsReader  # noqa: PLC0415
        from shared.stripe.gateway import stripe_client  # noqa: PLC0415

        # They are read for messages of the settle queue only.
        return EntitlementsReader(
            lambda: stripe_client(secrets.get().api_key, settings.stripe_api_base), wait=limit().wait
        )

    def intake(read: "Callable[[str], SubscriptionRead]") -> Intake:
        account = settings.stripe_account_id
        rule = {"uncertainty": settings.uncertainty, "retention": settings.retention}
        mirror = Mirror(table, read, **rule, account=account)
        entitlements = EntitlementsMirror(table, entitlements_read, **rule, account=account)
        return Intake(mirror, lambda: secrets.get().livemode, account, entitlements if settings.entitlements else None)

    sqs = cache(partial(request_client, "sqs", REQUEST_SETTINGS))
    dead_letters = DeadLetterQueue(sqs, settings.dead_letter_queue_url)
    settle_queue = SettleQueue(sqs, settings.settle_queue_url)
    return Webhook(
        Receiver(
            signing_secrets,
            intake(read_before_queueing),
            settle_queue,
            dead_letters,
            clock=time.time,
            event_source=settings.stripe_event_source,
        ),
        Settler(intake(limited_read), settle_queue, dead_letters, clock=time.time),
    )
