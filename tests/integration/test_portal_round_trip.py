"""Whatever a portal.yaml says: applied, it makes no difference any more; imported, it makes none either."""

from pathlib import Path
from typing import Any

import pytest
import stripe
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.configuration.apply import PortalAccount, apply_plan
from cli.configuration.file import load
from cli.configuration.lint import errors, lint_portal
from cli.configuration.model import Portal
from cli.configuration.plan import Action, PlanOptions, PlanStep, make_plan
from cli.configuration.writing import as_yaml
from shared.stripe.pacing import RateLimit, Retries
from tests.integration import simulator_fixtures as fixtures
from tests.integration.simulator_fixtures import NEW, Server
from tests.unit.test_portal_lint import TODAY

server = fixtures.server

URL = st.sampled_from(["https://a.example/", "http://127.0.0.1:8787/x?y=1#z", "https://münchen.example/é"])
ENABLED = st.booleans()
# Text that YAML could take for something else, and text that a terminal or a form could.
TEXT = st.sampled_from(["yes", "1", "null", "2026-10-28", "a: b", "# c", "'\"", "é漢🐢", " x ", "&a", "[]=&%5B", "~"])


def some(*words: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), unique=True)


PAUSES = st.one_of(
    st.just({"type": "indefinite"}),
    st.fixed_dictionaries(
        {
            "type": st.just("interval_options"),
            "interval_options": st.lists(
                st.fixed_dictionaries(
                    {"interval": st.sampled_from(["day", "week", "month", "year"])},
                    optional={"interval_count": st.integers(1, 3)},
                ),
                min_size=1,
                max_size=3,
            ),
        }
    ),
)


def updates(prices: dict[str, list[str]]) -> st.SearchStrategy[dict[str, Any]]:
    products = st.lists(st.sampled_from(sorted(prices)), unique=True, min_size=1).map(
        lambda chosen: [{"product": each, "prices": prices[each]} for each in chosen]
    )
    quantity = st.fixed_dictionaries({"enabled": ENABLED}, optional={"minimum": st.just(1), "maximum": st.just(9)})
    offered = st.tuples(products, quantity).map(
        lambda both: [{**each, "adjustable_quantity": both[1]} for each in both[0]]
    )
    # Stripe refuses the feature without products, whatever it lets customers change.
    return st.fixed_dictionaries(
        {"enabled": ENABLED, "products": offered},
        optional={
            "default_allowed_updates": some("price", "promotion_code", "quantity"),
            "proration_behavior": st.sampled_from(["none", "create_prorations", "always_invoice"]),
            "billing_cycle_anchor": st.sampled_from(["now", "unchanged"]),
            "schedule_at_period_end": some("decreasing_item_amount", "shortening_interval").map(
                lambda kinds: {"conditions": [{"type": kind} for kind in kinds]}
            ),
            "trial_update_behavior": st.sampled_from(["end_trial", "continue_trial"]),
        },
    )


def entries(prices: dict[str, list[str]]) -> st.SearchStrategy[dict[str, Any]]:
    reasons = st.fixed_dictionaries({"enabled": st.just(True), "options": st.just(["other", "unused"])})
    features = st.fixed_dictionaries(
        {},
        optional={
            "customer_update": st.fixed_dictionaries(
                {"enabled": ENABLED}, optional={"allowed_updates": some("email", "address", "tax_id")}
            ),
            "invoice_history": st.fixed_dictionaries({"enabled": ENABLED}),
            "subscription_cancel": st.fixed_dictionaries(
                {"enabled": ENABLED},
                optional={"mode": st.sampled_from(["at_period_end", "immediately"]), "cancellation_reason": reasons},
            ),
            "subscription_pause": st.fixed_dictionaries({"enabled": ENABLED, "duration": PAUSES}),
            "subscription_update": updates(prices),
        },
    ).map(lambda chosen: {"payment_method_update": {"enabled": True}, **chosen})
    profile = {"headline": TEXT, "privacy_policy_url": URL, "terms_of_service_url": URL}
    return st.fixed_dictionaries(
        {"features": features},
        optional={
            "business_profile": st.fixed_dictionaries({}, optional=dict(profile)),
            "default_return_url": URL,
            "login_page": st.fixed_dictionaries({"enabled": ENABLED}),
            "metadata": st.dictionaries(st.sampled_from(["a", "b.c", "products", "é"]), TEXT),
            "name": TEXT,
            "groups": st.just([]),
        },
    )


def shop(client: stripe.StripeClient) -> dict[str, list[str]]:
    """Two products with two prices each."""
    found: dict[str, list[str]] = {}
    for product in ("prod_1", "prod_2"):
        client.v1.products.create({"id": product, "name": product})
        found[product] = [
            client.v1.prices.create(
                {"product": product, "currency": "eur", "unit_amount": 1, "recurring": {"interval": interval}}
            ).id
            for interval in ("month", "year")
        ]
    return found


def steps_of(account: PortalAccount, portal: Portal) -> list[PlanStep]:
    return make_plan(portal, account.configurations(), PlanOptions(default=True, deactivate=True))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "portal.yaml"


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_applied_and_imported_it_makes_no_difference(server: Server, file: Path, data: st.DataObject) -> None:
    with server.simulator() as simulator:
        client = simulator.client()
        prices = shop(client)
        account = PortalAccount(client, NEW, Retries(RateLimit(100)))
        for round_number in range(2):  # the second time what is there has to become something else
            names = st.dictionaries(st.sampled_from(["one", "two"]), entries(prices), min_size=1)
            text = yaml.safe_dump({"configurations": data.draw(names, f"round {round_number}")}, allow_unicode=True)
            file.write_text(text, "utf-8")
            loaded = load(file)
            assert loaded.portal, loaded.problems
            wrong = {each.code for each in errors(lint_portal(loaded, TODAY))}
            assert wrong <= {"links_missing"}, "only what Stripe takes was drawn"
            seen = {each["id"]: each for each in account.configurations()}
            steps = steps_of(account, loaded.portal)
            assert [done.failure for done in apply_plan(account, steps, seen) if done.failure] == []
            assert {step.action for step in steps_of(account, loaded.portal)} == {Action.NOTHING}
        active = [each for each in account.configurations() if each["active"]]
        file.write_text(as_yaml(active, {}, account.price, project=None, version=NEW), "utf-8")
        imported = load(file)
        assert imported.portal, imported.problems
        assert {step.action for step in steps_of(account, imported.portal)} == {Action.NOTHING}
