"""What `portal lint` says of a file before Stripe would."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from cli.configuration.file import _CODES, FileProblem, dotted, load
from cli.configuration.lint import PriceOf, lint_portal
from cli.main import app
from shared.portal.configuration import Features
from shared.portal.rules import RULES

EXAMPLE = Path(__file__).parents[2] / "docs" / "reference" / "portal.example.yaml"
TODAY = date(2026, 11, 24)
ON = {"enabled": True}
LINKS: dict[str, Any] = {
    "default_return_url": "https://a.example/",
    "business_profile": {"privacy_policy_url": "https://a.example/p", "terms_of_service_url": "https://a.example/t"},
}
ADJUSTABLE = {"product": "prod_1", "prices": ["price_1"], "adjustable_quantity": ON}
Lint = Callable[..., list[FileProblem]]


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["lint", *map(str, words)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "portal.yaml"


@pytest.fixture
def check(file: Path) -> Lint:
    """Lint a file of the given entries; each has its links unless it says otherwise."""

    def run(
        *, today: date = TODAY, top: dict[str, Any] | None = None, price_of: PriceOf | None = None, **entries: Any
    ) -> list[FileProblem]:
        whole = {name: {**LINKS, **entry} for name, entry in entries.items()}
        file.write_text(yaml.safe_dump({**(top or {}), "configurations": whole}))
        return lint_portal(load(file), today, price_of)

    return run


def codes(problems: list[FileProblem]) -> list[tuple[str, str]]:
    return [(each.severity, each.code) for each in problems]


def update(**more: Any) -> dict[str, Any]:
    """A configuration with plan changes."""
    products = [{"product": "prod_1", "prices": ["price_1"]}]
    feature = {**ON, "default_allowed_updates": ["price"], "products": products, **more}
    return {"features": {"payment_method_update": ON, "subscription_update": feature}}


def pause(**duration: Any) -> dict[str, Any]:
    return {"features": {"subscription_pause": {**ON, **({"duration": duration} if duration else {})}}}


def test_the_example_of_the_docs_has_nothing_to_fix_and_names_every_key() -> None:
    answer = command(EXAMPLE, "--strict", "--allow-verified-email")
    assert (answer.exit_code, answer.stdout) == (0, f"{EXAMPLE}: nothing to fix.\n")
    text = EXAMPLE.read_text()
    schema = json.dumps(Features.model_json_schema())
    assert [key for key in sorted({*_keys(json.loads(schema))}) if f"{key}:" not in text] == []


def _keys(schema: Any) -> list[str]:
    """Every key of a JSON schema, but the price's count and the rarest ids."""
    found = [key for each in schema["$defs"].values() for key in each["properties"]]
    return [key for key in found if key not in {"payment_method_configuration", "feedback_options"}]


@pytest.mark.parametrize(("length", "wrong"), [(60, []), (61, [("error", "headline_too_long")])])
def test_a_headline_has_sixty_characters_of_any_script(check: Lint, length: int, wrong: list[Any]) -> None:
    for letter in ("x", "é", "漢", "🐢"):
        profile = {**LINKS["business_profile"], "headline": letter * length}
        assert codes(check(a={"business_profile": profile})) == wrong


def test_a_headline_that_is_too_long_is_told_by_how_much(check: Lint) -> None:
    (problem,) = check(a={"business_profile": {**LINKS["business_profile"], "headline": "x" * 64}})
    assert "has 64 characters" in problem.message
    assert problem.fix == "Remove 4 characters."
    assert dotted(problem.path) == "configurations.a.business_profile.headline"


def test_plan_changes_need_payment_method_updates(check: Lint) -> None:
    wrong = update()
    del wrong["features"]["payment_method_update"]
    assert codes(check(a=wrong)) == [("error", "update_without_payment_method")]
    assert check(a=update()) == []


def test_ten_products_are_enough(check: Lint) -> None:
    products = [{"product": f"prod_{number}", "prices": [f"price_{number}"]} for number in range(11)]
    assert codes(check(a=update(products=products))) == [("error", "too_many_products")]
    assert check(a=update(products=products[:10])) == []


