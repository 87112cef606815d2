"""The settings of the function that publishes changes of access."""

from typing import Annotated

from pydantic import Field

from shared.access import AccessPolicy
from shared.settings import FunctionSettings


class AccessChangesSettings(FunctionSettings, AccessPolicy):
    """Where the mirror and the published answers are, the bus to publish on, and what each state means."""

    table_name: Annotated[str, Field(min_length=1)]
    access_table_name: Annotated[str, Field(min_length=1)]
    access_event_bus: Annotated[str, Field(min_length=1)]
    stripe_account_id: Annotated[str | None, Field(pattern=r"^acct_\w+$")] = None
    entitlements: bool = False
