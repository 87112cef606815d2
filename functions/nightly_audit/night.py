"""One night: read, check, mail. What it needs is put together here, once."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from functions.nightly_audit.mail import Edition, Mailer
from functions.nightly_audit.settings import NightlyAuditSettings
from shared.audit.run import run_audit
from shared.audit.since import collection_paused_since
from shared.aws import AWS_CONFIG
from shared.mirror_table import MirrorTable
from shared.secret_store import SecretStore
from shared.stripe_gateway import stripe_client

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client

# A mail may be large. A time-out here can mean that it was sent: only a longer wait keeps it from being sent twice.
MAIL_CONFIG = Config(connect_timeout=2, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 2})


@dataclass(frozen=True, slots=True)
class Night:
    """What a night works with."""

    settings: NightlyAuditSettings
    secrets: SecretStore
    table: MirrorTable
    mailer: Mailer

    def run(self, now: datetime) -> dict[str, int]:
        """Audit at `now` (aware), send the report, and count. Raises `PortalError`s; then no mail was sent."""
        settings = self.settings
        report = run_audit(
            stripe_client(self.secrets.get().api_key, settings.stripe_api_base),
            collection_paused_since(self.table),
            now=now,
            timezone=settings.audit_timezone,
            button_removed_on=settings.pause_button_removed_on,
            cutoff_on=settings.pause_cutoff_on,
        )
        self.mailer.send(Edition(report, "en"))
        return {
            "subscriptions_read": report.subscriptions_read,
            "subscriptions_paused": len(report.paused),
            "customers_served_free": report.customers_served_free,
            "findings": report.findings_count,
        }


def wire(settings: NightlyAuditSettings) -> Night:
    """Make the AWS clients; Stripe's is made at each run, from the secret as it is then."""
    ses: SESV2Client = boto3.client("sesv2", config=MAIL_CONFIG)
    return Night(
        settings,
        SecretStore(settings.secret_id, boto3.client("secretsmanager", config=AWS_CONFIG)),
        MirrorTable(boto3.client("dynamodb", config=AWS_CONFIG), settings.table_name),
        Mailer(ses, settings.audit_email_from, settings.audit_email_to),
    )
