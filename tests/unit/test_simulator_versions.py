"""What each version of the API sends and accepts.

The table is the record of Stripe's version boundaries: stripe-node's changelog, docs.stripe.com/changelog, and the
recorded subscriptions in tests/fixtures.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from local.stripe_simulator import versions
from local.stripe_simulator.resources import events
from local.stripe_simulator.versions import CURRENT, RELEASES, known_versions
from shared.stripe.events import SnapshotEvent, SubscriptionEvent, read_event, subscription_event
from shared.stripe.subscription import read_subscription
from tests.simulator_in_process import Params, SimulatorInProcess

NOW = 1_795_000_000
FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").glob("subscription-*.json"))
SINCE_2019 = sorted(version for version in known_versions() if version >= "2019")


@dataclass
class Shop:
    """An account with a subscription that shows as many fields as possible."""

    stripe: SimulatorInProcess
    customer: str
    product: str
    price: str
    subscription: str

    def read(self, path: str, version: str, params: Params | None = None) -> dict[str, Any]:
        answer = self.stripe.call("GET", path, params, version=version)
        assert answer.status == 200, answer.body
        return answer.body

    def change(self, path: str, params: Params | None = None, version: str = CURRENT) -> dict[str, Any]:
        answer = self.stripe.call("POST", path, params, version=version)
        assert answer.status == 200, answer.body
        return answer.body

    def subscribe(self, version: str = CURRENT, **params: Any) -> dict[str, Any]:
        base = {"customer": self.customer, "items[0][price]": self.price}
        return self.change("subscriptions", base | params, version)


@pytest.fixture
def shop() -> Shop:
    stripe = SimulatorInProcess(NOW)
    customer = stripe.create(
        "customers", {"email": "ada@example.com", "business_name": "Ada", "payment_method": "pm_card_visa"}
    )
    product = stripe.create("products", {"name": "Gold", "marketing_features[0][name]": "Fast"})
    price = stripe.create(
        "prices", {"product": product, "currency": "eur", "unit_amount": 1250, "recurring[interval]": "month"}
    )
    stripe.create("coupons", {"id": "FIVE", "amount_off": 500, "currency": "eur"})
    subscription = stripe.create(
        "subscriptions",
        {
            "customer": customer,
            "items[0][price]": price,
            "items[0][quantity]": 3,
            "discounts[0][coupon]": "FIVE",
            "billing_mode[type]": "classic",
        },
    )
    stripe.call("POST", f"subscriptions/{subscription}", {"pause_collection[behavior]": "void"})
    return Shop(stripe, customer, product, price, subscription)


def paths(value: Any, prefix: str = "") -> set[str]:
    """The names of all fields, those inside other objects by their whole path."""
    if isinstance(value, list):
        return set().union(*(paths(one, prefix) for one in value))
    if not isinstance(value, dict):
        return set()
    own = {f"{prefix}{name}" for name in value if prefix != "metadata."}
    return own.union(*(paths(inner, f"{prefix}{name}.") for name, inner in value.items()))


# Fields of the recorded subscriptions that their versions did not have, as far as the source beside them says.
NOT_STRIPES = {
    "billed_until": "only when expanded, since 2026-05-27 (docs.stripe.com/changelog/dahlia/2026-05-27)",
    "tiers": "only when expanded, since 2020-08-27",
    "aggregate_usage": "removed at 2025-03-31.basil (stripe-node 18.0.0)",
    "updated_at": "absent where it is null (stripe-node 23.1.0)",
}


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_a_subscription_has_every_field_that_was_recorded_of_its_version(shop: Shop, file: Path) -> None:
    version = file.stem.removeprefix("subscription-")
    recorded = json.loads(file.read_text())
    rendered = shop.read(f"subscriptions/{shop.subscription}", version)
    absent = paths(recorded) - paths(rendered)
    assert {path for path in absent if path.rpartition(".")[2] not in NOT_STRIPES} == {
        # The customer of the recordings has no metadata key of this name.
        *({"metadata.order"} & absent)
    }


@pytest.mark.parametrize("newer_fields", [False, True], ids=["strict", "newer_fields"])
def test_the_reader_of_this_project_reads_the_same_subscription_from_every_version(
    shop: Shop,
    newer_fields: bool,  # noqa: FBT001 - a column of the table
) -> None:
    shop.stripe.app.state.simulator.faults.newer_fields = newer_fields
    today = read_subscription(shop.read(f"subscriptions/{shop.subscription}", CURRENT))
    assert len(SINCE_2019) > 40
    for version in SINCE_2019:
        read = read_subscription(shop.read(f"subscriptions/{shop.subscription}", version))
        # What a version does not say is all that may differ.
        assert replace(read, billing_mode=today.billing_mode) == today, version


@pytest.mark.parametrize("version", ["2026-10-28.endive", "2026-09-30.endive", "2026-08-26.dahlia", "2024-06-20"])
def test_a_paused_subscription_reads_as_paused_whatever_the_version_says_of_it(shop: Shop, version: str) -> None:
    paused = shop.subscribe()["id"]
    shop.change(f"subscriptions/{paused}/pause")
    read = read_subscription(shop.read(f"subscriptions/{paused}", version))
    assert read.pause_kind == "subscription"
    assert (read.paused_reason == "pause_requested") == (version >= "2026-09-30")


CONFIGURATION = {"name": "Ours", "features[invoice_history][enabled]": "true"}


def told_by_every_version(shop: Shop, kind: str) -> dict[str, SubscriptionEvent]:
    """What this project reads in the newest event of a type, as an endpoint of each version gets it."""
    simulator = shop.stripe.app.state.simulator
    stored = simulator.store.events
    event = next(one for _, _, name in stored.positions()[::-1] if (one := stored.get(name))["type"] == kind)
    told = {}
    for version in SINCE_2019:
        sent = events.in_version(simulator, event, {"api_version": version})
        assert sent["api_version"] == version
        read = read_event(json.dumps(sent).encode())
        assert isinstance(read, SnapshotEvent)
        told[version] = subscription_event(read)
    return told


def test_the_mirror_learns_the_same_of_a_paused_collection_from_every_version(shop: Shop) -> None:
    shop.change(f"subscriptions/{shop.subscription}", {"pause_collection": ""})
    shop.change(f"subscriptions/{shop.subscription}", {"pause_collection[behavior]": "void"})
    told = told_by_every_version(shop, "customer.subscription.updated")
    end = told[CURRENT].subscription.current_period_end
    assert {(one.starts_pause, one.paid_through) for one in told.values()} == {(True, end)}


def test_the_mirror_keeps_what_was_paid_before_a_real_pause_whatever_the_version(shop: Shop) -> None:
    """A pause cuts the period; only what changed says until when it was paid."""
    subscription = shop.subscribe()
    end = subscription["items"]["data"][0]["current_period_end"]
    clock = shop.stripe.app.state.simulator.clock
    clock.set(NOW + 86_400)
    shop.change(f"subscriptions/{subscription['id']}/pause")
    told = told_by_every_version(shop, "customer.subscription.updated")
    assert {(one.starts_pause, one.paid_through) for one in told.values()} == {(True, end)}
    assert {one.subscription.current_period_end for one in told.values()} == {NOW + 86_400}


# (path of the request, path of the field, first version that has it or, with "until", first that has it no more)
FIELDS = [
    ("subscriptions/{subscription}", "items.data.current_period_end", "since", "2025-03-31.basil"),
    ("subscriptions/{subscription}", "current_period_end", "until", "2025-03-31.basil"),
    ("subscriptions/{subscription}", "current_period_start", "until", "2025-03-31.basil"),
    ("subscriptions/{subscription}", "discount", "until", "2025-03-31.basil"),
    ("subscriptions/{subscription}", "discount.coupon", "until", "2025-03-31.basil"),
    ("subscriptions/{subscription}", "items.data.plan.aggregate_usage", "until", "2025-03-31.basil"),
    ("subscriptions/{subscription}", "billing_mode", "since", "2025-06-30.basil"),
    ("subscriptions/{subscription}", "billing_mode.flexible", "since", "2025-09-30.clover"),
    ("subscriptions/{subscription}", "customer_account", "since", "2025-12-15.clover"),
    ("subscriptions/{subscription}", "managed_payments", "since", "2026-04-22.dahlia"),
    ("subscriptions/{subscription}", "billing_schedules", "since", "2026-05-27.dahlia"),
    ("subscriptions/{subscription}", "cancellation_details.feedback_option", "since", "2026-08-26.dahlia"),
    ("subscriptions/{subscription}", "items.data.current_trial", "since", "2026-09-30.endive"),
    ("subscriptions/{subscription}", "trial_settings.end_behavior.billing_cycle_anchor", "since", "2026-09-30.endive"),
    ("subscriptions/{subscription}", "items.data.price", "since", "2020-08-27"),
    ("subscriptions/{subscription}", "tax_percent", "until", "2020-08-27"),
    ("subscriptions/{subscription}", "billing", "until", "2019-10-17"),
    ("subscriptions/{subscription}", "start", "until", "2019-10-17"),
    ("subscriptions/{paused}", "status_details", "since", "2026-09-30.endive"),
    ("subscription_schedules/{schedule}", "pause_schedules", "since", "2026-09-30.endive"),
    ("subscription_schedules/{schedule}", "billing_mode", "since", "2025-06-30.basil"),
    ("subscription_schedules/{schedule}", "phases.coupon", "until", "2025-03-31.basil"),
    ("subscription_schedules/{schedule}", "phases.items", "since", "2020-08-27"),
    ("subscription_schedules/{schedule}", "phases.plans", "until", "2020-08-27"),
    ("invoices/{invoice}", "parent", "since", "2025-03-31.basil"),
    ("invoices/{invoice}", "total_taxes", "since", "2025-03-31.basil"),
    ("invoices/{invoice}", "subscription", "until", "2025-03-31.basil"),
    ("invoices/{invoice}", "paid", "until", "2025-03-31.basil"),
    ("invoices/{invoice}", "discount", "until", "2025-03-31.basil"),
    ("invoices/{invoice}", "amount_paid_off_stripe", "since", "2026-05-27.dahlia"),
    ("invoices/{invoice}", "lines.data.pricing", "since", "2025-03-31.basil"),
    ("invoices/{invoice}", "lines.data.plan", "until", "2025-03-31.basil"),
    ("invoices/{invoice}", "lines.data.subscription_item", "until", "2025-03-31.basil"),
    ("products/{product}", "marketing_features", "since", "2024-04-10"),
    ("products/{product}", "features", "until", "2024-04-10"),
    ("customers/{customer}", "business_name", "since", "2025-09-30.clover"),
    ("billing_portal/configurations/{configuration}", "name", "since", "2025-08-27.basil"),
    ("billing_portal/configurations/{configuration}", "features.subscription_pause.duration", "since", CURRENT),
    (
        "billing_portal/configurations/{configuration}",
        "features.subscription_update.billing_cycle_anchor",
        "since",
        "2025-12-15.clover",
    ),
    (
        "billing_portal/configurations/{configuration}",
        "features.subscription_update.trial_update_behavior",
        "since",
        "2025-09-30.clover",
    ),
    (
        "billing_portal/configurations/{configuration}",
        "features.subscription_update.schedule_at_period_end",
        "since",
        "2024-10-28.acacia",
    ),
    (
        "billing_portal/configurations/{configuration}",
        "features.subscription_cancel.cancellation_reason.feedback_options",
        "since",
        "2026-08-26.dahlia",
    ),
]


@pytest.mark.parametrize(("request_path", "field", "what", "boundary"), FIELDS, ids=lambda value: str(value)[-40:])
def test_a_field_is_there_in_the_versions_that_have_it(
    shop: Shop, request_path: str, field: str, what: str, boundary: str
) -> None:
    names = {name: getattr(shop, name) for name in ("subscription", "customer", "product")}
    if "{invoice}" in request_path:
        names["invoice"] = shop.subscribe()["latest_invoice"]
    if "{configuration}" in request_path:
        names["configuration"] = shop.stripe.create("billing_portal/configurations", CONFIGURATION)
    if "{schedule}" in request_path:
        names["schedule"] = shop.stripe.create("subscription_schedules", {"from_subscription": shop.subscription})
    if "{paused}" in request_path:
        names["paused"] = shop.subscribe()["id"]
        shop.change(f"subscriptions/{names['paused']}/pause")
    for version in SINCE_2019:
        there = field in paths(shop.read(request_path.format(**names), version))
        assert there == (version >= boundary if what == "since" else version < boundary), version


def test_billing_thresholds_were_gone_for_two_months(shop: Shop) -> None:
    for version, there in [("2025-02-24.acacia", True), ("2025-03-31.basil", False), ("2025-05-28.basil", True)]:
        subscription = shop.read(f"subscriptions/{shop.subscription}", version)
        assert ("billing_thresholds" in subscription) == there
        assert ("billing_thresholds" in subscription["items"]["data"][0]) == there


def test_a_discount_names_its_coupon_as_its_version_does(shop: Shop) -> None:
    expanded = {"expand[0]": "discounts"}
    path = f"subscriptions/{shop.subscription}"
    (today,) = shop.read(path, CURRENT, expanded)["discounts"]
    assert (today["source"]["coupon"], "coupon" in today) == ("FIVE", False)
    (older,) = shop.read(path, "2025-08-27.basil", expanded)["discounts"]
    assert (older["coupon"]["id"], older["coupon"]["amount_off"], "source" in older) == ("FIVE", 500, False)
    oldest = shop.read(path, "2024-06-20")
    assert (oldest["discount"]["coupon"]["id"], oldest["discounts"]) == ("FIVE", [today["id"]])


def test_a_promotion_code_names_its_coupon_as_its_version_does(shop: Shop) -> None:
    new = shop.change("promotion_codes", {"promotion[type]": "coupon", "promotion[coupon]": "FIVE", "code": "NEW"})
    old = shop.change("promotion_codes", {"coupon": "FIVE", "code": "OLD"}, "2025-08-27.basil")
    assert (new["promotion"]["coupon"], old["coupon"]["id"], "promotion" in old) == ("FIVE", "FIVE", False)
    refused = shop.stripe.call("POST", "promotion_codes", {"promotion[type]": "coupon"}, version="2025-08-27.basil")
    assert refused.error["message"] == "Received unknown parameter: promotion"


def test_an_invoice_before_basil_names_its_subscription_and_the_prices_of_its_lines(shop: Shop) -> None:
    subscription = shop.subscribe(**{"discounts[0][coupon]": "FIVE"})
    shop.stripe.call("DELETE", "coupons/FIVE")
    old = shop.read(f"invoices/{subscription['latest_invoice']}", "2025-02-24.acacia")
    assert (old["subscription"], old["paid"], old["tax"], old["total_tax_amounts"]) == (
        *(subscription["id"], True, None, []),
    )
    # Of a coupon that was deleted since, too.
    assert old["discount"]["coupon"]["id"] == "FIVE"
    (line,) = old["lines"]["data"]
    (item,) = subscription["items"]["data"]
    assert (line["type"], line["subscription_item"], line["proration"]) == ("subscription", item["id"], False)
    assert (line["price"]["id"], line["plan"]["id"], line["plan"]["aggregate_usage"]) == (shop.price, shop.price, None)


def test_old_fields_that_hold_objects_can_be_expanded(shop: Shop) -> None:
    subscription = shop.subscribe(**{"discounts[0][coupon]": "FIVE"})["id"]
    for path in ("latest_invoice.subscription", "latest_invoice.payment_intent", "discount.coupon", "plan.product"):
        shop.read(f"subscriptions/{subscription}", "2024-06-20", {"expand[0]": path})
        refused = shop.stripe.call("GET", f"subscriptions/{subscription}", {"expand[0]": path})
        assert refused.error["code"] == "property_cannot_be_expanded"
    nested = shop.read(f"subscriptions/{subscription}", "2024-06-20", {"expand[0]": "latest_invoice.subscription"})
    assert nested["latest_invoice"]["subscription"]["current_period_end"] == nested["current_period_end"]


def test_items_of_different_periods_have_the_narrowest_period_before_basil(shop: Shop) -> None:
    yearly = shop.stripe.create(
        "prices", {"product": shop.product, "currency": "eur", "unit_amount": 9, "recurring[interval]": "year"}
    )
    mixed = shop.subscribe(**{"items[1][price]": yearly})
    ends = [item["current_period_end"] for item in mixed["items"]["data"]]
    assert len(set(ends)) == 2
    old = shop.read(f"subscriptions/{mixed['id']}", "2025-02-24.acacia")
    assert (old["current_period_end"], old["plan"], old["quantity"]) == (min(ends), None, None)


def test_the_old_pause_of_the_portal_is_a_switch_alone(shop: Shop) -> None:
    configuration = shop.stripe.create(
        "billing_portal/configurations", {"features[subscription_pause][enabled]": "true"}
    )
    shown = {
        version: shop.read(f"billing_portal/configurations/{configuration}", version)["features"].get(
            "subscription_pause"
        )
        for version in ("2023-10-16", "2024-04-10", "2026-09-30.endive")
    }
    assert shown == {"2023-10-16": {"enabled": True}, "2024-04-10": None, "2026-09-30.endive": None}


def test_checkout_calls_its_page_as_its_version_does(shop: Shop) -> None:
    params = {
        "mode": "subscription",
        "success_url": "https://example.com",
        "line_items[0][price]": shop.price,
        "line_items[0][quantity]": 1,
    }
    old = shop.change("checkout/sessions", params | {"payment_method_types[0]": "card"}, "2025-12-15.clover")
    assert (old["ui_mode"], "managed_payments" in old) == ("hosted", False)
    today = shop.read(f"checkout/sessions/{old['id']}", CURRENT)
    assert today["ui_mode"] == "hosted_page"
    answer = shop.stripe.call("POST", "checkout/sessions", params | {"payment_method_types[0]": "card"})
    assert answer.error["message"] == "Received unknown parameter: payment_method_types"
    answer = shop.stripe.call(
        "POST", "checkout/sessions", params | {"payment_method_types[0]": "boleto"}, version="2025-12-15.clover"
    )
    assert answer.error["code"] == "not_implemented_by_simulator"


@pytest.mark.parametrize(
    ("path", "params", "since", "message"),
    [
        ("subscriptions/{subscription}/pause", {}, "2026-09-30.endive", "Unrecognized request URL"),
        ("subscriptions/{subscription}/migrate", {"billing_mode[type]": "flexible"}, "2025-06-30.basil", "Unrecogn"),
        ("subscriptions", {"billing_mode[type]": "flexible"}, "2025-06-30.basil", "unknown parameter: billing_mode"),
        (
            "subscriptions",
            {"billing_mode[type]": "flexible", "billing_mode[flexible][proration_discounts]": "itemized"},
            "2025-09-30.clover",
            "unknown parameter: billing_mode",
        ),
        (
            "subscriptions",
            {"trial_settings[end_behavior][billing_cycle_anchor]": "trial_end"},
            "2026-09-30.endive",
            "unknown parameter: trial_settings[end_behavior][billing_cycle_anchor]",
        ),
        ("subscriptions/{subscription}", {"cancel_at": "max_period_end"}, "2025-07-30.basil", "Invalid integer"),
        (
            "subscription_schedules",
            {"from_subscription": "{subscription}", "pause_schedules": ""},
            "2026-09-30.endive",
            "unknown parameter: pause_schedules",
        ),
        (
            "billing_portal/sessions",
            {"customer": "{customer}", "after_expiration[type]": "customer_login"},
            CURRENT,
            "unknown parameter: after_expiration",
        ),
        (
            "billing_portal/sessions",
            {"customer": "{customer}", "flow_data[type]": "customer_update"},
            "2026-08-26.dahlia",
            "Invalid flow_data[type]",
        ),
        (
            "billing_portal/configurations",
            {"features[subscription_update][schedule_at_period_end][conditions]": ""},
            "2024-10-28.acacia",
            "unknown parameter: features[subscription_update][schedule_at_period_end]",
        ),
        ("customers", {"business_name": "Ada's"}, "2025-09-30.clover", "unknown parameter: business_name"),
    ],
)
def test_a_route_or_parameter_exists_in_the_versions_that_have_it(
    shop: Shop, path: str, params: Params, since: str, message: str
) -> None:
    ids = {"subscription": shop.subscription, "customer": shop.customer}
    known = {name: value.format(**ids) for name, value in params.items()}
    older = max(version for version in SINCE_2019 if version < since)
    refused = shop.stripe.call("POST", path.format(**ids), known, version=older)
    assert message in refused.error["message"]
    taken = shop.stripe.call("POST", path.format(**ids), known, version=since)
    assert message not in taken.body.get("error", {}).get("message", "")


def test_older_versions_make_classic_subscriptions(shop: Shop) -> None:
    modes = {}
    for version in ("2024-06-20", "2025-08-27.basil", "2025-09-30.clover"):
        name = shop.subscribe(version)["id"]
        modes[version] = shop.read(f"subscriptions/{name}", CURRENT)["billing_mode"]["type"]
    assert modes == {"2024-06-20": "classic", "2025-08-27.basil": "classic", "2025-09-30.clover": "flexible"}


def test_older_versions_name_a_coupon_alone(shop: Shop) -> None:
    old = shop.subscribe("2025-02-24.acacia", coupon="FIVE")
    assert old["discount"]["coupon"]["id"] == "FIVE"
    shop.change(f"subscriptions/{old['id']}", {"coupon": ""}, "2025-02-24.acacia")
    assert shop.read(f"subscriptions/{old['id']}", CURRENT)["discounts"] == []
    refused = shop.stripe.call("POST", f"subscriptions/{old['id']}", {"coupon": "FIVE"}, version="2025-03-31.basil")
    assert refused.error["message"] == "Received unknown parameter: coupon"


def test_older_versions_count_a_phase_in_iterations(shop: Shop) -> None:
    quarterly = shop.stripe.create(
        "prices",
        {
            "product": shop.product,
            "currency": "eur",
            "unit_amount": 9,
            "recurring[interval]": "month",
            "recurring[interval_count]": 3,
        },
    )
    schedule = shop.stripe.create("subscription_schedules", {"from_subscription": shop.subscription})
    phase = {
        "phases[0][start_date]": "now",
        "phases[0][items][0][price]": quarterly,
        "phases[0][iterations]": 2,
    }
    path = f"subscription_schedules/{schedule}"
    changed = shop.change(path, phase, "2025-08-27.basil")
    start, end = (changed["phases"][0][name] for name in ("start_date", "end_date"))
    # Six months, the shortest of which have 181 days.
    assert 181 <= (end - start) / 86_400 <= 184
    refused = shop.stripe.call("POST", path, phase)
    assert refused.error["message"] == "Received unknown parameter: phases[0][iterations]"
    for wrong in ("0", "x", "9" * 5000):
        answer = shop.stripe.call("POST", path, phase | {"phases[0][iterations]": wrong}, version="2025-08-27.basil")
        assert answer.error["code"] == "parameter_invalid_integer"


def test_the_anchor_of_an_update_is_a_word_or_a_hash(shop: Shop) -> None:
    path, old = f"subscriptions/{shop.subscription}", "2026-08-26.dahlia"
    assert shop.stripe.call("POST", path, {"billing_cycle_anchor": "now"}, version=old).status == 200
    assert shop.stripe.call("POST", path, {"billing_cycle_anchor[type]": "now"}, version=old).status == 400
    assert shop.stripe.call("POST", path, {"billing_cycle_anchor[type]": "now"}).status == 200
    assert shop.stripe.call("POST", path, {"billing_cycle_anchor": "now"}).status == 400


def test_what_a_request_expands_has_the_form_of_its_version(shop: Shop) -> None:
    answer = shop.read(
        f"subscriptions/{shop.subscription}", "2023-10-16", {"expand[0]": "customer", "expand[1]": "plan.product"}
    )
    assert "customer_account" not in answer["customer"]
    assert "business_name" not in answer["customer"]
    assert answer["plan"]["product"]["features"] == [{"name": "Fast"}]
    listed = shop.read("subscriptions", "2023-10-16", {"expand[0]": "data.plan.product"})["data"]
    assert listed[0]["plan"]["product"]["id"] == shop.product
    for path in ("status", "plan.product", "plan.wrong"):
        version = "2023-10-16" if path != "plan.product" else CURRENT
        refused = shop.stripe.call("GET", f"subscriptions/{shop.subscription}", {"expand[0]": path}, version=version)
        assert refused.error["code"] == "property_cannot_be_expanded", path


def test_lists_and_what_is_stored_keep_their_forms(shop: Shop) -> None:
    listed = shop.read("subscriptions", "2024-06-20", {"status": "all"})["data"]
    assert all("current_period_end" in one and "billing_mode" not in one for one in listed)
    assert "current_period_end" not in shop.read(f"subscriptions/{shop.subscription}", CURRENT)


def test_every_release_of_the_table_is_one_of_stripes_newest_first() -> None:
    names = [release.version for release in RELEASES]
    assert names == sorted(names, reverse=True)
    assert set(names) <= known_versions()
    assert versions.before("2026-09-30.endive", CURRENT)


def test_the_wish_for_newer_fields_keeps_what_stripe_has_been_seen_to_send(shop: Shop) -> None:
    shop.stripe.app.state.simulator.faults.newer_fields = True
    old = shop.read(f"subscriptions/{shop.subscription}", "2024-06-20")
    assert old["billing_mode"]["type"] == "classic"
    assert old["current_period_end"] == old["items"]["data"][0]["current_period_end"]
