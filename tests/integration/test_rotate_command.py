"""What `portal rotate` replaces, how long the old secret counts, and what an interruption leaves."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine
from stripe import WebhookSignature
from typer.testing import Result

from cli.setup import rotate
from cli.setup.endpoint import is_accepted, replaced
from cli.setup.rotate import with_new_link_secret
from cli.setup.stripe_key import shown
from shared.errors import InvalidRequest, OperatorError
from tests.integration.conftest import LINK_SECRET, Api, Aws
from tests.integration.setup_world import (
    KEY,
    Killed,
    SetupWorld,
    forget_secrets,
    interleaved_after,
    killed_after,
    setup_world,
)
from tests.integration.simulator_fixtures import NEW, RunningSimulator

DAY = 86400


@pytest.fixture
def world(
    aws: Aws, api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SetupWorld]:
    """A connected deployment."""
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    with setup_world(aws, api, simulator, monkeypatch, str(key_file)) as made:
        made.save_portal_settings()
        assert made.connect().exit_code == 0
        forget_secrets()
        yield made


def signing(world: SetupWorld) -> str:
    (secret,) = world.secret("SigningSecrets")["webhook_signing_secrets"]
    return str(secret)


def status_of_event(api: Api, secret: str) -> int:
    """The webhook's response to an event that is signed with a secret."""
    forget_secrets()
    event = {"id": "evt_1", "object": "event", "type": "invoice.paid", "created": int(time.time()), "livemode": False}
    body = json.dumps(event | {"data": {"object": {}}})
    header = str(WebhookSignature.generate_signature_header(body, secret, int(time.time())))
    response = api.send("POST /webhooks/stripe", headers={"stripe-signature": header}, body=body.encode())
    return response.status


def status_of_link(world: SetupWorld, api: Api, kid: str, secret: str) -> int:
    """The response to a link of a customer with a subscription."""
    forget_secrets()
    client = world.simulator.client()
    customer = client.v1.customers.list({"limit": 1}).data[0].id
    claims = {"aud": "portal", "sub": customer, "exp": int(time.time()) + 600}
    token = jwt.encode(claims, secret, algorithm="HS256", headers={"kid": kid})
    return api.send("GET /portal", query=f"token={token}").status


# ---------------------------------------------------------------- webhook


def test_both_signing_secrets_count_and_one_endpoint_delivers(world: SetupWorld, api: Api) -> None:
    old, (old_endpoint,) = signing(world), world.endpoints()
    result = world.portal("rotate", "webhook")
    assert result.exit_code == 0, result.output
    new = signing(world)
    assert old != new
    assert [status_of_event(api, each) for each in (new, old)] == [200, 200]
    states = {each["id"]: each["status"] for each in world.endpoints()}
    assert states.pop(old_endpoint["id"]) == "disabled"
    assert states == {world.secret("SigningSecrets")["endpoint"]: "enabled"}
    assert set(world.deliver()) == {200}
    assert "an old secret counts until" in result.output
    assert old not in result.output
    assert new not in result.output


