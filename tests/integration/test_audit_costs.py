"""The requests of a night that docs/explanation/cost.md names are those that are made."""

from collections import Counter
from typing import Any

import pytest
from botocore.client import BaseClient

from shared.mirror.items import Write
from shared.mirror.table import MirrorTable
from shared.stripe.subscription import read_subscription
from tests.aws_requests import watch_aws_requests
from tests.costs import NIGHTS, Way
from tests.integration.audit_account import Account, subscription
from tests.integration.test_audit_night import account, run, table

__all__ = ["account", "table"]

SUBSCRIPTIONS = {"empty": 0, "subscribers": 120}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_makes_the_requests_that_the_page_of_costs_names(
    account: Account, table: MirrorTable, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    account.subscriptions = [
        subscription(number, **({"pause_collection": None} if number % 10 else {}))
        for number in range(SUBSCRIPTIONS[name])
    ]
    for each in account.subscriptions:
        table.put_if_older(Write(read_subscription(each), each["created"], "evt_1"), than=0)
    # S3 and SES name their operations by paths: they are counted where the client is called, and then on the wire.
    operations: Counter[str] = Counter()
    sent: list[str] = []
    every_client: Any = BaseClient
    call = every_client._make_api_call

    def counted_call(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        operations[operation] += 1
        return call(client, operation, parameters)

    monkeypatch.setattr(every_client, "_make_api_call", counted_call)
    watch_aws_requests(monkeypatch, lambda target, _: sent.append(target))
    assert run()["mail"] == "sent"
    assert Way(NIGHTS[name].title, dict(operations), len(account.requests)) == NIGHTS[name]
    assert len(sent) == operations.total()
