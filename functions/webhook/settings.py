"""The webhook's settings."""

from typing import Annotated

from pydantic import Field

from shared.settings import FunctionSettings, MirrorSettings


class WebhookSettings(FunctionSettings, MirrorSettings):
    """Where the mirror is, the two spans of its rule, and where unreadable events go."""

    dead_letter_queue_url: Annotated[str, Field(min_length=1)]
