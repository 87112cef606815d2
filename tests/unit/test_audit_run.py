import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
import stripe

from shared.audit.check import AuditContext, AuditDay, Check
from shared.audit.findings import CustomerName, Finding, Severity
from shared.audit.options import DEFAULT_OPTIONS, AuditOptions, options_of
from shared.audit.rendering.opening import after_headline
from shared.audit.rendering.summary import headline, is_all_clear
from shared.audit.report import Report
from shared.audit.scan import Sources, run_audit
from shared.errors import InvalidRequest, OperatorError, Unavailable, UnreadableEvent
from shared.i18n import verbatim
from shared.mirror.items import Beginnings, MirroredSubscription
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON, Phase
from shared.stripe.gateway import StripeJson
from shared.stripe.pacing import RateLimit
from shared.stripe.subscription import Subscription, read_subscription
from tests.clock import Clock
from tests.fakes import FakeTable
from tests.raw_subscription import VOID
from tests.raw_subscription import raw_subscription as subscription

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
SECOND = int(NOW.timestamp())
DATED = {"Date": format_datetime(NOW, usegmt=True)}


DEFAULT = {
    "id": "bpc_default",
    "object": "billing_portal.configuration",
    "active": True,
    "is_default": True,
    "default_return_url": "https://shop.example",
    "business_profile": {"terms_of_service_url": "https://t.example", "privacy_policy_url": "https://p.example"},
    "login_page": {"enabled": True, "url": "https://login.example"},
    "features": {},
}

# Offers a product with two prices, which have to be read.
SEVERAL_PRICES: dict[str, Any] = {
    "subscription_update": {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "products": [{"product": "prod_1", "prices": ["price_1", "price_2"]}],
    },
    "payment_method_update": {"enabled": True},
}


def _expanded(raw: Any, url: str) -> Any:
    """With its customer, of whom nothing is known, as an object where that is asked for."""
    wanted = "data.customer" in url and isinstance(raw.get("customer"), str)
    return {**raw, "customer": {"id": raw["customer"], "object": "customer"}} if wanted else raw


class FakeAccount(stripe.HTTPClient):
    """Two of Stripe's lists, paged as Stripe pages them; `status` other than 200 makes every request fail."""

    name = "fake"

    def __init__(self, subscriptions: list[Any], configurations: list[Any] | None = None) -> None:
        super().__init__()
        self.lists: dict[str, list[Any]] = {
            "/v1/subscriptions": subscriptions,
            "/v1/billing_portal/configurations": configurations if configurations is not None else [DEFAULT],
            "/v1/webhook_endpoints": [],
            "/v1/events": [],
            "/v1/prices": [],
            "/v1/invoices": [],
            "/v2/core/event_destinations": [],
        }
        self.canceled: list[Any] = []
        self.refused: set[str] = set()
        self.failing: dict[str, int] = {}
        self.status = 200
        self.has_one_page_only = False
        self.requests: list[str] = []

    def request(  # type: ignore[override]
        self,
        _method: str,
        url: str,
        _headers: Mapping[str, str] | None,
        _post_data: Any = None,
    ) -> tuple[str, int, dict[str, str]]:
        self.requests.append(url)
        if self.status != 200:
            return json.dumps({"error": {"type": "invalid_request_error", "message": "no"}}), self.status, DATED
        parts = urlsplit(url)
        if parts.path in self.failing:
            return json.dumps({"error": {"type": "invalid_request_error"}}), self.failing[parts.path], DATED
        if parts.path in self.refused:
            message = "Having the 'rak_some_read' permission would allow this request to continue."
            return json.dumps({"error": {"type": "invalid_request_error", "message": message}}), 403, DATED
        query = parse_qs(parts.query)
        if parts.path.startswith("/v1/subscriptions/"):
            return self._one(parts.path.rpartition("/")[2])
        everything = self.lists[parts.path]
        after = query.get("starting_after", [""])[0]
        if after and self.has_one_page_only:
            return json.dumps({"error": {"type": "api_error"}}), 500, DATED
        start = [each["id"] for each in everything].index(after) + 1 if after else 0
        limit = int(query.get("limit", ["10"])[0])
        data = [_expanded(each, url) for each in everything[start : start + limit]]
        page = {"object": "list", "url": parts.path, "data": data}
        return json.dumps({**page, "has_more": start + limit < len(everything)}), 200, DATED

    def _one(self, subscription_id: str) -> tuple[str, int, dict[str, str]]:
        for raw in (*self.lists["/v1/subscriptions"], *self.canceled):
            if raw["id"] == subscription_id:
                return json.dumps(raw), 200, DATED
        return json.dumps({"error": {"type": "invalid_request_error", "code": "resource_missing"}}), 404, DATED

    def mirrored(self, paused_since: Mapping[str, int] | None = None) -> FakeTable:
        """A mirror that is as this account is."""
        table = FakeTable()
        for raw in self.lists["/v1/subscriptions"]:
            try:
                read = read_subscription(raw)
            except UnreadableEvent:
                continue
            since = (paused_since or {}).get(read.id)
            table.items[read.customer_id, read.id] = MirroredSubscription(
                read, SECOND - 60, 1, "evt_1", Beginnings(since)
            )
        return table

    def close(self) -> None:
        """Nothing is open."""


