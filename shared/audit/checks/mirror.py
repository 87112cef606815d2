"""What keeps the mirror from being true: webhook endpoints, events that were not delivered, and drift."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from shared.audit.check import AccountFacts, AuditContext, Check, DriftTotals, at
from shared.audit.findings import Finding, Severity
from shared.i18n import NOTHING, Message, _, _n, duration, listed, sentences
from shared.stripe.gateway import StripeJson
from shared.stripe.webhook_endpoint import needed_events

WEBHOOK_ENDPOINTS_NAME = "webhook_endpoints"
# The first version whose subscriptions say why they are paused (`status_details`).
FIRST_VERSION_WITH_CAUSE = "2026-09-30"

_DISABLED = _("This webhook endpoint is disabled: Stripe sends it nothing, and will not retry.")
_ENABLE = _("Fix what made it fail, enable it (Dashboard: Webhooks), then run `portal reconcile`.")
_NO_ENDPOINT = _("No webhook endpoint of the account has this deployment's address.")
_ADD_ENDPOINT = _(
    "Add one for customer.subscription.*, unless events arrive through EventBridge or an event destination."
)
_OLD_VERSION = _(
    "This webhook endpoint's API version is older than {version}: its events do not say why a subscription is paused.",
    version=FIRST_VERSION_WITH_CAUSE,
)
_OPTIONAL_NEW_ENDPOINT = sentences(
    _("Nothing has to be done: every version since 2019 can be read."), _("A newer endpoint would say more.")
)
_ADD_TYPES = _("Add these types to the endpoint.")


def find_endpoint_faults(account: AccountFacts, audit: AuditContext) -> Iterator[Finding]:
    """Check the deployment's endpoint, or every endpoint for subscriptions if the deployment's address is not known."""
    endpoints, address = account.webhook_endpoints, account.webhook_url
    wanted = needed_events(entitlements=audit.options.entitlements)
    if endpoints is None:
        return
    if not address:
        for endpoint in endpoints:
            if any(map(_is_about_subscriptions, endpoint.get("enabled_events") or ())):
                yield from _endpoint_faults(endpoint, wanted, if_disabled=Severity.WARNING, if_incomplete=Severity.INFO)
        return
    own = [endpoint for endpoint in endpoints if endpoint.get("url") == address]
    if not own and not any(map(_delivers, account.event_destinations or ())):
        yield Finding(
            WEBHOOK_ENDPOINTS_NAME, Severity.WARNING, (), _NO_ENDPOINT, _ADD_ENDPOINT, code="endpoint_missing"
        )
    # While one works, a disabled one at the same address is a leftover: events arrive.
    one_works = any(endpoint.get("status") != "disabled" and not _missing_types(endpoint, wanted) for endpoint in own)
    severities = (Severity.INFO, Severity.INFO) if one_works else (Severity.CRITICAL, Severity.WARNING)
    for endpoint in own:
        yield from _endpoint_faults(endpoint, wanted, if_disabled=severities[0], if_incomplete=severities[1])


def _endpoint_faults(
    endpoint: StripeJson, wanted: Sequence[str], *, if_disabled: Severity, if_incomplete: Severity
) -> Iterator[Finding]:
    def found(code: str, severity: Severity, meaning: Message, action: Message) -> Finding:
        return Finding(WEBHOOK_ENDPOINTS_NAME, severity, (str(endpoint["id"]),), meaning, action, code=code)

    if endpoint.get("status") == "disabled":
        yield found("endpoint_disabled", if_disabled, _DISABLED, _ENABLE)
        return
    missing = _missing_types(endpoint, wanted)
    if missing:
        meaning = _("This webhook endpoint is not subscribed to: {types}.", types=listed(missing))
        yield found("event_types_missing", if_incomplete, meaning, _ADD_TYPES)
    version = endpoint.get("api_version")
    if version and str(version)[:10] < FIRST_VERSION_WITH_CAUSE:
        yield found("endpoint_version_old", Severity.INFO, _OLD_VERSION, _OPTIONAL_NEW_ENDPOINT)


def _missing_types(endpoint: StripeJson, wanted: Sequence[str]) -> list[str]:
    enabled = endpoint.get("enabled_events") or ()
    return [] if "*" in enabled else [needed for needed in wanted if needed not in enabled]


def _is_about_subscriptions(event_type: str) -> bool:
    return event_type == "*" or event_type.startswith("customer.subscription.")


WEBHOOK_ENDPOINTS = Check(
    WEBHOOK_ENDPOINTS_NAME,
    _("Webhook endpoints"),
    (Severity.CRITICAL, Severity.WARNING, Severity.INFO),
    reports=(
        "disabled; not subscribed to an event type that the mirror needs; an API version without the cause of a "
        "pause; no endpoint of ours (only if its address is known)"
    ),
    permission="Webhook Endpoints",
    of_account=find_endpoint_faults,
)


UNDELIVERED_EVENTS_NAME = "undelivered_events"
_REDELIVER = _("Fix the endpoint's failed deliveries (Dashboard: Webhooks), then run `portal reconcile`.")


def _oldest_from(moment: datetime | None) -> Message:
    return _("The oldest one that was read is from {day} (UTC).", day=moment.date()) if moment else NOTHING


def find_undelivered(account: AccountFacts, _audit: AuditContext) -> Iterator[Finding]:
    """Say how many and since when; another endpoint of the account may be the one that failed."""
    if not account.undelivered:
        return
    oldest = account.undelivered[-1]
    created = at(int(oldest["created"]))
    number = len(account.undelivered)
    if account.undelivered_whole:
        how_many = _n(
            "{n} event about subscriptions did not reach every endpoint.",
            "{n} events about subscriptions did not reach every endpoint.",
            number,
        )
    else:
        how_many = _n(
            "At least {n} event about subscriptions did not reach every endpoint.",
            "At least {n} events about subscriptions did not reach every endpoint.",
            number,
        )
    yield Finding(
        UNDELIVERED_EVENTS_NAME,
        Severity.WARNING,
        (str(oldest["id"]),),
        sentences(how_many, _oldest_from(created)),
        _REDELIVER,
    )


UNDELIVERED_EVENTS = Check(
    UNDELIVERED_EVENTS_NAME,
    _("Undelivered events"),
    (Severity.WARNING,),
    reports=(
        "events about subscriptions that an endpoint has not accepted within an hour: how many (up to 1,000), and "
        "since when"
    ),
    permission="Events",
    of_account=find_undelivered,
)


DRIFT_NAME = "drift"

_CHECK_THE_KEY = _(
    "Check that stripe_api_key in the secret belongs to the account and the mode whose events you receive, then run "
    "`portal reconcile --repair`, which checks all of them."
)
_REPAIRED = _("The audit has repaired this; until then your services read outdated data.")
_NOT_REPAIRED = _("Not all of it is repaired: your services read outdated data.")
_CHECK_DELIVERIES = _(
    "Check the webhook endpoint's failed deliveries (Dashboard: Webhooks), and the log of the webhook function."
)
_RECONCILE = _("Run `portal reconcile --repair`, which names what it cannot repair.")
_NOT_IN_STRIPE = _("The mirror holds subscriptions that Stripe does not have, or has under another customer.")
_CHECK_EACH = _(
    "Nothing, if test clocks were deleted or another account was used before; otherwise check each in the Dashboard."
)


def find_drift(account: AccountFacts, _audit: AuditContext) -> Iterator[Finding]:
    """Say how many subscriptions differed: repaired or not, an event was lost on its way."""
    totals = account.drift
    if totals is None:
        return
    if totals.given_up:
        yield Finding(
            DRIFT_NAME, Severity.WARNING, (), _given_up(totals.asked), _CHECK_THE_KEY, code="mirror_not_compared"
        )
    if totals.drifted:
        yield _drifted(totals)
    not_repairable = sum(totals.found.values()) - totals.drifted
    if not_repairable:
        yield Finding(
            DRIFT_NAME,
            Severity.INFO,
            totals.not_repairable,
            _NOT_IN_STRIPE,
            _CHECK_EACH,
            more=not_repairable - len(totals.not_repairable),
            code="not_in_stripe",
        )


def _drifted(totals: DriftTotals) -> Finding:
    drifted = totals.drifted
    how_many = _n(
        "{n} subscription in the mirror differed from Stripe.",
        "{n} subscriptions in the mirror differed from Stripe.",
        drifted,
    )
    repaired = totals.repaired == drifted and not totals.failed
    return Finding(
        DRIFT_NAME,
        Severity.WARNING,
        totals.subjects,
        sentences(how_many, _REPAIRED if repaired else _NOT_REPAIRED),
        _CHECK_DELIVERIES if repaired else _RECONCILE,
        more=drifted - len(totals.subjects),
        code="mirror_repaired" if repaired else "mirror_differs",
    )


def _given_up(asked: int) -> Message:
    return _(
        "The mirror holds more than {limit} subscriptions that are not in Stripe's list of subscriptions that are not "
        "canceled. The rest were not checked.",
        limit=asked,
    )


DRIFT = Check(
    DRIFT_NAME,
    _("The mirror had drifted"),
    (Severity.WARNING, Severity.INFO),
    reports=(
        "subscriptions that were missing in the mirror or differed from it for longer than the uncertainty of the "
        "clocks: repaired, with a count; items that Stripe does not have; and more than 5,000 items that Stripe's "
        "list does not contain"
    ),
    of_account=find_drift,
)


EVENT_DESTINATIONS_NAME = "event_destinations"
# `status_details.disabled.reason` (stripe-python 16.1.0, `v2/core/_event_destination.py`).
_DISABLED_BECAUSE = {
    "user": _("Somebody of the team has disabled it."),
    "no_aws_event_source_exists": _("Its partner event source is gone from Amazon EventBridge."),
    "no_azure_partner_topic_exists": _("Its partner topic is gone from Azure."),
}
_DESTINATION_DISABLED = _("This event destination is disabled: Stripe sends it nothing, and will not retry.")
_ENABLE_DESTINATION = _(
    "Enable it, or make it again (Dashboard: Workbench, Webhooks), then run `portal reconcile`; delete it if it is not "
    "used any more."
)
_SOURCE_LACKING = frozenset({"pending", "deleted"})
_ASSOCIATE = _("Associate the source with an event bus (StripeEventSource of the stack), then run `portal reconcile`.")


def find_destination_faults(account: AccountFacts, _audit: AuditContext) -> Iterator[Finding]:
    """Report event destinations for subscriptions that Stripe does not, or cannot, deliver to.

    Stripe's API counts no failed deliveries of a destination: those are the subject of `undelivered_events`.
    """
    for destination in filter(_has_subscriptions, account.event_destinations or ()):
        status = _source_status(destination)
        subject = (str(destination["id"]),)
        if destination.get("status") == "disabled":
            reason = ((destination.get("status_details") or {}).get("disabled") or {}).get("reason")
            meaning = sentences(_DESTINATION_DISABLED, _DISABLED_BECAUSE.get(str(reason), NOTHING))
            severity = Severity.INFO if reason == "user" else Severity.CRITICAL
            code = "destination_disabled"
            yield Finding(EVENT_DESTINATIONS_NAME, severity, subject, meaning, _ENABLE_DESTINATION, code=code)
        elif status in _SOURCE_LACKING:
            meaning = _(
                "The partner event source of this event destination is {status} on Amazon EventBridge: its events do "
                "not arrive.",
                status=status,
            )
            code = "event_source_missing"
            yield Finding(EVENT_DESTINATIONS_NAME, Severity.CRITICAL, subject, meaning, _ASSOCIATE, code=code)


def _delivers(destination: StripeJson) -> bool:
    """Whether events about subscriptions arrive by this destination, as far as Stripe knows."""
    enabled = destination.get("status") != "disabled"
    return enabled and _has_subscriptions(destination) and _source_status(destination) not in _SOURCE_LACKING


def _has_subscriptions(destination: StripeJson) -> bool:
    """Thin events are `v1.` and the snapshot's own name."""
    types = destination.get("enabled_events") or ()
    return any(_is_about_subscriptions(each.removeprefix("v1.")) for each in types)


