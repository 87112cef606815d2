"""What `portal connect` does to a fresh deployment, to one set up by hand, and wherever it is killed."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.setup import dialog
from cli.setup.connect import Connection
from cli.setup.notifications import AlarmReaders
from cli.setup.stored_secret import StoredSecret
from cli.setup.stripe_key import PROBES
from shared.errors import InvalidRequest, OperatorError
from shared.i18n import Message
from tests.integration.conftest import Api, Aws
from tests.integration.setup_world import (
    EVENT_TYPES,
    KEY,
    Killed,
    SetupWorld,
    forget_secrets,
    interleaved_after,
    killed_after,
    setup_world,
    with_parameters,
)
from tests.integration.simulator_fixtures import NEW, RunningSimulator


@pytest.fixture
def world(
    aws: Aws, api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SetupWorld]:
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    with setup_world(aws, api, simulator, monkeypatch, str(key_file)) as made:
        yield made


def states(output: str) -> list[tuple[str, str]]:
    """The steps as printed: state and subject."""
    return re.findall(r"^(ok|done|note|TO DO)\s+(.{22}) ", output, re.MULTILINE)


def test_a_fresh_deployment_works_afterwards(world: SetupWorld) -> None:
    world.save_portal_settings(login=False)
    result = world.portal("connect", "--yes", "--stripe-key-file", world.key_file)
    assert result.exit_code == 0, result.output
    (endpoint,) = world.endpoints()
    assert set(endpoint["enabled_events"]) == EVENT_TYPES
    assert (endpoint["api_version"], endpoint["status"]) == (NEW, "enabled")
    stored = world.secret("SigningSecrets")
    assert stored["endpoint"] == endpoint["id"]
    assert stored["unused"] == "x" * 32
    assert world.secret("Secret") == {"stripe_api_key": KEY, "unused": "x" * 32}
    assert world.secret("LinkSecrets") == {"1": "g" * 43}
    configurations = world.simulator.client().v1.billing_portal.configurations
    assert configurations.list({"is_default": True}).data[0].login_page.enabled
    forget_secrets()
    assert set(world.deliver()) == {200}
    assert len(list(world.deployment.mirror.all())) == 1


def test_no_secret_is_ever_printed(world: SetupWorld) -> None:
    world.save_portal_settings()
    output = world.connect().output
    output += world.connect().output
    stored = world.secret("SigningSecrets")["webhook_signing_secrets"]
    assert stored
    for secret in (KEY, *stored, "g" * 43):
        assert secret not in output
        assert secret[:20] not in output


def test_a_second_run_changes_nothing(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.connect()
    before = [world.secret(each) for each in ("Secret", "SigningSecrets", "LinkSecrets")], world.endpoints()
    result = world.connect()
    assert result.exit_code == 0
    assert {state for state, _ in states(result.output)} <= {"ok", "note"}
    assert ([world.secret(each) for each in ("Secret", "SigningSecrets", "LinkSecrets")], world.endpoints()) == before


def test_killed_after_any_call_the_next_run_finishes_with_one_endpoint(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run dies one call later than the last, and none cleans up."""
    world.save_portal_settings(login=False)
    most, deaths = 0, 0
    for calls in range(1, 100):
        with killed_after(calls, monkeypatch) as was_killed, suppress(Killed):
            world.connect()
        most = max(most, len(world.endpoints()))
        if not was_killed():
            break
        deaths += 1
    assert deaths > 10
    assert most == 1
    assert world.connect().exit_code == 0
    (endpoint,) = world.endpoints()
    assert world.secret("SigningSecrets")["endpoint"] == endpoint["id"]
    forget_secrets()
    assert set(world.deliver()) == {200}


