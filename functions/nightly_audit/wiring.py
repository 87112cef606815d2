"""Makes what the nightly audit needs, once per execution environment."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from functions.nightly_audit.audits_table import AuditsTable
from functions.nightly_audit.bucket import ReportBucket
from functions.nightly_audit.mail import Mailer
from functions.nightly_audit.night import NightlyAudit
from functions.nightly_audit.settings import NightlyAuditSettings
from shared.aws import AWS_CONFIG
from shared.mirror.table import MirrorTable
from shared.secret_store import SecretStore, StripeSecret

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sesv2 import SESV2Client


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


def wire() -> NightlyAudit:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong.

    Stripe's client is made at each step, from the secret as it is then.
    """
    settings = NightlyAuditSettings.from_environment()
    ses: SESV2Client = boto3.client("sesv2", config=MAIL_CONFIG)
    s3: S3Client = boto3.client("s3", config=BUCKET_CONFIG)
    dynamodb = boto3.client("dynamodb", config=AWS_CONFIG)
    return NightlyAudit(
        settings,
        SecretStore("SECRET_ID", settings.secret_id, StripeSecret, boto3.client("secretsmanager", config=AWS_CONFIG)),
        MirrorTable(dynamodb, settings.table_name),
        AuditsTable(dynamodb, settings.audits_table_name),
        ReportBucket(s3, settings.audit_bucket),
        Mailer(ses, settings.audit_email_from, settings.audit_email_to),
    )