def audit(  # noqa: PLR0913 - each a fact that a test is about
    account: FakeAccount,
    table: FakeTable | None = None,
    *,
    now: datetime = NOW,
    timezone: str = "UTC",
    button_removed_on: date = PAUSE_BUTTON_REMOVED_ON,
    cutoff_on: date = PAUSE_CUTOFF_ON,
    repair: bool = False,
    options: AuditOptions = DEFAULT_OPTIONS,
    **more: Any,
) -> Report:
    """By default the mirror has what Stripe has; no pause takes time."""
    day = AuditDay.at(now, ZoneInfo(timezone), button_removed_on=button_removed_on, cutoff_on=cutoff_on)
    sources = sources_of(account, table or account.mirrored(), repair=repair)
    return run_audit(replace(sources, options=options), day, **more)


def sources_of(account: FakeAccount, table: FakeTable, *, repair: bool = False) -> Sources:
    """One stream; no pause takes time."""
    clock = Clock()
    return Sources(
        stripe.StripeClient("sk_test_audit", http_client=account),
        table,
        RateLimit(100, clock=clock, sleep=clock.sleep),
        timedelta(seconds=3),
        timedelta(days=400),
        repair=repair,
        streams=1,
    )


def test_an_empty_account_has_no_findings_and_no_mode() -> None:
    report = audit(FakeAccount([]))
    assert (report.findings, report.subscriptions_read, report.livemode) == ((), 0, None)
    assert report.complete


def test_every_page_is_read_a_hundred_at_a_time_and_canceled_ones_are_not_asked_for() -> None:
    account = FakeAccount([subscription(number) for number in range(250)])
    assert audit(account).subscriptions_read == 250
    pages = [url for url in account.requests if "/v1/subscriptions" in url]
    assert len(pages) == 3
    assert all("limit=100" in url and "status" not in url for url in pages)


def test_the_sum_counts_customers_once_and_adds_by_currency() -> None:
    report = audit(
        FakeAccount(
            [
                subscription(1, pause_collection=VOID),
                subscription(2, pause_collection=VOID, customer="cus_1"),
                subscription(3, pause_collection=VOID, status="past_due"),
                subscription(4, pause_collection=VOID, status="trialing"),
                subscription(5, pause_collection={"behavior": "void", "resumes_at": SECOND}),
                subscription(6, status="paused"),
                subscription(7),
            ]
        )
    )
    assert report.customers_served_free == 2
    assert {currency: str(amount) for currency, amount in report.totals.items()} == {"eur": "3750"}
    assert sorted(paused.subjects[0] for paused in report.paused) == ["sub_1", "sub_2", "sub_3", "sub_4", "sub_6"]
    assert report.livemode is False


def test_what_the_mirror_knows_dates_a_pause_of_collection() -> None:
    account = FakeAccount([subscription(1, pause_collection=VOID), subscription(2, pause_collection=VOID)])
    known, unknown = (each.paused for each in audit(account, account.mirrored({"sub_1": SECOND - 86400})).paused)
    assert known
    assert unknown
    assert known.paused_since == datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
    assert not known.paused_since_is_exact
    assert unknown.paused_since is None


@pytest.mark.parametrize(
    ("timezone", "phase", "days_left"), [("UTC", Phase.RESUME_ONLY, 1), ("Europe/Paris", Phase.STRANDED, 0)]
)
def test_the_day_of_the_teams_time_zone_decides_the_phase(timezone: str, phase: Phase, days_left: int) -> None:
    evening = datetime(2024, 7, 31, 22, 30, tzinfo=UTC)
    report = audit(FakeAccount([]), now=evening, timezone=timezone)
    assert (report.phase, report.days_left) == (phase, days_left)


