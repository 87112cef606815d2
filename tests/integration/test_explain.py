"""`portal explain` against the simulator, and the simulator's page beside it: they must say the same."""

import html
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import stripe
from typer.testing import CliRunner, Result

from cli.deployment import Deployment
from cli.main import app
from shared.errors import OperatorError, PortalError
from shared.portal import explain
from tests.integration.conftest import Aws
from tests.integration.simulator_fixtures import RunningSimulator, Shop

Subscribe = Callable[..., stripe.Subscription]
MONTH = {"enabled": True, "duration": {"type": "interval_options", "interval_options": [{"interval": "month"}]}}
# What the page's buttons are called, and the topic of the same question.
TOPICS = {"update": "change_plan", "cancel": "cancel", "pause": "pause", "resume": "resume"}


@dataclass
class Explainer:
    """The account, and the command that explains it."""

    simulator: RunningSimulator
    client: stripe.StripeClient
    shop: Shop
    parameters: dict[str, str]

    def run(self, subscription: str, *words: str) -> Result:
        return CliRunner().invoke(app, ["explain", subscription, *words], env={"COLUMNS": "160"})

    def json(self, subscription: str, *words: str) -> dict[str, Any]:
        result = self.run(subscription, "--format", "json", *words)
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def reasons(self, subscription: str, topic: str, *words: str) -> list[str]:
        answers = {each["topic"]: each for each in self.json(subscription, *words)["answers"]}
        return [reason["code"] for reason in answers[topic]["reasons"]]

    def buttons(self, subscription: str, *, configuration: str | None = None, day: str = "") -> set[str]:
        """What the simulator's page offers for a subscription."""
        params: Any = {"customer": str(self.client.v1.subscriptions.retrieve(subscription).customer)}
        if configuration:
            params["configuration"] = configuration
        url = self.client.v1.billing_portal.sessions.create(params).url
        page = html.unescape(self.simulator.session.get(url, params={"as_of": day}, timeout=60).text)
        return set(re.findall(rf'value="(\w+)" data-subscription="{subscription}"', page))


@pytest.fixture
def explainer(
    aws: Aws, simulator: RunningSimulator, client: stripe.StripeClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> Explainer:
    products = [{"product": str(shop.monthly.product), "prices": [shop.monthly.id, shop.yearly.id]}]
    update = {"enabled": True, "default_allowed_updates": ["price"], "products": products}
    features = {
        "subscription_update": update,
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True},
        "subscription_pause": MONTH,
    }
    simulator.admin("POST", "default_configuration", {"features": features})
    old = {**features, "subscription_pause": {"enabled": True}}
    legacy = simulator.admin("POST", "configurations", {"features": old})["id"]
    parameters = {"PortalConfigurations": json.dumps({"legacy": legacy})}
    deployment = Deployment(aws.template.outputs(), simulator.url, parameters=parameters)
    monkeypatch.setattr(Deployment, "of_stack", lambda _name: deployment)
    return Explainer(simulator, client, shop, parameters)


def test_a_plain_subscription_is_explained_in_few_requests(explainer: Explainer, subscribe: Subscribe) -> None:
    subscription = subscribe().id
    explainer.simulator.admin("DELETE", "requests")
    found = explainer.json(subscription)
    assert explainer.simulator.admin("GET", "requests") == {
        "GET /v1/subscriptions/{id}": 1,
        "GET /v1/billing_portal/configurations": 1,
        "GET /v1/customers/{id}/payment_methods": 1,
        "GET /v1/prices": 1,
        "GET /v1/account": 1,
    }
    assert found["summary"] == "In the portal the customer can change and cancel this subscription."
    assert (found["country"], found["payment_methods"]["us_bank_account"]) == ("US", "yes")
    assert (found["group"], found["unread"]) == (None, [])
    assert [(each["code"], each["severity"]) for each in found["problems"]] == [("links_missing", "info")]


def variants(explainer: Explainer, subscribe: Subscribe) -> dict[str, str]:
    """A subscription for each limit."""
    client, shop = explainer.client, explainer.shop
    klarna = client.v1.payment_methods.create({"type": "klarna"}).id
    client.v1.payment_methods.attach(klarna, {"customer": shop.customer.id})
    price = {"currency": "eur", "unit_amount": 2, "product": str(shop.monthly.product)}
    metered: Any = price | {"recurring": {"interval": "month", "usage_type": "metered"}, "tax_behavior": "exclusive"}
    weekly: Any = price | {"recurring": {"interval": "week"}}
    usage, untaxed = (client.v1.prices.create(each).id for each in (metered, weekly))
    scheduled = subscribe().id
    made = client.v1.subscription_schedules.create({"from_subscription": scheduled})
    end = made.phases[0].end_date
    phases: Any = [
        {"items": [{"price": shop.monthly.id}], "start_date": made.phases[0].start_date, "end_date": end},
        {"items": [{"price": shop.yearly.id}], "duration": {"interval": "year"}},
    ]
    client.v1.subscription_schedules.update(made.id, {"phases": phases})
    return {
        "several_items": subscribe(items=[{"price": shop.monthly.id}, {"price": shop.yearly.id}]).id,
        "metered": subscribe(items=[{"price": usage}]).id,
        "send_invoice": subscribe(collection_method="send_invoice", days_until_due=30).id,
        "unsupported_payment_method": subscribe(default_payment_method=klarna).id,
        "tax_behavior_unspecified": subscribe(items=[{"price": untaxed}]).id,
        "scheduled_update": scheduled,
    }


