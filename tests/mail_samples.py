"""Writes the mail in all its moods, to be looked at: `python -m tests.mail_samples FOLDER`."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from functions.nightly_audit.mail import compose
from shared.audit.check import AccountFacts, AuditContext
from shared.audit.checks import mirror as mirror_checks
from shared.audit.checks import paused as paused_checks
from shared.audit.checks import pauses as pause_checks
from shared.audit.checks import subscriptions as subscription_checks
from shared.audit.findings import (
    CRASHED_CHECK,
    UNREADABLE_SUBSCRIPTION,
    CustomerName,
    Finding,
    ListChange,
    Severity,
)
from shared.audit.options import AuditOptions
from shared.audit.pauses import EXTENDED_OFTEN, NewPause, PausesRead, PolicyBreak
from shared.audit.rendering.as_html import to_html
from shared.audit.report import ListLink, PastNight, Report, ReportView
from shared.i18n import _, languages
from shared.pausing.history import PauseState
from shared.portal.pause import PAUSE_CUTOFF_ON, Phase
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem
from tests.fakes import audit_report
from tests.pause_records import DAY, pause_record

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
SINCE = {f"sub_1QkW7eL{number:017d}": 1_709_300_000 + number * 86_400 for number in range(400)}


def context(phase: Phase = Phase.STRANDED, days_left: int = 0) -> AuditContext:
    """What the checks look at besides their subject."""
    return AuditContext(NOW, phase, days_left, PAUSE_CUTOFF_ON, SINCE)


def paused(  # noqa: PLR0913 - each a fact that a sample shows
    number: int,
    *,
    amount: str | None = "1250",
    currency: str = "eur",
    behavior: str = "void",
    resumes_at: int | None = None,
    status: str = "active",
) -> Subscription:
    """A subscription whose collection is paused."""
    item = SubscriptionItem(
        f"si_{number}",
        "price_1Plan",
        "prod_1Plan",
        1,
        amount,
        currency,
        "month",
        usage_type="licensed",
        current_period_end=1_796_500_000,
    )
    return Subscription(
        f"sub_1QkW7eL{number:017d}",
        f"cus_Rk7e{number:010d}",
        status,
        livemode=True,
        created=1_690_000_000,
        currency=currency,
        pause_collection=PauseCollection(behavior, resumes_at),
        items=(item,),
    )


PEOPLE = (
    "Zoé Martin",
    "Ada Lovelace",
    "Société Générale de Boulangerie et Fils",
    "Søren Kierkegaard",
    "Northwind Traders GmbH & Co. KG",
    "김민수",
    "Maximiliane-Alexandra von Hohenlohe-Schillingsfürst",
)


def customer_of(subscription: Subscription) -> CustomerName:
    """Whom it belongs to; one in eight has no name, and one in sixteen no address either."""
    number = int(subscription.customer_id[-3:]) if subscription.customer_id[-3:].isdecimal() else 0
    email = "" if number % 16 == 15 else f"customer{number}@shop-{number % 7}.example"
    return CustomerName(subscription.customer_id, "" if number % 8 == 7 else PEOPLE[number % 7], email)


def findings(*subscriptions: Subscription, audit: AuditContext | None = None) -> Iterator[Finding]:
    """What the checks say of them, with their customers."""
    for each in subscriptions:
        for find in (
            paused_checks.find_paused_collection,
            paused_checks.find_paused_status,
            subscription_checks.find_portal_limits,
        ):
            for found in find(each, audit or context()):
                yield replace(found, customers=(customer_of(each),) * len(found.subjects))


def nights(numbers: str, totals: Mapping[str, int]) -> tuple[PastNight, ...]:
    """One digit a night up to yesterday, `-` for none; the tenth was incomplete."""
    first = date(2026, 11, 22) - timedelta(days=len(numbers))
    return tuple(
        PastNight(
            first + timedelta(days=day),
            day != 9,
            int(digit) + 1,
            int(digit),
            {currency: Decimal(each * int(digit)) for currency, each in totals.items()},
        )
        for day, digit in enumerate(numbers)
        if digit != "-"
    )


def _several() -> tuple[Report, tuple[PastNight, ...], ListChange]:
    real = replace(paused(4), status="paused", pause_collection=None, paused_reason="final_payment_failure")
    endpoint = {"id": "we_1Hook", "status": "enabled", "enabled_events": ["customer.subscription.updated"]}
    account_ = AccountFacts(2431, (), [{**endpoint, "api_version": "2024-06-20"}], ())
    report = audit_report(
        *findings(
            paused(1),
            paused(2),
            paused(3, behavior="keep_as_draft", resumes_at=1_796_000_000),
            real,
            paused(5, status="trialing"),
        ),
        *mirror_checks.find_endpoint_faults(account_, context()),
    )
    new = (paused(2).id, paused(3).id)
    return (
        replace(report, subscriptions_read=2431),
        nights("11-1222--1102233344221100111-1", {"eur": 1250})[1:],
        ListChange(date(2026, 11, 21), new, 2, (paused(9).id,), 1),
    )


def _warning() -> Report:
    endpoint = {"id": "we_1Hook", "status": "disabled", "enabled_events": ["*"]}
    return audit_report(*mirror_checks.find_endpoint_faults(AccountFacts(7, (), [endpoint], ()), context()))


def _incomplete() -> Report:
    crash = Finding(
        CRASHED_CHECK,
        Severity.CRITICAL,
        ("bpc_1",),
        _(
            "The check {check} crashed ({error}): what it would have said about these is not known.",
            check="same_interval",
            error="KeyError",
        ),
        _("Find the stack trace in the audit's log, and report it."),
    )
    unreadable = Finding(
        UNREADABLE_SUBSCRIPTION,
        Severity.CRITICAL,
        ("sub_odd",),
        _("It is not known whether this subscription is paused: {reason}.", reason="id"),
        _("Check it in the Dashboard, and report its shape."),
    )
    return audit_report(crash, unreadable, *findings(paused(1)))


def _currencies() -> Report:
    amounts = (("eur", "123450"), ("jpy", "500"), ("kwd", "12345"), ("usd", "99900"), ("chf", "1500"))
    return audit_report(
        *findings(*(paused(number, amount=amount, currency=code) for number, (code, amount) in enumerate(amounts)))
    )


def _long_ids() -> Report:
    long = replace(paused(1), id="sub_" + "A1b2" * 62, customer_id="cus_" + "X9y8" * 62)
    return audit_report(*findings(long))


def _twelve() -> Report:
    """Pauses of every kind, for a page on which each is told once."""
    ends = replace(paused(8), cancel_at=1_797_000_000)
    trial = replace(paused(5, status="trialing"), trial_end=1_797_000_000)
    real = replace(paused(4), status="paused", pause_collection=None, paused_at=1_790_000_000)
    return audit_report(
        *findings(
            paused(1, amount="490000"),
            paused(2),
            paused(3, behavior="keep_as_draft", resumes_at=1_796_000_000),
            replace(real, paused_reason="final_payment_failure"),
            trial,
            paused(6, behavior="mark_uncollectible", amount="2900"),
            replace(real, id=paused(7).id, customer_id=paused(7).customer_id, paused_reason="pause_requested"),
            ends,
            paused(9, amount=None),
            paused(10, currency="usd", amount="9900"),
            paused(350),
            paused(15, amount="0"),
        )
    )


def _set_here() -> Report:
    """Pauses that customers and the team have set: new ones, one that should have ended, and rules that were broken."""
    night = int(NOW.timestamp())
    real = [
        replace(paused(number), status="paused", pause_collection=None, paused_at=night - 20 * DAY)
        for number in (1, 2, 3, 4)
    ]
    real = [replace(each, paused_reason="pause_requested") for each in real]
    at_stripe = replace(real[3], paused_at=night - 7 * 3600)
    records = {
        each.id: pause_record(each.id, each.customer_id, begins=night - 20 * DAY, resumes=resumes, **more)
        for each, resumes, more in (
            (real[0], night + 30 * DAY, {"reason": "holiday"}),
            (real[1], night - 9 * 3600, {"actor": "team", "actor_name": "ops@shop.example", "overridden": True}),
            (real[2], night - 3 * DAY, {"state": PauseState.RESUMING, "waiting": "payment_method"}),
        )
    }
    new = (
        NewPause(real[0].id, real[0].customer_id, "subscription", night, night + 30 * DAY, "customer", None, "holiday"),
        NewPause(
            paused(5).id, paused(5).customer_id, "collection", night + DAY, night + 62 * DAY, "customer", over=True
        ),
        NewPause(
            paused(6).id,
            paused(6).customer_id,
            "subscription",
            night + 9 * DAY,
            night + 409 * DAY,
            "team",
            "ops@shop.example",
            overridden=True,
        ),
        NewPause("sub_1QkGone", "cus_Rk7eGone", "subscription", night + 9 * DAY, night + 40 * DAY, "customer"),
    )
    breaks = (
        PolicyBreak("pause_too_long", paused(6).customer_id, (paused(6).id,), 400, ("ops@shop.example",)),
        PolicyBreak("too_many_pauses", real[0].customer_id, (real[0].id, paused(9).id), 3),
        PolicyBreak(EXTENDED_OFTEN, paused(5).customer_id, (paused(5).id,), 4),
    )
    read = PausesRead(
        night - DAY,
        night,
        new=new,
        new_number=len(new),
        breaks=breaks,
        breaks_of_code={each.code: 1 for each in breaks},
        stalled=(paused(8).id,),
        stalled_number=1,
        names={each.id: customer_of(each) for each in (*real, *map(paused, (5, 6, 8)))},
    )
    options = AuditOptions(pause_max_in_365_days=2)
    audit = replace(context(), pauses=records, pauses_read=read, options=options)
    account = AccountFacts(2431, (), (), (), pauses=read)
    checks = (pause_checks.PAUSE_NOT_ENDED, pause_checks.NEW_PAUSES, pause_checks.PAUSES_BEYOND_RULES)
    of_pauses = [
        replace(found, customers=(customer_of(each),))
        for check in checks
        for each in (*real[:3], at_stripe)
        for found in check.of_subscription(each, audit)
    ]
    of_account = [found for check in checks for found in check.of_account(account, audit)]
    return audit_report(*findings(*real, audit=audit), *of_pauses, *of_account)


def samples() -> dict[str, tuple[Report, tuple[PastNight, ...], ListChange | None, ListLink | None]]:
    """Every mood by its name."""
    report, before, change = _several()
    many = audit_report(*findings(*(paused(number, amount=str(900 + number * 100)) for number in range(150))))
    resume_only = context(Phase.RESUME_ONLY, 17)
    link = ListLink(
        "https://audits.s3.eu-west-1.amazonaws.com/lists/2026-11-22.csv?X-Amz-Signature=" + "0" * 64,
        "s3://audits/lists/2026-11-22.csv",
    )
    unknown = audit_report(*findings(paused(1), paused(2, amount=None)))
    return {
        "nothing": (audit_report(), nights("000", {}), ListChange(date(2026, 11, 21)), None),
        "one": (audit_report(*findings(paused(1))), (), None, None),
        "several": (report, before, change, None),
        "many": (many, nights("12", {"eur": 900}), ListChange(date(2026, 11, 21), tuple(SINCE)[:5], 148), link),
        "warning": (
            _warning(),
            nights("11", {"eur": 1250}),
            ListChange(date(2026, 11, 20), (), 0, (paused(1).id,), 1),
            None,
        ),
        "incomplete": (_incomplete(), before, change, None),
        "test_mode": (replace(unknown, livemode=False), (), None, None),
        "currencies": (_currencies(), nights("2-3", {"eur": 100, "jpy": 500}), ListChange(date(2026, 11, 21)), None),
        "unknown_only": (audit_report(*findings(paused(2, amount=None))), (), None, None),
        "resume_only": (
            replace(audit_report(*findings(paused(1), audit=resume_only)), phase=Phase.RESUME_ONLY, days_left=17),
            (),
            None,
            None,
        ),
        "twelve": (_twelve(), nights("2-3", {"eur": 100}), ListChange(date(2026, 11, 21)), None),
        "three_hundred": (
            audit_report(*findings(*(paused(number, amount=str(900 + number * 100)) for number in range(300)))),
            (),
            None,
            None,
        ),
        "set_here": (_set_here(), nights("0000", {}), ListChange(date(2026, 11, 21)), None),
        "long_ids": (_long_ids(), (), None, None),
    }


HELP = "https://docs.shop.example/audit"


def main(folder: Path) -> None:
    """Write each sample in each language as a mail, as its two bodies, and as a page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (report, before, change, link) in samples().items():
        for language in languages():
            edition = ReportView(report, language, before, change, link, "acct_1QkShop", HELP)
            message = compose(edition, "audit@example.com", ("team@example.com",))
            stem = folder / f"{name}-{language}"
            stem.with_suffix(".eml").write_bytes(message.as_bytes())
            for kind, suffix in (("plain", ".txt"), ("html", ".html")):
                part = message.get_body((kind,))
                assert part
                stem.with_suffix(suffix).write_text(part.get_content())
            stem.with_name(f"{stem.name}-file").with_suffix(".html").write_text(to_html(ReportView(report, language)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