def test_an_unreadable_subscription_is_a_finding_and_the_rest_goes_on() -> None:
    report = audit(FakeAccount([subscription(1, status=None), subscription(2, pause_collection=VOID)]))
    unreadable, paused = report.every_finding()
    assert (unreadable.check, unreadable.severity) == ("unreadable_subscription", Severity.CRITICAL)
    assert unreadable.subjects == ("sub_1",)
    assert "status" in unreadable.meaning.say("en")
    assert paused.subjects == ("sub_2",)
    assert not report.complete
    assert report.subscriptions_read == 2


def a_check(name: str, of_subscription: Callable[[Subscription, AuditContext], Iterable[Finding]]) -> Check:
    return Check(name, verbatim(name), (Severity.INFO,), of_subscription=of_subscription)


def _crash(subject: Subscription, _audit: AuditContext) -> Iterator[Finding]:
    yield Finding("half", Severity.INFO, (subject.id,), verbatim("said before the crash"), verbatim(""))
    raise ZeroDivisionError(subject.customer_id)


def test_a_check_that_crashes_is_one_finding_with_its_subjects_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    after = a_check("after", lambda each, _: [Finding("after", Severity.INFO, (each.id,), verbatim(""), verbatim(""))])
    crashing = a_check("crashing", _crash)
    report = audit(FakeAccount([subscription(1), subscription(2)]), checks=(crashing, after))
    crash = report.findings[0]
    assert (crash.check, crash.severity, crash.subjects) == ("crashed_check", Severity.CRITICAL, ("sub_1", "sub_2"))
    assert "crashing crashed (ZeroDivisionError)" in crash.meaning.say("en")
    assert [finding.check for finding in report.findings].count("after") == 2
    assert not report.complete
    assert len(caplog.records) == 1


def test_a_check_that_crashes_on_a_configuration_is_a_finding_too() -> None:
    def crash(_raw: StripeJson, _audit: AuditContext) -> Iterator[Finding]:
        raise ZeroDivisionError

    account = FakeAccount([], [{"id": "bpc_1", "livemode": True}])
    report = audit(account, checks=(Check("crashing", verbatim("crashing"), (), of_configuration=crash),))
    assert [(finding.check, finding.subjects) for finding in report.findings] == [("crashed_check", ("bpc_1",))]
    assert report.livemode is True


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, OperatorError), (403, OperatorError), (429, Unavailable), (500, Unavailable), (503, Unavailable)],
)
def test_stripe_that_cannot_be_read_is_never_an_all_clear(status: int, error: type[Exception]) -> None:
    account = FakeAccount([])
    account.status = status
    with pytest.raises(error):
        audit(account)


def test_a_failure_in_the_middle_of_the_list_raises_too() -> None:
    account = FakeAccount([subscription(number) for number in range(150)])
    account.has_one_page_only = True
    with pytest.raises(Unavailable):
        audit(account)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        audit(FakeAccount([]), now=datetime(2026, 11, 22))  # noqa: DTZ001 - what is tested


def test_the_cutoffs_are_arguments() -> None:
    report = audit(FakeAccount([]), button_removed_on=date(2026, 11, 1), cutoff_on=date(2026, 12, 1))
    assert (report.phase, report.days_left) == (Phase.RESUME_ONLY, 9)


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("/v1/billing_portal/configurations", "Customer portal"),
        ("/v1/webhook_endpoints", "Webhook Endpoints"),
        ("/v1/invoices", "Invoices"),
        ("/v2/core/event_destinations", "Event Destinations"),
        ("/v1/events", "Events"),
    ],
)
def test_a_list_that_the_key_may_not_read_is_a_finding_that_names_the_permission(path: str, permission: str) -> None:
    account = FakeAccount([subscription(1, pause_collection=VOID)])
    account.refused = {path}
    missing, paused = audit(account).every_finding()
    assert (missing.check, missing.severity) == ("missing_permission", Severity.WARNING)
    assert f"{permission} (rak_some_read)" in missing.meaning.say("en")
    assert paused.check == "paused_collection"


