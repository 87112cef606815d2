"""`portal plan`, `apply` and `import` against the simulator's account."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stripe
import yaml
from typer.testing import CliRunner, Result

from cli.configuration import commands as configuration_commands
from cli.configuration.apply import PortalAccount
from cli.deployment import KEY_VARIABLE, Deployment
from cli.main import app
from shared.audit.scan import all_configurations
from shared.errors import InvalidRequest, OperatorError, PortalError
from shared.stripe.pacing import RateLimit, Retries
from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import NEW, RunningSimulator, Shop

server, simulator, client, shop = given.server, given.simulator, given.client, given.shop
Portal = Callable[..., Result]
ON = {"enabled": True}
LINKS: dict[str, Any] = {
    "default_return_url": "https://a.example/",
    "business_profile": {"privacy_policy_url": "https://a.example/p", "terms_of_service_url": "https://a.example/t"},
}
PLAIN: dict[str, Any] = {**LINKS, "features": {"invoice_history": ON}}
CHANGES, CREATES = "POST /v1/billing_portal/configurations/{id}", "POST /v1/billing_portal/configurations"


@pytest.fixture
def deployment(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A deployment without groups, whose Stripe is the simulator."""
    made = SimpleNamespace(
        operator_stripe=simulator.client(),
        livemode=False,
        portal_configurations={},
        clock=None,
        allow_verified_email=False,
    )
    monkeypatch.setattr(Deployment, "of_stack", lambda _: made)
    monkeypatch.setattr(configuration_commands, "_PER_SECOND", 100)
    return made


@pytest.fixture
def portal(deployment: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Portal:
    """The command, in a folder of its own."""
    assert not deployment.livemode
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, [*words])


def write(top: dict[str, Any] | None = None, **entries: Any) -> None:
    Path("portal.yaml").write_text(yaml.safe_dump({**(top or {}), "configurations": entries}))


def all_of(client: stripe.StripeClient) -> dict[str, dict[str, Any]]:
    """Every configuration as Stripe shows it, whole, by id."""
    expand: Any = {"limit": 100, "expand": ["data.features.subscription_update.products"]}
    return {each.id: each.to_dict() for each in client.v1.billing_portal.configurations.list(expand).data}


def only(client: stripe.StripeClient) -> dict[str, Any]:
    (one,) = all_of(client).values()
    return one


def error(answer: Result) -> PortalError:
    assert isinstance(answer.exception, PortalError), (answer.stdout, answer.exception)
    return answer.exception


def offering(shop: Shop) -> dict[str, Any]:
    """Plan changes between the shop's two prices, and everything else that there is."""
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id, shop.yearly.id]}]
    return {
        **LINKS,
        "features": {
            "customer_update": {**ON, "allowed_updates": ["email", "tax_id"]},
            "invoice_history": ON,
            "payment_method_update": ON,
            "subscription_cancel": {
                **ON,
                "mode": "immediately",
                "proration_behavior": "create_prorations",
                "cancellation_reason": {**ON, "options": ["other", "unused"]},
            },
            "subscription_pause": {
                **ON,
                "duration": {
                    "type": "interval_options",
                    "interval_options": [{"interval": "week", "interval_count": 2}],
                },
            },
            "subscription_update": {
                **ON,
                "default_allowed_updates": ["price", "quantity"],
                "products": [{**products[0], "adjustable_quantity": {**ON, "minimum": 1, "maximum": 9}}],
                "proration_behavior": "always_invoice",
                "billing_cycle_anchor": "now",
                "schedule_at_period_end": {"conditions": [{"type": "shortening_interval"}]},
                "trial_update_behavior": "continue_trial",
            },
        },
        "login_page": ON,
        "metadata": {"team": "growth"},
    }


