"""A secret is read seldom, survives an outage and a broken edit, and is never shown."""

import json
import logging
from typing import Any

import pytest
from aws_lambda_powertools.metrics import Metrics
from botocore.exceptions import ClientError, EndpointConnectionError

from shared.errors import OperatorError, Unavailable
from shared.secret_store import (
    CACHE_SECONDS,
    FAILURE_SECONDS,
    REREAD_SECONDS,
    LinkSecrets,
    SecretStore,
    SigningSecrets,
    StripeSecret,
)

SIGNING, NEW = "whsec_0123456789abcdef", "whsec_new_0123456789abcdef"
GOOD = {"webhook_signing_secrets": [SIGNING]}
DENIED = ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")
GONE = ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue")
DOWN = ClientError({"Error": {"Code": "InternalServiceError"}}, "GetSecretValue")
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:portal-AbCdEf"


class FakeSecretsManager:
    """Holds a text, counts how often it is read, and fails with `error`."""

    def __init__(self, content: Any = GOOD) -> None:
        self.hold(content)
        self.reads = 0
        self.error: Exception | None = None

    def hold(self, content: Any) -> None:
        self.text = content if isinstance(content, str) else json.dumps(content)

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        self.reads += 1
        if self.error:
            raise self.error
        return {"SecretString": self.text}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def store(client: FakeSecretsManager, clock: Clock | None = None) -> SecretStore[SigningSecrets]:
    return SecretStore("SIGNING_SECRETS_ID", ARN, SigningSecrets, client, clock or Clock())  # type: ignore[arg-type]


def stripe_secret(content: Any) -> StripeSecret:
    return SecretStore("SECRET_ID", ARN, StripeSecret, FakeSecretsManager(content)).get()  # type: ignore[arg-type]


def signing(secret: SigningSecrets | None) -> list[str]:
    assert secret is not None
    return [each.get_secret_value() for each in secret.webhook_signing_secrets]


def test_it_is_read_once_in_five_minutes() -> None:
    client, clock = FakeSecretsManager(), Clock()
    secrets = store(client, clock)
    assert secrets.get() == secrets.get()
    assert (signing(secrets.get()), client.reads) == ([SIGNING], 1)
    client.hold({"webhook_signing_secrets": [NEW]})
    clock.now = CACHE_SECONDS
    assert signing(secrets.get()) == [NEW]


def test_a_reread_finds_a_rotation_at_most_once_a_minute() -> None:
    client, clock = FakeSecretsManager(), Clock()
    secrets = store(client, clock)
    secrets.get()
    client.hold({"webhook_signing_secrets": [NEW]})
    assert signing(secrets.reread()) == [NEW]
    assert secrets.reread() is None
    clock.now = REREAD_SECONDS
    assert secrets.reread() == secrets.get()
    assert client.reads == 3


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "the text"),
        ("not json", "the text"),
        ({"webhook_signing_secrets": SIGNING}, "webhook_signing_secrets"),
        *(
            ({"webhook_signing_secrets": [SIGNING, wrong]}, "webhook_signing_secrets.1")
            for wrong in ("whsec_...", "whsec_", "x", "sekret", "whsec_with a space in it", f" {SIGNING}")
        ),
    ],
)
def test_a_malformed_secret_is_named_and_not_shown(content: Any, named: str) -> None:
    with pytest.raises(OperatorError, match=named) as caught:
        store(FakeSecretsManager(content)).get()
    assert caught.value.code == "bad_secret"
    assert "sekret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("wrong", ["", "pk_live_sekret", "whsec_sekret_0123456789abc", "rk_live_", "rk_live_a sekret"])
def test_a_malformed_api_key_is_named_and_not_shown(wrong: str) -> None:
    with pytest.raises(OperatorError, match="SECRET_ID: stripe_api_key") as caught:
        stripe_secret({"stripe_api_key": wrong})
    assert "sekret" not in str(caught.value)


@pytest.mark.parametrize(("key", "livemode"), [("rk_live_abc", True), ("sk_test_abc", False)])
def test_an_api_key_says_its_mode(key: str, *, livemode: bool) -> None:
    secret = stripe_secret({"stripe_api_key": key})
    assert (secret.api_key, secret.livemode) == (key, livemode)


@pytest.mark.parametrize(
    ("error", "expected", "code"),
    [
        (DENIED, OperatorError, "secret_refused"),
        (GONE, OperatorError, "secret_refused"),
        (DOWN, Unavailable, "secret_unreadable"),
        (EndpointConnectionError(endpoint_url="https://secretsmanager.example"), Unavailable, "secret_unreadable"),
    ],
)
def test_what_only_the_operator_can_fix_is_told_from_an_outage(
    error: Exception, expected: type[OperatorError | Unavailable], code: str
) -> None:
    client = FakeSecretsManager()
    client.error = error
    with pytest.raises(expected) as caught:
        store(client).get()
    assert caught.value.code == code
    # A stranger reads the message of an `Unavailable`: no account number, no name.
    assert "arn:" not in caught.value.message
    assert "123456789012" not in caught.value.message


