"""Reads the account once and shows every object to every check."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

from stripe import StripeClient

from shared.audit import account
from shared.audit.check import Account, AuditContext, Check, Raw
from shared.audit.looking import Looking
from shared.audit.paused_findings import PausedFindings
from shared.audit.registry import CHECKS
from shared.audit.report import Report
from shared.pause import days_until, phase_on


def run_audit(  # noqa: PLR0913 - keywords, each a plain fact that a test or the command line sets
    client: StripeClient,
    paused_since: Mapping[str, int],
    *,
    now: datetime,
    timezone: ZoneInfo,
    button_removed_on: date,
    cutoff_on: date,
    checks: tuple[Check, ...] = CHECKS,
    webhook_url: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Audit the account that the client's key belongs to.

    `paused_since` comes from `collection_paused_since`, or is empty. `now` is aware; the day in `timezone` decides the
    phase. `webhook_url` is the deployment's own endpoint, if known. `progress` is told how many subscriptions were
    read. Reads all subscriptions that are not canceled, and the few other lists that the checks want. Raises
    `OperatorError` when Stripe refuses the key or its reading of subscriptions, and `Unavailable` when it does not
    answer: half an audit is none. A key that may not read another list is a finding.
    """
    if now.tzinfo is None:
        raise ValueError("`now` must be aware: its day depends on the time zone")
    today = now.astimezone(timezone).date()
    phase = phase_on(today, button_removed_on=button_removed_on, cutoff_on=cutoff_on)
    days_left = days_until(cutoff_on, today)
    context = AuditContext(now, phase, days_left, cutoff_on, paused_since, account.Prices(client))
    paused = PausedFindings()
    looking = Looking(checks, context, paused.add)
    for raw in account.all_subscriptions(client):
        looking.at_subscription(raw)
        if looking.subscriptions_read % account.PAGE == 0:
            progress(looking.subscriptions_read)
    progress(looking.subscriptions_read)
    looking.at_account(_read_account(client, looking, now, webhook_url))
    read, livemode = looking.subscriptions_read, looking.livemode
    return Report(now, timezone, phase, days_left, livemode, read, looking.findings(), paused)


def _read_account(client: StripeClient, looking: Looking, now: datetime, webhook_url: str | None) -> Account:
    """Configurations are shown to the checks as they come; only the default ones are kept."""

    def configurations() -> list[Raw]:
        kept: list[Raw] = []
        for raw in account.all_configurations(client):
            looking.at_configuration(raw)
            if raw.get("is_default"):
                kept.append(raw)
        return kept

    endpoints = partial(account.webhook_endpoints, client)
    undelivered = partial(account.undelivered_events, client, now)
    events = account.read_if_permitted(undelivered, "Events", looking.note)
    return Account(
        looking.subscriptions_read,
        account.read_if_permitted(configurations, "Customer portal", looking.note),
        account.read_if_permitted(endpoints, "Webhook Endpoints", looking.note),
        None if events is None else events[: account.MOST_EVENTS],
        undelivered_whole=events is None or len(events) <= account.MOST_EVENTS,
        webhook_url=webhook_url,
    )
