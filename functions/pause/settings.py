"""The pause function's settings."""

from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, model_validator

from shared.pausing.policy import PausePolicy
from shared.settings import FunctionSettings, GroupSettings, IdentitySettings


def _zone(name: Any) -> Any:
    try:
        return ZoneInfo(name) if isinstance(name, str) else name
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("not the IANA name of a time zone") from None


# Stands in a Content-Security-Policy, where a space, a comma or a semicolon would end the address.
# The template allows https alone; the local stack's pages are at 127.0.0.1.
BRAND_URL = r"^(https://|http://127\.0\.0\.1[:/])[^\s,;'\"<>]{1,500}$"


class PauseSettings(FunctionSettings, IdentitySettings, GroupSettings, PausePolicy):
    """Who may pause and how, where the pauses are, and in which time zone a day begins.

    `pause_page_url` and `portal_url`: where links lead. `pause_email_from`: the sender of the mails; without one none
    is sent. `brand_...`: how the page and the mails look. `pause_groups`: the rules that are different for a group of
    customers, by the group that a token names.
    """

    link_secrets_id: Annotated[str, Field(min_length=1)]
    pauses_table_name: Annotated[str, Field(min_length=1)]
    audit_timezone: Annotated[ZoneInfo, BeforeValidator(_zone)]
    group_claim: Annotated[str, Field(min_length=1)]
    pause_page_url: Annotated[str, Field(pattern=r"^https?://")]
    portal_url: Annotated[str, Field(pattern=r"^https?://")]
    pause_email_from: str | None = None
    brand_name: Annotated[str, Field(max_length=100)] = ""
    brand_color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
    brand_logo_url: Annotated[str | None, Field(pattern=BRAND_URL)] = None
    brand_url: Annotated[str | None, Field(pattern=BRAND_URL)] = None

    @model_validator(mode="after")
    def _has_groups_that_can_be_read(self) -> Self:
        for group in self.pause_groups:
            self.policy_of(group)
        return self

    def policy_of(self, group: str | None) -> PausePolicy:
        """Return the rules of a group; of one that is not named in the settings, and of nobody's, the stack's own."""
        return self.with_changes(self.pause_groups.get(group or "", {}))
