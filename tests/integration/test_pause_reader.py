"""What the audit reads of the table `Pauses`: DynamoDB's table and the fake of the other tests return the same."""

from itertools import islice
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.audit.options import AuditOptions
from shared.audit.pauses import read_pauses
from shared.errors import Unavailable
from shared.pausing.history import HistoryEntry, PauseAction, PauseReader, PauseRecord, PauseTable
from tests.fakes import FakePauses
from tests.integration.dynamodb_fixtures import DynamoDb
from tests.integration.pausing_world import DAY, World, pauses, world
from tests.pause_records import pause_entry, pause_record

__all__ = ["pauses", "world"]
NOW = 1_801_476_000


def fill(table: PauseTable, records: list[PauseRecord], entries: list[HistoryEntry]) -> None:
    """Each entry beside its subscription's record, or that of another one, which is thrown away again."""
    for record in records:
        assert table.write(record, None)
    for entry in entries:
        known = table.get(entry.subscription_id)
        record = known or pause_record(entry.subscription_id, entry.customer_id, begins=0, resumes=0, retry_at=None)
        assert table.write(record, known, entry)


@pytest.fixture(params=["dynamodb", "fake"])
def reader(request: pytest.FixtureRequest, pauses: PauseTable) -> Any:
    def filled(records: list[PauseRecord], entries: list[HistoryEntry]) -> PauseReader:
        if request.param == "fake":
            return FakePauses({each.subscription_id: each for each in records}, entries)
        fill(pauses, records, entries)
        return pauses

    return filled


ENTRIES = [
    pause_entry("sub_1", "cus_1", at=NOW - 3 * DAY),
    pause_entry("sub_2", "cus_2", at=NOW - 2 * DAY, reason="holiday"),
    pause_entry("sub_1", "cus_1", PauseAction.BEGUN, at=NOW - DAY, version=2, actor="stripe"),
    pause_entry("sub_3", "cus_1", at=NOW, actor="team", actor_name="ops", overridden=True),
]


def test_the_history_of_all_is_read_newest_first_up_to_a_time(reader: Any) -> None:
    table: PauseReader = reader([], ENTRIES)
    assert list(table.newest_entries(until=NOW)) == ENTRIES[::-1]
    assert list(table.newest_entries(until=NOW - 1)) == ENTRIES[2::-1]
    assert list(table.newest_entries(until=NOW - 4 * DAY)) == []


def test_a_customers_history_is_that_of_all_its_subscriptions(reader: Any) -> None:
    table: PauseReader = reader([], ENTRIES)
    assert table.entries_of_customer("cus_1", since=0) == [ENTRIES[0], ENTRIES[2], ENTRIES[3]]
    assert table.entries_of_customer("cus_1", since=NOW - DAY) == ENTRIES[2:]
    assert table.entries_of_customer("cus_9", since=0) == []


def test_records_are_read_many_at_once_and_the_longest_due_comes_first(reader: Any) -> None:
    made = [pause_record(f"sub_{at}", "cus_1", begins=NOW, resumes=NOW, retry_at=NOW - at) for at in range(3)]
    table: PauseReader = reader(made, [])
    found = table.get_many(["sub_0", "sub_2", "sub_none"])
    assert {name: each.retry_at for name, each in found.items()} == {"sub_0": NOW, "sub_2": NOW - 2}
    assert table.get_many([]) == {}
    assert list(table.due(now=NOW - 1)) == ["sub_2", "sub_1"]


def test_a_customers_records_are_not_in_the_customers_history(pauses: PauseTable) -> None:
    """Records have the customer's id, too."""
    fill(pauses, [pause_record("sub_1", "cus_1", begins=NOW, resumes=NOW)], [])
    assert pauses.entries_of_customer("cus_1", since=0) == []
    assert list(pauses.newest_entries(until=NOW)) == []


def test_the_newest_thousand_entries_take_one_request(pauses: PauseTable, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(pauses, [], [pause_entry(f"sub_{at}", "cus_1", at=NOW - at) for at in range(7)])
    monkeypatch.setattr("shared.pausing.history._ENTRIES_OF_A_REQUEST", 5)
    requests: list[str] = []
    pauses._client.meta.events.register(
        "before-call.dynamodb.*", lambda **called: requests.append(called["event_name"])
    )
    newest = pauses.newest_entries(until=NOW)
    assert [each.subscription_id for each in islice(newest, 5)] == [f"sub_{at}" for at in range(5)]
    assert len(requests) == 1
    assert len(list(newest)) == 2
    assert len(requests) == 2


def test_a_table_that_is_gone_is_not_an_empty_one(dynamodb: DynamoDb) -> None:
    gone = PauseTable(dynamodb.client(), "none")
    for ask in (
        lambda: gone.get_many(["sub_1"]),
        lambda: list(gone.newest_entries(until=NOW)),
        lambda: gone.entries_of_customer("cus_1", since=0),
        lambda: read_pauses(gone, NOW - DAY, NOW, AuditOptions()),
    ):
        with pytest.raises(Unavailable, match="Pauses did not answer"):
            ask()


def test_what_a_customer_does_is_in_the_audits_window_as_it_happened(world: World) -> None:
    """The real operations write what the audit reads."""
    subscription, begun = world.subscribe(), world.now
    world.pause(subscription, world.day(60), reason="holiday")
    world.pause(subscription, world.day(90))
    found = read_pauses(world.table, begun - 1, world.now + 1, AuditOptions(max_pause_days=30))
    (new,) = found.new
    assert (new.subscription_id, new.customer_id, new.actor, new.reason) == (
        subscription,
        world.customer,
        "customer",
        "holiday",
    )
    assert new.resumes == world.record(subscription).resumes
    assert [each.code for each in found.breaks] == ["pause_too_long"]


def test_a_resume_that_waits_says_since_when(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.period_end(subscription) + DAY)
    for method in world.stripe.v1.customers.payment_methods.list(world.customer).data:
        world.stripe.v1.payment_methods.detach(method.id)
    asked = world.now
    world.resume(subscription)
    waits = world.record(subscription)
    assert (waits.waiting, waits.waiting_since) == ("payment_method", asked)
    world.go_to(world.now + 2 * DAY)
    world.tick()
    assert (world.record(subscription).waiting, world.record(subscription).waiting_since) == ("payment_method", asked)


@pytest.mark.parametrize("reason", ["ThrottlingError", "ProvisionedThroughputExceeded", "ValidationError"])
def test_a_write_that_nobody_else_has_made_impossible_is_no_lost_race(
    pauses: PauseTable, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Taken for one, it would be tried for ever, and nobody would hear of it."""
    error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": [{"Code": "None"}]}

    def refuse(**_request: Any) -> None:
        raise ClientError(error, "TransactWriteItems")

    monkeypatch.setattr(pauses._client, "transact_write_items", refuse)
    record = pause_record("sub_1", "cus_1", begins=0, resumes=0, retry_at=None)
    for lost in ("ConditionalCheckFailed", "TransactionConflict"):
        error["CancellationReasons"] = [{"Code": lost}, {"Code": "None"}]
        assert pauses.write(record, None, ENTRIES[0]) is None
    error["CancellationReasons"] = [{"Code": "None"}, {"Code": reason}]
    with pytest.raises(Unavailable):
        pauses.write(record, None, ENTRIES[0])
