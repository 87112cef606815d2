"""The nightly audit's settings."""

import re
from datetime import date
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from shared.i18n import languages
from shared.settings import FunctionSettings, MirrorSettings

_ADDRESS = re.compile(r"[^@\s,<>]+@[^@\s,<>]+")


def _listed(value: Any) -> Any:
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


def _zone(value: Any) -> Any:
    try:
        return ZoneInfo(value) if isinstance(value, str) else value
    except (KeyError, OSError, ValueError):  # no such key, a folder of keys, no key at all
        raise ValueError("must be an IANA time zone, such as Europe/Paris") from None


def _language(value: str) -> str:
    if value not in languages():
        raise ValueError(f"must be one of {', '.join(languages())}")
    return value


class NightlyAuditSettings(FunctionSettings, MirrorSettings):
    """Where things are kept, how fast to read, who writes to whom and how, and the calendar of the audit's phase."""

    audits_table_name: Annotated[str, Field(min_length=1)]
    audit_bucket: Annotated[str, Field(min_length=1)]
    audit_requests_per_second: Annotated[float, Field(ge=1, le=25)]
    audit_language: Annotated[str, AfterValidator(_language)]
    audit_all_clear: Literal["mail", "silence"]
    allow_verified_email: bool
    webhook_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    audit_email_from: str
    audit_email_to: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1, max_length=50)]
    audit_timezone: Annotated[ZoneInfo, BeforeValidator(_zone)]
    pause_button_removed_on: date
    pause_cutoff_on: date

    @field_validator("audit_email_from")
    @classmethod
    def _one_address(cls, value: str) -> str:
        if not _ADDRESS.fullmatch(value):
            raise ValueError("must be an e-mail address, without a name")
        return value

    @field_validator("audit_email_to")
    @classmethod
    def _only_addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ADDRESS.fullmatch(value) for value in values):
            raise ValueError("must be e-mail addresses, separated by commas")
        return values

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.pause_button_removed_on > self.pause_cutoff_on:
            raise ValueError("PAUSE_BUTTON_REMOVED_ON must not be later than PAUSE_CUTOFF_ON")
        return self
