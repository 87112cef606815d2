"""Every rule about portal configurations, and that `portal lint` and the audit say the same of a configuration."""

import re
from copy import deepcopy
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.configuration.file import load
from cli.configuration.lint import lint_portal
from shared.audit.check import AccountFacts, AuditContext
from shared.audit.check_run import CheckRun
from shared.audit.checks.configurations import CHECKS_OF_RULES, SEVERITIES
from shared.audit.checks.registry import CHECKS
from shared.audit.findings import Finding
from shared.audit.findings import Severity as AuditSeverity
from shared.portal.configuration import Configuration
from shared.portal.pause import PAUSE_CUTOFF_ON, Phase, pause_day
from shared.portal.rules import MOST_PRODUCTS, RULES, Severity, find_problems

DOC = Path(__file__).parents[2] / "docs" / "reference" / "portal-file.md"
TODAY = date(2026, 11, 24)
ON = {"enabled": True}
LINKS: dict[str, Any] = {
    "default_return_url": "https://a.example/",
    "business_profile": {"privacy_policy_url": "https://a.example/p", "terms_of_service_url": "https://a.example/t"},
}


def features(**given: Any) -> dict[str, Any]:
    return {**LINKS, "features": given}


def update(**changes: Any) -> dict[str, Any]:
    """A configuration with plan changes, as it should be but for the changes."""
    products = [{"product": "prod_1", "prices": ["price_1"]}]
    feature = {**ON, "default_allowed_updates": ["price"], "products": products, **changes}
    return features(payment_method_update=ON, subscription_update=feature)


def pause(**duration: Any) -> dict[str, Any]:
    return features(subscription_pause={**ON, "duration": duration})


def priced(currency: str, interval: str = "month") -> dict[str, Any]:
    """A product with a price of one month in euro, and another."""
    prices = [
        {"price": "price_1", "interval": "month", "currency": "eur"},
        {"price": "price_2", "interval": interval, "currency": currency},
    ]
    return update(products=[{"product": "prod_1", "prices": prices}])


def products(*prices: list[str]) -> list[dict[str, Any]]:
    return [{"product": f"prod_{number}", "prices": each} for number, each in enumerate(prices)]


MONTH = {"interval": "month", "interval_count": 1}
TWO_PRICES = products(["price_1", "price_2"])
CONDITION = {"type": "shortening_interval"}
# For each rule a configuration that breaks it and no other.
BROKEN: dict[str, tuple[dict[str, Any], Severity]] = {
    "old_pause_form": (features(subscription_pause=ON), Severity.ERROR),
    "no_pause_options": (pause(type="interval_options", interval_options=[]), Severity.ERROR),
    "pause_too_long": (
        pause(type="interval_options", interval_options=[{"interval": "year", "interval_count": 4}]),
        Severity.ERROR,
    ),
    "span_twice": (pause(type="interval_options", interval_options=[MONTH, MONTH]), Severity.WARNING),
    "indefinite_options": (pause(type="indefinite", interval_options=[MONTH]), Severity.INFO),
    "inactive_default": ({**LINKS, "default": True, "login_page": ON, "active": False}, Severity.ERROR),
    "headline_too_long": (
        {**LINKS, "business_profile": {**LINKS["business_profile"], "headline": "x" * 61}},
        Severity.ERROR,
    ),
    "links_missing": ({"features": {"subscription_cancel": ON}}, Severity.INFO),
    "always_invoice": (
        features(subscription_cancel={**ON, "mode": "immediately", "proration_behavior": "always_invoice"}),
        Severity.ERROR,
    ),
    "proration_mode": (
        features(subscription_cancel={**ON, "proration_behavior": "create_prorations"}),
        Severity.WARNING,
    ),
    "no_reasons": (features(subscription_cancel={**ON, "cancellation_reason": ON}), Severity.WARNING),
    "nothing_to_update": (update(products=[]), Severity.WARNING),
    "editable_email": (
        features(customer_update={**ON, "allowed_updates": ["email", "phone"]}),
        Severity.ERROR,
    ),
    "update_without_payment_method": (
        features(subscription_update=update()["features"]["subscription_update"]),
        Severity.ERROR,
    ),
    "too_many_products": (update(products=products(*([f"price_{n}"] for n in range(11)))), Severity.ERROR),
    "product_twice": (update(products=products(["price_1"]) + products(["price_2"])), Severity.ERROR),
    "price_twice": (update(products=products(["price_1", "price_1"])), Severity.ERROR),
    "same_interval": (priced("eur"), Severity.ERROR),
    "same_interval_other_currency": (priced("usd"), Severity.INFO),
    "quantity_range": (
        update(products=[{**products(["p"])[0], "adjustable_quantity": {**ON, "minimum": 3, "maximum": 2}}]),
        Severity.ERROR,
    ),
    "condition_twice": (
        update(products=TWO_PRICES, schedule_at_period_end={"conditions": [CONDITION, CONDITION]}),
        Severity.WARNING,
    ),
    "condition_never": (update(schedule_at_period_end={"conditions": [CONDITION]}), Severity.WARNING),
}
WELL = {
    "nothing": LINKS,
    "plan changes": update(),
    "another interval": priced("eur", "year"),
    "a pause": pause(type="interval_options", interval_options=[{"interval": "year", "interval_count": 3}]),
    "a pause without an end": pause(type="indefinite"),
    "plan changes that are off": {
        **LINKS,
        "features": {"subscription_update": {"enabled": False, "products": products(*[["price_1", "price_1"]] * 11)}},
    },
    "a reason that nobody is asked for": features(subscription_cancel={"enabled": False, "cancellation_reason": ON}),
    "a quantity of one": update(
        products=[{**products(["price_1"])[0], "adjustable_quantity": {**ON, "minimum": 1, "maximum": 1}}]
    ),
}