def test_each_limit_is_named_and_the_page_agrees_with_the_command(explainer: Explainer, subscribe: Subscribe) -> None:
    for code, subscription in variants(explainer, subscribe).items():
        found = explainer.json(subscription)
        answers = {each["topic"]: each for each in found["answers"]}
        assert [each["code"] for each in answers["change_plan"]["reasons"]] == [code]
        assert answers["cancel"]["possible"] is (code != "scheduled_update")
        offered = {button for button, topic in TOPICS.items() if answers[topic]["possible"]}
        assert explainer.buttons(subscription) == offered, code


@pytest.mark.parametrize("day", ["2024-03-28", "2024-03-29", "2024-08-01", "2026-10-27", "2026-10-28"])
def test_the_page_agrees_with_the_command_on_pauses_at_every_date(
    explainer: Explainer, subscribe: Subscribe, day: str
) -> None:
    running, suspended, paused = (subscribe().id for _ in range(3))
    explainer.client.v1.subscriptions.update(suspended, {"pause_collection": {"behavior": "void"}})
    explainer.client.v1.subscriptions.pause(paused)
    legacy = json.loads(explainer.parameters["PortalConfigurations"])["legacy"]
    for subscription in (running, suspended, paused):
        for words, configuration in (((), None), (("--group", "legacy"), legacy)):
            answers = explainer.json(subscription, "--as-of", day, *words)["answers"]
            possible = {each["topic"] for each in answers if each["possible"]}
            offered = {button for button, topic in TOPICS.items() if topic in possible}
            assert explainer.buttons(subscription, configuration=configuration, day=day) == offered


def test_a_schedule_is_read_and_stands_in_the_way_only_until_its_last_phase_began(
    explainer: Explainer, subscribe: Subscribe
) -> None:
    subscription = variants(explainer, subscribe)["scheduled_update"]
    end = explainer.client.v1.subscriptions.retrieve(subscription)["items"].data[0].current_period_end
    explainer.simulator.admin("POST", "clock", {"now": end + 60})
    later = ("--as-of", "2035-01-01")
    assert explainer.reasons(subscription, "change_plan", *later) == []
    held = explainer.client.v1.subscriptions.retrieve(subscription)
    assert held["items"].data[0].price.id == explainer.shop.yearly.id
    assert {"update", "cancel"} <= explainer.buttons(subscription)


def test_a_released_schedule_leaves_nothing_behind(explainer: Explainer, subscribe: Subscribe) -> None:
    subscription = variants(explainer, subscribe)["scheduled_update"]
    schedule = explainer.client.v1.subscriptions.retrieve(subscription).schedule
    explainer.client.v1.subscription_schedules.release(str(schedule))
    assert explainer.reasons(subscription, "change_plan") == []
    assert explainer.client.v1.subscriptions.retrieve(subscription).schedule is None


def test_the_customers_group_decides_the_configuration_unless_one_is_named(
    explainer: Explainer, subscribe: Subscribe
) -> None:
    subscription = subscribe().id
    explainer.client.v1.customers.update(explainer.shop.customer.id, {"metadata": {"portal_group": "legacy"}})
    found = explainer.json(subscription)
    legacy = json.loads(explainer.parameters["PortalConfigurations"])["legacy"]
    assert (found["group"], found["configuration"]) == ("legacy", legacy)
    assert explainer.reasons(subscription, "pause") == ["button_removed"]
    assert explainer.reasons(subscription, "pause", "--as-of", "2024-03-28") == []
    default = explainer.client.v1.billing_portal.configurations.list({"is_default": True}).data[0].id
    assert explainer.reasons(subscription, "pause", "--configuration", default) == []


def test_a_stranded_customer_is_told_apart_in_both_languages(explainer: Explainer, subscribe: Subscribe) -> None:
    subscription = subscribe().id
    explainer.client.v1.subscriptions.update(subscription, {"pause_collection": {"behavior": "void"}})
    english = explainer.run(subscription, "--group", "legacy").stdout
    assert "Since 1 August 2024 customers cannot resume" in english
    assert "portal resume --stranded" in english
    assert "serves it for free" in english
    french = explainer.run(subscription, "--group", "legacy", "--language", "fr").stdout
    assert "Depuis le 1er août 2024" in french
    assert "Reprendre\u00a0: non" in french
    may = explainer.run(subscription, "--group", "legacy", "--as-of", "2024-07-31").stdout
    assert "Resume: yes" in may


