"""Makes what the nightly audit needs: clients once per execution environment, settings at each step."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.nightly_audit.audits_table import AuditsTable
from functions.nightly_audit.bucket import ReportBucket
from functions.nightly_audit.mail import Mailer
from functions.nightly_audit.night import NightlyAudit
from functions.nightly_audit.settings import NightlyAuditSettings, read_settings
from shared.audit.check import WaitingMessages, at
from shared.audit.checks.mirror import LOST_AUDITS, UNREADABLE_EVENTS, UNSETTLED_EVENTS
from shared.aws import AWS_SETTINGS, code_of
from shared.mirror.dead_letters import queue_state
from shared.mirror.table import MirrorTable
from shared.pausing.history import PauseTable
from shared.secret_store import SecretStore, StripeSecret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sesv2 import SESV2Client
    from types_boto3_sqs import SQSClient
    from types_boto3_ssm import SSMClient

logger = logging.getLogger(__name__)

# A mail may be large. After a time-out it may have been sent, and is sent again: hence the long one.
MAIL_CONFIG = Config(connect_timeout=2, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 2})
# Files may be large as well. A signed URL has to be of the bucket's own region.
BUCKET_CONFIG = Config(
    connect_timeout=2,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    signature_version="s3v4",
    s3={"addressing_style": "virtual"},
)


@dataclass(frozen=True, slots=True)
class _Clients:
    ssm: "SSMClient"
    ses: "SESV2Client"
    s3: "S3Client"
    dynamodb: "DynamoDBClient"
    secretsmanager: "SecretsManagerClient"


@cache
def clients() -> _Clients:
    """Make the clients of AWS, once."""
    return _Clients(
        boto3.client("ssm", config=AWS_SETTINGS.config()),
        boto3.client("sesv2", config=MAIL_CONFIG),
        boto3.client("s3", config=BUCKET_CONFIG),
        boto3.client("dynamodb", config=AWS_SETTINGS.config()),
        boto3.client("secretsmanager", config=AWS_SETTINGS.config()),
    )


@cache
def secrets(secret_id: str) -> SecretStore[StripeSecret]:
    """Make the store of the secret, once: it caches."""
    return SecretStore("SECRET_ID", secret_id, StripeSecret, clients().secretsmanager)


@cache
def _sqs() -> "SQSClient":
    """Make the client that one step alone needs, when it needs it."""
    client: SQSClient = boto3.client("sqs", config=AWS_SETTINGS.config())
    return client


def dead_letters(settings: NightlyAuditSettings) -> dict[str, WaitingMessages]:
    """Look at the deployment's dead-letter queues. Raises `Unavailable`."""
    urls = {
        UNREADABLE_EVENTS: settings.dead_letter_queue_url,
        UNSETTLED_EVENTS: settings.settle_dead_letter_queue_url,
        LOST_AUDITS: settings.audit_dead_letter_queue_url,
    }
    states = {name: queue_state(_sqs(), url) for name, url in urls.items()}
    return {name: WaitingMessages(state.number, at(state.oldest_sent_at)) for name, state in states.items()}


def oldest_secret_days(settings: NightlyAuditSettings, now: float) -> int | None:
    """Return for how many days the secret has not changed that has not changed for longest, at `now` (Unix seconds).

    To Secrets Manager a changed tag is a change too. A secret whose age cannot be read is logged and left out, because
    the mail matters more; `None` where that is all of them.
    """
    changed: list[datetime] = []
    for name in ("secret_id", "signing_secrets_id", "link_secrets_id"):
        try:
            found: Mapping[str, Any] = clients().secretsmanager.describe_secret(SecretId=getattr(settings, name))
        except (ClientError, BotoCoreError) as error:
            logger.warning("The age of the secret of %s is not known (%s)", name.upper(), code_of(error))
        else:
            changed += [found["LastChangedDate"]] if "LastChangedDate" in found else []
    return (datetime.fromtimestamp(now, UTC) - min(changed)).days if changed else None


def wire() -> NightlyAudit:
    """Read the settings as they are now, and put together what a step needs.

    Stripe's client is made at each step, from the secret as it is then. Raises `OperatorError` naming the settings that
    are wrong, `Unavailable` when they cannot be read now.
    """
    aws = clients()
    settings = read_settings(aws.ssm)
    return NightlyAudit(
        settings,
        secrets(settings.secret_id),
        MirrorTable(aws.dynamodb, settings.table_name),
        PauseTable(aws.dynamodb, settings.pauses_table_name),
        AuditsTable(aws.dynamodb, settings.audits_table_name),
        ReportBucket(aws.s3, settings.audit_bucket),
        Mailer(aws.ses, settings.audit_email_from, settings.audit_email_to),
        partial(dead_letters, settings),
        partial(oldest_secret_days, settings),
    )