def test_a_failure_is_remembered_for_ten_seconds() -> None:
    client, clock = FakeSecretsManager(), Clock()
    client.error = DOWN
    secrets = store(client, clock)
    for _ in range(5):
        with pytest.raises(Unavailable):
            secrets.get()
    assert client.reads == 1
    client.error = None
    clock.now = FAILURE_SECONDS
    assert signing(secrets.get()) == [SIGNING]


@pytest.mark.parametrize("error", [DOWN, DENIED, None], ids=["outage", "denied", "broken edit"])
def test_the_last_good_secret_stays_in_use(error: Exception | None, caplog: pytest.LogCaptureFixture) -> None:
    client, clock = FakeSecretsManager(), Clock()
    secrets = store(client, clock)
    good = secrets.get()
    client.error = error
    client.hold('{"webhook_signing_secrets": ["sekret')
    clock.now = CACHE_SECONDS
    metrics = Metrics()
    metrics.clear_metrics()
    assert [secrets.get() for _ in range(3)] == [good] * 3
    assert client.reads == 2
    assert metrics.provider.metric_set["SecretKept"]["Value"] == [1.0]
    metrics.clear_metrics()
    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "stays in use" in line.getMessage()
    assert "sekret" not in line.getMessage()
    client.error = None
    client.hold({"webhook_signing_secrets": [NEW]})
    clock.now += REREAD_SECONDS
    assert signing(secrets.get()) == [NEW]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        [],
        {"1": "sekret"},
        {"1": "sekret " * 10},
        {"": "l" * 43},
        {"a b": "l" * 43},
        {str(n): "l" * 43 for n in range(11)},
    ],
)
def test_link_secrets_that_are_malformed_are_refused_and_not_shown(wrong: Any) -> None:
    client = FakeSecretsManager(wrong)
    with pytest.raises(OperatorError, match="LINK_SECRETS_ID") as caught:
        SecretStore("LINK_SECRETS_ID", ARN, LinkSecrets, client).get()  # type: ignore[arg-type]
    assert "sekret" not in str(caught.value)


def test_the_first_link_secret_comes_first() -> None:
    client = FakeSecretsManager(json.dumps({"2027": "n" * 43, "2026": "o" * 43}))
    found = SecretStore("LINK_SECRETS_ID", ARN, LinkSecrets, client).get()  # type: ignore[arg-type]
    assert list(found.valid_at(0)) == ["2027", "2026"]


def link_secrets(content: Any) -> LinkSecrets:
    return SecretStore("LINK_SECRETS_ID", ARN, LinkSecrets, FakeSecretsManager(content)).get()  # type: ignore[arg-type]


def test_a_link_secret_counts_until_its_end_and_not_in_that_second() -> None:
    found = link_secrets({"2": "n" * 43, "1": "o" * 43, "_until": {"1": 1000, "removed long ago": 5}})
    assert list(found.valid_at(999.9)) == ["2", "1"]
    assert list(found.valid_at(1000)) == ["2"]


@pytest.mark.parametrize(
    "until",
    [{"1": 1000, "2": 2000}, {"1": "1000"}, {"1": True}, {"1": -1}, {"1": 1.5}, {"1": None}, [], "sekret", None],
)
def test_ends_of_link_secrets_that_are_malformed_are_refused_and_not_shown(until: Any) -> None:
    with pytest.raises(OperatorError, match="LINK_SECRETS_ID") as caught:
        link_secrets({"2": "sekret2" * 7, "1": "sekret1" * 7, "_until": until})
    assert "sekret" not in str(caught.value)


def test_a_previous_signing_secret_counts_until_its_end() -> None:
    found = store(FakeSecretsManager({**GOOD, "previous": [{"secret": NEW, "until": 1000}]})).get()
    assert [each.get_secret_value() for each in found.valid_at(999.9)] == [SIGNING, NEW]
    assert [each.get_secret_value() for each in found.valid_at(1000)] == [SIGNING]


@pytest.mark.parametrize("previous", [[{"secret": NEW}], [{"secret": NEW, "until": "1000"}], [{"until": 1}], [NEW]])
def test_a_previous_signing_secret_without_a_good_end_is_refused(previous: Any) -> None:
    with pytest.raises(OperatorError, match="SIGNING_SECRETS_ID: previous") as caught:
        store(FakeSecretsManager({**GOOD, "previous": previous})).get()
    assert NEW not in str(caught.value)


def test_no_part_of_it_is_in_its_representation() -> None:
    key = stripe_secret({"stripe_api_key": "rk_live_abc"})
    shown = repr(key) + repr(store(FakeSecretsManager()).get()) + repr(LinkSecrets.model_validate({"1": "l" * 43}))
    assert not any(part in shown for part in ("rk_live_abc", SIGNING, "l" * 43))
