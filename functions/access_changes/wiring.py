"""Makes what the function needs, once per execution environment."""

import time

import boto3

from functions.access_changes.access_table import AccessTable
from functions.access_changes.changes import AccessChanges, AccessEvents
from functions.access_changes.settings import AccessChangesSettings
from shared.aws import AWS_SETTINGS
from shared.mirror.table import MirrorTable


def wire() -> AccessChanges:
    """Read the settings and make the clients. Raises `OperatorError` naming the settings that are wrong."""
    settings = AccessChangesSettings.from_environment()
    dynamodb = boto3.client("dynamodb", config=AWS_SETTINGS.config())
    return AccessChanges(
        MirrorTable(dynamodb, settings.table_name),
        AccessTable(dynamodb, settings.access_table_name),
        AccessEvents(boto3.client("events", config=AWS_SETTINGS.config()), settings.access_event_bus),
        settings,
        settings.stripe_account_id,
        time.time,
        settings.entitlements,
    )