def test_a_configuration_is_made_found_again_and_left_alone(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient, shop: Shop
) -> None:
    write(business=offering(shop) | {"groups": ["business", "reseller"]})
    planned = portal("plan")
    assert planned.exit_code == 3
    assert "+ business: to be created" in planned.stdout
    assert 'PortalConfigurations: {"business": "(known after apply)"' in planned.stdout
    assert all_of(client) == {}
    applied = portal("apply", "--yes")
    made = only(client)
    assert applied.exit_code == 0
    assert f"created business ({made['id']}); its login page: {made['login_page']['url']}\n" in applied.stdout
    value = f'{{\\"business\\":\\"{made["id"]}\\",\\"reseller\\":\\"{made["id"]}\\"}}'
    assert f"sam deploy --parameter-overrides 'PortalConfigurations=\"{value}\"'" in applied.stdout
    assert made["metadata"] == {"portal_yaml": "business", "team": "growth"}
    assert made["features"]["subscription_update"]["products"][0]["adjustable_quantity"]["maximum"] == 9
    assert made["features"]["subscription_pause"]["duration"]["interval_options"][0]["interval"] == "week"
    assert made["login_page"]["enabled"]
    for words, code in ((("plan",), 0), (("apply", "--yes"), 0)):
        answer = portal(*words)
        assert answer.exit_code == code
        assert "No difference." in answer.stdout
    assert only(client) == made
    counts = simulator.admin("GET", "requests")
    assert counts[CREATES] == 1
    assert CHANGES not in counts


def test_every_field_is_compared_and_repaired(portal: Portal, client: stripe.StripeClient, shop: Shop) -> None:
    write(business=offering(shop))
    assert portal("apply", "--yes").exit_code == 0
    made = only(client)
    drift: Any = {
        "business_profile": {"headline": "By hand"},
        "default_return_url": "",
        "login_page": {"enabled": False},
        "metadata": {"team": "", "stray": "1"},
        "name": "By hand",
        "features": {
            "invoice_history": {"enabled": False},
            "customer_update": {"allowed_updates": ["email"]},
            "subscription_cancel": {"mode": "at_period_end", "proration_behavior": "none"},
            "subscription_pause": {"duration": {"type": "indefinite"}},
            "subscription_update": {
                "products": [{"product": str(shop.monthly.product), "prices": [shop.monthly.id]}],
                "schedule_at_period_end": {"conditions": ""},
                "billing_cycle_anchor": "unchanged",
            },
        },
        "active": False,
    }
    client.v1.billing_portal.configurations.update(made["id"], drift)
    planned = portal("plan")
    assert planned.exit_code == 3
    update = "features.subscription_update"
    for line in (
        'business_profile.headline: "By hand" -> (nothing)',
        'default_return_url: (nothing) -> "https://a.example/"',
        "login_page.enabled: false -> true",
        'metadata.stray: "1" -> (nothing)',
        'metadata.team: (nothing) -> "growth"',
        'name: "By hand" -> "business"',
        "active: false -> true",
        "features.invoice_history.enabled: false -> true",
        'features.customer_update.allowed_updates: ["email"] -> ["email", "tax_id"]',
        'features.subscription_cancel.mode: "at_period_end" -> "immediately"',
        'features.subscription_cancel.proration_behavior: "none" -> "create_prorations"',
        'features.subscription_pause.duration.type: "indefinite" -> "interval_options"',
        'features.subscription_pause.duration.interval_options: (nothing) -> ["2 week"]',
        f'{update}.schedule_at_period_end.conditions: (nothing) -> ["shortening_interval"]',
        f'{update}.billing_cycle_anchor: "unchanged" -> "now"',
        f"{update}.products[{shop.monthly.product}].adjustable_quantity.enabled: false -> true",
    ):
        assert f"    {line}\n" in planned.stdout
    assert f"{update}.products[{shop.monthly.product}].prices" in planned.stdout
    assert portal("apply", "--yes").exit_code == 0
    after, same = only(client), {"updated": 0}
    assert after | same == made | same
    assert portal("plan").exit_code == 0


def test_what_the_file_no_longer_says_is_switched_off(portal: Portal, client: stripe.StripeClient, shop: Shop) -> None:
    write(business=offering(shop))
    portal("apply", "--yes")
    write(business=PLAIN)
    planned = portal("plan")
    assert "login_page.enabled: true -> false  (its address stops working)" in planned.stdout
    assert portal("apply", "--yes").exit_code == 0
    features = only(client)["features"]
    assert {name for name, feature in features.items() if feature["enabled"]} == {"invoice_history"}
    assert only(client)["metadata"] == {"portal_yaml": "business"}
    assert portal("plan").exit_code == 0


