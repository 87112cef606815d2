"""Reads a function's settings from its environment, complaining by name."""

import os
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import OperatorError


class FunctionSettings(BaseModel):
    """The settings that every function has; field `x_y` is the environment variable `X_Y` of template.yaml."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=str.upper)

    secret_id: Annotated[str, Field(min_length=1)]
    stripe_api_base: Annotated[str, Field(pattern=r"^https?://")]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read them; an empty variable counts as absent. Raises `OperatorError` naming what is wrong, not its value."""
        values = os.environ if environment is None else environment
        try:
            return cls.model_validate({name: value for name, value in values.items() if value != ""})
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise OperatorError("bad_settings", f"Mend these settings in template.yaml's parameters: {wrong}") from None
