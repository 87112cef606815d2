"""Pauses of this product in the nightly mail: each new one in one mail, whatever becomes of a night."""

import re
import time

import pytest

from local.aws.lambda_function import ExecutionFailed
from shared.audit.pauses import SETTLED_SECONDS
from shared.pausing.history import PauseAction, PauseTable
from tests.integration.audit_account import Account, subscription
from tests.integration.conftest import Aws
from tests.integration.test_audit_night import account, body, kept, later, run, sent, table, update_stack
from tests.pause_records import DAY, pause_entry, pause_record

__all__ = ["account", "table"]
HOUR = 3600


@pytest.fixture
def pauses(aws: Aws) -> PauseTable:
    return PauseTable(aws.clients.dynamodb, aws.template.ref("Pauses"))


@pytest.fixture
def requests_to_pauses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations on the table that the function asks for."""
    asked: list[str] = []
    ask, pages = PauseTable._ask, PauseTable._pages

    def counted(self: PauseTable, operation: object, request: dict[str, object]) -> object:
        asked.append(getattr(operation, "__name__", ""))
        return ask(self, operation, request)

    def counted_pages(self: PauseTable, operation: str, request: dict[str, object]) -> object:
        asked.append(operation)
        return pages(self, operation, request)

    monkeypatch.setattr(PauseTable, "_ask", counted)
    monkeypatch.setattr(PauseTable, "_pages", counted_pages)
    return asked


def was_set(pauses: PauseTable, number: int, *, ago: int) -> None:
    """A customer has set a pause so many seconds ago."""
    at, name = int(time.time()) - ago, f"sub_{number}"
    record = pause_record(name, f"cus_{number}", begins=at + DAY, resumes=at + 31 * DAY, has_begun=False)
    assert pauses.write(record, None, pause_entry(name, f"cus_{number}", at=at, reason="holiday"))


def named(aws: Aws) -> list[list[int]]:
    """Which of the subscriptions 1 to 9 each mail has among the new pauses."""
    found = []
    for mail in sent(aws):
        _, _, after = body(mail, "plain").partition("New pauses")
        section = re.split(r"FOR YOUR DEVELOPERS| -- ", after)[0]
        found.append([int(number) for number in re.findall(r"\bsub_(\d)\b", section)])
    return found


def test_a_new_pause_is_in_one_mail_with_who_set_it_and_why(
    aws: Aws, account: Account, pauses: PauseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.subscriptions = [subscription(number, pause_collection=None) for number in (1, 2)]
    was_set(pauses, 1, ago=HOUR)
    # This close to the run it may not be in the index yet.
    was_set(pauses, 2, ago=SETTLED_SECONDS - 60)
    run()
    later(monkeypatch, days=1)
    run()
    later(monkeypatch, days=2)
    run()
    assert named(aws) == [[1], [2], []]
    text = body(sent(aws)[0], "plain")
    assert "Zoé cus_1 <cus_1@customers.example>" in text
    assert "by the customer, reason holiday" in text


def test_new_pauses_alone_are_an_all_clear_and_a_subscription_that_is_gone_by_now_is_named(
    aws: Aws, pauses: PauseTable
) -> None:
    was_set(pauses, 1, ago=HOUR)
    run()
    assert named(aws) == [[1]]
    assert sent(aws)[0]["Subject"] == "Stripe audit: all clear"


def test_the_mail_after_silent_nights_names_the_pauses_of_all_of_them(
    aws: Aws, account: Account, pauses: PauseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_stack(aws, AuditAllClear="silence")
    was_set(pauses, 1, ago=HOUR)
    assert run()["mail"] == "silent"
    later(monkeypatch, days=2)
    account.subscriptions = [subscription(9)]
    assert run()["mail"] == "sent"
    later(monkeypatch, days=3)
    assert run()["mail"] == "sent"
    assert named(aws) == [[1], []]


def test_a_night_that_failed_leaves_its_pauses_to_the_next_one(
    aws: Aws, pauses: PauseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_set(pauses, 1, ago=HOUR)
    update_stack(aws, AuditEmailFrom="nobody@elsewhere.example")
    with pytest.raises(ExecutionFailed):
        run()
    update_stack(aws)
    later(monkeypatch, days=1)
    assert run()["mail"] == "sent"
    assert named(aws) == [[1]]


@pytest.mark.parametrize("operation", ["entries_of_customer", "get_many"])
def test_a_table_that_cannot_be_read_costs_no_mail_and_its_pauses_are_in_the_next(
    aws: Aws, account: Account, pauses: PauseTable, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    account.subscriptions = [subscription(3)]
    was_set(pauses, 1, ago=HOUR)
    with monkeypatch.context() as broken:
        ask = getattr(PauseTable, operation)

        def of_no_table(self: PauseTable, *given: object, **named: object) -> object:
            self._table_name = "NoSuchTable"
            return ask(self, *given, **named)

        broken.setattr(PauseTable, operation, of_no_table)
        assert run()["mail"] == "sent"
    assert "not to the end: Pauses (DynamoDB)." in body(sent(aws)[0], "plain")
    assert "sub_3" in body(sent(aws)[0], "plain")
    later(monkeypatch, days=1)
    assert run()["mail"] == "sent"
    assert named(aws) == [[], [1]]


def test_a_second_run_that_cannot_read_them_takes_no_pause_from_the_next_night(
    aws: Aws, pauses: PauseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run has read them, and its mail was refused; the second one's mail went out without them."""
    was_set(pauses, 1, ago=HOUR)
    update_stack(aws, AuditEmailFrom="nobody@elsewhere.example")
    with pytest.raises(ExecutionFailed):
        run()
    update_stack(aws)
    with monkeypatch.context() as broken:
        broken.setenv("PAUSES_TABLE_NAME", "NoSuchTable")
        assert run()["mail"] == "sent"
    later(monkeypatch, days=1)
    run()
    assert named(aws) == [[], [1]]