def lint(
    entry: dict[str, Any], file: Path, today: date = TODAY, *, verified_email: bool = True
) -> set[tuple[str, Severity]]:
    """What `portal lint` says of an entry of a file."""
    file.write_text(yaml.safe_dump({"configurations": {"team": entry}}))
    loaded = load(file)
    assert loaded.problems == ()
    return {(each.code, each.severity) for each in lint_portal(loaded, today, allow_verified_email=verified_email)}


def shown(entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Return the same configuration as Stripe shows it, and the prices of each product."""
    raw = {"id": "bpc_1", "active": True, "features": {}, **deepcopy(entry)}
    raw["is_default"] = raw.pop("default", False)
    prices: dict[str, list[dict[str, Any]]] = {}
    for product in raw["features"].get("subscription_update", {}).get("products", ()):
        listed = [{"price": each} if isinstance(each, str) else each for each in product["prices"]]
        prices[product["product"]] = [
            {"id": each["price"], "currency": each["currency"], "recurring": {"interval": each["interval"]}}
            for each in listed
            if "interval" in each
        ]
        product["prices"] = [each["price"] for each in listed]
    return raw, prices


def findings(entry: dict[str, Any], today: date = TODAY, *, verified_email: bool = True) -> tuple[Finding, ...]:
    """What the whole audit says of the same configuration in an account."""
    raw, prices = shown(entry)
    day = pause_day(today)
    context = AuditContext(
        datetime.combine(today, time(12), UTC),
        day.phase,
        day.days_left,
        PAUSE_CUTOFF_ON,
        prices_of=lambda product: prices[product],
        allow_verified_email=verified_email,
    )
    run = CheckRun(CHECKS, context, lambda _: None)
    run.check_configuration(raw)
    run.check_account(AccountFacts(1, [raw], None, None))
    return run.findings()


def audit(entry: dict[str, Any], today: date = TODAY, *, verified_email: bool = True) -> set[tuple[str, Severity]]:
    """The same, with the severities of the rules, without what only an account can have wrong."""
    word = {critical: error for error, critical in SEVERITIES.items()}
    found = {(each.check, word[each.severity]) for each in findings(entry, today, verified_email=verified_email)}
    return {(code, severity) for code, severity in found if code not in {"default_configuration", "portal_pause"}}


def test_there_is_a_case_for_each_rule() -> None:
    assert list(BROKEN) == [rule.code for rule in RULES]


@pytest.mark.parametrize("code", BROKEN)
def test_lint_and_the_audit_report_the_same_code_with_the_same_severity(code: str, tmp_path: Path) -> None:
    entry, severity = BROKEN[code]
    assert lint(entry, tmp_path / "portal.yaml") == {(code, severity)}
    assert audit(entry) == {(code, severity)}


@pytest.mark.parametrize("today", [date(2024, 3, 28), date(2024, 3, 29), date(2024, 7, 31), date(2024, 8, 1), TODAY])
@pytest.mark.parametrize("active", [True, False])
def test_they_agree_about_the_old_pause_on_every_day(today: date, tmp_path: Path, *, active: bool) -> None:
    entry = {**BROKEN["old_pause_form"][0], "active": active}
    said = lint(entry, tmp_path / "portal.yaml", today)
    assert said == audit(entry, today)
    assert [code for code, _ in said] == ["old_pause_form"]


@pytest.mark.parametrize("name", WELL)
def test_neither_has_anything_to_say_of_what_is_right(name: str, tmp_path: Path) -> None:
    assert lint(WELL[name], tmp_path / "portal.yaml") == audit(WELL[name]) == set()


def test_customers_may_change_their_address_where_nobody_is_found_by_it(tmp_path: Path) -> None:
    entry, _ = BROKEN["editable_email"]
    assert lint(entry, tmp_path / "portal.yaml", verified_email=False) == set()
    assert audit(entry, verified_email=False) == set()


@pytest.mark.parametrize(
    "feature",
    [{**ON, "allowed_updates": ["address", "phone"]}, {"enabled": False, "allowed_updates": ["email"]}],
)
def test_an_address_that_customers_cannot_change_is_no_problem(feature: dict[str, Any], tmp_path: Path) -> None:
    entry = features(customer_update=feature)
    assert lint(entry, tmp_path / "portal.yaml") == audit(entry) == set()


def test_everything_wrong_at_once_is_said_by_both(tmp_path: Path) -> None:
    names = ("links_missing", "always_invoice", "old_pause_form", "same_interval")
    entry: dict[str, Any] = {"features": {}}
    for name in names:
        entry["features"] |= BROKEN[name][0]["features"]
    said = lint(entry, tmp_path / "portal.yaml")
    assert said == audit(entry)
    assert said == {(name, BROKEN[name][1]) for name in names}


@pytest.mark.parametrize("code", [code for code, (_, severity) in BROKEN.items() if code != "inactive_default"])
def test_of_an_inactive_configuration_the_audit_gives_advice_only(code: str) -> None:
    assert {severity for _, severity in audit({**BROKEN[code][0], "active": False})} <= {Severity.INFO}


def test_a_finding_names_the_configuration_in_both_languages() -> None:
    (finding,) = (each for each in findings(BROKEN["links_missing"][0]) if each.check == "links_missing")
    assert finding.subjects == ("bpc_1",)
    assert finding.meaning.say("en").startswith(
        "This portal configuration lacks: a return URL (default_return_url), the terms of service"
    )
    assert "configuration du portail\u00a0: l\u2019URL de retour" in finding.meaning.say("fr")


@pytest.mark.parametrize("code", BROKEN)
def test_every_message_and_fix_is_a_sentence_in_both_languages(code: str) -> None:
    for finding in findings(BROKEN[code][0]):
        for text in (finding.meaning, finding.action):
            assert text.say("en") != text.say("fr")
            assert text.say("en").endswith(".") or text.say("en").endswith("`.")
            assert text.say("fr").endswith(".") or text.say("fr").endswith("`.")


def test_the_cutoff_of_the_old_pause_is_the_settings_own() -> None:
    raw, _ = shown(BROKEN["old_pause_form"][0])
    context = AuditContext(datetime.now(UTC), Phase.RESUME_ONLY, 17, date(2025, 5, 5))
    run = CheckRun(CHECKS_OF_RULES, context, lambda _: None)
    run.check_configuration(raw)
    (finding,) = run.findings()
    assert finding.severity is AuditSeverity.WARNING
    assert "until 5 May 2025 (17 days left)" in finding.meaning.say("en")
    assert "jusqu\u2019au 5 mai 2025 (encore 17 jours)" in finding.meaning.say("fr")


def test_prices_cost_requests_only_where_a_product_has_several() -> None:
    def never(_: str) -> Any:
        raise AssertionError

    day = pause_day(TODAY)
    context = AuditContext(datetime.now(UTC), day.phase, day.days_left, day.cutoff_on, prices_of=never)
    run = CheckRun(CHECKS_OF_RULES, context, lambda _: None)
    run.check_configuration(shown(update())[0])
    run.check_configuration(shown(update(enabled=False, products=TWO_PRICES))[0])
    run.check_configuration(shown({**update(products=TWO_PRICES), "active": False})[0])
    assert run.findings() == ()


def test_the_audit_reads_the_prices_of_ten_products_at_most() -> None:
    read: set[str] = set()

    def prices_of(product: str) -> list[dict[str, Any]]:
        read.add(product)
        return []

    day = pause_day(TODAY)
    context = AuditContext(datetime.now(UTC), day.phase, day.days_left, day.cutoff_on, prices_of=prices_of)
    run = CheckRun(CHECKS_OF_RULES, context, lambda _: None)
    run.check_configuration(shown(update(products=products(*[["price_1", "price_2"]] * 12)))[0])
    assert len(read) == MOST_PRODUCTS


def test_what_an_answer_leaves_out_is_no_problem() -> None:
    unread = {**ON, "default_allowed_updates": ["price"]}
    given = features(payment_method_update=ON, subscription_update=unread)
    assert find_problems(Configuration.from_stripe(given), pause_day(TODAY)) == []
    default = Configuration.from_stripe(pause(type="interval_options", interval_options=None))
    assert find_problems(default, pause_day(TODAY)) == []


def test_a_price_that_is_listed_twice_is_not_two_prices_of_one_interval(tmp_path: Path) -> None:
    price = {"price": "price_1", "interval": "month", "currency": "eur"}
    entry = update(products=[{"product": "prod_1", "prices": [price, price]}])
    assert lint(entry, tmp_path / "portal.yaml") == audit(entry) == {("price_twice", Severity.ERROR)}


def test_the_docs_have_each_rules_severities() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([a-z, ]+) \|", DOC.read_text(), re.MULTILINE)
    documented = {code: severities for codes, severities in rows for code in re.findall(r"`(\w+)`", codes)}
    for rule in RULES:
        assert documented[rule.code] == ", ".join(rule.severities), rule.code
