"""`portal reconcile --entitlements`: a lost signal is found and repaired; `portal replay` applies undelivered ones."""

import json
from dataclasses import replace

import pytest

from cli.deployment import Deployment
from shared.mirror.items import MirroredEntitlements
from tests.integration.conftest import Aws
from tests.integration.recovery_world import FAST, HOUR, World, make_world, reconcile_without_waiting
from tests.integration.simulator_fixtures import RunningSimulator

RECONCILE = ("reconcile", "--entitlements", *FAST)


@pytest.fixture
def world(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> World:
    reconcile_without_waiting(monkeypatch)
    made = make_world(aws, simulator, monkeypatch)
    deployment = replace(
        made.deployment, parameters={**made.deployment.parameters, **aws.template.parameters(), "Entitlements": "true"}
    )
    monkeypatch.setattr(Deployment, "of_stack", lambda _name: deployment)
    return replace(made, deployment=deployment)


def give(world: World, key: str) -> None:
    client = world.simulator.client()
    feature = client.v1.entitlements.features.create({"lookup_key": key, "name": key})
    product = str(client.v1.prices.retrieve(world.price).product)
    client.v1.products.features.create(product, {"entitlement_feature": feature.id})


def held(world: World) -> MirroredEntitlements | None:
    return world.table.customer(world.customer).entitlements


def features(world: World) -> tuple[str, ...] | None:
    found = held(world)
    return found.features if found else None


def test_what_the_mirror_never_saw_is_found_and_filled_in(world: World) -> None:
    give(world, "sso")
    world.subscribe()
    world.portal("backfill", *FAST)
    assert features(world) is None
    looked = world.portal(*RECONCILE)
    assert (looked.exit_code, features(world)) == (1, None)
    assert "Entitlements: 1 at Stripe, 0 in the mirror, 1 absent in the mirror" in looked.output
    assert "A dry run" in looked.output
    repaired = world.portal(*RECONCILE, "--repair")
    assert (repaired.exit_code, features(world)) == (0, ("sso",))
    found = held(world)
    assert found
    assert list(found.products.values()) == [("sso",)]
    assert world.portal(*RECONCILE).exit_code == 0


def test_a_lost_signal_heals(world: World) -> None:
    give(world, "sso")
    subscription, *_ = world.subscribe()
    world.portal("backfill", *FAST)
    world.portal(*RECONCILE, "--repair")
    give(world, "exports")
    world.later(HOUR)
    lost = json.loads(world.portal(*RECONCILE, "--format", "json").output)["entitlements"]
    assert (lost["is_whole"], lost["found"]["different"]) == (False, 1)
    assert lost["drifts"][0]["customer_id"] == world.customer
    assert lost["drifts"][0]["differences"] == [{"field": "features", "mirror": "sso", "stripe": "exports, sso"}]
    world.portal(*RECONCILE, "--repair")
    assert features(world) == ("exports", "sso")
    # The subscription's end was told, that of the entitlements was not.
    world.simulator.client().v1.subscriptions.cancel(subscription)
    world.later(HOUR)
    world.portal(*RECONCILE, "--repair")
    assert features(world) == ()


def test_what_a_signal_has_just_written_is_left_alone(world: World) -> None:
    give(world, "sso")
    world.subscribe()
    world.portal("backfill", *FAST)
    now = world.simulator.admin("GET", "clock")["now"]
    world.table.show_entitlements(world.customer, ("newer",), now, account=None)
    assert world.portal(*RECONCILE, "--repair").exit_code == 0
    assert features(world) == ("newer",)


def test_customers_without_subscriptions_and_features_cost_no_request(world: World) -> None:
    subscription, *_ = world.subscribe()
    world.portal("backfill", *FAST)
    world.portal(*RECONCILE, "--repair")
    world.simulator.client().v1.subscriptions.cancel(subscription)
    world.later(HOUR)
    world.portal("reconcile", "--repair", *FAST)
    before = world.requests("GET /v1/entitlements/active_entitlements")
    world.portal(*RECONCILE)
    assert world.requests("GET /v1/entitlements/active_entitlements") == before


def test_it_is_refused_where_entitlements_are_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    off = replace(world.deployment, parameters={**world.deployment.parameters, "Entitlements": "false"})
    monkeypatch.setattr(Deployment, "of_stack", lambda _name: off)
    with pytest.raises(Exception, match="Entitlements to true"):
        world.portal(*RECONCILE)


def test_an_undelivered_signal_is_replayed(world: World) -> None:
    """The endpoint was down; Stripe still has the event."""
    client = world.simulator.client()
    client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/webhook", "enabled_events": ["*"]})
    give(world, "sso")
    world.subscribe()
    world.later(HOUR)
    world.portal("replay", "--apply", "--only", "undelivered", *FAST)
    assert features(world) == ("sso",)