@pytest.mark.parametrize(
    ("second", "wrong"),
    [
        ({"interval": "month", "currency": "eur"}, [("error", "same_interval")]),
        ({"interval": "month", "currency": "usd"}, [("info", "same_interval_other_currency")]),
        ({"interval": "month"}, [("info", "same_interval_other_currency")]),
        ({"interval": "month", "interval_count": 3, "currency": "eur"}, []),
        ({"interval": "year", "currency": "eur"}, []),
        ({}, []),
    ],
)
def test_two_prices_of_one_interval_and_currency_are_both_named(
    check: Lint, second: dict[str, Any], wrong: list[Any]
) -> None:
    first = {"price": "price_1", "interval": "month", "currency": "eur"}
    products = [{"product": "prod_1", "prices": [first, {"price": "price_2", **second}]}]
    found = check(a=update(products=products))
    assert codes(found) == wrong
    assert all("price_1" in each.message and "price_2" in each.message for each in found)
    other = [
        {"product": "prod_1", "prices": [first]},
        {"product": "prod_2", "prices": [{"price": "price_2", **second}]},
    ]
    assert check(a=update(products=other)) == []


def test_what_stands_twice_is_told(check: Lint) -> None:
    one = {"product": "prod_1", "prices": ["price_1", "price_1"]}
    assert codes(check(a=update(products=[one, {"product": "prod_1", "prices": ["price_3"]}]))) == [
        ("error", "price_twice"),
        ("error", "product_twice"),
    ]
    assert codes(check(a={"groups": ["x"]}, b={"groups": ["y", "x"]})) == [("error", "group_twice")]
    assert codes(check(a={"id": "bpc_1"}, b={"id": "bpc_1"})) == [("error", "configuration_twice")]
    defaults = {"default": True, "login_page": ON}
    assert codes(check(a=defaults, b=defaults)) == [("error", "two_defaults")]


def test_the_groups_have_to_fit_into_the_parameter(check: Lint) -> None:
    assert check(a={"groups": [f"group-{number}" for number in range(60)]}) == []
    found = check(a={"groups": [f"group-{number}" for number in range(80)]})
    assert codes(found) == [("error", "too_many_groups")]


@pytest.mark.parametrize("missing", ["default_return_url", "terms_of_service_url", "privacy_policy_url"])
@pytest.mark.parametrize(
    "features",
    [{"subscription_cancel": ON}, {"invoice_history": ON}, {"subscription_cancel": ON, **update()["features"]}],
)
def test_a_missing_link_is_advice_because_stripe_accepts_it(
    check: Lint, features: dict[str, Any], missing: str
) -> None:
    profile = {key: value for key, value in LINKS["business_profile"].items() if key != missing}
    entry: dict[str, Any] = {"features": features, "business_profile": profile}
    if missing == "default_return_url":
        entry["default_return_url"] = None
    (problem,) = check(a=entry)
    assert (problem.severity, problem.code) == ("info", "links_missing")
    assert missing in problem.message


@pytest.mark.parametrize(
    ("today", "severity", "words"),
    [
        (
            date(2024, 3, 28),
            "info",
            "From 1 August 2024 they cannot resume by themselves, and sending the parameter is",
        ),
        (date(2024, 3, 29), "warning", "only resume, until 1 August 2024 (125 days left)"),
        (date(2024, 7, 31), "warning", "until 1 August 2024 (1 day left)"),
        (date(2024, 8, 1), "error", "Since 1 August 2024 it neither pauses nor resumes"),
    ],
)
def test_the_old_pause_is_reported_with_its_date_and_what_to_do(
    check: Lint, today: date, severity: str, words: str
) -> None:
    (problem,) = check(today=today, a=pause())
    assert (problem.severity, problem.code) == (severity, "old_pause_form")
    assert words in problem.message
    assert "duration: {type: interval_options" in problem.fix
    assert check(a={"features": {"subscription_pause": {"enabled": False}}}) == []
    (inactive,) = check(today=today, a=pause() | {"active": False})
    assert (inactive.severity, inactive.code) == ("info", "old_pause_form")


@pytest.mark.parametrize("version", ["2023-10-16", "2024-04-10", "2026-09-30.endive"])
@pytest.mark.parametrize("entry", [pause(type="indefinite"), {"features": {"subscription_pause": {"enabled": False}}}])
def test_todays_pause_needs_its_version(check: Lint, version: str, entry: dict[str, Any]) -> None:
    found = check(top={"api_version": version}, a=entry)
    assert codes(found) == [("error", "pause_version")]
    assert f"API {version} does not know" in found[0].message
    assert "raise api_version to 2026-10-28.endive" in found[0].fix
    assert check(top={"api_version": "2026-10-28.endive"}, a=entry) == []