def test_what_the_key_may_not_read_is_said_and_the_rest_is_answered(explainer: Explainer, subscribe: Subscribe) -> None:
    subscription = variants(explainer, subscribe)["scheduled_update"]
    refused = [
        {"path": path, "status": 403, "times": 9}
        for path in ("/v1/prices", "/v1/account", f"/v1/customers/{explainer.shop.customer.id}", "/v1/subscription_sch")
    ]
    explainer.simulator.admin("POST", "faults", {"fail": refused})
    found = explainer.json(subscription)
    assert found["unread"] == ["Payment Methods", "Subscriptions (schedules)", "Prices", "Account"]
    assert found["country"] is None
    answers = {each["topic"]: each for each in found["answers"]}
    assert any("was not read" in note for note in answers["change_plan"]["notes"])
    assert "may not read: Prices" in explainer.run(subscription).stdout


def test_the_country_of_the_account_can_be_named(explainer: Explainer, subscribe: Subscribe) -> None:
    found = explainer.json(subscribe().id, "--country", "au")
    told = found["payment_methods"]
    assert (told["au_becs_debit"], told["cashapp"], told["sepa_debit"]) == ("yes", "no", "yes")


def test_a_deleted_customers_subscription_is_explained_too(explainer: Explainer, subscribe: Subscribe) -> None:
    subscription = subscribe().id
    explainer.client.v1.customers.delete(explainer.shop.customer.id)
    assert "no access" in explainer.json(subscription)["access"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["sub_none"], "no_subscription"),
        (["{}", "--configuration", "bpc_none"], "no_configuration"),
        (["{}", "--group", "gold"], "unknown_group"),
        (["{}", "--as-of", "yesterday"], "bad_date"),
        (["{}", "--country", "France"], "bad_country"),
    ],
)
def test_what_does_not_exist_is_named(explainer: Explainer, subscribe: Subscribe, words: list[str], code: str) -> None:
    subscription = subscribe().id
    error = explainer.run(*(word.replace("{}", subscription) for word in words)).exception
    assert isinstance(error, PortalError)
    assert error.code == code


def test_who_names_a_customer_is_told_how_to_find_the_subscription(explainer: Explainer) -> None:
    error = explainer.run("cus_1").exception
    assert str(error) == (
        "'cus_1' is not a subscription: write one like sub_123; `portal show cus_...` lists those of a customer"
    )


def test_without_a_default_configuration_the_mend_is_named(
    aws: Aws, simulator: RunningSimulator, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = Deployment(aws.template.outputs(), simulator.url)
    monkeypatch.setattr(Deployment, "of_stack", lambda _name: deployment)
    error = CliRunner().invoke(app, ["explain", subscribe().id]).exception
    assert isinstance(error, OperatorError)
    assert "Save the portal's settings once" in error.message


def test_what_is_wrong_with_the_customers_configuration_is_said_with_the_rules_own_codes(
    explainer: Explainer, subscribe: Subscribe
) -> None:
    subscription = subscribe().id
    found = explainer.json(subscription, "--group", "legacy")
    assert [(each["code"], each["severity"]) for each in found["problems"]] == [
        ("old_pause_form", "error"),
        ("links_missing", "info"),
    ]
    july = explainer.json(subscription, "--group", "legacy", "--as-of", "2024-07-15")["problems"][0]
    assert july["severity"] == "warning"
    assert "until 1 August 2024 (17 days left)" in july["message"]
    shown = re.sub(r"[ \n]+", " ", explainer.run(subscription, "--group", "legacy", "--language", "fr").stdout)
    assert (
        "À vérifier dans cette configuration erreur\u00a0: features.subscription_pause n\u2019a pas de durée" in shown
    )


def test_payment_methods_and_subscriptions_beyond_the_first_page_count(
    explainer: Explainer, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer with two methods can remove one, and one with a live subscription keeps the last one."""
    monkeypatch.setattr("shared.portal.explain._PAGE", 1)
    client, customer = explainer.client, str(subscribe().customer)
    items: Any = [{"price": explainer.shop.monthly.id}]
    # Stripe lists what was never paid with those that are not canceled, and the newest first.
    dead = client.v1.subscriptions.create(
        {"customer": customer, "items": items, "payment_behavior": "default_incomplete"}
    ).id
    explainer.simulator.admin("POST", "clock", {"now": int(time.time()) + 25 * 3600})
    assert client.v1.subscriptions.retrieve(dead).status == "incomplete_expired"
    assert explain._has_live_subscription(client, customer)
    client.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    listed = client.v1.customers.payment_methods.list(customer).data
    assert len(listed) > 1
    assert {*explain._payment_methods(client, customer)} == {each.id for each in listed}
