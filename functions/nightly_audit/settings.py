"""The nightly audit's settings: names of resources from the environment, all else from a parameter in SSM.

The function runs on a published version, whose environment stays as it was when the code was deployed. The parameter is
what CloudFormation makes of the stack's parameters, and is read at every step.
"""

import os
import re
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from shared.access import AccessPolicy
from shared.audit.options import AuditOptions, split_list
from shared.aws import code_of, is_refusal
from shared.errors import OperatorError, Unavailable
from shared.i18n import languages
from shared.settings import FunctionSettings, MirrorSettings

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

_ADDRESS = re.compile(r"[^@\s,<>]+@[^@\s,<>]+")
# What the template allows, too: a name in which nothing has to be quoted.
_SENDER = re.compile(rf"{_ADDRESS.pattern}|[^<>@,;:\"\\\r\n]+ <{_ADDRESS.pattern}>")


def _zone(value: Any) -> Any:
    try:
        return ZoneInfo(value) if isinstance(value, str) else value
    except (KeyError, OSError, ValueError):  # no such key, a folder of keys, no key at all
        raise ValueError("must be an IANA time zone, such as Europe/Paris") from None


def _language(value: str) -> str:
    if value not in languages():
        raise ValueError(f"must be one of {', '.join(languages())}")
    return value


class NightlyAuditSettings(FunctionSettings, MirrorSettings, AuditOptions, AccessPolicy):
    """Where things are kept, how fast to read, who writes to whom and how, and the calendar of the audit's phase."""

    audit_settings: Annotated[str, Field(min_length=1)]
    audits_table_name: Annotated[str, Field(min_length=1)]
    pauses_table_name: Annotated[str, Field(min_length=1)]
    audit_bucket: Annotated[str, Field(min_length=1)]
    signing_secrets_id: Annotated[str, Field(min_length=1)]
    link_secrets_id: Annotated[str, Field(min_length=1)]
    dead_letter_queue_url: Annotated[str, Field(pattern=r"^https?://")]
    settle_dead_letter_queue_url: Annotated[str, Field(pattern=r"^https?://")]
    audit_dead_letter_queue_url: Annotated[str, Field(pattern=r"^https?://")]
    audit_requests_per_second: Annotated[float, Field(ge=1, le=25)]
    audit_language: Annotated[str, AfterValidator(_language)]
    audit_all_clear: Literal["mail", "silence"]
    allow_verified_email: bool
    access_list: Annotated[str, Field(pattern=r"^(access/[\w!.*'()/-]{1,200})?$")] = ""
    webhook_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    audit_email_from: str
    audit_email_to: Annotated[tuple[str, ...], BeforeValidator(split_list), Field(min_length=1, max_length=50)]
    audit_timezone: Annotated[ZoneInfo, BeforeValidator(_zone)]
    pause_button_removed_on: date
    pause_cutoff_on: date

    @field_validator("audit_email_from")
    @classmethod
    def _one_address(cls, value: str) -> str:
        if not _SENDER.fullmatch(value):
            raise ValueError("must be an e-mail address, or a name with one: Name <address>")
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


def read_settings(ssm: "SSMClient", environment: Mapping[str, str] | None = None) -> NightlyAuditSettings:
    """Read the settings as the stack has them now.

    Raises `OperatorError` for settings that are wrong or may not be read, `Unavailable` when SSM does not respond.
    """
    values = os.environ if environment is None else environment
    name = values.get("AUDIT_SETTINGS")
    lines = _parameter(ssm, name).splitlines() if name else ()
    return NightlyAuditSettings.from_environment({**values, **dict(line.split("=", 1) for line in lines)})


def _parameter(ssm: "SSMClient", name: str) -> str:
    try:
        return ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except (ClientError, BotoCoreError) as error:
        if is_refusal(error) or code_of(error) == "ParameterNotFound":
            raise OperatorError(
                "settings_refused",
                f"The function may not read its settings, the SSM parameter {name} ({code_of(error)})",
            ) from error
        raise Unavailable("settings_unavailable", f"SSM did not respond ({code_of(error)})") from error
