"""The fake table and the real one keep the same contract."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from shared.errors import Unavailable
from shared.mirror.items import (
    Beginnings,
    EntitlementsWrite,
    MirroredCustomer,
    MirroredEntitlements,
    MirroredSubscription,
    Write,
    item_key,
)
from shared.mirror.table import EntitlementsTable, MirrorTable, TablePage, WritableTable
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem
from tests.aws_requests import watch_aws_requests
from tests.fakes import FakeTable, subscription
from tests.integration.dynamodb_fixtures import Subscriptions

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


WHOLE = Subscription(
    id="sub_1",
    customer_id="cus_1",
    status="active",
    livemode=True,
    created=1,
    currency="eur",
    collection_method="charge_automatically",
    billing_mode="flexible",
    schedule_id="sub_sched_1",
    cancel_at=2,
    cancel_at_period_end=True,
    canceled_at=3,
    ended_at=4,
    trial_end=5,
    pause_collection=PauseCollection("void", 6),
    paused_reason="pause_requested",
    paused_at=7,
    current_period_end=8,
    cancellation_reason="payment_failed",
    items=(
        SubscriptionItem("si_1", "price_1", "prod_1", 2, "1000.5", "eur", "month", 1, "licensed", "per_unit", 8),
        SubscriptionItem("si_2"),
    ),
)


BEGUN = Beginnings(9, paused_since_exact=True, paid_through=8)


@pytest.fixture(params=["botocore's client", "the lean client"])
def client(request: pytest.FixtureRequest, subscriptions: Subscriptions) -> "DynamoDBClient":
    database = subscriptions.dynamodb
    return database.client() if request.param == "botocore's client" else database.lean_client()


@pytest.fixture
def real(subscriptions: Subscriptions, client: "DynamoDBClient") -> MirrorTable:
    return MirrorTable(client, subscriptions.name)


@pytest.fixture(params=["fake", "botocore", "lean"])
def table(request: pytest.FixtureRequest) -> WritableTable:
    if request.param == "fake":
        return FakeTable()
    subscriptions: Subscriptions = request.getfixturevalue("subscriptions")
    database = subscriptions.dynamodb
    client = database.client() if request.param == "botocore" else database.lean_client()
    return MirrorTable(client, subscriptions.name)


def write(as_of: int, status: str = "active", event_id: str = "evt_1", **fields: Any) -> Write:
    return Write(subscription(status, **fields), as_of, event_id)


def test_an_unknown_subscription_is_none(table: WritableTable) -> None:
    assert table.get("cus_1", "sub_1") is None


def test_what_is_written_is_read_whole(table: WritableTable) -> None:
    assert table.put_if_older(Write(WHOLE, 10, "evt_1", BEGUN, 20, None, "acct_1", 4, 5), than=7) is None
    found = table.get("cus_1", "sub_1")
    assert found == MirroredSubscription(WHOLE, 10, 1, "evt_1", BEGUN, None, "acct_1", 4, 5)
    assert found.subscription.cancellation_reason == "payment_failed"


def test_what_a_later_write_does_not_know_stays(table: WritableTable) -> None:
    table.put_if_older(Write(WHOLE, 10, "evt_1", BEGUN, None, None, "acct_1", 4, 5), than=7)
    assert table.put_if_older(Write(WHOLE, 20, None, delivery_lag=0), than=17) is None
    found = table.get("cus_1", "sub_1")
    assert found
    assert (found.account, found.delivery_lag, found.stamp_lag) == ("acct_1", 0, 5)


def test_what_is_no_longer_so_is_removed(table: WritableTable) -> None:
    table.put_if_older(Write(WHOLE, 10, "evt_1", BEGUN), than=7)
    bare = subscription("active")
    assert table.put_if_older(Write(bare, 20, "evt_2"), than=17) is None
    assert table.get("cus_1", "sub_1") == MirroredSubscription(bare, 20, 2, "evt_2", Beginnings())


@pytest.mark.parametrize(("than", "written"), [(9, False), (10, False), (11, True)])
def test_an_item_as_of_the_same_time_or_later_blocks_a_write(table: WritableTable, than: int, *, written: bool) -> None:
    table.put_if_older(write(10), than=7)
    old = table.put_if_older(write(13, "unpaid", "evt_2"), than=than)
    found = table.get("cus_1", "sub_1")
    assert found
    if written:
        assert (old, found.subscription.status, found.revision) == (None, "unpaid", 2)
    else:
        assert (old, found.subscription.status, found.revision) == (found, "active", 1)


def test_an_ended_item_blocks_a_write_of_a_live_state_only(table: WritableTable) -> None:
    table.put_if_older(write(10, "canceled"), than=7)
    old = table.put_if_older(write(100, "active", "evt_2"), than=97)
    assert old
    assert old.subscription.ended
    assert table.put_if_older(write(100, "canceled", "evt_3"), than=97) is None


def test_an_end_is_written_over_a_live_state_of_any_time_and_over_an_older_end_only(table: WritableTable) -> None:
    table.put_if_older(write(100), than=97)
    assert table.put_if_older(write(10, "canceled", "evt_2"), than=7) is None
    older = table.put_if_older(write(5, "incomplete_expired", "evt_3"), than=2)
    assert older
    assert older.subscription.status == "canceled"


def test_a_write_since_the_read_blocks_a_write(table: WritableTable) -> None:
    table.put_if_older(write(10), than=7)
    read = table.get("cus_1", "sub_1")
    table.put_if_older(write(20, event_id="evt_2"), than=17)
    old = table.put_if_unchanged(write(30, "unpaid", "evt_3"), read)
    assert old
    assert (old.revision, old.event_id) == (2, "evt_2")
    assert table.put_if_unchanged(write(30, "unpaid", "evt_3"), old) is None


def test_an_item_that_came_since_there_was_none_blocks_a_write(table: WritableTable) -> None:
    assert table.put_if_unchanged(write(10), None) is None
    old = table.put_if_unchanged(write(10, "unpaid"), None)
    assert old
    assert old.subscription.status == "active"


PAUSE = PauseCollection("void")


def beginnings(table: WritableTable) -> Beginnings:
    found = table.get("cus_1", "sub_1")
    assert found
    return found.beginnings


def test_a_beginning_that_is_seen_replaces_an_estimate_and_stays_until_the_end(table: WritableTable) -> None:
    table.put_if_older(write(10, pause_collection=PAUSE), than=7)
    assert beginnings(table) == Beginnings(paused_since=10)
    table.put_if_older(Write(subscription(pause_collection=PAUSE), 20, "evt_2", Beginnings(15, True)), than=17)
    table.put_if_older(write(30, event_id="evt_3", pause_collection=PAUSE), than=27)
    assert beginnings(table) == Beginnings(15, paused_since_exact=True)
    table.put_if_older(write(40), than=37)
    assert beginnings(table) == Beginnings()


def test_what_is_paid_for_moves_with_the_period_and_is_frozen_by_a_pause(table: WritableTable) -> None:
    table.put_if_older(write(10, current_period_end=100), than=7)
    assert beginnings(table) == Beginnings(paid_through=100)
    table.put_if_older(write(20, current_period_end=200, pause_collection=PAUSE), than=17)
    assert beginnings(table) == Beginnings(20, paid_through=100)
    begun = Beginnings(15, True, paid_through=150)
    table.put_if_older(Write(subscription(current_period_end=200, pause_collection=PAUSE), 30, "evt_3", begun), than=27)
    table.put_if_older(write(40, current_period_end=300, pause_collection=PAUSE), than=37)
    assert beginnings(table) == begun
    table.put_if_older(write(50, current_period_end=300), than=47)
    assert beginnings(table) == Beginnings(paid_through=300)


def test_a_pause_that_is_over_by_its_own_date_freezes_nothing(table: WritableTable) -> None:
    over = PauseCollection("void", resumes_at=15)
    table.put_if_older(write(20, current_period_end=200, pause_collection=over), than=17)
    assert beginnings(table).paid_through == 200


def test_payments_are_overdue_since_the_first_such_state(table: WritableTable) -> None:
    table.put_if_older(write(10, "past_due"), than=7)
    table.put_if_older(write(20, "unpaid"), than=17)
    assert beginnings(table) == Beginnings(past_due_since=10)
    table.put_if_older(Write(subscription("past_due"), 30, "evt_3", Beginnings(None, False, 25, True)), than=27)
    assert beginnings(table) == Beginnings(past_due_since=25, past_due_since_exact=True)
    table.put_if_older(write(40, "active"), than=37)
    assert beginnings(table) == Beginnings()


def test_beginnings_are_added_alone_unless_somebody_wrote_meanwhile(table: WritableTable) -> None:
    table.put_if_older(write(10, pause_collection=PAUSE), than=7)
    old = table.get("cus_1", "sub_1")
    assert old
    assert table.add_beginnings(old, Beginnings(5, True, paid_through=8))
    assert not table.add_beginnings(old, Beginnings(6, True))
    found = table.get("cus_1", "sub_1")
    assert found
    assert (found.beginnings, found.revision, found.as_of) == (Beginnings(5, True, None, False, 8), 2, 10)


def test_a_state_that_is_shown_before_it_is_certain_says_so_and_begins_and_ends_nothing(table: WritableTable) -> None:
    begun = Beginnings(5, True, None, False, 8)
    table.put_if_unchanged(Write(subscription(pause_collection=PAUSE), 10, "evt_1", begun), None)
    old = table.get("cus_1", "sub_1")
    for number, status in enumerate(("past_due", "active")):
        shown = Write(subscription(status, current_period_end=99), 10, "evt_2", Beginnings(11, True), settling=13)
        assert table.put_if_unchanged(shown, old) is None
        old = table.get("cus_1", "sub_1")
        assert old
        assert (old.settling, old.beginnings, old.revision) == (13, begun, number + 2)
    table.put_if_unchanged(write(20, current_period_end=99), old)
    old = table.get("cus_1", "sub_1")
    assert old
    assert (old.settling, old.beginnings) == (None, Beginnings(paid_through=99))


def test_only_an_ended_item_has_a_time_to_live(real: MirrorTable, subscriptions: Subscriptions) -> None:
    key = {"customer_id": {"S": "cus_1"}, "subscription_id": {"S": "sub_1"}}
    client, table = subscriptions.dynamodb.client(), subscriptions.name
    real.put_if_older(write(10), than=7)
    assert "expires_at" not in client.get_item(TableName=table, Key=key)["Item"]
    real.put_if_older(Write(subscription("canceled"), 20, "evt_2", expires_at=99), than=17)
    assert client.get_item(TableName=table, Key=key)["Item"]["expires_at"] == {"N": "99"}
    attribute = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["AttributeName"]
    assert attribute == "expires_at"


def test_many_are_read_at_once_and_the_absent_are_absent(real: MirrorTable) -> None:
    for number in range(3):
        real.put_if_older(write(10, id=f"sub_{number}"), than=0)
    found = real.get_many([("cus_1", "sub_0"), ("cus_1", "sub_2"), ("cus_1", "sub_9"), ("cus_2", "sub_1")])
    assert {key: each.subscription.id for key, each in found.items()} == {
        ("cus_1", "sub_0"): "sub_0",
        ("cus_1", "sub_2"): "sub_2",
    }
    assert real.get_many([]) == {}


class Throttled:
    """Leaves out all but one key of each request; `times` requests are answered at all."""

    def __init__(self, client: "DynamoDBClient", times: int) -> None:
        self._client = client
        self.times = times

    def batch_get_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - DynamoDB's name
        ((table, wanted),) = RequestItems.items()
        self.times -= 1
        given = wanted["Keys"][:1] if self.times >= 0 else []
        answer: Any = self._client.batch_get_item(RequestItems={table: {"Keys": given}}) if given else {"Responses": {}}
        rest = wanted["Keys"][len(given) :]
        return answer | {"UnprocessedKeys": {table: {"Keys": rest}} if rest else {}}


@pytest.mark.parametrize("times", [3, 1])
def test_keys_that_dynamodb_leaves_out_are_asked_for_again_and_never_forgotten(
    real: MirrorTable, subscriptions: Subscriptions, times: int
) -> None:
    keys = [("cus_1", f"sub_{number}") for number in range(3)]
    for _, name in keys:
        real.put_if_older(write(10, id=name), than=0)
    throttled: Any = Throttled(subscriptions.dynamodb.client(), times)
    table = MirrorTable(throttled, subscriptions.name)
    if times == 3:
        assert set(table.get_many(keys)) == set(keys)
    else:
        with pytest.raises(Unavailable):
            table.get_many(keys)


def test_the_table_is_walked_without_what_has_ended(real: MirrorTable) -> None:
    for number, status in enumerate(("active", "canceled", "paused", "incomplete_expired")):
        real.put_if_older(write(10, status, id=f"sub_{number}"), than=0)
    page = real.page(None)
    assert {each.subscription.id for each in page.items} == {"sub_0", "sub_2"}
    assert page.next_start is None


def test_a_walk_of_the_table_goes_on_after_any_item(real: MirrorTable) -> None:
    for number in range(7):
        real.put_if_older(write(10, id=f"sub_{number}", customer_id=f"cus_{number % 3}"), than=0)
    walked = real.page(None).items
    assert len(walked) == 7
    for place, last in enumerate(walked):
        rest = real.page(item_key(last.subscription.customer_id, last.subscription.id))
        assert rest == TablePage(walked[place + 1 :], None)


def test_a_table_of_several_pages_is_walked_to_its_end(subscriptions: Subscriptions) -> None:
    client = subscriptions.dynamodb.client()
    # A page is a megabyte; two items show the same.
    client.meta.events.register("before-parameter-build.dynamodb.Scan", lambda params, **_: params.update(Limit=2))
    table = MirrorTable(client, subscriptions.name)
    names = {f"sub_{number}" for number in range(5)}
    for name in names:
        table.put_if_older(write(10, id=name), than=0)
    page = table.page(None)
    walked = [page]
    while page.next_start:
        page = table.page(page.next_start)
        walked.append(page)
    assert {each.subscription.id for page in walked for each in page.items} == names
    assert len(walked) >= 3
    assert {each.subscription.id for each in table.all()} == names


def test_a_table_that_does_not_answer_is_unavailable(client: "DynamoDBClient") -> None:
    missing = MirrorTable(client, "NoSuchTable")
    for attempt in (
        lambda: missing.get("cus_1", "sub_1"),
        lambda: missing.put_if_older(write(10), than=7),
        lambda: missing.put_if_unchanged(write(10), None),
        lambda: list(missing.of_customer("cus_1")),
        lambda: missing.get_many([("cus_1", "sub_1")]),
        lambda: missing.page(None),
    ):
        with pytest.raises(Unavailable, match="ResourceNotFoundException"):
            attempt()


class Vanishing:
    """DynamoDB, where the item vanishes between the failed condition and the answer, `times` times."""

    def __init__(self, client: "DynamoDBClient", times: int) -> None:
        self._client, self.times, self.exceptions = client, times, client.exceptions

    def update_item(self, **request: Any) -> Any:
        if self.times > 0:
            self.times -= 1
            failed: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "The condition failed"}}
            raise self.exceptions.ConditionalCheckFailedException(failed, "UpdateItem")
        return self._client.update_item(**request)


@pytest.mark.parametrize("unchanged", [False, True])
def test_an_item_that_vanishes_while_it_is_written_is_written_again(
    subscriptions: Subscriptions,
    unchanged: bool,  # noqa: FBT001
) -> None:
    """Time to live deletes an item at any moment."""
    vanishing: Any = Vanishing(subscriptions.dynamodb.client(), 1)
    table = MirrorTable(vanishing, subscriptions.name)
    old = table.put_if_unchanged(write(10), None) if unchanged else table.put_if_older(write(10), than=7)
    assert old is None
    assert subscriptions.table().get("cus_1", "sub_1")


def test_an_item_that_keeps_vanishing_is_unavailable_and_not_a_fault(subscriptions: Subscriptions) -> None:
    vanishing: Any = Vanishing(subscriptions.dynamodb.client(), 100)
    with pytest.raises(Unavailable, match="vanish"):
        MirrorTable(vanishing, subscriptions.name).put_if_older(write(10), than=7)


def test_a_read_that_waits_for_an_item_that_vanished_is_told_so(subscriptions: Subscriptions) -> None:
    real = subscriptions.table()
    real.put_if_older(write(10), than=7)
    since = real.get("cus_1", "sub_1")
    key = {"customer_id": {"S": "cus_1"}, "subscription_id": {"S": "sub_1"}}
    subscriptions.dynamodb.client().delete_item(TableName=subscriptions.name, Key=key)
    with pytest.raises(Unavailable, match="vanish"):
        real.put_if_unchanged(write(20), since)
    assert real.get("cus_1", "sub_1") is None


# ------------------------------------------------------------------ entitlements


def entitlements(as_of: int, *features: str, **own: Any) -> EntitlementsWrite:
    return EntitlementsWrite("cus_1", features, own.pop("products", {}), as_of, **own)


def held_by(table: EntitlementsTable) -> MirroredEntitlements:
    found = table.customer("cus_1").entitlements
    assert found
    return found


def test_entitlements_are_written_over_by_a_later_read_only(table: EntitlementsTable) -> None:
    products = {"prod_1": ("sso", "exports"), "prod_2": ()}
    assert table.customer("cus_1") == MirroredCustomer(())
    assert table.put_entitlements(entitlements(10, "exports", "sso", products=products, account="acct_1"))
    whole = MirroredEntitlements("cus_1", ("exports", "sso"), 10, 1, products, None, "acct_1")
    assert held_by(table) == whole
    for as_of in (9, 10):
        assert not table.put_entitlements(entitlements(as_of, "old"))
    assert held_by(table) == whole
    assert table.put_entitlements(entitlements(11))
    assert held_by(table) == MirroredEntitlements("cus_1", (), 11, 2, {}, None, "acct_1")


def test_what_an_event_says_is_shown_unless_the_item_has_a_later_one(table: EntitlementsTable) -> None:
    assert table.show_entitlements("cus_1", ("a",), 20, account=None)
    assert not table.show_entitlements("cus_1", ("b",), 19, account=None)
    assert table.show_entitlements("cus_1", ("c",), 20, account=None)
    assert held_by(table) == MirroredEntitlements("cus_1", ("c",), 0, 2, {}, 20)
    assert table.put_entitlements(entitlements(21, "d", products={"prod_1": ("d",)}))
    assert not table.show_entitlements("cus_1", ("e",), 21, account=None)
    assert table.show_entitlements("cus_1", ("e",), 22, account="acct_1")
    assert held_by(table) == MirroredEntitlements("cus_1", ("e",), 21, 4, {"prod_1": ("d",)}, 22, "acct_1")
    assert table.put_entitlements(entitlements(22, "f"))
    assert held_by(table).settling is None


def test_no_reader_of_subscriptions_takes_entitlements_for_one(real: MirrorTable) -> None:
    real.put_entitlements(entitlements(10, "sso"))
    real.put_entitlements(replace(entitlements(10, "sso"), customer_id="cus_2"))
    real.put_if_older(write(10), than=7)
    for found in (real.of_customer("cus_1"), real.all(), real.page(None).items):
        assert [one.subscription.id for one in found] == ["sub_1"]
    assert list(real.of_customer("cus_2")) == []
    customers = {str(each.entitlements and each.entitlements.customer_id): each for each in real.customers()}
    assert {name: len(each.subscriptions) for name, each in customers.items()} == {"cus_1": 1, "cus_2": 0}
    whole = real.customer("cus_1")
    assert ([one.subscription.id for one in whole.subscriptions], held_by(real).features) == (["sub_1"], ("sso",))


def test_entitlements_that_another_version_wrote_are_read(real: MirrorTable, subscriptions: Subscriptions) -> None:
    item: Any = item_key("cus_1", "#entitlements") | {
        "features": {"L": [{"S": "sso"}]},
        "as_of": {"N": "10"},
        "revision": {"N": "3"},
        "novelty": {"M": {"x": {"L": []}}},
    }
    subscriptions.dynamodb.client().put_item(TableName=subscriptions.name, Item=item)
    assert held_by(real) == MirroredEntitlements("cus_1", ("sso",), 10, 3)


def test_that_a_customer_has_no_entitlements_is_forgotten_in_time(
    real: MirrorTable, subscriptions: Subscriptions
) -> None:
    def expires_at() -> str | None:
        key = item_key("cus_1", "#entitlements")
        item = subscriptions.dynamodb.client().get_item(TableName=subscriptions.name, Key=key)["Item"]
        return item.get("expires_at", {}).get("N")

    real.put_entitlements(entitlements(10, expires_at=500))
    assert expires_at() == "500"
    real.show_entitlements("cus_1", ("sso",), 20, account=None)
    assert expires_at() is None
    real.put_entitlements(entitlements(20, expires_at=600))
    real.put_entitlements(entitlements(30, "sso"))
    assert expires_at() is None


def test_what_another_version_wrote_is_read(real: MirrorTable, subscriptions: Subscriptions) -> None:
    """After a rollback there are attributes that this version does not know, at every depth."""
    real.put_if_older(Write(WHOLE, 10, "evt_1"), than=7)
    subscriptions.dynamodb.client().update_item(
        TableName=subscriptions.name,
        Key=item_key("cus_1", "sub_1"),
        UpdateExpression="SET novelty = :new, #items[0].novelty = :new, pause_collection.novelty = :new",
        ExpressionAttributeNames={"#items": "items"},
        ExpressionAttributeValues={":new": {"L": [{"N": "1.5"}, {"B": b"x"}]}},
    )
    found = real.get("cus_1", "sub_1")
    assert found
    assert found.subscription == WHOLE


def test_the_largest_item_fits_into_dynamodb(real: MirrorTable) -> None:
    text = "x" * 255
    item = SubscriptionItem(text, text, text, 10**14, "9" * 40, text, text, 10**5, text, text, 10**10)
    huge = replace(
        WHOLE,
        status=text,
        currency=text,
        collection_method=text,
        billing_mode=text,
        schedule_id=text,
        items=(item,) * 100,
    )
    assert real.put_if_older(Write(huge, 10, "evt_1"), than=7) is None
    found = real.get("cus_1", "sub_1")
    assert found
    assert found.subscription == huge


def test_a_request_that_is_refused_is_unavailable_whoever_refuses_it(
    subscriptions: Subscriptions, client: "DynamoDBClient"
) -> None:
    """botocore checks each value before it sends it; the lean client leaves that to DynamoDB."""
    refused: list[tuple[str, dict[str, Any]]] = [
        ("", {}),
        (subscriptions.name, {"id": None}),
        (subscriptions.name, {"customer_id": 7}),
    ]
    for name, wrong in refused:
        with pytest.raises(Unavailable, match="did not answer"):
            MirrorTable(client, name).put_if_older(write(1, **wrong), than=0)
    assert list(subscriptions.table().all()) == []


def test_what_decides_for_one_customer_is_read_consistently(real: MirrorTable, monkeypatch: pytest.MonkeyPatch) -> None:
    consistent = list[bool | None]()
    watch_aws_requests(monkeypatch, lambda _, body: consistent.append(json.loads(body).get("ConsistentRead")))
    real.get("cus_1", "sub_1")
    list(real.of_customer("cus_1"))
    list(real.all())
    assert consistent == [True, True, True]


def test_the_many_subscriptions_of_one_customer_come_in_several_pages(
    real: MirrorTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page has a megabyte at most; here each request asks for two items, as a full page would end."""
    names = {f"sub_{number}" for number in range(5)}
    for name in names:
        real.put_if_older(write(10, id=name), than=0)
    client, asked = real._client, list[object]()

    def two(**query: Any) -> Any:
        asked.append(query.get("ExclusiveStartKey"))
        return client.query(**query, Limit=2)

    monkeypatch.setattr(real, "_client", Mock(query=two))
    assert {each.subscription.id for each in real.of_customer("cus_1")} == names
    assert len(asked) == 3
