"""The portal link's settings."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from shared.errors import InvalidRequest
from shared.i18n import PORTAL_LOCALES
from shared.link_token import OwnId
from shared.return_url import is_allowed, origin_of
from shared.settings import FunctionSettings, GroupSettings, IdentitySettings


def _listed(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _origin(value: str) -> str:
    try:
        origin = origin_of(value)
    except InvalidRequest as error:
        raise ValueError(error.message) from error
    if origin != value.lower():
        raise ValueError("an origin is a scheme, a host and perhaps a port, without a path")
    return origin


def _portal_locale(value: str) -> str:
    if value not in PORTAL_LOCALES:
        raise ValueError(f"Stripe's portal has these locales: {', '.join(PORTAL_LOCALES)}")
    return value


class CreateSessionSettings(FunctionSettings, IdentitySettings, GroupSettings):
    """Where a visitor may return to, how identities map to customers and configurations, and who is offered pauses.

    `pause_page_url` is the page of the pause function.
    """

    allowed_return_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...],
        BeforeValidator(_listed),
        Field(min_length=1),
    ]
    default_return_url: str
    link_secrets_id: Annotated[str, Field(min_length=1)]
    group_claim: Annotated[str, Field(min_length=1)]
    create_missing_customers: bool
    portal_url: Annotated[str, Field(pattern=r"^https?://")]
    portal_locale: Annotated[str, AfterValidator(_portal_locale)] | None = None
    expired_session_login: bool
    retention_coupon: OwnId | None = None
    checkout_price: OwnId | None = None
    pause_page_url: Annotated[str, Field(pattern=r"^https?://")]

    @model_validator(mode="after")
    def _creating_needs_an_address(self) -> "CreateSessionSettings":
        if self.create_missing_customers and not self.allow_verified_email:
            raise ValueError("CREATE_MISSING_CUSTOMERS also needs ALLOW_VERIFIED_EMAIL")
        return self

    @model_validator(mode="after")
    def _default_is_allowed(self) -> "CreateSessionSettings":
        if not is_allowed(self.default_return_url, self.allowed_return_origins):
            raise ValueError("DEFAULT_RETURN_URL must begin with one of ALLOWED_RETURN_ORIGINS")
        return self
