"""The requests that docs/explanation/cost.md is built on are those that are made."""

import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from functions.access_changes import app as access_changes_app
from functions.access_changes.wiring import wire as access_changes_wire
from tests.costs import METRICS, WAYS, Way
from tests.integration.portal_world import configure
from tests.integration.test_access_changes import Context, record
from tests.integration.test_slow_dependencies import Deployment, deployment
from tests.integration.test_strangers import aws_calls
from tests.unit.test_alarms import OPERATIONS

__all__ = ["deployment"]


def subscriber_event(at: Deployment, name: str, seconds_ago: int, **changes: Any) -> dict[str, Any]:
    snapshot = {"id": at.world.subscription, "customer": at.world.customer, **changes}
    return at.snapshot(**snapshot) | {"id": name, "created": int(time.time()) - seconds_ago}


def settle(at: Deployment, event: Mapping[str, Any]) -> Callable[[], object]:
    message = {
        "messageId": "1",
        "receiptHandle": "receipt",
        "eventSource": "aws:sqs",
        "body": json.dumps(event),
        "attributes": {"SentTimestamp": str(int(time.time() * 1000)), "ApproximateReceiveCount": "1"},
        "messageAttributes": {},
    }
    return lambda: at.world.api._functions["WebhookFunction"].invoke({"Records": [message]})


def look_at_change(at: Deployment) -> object:
    return access_changes_app.handler({"Records": [record(at.world.customer, 1)]}, Context())  # type: ignore[arg-type]


def test_each_way_makes_the_requests_that_the_page_of_costs_names(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, simulator = deployment, deployment.world.simulator
    monkeypatch.setattr(access_changes_app, "_wire", cache(access_changes_wire))
    first, second, third = (subscriber_event(at, f"evt_{number}", 100) for number in range(3))
    access = {"headers": {"authorization": f"Bearer {at.token(at.world.customer, 'access')}"}}
    ways: list[tuple[str, Callable[[], object]]] = [
        ("usual", lambda: at.post(first)),
        ("changed", lambda: look_at_change(at)),
        ("unchanged", lambda: look_at_change(at)),
        ("burst", lambda: at.post(second)),
        ("settled", settle(at, second)),
        ("settled_too", settle(at, third)),
        ("access", lambda: at.portal("GET /access", **access)),
        ("checkout", lambda: at.follow(at.world.customer)),
        ("due", lambda: access_changes_app.handler({}, Context())),  # type: ignore[arg-type]
    ]
    # Warm: what is read once for all later requests, and made once, does not count.
    at.post(at.snapshot())
    at.post(at.close_event())
    at.follow(at.world.customer)
    at.ask_access()
    settle(at, at.close_event())()
    counted: dict[str, Way] = {}

    def count(name: str, go: Callable[[], object]) -> None:
        before = sum(simulator.admin("GET", "requests").values())
        with aws_calls(monkeypatch) as calls:
            go()
        asked = sum(simulator.admin("GET", "requests").values()) - before
        counted[name] = Way(WAYS[name].title, dict(calls), asked)

    for name, go in ways:
        count(name, go)
    configure(monkeypatch, CHECKOUT_PRICE="")
    at.follow(at.world.customer)
    count("customer", lambda: at.follow(at.world.customer))
    configure(monkeypatch, PORTAL_CONFIGURATIONS="{}")
    at.follow(at.world.customer)
    count("portal", lambda: at.follow(at.world.customer))
    assert counted == WAYS


def test_the_metrics_that_are_paid_for_are_those_of_the_reference() -> None:
    assert [name for name in METRICS if f"`{name}`" not in OPERATIONS] == []
