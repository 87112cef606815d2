"""Nights that earlier versions of the audit stored go on working: read, compared, claimed and missed.

`audit-nights.json` holds what the code of each version wrote: a night whose mail was sent, one without anything to say,
and one whose run died while it sent; later versions also a refused mail, a run that was killed and one that failed. A
change of what an item holds adds a version to it.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.nightly_audit.audits_table import AuditsTable, MailStatus, last_complete
from local.aws.template import Template
from shared.audit.report import PastNight
from tests.unit.test_alarms import PARAMETERS

NIGHTS = Path(__file__).parents[1] / "fixtures" / "audit-nights.json"
VERSIONS: dict[str, list[dict[str, Any]]] = json.loads(NIGHTS.read_text())
SENT, SILENT, DIED, REFUSED, KILLED, FAILED, TODAY = (date(2026, 11, day) for day in range(20, 27))
TOTALS = {"eur": Decimal(4900), "usd": Decimal("1233.5")}
FULL: Any = SimpleNamespace(
    complete=True, paused=[1, 2, 3], customers_served_free=2, totals=TOTALS, pauses_until=1795150000
)
EMPTY: Any = SimpleNamespace(complete=False, paused=[], customers_served_free=0, totals={}, pauses_until=None)


def at(night: date) -> datetime:
    return datetime(night.year, night.month, night.day, 6, 5, tzinfo=UTC)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditsTable]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        Template.load(parameters=PARAMETERS).create_table(client, "Audits")
        yield AuditsTable(client, "Audits")


def stored(table: AuditsTable) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = table._client.scan(TableName="Audits")["Items"]
    return sorted(items, key=lambda item: str(item["night"]["S"]))


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest, table: AuditsTable) -> str:
    for item in VERSIONS[request.param]:
        table._client.put_item(TableName="Audits", Item=item)
    return str(request.param)


def has(version: str, night: date) -> bool:
    return night.isoformat() in {item["night"]["S"] for item in VERSIONS[version]}


def test_a_night_is_read_and_compared_with(table: AuditsTable, version: str) -> None:
    nights = table.earlier_nights(TODAY)
    with_report = [night for night in (SENT, SILENT, DIED, REFUSED) if has(version, night)]
    assert [each.night for each in nights] == with_report
    assert nights[0] == PastNight(SENT, True, 3, 2, TOTALS)
    assert nights[1] == PastNight(SILENT, False, 0, 0, {})
    newest = last_complete(nights)
    assert newest
    assert newest.night == with_report[-1]


def test_no_mail_is_sent_twice_and_one_that_was_not_sent_can_be(table: AuditsTable, version: str) -> None:
    may_send = {
        night: table.claim(night, "another run", EMPTY, now=at(TODAY), again=False)
        for night in (SENT, SILENT, DIED, REFUSED)
        if has(version, night)
    }
    expected = {SENT: False, SILENT: False, DIED: True, REFUSED: True}
    assert may_send == {night: expected[night] for night in may_send}
    assert len(may_send) >= 3


def test_the_next_mail_names_the_nights_that_had_none(table: AuditsTable, version: str) -> None:
    missed = {each.night: each.counted for each in table.nights_without_mail(TODAY, now=at(TODAY))}
    expected = {DIED: False, REFUSED: False, KILLED: False, FAILED: True}
    assert missed == {night: counted for night, counted in expected.items() if has(version, night)}
    assert missed


def test_a_night_is_gone_after_a_while(version: str) -> None:
    """An item without a time to live would stay for ever."""
    assert [item for item in VERSIONS[version] if "N" not in item.get("expires_at", {})] == []


def test_the_newest_version_is_what_is_written_today(table: AuditsTable) -> None:
    """If this fails, add what is written now to the file, and leave the versions before it as they are."""
    for night in (SENT, SILENT, DIED, REFUSED, KILLED, FAILED):
        table.begin(night, now=at(night))
    reports = {SENT: FULL, SILENT: EMPTY, DIED: FULL, REFUSED: FULL}
    for night, report in reports.items():
        assert table.claim(night, f"run-{night.day}", report, now=at(night), again=False)
    for night, mail in ((SENT, MailStatus.SENT), (SILENT, MailStatus.SILENT), (REFUSED, MailStatus.REFUSED)):
        table.record_mail(night, mail)
    table.record_failure(FAILED)
    *_, newest = VERSIONS.values()
    assert stored(table) == newest