def test_only_what_is_its_own_is_touched(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient
) -> None:
    simulator.admin("POST", "default_configuration", {**PLAIN, "login_page": ON})
    create = client.v1.billing_portal.configurations.create
    foreign: Any = {"features": {"invoice_history": ON}}
    for mark in ("other/business", "/business", "/", "business/", "a b", "shop/x/business"):
        create(foreign | {"metadata": {"portal_yaml": mark}})
    for metadata in ({}, {"portal_yaml": ""}, {"portal_yamls": "business"}):
        create(foreign | {"metadata": metadata})
    before = all_of(client)
    write(business=PLAIN)
    assert portal("apply", "--yes", "--default", "--deactivate").exit_code == 0
    after = all_of(client)
    assert {each: after[each] for each in before} == before
    assert len(after) == len(before) + 1
    write({"project": "shop"}, business=PLAIN)
    assert portal("apply", "--yes", "--deactivate").exit_code == 0
    marks = [each["metadata"].get("portal_yaml") for each in all_of(client).values()]
    assert marks.count("business") == marks.count("shop/business") == 1
    assert all(each["active"] for each in all_of(client).values())


def test_the_default_is_only_touched_when_asked(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient
) -> None:
    write(main=PLAIN | {"default": True, "login_page": ON, "groups": ["all"]})
    missing = error(portal("plan", "--default"))
    assert missing.code == "no_default_configuration"
    assert "Dashboard" in missing.message
    simulator.admin("POST", "default_configuration", {**PLAIN, "login_page": ON, "metadata": {"keep": "me"}})
    assert portal("plan", "--default").exit_code == 0
    made = only(client)
    write(
        main=PLAIN
        | {"default": True, "login_page": ON, "features": {"customer_update": {**ON, "allowed_updates": ["email"]}}}
    )
    planned = portal("plan")
    assert planned.exit_code == 0
    assert f"~ main ({made['id']}): to be changed (only with --default)" in planned.stdout
    assert "features.invoice_history.enabled: true -> false" in planned.stdout
    assert portal("apply", "--yes").exit_code == 0
    assert only(client) == made
    assert portal("plan", "--default").exit_code == 3
    assert portal("apply", "--yes", "--default").exit_code == 0
    assert only(client)["features"]["invoice_history"]["enabled"] is False
    assert only(client)["metadata"] == {"keep": "me"}
    assert portal("plan", "--default").exit_code == 0


def test_what_is_gone_from_the_file_is_switched_off_when_told_and_comes_back(
    portal: Portal, client: stripe.StripeClient
) -> None:
    write(one=PLAIN, two=PLAIN)
    portal("apply", "--yes")
    ids = {each["metadata"]["portal_yaml"]: each["id"] for each in all_of(client).values()}
    write(one=PLAIN)
    planned = portal("plan")
    assert planned.exit_code == 0
    assert f"- two ({ids['two']}): to be deactivated: no longer in the file (only with --deactivate)" in planned.stdout
    assert portal("apply", "--yes").exit_code == 0
    assert all(each["active"] for each in all_of(client).values())
    assert portal("plan", "--deactivate").exit_code == 3
    assert portal("apply", "--yes", "--deactivate").exit_code == 0
    assert [all_of(client)[ids[name]]["active"] for name in ("one", "two")] == [True, False]
    assert portal("plan", "--deactivate").exit_code == 0
    write(one=PLAIN, two=PLAIN)
    assert "active: false -> true" in portal("plan").stdout
    assert portal("apply", "--yes").exit_code == 0
    assert all_of(client).keys() == set(ids.values())
    assert all_of(client)[ids["two"]]["active"]


def test_one_of_its_own_that_is_now_named_by_id_is_not_gone(portal: Portal, client: stripe.StripeClient) -> None:
    write(one=PLAIN)
    portal("apply", "--yes")
    (one,) = all_of(client)
    write(uno=PLAIN | {"id": one})
    assert portal("apply", "--yes", "--deactivate").exit_code == 0
    assert all_of(client)[one]["active"]


