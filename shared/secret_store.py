"""Reads the deployment's secret and caches it, so that rotating it needs no deployment."""

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from shared.errors import OperatorError, Unavailable

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient


CACHE_SECONDS = 300
REREAD_SECONDS = 60


def _stripe_api_key(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[sr]k_(test|live)_\S+", value.get_secret_value()):
        raise ValueError(
            "must be a secret or restricted key, which begins with sk_test_, sk_live_, rk_test_ or rk_live_"
        )
    return value


def _link_secret(value: SecretStr) -> SecretStr:
    if re.search(r"\s", value.get_secret_value()):
        raise ValueError("must have no white space: it is a shared secret, not a half of a key pair")
    return value


class Secrets(BaseModel):
    """The JSON of the secret. `webhook_signing_secrets` holds two while one is rolled (Stripe allows 24 hours)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stripe_api_key: Annotated[SecretStr, AfterValidator(_stripe_api_key)]
    webhook_signing_secrets: Annotated[tuple[SecretStr, ...], Field(max_length=10)] = ()
    link_secret: Annotated[SecretStr, Field(min_length=32), AfterValidator(_link_secret)]

    @property
    def api_key(self) -> str:
        """Stripe's API key, for the client."""
        return self.stripe_api_key.get_secret_value()

    @property
    def livemode(self) -> bool:
        """Whether the key is for live mode: its prefix says so."""
        return self.api_key[3:7] == "live"


class SecretStore:
    """Reads the secret from Secrets Manager, at most once in five minutes unless `reread` asks for it."""

    def __init__(
        self,
        secret_id: str,
        client: "SecretsManagerClient",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret_id = secret_id
        self._provider = SecretsProvider(boto3_client=client)
        self._monotonic = monotonic
        self._reread_at = float("-inf")
        self._understood: tuple[str, Secrets] | None = None

    def get(self) -> Secrets:
        """Return the secret. Raises `OperatorError` when it is malformed, `Unavailable` when it cannot be read."""
        return self._read(force=False)

    def reread(self) -> Secrets | None:
        """Return the secret as it is now, or `None` when it was reread less than a minute ago."""
        now = self._monotonic()
        if now - self._reread_at < REREAD_SECONDS:
            return None
        self._reread_at = now
        return self._read(force=True)

    def _read(self, *, force: bool) -> Secrets:
        try:
            text = str(self._provider.get(self._secret_id, max_age=CACHE_SECONDS, force_fetch=force) or "")
        except GetParameterError as error:
            raise Unavailable("secret_unreadable", f"Cannot read the secret {self._secret_id}") from error
        # Asked twice for each event: the same text is not parsed again.
        if self._understood is None or self._understood[0] != text:
            self._understood = text, self._understand(text)
        return self._understood[1]

    def _understand(self, text: str) -> Secrets:
        try:
            return Secrets.model_validate_json(text)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the text'}: {e['msg']}" for e in error.errors())
            # `from None`: the cause would carry the secret's text into the log.
            raise OperatorError("bad_secret", f"Correct the secret {self._secret_id}: {wrong}") from None
