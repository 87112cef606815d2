"""The secret is read seldom, renewed without a deploy, and never shown."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.errors import OperatorError, Unavailable
from shared.secret_store import SecretStore

GOOD = {"stripe_api_key": "rk_live_abc", "webhook_signing_secrets": ["whsec_a", "whsec_b"], "link_secret": "l" * 43}


class FakeSecretsManager:
    """Returns a text and counts how often."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.reads = 0
        self.fails = False

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        self.reads += 1
        if self.fails:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")
        return {"SecretString": self.text}


def store(client: FakeSecretsManager, clock: list[float] | None = None) -> SecretStore:
    times = clock or [0.0]
    return SecretStore("portal", client, lambda: times[0])  # type: ignore[arg-type]


def test_it_is_read_once() -> None:
    client = FakeSecretsManager(json.dumps(GOOD))
    secrets = store(client)
    assert secrets.get() == secrets.get()
    assert (secrets.get().api_key, secrets.get().livemode, client.reads) == ("rk_live_abc", True, 1)


def test_a_reread_finds_a_rotation_at_most_once_a_minute() -> None:
    client = FakeSecretsManager(json.dumps(GOOD))
    clock = [0.0]
    secrets = store(client, clock)
    secrets.get()
    client.text = json.dumps(GOOD | {"webhook_signing_secrets": ["whsec_new"]})
    assert [s.get_secret_value() for s in secrets.reread().webhook_signing_secrets] == ["whsec_new"]  # type: ignore[union-attr]
    assert secrets.reread() is None
    clock[0] = 60.0
    assert secrets.reread() == secrets.get()
    assert client.reads == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "the text"),
        ("not json", "the text"),
        (json.dumps(GOOD | {"stripe_api_key": ""}), "stripe_api_key"),
        (json.dumps(GOOD | {"stripe_api_key": "pk_live_sekret"}), "stripe_api_key"),
        (json.dumps(GOOD | {"link_secret": "sekret"}), "link_secret"),
        (json.dumps(GOOD | {"webhook_signing_secrets": "sekret"}), "webhook_signing_secrets"),
    ],
)
def test_an_unfit_secret_is_named_and_not_shown(text: str, named: str) -> None:
    with pytest.raises(OperatorError, match=named) as caught:
        store(FakeSecretsManager(text)).get()
    assert "sekret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_that_cannot_be_read_may_be_readable_later() -> None:
    client = FakeSecretsManager(json.dumps(GOOD))
    client.fails = True
    secrets = store(client)
    with pytest.raises(Unavailable):
        secrets.get()
    client.fails = False
    assert secrets.get().api_key == "rk_live_abc"


def test_no_part_of_it_is_in_its_representation() -> None:
    shown = repr(store(FakeSecretsManager(json.dumps(GOOD))).get())
    assert not any(part in shown for part in ("rk_live_abc", "whsec_a", "l" * 43))
