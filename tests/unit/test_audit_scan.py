"""The comparison of the mirror with Stripe: what it may cost, and how it continues after an interruption."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from shared.audit import scan
from shared.audit.check import AuditDay, DriftTotals
from shared.audit.checks.registry import CHECKS
from shared.audit.findings import PausedFindings, Severity
from shared.audit.report import Report
from shared.audit.scan import Scan
from shared.mirror.comparison import SeenSubscriptions
from shared.mirror.items import MirroredSubscription
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON
from shared.stripe.lists import Window
from tests.fakes import FakeTable
from tests.fakes import subscription as known
from tests.raw_subscription import raw_subscription as subscription
from tests.unit.test_audit_run import NOW, SECOND, FakeAccount, audit, sources_of

DAY = AuditDay.at(NOW, ZoneInfo("UTC"), button_removed_on=PAUSE_BUTTON_REMOVED_ON, cutoff_on=PAUSE_CUTOFF_ON)


def mirror_of_another_account(count: int, *, as_of: int = SECOND - 60) -> FakeTable:
    table = FakeTable()
    for number in range(count):
        ghost = known(id=f"sub_ghost_{number}", customer_id=f"cus_{number}")
        table.items[ghost.customer_id, ghost.id] = MirroredSubscription(ghost, as_of, 1, "evt_1")
    return table


def asked_singly(account: FakeAccount) -> list[str]:
    return [url.rpartition("/")[2] for url in account.requests if "/v1/subscriptions/" in url]


def scan_of(account: FakeAccount, table: FakeTable, drift: DriftTotals | None = None) -> Scan:
    return Scan(
        sources_of(account, table), DAY, CHECKS, PausedFindings().add, SeenSubscriptions(), drift or DriftTotals()
    )


def drift_findings(report: Report) -> list[tuple[Severity, str]]:
    return [(each.severity, each.meaning.say("en")) for each in report.findings if each.check == "drift"]


def test_a_mirror_of_another_account_does_not_cost_a_request_for_each_of_its_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "MOST_ASKED", 10)
    account, table = FakeAccount([subscription(1)]), mirror_of_another_account(40)
    before = dict(table.items)
    report = audit(account, table, repair=True)
    assert len(asked_singly(account)) == 10
    given_up, drifted, odd = drift_findings(report)
    assert given_up[0] is Severity.WARNING
    assert "The rest were not checked" in given_up[1]
    assert "1 subscription in the mirror differed" in drifted[1]
    assert odd[0] is Severity.INFO
    assert {key: table.items[key] for key in before} == before


def test_a_mirror_with_a_few_strays_is_asked_for_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MOST_ASKED", 10)
    account = FakeAccount([])
    report = audit(account, mirror_of_another_account(10))
    assert len(asked_singly(account)) == 10
    assert [severity for severity, _ in drift_findings(report)] == [Severity.INFO]


@pytest.mark.parametrize(("most", "asked"), [(5000, 9), (4, 4)])
def test_a_way_back_that_is_stopped_at_every_item_asks_for_each_once_and_counts_on(
    monkeypatch: pytest.MonkeyPatch, most: int, asked: int
) -> None:
    monkeypatch.setattr(scan, "MOST_ASKED", most)
    account, table = FakeAccount([]), mirror_of_another_account(9)
    drift, start, steps = DriftTotals(), None, 0
    while True:
        step = scan_of(account, table, drift)
        start = step.compare_mirror(start, lambda: False)
        drift, steps = step.drift(), steps + 1
        if start is None:
            break
    assert len(asked_singly(account)) == len(set(asked_singly(account))) == asked
    assert steps >= asked
    assert drift.given_up == (asked == 4)
    assert sum(drift.found.values()) == asked


def test_what_a_webhook_wrote_since_the_run_began_is_not_asked_for() -> None:
    account, table = FakeAccount([]), mirror_of_another_account(3, as_of=SECOND + 1)
    assert audit(account, table).findings == ()
    assert asked_singly(account) == []


def test_a_mirror_that_did_not_answer_is_not_asked_again_in_the_steps_that_follow() -> None:
    account, table = FakeAccount([subscription(1)]), FakeTable(refuses=True)
    first = scan_of(account, table)
    assert first.read_subscriptions((Window(),)) == ()
    requests = table.requests
    assert requests > 0
    second = scan_of(account, table)
    second.load(first.checks.dump(), first.lags, None)
    assert second.read_subscriptions((Window(),)) == ()
    assert second.compare_mirror(None) is None
    assert table.requests == requests
    assert [each.check for each in second.checks.findings()].count("mirror_unreadable") == 1


def test_what_the_mirror_knows_of_lags_is_summed_over_the_steps() -> None:
    account = FakeAccount([subscription(number) for number in range(3)])
    table = account.mirrored()
    table.items = {
        key: replace(item, delivery_lag=number, stamp_lag=7) for number, (key, item) in enumerate(table.items.items())
    }
    first = scan_of(account, table)
    first.read_subscriptions((Window(),))
    second = scan_of(account, table)
    second.load(first.checks.dump(), first.lags, None)
    second.read_subscriptions((Window(),))
    assert second.lags.delivery.counts == {0: 2, 1: 2, 2: 2}
    assert second.report(PausedFindings()).lags.stamp.counts == {7: 6}