@pytest.mark.parametrize(
    ("path", "name", "checks"),
    [
        ("/v1/billing_portal/configurations", "Customer portal", "Customers can pause in the portal"),
        ("/v1/webhook_endpoints", "Webhook Endpoints", "Webhook endpoints"),
        ("/v1/invoices", "Invoices", "Unpaid for longer than the limit, Invoices long overdue"),
        ("/v2/core/event_destinations", "Event Destinations", "Event destinations"),
        ("/v1/events", "Events", "Undelivered events"),
    ],
)
def test_a_night_without_a_list_that_the_team_does_without_is_an_all_clear_that_says_so(
    path: str, name: str, checks: str
) -> None:
    account = FakeAccount([subscription(1)])
    account.refused = {path}
    report = audit(account, options=options_of({"AuditSkips": name}))
    (skipped,) = report.findings
    assert is_all_clear(report)
    assert not asked(account, path)
    assert (skipped.check, skipped.severity) == ("skipped_list", Severity.INFO)
    assert f"because AuditSkips says so: {name}. So these checks found nothing: " in skipped.meaning.say("en")
    assert checks in skipped.meaning.say("en")
    assert [note.say("en") for note in after_headline(report)] == [f"Not looked at: {name}."]


def test_another_list_that_the_key_may_not_read_is_still_a_warning() -> None:
    account = FakeAccount([subscription(1)])
    account.refused = {"/v1/invoices", "/v1/events"}
    report = audit(account, options=options_of({"AuditSkips": "Events, Event Destinations"}))
    assert not is_all_clear(report)
    assert [finding.check for finding in report.findings] == ["skipped_list", "missing_permission"]
    assert "name it in AuditSkips" in report.findings[1].action.say("en")


def test_without_prices_no_product_is_asked_for() -> None:
    products = [{"product": f"prod_{number}", "prices": ["price_1", "price_2"]} for number in range(2)]
    updates = {"subscription_update": {"enabled": True, "default_allowed_updates": ["price"], "products": products}}
    account = FakeAccount([], [{"id": "bpc_1", "active": True, "is_default": True, "features": updates}])
    audit(account, options=options_of({"AuditSkips": "Prices"}))
    assert not asked(account, "/v1/prices")
    audit(account)
    assert asked(account, "/v1/prices")


@pytest.mark.parametrize("names", ["Subscriptions", "Invoices; Events", "invoices"])
def test_what_an_audit_cannot_do_without_is_refused(names: str) -> None:
    with pytest.raises(InvalidRequest, match="AuditSkips"):
        options_of({"AuditSkips": names})


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/billing_portal/configurations", "Customer portal"),
        ("/v1/invoices", "Invoices"),
        ("/v2/core/event_destinations", "Event Destinations"),
        ("/v1/webhook_endpoints", "Webhook Endpoints"),
        ("/v1/events", "Events"),
        ("/v1/prices", "Prices"),
    ],
)
def test_a_list_that_cannot_be_read_is_a_finding_and_the_rest_is_reported(path: str, name: str, status: int) -> None:
    account = FakeAccount([subscription(1, pause_collection=VOID)], [{**DEFAULT, "features": SEVERAL_PRICES}])
    account.failing = {path: status}
    unread, paused = audit(account).every_finding()
    assert (unread.check, unread.severity) == ("unreadable_list", Severity.WARNING)
    assert f"Could not be read, or not to the end: {name}." in unread.meaning.say("en")
    assert paused.check == "paused_collection"


def test_two_prices_of_one_interval_are_found_beyond_the_first_hundred() -> None:
    monthly = {
        "type": "recurring",
        "currency": "eur",
        "active": True,
        "recurring": {"interval": "month", "interval_count": 1},
    }
    account = FakeAccount([subscription(1)], [{**DEFAULT, "features": SEVERAL_PRICES}])
    others = [{"id": f"price_other_{number}", **monthly} for number in range(120)]
    account.lists["/v1/prices"] = [*others, {"id": "price_1", **monthly}, {"id": "price_2", **monthly}]
    assert "same_interval" in [finding.check for finding in audit(account).findings]


def test_prices_are_not_asked_for_again_once_a_request_for_them_has_failed() -> None:
    products = [{"product": f"prod_{number}", "prices": ["price_1", "price_2"]} for number in range(3)]
    features = {
        **SEVERAL_PRICES,
        "subscription_update": {**SEVERAL_PRICES["subscription_update"], "products": products},
    }
    account = FakeAccount([subscription(1)], [{**DEFAULT, "features": features}])
    account.failing = {"/v1/prices": 400}
    audit(account)
    assert len([url for url in account.requests if "/v1/prices" in url]) == 1