@pytest.mark.parametrize(
    ("version", "feature", "name"),
    [
        ("2024-10-28.acacia", {"trial_update_behavior": "continue_trial"}, "trial_update_behavior"),
        ("2025-11-17.clover", {"billing_cycle_anchor": "now"}, "billing_cycle_anchor"),
        ("2024-09-30.acacia", {"schedule_at_period_end": {"conditions": []}}, "schedule_at_period_end"),
        ("2025-06-30.basil", {"products": [ADJUSTABLE]}, "adjustable_quantity"),
    ],
)
def test_an_older_version_does_not_know_what_came_later(
    check: Lint, version: str, feature: dict[str, Any], name: str
) -> None:
    found = check(top={"api_version": version}, a=update(**feature))
    assert codes(found) == [("error", "not_in_this_version")]
    assert f"does not know {name}" in found[0].message
    assert check(a=update(**feature)) == []


def test_an_older_version_does_not_know_names_of_configurations(check: Lint) -> None:
    found = check(top={"api_version": "2025-07-30.basil"}, a={"name": "Ours"})
    assert codes(found) == [("error", "not_in_this_version")]
    assert "2025-08-27.basil" in found[0].fix
    assert check(top={"api_version": "2025-08-27.basil"}, a={"name": "Ours"}) == []


@pytest.mark.parametrize(("unit", "most"), [("day", 1095), ("week", 156), ("month", 36), ("year", 3)])
def test_no_pause_is_longer_than_three_years(check: Lint, unit: str, most: int) -> None:
    for count, wrong in ((most, []), (most + 1, [("error", "pause_too_long")])):
        option = {"interval": unit, "interval_count": count}
        assert codes(check(a=pause(type="interval_options", interval_options=[option]))) == wrong


def test_a_pause_has_spans_if_it_has_an_end_and_none_if_not(check: Lint) -> None:
    assert codes(check(a=pause(type="interval_options"))) == [("error", "no_pause_options")]
    month = {"interval": "month"}
    assert codes(check(a=pause(type="indefinite", interval_options=[month]))) == [("info", "indefinite_options")]
    twice = pause(type="interval_options", interval_options=[month, {**month, "interval_count": 1}])
    assert codes(check(a=twice)) == [("warning", "span_twice")]


@pytest.mark.parametrize(
    ("cancel", "wrong"),
    [
        ({"proration_behavior": "always_invoice", "mode": "immediately"}, [("error", "always_invoice")]),
        ({"proration_behavior": "create_prorations"}, [("warning", "proration_mode")]),
        ({"cancellation_reason": ON}, [("warning", "no_reasons")]),
        ({"proration_behavior": "create_prorations", "mode": "immediately"}, []),
        ({"cancellation_reason": {**ON, "feedback_options": ["fo_1"]}}, []),
    ],
)
def test_cancellations_are_as_stripe_takes_them(check: Lint, cancel: dict[str, Any], wrong: list[Any]) -> None:
    found = check(a={"features": {"subscription_cancel": {**ON, **cancel}}})
    assert codes(found) == wrong


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ({"default": True}, [("error", "login_page_unsaid")]),
        ({"default": True, "login_page": ON, "active": False}, [("error", "inactive_default")]),
        ({"default": True, "login_page": ON, "id": "bpc_1"}, [("error", "default_with_id")]),
        ({"active": False, "groups": ["x"]}, [("error", "inactive_with_groups")]),
        ({"features": {"customer_update": ON}}, [("warning", "nothing_to_update")]),
        (update(products=[]), [("warning", "nothing_to_update")]),
        (update(default_allowed_updates=[]), [("warning", "nothing_to_update")]),
    ],
)
def test_what_cannot_work_is_told(check: Lint, entry: dict[str, Any], wrong: list[Any]) -> None:
    assert codes(check(a=entry)) == wrong


def test_conditions_that_never_come_true_are_told(check: Lint) -> None:
    def schedule(*kinds: str, **more: Any) -> list[Any]:
        return codes(check(a=update(schedule_at_period_end={"conditions": [{"type": kind} for kind in kinds]}, **more)))

    two = [{"product": "prod_1", "prices": ["price_1", "price_2"]}]
    assert schedule("decreasing_item_amount", "shortening_interval", products=two) == []
    assert schedule("shortening_interval", "shortening_interval", products=two) == [("warning", "condition_twice")]
    assert schedule("decreasing_item_amount") == [("warning", "condition_never")]
    quantity = ["quantity"]
    assert schedule("shortening_interval", products=two, default_allowed_updates=quantity) == [
        ("warning", "condition_never")
    ]


