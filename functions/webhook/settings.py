"""The webhook's settings."""

from typing import Annotated

from pydantic import Field

from shared.settings import FunctionSettings, MirrorSettings


class WebhookSettings(FunctionSettings, MirrorSettings):
    """Where the mirror and the signing secrets are, and the queues of events that wait or cannot be read.

    Without `stripe_event_source` no event is accepted from EventBridge.
    """

    signing_secrets_id: Annotated[str, Field(min_length=1)]
    dead_letter_queue_url: Annotated[str, Field(min_length=1)]
    stripe_event_source: Annotated[str, Field(pattern=r"^aws\.partner/stripe\.com/")] | None = None
    settle_queue_url: Annotated[str, Field(min_length=1)]
    settle_reads_per_second: Annotated[float, Field(gt=0, le=100)]