def test_what_stripe_fills_in_of_a_feature_that_is_off_is_no_difference(
    portal: Portal, client: stripe.StripeClient
) -> None:
    write(a=PLAIN)
    portal("apply", "--yes")
    (a,) = all_of(client)
    reason = {"enabled": False, "options": ["too_expensive", "other"]}
    filled: Any = {
        "subscription_cancel": {"enabled": False, "mode": "immediately", "cancellation_reason": reason},
        "subscription_update": {"enabled": False, "proration_behavior": "always_invoice"},
        "subscription_pause": {"enabled": False, "duration": {"type": "indefinite"}},
        "customer_update": {"enabled": False, "allowed_updates": ["email"]},
    }
    client.v1.billing_portal.configurations.update(a, {"features": filled})
    assert portal("plan").exit_code == 0
    write(
        a={
            **LINKS,
            "features": {"invoice_history": ON, "subscription_cancel": {"enabled": False, "mode": "at_period_end"}},
        }
    )
    assert 'subscription_cancel.mode: "immediately" -> "at_period_end"' in portal("plan").stdout


def test_what_the_deployment_uses_is_not_switched_off(
    portal: Portal, client: stripe.StripeClient, deployment: SimpleNamespace
) -> None:
    write(one=PLAIN, two=PLAIN | {"groups": ["business"]})
    portal("apply", "--yes")
    (two,) = [each["id"] for each in all_of(client).values() if each["metadata"]["portal_yaml"] == "two"]
    deployment.portal_configurations = {"business": two}
    assert "is already deployed with this value" in portal("apply", "--yes").stdout
    for entries in ({"one": PLAIN}, {"one": PLAIN, "two": PLAIN | {"active": False}}):
        write(**entries)
        refused = error(portal("apply", "--yes", "--deactivate"))
        assert refused.code == "still_deployed"
        assert "group 'business'" in refused.message
        assert all_of(client)[two]["active"]
    deployment.portal_configurations = {}
    assert portal("apply", "--yes", "--deactivate").exit_code == 0
    assert not all_of(client)[two]["active"]


def test_an_inactive_entry_is_not_made(portal: Portal, client: stripe.StripeClient) -> None:
    write(one=PLAIN | {"active": False})
    assert "not created while the file has `active: false`" in portal("apply", "--yes").stdout
    assert all_of(client) == {}


def test_errors_of_the_file_stop_apply_before_stripe_is_asked_to_change_anything(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient, shop: Shop
) -> None:
    twin = client.v1.prices.create(
        {"product": str(shop.monthly.product), "currency": "eur", "unit_amount": 1, "recurring": {"interval": "month"}}
    )
    wrong = offering(shop)
    wrong["features"]["subscription_update"]["products"][0]["prices"].append(twin.id)
    write(good=PLAIN, wrong=wrong)
    for words in (("plan",), ("apply", "--yes")):
        answer = portal(*words)
        assert error(answer).code == "lint_errors"
        assert (
            f"{shop.monthly.id} and {twin.id} of the product {shop.monthly.product} have the same interval"
            in answer.stderr
        )
    assert all_of(client) == {}
    assert CREATES not in simulator.admin("GET", "requests")
    linted = portal("lint", "--account")
    assert linted.exit_code == 1
    assert "[same_interval]" in linted.stdout
    assert portal("lint").exit_code == 0


def test_an_editable_address_is_an_error_where_the_deployment_finds_users_by_it(
    portal: Portal, deployment: SimpleNamespace, client: stripe.StripeClient
) -> None:
    write(team={**LINKS, "features": {"customer_update": {**ON, "allowed_updates": ["email"]}}})
    assert portal("lint", "--account").exit_code == 0
    without = portal("lint", "--allow-verified-email")
    assert without.exit_code == 1
    assert "[editable_email]" in without.stdout
    deployment.allow_verified_email = True
    assert "[editable_email]" in portal("lint", "--account").stdout
    assert error(portal("apply", "--yes")).code == "lint_errors"
    assert all_of(client) == {}


def test_an_error_in_what_stays_as_it_is_stops_nothing(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient
) -> None:
    """The account may hold what Stripe took once, and would not take today."""
    simulator.admin("POST", "configurations", {"features": {"subscription_pause": ON}, "name": "Old"})
    assert portal("import").exit_code == 0
    answer = portal("plan")
    assert answer.exit_code == 0
    assert "[old_pause_form]" in answer.stderr
    file = yaml.safe_load(Path("portal.yaml").read_text())
    file["configurations"]["old"]["name"] = "Older"
    Path("portal.yaml").write_text(yaml.safe_dump(file))
    assert error(portal("apply", "--yes")).code == "lint_errors"
    file["configurations"]["old"]["features"]["subscription_pause"]["duration"] = {"type": "indefinite"}
    Path("portal.yaml").write_text(yaml.safe_dump(file))
    assert portal("apply", "--yes").exit_code == 0
    assert only(client)["features"]["subscription_pause"]["duration"]["type"] == "indefinite"


