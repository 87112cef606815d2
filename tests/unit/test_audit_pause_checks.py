"""The checks of pauses that were set, that should have ended, and that are beyond the rules; and how each is shown."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cli.audit import report_as_text
from shared.audit.check import AccountFacts, AuditContext, Check
from shared.audit.check_run import CheckRun
from shared.audit.checks import leaks as leak_checks
from shared.audit.checks import paused as paused_checks
from shared.audit.checks import pauses as pause_checks
from shared.audit.checks.registry import CHECKS
from shared.audit.findings import CustomerName, Finding, Findings, Severity
from shared.audit.pauses import NewPause, PausesRead, PolicyBreak
from shared.audit.rendering.as_csv import write_csv
from shared.audit.rendering.as_html import mail_bodies
from shared.audit.rendering.as_json import to_json
from shared.audit.rendering.page import NOTED_SUBJECTS, Medium
from shared.audit.rendering.summary import is_all_clear
from shared.audit.report import Report, ReportView
from shared.i18n import languages
from shared.pausing.history import NO_RETURN, PauseRecord, PauseState
from shared.portal.pause import Phase
from shared.stripe.subscription import PauseCollection, Subscription
from shared.stripe.subscription_read import SubscriptionRead
from tests.fakes import audit_report
from tests.pause_records import pause_record
from tests.unit.test_audit_paused_checks import DAY, SECOND, audit_in, subscription

HOUR = 3600
READ = PausesRead(SECOND - DAY, SECOND)
REAL = subscription(status="paused")


def plan(resume_at: int, state: str = "scheduled") -> dict[str, Any]:
    """A subscription whose schedule resumes it, as Stripe lists it."""
    resume = {"resume_at": resume_at, "status": {"type": state}}
    return {"schedule": {"pause_schedules": [{"pause": {"status": {"type": "succeeded"}}, "resume": resume}]}}


def context(
    raw: dict[str, Any] | None = None, record: PauseRecord | None = None, read: PausesRead | None = READ
) -> AuditContext:
    return replace(
        audit_in(Phase.STRANDED),
        listed={"sub_1": raw or {}},
        pauses={"sub_1": record} if record else {},
        pauses_read=read,
    )


def record(**facts: Any) -> PauseRecord:
    return pause_record("sub_1", "cus_1", **({"begins": SECOND - 40 * DAY, "resumes": SECOND + DAY} | facts))


def late(paused: Subscription = REAL, **given: Any) -> list[tuple[str, str]]:
    """The code of each finding, and what is said of the subscription."""
    found = list(pause_checks.find_not_ended(paused, context(**given)))
    assert all(each.subjects == ("sub_1",) and each.severity is Severity.WARNING for each in found)
    return [(each.code, each.notes[0].say("en")) for each in found]


# Pauses that should have ended.


def test_a_promise_counts_from_an_hour_after_it() -> None:
    assert late(record=record(resumes=SECOND - HOUR)) == [("still_paused", "was to end on 22 November 2026")]
    assert late(record=record(resumes=SECOND - HOUR + 1)) == []


@pytest.mark.parametrize(
    ("waiting", "code"),
    [("payment", "waits_for_payment"), ("payment_method", "waits_for_payment_method"), ("stripe", "waits_for_stripe")],
)
def test_a_resume_that_waits_is_told_after_a_day(waiting: str, code: str) -> None:
    waits = record(state=PauseState.RESUMING, waiting=waiting, resumes=SECOND - 2 * DAY, waiting_since=SECOND - DAY)
    assert late(record=waits) == [(code, "was to end on 20 November 2026")]
    assert late(record=replace(waits, resumes=SECOND - DAY + 1, waiting_since=SECOND - DAY + 1)) == []


def test_a_resume_before_the_date_that_was_set_waits_since_it_was_asked_for() -> None:
    waits = record(state=PauseState.RESUMING, waiting="payment", resumes=SECOND + 30 * DAY, waiting_since=SECOND - DAY)
    assert late(record=waits) == [("waits_for_payment", "was to end on 21 November 2026")]
    assert late(record=replace(waits, waiting_since=None)) == []


def test_a_record_that_is_over_leaves_the_word_to_stripe() -> None:
    over = record(state=PauseState.ENDED, resumes=SECOND - 9 * DAY, retry_at=None)
    assert late(record=over) == []
    assert late(record=over, raw=plan(SECOND - HOUR)) == [("planned_resume_late", "was to end on 22 November 2026")]


def test_a_schedule_that_did_not_resume_in_time_is_told() -> None:
    assert late(raw=plan(SECOND - HOUR)) == [("planned_resume_late", "was to end on 22 November 2026")]
    assert late(raw=plan(SECOND - HOUR + 1)) == []
    assert late(raw={"schedule": "sub_sched_1"}) == []
    assert late(raw={"schedule": {"pause_schedules": []}}) == []


@pytest.mark.parametrize("state", ["error", "requires_action"])
def test_a_resume_that_failed_is_told_once(state: str) -> None:
    raw = plan(SECOND - 9 * DAY, state)
    waits = record(state=PauseState.RESUMING, waiting="payment", resumes=SECOND - 9 * DAY)
    assert late(raw=raw, record=waits) == []
    found = leak_checks.find_hidden_pause(REAL, context(raw, waits))
    assert [each.code for each in found] == ["planned_resume_failed"]


def period(began: int) -> dict[str, Any]:
    return {"current_period_start": began}


def test_paused_collection_that_is_still_set_a_period_after_its_end_is_told() -> None:
    paused = subscription(pause_collection=PauseCollection("void", SECOND - HOUR))
    assert late(paused, raw=period(SECOND - HOUR)) == [("collection_still_set", "was to end on 22 November 2026")]
    # No invoice yet that could show whether it collects.
    assert late(paused, raw=period(SECOND - HOUR - 1)) == []
    assert late(subscription(pause_collection=PauseCollection("void", SECOND - HOUR + 1)), raw=period(SECOND)) == []
    assert late(subscription(pause_collection=PauseCollection("void")), raw=period(SECOND)) == []


@pytest.mark.parametrize("key", ["portal_pause_ok", "portal_audit_ok"])
def test_what_the_team_accepts_is_not_told(key: str) -> None:
    raw = {"metadata": {key: "2026-11-22"}}
    assert late(raw=raw, record=record(resumes=SECOND - HOUR)) == []


def test_a_subscription_that_is_not_paused_is_not_late() -> None:
    """The record is behind: the pause function closes it at its next look."""
    assert late(subscription(), record=record(resumes=SECOND - 9 * DAY)) == []
    ended = subscription(status="canceled", pause_collection=PauseCollection("void", SECOND - HOUR))
    assert late(ended, raw=period(SECOND)) == []


# New pauses at Stripe.


def new(paused: Subscription, audit: AuditContext) -> list[str]:
    found = list(pause_checks.find_new_at_stripe(paused, audit))
    assert all(each.severity is Severity.INFO for each in found)
    return [each.notes[0].say("en") for each in found]


def test_a_real_pause_of_the_night_that_is_not_ours_is_new() -> None:
    paused = subscription(status="paused", paused_at=SECOND - DAY, paused_reason="pause_requested")
    assert new(paused, context()) == ["subscription paused, from 21 November 2026, without an end, at Stripe"]
    assert new(replace(paused, paused_at=SECOND - DAY - 1), context()) == []
    assert new(replace(paused, paused_at=SECOND), context()) == []
    assert new(paused, context(plan(SECOND + DAY))) == [
        "subscription paused, from 21 November 2026 to 23 November 2026, at Stripe"
    ]
    unpaid = replace(paused, paused_reason="first_payment_failure")
    assert new(unpaid, context())[0].endswith("at Stripe, reason first_payment_failure")


def test_a_pause_of_ours_is_not_one_at_stripe() -> None:
    paused = subscription(status="paused", paused_at=SECOND - HOUR)
    assert new(paused, context(record=record())) == []
    released = record(state=PauseState.ENDED, begins=SECOND - HOUR, retry_at=None)
    assert new(paused, context(record=released)) == []
    # Undone before it began, or long ago.
    assert len(new(paused, context(record=replace(released, has_begun=False)))) == 1
    assert len(new(paused, context(record=replace(released, begins=SECOND - 40 * DAY)))) == 1


def test_a_pause_of_collection_is_new_only_if_it_is_known_when_it_began() -> None:
    paused = subscription(pause_collection=PauseCollection("void", SECOND + DAY))
    audit = replace(context(), paused_since={"sub_1": SECOND - HOUR})
    assert new(paused, audit) == []
    assert new(paused, replace(audit, exactly_paused=["sub_1"])) == [
        "collection paused, from 22 November 2026 to 23 November 2026, at Stripe"
    ]


def test_without_the_table_nobody_is_said_to_have_paused_at_stripe() -> None:
    assert new(subscription(status="paused", paused_at=SECOND - HOUR), context(read=None)) == []


# How they are shown.

SET = NewPause("sub_1", "cus_1", "subscription", SECOND, SECOND + 30 * DAY, "customer", reason="holiday")
NIGHT = replace(
    READ,
    new=(
        SET,
        replace(SET, subscription_id="sub_2", customer_id="cus_2", actor="team", actor_name="ops", overridden=True),
    ),
    new_number=2,
    breaks=(PolicyBreak("too_many_pauses", "cus_1", ("sub_1", "sub_9"), 3, ("ops",)),),
    breaks_of_code={"too_many_pauses": 1},
    names={"sub_1": CustomerName("cus_1", "Ada", "ada@example.com")},
)


def account(read: PausesRead) -> list[Finding]:
    facts = AccountFacts(7, (), (), (), pauses=read)
    checks = (pause_checks.NEW_PAUSES, pause_checks.PAUSE_NOT_ENDED, pause_checks.PAUSES_BEYOND_RULES)
    return [finding for check in checks for finding in check.of_account(facts, context())]


def report(read: PausesRead = NIGHT) -> Report:
    return audit_report(*account(read))


def test_new_pauses_and_broken_rules_leave_the_night_all_clear() -> None:
    assert [each.check for each in account(NIGHT)] == ["new_pauses", "pauses_beyond_rules"]
    assert is_all_clear(report())
    assert account(READ) == []


def test_pauses_that_nobody_follows_are_no_all_clear() -> None:
    stalled = replace(READ, stalled=("sub_1",), stalled_number=3)
    (finding,) = account(stalled)
    assert (finding.code, finding.size, finding.severity) == ("not_followed", 3, Severity.WARNING)
    assert not is_all_clear(report(stalled))


def test_each_medium_has_who_what_until_when_by_whom_and_why() -> None:
    said = (
        "subscription paused, from 22 November 2026 to 22 December 2026, by the customer, reason holiday",
        "by the team (ops), reason holiday, the rules were overridden",
        "3 pauses within 365 days, sub_1 + sub_9, the rules were overridden by ops",
        "2 pauses were set since 21 November 2026 at 06:00.",
    )
    text, html = mail_bodies(ReportView(report(), "en"), Medium.MAIL)
    console = Console(width=400, record=True, file=StringIO())
    console.print(report_as_text(ReportView(report(), "en")))
    found = json.loads(to_json(report()))["findings"]
    notes = " ".join(note for each in found for note in (*each["notes"], each["meaning"]))
    for shown in (text, html, console.export_text(), notes):
        folded = " ".join(shown.split())
        assert [each for each in said if each not in folded] == []
    assert [each["email"] for each in found[0]["customers"]] == ["ada@example.com", None]
    assert "Ada &lt;" not in html
    assert "Ada</a> (ada@example.com)" in html


@pytest.mark.parametrize("language", languages())
def test_a_name_of_the_team_forges_no_line(language: str) -> None:
    forged = replace(SET, actor="team", actor_name="x\r\n- sub_evil \u202e<b>y</b>")
    text, html = mail_bodies(ReportView(report(replace(NIGHT, new=(forged,), new_number=1)), language), Medium.MAIL)
    assert "\n- sub_evil" not in text
    assert "\u202e" not in text + html
    assert "<b>y" not in html


def test_a_mail_shows_so_many_new_pauses_and_counts_the_others() -> None:
    many = tuple(replace(SET, subscription_id=f"sub_{number}") for number in range(100))
    text, _html = mail_bodies(ReportView(report(replace(NIGHT, new=many, new_number=5000)), "en"), Medium.MAIL)
    assert text.count("reason holiday") == NOTED_SUBJECTS
    assert f"and {5000 - NOTED_SUBJECTS:,} more, not shown here." in " ".join(text.split())


def test_notes_stay_with_their_subjects_when_findings_become_one() -> None:
    found = Findings()
    for number in range(7):
        paused = subscription(id=f"sub_{number}", status="paused", paused_at=SECOND - DAY + number * HOUR)
        for each in pause_checks.find_new_at_stripe(paused, context()):
            found.add(each)
    (finding,) = found.all()
    assert finding.subjects == tuple(f"sub_{number}" for number in range(5))
    assert (len(finding.notes), finding.more) == (5, 2)


def test_a_paused_subscription_says_by_whom_and_until_when() -> None:
    """A real pause has no date of return at Stripe that the list of subscriptions shows."""
    paused = subscription(status="paused", paused_at=SECOND - DAY, paused_reason="pause_requested")
    ours = record(resumes=int(datetime(2026, 12, 24, tzinfo=UTC).timestamp()), reason="holiday")
    (finding,) = paused_checks.find_paused_status(paused, context(record=ours))
    shown = audit_report(finding, timezone="UTC")
    text, _html = mail_bodies(ReportView(shown, "en"), Medium.MAIL)
    assert "resumes on 24 December 2026 at 00:00, by the customer, reason holiday" in " ".join(text.split())
    assert "no end" not in text
    assert "Stripe does not say whether by the customer" not in text
    file = StringIO(newline="")
    write_csv(shown.paused, file)
    (row,) = csv.DictReader(StringIO(file.getvalue()))
    assert (row["Paused By"], row["Pause Reason"], row["Resumes At (UTC)"]) == (
        "customer",
        "holiday",
        "2026-12-24 00:00",
    )
    known = json.loads(to_json(shown))["findings"][0]["paused"]["set_here"]
    assert known == {
        "actor": "customer",
        "actor_name": None,
        "reason": "holiday",
        "overridden": False,
        "resumes": "2026-12-24T00:00:00+00:00",
    }


def test_a_promise_that_has_passed_is_shown_as_one() -> None:
    paused = subscription(status="paused", paused_at=SECOND - DAY, paused_reason="pause_requested")
    (finding,) = paused_checks.find_paused_status(paused, context(record=record(resumes=SECOND)))
    text, _html = mail_bodies(ReportView(audit_report(finding, timezone="UTC"), "en"), Medium.MAIL)
    assert "was to end on 22 November 2026 at 06:00" in " ".join(text.split())
    assert "resumes on" not in text
    assert "INFO Should have ended by now (1)" in text
    assert "Nothing to do now" not in text


def test_a_pause_of_ours_without_a_date_of_return_has_none_in_any_medium() -> None:
    paused = subscription(status="paused", paused_at=SECOND - DAY, paused_reason="pause_requested")
    (finding,) = paused_checks.find_paused_status(paused, context(record=record(resumes=NO_RETURN)))
    shown = audit_report(finding, timezone="UTC")
    text, _html = mail_bodies(ReportView(shown, "en"), Medium.MAIL)
    assert "no end: it lasts until you end it, by the customer" in " ".join(text.split())
    assert "ends by itself" not in finding.action.say("en")
    assert json.loads(to_json(shown))["findings"][0]["paused"]["set_here"]["resumes"] is None
    file = StringIO(newline="")
    write_csv(shown.paused, file)
    assert "1970" not in text + file.getvalue()
    assert late(paused, record=record(resumes=NO_RETURN)) == []


def test_a_pause_that_is_over_in_the_table_is_not_shown_as_ours() -> None:
    paused = subscription(status="paused", paused_at=SECOND - DAY, paused_reason="pause_requested")
    (finding,) = paused_checks.find_paused_status(paused, context(record=record(state=PauseState.ENDED)))
    assert finding.paused
    assert finding.paused.set_here is None


@pytest.mark.parametrize("check", [check for check in CHECKS if check.of_paused], ids=lambda check: check.name)
def test_a_check_of_paused_subscriptions_has_nothing_to_say_of_another(check: Check) -> None:
    """So the audit does not ask it, which keeps an account without pauses as quick as it was."""
    audit = replace(context(plan(SECOND - 9 * DAY), record(resumes=SECOND - 9 * DAY)), paused_since={"sub_1": 0})
    for other in (subscription(), subscription(status="past_due"), subscription(status="canceled", paused_at=SECOND)):
        assert list(check.of_subscription(other, audit)) == []
    asked: list[str] = []

    def ask(each: Subscription, _audit: AuditContext) -> tuple[Finding, ...]:
        asked.append(each.id)
        return ()

    watched = replace(check, of_subscription=ask)
    run = CheckRun((watched,), audit, lambda _finding: None)
    read = [SubscriptionRead(each, SECOND, 0) for each in (subscription(), replace(REAL, id="sub_2"))]
    run.check_subscriptions(read, {}, {}, {}, None)
    assert asked == ["sub_2"]
