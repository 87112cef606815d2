"""`portal access`: what operators read, and what scripts get."""

import json
from dataclasses import replace
from typing import Any

import pytest
import time_machine

from cli.access import _SETTINGS
from cli.deployment import Deployment
from cli.main import main
from shared.access import AccessPolicy, Reason
from shared.access_comparison import REASONS
from shared.mirror.items import MirroredCustomer, MirroredEntitlements, MirroredSubscription
from tests.access_cases import MONTHLY, PAID, SEEN_PAUSE, VOID, day


class OneCustomer:
    """The mirror of a deployment whose customer has these items."""

    def __init__(self, *items: MirroredSubscription) -> None:
        self._items = items

    def customer(self, customer: str) -> MirroredCustomer:
        own = tuple(item for item in self._items if item.subscription.customer_id == customer)
        return MirroredCustomer(own, ENTITLED if own else None)


ENTITLED = MirroredEntitlements("cus_1", ("audit_log", "sso"), day("1 Feb"), 1)
PAUSED = MirroredSubscription(replace(MONTHLY, pause_collection=VOID), day("10 Feb"), 1, beginnings=SEEN_PAUSE)


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, **parameters: str
) -> tuple[Any, str]:
    monkeypatch.setattr("sys.argv", ["portal", "access", *arguments])
    monkeypatch.setattr(Deployment, "of_stack", lambda _: Deployment({}, parameters=parameters))
    with time_machine.travel(day("20 Feb")), pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code, capsys.readouterr().out


@pytest.fixture(autouse=True)
def _the_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deployment, "mirror", property(lambda _: OneCustomer(PAUSED)))


def test_an_answer_is_explained_with_what_comes_later(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(monkeypatch, capsys, "cus_1")
    assert code == 0
    first, *_, last = text.splitlines()
    assert first.startswith(
        "cus_1: service, because collection is paused (collection_paused; AccessCollectionVoid=paid_period)"
    )
    assert "prod_1 x 2" in text
    assert "paid through 2026-03-01 00:00 UTC" in text
    assert "behavior void" in text
    assert last.startswith("from 2026-03-01 00:00 UTC: no service")


def test_the_deployments_own_settings_decide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(monkeypatch, capsys, "cus_1", AccessCollectionVoid="stop")
    assert code == 1
    assert "no service" in text.splitlines()[0]
    assert "AccessCollectionVoid=stop" in text.splitlines()[0]
    assert "Only an event of Stripe will change this." in text


def test_scripts_get_the_same_json_as_callers_of_the_api(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(monkeypatch, capsys, "cus_1", "--format", "json", "--product", "prod_1")
    answer = json.loads(text)
    assert (code, answer["granted"], answer["until"]) == (0, True, day("1 Mar"))
    code, text = run(monkeypatch, capsys, "cus_2", "--format", "json")
    assert (code, json.loads(text)["reason"]) == (1, "no_subscription")


def test_every_reason_has_words_and_names_settings_that_exist() -> None:
    assert set(REASONS) == set(Reason)
    settings = {name.title().replace("_", "") for name in AccessPolicy.model_fields}
    assert {name for names in _SETTINGS.values() for name in names} == settings


def test_an_unpaused_customer_reads_plainly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = MirroredSubscription(MONTHLY, day("10 Feb"), 1, beginnings=PAID)
    monkeypatch.setattr(Deployment, "mirror", property(lambda _: OneCustomer(plain)))
    code, text = run(monkeypatch, capsys, "cus_1")
    assert (code, text.splitlines()[0]) == (0, "cus_1: service, because the subscription is active (active)")


ON = {"Entitlements": "true"}


def test_features_are_listed_until_the_pause_closes_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = run(monkeypatch, capsys, "cus_1", **ON)
    assert text.count("features: audit_log, sso") == 1
    assert text.splitlines()[-1] == "  features: none"
    assert "features" not in run(monkeypatch, capsys, "cus_1")[1]


def test_one_feature_is_asked_about(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, capsys, "cus_1", "--feature", "sso", **ON)[0] == 0
    code, text = run(monkeypatch, capsys, "cus_1", "--feature", "exports", **ON)
    assert code == 1
    assert "Stripe does not entitle the customer to the feature (feature_not_entitled)" in text


@pytest.mark.parametrize("policy", ["grant", "deny"])
def test_a_feature_is_no_question_while_entitlements_are_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    monkeypatch.setattr("sys.argv", ["portal", "access", "cus_1", "--feature", "sso"])
    monkeypatch.setattr(Deployment, "of_stack", lambda _: Deployment({}, parameters={"AccessIfUnknown": policy}))
    with pytest.raises(SystemExit) as caught:
        main()
    told = capsys.readouterr()
    assert (caught.value.code, told.out) == (2, "")
    assert "set its parameter Entitlements to true" in told.err
