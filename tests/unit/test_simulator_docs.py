from dataclasses import fields
from pathlib import Path

from local.stripe_simulator import admin, invoice_page
from local.stripe_simulator import api as simulator_api
from local.stripe_simulator import checkout as checkout_sessions
from local.stripe_simulator.__main__ import moment
from local.stripe_simulator.faults import Failure, Faults
from local.stripe_simulator.portal import actions as portal_actions
from local.stripe_simulator.portal import login
from local.stripe_simulator.portal import page as portal_page
from local.stripe_simulator.simulator import BillingSettings

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


def test_a_date_of_the_command_line_is_utc() -> None:
    assert moment("2024-07-15") == moment("2024-07-15T02:00:00+02:00") == 1_721_001_600
