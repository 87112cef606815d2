import re
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import pytest

from local.stripe_simulator import admin, invoice_page, operations
from local.stripe_simulator import api as simulator_api
from local.stripe_simulator import checkout as checkout_sessions
from local.stripe_simulator.__main__ import moment
from local.stripe_simulator.errors import NOT_IMPLEMENTED
from local.stripe_simulator.faults import Failure, Faults
from local.stripe_simulator.portal import actions as portal_actions
from local.stripe_simulator.portal import login
from local.stripe_simulator.portal import page as portal_page
from local.stripe_simulator.simulator import BillingSettings
from tests.contract import openapi
from tests.simulator_in_process import SimulatorInProcess

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "simulator.md").read_text()


def test_every_object_of_the_api_is_documented() -> None:
    for route in simulator_api.ROUTES:
        name = route.path.partition("/{")[0]
        assert f"`{name}`" in PAGE or f"`/{route.version}/{name}`" in PAGE


def test_every_admin_endpoint_fault_page_and_button_is_documented() -> None:
    for route in admin.ROUTES:
        assert route.path.removeprefix("/_simulator/") in PAGE
    for route in (*portal_page.ROUTES, *login.ROUTES, *checkout_sessions.ROUTES, *invoice_page.ROUTES):
        assert f"`{route.path}`" in PAGE
    for field in (*fields(Faults), *fields(Failure), *fields(BillingSettings)):
        assert field.name in PAGE
    for action in (*portal_actions._ON_SUBSCRIPTION, *portal_actions._ON_CUSTOMER):
        assert f"`{action}`" in PAGE


# These hold kinds of objects, and are none themselves.
FOLDERS = {"billing_portal", "checkout", "test_helpers", "core"}


def kind_and_rest(path: str) -> tuple[str, list[str]]:
    """The objects that a path is about, such as `checkout/sessions`, and the parts after them."""
    version, *parts = path.removeprefix("/").split("/")
    count = 2 if parts[0] in FOLDERS else 1
    return "/".join([*([] if version == "v1" else [version]), *parts[:count]]), parts[count:]


def missing_operations() -> dict[str, set[str]]:
    """What the simulator does not have of Stripe's API, by the first part of the path."""
    have = {re.sub("{[a-z_]+}", "{id}", route.name) for route in simulator_api.ROUTES}
    gaps: dict[str, set[str]] = defaultdict(set)
    for operation in operations.operations() - have:
        method, path = operation.split(" ")
        kind, rest = kind_and_rest(path)
        ids = [place for place, part in enumerate(rest) if part == "{id}"]
        # What belongs to an object counts as one, whatever the methods.
        deeper = rest[ids[0] + 1] if ids and len(rest) > ids[0] + 1 else None
        gaps[kind].add(f"/{deeper}" if deeper else " ".join([method, *(["/".join(rest)] if rest else [])]))
    return gaps


def table_of_gaps() -> str:
    """The table of the reference page; copy it from here when a test fails."""
    gaps = missing_operations()
    have = {kind_and_rest(route.name.partition(" ")[2])[0] for route in simulator_api.ROUTES}
    whole = ", ".join(f"`{kind}`" for kind in sorted(gaps.keys() - have))
    rows = [
        f"| `{kind}` | {', '.join(f'`{one}`' for one in sorted(gaps[kind]))} |" for kind in sorted(gaps.keys() & have)
    ]
    return "\n".join([f"Nothing of {whole}.", "", "| of | missing |", "|---|---|", *rows])


def test_the_page_lists_what_is_not_there() -> None:
    assert table_of_gaps() in PAGE, table_of_gaps()


def test_everything_that_is_not_there_says_so() -> None:
    simulator = SimulatorInProcess()
    have = {re.sub("{[a-z_]+}", "{id}", route.name) for route in simulator_api.ROUTES}
    for operation in operations.operations() - have:
        method, path = operation.replace("{id}", "x_1").split(" ")
        answer = simulator.call(method, path.removeprefix("/v1/"))
        assert (answer.status, answer.error["code"]) == (400, NOT_IMPLEMENTED), operation
        assert answer.error["message"] == f"The simulator does not implement {method} {path}."
    assert simulator.call("GET", "wishes").error["message"].startswith("Unrecognized request URL (GET: /v1/wishes).")
    assert simulator.call("PUT", "charges").status == 404


@pytest.mark.skipif(not openapi.PATHS.exists(), reason="needs `make contract`")
def test_the_simulator_knows_every_operation_of_stripes_openapi_document() -> None:
    assert openapi.operations().keys() <= operations.operations()


def test_a_date_of_the_command_line_is_utc() -> None:
    assert moment("2024-07-15") == moment("2024-07-15T02:00:00+02:00") == 1_721_001_600
