"""Makes what the webhook needs, once per execution environment."""

import time
from dataclasses import dataclass
from functools import cache, cached_property, partial
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

    from stripe import StripeClient

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


class StripeReads:
    """Reads Stripe with the stored key. What most events do not need, such as Stripe's library, is imported late."""

    def __init__(self, secrets: SecretStore[StripeSecret], settings: WebhookSettings) -> None:
        self._secrets = secrets
        self._api_base = settings.stripe_api_base
        self._settling_rate = settings.settle_reads_per_second / SETTLING_ENVIRONMENTS

    def at_once(self, subscription_id: str) -> "SubscriptionRead":
        """Read a subscription while Stripe waits; leaves the time in which the event can still be queued."""
        with leaving(REQUEST_SECONDS + 1):
            return self._read(subscription_id)

    def when_settling(self, subscription_id: str) -> "SubscriptionRead":
        """Read a subscription for a message of the settle queue, within the rate."""
        self._limit.wait()
        return self._read(subscription_id)

    def entitlements(self, customer_id: str, products: "Collection[str]") -> "EntitlementsRead | None":
        """Read a customer's entitlements; only messages of the settle queue need them."""
        return self._entitlements.read(customer_id, products)

    def _read(self, subscription_id: str) -> "SubscriptionRead":
        from shared.stripe.gateway import read_from_stripe  # noqa: PLC0415

        return read_from_stripe(self._client(), subscription_id)

    def _client(self) -> "StripeClient":
        from shared.stripe.gateway import stripe_client  # noqa: PLC0415

        return stripe_client(self._secrets.get().api_key, self._api_base)

    @cached_property
    def _limit(self) -> "RateLimit":
        from shared.stripe.pacing import RateLimit  # noqa: PLC0415

        return RateLimit(self._settling_rate)

    @cached_property
    def _entitlements(self) -> "EntitlementsReader":
        from shared.stripe.entitlements import EntitlementsReader  # noqa: PLC0415

        return EntitlementsReader(self._client, wait=self._limit.wait)


def wire() -> Webhook:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong."""
    settings = WebhookSettings.from_environment()
    secrets_manager = lean_client("secretsmanager", REQUEST_SETTINGS)
    secrets = SecretStore("SECRET_ID", settings.secret_id, StripeSecret, secrets_manager)
    signing_secrets = SecretStore("SIGNING_SECRETS_ID", settings.signing_secrets_id, SigningSecrets, secrets_manager)
    table = MirrorTable(lean_client("dynamodb", REQUEST_SETTINGS), settings.table_name)
    stripe = StripeReads(secrets, settings)

    def intake(read: "Callable[[str], SubscriptionRead]") -> Intake:
        account = settings.stripe_account_id
        rule = {"uncertainty": settings.uncertainty, "retention": settings.retention}
        mirror = Mirror(table, read, **rule, account=account)
        entitlements = EntitlementsMirror(table, stripe.entitlements, **rule, account=account)
        return Intake(mirror, lambda: secrets.get().livemode, account, entitlements if settings.entitlements else None)

    sqs = cache(partial(request_client, "sqs", REQUEST_SETTINGS))
    dead_letters = DeadLetterQueue(sqs, settings.dead_letter_queue_url)
    settle_queue = SettleQueue(sqs, settings.settle_queue_url)
    receiver = Receiver(
        signing_secrets,
        intake(stripe.at_once),
        settle_queue,
        dead_letters,
        clock=time.time,
        event_source=settings.stripe_event_source,
    )
    settler = Settler(intake(stripe.when_settling), settle_queue, dead_letters, clock=time.time)
    return Webhook(receiver, settler)
