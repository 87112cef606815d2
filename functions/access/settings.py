"""The access function's settings."""

from typing import Annotated

from pydantic import Field

from shared.access import AccessPolicy
from shared.settings import FunctionSettings, IdentitySettings, MirrorSettings


class AccessSettings(FunctionSettings, IdentitySettings, MirrorSettings, AccessPolicy):
    """Who may ask, where the mirror is, what each state means, and how often Stripe is asked about the unknown."""

    link_secrets_id: Annotated[str, Field(min_length=1)]
    lookups_table_name: Annotated[str, Field(min_length=1)]
    access_lookups_per_minute: Annotated[int, Field(ge=1, le=600)]
