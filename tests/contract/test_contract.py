"""Whether everything that the simulator sends is what Stripe's own types and Stripe's OpenAPI document say.

`make contract` installs both; where they are not installed, these tests are skipped.
"""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from local.stripe_simulator import api
from tests.contract import openapi, typescript
from tests.contract.scenario import Recorder, record
from tests.contract.typescript import Difference

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests/fixtures/subscription-2026-10-28.endive.json"

# What differs on purpose: the path, and why. Everything else is an error.
KNOWN_TYPES = {
    "invoice.lines.total_count": "Stripe sends it in embedded lists, as in subscriptions; no type names it.",
    "subscription.items.total_count": "Stripe sends it in embedded lists (API reference, example); no type names it.",
}
KNOWN_OPENAPI = {
    "billing_portal.session.flow.type": "The flows customer_update and subscription_pause are newer than the document.",
}


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return record()


def test_every_operation_is_recorded(recorder: Recorder) -> None:
    assert {route.name for route in api.ROUTES} - recorder.operations == set()


def test_every_event_type_is_recorded(recorder: Recorder) -> None:
    recorded = {event["type"] for event in recorder.events.values()}
    assert _event_types_in_the_code() - recorded == set()


def _event_types_in_the_code() -> set[str]:
    """The types that the simulator's modules pass to `emit` and `emit_update`."""
    calls = [
        node
        for path in (ROOT / "local/stripe_simulator").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"emit", "emit_update"}
    ]
    return {str(call.args[1].value) for call in calls if isinstance(call.args[1], ast.Constant)}


def sent(recorder: Recorder) -> list[dict[str, Any]]:
    return [*recorder.bodies, *recorder.events.values(), json.loads(FIXTURE.read_text())]


def unexplained(found: list[Difference], known: dict[str, str]) -> list[str]:
    return [f"{one.path}: {one.message}" for one in found if one.path not in known]


@pytest.mark.skipif(not typescript.COMPILER.exists(), reason="needs `make contract`, which needs Node")
def test_stripes_types_accept_everything(recorder: Recorder) -> None:
    found = typescript.differences(sent(recorder))
    assert unexplained(found, KNOWN_TYPES) == []
    assert set(KNOWN_TYPES) == {one.path for one in found}, "a known difference is gone: take it out of the list"


@pytest.mark.skipif(not openapi.DOCUMENT.exists(), reason="needs `make contract`")
def test_stripes_openapi_document_accepts_everything(recorder: Recorder) -> None:
    found = openapi.differences(sent(recorder))
    assert unexplained(found, KNOWN_OPENAPI) == []
    assert set(KNOWN_OPENAPI) == {one.path for one in found}, "a known difference is gone: take it out of the list"


@pytest.mark.skipif(not typescript.COMPILER.exists(), reason="needs `make contract`, which needs Node")
def test_the_type_check_sees_what_is_wrong(recorder: Recorder) -> None:
    customer = next(body for body in recorder.bodies if body["object"] == "customer" and "deleted" not in body)
    wrong = [
        {name: value for name, value in customer.items() if name != "email"},
        {**customer, "invented": 1},
        {**customer, "business_name": None},
        {**customer, "address": {**customer["address"], "city": 3}},
    ]
    paths = [one.path for body in wrong for one in typescript.differences([body])]
    assert paths == ["customer", "customer.invented", "customer.business_name", "customer.address.city"]


@pytest.mark.skipif(not openapi.DOCUMENT.exists(), reason="needs `make contract`")
def test_the_openapi_check_sees_what_is_wrong(recorder: Recorder) -> None:
    customer = next(body for body in recorder.bodies if body["object"] == "customer" and "deleted" not in body)
    wrong = [{**customer, "created": "now"}, {**customer, "tax_exempt": "sometimes"}, {**customer, "livemode": None}]
    paths = [one.path for body in wrong for one in openapi.differences([body])]
    assert paths == ["customer.created", "customer.tax_exempt", "customer.livemode"]