def test_where_nobody_pauses_the_table_takes_one_request_and_nothing_is_said(
    aws: Aws, account: Account, requests_to_pauses: list[str]
) -> None:
    account.subscriptions = [subscription(number) for number in range(101)]
    run()
    assert requests_to_pauses == ["query"]
    assert "pauses_until" in kept(aws)
    assert "New pauses" not in body(sent(aws)[0], "plain")


def test_only_paused_subscriptions_are_looked_up_and_a_page_at_once(
    account: Account, pauses: PauseTable, requests_to_pauses: list[str]
) -> None:
    """Two pages, of which one has paused subscriptions."""
    was_set(pauses, 1, ago=40 * DAY)
    requests_to_pauses.clear()
    account.subscriptions = [
        subscription(number, **({} if number < 20 else {"pause_collection": None})) for number in range(101)
    ]
    run()
    assert sorted(requests_to_pauses) == ["batch_get_item", "query", "query"]


def test_a_pause_of_ours_that_should_have_ended_is_a_warning_with_its_customer(
    aws: Aws, account: Account, pauses: PauseTable
) -> None:
    at = int(time.time())
    account.subscriptions = [subscription(1, pause_collection=None, status="paused")]
    record = pause_record("sub_1", "cus_1", begins=at - 40 * DAY, resumes=at - 2 * HOUR, reason="holiday")
    begun = pause_entry("sub_1", "cus_1", PauseAction.BEGUN, at=at - 40 * DAY)
    assert pauses.write(record, None, begun)
    run()
    text = body(sent(aws)[0], "plain")
    assert "WARNING Pauses that should have ended (1)" in text
    assert 'Run "portal resume" for each' in text
    (attachment,) = sent(aws)[0].iter_attachments()
    assert ",customer,holiday," in str(attachment.get_content())