@pytest.mark.parametrize(
    ("entry", "code"),
    [({"id": "bpc_1"}, "no_such_configuration"), ({"groups": ["x"]}, "lint_errors")],
)
def test_what_the_file_leaves_unclear_stops_everything(
    portal: Portal, client: stripe.StripeClient, entry: dict[str, Any], code: str
) -> None:
    write(a=PLAIN | {"groups": ["x"]}, b=PLAIN)
    portal("apply", "--yes")
    write(a=PLAIN | {"groups": ["x"]}, b=PLAIN | entry)
    assert error(portal("plan")).code == code
    assert len(all_of(client)) == 2


def test_a_failure_halfway_says_what_was_done_and_the_next_run_finishes(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient
) -> None:
    write(b=PLAIN)
    portal("apply", "--yes")
    (b,) = all_of(client)
    write(a=PLAIN, b=PLAIN | {"name": "B"}, c=PLAIN)
    failure = {"status": 400, "method": "POST", "path": f"/v1/billing_portal/configurations/{b}"}
    simulator.admin("POST", "faults", {"fail": [failure]})
    answer = portal("apply", "--yes")
    assert error(answer).code == "apply_failed"
    assert "Not started: c." in error(answer).message
    assert "created a (bpc_" in answer.stdout
    assert f"failed: b ({b}): Stripe refused: A failure that was asked for." in answer.stdout
    assert "sam deploy" not in answer.stdout
    assert len(all_of(client)) == 2
    assert portal("apply", "--yes").exit_code == 0
    assert len(all_of(client)) == 3
    assert all_of(client)[b]["name"] == "B"
    assert portal("plan").exit_code == 0


def test_too_many_requests_are_asked_again(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient
) -> None:
    write(a=PLAIN)
    fail = [{"status": 429, "method": "GET"}, {"status": 429, "method": "POST"}, {"status": 500, "method": "POST"}]
    simulator.admin("POST", "faults", {"fail": fail})
    assert portal("apply", "--yes").exit_code == 0
    assert len(all_of(client)) == 1


@pytest.mark.usefixtures("portal")
def test_nothing_is_done_without_a_yes(client: stripe.StripeClient) -> None:
    write(a=PLAIN)
    for given_answer in ("n\n", ""):
        answer = CliRunner().invoke(app, ["apply"], input=given_answer)
        assert answer.exit_code == 1
        assert "Apply this to the account (test mode)?" in answer.output
    assert all_of(client) == {}
    assert CliRunner().invoke(app, ["apply"], input="y\n").exit_code == 0
    assert len(all_of(client)) == 1