def test_a_list_without_end_is_given_up_after_a_while() -> None:
    class Endless(FakeAccount):
        def request(  # type: ignore[override]
            self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
        ) -> tuple[str, int, dict[str, str]]:
            if "/v1/billing_portal/configurations" not in url:
                return super().request(method, url, headers, post_data)
            self.requests.append(url)
            page = {"object": "list", "data": [DEFAULT | {"id": f"bpc_{len(self.requests)}"}], "has_more": True}
            return json.dumps(page), 200, DATED

    account = Endless([subscription(1, pause_collection=VOID)])
    unread, paused = audit(account).every_finding()
    assert (unread.check, paused.check) == ("unreadable_list", "paused_collection")
    assert "Customer portal" in unread.meaning.say("en")


def test_subscriptions_that_the_key_may_not_read_fail_the_audit() -> None:
    account = FakeAccount([subscription(1)])
    account.refused = {"/v1/subscriptions"}
    with pytest.raises(OperatorError):
        audit(account)


def test_prices_that_the_key_may_not_read_are_a_finding_too() -> None:
    account = FakeAccount([subscription(1)], [{**DEFAULT, "features": SEVERAL_PRICES}])
    account.refused = {"/v1/prices"}
    (missing,) = audit(account).findings
    assert missing.check == "missing_permission"
    assert "Prices" in missing.meaning.say("en")


def test_a_healthy_account_costs_seven_requests_and_gives_no_finding() -> None:
    account = FakeAccount([subscription(1)])
    assert audit(account).findings == ()
    # Subscriptions, configurations, endpoints, events, destinations, and two kinds of invoices.
    assert len(account.requests) == 7
    (events,) = [url for url in account.requests if "/v1/events" in url]
    assert "delivery_success=false" in events
    assert "customer.subscription." in events


def test_progress_is_told_after_each_page_and_at_the_end() -> None:
    told: list[int] = []
    audit(FakeAccount([subscription(number) for number in range(250)]), progress=told.append)
    assert told == [0, 100, 200, 250]


def test_where_the_service_honors_pauses_the_headline_is_about_money_and_age() -> None:
    paused = [subscription(number, pause_collection=VOID) for number in range(2)]
    account = FakeAccount([*paused, subscription(3)])
    mirror = account.mirrored({"sub_0": 1_709_300_000, "sub_1": 1_719_300_000})
    report = audit(account, mirror, options=AuditOptions(service_honors_pauses=True, max_pause_days=0))
    assert headline(report).say("en") == (
        "2 customers are paused: up to 25.00 EUR a month not collected. "
        "The oldest pause began on 1 March 2024 or earlier."
    )
    exact = Beginnings(1_709_300_000, paused_since_exact=True)
    for key, each in mirror.items.items():
        mirror.items[key] = replace(each, beginnings=exact)
    exactly = audit(account, mirror, options=AuditOptions(service_honors_pauses=True))
    assert headline(exactly).say("en").endswith("The oldest pause began on 1 March 2024.")
    assert (report.served_free_count, report.customers_served_free) == (0, 0)
    assert is_all_clear(report)
    unknown = audit(FakeAccount(paused[:1]), FakeTable(), options=AuditOptions(service_honors_pauses=True))
    assert headline(unknown).say("en").endswith("not collected. Since when is not known.")
    nothing = audit(FakeAccount([]), options=AuditOptions(service_honors_pauses=True))
    assert headline(nothing).say("en") == "No payment is kept back by a pause."


def invoice(number: int, **changes: Any) -> dict[str, Any]:
    owner = {"id": f"sub_{number}", "status": "past_due", "metadata": {}}
    return {
        "id": f"in_{number}",
        "collection_method": "charge_automatically",
        "amount_remaining": 1250,
        "currency": "eur",
        "customer": f"cus_{number}",
        "customer_name": "Ada",
        "customer_email": "ada@example.com",
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": owner}},
        **changes,
    }


def asked(account: FakeAccount, path: str) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(url).query) for url in account.requests if urlsplit(url).path == path]


