"""Every check of the audit, over HTTP, against an account that has what it finds, and one that only just has not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.audit.check import AuditDay
from shared.audit.checks.registry import CHECKS
from shared.audit.findings import Finding
from shared.audit.scan import Sources, run_audit
from shared.mirror.items import Beginnings, MirroredSubscription
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON
from shared.stripe.lists import PAGE
from shared.stripe.pacing import RateLimit
from shared.stripe.subscription import read_subscription
from tests.audit_account import CASES, ENDPOINT, MORE_CASES, NOW, SECOND, World
from tests.clock import Clock
from tests.fakes import FakeTable
from tests.integration.simulator_fixtures import Server

EVERY = [*CASES.items(), *MORE_CASES.items()]
PLACES = [pytest.param(place, check, id=f"{check}-{place}") for place, (check, _) in enumerate(EVERY)]


@dataclass(frozen=True)
class Audited:
    """What each check found in an account, and the subject of each case."""

    findings: Mapping[str, list[Finding]]
    subjects: Mapping[int, str | None]

    def names(self, check: str, place: int) -> bool:
        """Whether a finding of the check names the subject of a case; any finding, if that has no subject."""
        subject = self.subjects[place]
        found = self.findings.get(check, [])
        assert all(not each.more for each in found), f"{check} names only some of its subjects: use fewer cases"
        return any(subject is None or subject in each.subjects for each in found)


def audited(server: Server, *, positive: bool) -> Audited:
    with server.simulator(now=SECOND) as running:
        world = World(running, server.app.state.simulator)  # type: ignore[union-attr]
        subjects = {
            place: (case.positive if positive else case.near_miss)(world) for place, (_, case) in enumerate(EVERY)
        }
        clock = Clock()
        sources = Sources(
            world.client,
            mirror_of(world),
            RateLimit(100, clock=clock, sleep=clock.sleep),
            timedelta(seconds=3),
            timedelta(days=400),
            repair=False,
            allow_verified_email=True,
            dead_letters=lambda: world.dead_letters,
            pauses=world.pauses,
        )
        day = AuditDay.at(NOW, ZoneInfo("UTC"), button_removed_on=PAUSE_BUTTON_REMOVED_ON, cutoff_on=PAUSE_CUTOFF_ON)
        findings: dict[str, list[Finding]] = {}
        for finding in run_audit(sources, day, webhook_url=ENDPOINT, access_list=world.access_list).every_finding():
            findings.setdefault(finding.check, []).append(finding)
        return Audited(findings, subjects)


def mirror_of(world: World) -> FakeTable:
    table = FakeTable()
    for raw in world.client.raw_request("get", "/v1/subscriptions", limit=PAGE).data["data"]:
        read = read_subscription(raw)
        if read.id not in world.missing:
            known = world.beginnings.get(read.id, Beginnings())
            table.items[read.customer_id, read.id] = MirroredSubscription(
                read, SECOND - 60, 1, "evt_1", known, stamp_lag=world.stamp_lag
            )
    return table


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def leaking(server: Server) -> Audited:
    return audited(server, positive=True)


@pytest.fixture(scope="module")
def near(server: Server) -> Audited:
    return audited(server, positive=False)


def test_every_check_has_a_case_and_a_near_miss() -> None:
    assert {check.name for check in CHECKS} - CASES.keys() == set()


@pytest.mark.parametrize(("place", "check"), PLACES)
def test_a_check_finds_what_it_is_for(leaking: Audited, place: int, check: str) -> None:
    assert leaking.names(check, place)


@pytest.mark.parametrize(("place", "check"), PLACES)
def test_a_check_leaves_alone_what_only_just_is_not(near: Audited, place: int, check: str) -> None:
    assert not near.names(check, place)


def test_the_near_misses_cost_no_finding_about_the_audit_itself(near: Audited, leaking: Audited) -> None:
    own = {"crashed_check", "missing_permission", "unreadable_list", "unreadable_subscription"}
    assert own & (near.findings.keys() | leaking.findings.keys()) == set()