def test_a_range_of_quantities_is_one(check: Lint) -> None:
    quantity = {**ON, "minimum": 3, "maximum": 2}
    products = [{"product": "prod_1", "prices": ["price_1"], "adjustable_quantity": quantity}]
    assert codes(check(a=update(products=products))) == [("error", "quantity_range")]


def price(**more: Any) -> dict[str, Any]:
    recurring = {"interval": "month", "interval_count": 1}
    product = {"id": "prod_1", "active": True}
    good = {"active": True, "currency": "eur", "product": product, "recurring": recurring, "tax_behavior": "exclusive"}
    return good | more


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (price(), []),
        (None, ["no_such_price"]),
        (price(active=False), ["inactive_price"]),
        (price(product={"id": "prod_1", "active": False}), ["inactive_product"]),
        (price(product={"id": "prod_2", "active": True}), ["price_of_another"]),
        (price(recurring=None), ["not_recurring"]),
        (price(currency="usd"), ["price_differs"]),
        (price(recurring={"interval": "year", "interval_count": 1}), ["price_differs"]),
        (price(tax_behavior="unspecified"), ["no_tax_behavior"]),
    ],
)
def test_the_account_knows_more_of_prices(check: Lint, found: Any, wrong: list[str]) -> None:
    said = {"price": "price_1", "interval": "month", "currency": "eur"}
    entry = update(products=[{"product": "prod_1", "prices": [said]}])
    assert check(a=entry) == []
    assert [each.code for each in check(a=entry, price_of=lambda _: found)] == wrong
    assert check(a=entry | {"active": False}, price_of=lambda _: found) == []


def test_the_account_finds_two_prices_of_one_interval_that_the_file_does_not_show(check: Lint) -> None:
    entry = update(products=[{"product": "prod_1", "prices": ["price_1", "price_2"]}])
    assert check(a=entry) == []
    (problem,) = check(a=entry, price_of=lambda _: price())
    assert problem.code == "same_interval"
    assert "price_1 and price_2 of the product prod_1 have the same interval (1 month) in eur" in problem.message


def test_an_error_ends_with_1_a_warning_only_when_asked(file: Path, check: Lint) -> None:
    check(a={"features": {"customer_update": ON}})
    answer = command(file)
    assert answer.exit_code == 0
    assert "warning: configurations.a.features.customer_update: customer_update is on" in answer.stdout
    assert answer.stdout.endswith(": 1 warning.\n")
    assert command(file, "--strict").exit_code == 1
    check(a={"default_return_url": None}, b={"default_return_url": None})
    answer = command(file, "--strict")
    assert (answer.exit_code, answer.stdout.splitlines()[-1]) == (0, f"{file}: 2 info.")
    check(a=pause())
    answer = command(file, "--as-of", "2024-08-01")
    assert answer.exit_code == 1
    assert answer.stdout.endswith(": 1 error.\n")
    answer = command(file, "--as-of", "2024-07-01")
    assert answer.exit_code == 0
    assert "(31 days left)" in answer.stdout


def test_programs_get_json(file: Path, check: Lint) -> None:
    check(a=pause())
    answer = command(file, "--format", "json")
    assert answer.exit_code == 1
    (found,) = json.loads(answer.stdout)["problems"]
    assert found["code"] == "old_pause_form"
    assert found["path"] == "configurations.a.features.subscription_pause"
    assert file.read_text().splitlines()[found["line"] - 1].strip() == "subscription_pause:"


def test_every_code_is_in_the_docs() -> None:
    root = Path(__file__).parents[2]
    sources = "\n".join(path.read_text() for path in (root / "cli" / "configuration").glob("*.py"))
    codes = set(re.findall(r'(?:_Unplaced|_problem|InvalidRequest)\(\s*"([a-z_]+)"', sources))
    codes |= set(re.findall(r'^        \("([a-z_]+)", ', sources, re.MULTILINE)) | set(_CODES.values())
    codes |= {"pause_version", "not_in_this_version", *(rule.code for rule in RULES)}
    assert {"no_such_price", "same_interval", "key_twice", "unknown_key"} <= codes
    text = "\n".join(path.read_text() for path in (root / "docs").rglob("*.md"))
    assert sorted(code for code in codes if f"`{code}`" not in text) == []
