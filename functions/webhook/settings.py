"""The webhook's settings."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from shared.settings import FunctionSettings


class WebhookSettings(FunctionSettings):
    """Where the mirror is, where unreadable events go, and the two spans of the mirror's rule."""

    table_name: Annotated[str, Field(min_length=1)]
    dead_letter_queue_url: Annotated[str, Field(min_length=1)]
    event_clock_uncertainty_seconds: Annotated[int, Field(ge=2, le=60)]
    ended_retention_days: Annotated[int, Field(ge=60)]

    @property
    def uncertainty(self) -> timedelta:
        """Two event times closer than this cannot be ordered."""
        return timedelta(seconds=self.event_clock_uncertainty_seconds)

    @property
    def retention(self) -> timedelta:
        """How long an ended subscription is kept; longer than Stripe keeps (and can replay) events."""
        return timedelta(days=self.ended_retention_days)