def test_what_somebody_changed_while_the_person_thought_is_not_overwritten(
    portal: Portal, client: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(a=PLAIN)
    portal("apply", "--yes")
    (a,) = all_of(client)
    write(a=PLAIN | {"name": "From the file"})

    def meanwhile(*_: object, **__: object) -> bool:
        client.v1.billing_portal.configurations.update(a, {"business_profile": {"headline": "From elsewhere"}})
        return True

    monkeypatch.setattr("cli.configuration.commands.confirmed", meanwhile)
    answer = portal("apply")
    assert "was changed since it was read: run the command again" in answer.stdout
    assert only(client)["business_profile"]["headline"] == "From elsewhere"
    assert only(client)["name"] == "a"


def test_two_with_one_mark_are_not_chosen_between(portal: Portal, client: stripe.StripeClient) -> None:
    twin: Any = {"features": {"invoice_history": ON}, "metadata": {"portal_yaml": "a"}}
    ids = [client.v1.billing_portal.configurations.create(twin).id for _ in range(2)]
    write(a=PLAIN)
    refused = error(portal("plan"))
    assert refused.code == "ambiguous_configuration"
    assert all(each in refused.message for each in ids)
    client.v1.billing_portal.configurations.update(ids[0], {"active": False})
    assert f"({ids[1]})" in portal("plan").stdout


def test_a_configuration_of_other_code_is_named_by_its_id_and_never_marked(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient
) -> None:
    default = simulator.admin("POST", "default_configuration", PLAIN)["id"]
    metadata: Any = {"portal_yaml": "elsewhere/x", "owner": "billing"}
    off: Any = {"invoice_history": {"enabled": False}}
    foreign = client.v1.billing_portal.configurations.create({"features": off, "metadata": metadata}).id
    write(theirs=PLAIN | {"id": foreign, "metadata": {"owner": "us"}})
    assert portal("apply", "--yes").exit_code == 0
    assert all_of(client)[foreign]["metadata"] == {"portal_yaml": "elsewhere/x", "owner": "us"}
    assert all_of(client)[foreign]["features"]["invoice_history"]["enabled"]
    for wrong, code in ((default, "id_of_the_default"), ("bpc_none", "no_such_configuration")):
        write(theirs=PLAIN | {"id": wrong})
        assert error(portal("apply", "--yes")).code == code


def test_what_is_imported_makes_no_difference(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient, shop: Shop, deployment: SimpleNamespace
) -> None:
    write(business=offering(shop), plain=PLAIN)
    portal("apply", "--yes")
    simulator.admin("POST", "default_configuration", {**PLAIN, "login_page": ON, "metadata": {"a": "1"}})
    simulator.admin("POST", "configurations", {"name": "Legacy plans", "features": {"subscription_pause": ON}})
    create = client.v1.billing_portal.configurations.create
    for more in ({"name": "Legacy plans"}, {"metadata": {"portal_yaml": "other/file", "n": "yes"}}, {"name": "漢"}):
        params: Any = {"features": {"customer_update": {**ON, "allowed_updates": ["email"]}}, **more}
        create(params)
    gone = create({"features": {"invoice_history": {"enabled": True}}}).id
    client.v1.billing_portal.configurations.update(gone, {"active": False})
    before = all_of(client)
    (business,) = [each for each in before.values() if each["metadata"].get("portal_yaml") == "business"]
    deployment.portal_configurations = {"team": business["id"]}
    for words, number in (((), 7), (("--inactive",), 8)):
        answer = portal("import", "--force", *words)
        assert answer.exit_code == 0
        assert f"portal.yaml: {number} configurations written" in answer.stdout
        planned = portal("plan", "--default", "--deactivate")
        assert planned.exit_code == 0, planned.stdout
        assert planned.stdout.count("no difference") == number
    entries = yaml.safe_load(Path("portal.yaml").read_text())["configurations"]
    assert next(iter(entries)) == "default"
    assert {"business", "plain", "legacy-plans", "legacy-plans-2"} <= entries.keys()
    assert entries["business"]["groups"] == ["team"]
    assert "id" not in entries["business"]
    price = entries["business"]["features"]["subscription_update"]["products"][0]["prices"][0]
    assert price == {"price": shop.monthly.id, "interval": "month", "currency": "eur"}
    assert portal("apply", "--yes", "--default", "--deactivate").exit_code == 0
    assert all_of(client) == before


def test_import_writes_over_nothing_and_needs_something(portal: Portal, client: stripe.StripeClient) -> None:
    assert error(portal("import")).code == "nothing_to_import"
    client.v1.billing_portal.configurations.create({"features": {"invoice_history": {"enabled": True}}})
    Path("portal.yaml").write_text("mine")
    assert error(portal("import")).code == "file_exists"
    assert Path("portal.yaml").read_text() == "mine"
    assert "configurations:" in portal("import", "--output", "-").stdout
    assert Path("portal.yaml").read_text() == "mine"


def test_what_others_wrote_cannot_steer_the_terminal(portal: Portal, client: stripe.StripeClient) -> None:
    write(a=PLAIN)
    portal("apply", "--yes")
    (a,) = all_of(client)
    nasty: Any = {"business_profile": {"headline": "\x1b[2Jgone\u202e\x9b1m"}, "metadata": {"\x1bc": "\n= all well"}}
    client.v1.billing_portal.configurations.update(a, nasty)
    planned = portal("plan")
    assert planned.exit_code == 3
    assert not set("\x1b\x9b\u202e") & set(planned.stdout)
    assert "\n= all well" not in planned.stdout
    assert portal("import", "--force").exit_code == 0
    assert portal("plan").exit_code == 0


def test_an_import_that_no_file_could_hold_is_refused(
    portal: Portal, client: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration_commands, "LARGEST_BYTES", 100)
    client.v1.billing_portal.configurations.create({"features": {"invoice_history": {"enabled": True}}})
    assert error(portal("import")).code == "too_many_configurations"
    assert not Path("portal.yaml").exists()


def test_more_than_a_page_of_configurations_is_read(
    portal: Portal, client: stripe.StripeClient, simulator: RunningSimulator
) -> None:
    create = client.v1.billing_portal.configurations.create
    write(first=PLAIN)
    portal("apply", "--yes")
    for _ in range(100):
        create({"features": {"invoice_history": {"enabled": True}}})
    assert "= first (bpc_" in portal("plan").stdout
    assert simulator.admin("GET", "requests")["GET /v1/billing_portal/configurations"] == 3


def test_programs_get_the_plan_as_json(portal: Portal, client: stripe.StripeClient) -> None:
    write(a=PLAIN | {"groups": ["x"]})
    portal("apply", "--yes")
    write(a=PLAIN | {"groups": ["x"], "name": "A"}, b=PLAIN)
    answer = portal("plan", "--format", "json")
    assert answer.exit_code == 3
    found = json.loads(answer.stdout)
    (a,) = all_of(client)
    assert (found["livemode"], found["differences"], found["portal_configurations"]) == (False, 2, {"x": a})
    change = {"path": "name", "before": "a", "after": "A"}
    assert found["steps"][0] == {"name": "a", "id": a, "action": "update", "only_with": None, "changes": [change]}


def test_what_is_off_is_not_sent_to_be_made(
    portal: Portal, client: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older versions require more of a feature than `enabled`, even to say that it is off."""
    sent: list[Any] = []
    create = PortalAccount.create

    def listening(account: PortalAccount, params: Any) -> Any:
        sent.append(params)
        return create(account, params)

    monkeypatch.setattr(PortalAccount, "create", listening)
    write(a=PLAIN, b={**LINKS})
    assert portal("apply", "--yes").exit_code == 0
    assert [params["features"] for params in sent] == [{"invoice_history": ON}, {"invoice_history": {"enabled": False}}]
    assert len(all_of(client)) == 2


def test_an_older_version_is_sent_nothing_that_it_does_not_know(
    portal: Portal, simulator: RunningSimulator, client: stripe.StripeClient, shop: Shop
) -> None:
    old = offering(shop)
    del old["features"]["subscription_pause"]
    for late in ("billing_cycle_anchor", "trial_update_behavior", "schedule_at_period_end"):
        del old["features"]["subscription_update"][late]
    del old["features"]["subscription_update"]["products"][0]["adjustable_quantity"]
    write({"api_version": "2024-06-20"}, a=old)
    # At this version the simulator refuses features[subscription_pause], as Stripe does.
    assert portal("apply", "--yes").exit_code == 0
    assert portal("plan").exit_code == 0
    write({"api_version": "2024-06-20"}, a=offering(shop))
    assert error(portal("plan")).code == "lint_errors"
    assert len(all_of(client)) == 1
    assert simulator.admin("GET", "requests")[CREATES] == 1


def account(client: stripe.StripeClient) -> PortalAccount:
    return PortalAccount(client, NEW, Retries(RateLimit(100, sleep=lambda _: None), chance=lambda: 0))


def test_a_configuration_that_comes_without_its_products_is_read_alone(
    client: stripe.StripeClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the list not expand them, each is asked for by itself."""
    reader = account(client)
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id]}]
    update = {**ON, "default_allowed_updates": ["price"], "products": products}
    made = reader.create({"features": {"payment_method_update": ON, "subscription_update": update}})
    whole = reader.configurations()
    portal = client.v1.billing_portal
    plain = portal.configurations.list
    monkeypatch.setattr(portal.configurations, "list", lambda _, options: plain({"limit": 100}, options))
    monkeypatch.setattr(PortalAccount, "_portal", property(lambda _: portal))
    assert "products" not in portal.configurations.list({}, {}).data[0].to_dict()["features"]["subscription_update"]
    assert reader.configurations() == whole
    assert (
        whole[0]["features"]["subscription_update"]["products"] == made["features"]["subscription_update"]["products"]
    )