def test_unpaid_invoices_are_asked_for_by_age_and_those_of_no_subscription_are_left_out() -> None:
    account = FakeAccount([])
    account.lists["/v1/invoices"] = [invoice(1), invoice(2, parent=None), invoice(3, parent={"quote_details": {}})]
    report = audit(account, options=AuditOptions(max_past_due_days=10, max_overdue_days=0))
    (finding,) = report.findings
    assert (finding.check, finding.subjects) == ("long_past_due", ("sub_1",))
    assert finding.customers == (CustomerName("cus_1", "Ada", "ada@example.com"),)
    nameless = audit(account, options=AuditOptions(max_overdue_days=0, audit_names_customers=False))
    assert nameless.findings[0].customers == (CustomerName("cus_1"),)
    query = asked(account, "/v1/invoices")[0]
    assert query["status"] == ["open"]
    assert query["collection_method"] == ["charge_automatically"]
    assert query["created[lte]"] == [str(SECOND - 10 * 86_400)]
    assert query["expand[0]"] == ["data.parent.subscription_details.subscription"]
    by_customer = FakeAccount([])
    audit(by_customer, options=AuditOptions(max_past_due_days=0, max_overdue_days=20))
    (query,) = asked(by_customer, "/v1/invoices")
    assert (query["collection_method"], query["due_date[lte]"]) == (["send_invoice"], [str(SECOND - 20 * 86_400)])
    neither = FakeAccount([])
    audit(neither, options=AuditOptions(max_past_due_days=0, max_overdue_days=0))
    assert asked(neither, "/v1/invoices") == []


def test_of_invoices_without_end_a_thousand_are_read() -> None:
    account = FakeAccount([])
    account.lists["/v1/invoices"] = [invoice(number) for number in range(1500)]
    (finding,) = audit(account, options=AuditOptions(max_overdue_days=0)).findings
    assert finding.size == 1000
    assert "There may be more" in finding.meaning.say("en")
    assert len(asked(account, "/v1/invoices")) == 11


class Destinations(FakeAccount):
    """Two pages of destinations, in the form of version 2 of the API."""

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[str, int, dict[str, str]]:
        if "/v2/" not in url:
            return super().request(method, url, headers, post_data)
        self.requests.append(url)
        assert url.startswith("https://api.stripe.com/v2/core/event_destinations")
        last = "page=two" in url
        data = [{"id": f"ed_{last}", "status": "disabled", "enabled_events": ["*"]}]
        following = None if last else "https://elsewhere.example/v2/core/event_destinations?page=two"
        return json.dumps({"data": data, "next_page_url": following}), 200, DATED


def test_every_page_of_event_destinations_is_read_and_the_key_goes_to_stripe_alone() -> None:
    account = Destinations([])
    findings = audit(account).findings
    assert [finding.subjects for finding in findings] == [("ed_False",), ("ed_True",)]
    assert len([url for url in account.requests if "/v2/" in url]) == 2


def soon_charged(number: int) -> dict[str, Any]:
    raw = subscription(number, default_payment_method=f"pm_{number}")
    raw["items"]["data"][0]["current_period_end"] = SECOND + 86_400
    return raw


def test_payment_methods_are_read_only_if_the_team_wants_that_and_a_refusal_is_one_finding() -> None:
    frugal = FakeAccount([soon_charged(number) for number in range(3)])
    assert audit(frugal).findings == ()
    assert not any("payment_methods" in url for url in frugal.requests)
    account = FakeAccount([soon_charged(number) for number in range(3)])
    account.refused = {f"/v1/payment_methods/pm_{number}" for number in range(3)}
    (missing,) = audit(account, options=AuditOptions(reads_payment_methods=True)).findings
    assert missing.check == "missing_permission"
    assert "Payment Methods" in missing.meaning.say("en")
    assert len([url for url in account.requests if "payment_methods" in url]) == 1


def test_queues_that_do_not_answer_are_a_finding_and_the_rest_is_reported() -> None:
    def refuse() -> Any:
        raise Unavailable("dead_letters_unavailable", "The dead-letter queue did not answer (AccessDenied)")

    account = FakeAccount([subscription(1, pause_collection=VOID)])
    day = AuditDay.at(NOW, ZoneInfo("UTC"), button_removed_on=PAUSE_BUTTON_REMOVED_ON, cutoff_on=PAUSE_CUTOFF_ON)
    report = run_audit(replace(sources_of(account, account.mirrored()), dead_letters=refuse), day)
    unread, paused = report.every_finding()
    assert (unread.check, paused.check) == ("unreadable_list", "paused_collection")
    assert "dead-letter queues" in unread.meaning.say("en")