def _source_status(destination: StripeJson) -> str:
    return str((destination.get("amazon_eventbridge") or {}).get("aws_event_source_status"))


EVENT_DESTINATIONS = Check(
    EVENT_DESTINATIONS_NAME,
    _("Event destinations"),
    (Severity.CRITICAL, Severity.INFO),
    reports=(
        "destinations for subscription events that are disabled, and why, or whose partner event source is "
        "pending or gone on EventBridge"
    ),
    permission="Event Destinations",
    of_account=find_destination_faults,
)


DEAD_LETTERS_NAME = "dead_letters"
# The deployment's dead-letter queues, by what waits in them.
UNREADABLE_EVENTS, UNSETTLED_EVENTS, LOST_AUDITS = "unreadable_events", "unsettled_events", "lost_audits"


def _unreadable_events(number: int) -> Message:
    return _n(
        "{n} event could not be understood, and waits in the dead-letter queue.",
        "{n} events could not be understood, and wait in the dead-letter queue.",
        number,
    )


def _unsettled_events(number: int) -> Message:
    return _n(
        "{n} event could not be settled in half a day, and waits in its dead-letter queue.",
        "{n} events could not be settled in half a day, and wait in their dead-letter queue.",
        number,
    )


def _lost_runs(number: int) -> Message:
    return _n(
        "{n} run of the audit was not started, or failed, and waits in its dead-letter queue.",
        "{n} runs of the audit were not started, or failed, and wait in their dead-letter queue.",
        number,
    )