def test_the_audit_reads_the_products_too(client: stripe.StripeClient, shop: Shop) -> None:
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id]}]
    update = {**ON, "default_allowed_updates": ["price"], "products": products}
    account(client).create({"features": {"payment_method_update": ON, "subscription_update": update}})
    (read,) = all_configurations(client, Retries(RateLimit(100)))
    assert read["features"]["subscription_update"]["products"][0]["prices"] == [shop.monthly.id]


def test_a_create_whose_answer_was_lost_is_not_made_twice(client: stripe.StripeClient) -> None:
    keys = []

    class Lossy:
        """Takes the request, and loses the first answer."""

        def create(self, params: Any, options: Any) -> Any:
            made = client.v1.billing_portal.configurations.create(params, options)
            keys.append(options["idempotency_key"])
            if len(keys) == 1:
                raise stripe.APIConnectionError("lost")  # type: ignore[no-untyped-call]  # the library's own
            return made

    lossy: Any = SimpleNamespace(v1=SimpleNamespace(billing_portal=SimpleNamespace(configurations=Lossy())))
    account(lossy).create({"features": {"invoice_history": ON}})
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(all_of(client)) == 1


def test_a_key_that_may_not_is_told_which_permission_it_lacks() -> None:
    def refuse(*_: Any) -> None:
        raise stripe.PermissionError("no", http_status=403)

    configurations = SimpleNamespace(list=refuse, create=refuse)
    lacking: Any = SimpleNamespace(v1=SimpleNamespace(billing_portal=SimpleNamespace(configurations=configurations)))
    with pytest.raises(OperatorError, match="Customer portal: Read"):
        account(lacking).configurations()
    with pytest.raises(OperatorError, match="Customer portal: Write"):
        account(lacking).create({})


