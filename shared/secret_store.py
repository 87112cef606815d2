"""Reads a secret and caches it, so that rotating it needs no deployment and an outage of Secrets Manager no callers.

A deployment has three secrets, because IAM permits reading one as a whole or not at all: Stripe's API key, the signing
secrets of the webhook endpoints, and the link secrets, which sign link tokens (docs/decisions/0008-three-secrets.md).
"""

import logging
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Self, TypeVar

from aws_lambda_powertools.metrics import Metrics, MetricUnit
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from shared.aws import code_of, is_refusal
from shared.errors import OperatorError, PortalError, Unavailable, sentence

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

logger = logging.getLogger(__name__)

CACHE_SECONDS = 300
REREAD_SECONDS = 60
# How long a failure is remembered, lest every request of a stranger calls Secrets Manager.
FAILURE_SECONDS = 10
# Counts each failed read after which the last good secret stayed in use.
SECRET_KEPT = "SecretKept"  # noqa: S105 - a metric's name

_MAX_NAME_SHOWN = 40


def _stripe_api_key(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[sr]k_(test|live)_\S+", value.get_secret_value()):
        raise ValueError(
            "must be a secret or restricted key, which begins with sk_test_, sk_live_, rk_test_ or rk_live_"
        )
    return value


def _signing_secret(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"whsec_[\w+/=-]{16,}", value.get_secret_value(), re.ASCII):
        raise ValueError("must be the whole signing secret of a webhook endpoint, which begins with whsec_")
    return value


def _link_secret(value: SecretStr) -> SecretStr:
    if re.search(r"\s", value.get_secret_value()):
        raise ValueError("must have no white space: it is a shared secret, not a half of a key pair")
    return value


class Secret(BaseModel):
    """A secret's JSON; fields that are not known are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    cache_seconds: ClassVar[float] = CACHE_SECONDS


class StripeSecret(Secret):
    """Stripe's secret, which every function reads."""

    stripe_api_key: Annotated[SecretStr, AfterValidator(_stripe_api_key)]

    @property
    def api_key(self) -> str:
        """Stripe's API key, for the client."""
        return self.stripe_api_key.get_secret_value()

    @property
    def livemode(self) -> bool:
        """Whether the key is for live mode: its prefix says so."""
        return self.api_key[3:7] == "live"


_SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
UnixSeconds = Annotated[int, Field(ge=0, strict=True)]


class PreviousSigningSecret(BaseModel):
    """A signing secret that was replaced, and the Unix second from which on it is refused.

    `endpoint` is the webhook endpoint that signs with it, where that is known.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    secret: _SigningSecret
    until: UnixSeconds
    endpoint: str | None = None


class SigningSecrets(Secret):
    """The signing secrets of the webhook endpoints, which the webhook alone reads.

    There are two in `webhook_signing_secrets` while one is rolled in the Dashboard (Stripe keeps the old one valid for
    up to 24 hours), and none where events come by EventBridge only. `portal rotate webhook` keeps the old one in
    `previous`. `endpoint` is the webhook endpoint that signs with the first one, where `portal connect` created it.
    """

    webhook_signing_secrets: Annotated[tuple[_SigningSecret, ...], Field(max_length=10)] = ()
    previous: Annotated[tuple[PreviousSigningSecret, ...], Field(max_length=10)] = ()
    endpoint: str | None = None

    def valid_at(self, now: float) -> tuple[SecretStr, ...]:
        """Return the secrets that count at `now` (Unix seconds), the newest first."""
        return (*self.webhook_signing_secrets, *(each.secret for each in self.previous if now < each.until))


# The one field of the link secrets' JSON that is no secret.
UNTIL = "_until"


class LinkSecrets(Secret):
    """The link secrets: a JSON object of the secrets by their `kid`, of which the first one signs new tokens.

    Its field `_until` has the Unix second from which on a secret is refused, by the `kid` of those that end.
    """

    # A secret that has leaked should stop working soon after its removal.
    cache_seconds: ClassVar[float] = 60

    secrets: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[\w-]{1,40}$")],
            Annotated[SecretStr, Field(min_length=32), AfterValidator(_link_secret)],
        ],
        Field(min_length=1, max_length=10),
    ]
    until: dict[str, UnixSeconds] = {}

    @model_validator(mode="before")
    @classmethod
    def _whole_object(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return {"secrets": data}
        secrets = {kid: secret for kid, secret in data.items() if kid != UNTIL}
        return {"secrets": secrets, "until": data.get(UNTIL, {})}

    @model_validator(mode="after")
    def _one_stays(self) -> Self:
        if self.secrets.keys() <= self.until.keys():
            raise ValueError(f"at least one secret must have no end in {UNTIL}")
        return self

    def valid_at(self, now: float) -> dict[str, str]:
        """Return the secrets that count at `now` (Unix seconds) by their `kid`, the newest first."""
        return {
            kid: secret.get_secret_value()
            for kid, secret in self.secrets.items()
            if kid not in self.until or now < self.until[kid]
        }


_Secret = TypeVar("_Secret", bound=Secret)


class SecretStore(Generic[_Secret]):
    """Keeps the last good version of a secret, read from Secrets Manager at most every `model.cache_seconds`.

    `name` is the setting that holds the secret's id: messages name it, because an ARN holds the account's number.
    """

    def __init__(
        self,
        name: str,
        secret_id: str,
        model: type[_Secret],
        client: "SecretsManagerClient",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._secret_id = secret_id
        self._model = model
        self._client = client
        self._monotonic = monotonic
        self._reread_at = float("-inf")
        self._valid_until = float("-inf")
        self._text: str | None = None
        self._secret: _Secret | None = None
        self._error: PortalError | None = None

    def get(self) -> _Secret:
        """Return the secret; the last good one, if there is one, while a newer one cannot be read or is malformed.

        Raises `OperatorError` where it is malformed, deleted or forbidden, `Unavailable` when it cannot be read.
        """
        if self._monotonic() >= self._valid_until:
            self._read()
        if self._secret is not None:
            return self._secret
        assert self._error is not None  # noqa: S101 - one of the two, since it was read
        raise self._error.with_traceback(None)

    def reread(self) -> _Secret | None:
        """Return the secret as it is now, or `None` if it was reread less than a minute ago."""
        now = self._monotonic()
        if now - self._reread_at < REREAD_SECONDS:
            return None
        self._reread_at, self._valid_until = now, float("-inf")
        return self.get()

    def _read(self) -> None:
        """Read the secret, and keep it or else the error. A failure is kept too, but for a shorter time."""
        try:
            text = self._client.get_secret_value(SecretId=self._secret_id).get("SecretString") or ""
            # Most reads find the same text again.
            if self._secret is None or text != self._text:
                self._secret = self._parse(text)
        except (OperatorError, ClientError, BotoCoreError) as error:
            self._error = error if isinstance(error, OperatorError) else self._unreadable(error)
            if self._secret is None:
                self._valid_until = self._monotonic() + FAILURE_SECONDS
                return
            self._valid_until = self._monotonic() + REREAD_SECONDS
            # Without a traceback, which may hold the secret.
            logger.error("The last good secret stays in use. %s", self._error.message)  # noqa: TRY400
            Metrics().add_metric(SECRET_KEPT, MetricUnit.Count, 1)
            return
        self._text, self._valid_until = text, self._monotonic() + self._model.cache_seconds

    def _parse(self, text: str) -> _Secret:
        try:
            return self._model.model_validate_json(text)
        except ValidationError as error:
            wrong = "; ".join(f"{_field(each['loc'])}: {each['msg']}" for each in error.errors())
            # `from None`: the cause would carry the secret's text into the log.
            raise OperatorError(
                "bad_secret", sentence("Correct the secret of {name}: {wrong}", name=self._name, wrong=wrong)
            ) from None

    def _unreadable(self, error: ClientError | BotoCoreError) -> OperatorError | Unavailable:
        code = code_of(error)
        if is_refusal(error):
            return OperatorError(
                "secret_refused",
                sentence("The secret of {name} is deleted, or may not be read ({code})", name=self._name, code=code),
            )
        return Unavailable(
            "secret_unreadable", sentence("The secret of {name} cannot be read ({code})", name=self._name, code=code)
        )


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:_MAX_NAME_SHOWN] for part in location) or "the text"
