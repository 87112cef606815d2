"""What `portal resume --stranded` and `portal acknowledge` do to subscriptions of the simulator."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import stripe
from typer.testing import CliRunner, Result

from cli.deployment import Deployment
from cli.main import app
from cli.paused_collection import Handled, PauseOutcome, subscriptions, writing
from cli.resume import Beginning, Calendar, PausePlan, end_pause, resume_plan
from shared.errors import InvalidRequest, OperatorError
from shared.mirror.items import MirroredSubscription, Write
from shared.portal.pause import midnight_of
from shared.stripe.gateway import read_from_stripe
from shared.stripe.pacing import RateLimit
from shared.stripe.subscription import Subscription
from tests.fakes import FakeTable
from tests.integration.simulator_fixtures import RunningSimulator

Subscribe = Callable[..., stripe.Subscription]
VOID: Any = {"behavior": "void"}
FLEXIBLE: Any = {"type": "flexible"}


def now() -> datetime:
    return datetime.now(UTC)


def stranded_plan(subscription: Subscription, at: datetime) -> PausePlan | None:
    """The plan for a pause that the button can have made: its day of removal is still to come."""
    removed = at.date() + timedelta(days=2)
    return resume_plan(
        subscription,
        Calendar(at, midnight_of(removed, UTC), removed),
        Beginning(int(at.timestamp())),
    )


def limit() -> RateLimit:
    return RateLimit(100)


def state(client: stripe.StripeClient, subscription: stripe.Subscription) -> Subscription:
    return read_from_stripe(client, subscription.id).subscription


def pause_collection(client: stripe.StripeClient, subscription: stripe.Subscription, **more: Any) -> Subscription:
    params: Any = {"pause_collection": {**VOID, **more}}
    client.v1.subscriptions.update(subscription.id, params)
    return state(client, subscription)


def carry_out(client: stripe.StripeClient, paused: Subscription, plan: Any, *, apply: bool = True) -> Handled:
    found = plan(paused, now())
    assert found
    return end_pause(client, limit(), paused, found, apply=apply)


def test_a_dry_run_changes_nothing(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    made = subscribe(billing_mode=FLEXIBLE)
    paused = pause_collection(client, made)
    assert carry_out(client, paused, stranded_plan, apply=False).outcome is PauseOutcome.WOULD
    assert state(client, made) == paused


def test_a_stranded_customer_is_resumed(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    made = subscribe()
    assert carry_out(client, pause_collection(client, made), stranded_plan).outcome is PauseOutcome.DONE
    assert state(client, made).pause_collection is None


def test_a_pause_that_changed_since_it_was_listed_is_left_alone(
    client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    made = subscribe()
    listed = pause_collection(client, made)
    changed = pause_collection(client, made, resumes_at=int(now().timestamp()) + 86400)
    assert carry_out(client, listed, stranded_plan).outcome is PauseOutcome.SKIPPED
    assert state(client, made).pause_collection == changed.pause_collection


def test_a_pause_with_an_end_or_with_drafts_is_not_stranded(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    made = subscribe()
    assert stranded_plan(state(client, made), now()) is None
    assert stranded_plan(pause_collection(client, made, resumes_at=int(now().timestamp()) + 86400), now()) is None
    assert stranded_plan(pause_collection(client, made, behavior="keep_as_draft"), now()) is None


def test_the_list_has_every_page_or_one_customer_only(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    ids = {subscribe().id for _ in range(101)}
    assert {each.id for each in subscriptions(client, limit())} == ids
    assert list(subscriptions(client, limit(), client.v1.customers.create({}).id)) == []


def test_a_key_that_may_not_write_is_told_which_permission_it_lacks() -> None:
    with pytest.raises(OperatorError, match="Subscriptions: Write"), writing():
        raise stripe.PermissionError("no", http_status=403)


class TrueTable(FakeTable):
    """A mirror that has what Stripe has at the moment."""

    def __init__(self, client: stripe.StripeClient) -> None:
        super().__init__()
        self._client = client

    def get_many(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MirroredSubscription]:
        for _, subscription_id in keys:
            found = read_from_stripe(self._client, subscription_id)
            self.put_if_older(Write(found.subscription, found.as_of, "evt_1"), than=found.as_of)
        return self.items


@pytest.fixture
def portal(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, with a deployment whose Stripe is the simulator and whose mirror is true."""
    deployment = SimpleNamespace(
        stripe=simulator.client(),
        operator_stripe=simulator.client(),
        clock=(now() + timedelta(days=3)).timestamp(),
        mirror=TrueTable(simulator.client()),
        has_pauses=False,
        uncertainty=timedelta(seconds=3),
        allow_verified_email=False,
        retention=timedelta(days=400),
        parameters={},
        account=None,
    )
    monkeypatch.setattr(Deployment, "of_stack", lambda _: deployment)
    return lambda *words, answers=None: CliRunner().invoke(app, [*words], input=answers)


