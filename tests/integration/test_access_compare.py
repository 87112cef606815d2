"""`portal access --compare` against Stripe's simulator and the real table."""

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cli.deployment import Deployment
from tests.integration.conftest import Aws
from tests.integration.recovery_world import FAST, World, make_world
from tests.integration.simulator_fixtures import RunningSimulator


@pytest.fixture
def world(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(aws, simulator, monkeypatch)


class Account:
    """Four customers at Stripe and in the mirror, and one without a subscription."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.paying = world.customer
        world.subscribe()
        self.leaking, self.locked, self.lost = (self._customer(name) for name in ("Leak", "locked", "lost"))
        (held,) = world.subscribe(customer=self.leaking)
        world.simulator.client().v1.subscriptions.update(held, {"pause_collection": {"behavior": "void"}})
        world.subscribe(customer=self.locked)
        world.subscribe(customer=self.lost)
        self.free = self._customer("free")
        world.portal("backfill", *FAST)
        # The paid time has run out.
        self.now = world.later(60 * 86400)

    def _customer(self, name: str) -> str:
        params: Any = {"email": f"{name}@example.com", "payment_method": "pm_card_visa"}
        return str(self.world.simulator.client().v1.customers.create(params).id)


@pytest.fixture
def account(world: World, monkeypatch: pytest.MonkeyPatch) -> Account:
    account = Account(world)
    deployment = replace(world.deployment, clock=account.now)
    monkeypatch.setattr(Deployment, "of_stack", lambda _name: deployment)
    return account


def compare(world: World, path: Path, text: str, *options: str) -> Any:
    path.write_text(text)
    return world.portal("access", "--compare", str(path), *options, *FAST)


def test_every_kind_of_difference_by_customer_id(account: Account, tmp_path: Path) -> None:
    world = account.world
    (unmirrored,) = {world.subscribe(customer=account.free)[0]}
    text = (
        "customer,served\n"
        f"{account.paying},yes\n{account.leaking},yes\n{account.locked},no\ncus_nope,yes\n{account.free},yes\nbad,yes\n"
    )
    result = compare(world, tmp_path / "users.csv", text, "--format", "json")
    assert result.exit_code == 3
    answer = json.loads(result.stdout)
    found = {each["customer"]: each["kind"] for each in answer["differences"]}
    assert found == {
        account.leaking: "served_without_access",
        account.locked: "not_served",
        account.lost: "not_listed",
        "cus_nope": "unknown_to_stripe",
        account.free: "not_mirrored",
    }
    (leak,) = (each for each in answer["differences"] if each["customer"] == account.leaking)
    assert (leak["reason"], leak["monthly"], leak["line"]) == ("collection_paused", {"eur": "12.00"}, 3)
    assert leak["since"] is not None
    assert (answer["lines"], answer["bad_lines"], answer["is_whole"]) == (6, 1, False)
    assert "line 7: 'bad' is neither" in result.stderr
    assert unmirrored not in world.held()


def test_addresses_are_found_whatever_their_case(account: Account, tmp_path: Path) -> None:
    world = account.world
    lines = ("ADA@example.com;yes", "leak@Example.com;yes", "locked@example.com;no", "who@example.com;yes")
    text = "\r\n".join(("email;served", *lines))
    result = compare(world, tmp_path / "users.csv", text, "--format", "csv")
    assert result.exit_code == 3
    found = {each["customer"] or each["email"]: each for each in csv.DictReader(StringIO(result.stdout))}
    assert {name: each["kind"] for name, each in found.items()} == {
        account.leaking: "served_without_access",
        account.locked: "not_served",
        account.lost: "not_listed",
        "who@example.com": "unknown_to_stripe",
    }
    assert found[account.leaking]["email"] == "leak@example.com"
    assert found[account.leaking]["monthly"] == "12.00 EUR"


def test_an_address_of_two_customers_is_right_if_one_has_service(account: Account, tmp_path: Path) -> None:
    world = account.world
    twin: Any = {"email": "ada@example.com"}
    world.simulator.client().v1.customers.create(twin)
    text = f"email,customer_id,served\nada@example.com,,yes\n,{account.locked},yes\n,{account.lost},yes\n"
    result = compare(world, tmp_path / "users.csv", text)
    assert (result.exit_code, result.stdout) == (0, "3 lines read, 3 customers compared: no difference.\n")


def test_people_read_whom_why_and_since_when_in_their_language(account: Account, tmp_path: Path) -> None:
    world = account.world
    text = f"customer,served\n{account.leaking},yes\n{account.paying},yes\n{account.locked},yes\n{account.lost},yes\n"
    result = compare(world, tmp_path / "users.csv", text)
    assert "Served, and should not be (1)" in result.stdout
    assert account.leaking in result.stdout
    assert "collection is paused (collection_paused)." in " ".join(result.stdout.split())
    assert "12.00 EUR a month." in " ".join(result.stdout.split())
    french = compare(world, tmp_path / "users.csv", text, "--language", "fr")
    assert "Servis à tort (1)" in french.stdout


def test_a_stripe_that_refuses_costs_only_what_it_is_asked_for(account: Account, tmp_path: Path) -> None:
    world = account.world
    world.fail({"method": "GET", "path": "/v1/subscriptions", "status": 400, "message": "Not now."})
    served = (account.leaking, account.paying, account.locked, account.lost, "cus_nope")
    text = "customer,served\n" + "".join(f"{each},yes\n" for each in served)
    result = compare(world, tmp_path / "users.csv", text)
    assert result.exit_code == 3
    assert "Stripe could not be asked" in result.stdout
    assert "Served, and should not be (2)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["access"], "Name a customer"),
        (["access", "cus_1", "--compare", "x.csv"], "not both"),
        (["access", "cus_1", "--format", "csv"], "need --compare"),
        (["access", "--compare", "/nowhere/users.csv"], "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(world: World, arguments: list[str], message: str) -> None:
    with pytest.raises(Exception, match=message):
        world.portal(*arguments)