_REPLAY = _("Run `portal replay`, which says why each is there, then `portal replay --apply`.")
_FIND_AND_PURGE = _("Find the cause in the audit's log of that day, then purge the queue.")
# How to say it of each queue, and what to do about it.
QUEUES: Mapping[str, tuple[Callable[[int], Message], Message]] = {
    UNREADABLE_EVENTS: (_unreadable_events, _REPLAY),
    UNSETTLED_EVENTS: (_unsettled_events, _REPLAY),
    LOST_AUDITS: (_lost_runs, _FIND_AND_PURGE),
}


def find_dead_letters(account: AccountFacts, _audit: AuditContext) -> Iterator[Finding]:
    """Say how many messages wait in each dead-letter queue, and since when."""
    for name, waiting in (account.dead_letters or {}).items():
        if waiting.number:
            words, action = QUEUES[name]
            meaning = sentences(words(waiting.number), _oldest_from(waiting.oldest))
            yield Finding(DEAD_LETTERS_NAME, Severity.WARNING, (), meaning, action, code=name)


DEAD_LETTERS = Check(
    DEAD_LETTERS_NAME,
    _("Dead letters"),
    (Severity.WARNING,),
    reports=(
        "what waits in the three dead-letter queues of the deployment: how many messages, and since when; not in "
        "`portal audit`"
    ),
    of_account=find_dead_letters,
)