def stranding() -> tuple[str, ...]:
    """The command's options with which a pause of today was made in the button's time, seen from three days ahead."""
    removed = str(now().date() + timedelta(days=2))
    return ("resume", "--stranded", "--button-removed-on", removed, "--cutoff-on", removed)


RATE = ("--requests-per-second", "100")


def test_the_command_does_nothing_until_told_to(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    made = subscribe(billing_mode=FLEXIBLE)
    paused = pause_collection(client, made)
    answer = portal(*stranding(), *RATE)
    assert answer.exit_code == 0
    assert f"{made.id} {paused.customer_id} would: " in answer.stdout
    assert "Add --apply to do it." in answer.stdout
    assert state(client, made) == paused
    other = client.v1.customers.create({}).id
    assert "No paused subscription to change." in portal(*stranding(), "--customer", other, *RATE).stdout


def test_a_subscription_created_and_paused_today_is_not_stranded_and_never_resumed(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    made = subscribe()
    paused = pause_collection(client, made)
    for words in ((), ("--all", "--apply"), (made.id, "--apply"), (made.id, "--apply", "--confirm", "1")):
        answer = portal("resume", "--stranded", *words, *RATE)
        assert answer.exit_code == 0
        assert "not by the portal's button" in answer.stdout
        assert "1 skipped." in answer.stdout
    assert state(client, made) == paused


def test_it_speaks_french(client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]) -> None:
    french = ("--language", "fr", "--requests-per-second", "100")
    paused = pause_collection(client, subscribe(billing_mode=FLEXIBLE))
    would = portal(*stranding(), *french).stdout
    assert f"{paused.id} {paused.customer_id} à faire\u00a0: reprise" in would
    assert "1 à modifier." in would
    assert "Ajoutez --apply pour exécuter." in would
    done = portal(*stranding(), "--apply", "--all", "--confirm", "1", *french)
    assert "1 client sera débité" in done.stderr
    assert f"{paused.id} {paused.customer_id} fait\u00a0: reprise" in done.stdout
    assert "1 effectué." in done.stdout


def test_one_subscription_is_resumed_and_the_others_are_left_alone(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    one, other = subscribe(), subscribe()
    for each in (one, other):
        pause_collection(client, each)
    answer = portal(*stranding(), one.id, "--apply", "--confirm", "1", *RATE)
    assert "1 done." in answer.stdout
    assert state(client, one).pause_collection is None
    assert state(client, other).pause_collection


def test_nobody_is_charged_before_their_number_is_confirmed(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    other = client.v1.customers.create({"payment_method": "pm_card_visa"})
    made = [subscribe(), subscribe(), subscribe(customer=other.id)]
    for each in made:
        pause_collection(client, each)
    for words, answers in ((("--all",), ""), (("--all",), "1\n"), (("--all", "--confirm", "3"), "")):
        answer = portal(*stranding(), "--apply", *words, *RATE, answers=answers)
        assert isinstance(answer.exception, InvalidRequest)
        assert answer.exception.code == "not_confirmed"
        assert "2 customers will be charged" in answer.stderr
    assert all(state(client, each).pause_collection for each in made)
    assert "3 done." in portal(*stranding(), "--apply", "--all", *RATE, answers="2\n").stdout
    assert not any(state(client, each).pause_collection for each in made)


def test_programs_get_the_list_and_then_what_became_of_each(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    one, other = subscribe(), subscribe()
    for each in (one, other):
        pause_collection(client, each)
    invoice = state(client, one).items[0].current_period_end
    listed = json.loads(portal(*stranding(), *RATE, "--format", "json").stdout)
    assert (listed["version"], listed["apply"]) == (1, False)
    rows = {each["subscription"]: each for each in listed["subscriptions"]}
    assert rows.keys() == {one.id, other.id}
    since = rows[one.id].pop("paused_since")
    assert abs(since - now().timestamp()) < 600
    assert rows[one.id] == {
        "subscription": one.id,
        "customer": one.customer,
        "outcome": "would",
        "reasons": [],
        "paused_since_exact": rows[one.id]["paused_since_exact"],
        "charged": True,
        "monthly": {"eur": "1200"},
        "monthly_complete": True,
        "next_charge": invoice,
    }
    portal("acknowledge", other.id, "--by", "ada")
    answer = portal(*stranding(), "--apply", "--all", *RATE, "--format", "json", answers="1\n")
    done = {each["subscription"]: each for each in json.loads(answer.stdout)["subscriptions"]}
    assert {name: each["outcome"] for name, each in done.items()} == {one.id: "done", other.id: "skipped"}
    assert [each["code"] for each in done[other.id]["reasons"]] == ["acknowledged"]
    # Whoever confirms has seen whom it is about.
    assert f"{one.id} {one.customer} would: " in answer.stderr
    assert "1 customer will be charged" in answer.stderr


def test_a_number_given_beforehand_leaves_nothing_but_the_answer(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    made = subscribe()
    pause_collection(client, made)
    refused = portal(*stranding(), "--apply", "--all", "--confirm", "2", *RATE, "--format", "json")
    assert isinstance(refused.exception, InvalidRequest)
    assert (refused.exception.code, refused.stdout) == ("not_confirmed", "")
    answer = portal(*stranding(), "--apply", "--all", "--confirm", "1", *RATE, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(answer.stdout))
    assert answer.stderr == ""
    assert (row["subscription"], row["outcome"], row["reasons"], row["charged"]) == (made.id, "done", "", "true")
    assert row["monthly"] == "12.00 EUR"
    assert datetime.fromisoformat(row["next_charge"]).timestamp() == state(client, made).items[0].current_period_end
    nobody = portal(*stranding(), *RATE, "--format", "csv").stdout
    assert nobody.startswith("subscription,customer,outcome,reasons,detail,")
    assert len(nobody.splitlines()) == 1


def test_one_that_stripe_refuses_is_told_to_programs_with_why_and_the_others_go_on(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    one, other = subscribe(), subscribe()
    for each in (one, other):
        pause_collection(client, each)
    fault = {
        "status": 400,
        "method": "POST",
        "path": f"/v1/subscriptions/{one.id}",
        "message": "Not today.",
        "times": 9,
    }
    simulator.admin("POST", "faults", {"fail": [fault]})
    answer = portal(*stranding(), "--apply", "--all", "--confirm", "1", *RATE, "--format", "json")
    rows = {each["subscription"]: each for each in json.loads(answer.stdout)["subscriptions"]}
    assert answer.exit_code == 1
    assert rows[one.id]["outcome"] == "failed"
    assert rows[one.id]["reasons"] == [{"code": "stripe_refused", "detail": "Stripe refused: Not today."}]
    assert rows[other.id]["outcome"] == "done"


def test_to_apply_is_to_name_the_subscriptions_or_to_say_all(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    made = subscribe()
    paused = pause_collection(client, made)
    for words in ((), (made.id, "--all")):
        error = portal(*stranding(), "--apply", "--confirm", "1", *words, *RATE).exception
        assert isinstance(error, InvalidRequest)
        assert error.code == "apply_to_whom"
    assert state(client, made) == paused


def test_without_the_mirror_no_beginning_is_known_and_all_resumes_nobody(
    client: stripe.StripeClient,
    subscribe: Subscribe,
    portal: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = subscribe()
    pause_collection(client, made)
    monkeypatch.setattr(TrueTable, "get_many", lambda *_: {})
    answer = portal(*stranding(), "--apply", "--all", *RATE)
    assert "it is not known when the pause began" in answer.stdout
    assert state(client, made).pause_collection
    # Whoever has found out says which, and is asked all the same.
    assert "1 done." in portal(*stranding(), made.id, "--apply", "--confirm", "1", *RATE).stdout


def test_an_acknowledged_pause_is_out_of_the_headline_and_never_resumed(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    made = subscribe()
    paused = pause_collection(client, made)
    later = str(now().date() + timedelta(days=40))
    assert "1 customer is served for free" in portal("audit", "--as-of", later).stdout
    answer = portal("acknowledge", made.id, "--until", later, "--note", "parental leave", "--by", "ada")
    assert (answer.exit_code, "acknowledged until" in answer.stdout) == (0, True)
    assert "No customer is served for free." in portal("audit", "--as-of", later).stdout
    for words in (("--all",), (made.id,)):
        refused = portal(*stranding(), "--apply", "--confirm", "1", *words, *RATE).stdout
        assert "the team has acknowledged this pause until" in refused
    assert state(client, made) == paused
    portal("acknowledge", made.id, "--remove")
    assert "1 customer is served for free" in portal("audit", "--as-of", later).stdout
    assert "1 done." in portal(*stranding(), "--apply", "--confirm", "1", made.id, *RATE).stdout


def test_another_setting_of_the_audit_can_be_tried(subscribe: Subscribe, portal: Callable[..., Result]) -> None:
    subscribe(trial_period_days=30)
    assert "Trials longer than the limit" not in portal("audit").stdout
    assert "longer than 10 days" in portal("audit", "--setting", "MaxTrialDays=10").stdout
    assert "longer than" not in portal("audit", "--setting", "MaxTrialDays=10", "--setting", "MaxTrialDays=0").stdout
    for wrong, named in (("MaxTrialDays=-1", "MaxTrialDays"), ("Max=1", "'Max' is no setting"), ("x", "'x'")):
        error = portal("audit", "--setting", wrong).exception
        assert isinstance(error, InvalidRequest)
        assert error.code == "bad_setting"
        assert named in error.message


def test_what_else_the_audit_finds_is_acknowledged_for_itself(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    coupon = client.v1.coupons.create({"duration": "forever", "percent_off": 100})
    made = subscribe(discounts=[{"coupon": coupon.id}])
    assert "Discounts that never end" in portal("audit").stdout
    refused = portal("acknowledge", made.id).exception
    assert isinstance(refused, InvalidRequest)
    assert "--findings" in refused.message
    assert portal("acknowledge", made.id, "--findings", "--note", "staff").exit_code == 0
    assert client.v1.subscriptions.retrieve(made.id).metadata["portal_audit_ok"] == "yes"
    assert "Discounts that never end" not in portal("audit").stdout
    # Its pauses are still told.
    pause_collection(client, made)
    assert "Collection paused" in portal("audit", "--format", "json").stdout
    portal("acknowledge", made.id, "--findings", "--remove")
    client.v1.subscriptions.update(made.id, {"pause_collection": ""})
    assert "Discounts that never end" in portal("audit").stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "not_paused"),
        (("--until", "2024-01-01"), "bad_date"),
        (("--note", "n" * 501), "too_long"),
    ],
)
def test_what_cannot_be_acknowledged_is_refused(
    subscribe: Subscribe, portal: Callable[..., Result], words: tuple[str, ...], code: str
) -> None:
    error = portal("acknowledge", subscribe().id, *words).exception
    assert isinstance(error, InvalidRequest)
    assert error.code == code


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("resume",), "resume_whom"),
        (("resume", "--stranded", "--cutoff-on", "2999-01-01"), "not_stranded"),
        (("resume", "--stranded", "--button-removed-on", "2024-09-01"), "bad_calendar"),
    ],
)
def test_whom_to_resume_has_to_be_said_and_nobody_is_stranded_before_the_cutoff(
    portal: Callable[..., Result], words: tuple[str, ...], code: str
) -> None:
    error = portal(*words).exception
    assert isinstance(error, InvalidRequest)
    assert error.code == code


@pytest.mark.parametrize(("fail_on", "exit_code"), [("info", 1), ("warning", 1), ("critical", 1), (None, 0)])
def test_the_audit_fails_a_build_on_the_severity_that_was_named(
    client: stripe.StripeClient,
    subscribe: Subscribe,
    portal: Callable[..., Result],
    fail_on: str | None,
    exit_code: int,
) -> None:
    pause_collection(client, subscribe())
    # The period that was paid has ended by then.
    later = str(now().date() + timedelta(days=40))
    answer = portal("audit", "--as-of", later, "--language", "fr", *(("--fail-on", fail_on) if fail_on else ()))
    assert answer.exit_code == exit_code
    assert "1 client bénéficie du service gratuitement" in answer.stdout


def test_the_audit_says_of_a_pause_within_a_paid_period_that_nobody_is_served_for_free_yet(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    pause_collection(client, subscribe())
    answer = portal("audit", "--fail-on", "critical")
    assert answer.exit_code == 0
    assert "No customer is served for free." in answer.stdout


def test_the_audit_takes_a_discount_off(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    coupon = client.v1.coupons.create({"percent_off": 100, "duration": "forever"})
    paused, full = subscribe(), subscribe(discounts=[{"coupon": coupon.id}])
    for each in (paused, full):
        pause_collection(client, each)
    answer = portal("audit", "--as-of", str(now().date() + timedelta(days=40)))
    assert "1 customer is served for free: 12.00 EUR a month not collected." in answer.stdout


def test_the_audit_passes_a_build_on_what_is_milder_than_named(
    subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    subscribe()
    # The simulator's account has no default portal configuration: a warning.
    assert portal("audit", "--fail-on", "warning").exit_code == 1
    assert portal("audit", "--fail-on", "critical").exit_code == 0


def test_the_audit_is_a_page_for_a_browser_too(
    client: stripe.StripeClient, subscribe: Subscribe, portal: Callable[..., Result]
) -> None:
    paused = subscribe()
    pause_collection(client, paused)
    answer = portal("audit", "--language", "fr", "--format", "html")
    assert answer.exit_code == 0
    assert answer.stdout.startswith("<!DOCTYPE html>")
    assert '<html lang="fr">' in answer.stdout
    assert paused.id in answer.stdout
