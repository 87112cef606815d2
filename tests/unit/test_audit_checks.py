"""The checks of the account: its configurations, endpoints, events and customers."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.audit.check import AccountFacts, AuditContext, SeenCustomers, WaitingMessages
from shared.audit.checks import configurations as configuration_checks
from shared.audit.checks import mirror as mirror_checks
from shared.audit.checks import subscriptions as subscription_checks
from shared.audit.checks.registry import CHECKS, OWN_FINDINGS, title_of
from shared.audit.findings import SAMPLE, Finding, Findings, Severity
from shared.audit.options import AuditOptions
from shared.i18n import verbatim
from shared.portal.pause import PAUSE_CUTOFF_ON, Phase
from shared.stripe.money import written_amount, written_amounts
from shared.stripe.subscription import SubscriptionItem
from shared.stripe.webhook_endpoint import NEEDED
from tests.audit_tables import OWN_CHECKS, PAGE, with_table
from tests.fakes import subscription

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
AUDIT = AuditContext(NOW, Phase.STRANDED, 0, PAUSE_CUTOFF_ON, {})
WELL = {"id": "bpc_1", "active": True, "is_default": True, "login_page": {"enabled": True}}
DEAF = ["customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted"]


def account(**changes: Any) -> AccountFacts:
    facts: dict[str, Any] = {
        "subscriptions_read": 1,
        "configurations": [WELL],
        "webhook_endpoints": None,
        "undelivered": None,
        **changes,
    }
    return AccountFacts(**facts)


def severities(findings: Any) -> list[Severity]:
    return [finding.severity for finding in findings]


@pytest.mark.parametrize(
    ("configurations", "expected"),
    [
        ([WELL], []),
        ([], [Severity.WARNING]),
        ([{**WELL, "is_default": False}], [Severity.WARNING]),
        ([{**WELL, "active": False}], []),  # a rule about configurations
        ([{**WELL, "login_page": {"enabled": False}}], [Severity.INFO]),
        (None, []),
    ],
)
def test_a_portal_that_does_not_open_is_told(configurations: Any, expected: list[Severity]) -> None:
    assert (
        severities(configuration_checks.find_default_faults(account(configurations=configurations), AUDIT)) == expected
    )


def test_an_account_without_subscriptions_needs_no_portal() -> None:
    assert list(configuration_checks.find_default_faults(account(subscriptions_read=0, configurations=[]), AUDIT)) == []


@pytest.mark.parametrize(
    ("duration", "en", "fr"),
    [
        ({"type": "indefinite"}, "without an end", "sans limite de durée"),
        (
            {
                "type": "interval_options",
                "interval_options": [
                    {"interval": "month", "interval_count": 1},
                    {"interval": "week", "interval_count": 2},
                ],
            },
            "Lengths on offer: 1 month, 2 weeks.",
            "Durées proposées\u00a0: 1 mois, 2 semaines.",
        ),
    ],
)
def test_todays_pause_in_the_portal_is_told_with_its_length(duration: dict[str, Any], en: str, fr: str) -> None:
    raw = {"id": "bpc_1", "active": True, "features": {"subscription_pause": {"enabled": True, "duration": duration}}}
    (finding,) = configuration_checks.find_portal_pause(raw, AUDIT)
    assert finding.severity is Severity.INFO
    assert en in finding.meaning.say("en")
    assert fr in finding.meaning.say("fr")


def test_a_month_may_be_stripes_own_choice_for_the_old_form() -> None:
    def meaning(options: list[dict[str, Any]]) -> str:
        pause = {"enabled": True, "duration": {"type": "interval_options", "interval_options": options}}
        raw = {"id": "bpc_1", "active": True, "features": {"subscription_pause": pause}}
        (finding,) = configuration_checks.find_portal_pause(raw, AUDIT)
        return finding.meaning.say("en")

    month = {"interval": "month", "interval_count": 1}
    assert "saved without a length, as the old pause button was" in meaning([month])
    assert "saved without a length" not in meaning([month, {"interval": "month", "interval_count": 2}])


ITEM = SubscriptionItem("si_1", usage_type="licensed")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"items": (ITEM,)}, []),
        ({"items": (ITEM, ITEM)}, ["several products"]),
        ({"items": (SubscriptionItem("si_1", usage_type="metered"),)}, ["usage-based"]),
        ({"collection_method": "send_invoice"}, ["send_invoice"]),
        ({"schedule_id": "sub_sched_1"}, ["neither change nor cancel"]),
        ({"schedule_id": "sub_sched_1", "items": (ITEM, ITEM)}, ["neither change nor cancel", "several products"]),
        ({"items": (ITEM, ITEM), "status": "canceled"}, []),
    ],
)
def test_what_the_portal_cannot_change_is_told_with_the_reason(changes: dict[str, Any], words: list[str]) -> None:
    findings = list(subscription_checks.find_portal_limits(subscription(**changes), AUDIT))
    assert len(findings) == len(words)
    assert all(word in finding.meaning.say("en") for word, finding in zip(words, findings, strict=True))


def test_a_customer_with_three_live_subscriptions_is_named_once() -> None:
    audit = AuditContext(NOW, Phase.STRANDED, 0, PAUSE_CUTOFF_ON, {})
    statuses = ["active", "canceled", "paused", "trialing"]
    found = [list(subscription_checks.find_several(subscription(status), audit)) for status in statuses]
    assert [len(each) for each in found] == [0, 0, 1, 0]
    assert found[2][0].subjects == ("cus_1",)


def test_no_more_customers_are_remembered_than_memory_was_given_for() -> None:
    seen = SeenCustomers(most=2)
    assert [seen.is_seen_for_the_second_time(each) for each in ("a", "b", "c", "c", "b")] == [False] * 4 + [True]


def endpoint(**changes: Any) -> dict[str, Any]:
    return {
        "id": "we_1",
        "url": "https://ours",
        "status": "enabled",
        "enabled_events": ["*"],
        "api_version": None,
        **changes,
    }


@pytest.mark.parametrize(
    ("endpoints", "url", "expected"),
    [
        ([endpoint()], None, []),
        ([endpoint(status="disabled")], None, [Severity.WARNING]),
        ([endpoint(status="disabled")], "https://ours", [Severity.CRITICAL]),
        ([endpoint(enabled_events=DEAF)], None, [Severity.INFO]),
        ([endpoint(enabled_events=DEAF)], "https://ours", [Severity.WARNING]),
        ([endpoint(enabled_events=["charge.succeeded"], status="disabled")], None, []),
        ([endpoint(api_version="2024-06-20")], "https://ours", [Severity.INFO]),
        ([endpoint(api_version="2026-10-28.endive")], "https://ours", []),
        ([endpoint(status="disabled")], "https://elsewhere", [Severity.WARNING]),
        ([endpoint(status="disabled"), endpoint(id="we_2")], "https://ours", [Severity.INFO]),
        (
            [endpoint(status="disabled"), endpoint(id="we_2", status="disabled")],
            "https://ours",
            [Severity.CRITICAL] * 2,
        ),
        ([], None, []),
        (None, "https://ours", []),
    ],
)
def test_the_health_of_webhook_endpoints(endpoints: Any, url: str | None, expected: list[Severity]) -> None:
    facts = account(webhook_endpoints=endpoints, webhook_url=url)
    assert severities(mirror_checks.find_endpoint_faults(facts, AUDIT)) == expected


def test_undelivered_events_are_counted_and_the_oldest_is_dated() -> None:
    oldest = int(datetime(2026, 11, 20, 3, tzinfo=UTC).timestamp())
    events = [{"id": "evt_2", "created": oldest + 60}, {"id": "evt_1", "created": oldest}]
    (finding,) = mirror_checks.find_undelivered(account(undelivered=events), AUDIT)
    assert finding.meaning.say("en").startswith("2 events about subscriptions did not reach every endpoint")
    assert "20 novembre 2026" in finding.meaning.say("fr")
    (many,) = mirror_checks.find_undelivered(account(undelivered=events, undelivered_whole=False), AUDIT)
    assert many.meaning.say("en").startswith("At least 2")
    assert list(mirror_checks.find_undelivered(account(undelivered=[]), AUDIT)) == []


def destination(**changes: Any) -> dict[str, Any]:
    return {
        "id": "ed_1",
        "status": "enabled",
        "status_details": None,
        "enabled_events": ["v1.customer.subscription.updated"],
        **changes,
    }


def test_with_entitlements_an_endpoint_that_is_not_sent_them_is_found() -> None:
    deaf = endpoint(enabled_events=list(NEEDED))
    facts = account(webhook_endpoints=[deaf], webhook_url="https://ours")
    assert list(mirror_checks.find_endpoint_faults(facts, AUDIT)) == []
    on = replace(AUDIT, options=AuditOptions(entitlements=True))
    (found,) = mirror_checks.find_endpoint_faults(facts, on)
    assert "entitlements.active_entitlement_summary.updated" in found.meaning.say("en")


def disabled(reason: str | None) -> dict[str, Any]:
    return {"status": "disabled", "status_details": {"disabled": {"reason": reason}}}


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        (disabled("no_aws_event_source_exists"), Severity.CRITICAL, "gone from Amazon EventBridge"),
        (disabled("user"), Severity.INFO, "Somebody of the team has disabled it"),
        (disabled("reason_of_tomorrow"), Severity.CRITICAL, "will not retry."),
        ({"status": "disabled"}, Severity.CRITICAL, "will not retry."),
        (disabled(None) | {"enabled_events": ["v1.customer.created"]}, None, ""),
        ({"amazon_eventbridge": {"aws_event_source_status": "deleted"}}, Severity.CRITICAL, "is deleted on Amazon"),
        ({"amazon_eventbridge": {"aws_event_source_status": "pending"}}, Severity.CRITICAL, "is pending on Amazon"),
        ({"amazon_eventbridge": {"aws_event_source_status": "active"}}, None, ""),
        ({"amazon_eventbridge": {"aws_event_source_status": "unknown"}}, None, ""),
        ({"amazon_eventbridge": None}, None, ""),
    ],
)
def test_the_health_of_event_destinations(changes: dict[str, Any], severity: Severity | None, words: str) -> None:
    findings = list(mirror_checks.find_destination_faults(account(event_destinations=[destination(**changes)]), AUDIT))
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert all(words in finding.meaning.say("en") and finding.subjects == ("ed_1",) for finding in findings)


def test_where_events_arrive_by_a_destination_no_endpoint_is_missing() -> None:
    def missing(*destinations: dict[str, Any]) -> bool:
        facts = account(webhook_endpoints=[], webhook_url="https://own.example", event_destinations=destinations)
        return bool(list(mirror_checks.find_endpoint_faults(facts, AUDIT)))

    assert not missing(destination())
    assert not missing(destination(enabled_events=["*"], amazon_eventbridge={"aws_event_source_status": "active"}))
    assert missing()
    assert missing(destination(**disabled("user")))
    assert missing(destination(enabled_events=["v1.customer.created"]))
    assert missing(destination(amazon_eventbridge={"aws_event_source_status": "pending"}))


def test_each_queue_says_what_waits_in_it_and_since_when() -> None:
    waiting = {
        "unreadable_events": WaitingMessages(3, datetime(2026, 11, 20, 23, 59, tzinfo=UTC)),
        "unsettled_events": WaitingMessages(0),
        "lost_audits": WaitingMessages(1),
    }
    events, runs = mirror_checks.find_dead_letters(account(dead_letters=waiting), AUDIT)
    assert events.meaning.say("en") == (
        "3 events could not be understood, and wait in the dead-letter queue. The oldest one that was read is from "
        "20 November 2026 (UTC)."
    )
    assert "portal replay" in events.action.say("en")
    assert runs.meaning.say("en").endswith("waits in its dead-letter queue.")
    assert (events.code, runs.code) == ("unreadable_events", "lost_audits")
    assert list(mirror_checks.find_dead_letters(account(), AUDIT)) == []


def test_what_is_said_of_thousands_is_one_finding_with_a_few_names() -> None:
    found = Findings()
    for number in range(1000):
        found.add(Finding("x", Severity.INFO, (f"sub_{number}",), verbatim("m"), verbatim("a"), sampled=True))
    found.add(Finding("x", Severity.INFO, ("sub_other",), verbatim("other"), verbatim("a"), sampled=True))
    first, second = found.all()
    assert (first.subjects, first.more, first.size) == (tuple(f"sub_{n}" for n in range(SAMPLE)), 1000 - SAMPLE, 1000)
    assert second.size == 1


# ------------------------------------------------------------------ the registry, its documentation, and the two langua
def test_the_documentation_has_the_checks_of_the_registry() -> None:
    text = PAGE.read_text()
    assert with_table(text) == text, "run `make reference`"
    assert all(f"| `{check.name}` |" in text and check.reports for check in OWN_CHECKS)


def test_every_title_is_in_both_languages() -> None:
    titles = [title_of(name) for name in (*OWN_FINDINGS, *(check.name for check in CHECKS))]
    assert all(title.say("en") != title.say("fr") for title in titles)
    assert title_of("check_of_tomorrow") == verbatim("check_of_tomorrow")


def test_severities_have_names_in_both_languages() -> None:
    assert [severity.label.say("fr") for severity in Severity] == ["information", "avertissement", "critique"]


def test_money_is_in_the_readers_form() -> None:
    assert written_amount(Decimal(123450), "eur").say("fr") == "1\u202f234,50\u00a0EUR"
    assert written_amounts({"eur": Decimal(100), "jpy": Decimal(5)}).say("fr") == "1,00\u00a0EUR et 5\u00a0JPY"
