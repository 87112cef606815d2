"""Random histories against the real table: the fake one proves nothing of its expressions."""

from random import Random

import pytest

from tests.histories import make_history
from tests.history_world import World, the_rule
from tests.integration.dynamodb_fixtures import Subscriptions


@pytest.mark.parametrize("seed", range(5))
def test_after_the_last_delivery_the_table_is_as_stripe_is(subscriptions: Subscriptions, seed: int) -> None:
    table, client = subscriptions.table(), subscriptions.dynamodb.client()
    random = Random(seed)
    for _ in range(5):
        history = make_history(random, kinds=("snapshot", "snapshot", "thin", "sweep"))
        world = World(history)
        world.run(the_rule(world, table))
        found = table.get("cus_1", "sub_1")
        assert found
        assert found.subscription == world.end()
        assert (found.paused_since is None) == (found.subscription.pause_kind is None)
        key = {"customer_id": {"S": "cus_1"}, "subscription_id": {"S": "sub_1"}}
        client.delete_item(TableName=subscriptions.name, Key=key)
