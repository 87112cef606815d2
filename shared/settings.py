"""The settings that functions share, read from the environment; an error names each setting that is wrong."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Json, ValidationError

from shared.errors import OperatorError

_CONFIGURATION = re.compile(r"^bpc_\w+$")


def _configurations(value: dict[str, str]) -> dict[str, str]:
    for group, configuration in value.items():
        if not _CONFIGURATION.match(configuration):
            raise ValueError(f"the configuration of group {group!r} has to be an id like bpc_123")
    return value


class FunctionSettings(BaseModel):
    """The settings that every function has; field `x_y` is the environment variable `X_Y` of template.yaml."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=str.upper)

    secret_id: Annotated[str, Field(min_length=1)]
    stripe_api_base: Annotated[str, Field(pattern=r"^https?://")]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings; an empty variable counts as absent. Raises `OperatorError`, with names and no values."""
        values = os.environ if environment is None else environment
        try:
            return cls.model_validate({name: value for name, value in values.items() if value != ""})
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise OperatorError("bad_settings", f"Correct these parameters of the stack: {wrong}") from None


class IdentitySettings(BaseModel):
    """How a signed-in user leads to a Stripe customer."""

    customer_claim: Annotated[str, Field(min_length=1)]
    allow_verified_email: bool


class GroupSettings(BaseModel):
    """What depends on a customer's group: its portal configuration, and whether and how it can pause."""

    portal_configurations: Annotated[Json[dict[str, str]], AfterValidator(_configurations)]
    pause_allowed: Literal["nobody", "everybody"] = "nobody"
    pause_groups: Json[dict[str, dict[str, Any]]] = Field(default_factory=dict)

    def offers_pauses(self, group: str | None) -> bool:
        """Whether a customer of the group can pause on the bundle's own page."""
        rules = {"pause_allowed": self.pause_allowed} | self.pause_groups.get(group or "", {})
        return bool(rules["pause_allowed"] == "everybody")

    def known_group(self, group: str | None) -> str | None:
        """Return the group if a setting names it: no other has rules or a configuration of its own."""
        return group if group in {*self.pause_groups, *self.portal_configurations} else None


class MirrorSettings(BaseModel):
    """Where the mirror is, the two durations of its rule, and whether it holds entitlements."""

    table_name: Annotated[str, Field(min_length=1)]
    event_clock_uncertainty_seconds: Annotated[int, Field(ge=2, le=60)]
    ended_retention_days: Annotated[int, Field(ge=60)]
    stripe_account_id: Annotated[str | None, Field(pattern=r"^acct_\w+$")] = None
    entitlements: bool = False

    @property
    def uncertainty(self) -> timedelta:
        """Two event times closer than this cannot be ordered."""
        return timedelta(seconds=self.event_clock_uncertainty_seconds)

    @property
    def retention(self) -> timedelta:
        """How long an ended subscription is kept; longer than Stripe keeps (and can replay) events."""
        return timedelta(days=self.ended_retention_days)