def test_no_event_between_the_two_endpoints_is_lost_or_refused(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events while both endpoints deliver: each is accepted, and what comes twice changes nothing."""
    seen: list[int] = []
    end = rotate.WebhookRotation._end_deliveries

    def deliver_then_end(self: Any, client: Any, now: float) -> None:
        forget_secrets()
        seen.extend(world.deliver())
        end(self, client, now)

    monkeypatch.setattr(rotate.WebhookRotation, "_end_deliveries", deliver_then_end)
    assert world.portal("rotate", "webhook").exit_code == 0
    # Each event came by both endpoints.
    assert len(seen) % 2 == 0
    assert seen
    assert set(seen) == {200}
    assert len(list(world.deployment.mirror.all())) == 1


def test_finish_ends_the_old_signing_secret_at_once(world: SetupWorld, api: Api) -> None:
    old = signing(world)
    world.portal("rotate", "webhook")
    assert status_of_event(api, old) == 200
    assert world.portal("rotate", "webhook", "--finish").exit_code == 0
    assert [status_of_event(api, each) for each in (signing(world), old)] == [200, 400]
    assert len(world.endpoints()) == 1
    assert world.secret("SigningSecrets")["previous"] == []
    assert "nothing is left" in world.portal("rotate", "webhook", "--finish").output


def test_an_old_signing_secret_is_refused_after_its_end_though_nobody_came_back(world: SetupWorld, api: Api) -> None:
    old = signing(world)
    world.portal("rotate", "webhook", "--overlap", "1h")
    assert status_of_event(api, old) == 200
    with time_machine.travel(time.time() + 3601):
        assert [status_of_event(api, each) for each in (signing(world), old)] == [200, 400]
        # The old endpoint is disabled, so nothing is refused: every event comes by the new one.
        assert set(world.deliver()) == {200}


def test_rotating_twice_quickly_keeps_all_three_and_lengthens_none(world: SetupWorld, api: Api) -> None:
    first = signing(world)
    world.portal("rotate", "webhook", "--overlap", "1h")
    second = signing(world)
    ends = {each["secret"]: each["until"] for each in world.secret("SigningSecrets")["previous"]}
    world.portal("rotate", "webhook", "--overlap", "7d")
    third = signing(world)
    assert len({first, second, third}) == 3
    assert [status_of_event(api, each) for each in (first, second, third)] == [200] * 3
    after = {each["secret"]: each["until"] for each in world.secret("SigningSecrets")["previous"]}
    assert after[first] == ends[first]
    assert [each["status"] for each in world.endpoints()].count("enabled") == 1


def test_a_rotation_killed_anywhere_is_finished_and_refuses_nothing(
    world: SetupWorld, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is killed when, the stored secret is that of an enabled endpoint, and the old one still counts."""
    old = signing(world)
    deaths = 0
    for calls in range(1, 60):
        with killed_after(calls, monkeypatch) as was_killed, suppress(Killed):
            world.portal("rotate", "webhook")
        stored = world.secret("SigningSecrets")
        enabled = {each["id"] for each in world.endpoints() if each["status"] == "enabled"}
        assert stored["endpoint"] in enabled
        assert status_of_event(api, old) == 200
        if not was_killed():
            break
        deaths += 1
    assert deaths > 5
    assert world.portal("rotate", "webhook").exit_code == 0
    assert [each["status"] for each in world.endpoints()].count("enabled") == 1
    assert world.portal("rotate", "webhook", "--finish").exit_code == 0
    (endpoint,) = world.endpoints()
    assert world.secret("SigningSecrets")["endpoint"] == endpoint["id"]
    assert set(world.deliver()) == {200}


def together(world: SetupWorld, monkeypatch: pytest.MonkeyPatch, calls: int, another: Callable[[], object]) -> bool:
    """Rotate, with another command in the middle of it; return whether that was before its end."""

    def after_a_minute(*args: Any, **options: Any) -> bool:
        forget_secrets()
        return is_accepted(*args, **options)

    monkeypatch.setattr("cli.setup.endpoint.is_accepted", after_a_minute)
    with interleaved_after(calls, another, monkeypatch) as ran, suppress(InvalidRequest):
        world.portal("rotate", "webhook")
    return ran()


def heal(world: SetupWorld) -> None:
    """Run it again, alone; `portal connect` first where it says so."""
    with suppress(InvalidRequest):
        world.portal("rotate", "webhook")
    if world.secret("SigningSecrets")["endpoint"] not in {each["id"] for each in world.endpoints()}:
        assert world.connect().exit_code == 0
    assert world.portal("rotate", "webhook", "--finish").exit_code == 0
    (endpoint,) = world.endpoints()
    assert endpoint["status"] == "enabled"
    assert world.secret("SigningSecrets")["endpoint"] == endpoint["id"]
    assert world.secret("SigningSecrets")["previous"] == []
    assert set(world.deliver()) == {200}


OTHERS = (("rotate", "webhook", "--finish"), ("connect", "--yes", "--no-backfill"))


@pytest.mark.parametrize("rivals", [(("rotate", "webhook"),), OTHERS], ids=["rotate", "finish and connect"])
def test_two_at_once_lose_no_signing_secret_and_no_event(
    world: SetupWorld, api: Api, monkeypatch: pytest.MonkeyPatch, rivals: tuple[tuple[str, ...], ...]
) -> None:
    """Whichever step of a rotation another command meets, every endpoint that delivers is accepted."""
    for calls, rival in zip(count(1), cycle(rivals), strict=False):

        def another(rival: tuple[str, ...] = rival) -> None:
            with suppress(InvalidRequest):
                world.portal(*rival)

        old = signing(world)
        met = together(world, monkeypatch, calls, another)
        forget_secrets()
        assert set(world.deliver()) == {200}, calls
        if "--finish" not in rival:
            assert status_of_event(api, old) == 200, calls
        heal(world)
        if not met:
            break
    assert calls > 8


def test_two_at_once_of_which_one_is_killed_lose_no_event(
    world: SetupWorld, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One endpoint at least delivers what is accepted, and the next run finishes what either of them began."""
    # Each death meets many steps over a few runs of the loop; all pairs would take minutes.
    for calls, death in zip(count(1), cycle((3, 7, 5, 9, 4, 11, 6, 8)), strict=False):
        old = signing(world)

        def another(death: int = death) -> None:
            with killed_after(death, monkeypatch), suppress(Killed, InvalidRequest):
                world.portal("rotate", "webhook")

        met = together(world, monkeypatch, calls, another)
        forget_secrets()
        assert 200 in world.deliver(), (death, calls)
        assert status_of_event(api, old) == 200, (death, calls)
        heal(world)
        if not met:
            break


def test_an_interrupted_rotation_is_not_begun_again(world: SetupWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("cli.setup.rotate.WebhookRotation._end_deliveries", lambda *_: None)
        world.portal("rotate", "webhook")
    before = signing(world)
    assert [each["status"] for each in world.endpoints()] == ["enabled", "enabled"]
    result = world.portal("rotate", "webhook")
    assert "going on with the rotation" in result.output
    assert signing(world) == before
    assert sorted(each["status"] for each in world.endpoints()) == ["disabled", "enabled"]


def test_an_old_endpoint_with_events_on_their_way_stays_enabled(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disabled endpoint gets no retries, so they would be lost."""
    monkeypatch.setattr("cli.setup.rotate.has_undelivered", lambda _client, _since: True)
    result = world.portal("rotate", "webhook")
    assert result.exit_code == 1
    assert "it stays enabled" in result.output
    assert [each["status"] for each in world.endpoints()] == ["enabled", "enabled"]


def test_a_webhook_that_does_not_take_the_new_secret_keeps_both(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.setup.rotate.wait_until_accepted", lambda *_, **__: False)
    result = world.portal("rotate", "webhook")
    assert result.exit_code == 1
    assert [each["status"] for each in world.endpoints()] == ["enabled", "enabled"]


def test_an_endpoint_made_by_hand_is_rotated_to_the_current_version(world: SetupWorld, api: Api) -> None:
    world.simulator.client().v1.webhook_endpoints.delete(world.endpoints()[0]["id"])
    made = world.by_hand(api_version="2024-06-20")
    world.put_secret("SigningSecrets", {"webhook_signing_secrets": [made.secret]})
    assert world.portal("rotate", "webhook").exit_code == 0
    states = {each["id"]: (each["status"], each["api_version"]) for each in world.endpoints()}
    assert states.pop(made.id) == ("disabled", "2024-06-20")
    assert list(states.values()) == [("enabled", NEW)]
    assert status_of_event(api, made.secret) == 200


def test_nothing_is_rotated_before_it_is_connected(world: SetupWorld) -> None:
    world.simulator.client().v1.webhook_endpoints.delete(world.endpoints()[0]["id"])
    for arguments in (("rotate", "webhook"), ("rotate", "webhook", "--finish")):
        with pytest.raises(InvalidRequest, match="portal connect"):
            world.portal(*arguments)
    assert world.endpoints() == []


def test_old_secrets_that_have_ended_are_left_out_and_no_end_is_moved() -> None:
    content = {
        "webhook_signing_secrets": ["b"],
        "endpoint": "we_b",
        "previous": [{"secret": "a", "until": 50}, {"secret": "0", "until": 200, "endpoint": "we_0"}],
    }
    after = replaced(content, "c", "we_c", now=100, until=1000)
    assert after == {
        "webhook_signing_secrets": ["c"],
        "endpoint": "we_c",
        "previous": [
            {"secret": "b", "until": 1000, "endpoint": "we_b"},
            {"secret": "0", "until": 200, "endpoint": "we_0"},
        ],
    }


# ---------------------------------------------------------------- link


def test_links_of_both_secrets_open_and_the_new_one_signs(world: SetupWorld, api: Api) -> None:
    world.deliver()
    result = world.portal("rotate", "link")
    assert result.exit_code == 0
    stored = world.secret("LinkSecrets")
    assert [*stored] == ["2", "1", "_until"]
    assert [status_of_link(world, api, each, stored[each]) for each in ("2", "1")] == [303, 303]
    assert stored["_until"]["1"] == pytest.approx(time.time() + 8 * DAY, abs=60)
    assert stored["2"] not in result.output
    token = world.portal("link", world.simulator.client().v1.customers.list({"limit": 1}).data[0].id).output
    assert jwt.get_unverified_header(token.partition("token=")[2].split()[0])["kid"] == "2"


def test_an_old_link_secret_opens_nothing_after_its_end(world: SetupWorld, api: Api) -> None:
    world.deliver()
    world.portal("rotate", "link", "--overlap", "1h")
    stored = world.secret("LinkSecrets")
    with time_machine.travel(time.time() + 3600):
        assert [status_of_link(world, api, each, stored[each]) for each in ("2", "1")] == [303, 401]
        # Whoever has the old secret cannot pass it off as the new one.
        assert status_of_link(world, api, "2", stored["1"]) == 401


def test_finish_ends_the_old_link_secrets_at_once(world: SetupWorld, api: Api) -> None:
    world.deliver()
    world.portal("rotate", "link")
    stored = world.secret("LinkSecrets")
    assert world.portal("rotate", "link", "--finish").exit_code == 0
    assert [*world.secret("LinkSecrets")] == ["2"]
    assert status_of_link(world, api, "1", stored["1"]) == 401
    assert "nothing is left" in world.portal("rotate", "link", "--finish").output


def test_rotating_links_twice_lengthens_no_end() -> None:
    content: dict[str, Any] = {"1": "a" * 43}
    content = with_new_link_secret(content, "b" * 43, now=100, until=200)
    content = with_new_link_secret(content, "c" * 43, now=110, until=900)
    assert [*content] == ["3", "2", "1", "_until"]
    assert content["_until"] == {"2": 900, "1": 200}
    content = with_new_link_secret(content, "d" * 43, now=200, until=950)
    assert [*content] == ["4", "3", "2", "_until"]
    assert content["_until"] == {"3": 950, "2": 900}


@pytest.mark.parametrize("rival", [("rotate", "link"), ("rotate", "link", "--finish")], ids=" ".join)
def test_two_at_once_lose_no_link_secret(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch, rival: tuple[str, ...]
) -> None:
    """Both new secrets are kept, and an old one for as long as somebody was told."""
    for calls in count(1):
        world.put_secret("LinkSecrets", {"1": LINK_SECRET})
        said: list[str] = []

        def another(said: list[str] = said) -> None:
            said.append(world.portal(*rival).output)

        with interleaved_after(calls, another, monkeypatch) as met:
            world.portal("rotate", "link")
        stored = world.secret("LinkSecrets")
        rotations = 1 + (met() and "--finish" not in rival)
        assert len({*stored} - {"1", "_until"}) == rotations, calls
        # The other one ended the old one knowingly only where it had seen that it ends.
        if "1" not in stored:
            assert "removed '1'" in said[0]
        if not met():
            break
    assert calls > 2


def test_a_finish_ends_no_link_secret_that_it_has_not_seen_ending(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for calls in count(1):
        world.put_secret("LinkSecrets", {"1": LINK_SECRET})
        another = partial(world.portal, "rotate", "link")
        with interleaved_after(calls, another, monkeypatch) as met:
            said = world.portal("rotate", "link", "--finish").output
        if not met():
            break
        assert ("removed '1'" in said) == ("1" not in world.secret("LinkSecrets")), calls
    assert calls > 2


def test_too_many_link_secrets_at_once_are_refused() -> None:
    content: dict[str, Any] = {"first": "a" * 43}
    for _ in range(8):
        content = with_new_link_secret(content, "b" * 43, now=100, until=200)
    with pytest.raises(InvalidRequest, match="--finish"):
        with_new_link_secret(content, "b" * 43, now=100, until=200)


def test_a_killed_rotation_of_links_leaves_a_secret_that_works(
    world: SetupWorld, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver()
    for calls in range(1, 10):
        with killed_after(calls, monkeypatch), suppress(Killed):
            world.portal("rotate", "link")
        stored = world.secret("LinkSecrets")
        kid = next(iter(stored))
        assert status_of_link(world, api, kid, stored[kid]) == 303
        assert status_of_link(world, api, "1", stored["1"]) == 303


# ---------------------------------------------------------------- key


def rotate_key(world: SetupWorld, key: str) -> Any:
    Path(world.key_file).write_text(key)
    return world.portal("rotate", "key", "--stripe-key-file", world.key_file)


def test_of_two_new_keys_at_once_the_second_is_not_stored_unawares(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run that says that a key is stored has replaced the key that it names."""
    keys = {"mine": f"{KEY[:-1]}1", "another": f"{KEY[:-1]}2"}
    for name, key in keys.items():
        (tmp_path / name).write_text(key)

    def store(name: str) -> Result:
        return world.portal("rotate", "key", "--stripe-key-file", str(tmp_path / name))

    refused = 0
    for calls in count(1):
        world.put_secret("Secret", {"stripe_api_key": KEY})
        with interleaved_after(calls, lambda: store("another"), monkeypatch) as met:
            try:
                mine = store("mine").output
            except InvalidRequest as error:
                mine, code = error.message, error.code
                refused += code == "changed_meanwhile"
        stored = world.secret("Secret")["stripe_api_key"]
        if "was not stored" in mine:
            assert stored == keys["another"]
        elif f"the functions use {shown(KEY)}" in mine:
            # It replaced the old one, and the other one replaced it, or was not there.
            assert stored == (keys["another"] if met() else keys["mine"])
        else:
            assert f"the functions use {shown(keys['another'])}" in mine
            assert stored == keys["mine"]
        if not met():
            break
    assert refused > 3


def test_a_new_key_is_stored_and_it_says_how_long_the_old_one_is_used(world: SetupWorld) -> None:
    result = rotate_key(world, "rk_test_the_new_one_9876")
    assert result.exit_code == 0
    assert world.secret("Secret")["stripe_api_key"] == "rk_test_the_new_one_9876"
    assert "rk_test_...cdef until" in result.output
    assert "expire it (Dashboard: Developers > API keys)" in result.output
    assert "rk_test_the_new_one_9876" not in result.output
    assert "stored already" in rotate_key(world, "rk_test_the_new_one_9876").output


@pytest.mark.parametrize("key", ["rk_live_0123456789", "pk_test_1", ""])
def test_a_key_that_does_not_do_is_not_stored(world: SetupWorld, key: str) -> None:
    with pytest.raises(InvalidRequest):
        rotate_key(world, key)
    assert world.secret("Secret")["stripe_api_key"] == KEY


def test_a_key_with_fewer_permissions_is_not_stored(world: SetupWorld) -> None:
    world.forbid("POST", "/v1/billing_portal/sessions", "rak_customer_portal_write")
    with pytest.raises(OperatorError, match="Customer portal: write"):
        rotate_key(world, "rk_test_the_new_one_9876")
    assert world.secret("Secret")["stripe_api_key"] == KEY


def test_the_key_of_another_account_is_not_stored(world: SetupWorld) -> None:
    world.deliver()
    world.simulator.admin("POST", "faults", {"fail": [{"status": 404, "times": 9, "path": "/v1/subscriptions/sub_"}]})
    with pytest.raises(InvalidRequest, match="another account"):
        rotate_key(world, "rk_test_of_another_account")
    assert world.secret("Secret")["stripe_api_key"] == KEY


@pytest.mark.parametrize("what", ["webhook", "link"])
def test_functions_that_do_not_know_ends_are_left_alone(world: SetupWorld, what: str) -> None:
    """They would take the old secret for lost, or the whole secret for malformed."""
    outputs = {name: each for name, each in world.deployment.outputs.items() if name != "AuditSettingsName"}
    world.deployment = replace(world.deployment, outputs=outputs)
    before = world.secret("SigningSecrets"), world.secret("LinkSecrets")
    with pytest.raises(OperatorError, match="AuditSettingsName"):
        world.portal("rotate", what)
    assert (world.secret("SigningSecrets"), world.secret("LinkSecrets")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("key", "--finish"),
        ("key", "--overlap", "1d"),
        ("link", "--stripe-key-file", "-"),
        ("link", "--finish", "--overlap", "1d"),
    ],
)
def test_options_that_make_no_sense_are_refused(world: SetupWorld, arguments: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        world.portal("rotate", *arguments)
    assert refused.value.code == "bad_request"


def test_another_secret_is_refused(world: SetupWorld) -> None:
    assert world.portal("rotate", "everything").exit_code == 2
