"""Makes what the webhook needs, once per execution environment."""

import time
from functools import cache

import boto3
from botocore.config import Config

from functions.webhook.receive import Receiver
from functions.webhook.settings import WebhookSettings
from shared.aws import AWS_CONFIG
from shared.mirror.dead_letters import DeadLetterQueue
from shared.mirror.intake import Intake
from shared.mirror.rule import Mirror
from shared.mirror.table import MirrorTable
from shared.secret_store import SecretStore, WebhookSecret
from shared.stripe.gateway import read_from_stripe, stripe_client

# What is written was checked by pydantic, and is checked by DynamoDB: botocore's own check of each value, and the user
# agent that it makes anew for each request, are more than a third of an `update_item`'s CPU (`bench.webhook_cpu`).
MIRROR_CONFIG = AWS_CONFIG.merge(Config(parameter_validation=False, user_agent="stripe-portal-webhook"))


def wire() -> Receiver:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong."""
    settings = WebhookSettings.from_environment()
    secrets = SecretStore(
        "SECRET_ID", settings.secret_id, WebhookSecret, boto3.client("secretsmanager", config=AWS_CONFIG)
    )
    mirror = Mirror(
        MirrorTable(boto3.client("dynamodb", config=MIRROR_CONFIG), settings.table_name),
        lambda id_: read_from_stripe(stripe_client(secrets.get().api_key, settings.stripe_api_base), id_),
        uncertainty=settings.uncertainty,
        retention=settings.retention,
    )
    # Almost no event needs it, so no first request waits for it.
    sqs = cache(lambda: boto3.client("sqs", config=AWS_CONFIG))
    dead_letters = DeadLetterQueue(sqs, settings.dead_letter_queue_url)
    return Receiver(secrets, Intake(mirror, lambda: secrets.get().livemode), dead_letters, clock=time.time)
