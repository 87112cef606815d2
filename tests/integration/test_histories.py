"""Random histories against the real table: the fake one proves nothing of its expressions."""

from functools import partial
from random import Random

import pytest

from tests.histories import make_history
from tests.history_world import World, the_rule
from tests.integration.dynamodb_fixtures import Subscriptions


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(1, 5))])
def test_after_the_last_delivery_the_table_is_as_stripe_is(subscriptions: Subscriptions, seed: int) -> None:
    table, client = subscriptions.table(), subscriptions.dynamodb.client()
    random = Random(seed)

    def delete() -> None:
        key = {"customer_id": {"S": "cus_1"}, "subscription_id": {"S": "sub_1"}}
        client.delete_item(TableName=subscriptions.name, Key=key)

    for _ in range(5):
        history = make_history(random, kinds=("snapshot", "snapshot", "thin", "sweep"))
        world = World(history)
        world.run(partial(the_rule, world, table), delete)
        found = list(table.all())
        assert world.is_right(found)
        for item in found:
            assert (item.paused_since is None) == (item.subscription.pause_kind is None)
        delete()