def test_killed_between_creation_and_storage_the_endpoint_is_replaced_and_it_says_so(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.save_portal_settings()
    for calls in range(1, 100):
        with killed_after(calls, monkeypatch), suppress(Killed):
            world.connect()
        if orphans := world.endpoints():
            break
    assert world.secret("SigningSecrets")["webhook_signing_secrets"] == []
    result = world.connect()
    assert f"deleted {orphans[0]['id']}, which an interrupted run had created" in result.output
    (endpoint,) = world.endpoints()
    assert endpoint["id"] != orphans[0]["id"]
    assert world.secret("SigningSecrets")["endpoint"] == endpoint["id"]


def test_a_secret_that_cannot_be_stored_leaves_no_endpoint(world: SetupWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.save_portal_settings()
    store = type(world.deployment.stored_signing_secrets)
    update = store.update

    def refuse(self: Any, change: Any) -> Any:
        if self.name == "SigningSecretsArn":
            raise OperatorError("secret_refused", "You may not write it")
        return update(self, change)

    monkeypatch.setattr(store, "update", refuse)
    result = world.connect()
    assert result.exit_code == 1
    assert "You may not write it" in result.output
    assert world.endpoints() == []


def test_somebody_elses_change_meanwhile_is_kept(world: SetupWorld) -> None:
    store = world.deployment.stored_signing_secrets
    read, others = store.content, iter(("whsec_of_somebody_else_1234567890",))

    def change(content: dict[str, Any]) -> dict[str, Any]:
        for secret in others:
            world.put_secret("SigningSecrets", {"webhook_signing_secrets": [secret]})
        return {**content, "endpoint": "we_1"}

    store.update(change)
    assert read() == {"webhook_signing_secrets": ["whsec_of_somebody_else_1234567890"], "endpoint": "we_1"}


# ---------------------------------------------------------------- the key


@pytest.mark.parametrize(
    "text", ["", "pk_test_123", "sk_test_", "whsec_0123456789abcdef", "rk_test_a b", "rk_test_a\nrk_test_b"]
)
def test_what_is_no_key_is_refused_and_not_shown(world: SetupWorld, text: str) -> None:
    Path(world.key_file).write_text(text)
    with pytest.raises(InvalidRequest, match="Not a secret or restricted key") as caught:
        world.connect()
    assert not text or text not in str(caught.value)
    assert world.secret("Secret")["stripe_api_key"] == ""


def test_without_a_terminal_or_a_file_nothing_is_guessed(world: SetupWorld) -> None:
    with pytest.raises(InvalidRequest, match="--stripe-key-file"):
        world.portal("connect", "--yes")


def test_the_key_comes_from_standard_input(world: SetupWorld) -> None:
    world.save_portal_settings()
    result = world.portal("connect", "--yes", "--no-backfill", "--stripe-key-file", "-", text=f"{KEY}\n")
    assert result.exit_code == 0, result.output
    assert world.secret("Secret")["stripe_api_key"] == KEY


def test_a_typed_key_is_not_echoed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return KEY

    monkeypatch.setattr("cli.setup.dialog.getpass", getpass)
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert dialog.read_key(None, Message("Key"), "en") == KEY
    assert asked == ["Key (not shown): "]


class Terminal:
    def isatty(self) -> bool:
        return True


def test_a_missing_permission_is_named_as_in_the_dashboard_and_nothing_is_stored(world: SetupWorld) -> None:
    world.forbid("GET", "/v1/subscriptions", "rak_subscription_read")
    with pytest.raises(OperatorError, match=r"Subscriptions: read \(for access, create_session") as caught:
        world.connect()
    assert "Developers > API keys" in str(caught.value)
    assert world.secret("Secret")["stripe_api_key"] == ""
    assert world.endpoints() == []


def test_a_permission_that_the_deployment_does_not_use_is_not_asked_for(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.forbid("POST", "/v1/checkout/sessions", "rak_checkout_session_write")
    assert world.connect().exit_code == 0
    with_parameters(world, CheckoutPrice="price_1")
    with pytest.raises(OperatorError, match="Checkout Sessions: write"):
        world.connect()


def test_what_the_audit_alone_would_read_is_a_note(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.forbid("GET", "/v1/coupons", "rak_coupon_read")
    result = world.connect()
    assert result.exit_code == 0
    assert "without Coupons: read, amounts after discounts" in result.output


def test_what_the_audit_skips_is_not_asked_for(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.forbid("GET", "/v1/invoices", "rak_invoice_read")
    assert "without Invoices: read" in world.connect().output
    with_parameters(world, AuditSkips="Events, Invoices")
    assert "without Invoices: read" not in world.connect().output


def test_a_key_that_stripe_does_not_take_is_not_stored(world: SetupWorld) -> None:
    failure = {"status": 401, "times": 100, "message": "Invalid API Key provided"}
    world.simulator.admin("POST", "faults", {"fail": [failure]})
    with pytest.raises(OperatorError, match="does not take the API key"):
        world.connect()
    assert world.secret("Secret")["stripe_api_key"] == ""


def test_probing_changes_nothing_at_stripe(world: SetupWorld) -> None:
    with_parameters(world, CheckoutPrice="price_1", AllowVerifiedEmail="true", ReadsPaymentMethods="true")
    client = world.simulator.client(KEY)
    before = client.v1.events.list({"limit": 100}).data
    for probe in PROBES:
        with suppress(Exception):
            probe.send(client)
    assert client.v1.events.list({"limit": 100}).data == before
    assert client.v1.customers.list().data == []


def test_a_live_key_for_a_test_deployment_is_refused(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.connect()
    Path(world.key_file).write_text("rk_live_0123456789abcdef")
    with pytest.raises(InvalidRequest, match="Deploy another stack for live mode"):
        world.connect()
    assert world.secret("Secret")["stripe_api_key"] == KEY


def test_the_key_of_another_account_is_refused(world: SetupWorld) -> None:
    """Its subscriptions would be mixed with ours, and ours would be served by another account's portal."""
    world.save_portal_settings()
    world.connect()
    world.deliver()
    assert len(list(world.deployment.mirror.all())) == 1
    world.simulator.admin("POST", "faults", {"fail": [{"status": 404, "times": 100, "path": "/v1/subscriptions/sub_"}]})
    Path(world.key_file).write_text("rk_test_of_another_account")
    with pytest.raises(InvalidRequest, match="another account"):
        world.connect()
    assert world.secret("Secret")["stripe_api_key"] == KEY


# ---------------------------------------------------------------- endpoints


def test_an_endpoint_made_by_hand_is_adopted_and_completed(world: SetupWorld) -> None:
    world.save_portal_settings()
    made = world.by_hand(enabled_events=["customer.subscription.updated", "invoice.paid"], api_version="2024-06-20")
    world.simulator.client().v1.webhook_endpoints.update(made.id, {"disabled": True})
    world.put_secret("SigningSecrets", {"webhook_signing_secrets": [made.secret]})
    result = world.connect()
    assert result.exit_code == 0, result.output
    (endpoint,) = world.endpoints()
    assert (endpoint["id"], endpoint["status"]) == (made.id, "enabled")
    assert set(endpoint["enabled_events"]) == EVENT_TYPES | {"invoice.paid"}
    assert "2024-06-20, which can be read" in result.output
    assert world.secret("SigningSecrets") == {"webhook_signing_secrets": [made.secret]}


def test_a_deployment_with_entitlements_gets_their_event_too(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.connect()
    assert set(world.endpoints()[0]["enabled_events"]) == EVENT_TYPES
    with_parameters(world, Entitlements="true")
    world.connect()
    (endpoint,) = world.endpoints()
    assert set(endpoint["enabled_events"]) == {*EVENT_TYPES, "entitlements.active_entitlement_summary.updated"}


def test_an_endpoint_whose_secret_nobody_stored_is_replaced_only_if_somebody_agrees(world: SetupWorld) -> None:
    world.save_portal_settings()
    made = world.by_hand()
    result = world.portal("connect", "--no-backfill", "--stripe-key-file", world.key_file)
    assert result.exit_code == 1
    assert f"put the signing secret of {made.id}" in result.output
    assert [each["id"] for each in world.endpoints()] == [made.id]
    result = world.connect()
    assert result.exit_code == 0, result.output
    (endpoint,) = world.endpoints()
    assert endpoint["id"] != made.id


def test_our_endpoint_is_not_deleted_where_its_secret_was_stored_again_by_hand(world: SetupWorld) -> None:
    """Somebody put back the JSON that an earlier page of the docs shows, which does not name the endpoint."""
    world.save_portal_settings()
    world.connect()
    (endpoint,) = world.endpoints()
    secret = world.secret("SigningSecrets")["webhook_signing_secrets"]
    world.put_secret("SigningSecrets", {"webhook_signing_secrets": secret})
    assert world.connect().exit_code == 0
    assert [each["id"] for each in world.endpoints()] == [endpoint["id"]]
    assert world.secret("SigningSecrets")["webhook_signing_secrets"] == secret


def test_an_endpoint_that_was_deleted_at_stripe_is_made_anew(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.connect()
    old = world.secret("SigningSecrets")["webhook_signing_secrets"][0]
    world.simulator.client().v1.webhook_endpoints.delete(world.endpoints()[0]["id"])
    assert world.connect().exit_code == 0
    stored = world.secret("SigningSecrets")
    assert stored["endpoint"] == world.endpoints()[0]["id"]
    assert [each["secret"] for each in stored["previous"]] == [old]


def test_two_endpoints_by_hand_are_left_to_people(world: SetupWorld) -> None:
    world.save_portal_settings()
    first, second = world.by_hand(), world.by_hand()
    world.put_secret("SigningSecrets", {"webhook_signing_secrets": [first.secret]})
    result = world.connect()
    assert result.exit_code == 1
    assert "it is not known whose signing secret is stored" in result.output
    assert {each["id"] for each in world.endpoints()} == {first.id, second.id}


def test_two_at_once_make_one_endpoint_whose_secret_is_stored(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step of a run another run meets: the one that comes second deletes what it has created, and says so."""
    world.connect()

    def step() -> None:
        forget_secrets()
        Connection(world.deployment, dialog.Dialog(yes=True)).endpoint()

    stopped = 0
    for calls in count(1):
        for each in world.endpoints():
            world.simulator.client().v1.webhook_endpoints.delete(each["id"])
        world.put_secret("SigningSecrets", {"webhook_signing_secrets": []})
        with interleaved_after(calls, step, monkeypatch) as met:
            try:
                step()
            except InvalidRequest as error:
                stopped += error.code == "changed_meanwhile"
        (endpoint,) = world.endpoints()
        assert world.secret("SigningSecrets")["endpoint"] == endpoint["id"], calls
        forget_secrets()
        assert set(world.deliver()) == {200}, calls
        if not met():
            break
    assert stopped > 1


def test_a_new_endpoint_that_another_run_has_deleted_as_an_orphan_is_told_and_made_anew(
    world: SetupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the creation and the storing of the secret, an endpoint looks as if its run had been killed."""
    world.save_portal_settings()
    update = StoredSecret.update

    def interrupted(store: Any, change: Any) -> Any:
        for each in world.endpoints():
            world.simulator.client().v1.webhook_endpoints.delete(each["id"])
        return update(store, change)

    with monkeypatch.context() as patch:
        patch.setattr(StoredSecret, "update", interrupted)
        result = world.connect()
    assert result.exit_code == 1
    assert "is gone from Stripe: somebody else ran such a command" in " ".join(result.output.split())
    assert world.connect().exit_code == 0
    assert world.secret("SigningSecrets")["endpoint"] in {each["id"] for each in world.endpoints()}


def test_another_programs_endpoint_is_not_touched(world: SetupWorld) -> None:
    world.save_portal_settings()
    params: Any = {"url": "https://shop.example/hook", "enabled_events": ["invoice.paid"]}
    other = world.simulator.client().v1.webhook_endpoints.create(params)
    world.connect()
    world.connect()
    assert world.simulator.client().v1.webhook_endpoints.retrieve(other.id).enabled_events == ["invoice.paid"]


def test_a_key_that_may_not_create_endpoints_says_what_to_do(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.forbid("POST", "/v1/webhook_endpoints", "rak_webhook_write")
    result = world.connect()
    assert result.exit_code == 1
    assert "set PORTAL_STRIPE_API_KEY to a key with Webhook Endpoints: write" in result.output
    # The other steps do not depend on it.
    assert {"link secrets", "portal settings", "mail (SES)"} <= {what.strip() for _, what in states(result.output)}


def test_event_bridge_gets_a_destination_once(world: SetupWorld) -> None:
    world.save_portal_settings()
    result = world.connect("--eventbridge")
    assert result.exit_code == 1
    source = re.search(r"StripeEventSource=(aws\.partner/stripe\.com/\S+?):? ", result.output.replace("`", " "))
    assert source
    again = world.connect("--eventbridge")
    destinations = world.simulator.client().v2.core.event_destinations.list().data
    assert [each.type for each in destinations] == ["amazon_eventbridge"]
    assert set(destinations[0].enabled_events) == EVENT_TYPES
    assert source[1] in again.output
    assert world.endpoints() == []
    with_parameters(world, StripeEventSource=source[1])
    assert "the partner event source is pending" in world.connect().output


# ---------------------------------------------------------------- the rest


def test_portal_settings_that_were_never_saved_are_a_to_do_with_the_address(world: SetupWorld) -> None:
    result = world.connect()
    assert result.exit_code == 1
    assert "https://dashboard.stripe.com/test/settings/billing/portal" in result.output


def test_the_login_page_stays_off_where_nobody_agrees(world: SetupWorld) -> None:
    world.save_portal_settings(login=False)
    result = world.portal("connect", "--no-backfill", "--stripe-key-file", world.key_file)
    assert ("TO DO", "login page") in [(state, what.strip()) for state, what in states(result.output)]
    configurations = world.simulator.client().v1.billing_portal.configurations
    assert not configurations.list({"is_default": True}).data[0].login_page.enabled


def test_a_link_secret_is_generated_where_there_is_none(world: SetupWorld) -> None:
    world.save_portal_settings()
    world.put_secret("LinkSecrets", {})
    world.connect()
    (secret,) = world.secret("LinkSecrets").values()
    assert len(secret) >= 43
    world.connect()
    assert world.secret("LinkSecrets") == {"1": secret}


@pytest.mark.parametrize("content", ["no JSON", json.dumps({"1": "short"}), json.dumps(["x"])])
def test_a_malformed_link_secret_is_never_overwritten(world: SetupWorld, content: str) -> None:
    world.save_portal_settings()
    world.put_secret("LinkSecrets", content)
    result = world.connect()
    assert result.exit_code == 1
    assert "LinkSecretsArn" in result.output
    stored = world.aws.clients.secretsmanager.get_secret_value(SecretId=world.aws.template.ref("LinkSecrets"))
    assert stored["SecretString"] == content


def test_a_sender_that_ses_does_not_know_is_asked_for_and_then_named(world: SetupWorld) -> None:
    world.save_portal_settings()
    with_parameters(world, PortalEmailFrom="Shop <billing@other.example>")
    assert "follow the link in the mail that SES has sent to billing@other.example" in world.connect().output


def test_a_reader_of_alarms_who_has_not_confirmed_is_named(world: SetupWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.save_portal_settings()
    pending = AlarmReaders((), ("team@shop.example",))
    monkeypatch.setattr("cli.setup.connect.alarm_readers", lambda _sns, _topic: pending)
    result = world.connect()
    assert result.exit_code == 1
    assert "team@shop.example has to follow the link" in result.output


def test_the_help_promises_no_key_in_an_argument() -> None:
    text = CliRunner().invoke(app, ["connect", "--help"], env={"COLUMNS": "200"}).output
    assert "--stripe-key-file" in text
    assert not re.search(r"--stripe-key\b(?!-)", text)