def test_a_key_that_may_read_prices_and_not_products_is_enough(client: stripe.StripeClient, shop: Shop) -> None:
    def read(price_id: str, params: Any, options: Any) -> stripe.Price:
        if "expand" in params:
            raise stripe.PermissionError("rak_product_read", http_status=403)
        return client.v1.prices.retrieve(price_id, params, options)

    lacking: Any = SimpleNamespace(v1=SimpleNamespace(prices=SimpleNamespace(retrieve=read)))
    found = account(lacking).price(shop.monthly.id)
    assert found
    assert found["product"] == shop.monthly.product


def test_a_price_that_is_not_there_is_nothing_and_another_refusal_is_told(
    client: stripe.StripeClient, simulator: RunningSimulator
) -> None:
    assert account(client).price("price_none") is None
    simulator.admin("POST", "faults", {"fail": [{"status": 400}]})
    with pytest.raises(OperatorError, match="Stripe refused: A failure"):
        account(client).price("price_1")


def test_a_key_of_the_environment_needs_no_stack_but_never_leads_away_from_the_local_one(
    monkeypatch: pytest.MonkeyPatch, deployment: SimpleNamespace
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sk_live_1")
    deployment.portal_configurations = {"business": "bpc_1"}

    def no_stack() -> Any:
        raise InvalidRequest("no_stack", "Cannot read the stack")

    def source(*, local: bool, find: Callable[[], Any] = lambda: deployment) -> configuration_commands.Source:
        context: Any = SimpleNamespace(find_root=lambda: SimpleNamespace(params={"local": local}), obj=find)
        return configuration_commands.Source.from_context(context)

    first = source(local=False, find=no_stack)
    assert (first.livemode, first.mode.id, first.deployed) == (True, "live mode", None)
    later = source(local=False)
    assert (later.livemode, later.client, later.deployed) == (True, deployment.operator_stripe, {"business": "bpc_1"})
    assert not source(local=True).livemode
    with pytest.raises(InvalidRequest, match="Cannot read the stack"):
        source(local=True, find=no_stack)


def test_a_configuration_without_links_is_applied_because_stripe_accepts_it(
    portal: Portal, client: stripe.StripeClient
) -> None:
    write(leave={"features": {"subscription_cancel": ON}})
    applied = portal("apply", "--yes")
    assert applied.exit_code == 0
    assert "info: configurations.leave: This portal configuration lacks: a return URL" in applied.stderr
    assert only(client)["features"]["subscription_cancel"]["enabled"]
