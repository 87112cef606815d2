"""The webhook's settings."""

from typing import Annotated

from pydantic import Field

from shared.settings import FunctionSettings, MirrorSettings


class WebhookSettings(FunctionSettings, MirrorSettings):
    """Where the mirror is, the two spans of its rule, and the queues of events that wait or cannot be read."""

    dead_letter_queue_url: Annotated[str, Field(min_length=1)]
    settle_queue_url: Annotated[str, Field(min_length=1)]
    settle_reads_per_second: Annotated[float, Field(gt=0, le=100)]
