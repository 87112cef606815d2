"""The settings that functions share, read from the environment; an error names each setting that is wrong."""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.errors import OperatorError


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


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


class PauseOffer(BaseModel):
    """Which customers are offered pauses; `pause_groups` has the rules that differ for a group, by its name."""

    pause_allowed: Literal["nobody", "everybody"] = "nobody"
    pause_groups: Annotated[dict[str, dict[str, Any]], BeforeValidator(_parsed), Field(default_factory=dict)]

    def offers_pauses(self, group: str | None) -> bool:
        """Whether a customer of the group can pause on the bundle's own page."""
        rules = {"pause_allowed": self.pause_allowed} | self.pause_groups.get(group or "", {})
        return bool(rules["pause_allowed"] == "everybody")


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
