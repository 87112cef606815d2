"""Who is served for free, since when, and what that cost: never claimed before the period that was paid has ended."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.acknowledgement import acknowledgement_of
from shared.audit.checks import paused as paused_checks
from shared.audit.findings import Finding, PausedFindings, PausedSubscription, Severity
from shared.audit.rendering.page import Medium, page_of
from shared.audit.rendering.summary import is_all_clear
from shared.audit.report import ReportView
from shared.mirror.items import Beginnings
from shared.portal.pause import Phase
from shared.stripe.money import MissedAmount
from shared.stripe.subscription import PauseCollection
from tests.fakes import audit_report
from tests.raw_subscription import VOID, raw_subscription
from tests.unit.test_audit_paused_checks import CURRENT, NOW, SECOND, audit_in, subscription
from tests.unit.test_audit_run import FakeAccount, audit

DAY = 86400
MONTH_AGO = int(datetime(2026, 11, 5, 9, tzinfo=UTC).timestamp())  # when the present period began
END = int(datetime(2026, 12, 5, 9, tzinfo=UTC).timestamp())


def found(
    since: int | None = None,
    *,
    exact: bool = False,
    paid_through: int | None = None,
    pause: PauseCollection | None = None,
    **changes: Any,
) -> Finding:
    paused = subscription(**{"pause_collection": pause or PauseCollection("void"), "items": (CURRENT,), **changes})
    context = replace(
        audit_in(Phase.STRANDED),
        paused_since={} if since is None else {"sub_1": since},
        exactly_paused=("sub_1",) if exact else (),
        paid_through={} if paid_through is None else {"sub_1": paid_through},
    )
    (finding,) = paused_checks.find_paused_collection(paused, context)
    return finding


def facts(since: int | None = None, **more: Any) -> PausedSubscription:
    paused = found(since, **more).paused
    assert paused
    return paused


@pytest.mark.parametrize(
    "known",
    [
        {"since": SECOND - 6, "exact": True},
        {"since": SECOND - 6, "exact": True, "paid_through": END},
        {"since": SECOND - 6, "paid_through": END},
        {"since": SECOND - 6, "created": MONTH_AGO},
        {"created": SECOND - 60},
    ],
)
def test_a_pause_of_six_seconds_ago_that_was_paid_until_next_month_is_not_free_yet(known: dict[str, Any]) -> None:
    finding = found(**known)
    assert finding.paused
    assert not finding.paused.served_free
    assert finding.severity is Severity.INFO
    assert finding.paused.paid_until == datetime.fromtimestamp(END, UTC)
    assert "nobody is served for free before the time shown" in finding.meaning.say("en")


def test_free_service_begins_when_the_paid_period_ends() -> None:
    ended = facts(SECOND - 40 * DAY, exact=True, paid_through=SECOND)
    assert (ended.served_free, ended.free_is_certain, ended.free_since) == (True, True, NOW)
    assert ended.free_since_is_exact
    assert not facts(SECOND - 40 * DAY, exact=True, paid_through=SECOND + 1).served_free


def test_a_pause_first_seen_before_the_present_period_has_been_free_since_that_or_earlier() -> None:
    seen = facts(MONTH_AGO - 1, created=MONTH_AGO - 400 * DAY)
    assert (seen.served_free, seen.free_is_certain) == (True, True)
    assert seen.free_since == datetime.fromtimestamp(MONTH_AGO, UTC)
    assert not seen.free_since_is_exact


@pytest.mark.parametrize(
    "known",
    [{}, {"since": SECOND - 6}, {"since": MONTH_AGO}, {"items": (replace(CURRENT, current_period_end=None),)}],
)
def test_a_pause_first_seen_in_the_present_period_may_or_may_not_be_free(known: dict[str, Any]) -> None:
    finding = found(**{"created": MONTH_AGO - 400 * DAY, **known})
    assert finding.paused
    assert (finding.paused.served_free, finding.paused.free_is_certain) == (True, False)
    assert finding.severity is Severity.WARNING
    assert "It is not known whether it has." in finding.meaning.say("en")


def test_an_overdue_invoice_says_that_the_period_was_not_paid() -> None:
    overdue = facts(SECOND - 6, exact=True, status="past_due", paid_through=END)
    assert (overdue.served_free, overdue.free_is_certain, overdue.paid_until) == (True, False, None)


@pytest.mark.parametrize("ends", [{"cancel_at_period_end": True}, {"cancel_at": END}])
def test_a_subscription_that_is_set_to_cancel_says_when_and_is_not_critical(ends: dict[str, Any]) -> None:
    without, finding = found(SECOND - 90 * DAY), found(SECOND - 90 * DAY, current_period_end=END, **ends)
    assert (without.severity, finding.severity) == (Severity.CRITICAL, Severity.WARNING)
    assert finding.paused
    assert finding.paused.ends_at == datetime.fromtimestamp(END, UTC)
    assert "set to cancel, at the time shown" in finding.meaning.say("en")
    assert finding.action.say("en").startswith("Nothing, if it may end then")
    page = page_of(ReportView(audit_report(finding), "en"), Medium.MAIL)
    assert page.pauses
    assert page.pauses.tasks[0].rows[0].next == "ends on 5 December 2026 at 10:00"


@given(created=st.integers(0, 800), paused=st.integers(0, 800), lag=st.integers(0, 400), exact=st.booleans())
def test_nobody_is_called_free_for_certain_within_the_period_in_which_the_pause_began(
    created: int, paused: int, lag: int, *, exact: bool
) -> None:
    """Days before now; the mirror saw the pause when it began, or some days later."""
    created = max(created, paused)
    began = SECOND - paused * DAY
    seen = began if exact else min(SECOND, began + lag * DAY)
    known = facts(seen, exact=exact, created=SECOND - created * DAY - 1)
    really_free = began <= MONTH_AGO
    if known.served_free and known.free_is_certain:
        assert really_free
    if not known.served_free:
        assert not really_free
    if exact:
        assert known.served_free is really_free


# ------------------------------------------------------------------ the money


def test_gone_and_recoverable_are_different_sums() -> None:
    paused = PausedFindings()
    for behavior in ("void", "keep_as_draft", "mark_uncollectible"):
        finding = found(SECOND - 40 * DAY, exact=True, pause=PauseCollection(behavior))
        assert finding.paused
        paused.add(replace(finding, paused=replace(finding.paused, subscription_id=f"sub_{behavior}")))
    assert paused.gone.amounts == {"eur": Decimal(1250)}
    assert paused.recoverable.amounts == {"eur": Decimal(2500)}
    assert not paused.gone.at_least
    report = replace(audit_report(), paused=paused)
    assert (
        "Since the pauses began, at today's prices: 12.50 EUR voided, which is gone, 25.00 EUR in drafts or "
        "uncollectible, which can still be collected."
    ) in page_of(ReportView(report, "en"), Medium.MAIL).notes


def test_what_was_missed_is_counted_from_the_end_of_the_paid_period() -> None:
    assert facts(SECOND - 100 * DAY, exact=True, paid_through=MONTH_AGO).missed == MissedAmount({"eur": Decimal(1250)})
    assert facts(SECOND - 100 * DAY).missed == MissedAmount({"eur": Decimal(3750)}, at_least=True)
    assert facts().missed is None


def test_a_full_discount_leaves_nothing_to_lose_and_an_unknown_one_is_the_most() -> None:
    free = {
        "id": "di_1",
        "end": None,
        "source": {"type": "coupon", "coupon": {"percent_off": 100, "duration": "forever"}},
    }
    account = FakeAccount(
        [
            raw_subscription(1, pause_collection=VOID, discounts=[free]),
            raw_subscription(2, pause_collection=VOID, discounts=["di_2"]),
        ]
    )
    report = audit(account)
    assert report.customers_served_free == 1
    assert report.totals == {"eur": Decimal(1250)}
    assert report.totals_are_highest
    asked = next(url for url in account.requests if "/v1/subscriptions" in url)
    assert "expand[0]=data.discounts.source.coupon" in asked.replace("%5B", "[").replace("%5D", "]")


def test_a_key_that_may_not_read_coupons_still_reads_the_subscriptions() -> None:
    class NoCoupons(FakeAccount):
        def request(self, method: str, url: str, *more: Any) -> tuple[str, int, dict[str, str]]:  # type: ignore[override]
            self.refused = {"/v1/subscriptions"} if "coupon" in url else set()
            return super().request(method, url, *more)

    account = NoCoupons([raw_subscription(number, pause_collection=VOID, discounts=["di_1"]) for number in range(250)])
    report = audit(account)
    assert report.subscriptions_read == 250
    assert report.totals_are_highest
    # Once with all else, twice with a part of it, and then not again.
    assert sum("coupon" in url for url in account.requests) == 3


def test_the_mirror_says_when_the_pause_began_and_until_when_was_paid() -> None:
    raw = raw_subscription(1, pause_collection=VOID, current_period_end=END, created=MONTH_AGO - 400 * DAY)
    account = FakeAccount([raw])
    table = account.mirrored()
    key = next(iter(table.items))
    began = Beginnings(SECOND - 3600, paused_since_exact=True, paid_through=END)
    table.items[key] = replace(table.items[key], beginnings=began)
    (known,) = (each.paused for each in audit(account, table).every_finding())
    assert known
    assert (known.paused_since_is_exact, known.served_free) == (True, False)
    assert known.paid_until == datetime.fromtimestamp(END, UTC)


# ------------------------------------------------------------------ pauses that the team has acknowledged


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("yes", True),
        ("True", True),
        ("2026-11-22", True),
        ("2026-11-21", False),
        ("2027-01-31", True),
        ("2026-02-30", False),
        ("31/12/2026", False),
        ("20270131", False),
        ("no", False),
        ("", False),
        ("until spring", False),
    ],
)
def test_an_acknowledgement_holds_to_its_last_day_and_an_unclear_one_never(value: str, *, holds: bool) -> None:
    found = acknowledgement_of({"metadata": {"portal_pause_ok": value}}, NOW.date())
    assert (found is not None) is holds


def test_an_acknowledged_pause_of_either_kind_is_out_of_the_headline_and_in_the_list() -> None:
    noted = {"portal_pause_ok": "2026-12-31", "portal_pause_ok_by": "ada", "portal_pause_ok_note": "parental leave"}
    account = FakeAccount(
        [
            raw_subscription(1, pause_collection=VOID, metadata=noted),
            raw_subscription(2, status="paused", metadata={"portal_pause_ok": "yes"}),
        ]
    )
    report = audit(account)
    assert is_all_clear(report)
    page = page_of(ReportView(report, "en"), Medium.MAIL)
    assert page.title == "No customer is served for free."
    rows = [row.next for task in page.pauses.tasks for row in task.rows] if page.pauses else []
    assert any("acknowledged until 31 December 2026, by ada, parental leave" in row for row in rows)
    assert any("acknowledged until further notice" in row for row in rows)


def test_an_acknowledgement_that_has_run_out_hides_nothing() -> None:
    raw = raw_subscription(1, pause_collection=VOID, metadata={"portal_pause_ok": "2026-11-21"})
    assert audit(FakeAccount([raw])).customers_served_free == 1


def test_the_last_day_is_the_teams() -> None:
    raw = raw_subscription(1, pause_collection=VOID, metadata={"portal_pause_ok": "2026-11-22"})
    evening = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert audit(FakeAccount([raw]), now=evening, timezone="UTC").customers_served_free == 0
    assert audit(FakeAccount([raw]), now=evening, timezone="Europe/Paris").customers_served_free == 1