EVENT_TIMES_NAME = "event_times"
# The most that the parameter allows.
WIDEST_WINDOW_SECONDS = 60


def find_late_stamps(account: AccountFacts, _audit: AuditContext) -> Iterator[Finding]:
    """Say if Stripe has dated events later after their change than the window of the mirror's rule.

    How late an event arrives is no fault: the rule orders events by their times, whenever they come.
    """
    window, largest = int(account.uncertainty.total_seconds()), account.lags.stamp.largest
    if largest <= window:
        return
    yield Finding(
        EVENT_TIMES_NAME,
        Severity.WARNING,
        (),
        _(
            "Stripe dated an event {largest} after the change that it is about, and EVENT_CLOCK_UNCERTAINTY_SECONDS "
            "is {window}: of two changes that are so close, the mirror may have kept the earlier one.",
            largest=duration(largest),
            window=window,
        ),
        _(
            "Deploy with EventClockUncertaintySeconds at {seconds} (60 at most), then run `portal reconcile --repair`.",
            seconds=min(largest + 1, WIDEST_WINDOW_SECONDS),
        ),
        code="window_too_narrow",
    )


EVENT_TIMES = Check(
    EVENT_TIMES_NAME,
    _("Event times are further off than the mirror allows"),
    (Severity.WARNING,),
    reports=(
        "a subscription's first event, dated later after its creation than the uncertainty of the clocks "
        "(`EventClockUncertaintySeconds`) allows"
    ),
    of_account=find_late_stamps,
)
