"""The checks of paused subscriptions: what each pause means, on each day of the old button's calendar."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.audit.check import AuditContext
from shared.audit.checks import paused as paused_checks
from shared.audit.findings import Finding, PausedFindings, PausedSubscription, Severity
from shared.audit.options import AuditOptions
from shared.portal.pause import PAUSE_CUTOFF_ON, PauseOrigin, Phase
from shared.stripe.money import MissedAmount, MonthlyAmount
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem
from tests.raw_subscription import VOID, raw_subscription
from tests.unit.test_audit_run import FakeAccount, audit

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
SECOND = int(NOW.timestamp())
ITEM = SubscriptionItem(id="si_1", quantity=1, unit_amount_decimal="1250", currency="eur", interval="month")
# Its period began on 5 November, and ends on 5 December.
CURRENT = replace(ITEM, current_period_end=int(datetime(2026, 12, 5, 9, tzinfo=UTC).timestamp()))
LAST_MONTH = int(datetime(2026, 10, 20, tzinfo=UTC).timestamp())


def audit_in(phase: Phase, days_left: int = 0) -> AuditContext:
    return AuditContext(NOW, phase, days_left, PAUSE_CUTOFF_ON, {})


def subscription(**changes: Any) -> Subscription:
    facts: dict[str, Any] = {
        "id": "sub_1",
        "customer_id": "cus_1",
        "status": "active",
        "livemode": True,
        "currency": "eur",
        "items": (ITEM,),
        **changes,
    }
    return Subscription(**facts)


def collection(pause: PauseCollection, phase: Phase = Phase.STRANDED, days_left: int = 0, **changes: Any) -> Finding:
    paused = subscription(pause_collection=pause, **changes)
    (finding,) = paused_checks.find_paused_collection(paused, audit_in(phase, days_left))
    return finding


def status_paused(**changes: Any) -> Finding:
    (finding,) = paused_checks.find_paused_status(subscription(status="paused", **changes), audit_in(Phase.STRANDED))
    return finding


def test_after_the_cutoff_an_endless_void_is_lost_money_that_only_the_team_can_stop() -> None:
    finding = void(LAST_MONTH, items=(CURRENT,))
    assert finding.severity is Severity.CRITICAL
    assert "only the team can" in finding.meaning.say("en")
    assert "since 1 August 2024" in finding.meaning.say("en")
    assert "never collected" in finding.meaning.say("en")
    assert "serves this customer for free" in finding.meaning.say("en")


@pytest.mark.parametrize("behavior", ["keep_as_draft", "mark_uncollectible", "teleport"])
def test_an_endless_pause_that_does_not_void_is_no_lost_money(behavior: str) -> None:
    finding = collection(PauseCollection(behavior))
    assert finding.severity is Severity.WARNING
    assert "only the team can" not in finding.meaning.say("en")
    assert "lasts until the team ends it" in finding.meaning.say("en")


TIMES = {"created": 1, "current_period_end": 2, "trial_end": 3, "canceled_at": 4}
SHOWN_TIMES: dict[str, Any] = {name: datetime.fromtimestamp(second, UTC) for name, second in TIMES.items()}


def test_the_facts_of_a_paused_collection_are_the_subscriptions_own() -> None:
    paused = subscription(pause_collection=PauseCollection("keep_as_draft", SECOND + 60), **TIMES)
    audit = replace(audit_in(Phase.STRANDED), paused_since={"sub_1": 5, "sub_2": 6})
    (finding,) = paused_checks.find_paused_collection(paused, audit)
    assert (finding.check, finding.subjects) == ("paused_collection", ("sub_1",))
    assert finding.paused == PausedSubscription(
        "sub_1",
        "cus_1",
        "active",
        "collection",
        "keep_as_draft",
        datetime.fromtimestamp(SECOND + 60, UTC),
        datetime.fromtimestamp(5, UTC),
        paused_since_is_exact=False,
        cause=None,
        monthly=MonthlyAmount({"eur": Decimal(1250)}),
        served_free=True,
        items=(ITEM,),
        origin=PauseOrigin.NOT_BUTTON,
        free_is_certain=False,
        missed=MissedAmount({"eur": Decimal(0)}, at_least=True),
        **SHOWN_TIMES,
    )


def test_the_facts_of_a_real_pause_are_the_subscriptions_own() -> None:
    finding = status_paused(paused_reason="system", pause_collection=PauseCollection("void", SECOND + 60), **TIMES)
    assert (finding.check, finding.subjects) == ("paused_status", ("sub_1",))
    assert finding.paused == PausedSubscription(
        "sub_1",
        "cus_1",
        "paused",
        "subscription",
        "void",
        datetime.fromtimestamp(SECOND + 60, UTC),
        None,
        paused_since_is_exact=False,
        cause="system",
        monthly=MonthlyAmount({"eur": Decimal(1250)}),
        served_free=False,
        items=(ITEM,),
        **SHOWN_TIMES,
    )


@pytest.mark.parametrize(
    ("phase", "pause", "code"),
    [
        (Phase.STRANDED, PauseCollection("void"), "collection_only_the_team_can_resume"),
        (Phase.RESUME_ONLY, PauseCollection("void"), "collection_paused_without_end"),
        (Phase.STRANDED, PauseCollection("keep_as_draft"), "collection_paused_without_end"),
        (Phase.STRANDED, PauseCollection("void", SECOND + 60), "collection_resumes_by_itself"),
    ],
)
def test_a_paused_collection_has_a_code_for_what_can_be_done(phase: Phase, pause: PauseCollection, code: str) -> None:
    assert collection(pause, phase).code == code


@pytest.mark.parametrize(
    ("reason", "action"),
    [
        ("pause_requested", "if the pause is intended"),
        ("trial_end_without_payment_method", "a valid payment method"),
        ("final_payment_failure", "pay the open invoice"),
        ("system", "Check the subscription's events"),
        (None, "Check the subscription's events"),
    ],
)
def test_what_to_do_about_a_real_pause_depends_on_its_cause(reason: str | None, action: str) -> None:
    finding = status_paused(paused_reason=reason)
    assert action in finding.action.say("en")
    assert finding.code == (reason or "unknown_cause")


@pytest.mark.parametrize(
    ("behavior", "words"),
    [
        ("void", "does not bring voided invoices back"),
        ("keep_as_draft", "auto_advance=true"),
        ("mark_uncollectible", "affects new invoices only."),
    ],
)
def test_without_an_end_the_customer_is_asked_and_earlier_invoices_are_not_forgotten(behavior: str, words: str) -> None:
    action = collection(PauseCollection(behavior)).action.say("en")
    assert "sk the customer, " in action
    assert "resume collection (Dashboard: " in action
    assert words in action
    unknown = collection(PauseCollection("teleport")).action.say("en")
    assert unknown.endswith("by pause_collection, not by status.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "trialing"}, "paused during a trial: nothing is due yet"),
        ({"items": (replace(ITEM, unit_amount_decimal="0"),)}, "there is nothing to collect"),
        ({"status": "unpaid"}, "the status is unpaid: a service that looks only at the status may refuse access"),
    ],
)
def test_a_customer_who_is_not_served_for_free_is_not_said_to_be(changes: dict[str, Any], words: str) -> None:
    assert words in collection(PauseCollection("void"), **changes).meaning.say("en")


IN_THE_BUTTONS_TIME = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp())


def void(since: int | None, *, exact: bool = False, **changes: Any) -> Finding:
    """What is found, after the cutoff, about an endless void that began then."""
    paused = subscription(pause_collection=PauseCollection("void"), **changes)
    audit = replace(
        audit_in(Phase.STRANDED),
        paused_since={} if since is None else {paused.id: since},
        exactly_paused=(paused.id,) if exact else (),
    )
    (finding,) = paused_checks.find_paused_collection(paused, audit)
    return finding


def test_a_pause_of_the_buttons_time_is_told_from_a_later_one_and_from_one_of_unknown_beginning() -> None:
    of_the_button = void(IN_THE_BUTTONS_TIME)
    assert "It began before 29 March 2024, when the portal had its pause button." in of_the_button.meaning.say("en")
    assert "only the team can" in of_the_button.meaning.say("en")
    later = void(SECOND - 3600, exact=True)
    assert "It began when the old portal's pause button was gone (29 March 2024)" in later.meaning.say("en")
    assert "only the team can" not in later.meaning.say("en")
    unknown = void(SECOND - 3600)
    assert "It is not known when the pause began" in unknown.meaning.say("en")
    assert [each.code for each in (of_the_button, later, unknown)] == [
        "collection_only_the_team_can_resume",
        "collection_paused_after_the_button",
        "collection_only_the_team_can_resume",
    ]


def test_who_paused_on_purpose_is_asked_for_before_anybody_resumes() -> None:
    for finding in (void(SECOND - 3600, exact=True), void(None), void(None, created=SECOND - 86400)):
        assert finding.action.say("en").startswith("Find out who started the pause, and why; then ask the customer")
    assert void(IN_THE_BUTTONS_TIME).action.say("en").startswith("Ask the customer, then resume")


def test_a_subscription_of_today_was_not_paused_by_the_button_whatever_the_mirror_saw() -> None:
    finding = void(SECOND - 6, created=SECOND - 60)
    assert finding.paused
    assert finding.paused.origin is PauseOrigin.NOT_BUTTON


def test_while_the_button_is_there_every_pause_began_in_its_time() -> None:
    audit = replace(audit_in(Phase.BUTTON_AVAILABLE), now=datetime(2024, 3, 28, tzinfo=UTC))
    paused = subscription(pause_collection=PauseCollection("void"))
    (finding,) = paused_checks.find_paused_collection(paused, audit)
    assert finding.paused
    assert finding.paused.origin is PauseOrigin.BUTTON


def test_before_the_cutoff_the_days_left_are_counted() -> None:
    assert "until 1 August 2024 (17 days left)" in collection(
        PauseCollection("void"), Phase.RESUME_ONLY, 17
    ).meaning.say("en")
    assert "(1 day left)" in collection(PauseCollection("void"), Phase.RESUME_ONLY, 1).meaning.say("en")
    assert collection(PauseCollection("void"), Phase.RESUME_ONLY, 1).severity is Severity.WARNING


def test_while_the_button_is_there_the_customer_can_resume() -> None:
    assert "the customer can resume in the portal" in collection(
        PauseCollection("void"), Phase.BUTTON_AVAILABLE
    ).meaning.say("en")


def test_a_pause_with_an_end_says_so_and_asks_for_nothing_but_a_look() -> None:
    finding = collection(PauseCollection("void", SECOND + 86400))
    assert finding.severity is Severity.WARNING
    assert "starts again by itself" in finding.meaning.say("en")
    assert finding.action.say("en").startswith("Nothing, if the date is right")
    assert finding.paused
    assert finding.paused.resumes_at == datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


def test_drafts_pile_up_and_have_to_be_collected_one_by_one() -> None:
    finding = collection(PauseCollection("keep_as_draft"))
    assert "stay drafts" in finding.meaning.say("en")
    assert "auto_advance=true" in finding.action.say("en")


def test_uncollectible_invoices_use_up_the_balance_first() -> None:
    assert "marked uncollectible" in collection(PauseCollection("mark_uncollectible")).meaning.say("en")


def test_a_behavior_of_tomorrow_is_named_and_not_explained() -> None:
    assert "does not know what teleport does to new invoices" in collection(PauseCollection("teleport")).meaning.say(
        "en"
    )


@pytest.mark.parametrize(
    ("changes", "served"),
    [
        ({"status": "active"}, True),
        ({"status": "past_due"}, True),
        ({"status": "trialing"}, False),
        ({"status": "unpaid"}, False),
        ({"status": "incomplete"}, False),
        (
            {
                "items": (
                    SubscriptionItem(id="si_1", quantity=1, unit_amount_decimal="0", currency="eur", interval="month"),
                )
            },
            False,
        ),
        ({"items": ()}, True),
    ],
)
def test_served_for_free_is_who_looks_paying_owes_something_and_is_not_collected(
    changes: dict[str, Any],
    served: bool,  # noqa: FBT001 - a table's column
) -> None:
    finding = collection(PauseCollection("void"), **changes)
    assert finding.paused
    assert finding.paused.served_free is served
    assert (finding.severity is Severity.INFO) is not served
    assert ("serves this customer for free" in finding.meaning.say("en")) is served


def test_a_pause_that_is_over_is_no_finding() -> None:
    over = subscription(pause_collection=PauseCollection("void", SECOND))
    assert list(paused_checks.find_paused_collection(over, audit_in(Phase.STRANDED))) == []


def test_each_check_leaves_the_others_subscriptions_alone() -> None:
    audit = audit_in(Phase.STRANDED)
    real = subscription(status="paused", pause_collection=PauseCollection("void"))
    assert list(paused_checks.find_paused_collection(real, audit)) == []
    assert list(paused_checks.find_paused_status(subscription(pause_collection=PauseCollection("void")), audit)) == []


@pytest.mark.parametrize(
    ("reason", "severity", "words"),
    [
        ("pause_requested", Severity.INFO, "was requested"),
        ("trial_end_without_payment_method", Severity.WARNING, "trial ended"),
        ("first_payment_failure", Severity.WARNING, "first attempt to collect a renewal failed. Its invoice can still"),
        ("final_payment_failure", Severity.WARNING, "last attempt to collect a renewal failed. Its invoice can still"),
        ("system", Severity.WARNING, "Stripe itself paused"),
        (None, Severity.WARNING, "cause is unknown"),
        ("reason_of_tomorrow", Severity.WARNING, "cause is unknown"),
    ],
)
def test_a_real_pause_names_its_cause(reason: str | None, severity: Severity, words: str) -> None:
    finding = status_paused(paused_reason=reason)
    assert finding.severity is severity
    assert finding.meaning.say("en").startswith("The subscription is paused (status paused)")
    assert words in finding.meaning.say("en")
    assert finding.paused
    assert finding.paused.cause == (reason or "unknown")


def test_a_real_pause_knows_its_beginning_exactly_and_is_not_served_for_free() -> None:
    finding = status_paused(paused_at=SECOND - 60)
    assert finding.paused
    assert finding.paused.paused_since == datetime(2026, 11, 22, 5, 59, tzinfo=UTC)
    assert finding.paused.paused_since_is_exact
    assert not finding.paused.served_free
    unknown = status_paused().paused
    assert unknown
    assert unknown.paused_since is None


def test_a_real_pause_on_top_of_paused_collection_says_both() -> None:
    finding = status_paused(pause_collection=PauseCollection("void", SECOND + 60))
    assert "Its collection is paused too" in finding.meaning.say("en")
    assert "Its collection is paused too" not in status_paused().meaning.say("en")
    assert finding.paused
    assert (finding.paused.kind, finding.paused.behavior) == ("subscription", "void")


def test_the_cutoff_in_the_texts_is_the_settings_own() -> None:
    audit = AuditContext(NOW, Phase.STRANDED, 0, date(2025, 5, 5), {})
    (finding,) = paused_checks.find_paused_collection(subscription(pause_collection=PauseCollection("void")), audit)
    assert "since 5 May 2025" in finding.meaning.say("en")


# ------------------------------------------------------------------ the days of the French page, seen from Paris: what
PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("now", "phase", "severity", "words", "mots"),
    [
        (
            "2024-03-28T12:00+01:00",
            Phase.BUTTON_AVAILABLE,
            Severity.WARNING,
            "can resume in the portal.",
            "peut reprendre ses paiements",
        ),
        ("2024-03-28T23:30+00:00", Phase.RESUME_ONLY, Severity.WARNING, "(125 days left)", "(encore 125 jours)"),
        (
            "2024-06-01T12:00+02:00",
            Phase.RESUME_ONLY,
            Severity.WARNING,
            "(61 days left)",
            "jusqu\u2019au 1er août 2024",
        ),
        ("2024-07-31T12:00+02:00", Phase.RESUME_ONLY, Severity.WARNING, "(1 day left)", "(encore 1 jour)"),
        ("2024-07-31T21:59:59+00:00", Phase.RESUME_ONLY, Severity.WARNING, "(1 day left)", "(encore 1 jour)"),
        (
            "2024-07-31T22:00:00+00:00",
            Phase.STRANDED,
            Severity.CRITICAL,
            "only the team can",
            "seule l\u2019équipe peut le faire",
        ),
        ("2024-08-01T12:00+02:00", Phase.STRANDED, Severity.CRITICAL, "since 1 August 2024", "depuis le 1er août 2024"),
        (
            "2026-11-22T06:00+00:00",
            Phase.STRANDED,
            Severity.CRITICAL,
            "only the team can",
            "seule l\u2019équipe peut le faire",
        ),
    ],
)
def test_an_endless_void_means_what_the_day_in_paris_makes_of_it(
    now: str, phase: Phase, severity: Severity, words: str, mots: str
) -> None:
    # A period that began on the day before, and a pause that was seen long before.
    today = int(datetime.fromisoformat(now).timestamp())
    raw = raw_subscription(pause_collection=VOID, created=1_580_000_000, current_period_end=today + 29 * 86400)
    account = FakeAccount([raw])
    table = account.mirrored({raw["id"]: today - 60 * 86400})
    report = audit(account, table, now=datetime.fromtimestamp(today, UTC), timezone="Europe/Paris")
    (finding,) = report.every_finding()
    assert (report.phase, finding.severity) == (phase, severity)
    assert words in finding.meaning.say("en")
    assert mots in finding.meaning.say("fr")


HONORS = replace(audit_in(Phase.STRANDED), options=AuditOptions(service_honors_pauses=True))


def test_a_service_that_honors_pauses_serves_nobody_for_free_and_the_money_is_still_counted() -> None:
    paused = subscription(pause_collection=PauseCollection("void"))
    (finding,) = paused_checks.find_paused_collection(paused, HONORS)
    assert finding.severity is Severity.INFO
    assert "so is your service" in finding.meaning.say("en")
    assert "Decide about access" not in finding.action.say("en")
    assert finding.paused
    assert (finding.paused.served_free, finding.paused.free_since) == (False, None)
    gathered = PausedFindings.of([finding])
    assert (gathered.served_free, gathered.customers_uncollected) == (0, 1)
    assert gathered.totals == finding.paused.monthly.amounts


def test_a_service_that_honors_pauses_misses_nothing_before_the_paid_period_ends() -> None:
    paused = subscription(pause_collection=PauseCollection("void"))
    paid = replace(
        HONORS, paid_through={paused.id: SECOND + 60}, paused_since={paused.id: SECOND}, exactly_paused=[paused.id]
    )
    (finding,) = paused_checks.find_paused_collection(paused, paid)
    assert finding.paused
    assert not finding.paused.is_uncollected


DAY = 86_400
YEAR_AGO = SECOND - 365 * DAY


def long_pauses(paused: Subscription, since: int | None = None, metadata: Any = None, most: int = 365) -> list[Finding]:
    audit = replace(
        audit_in(Phase.STRANDED),
        options=AuditOptions(max_pause_days=most),
        paused_since={} if since is None else {paused.id: since},
        listed={paused.id: {"metadata": metadata or {}}},
    )
    return list(paused_checks.find_long_pause(paused, audit))


def test_a_pause_of_either_kind_that_is_older_than_the_limit_is_a_finding() -> None:
    collection_paused = subscription(pause_collection=PauseCollection("void"))
    really_paused = subscription(status="paused", paused_at=YEAR_AGO)
    for found in (long_pauses(collection_paused, YEAR_AGO), long_pauses(really_paused)):
        (finding,) = found
        assert finding.severity is Severity.WARNING
        assert finding.meaning.say("en") == "These pauses are older than 365 days."


def test_a_younger_pause_one_without_a_known_beginning_and_one_that_is_over_are_none() -> None:
    paused = subscription(pause_collection=PauseCollection("void"))
    assert long_pauses(paused, YEAR_AGO + 1) == []
    assert long_pauses(paused, None) == []
    assert long_pauses(subscription(status="paused", paused_at=YEAR_AGO + 1)) == []
    assert long_pauses(subscription(pause_collection=PauseCollection("void", SECOND)), YEAR_AGO) == []


def test_an_acknowledged_pause_is_not_too_long_until_its_day_has_passed() -> None:
    paused = subscription(pause_collection=PauseCollection("void"))
    assert long_pauses(paused, YEAR_AGO, {"portal_pause_ok": "2026-11-22"}) == []
    assert len(long_pauses(paused, YEAR_AGO, {"portal_pause_ok": "2026-11-21"})) == 1


def test_a_limit_of_zero_days_is_none() -> None:
    assert long_pauses(subscription(pause_collection=PauseCollection("void")), 0, most=0) == []
