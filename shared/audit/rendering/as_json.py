"""The report as JSON, in the stable shape of docs/reference/audit.md."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.audit.acknowledgement import Acknowledgement
from shared.audit.checks.registry import title_of
from shared.audit.findings import CustomerName, Finding, MissedSum, PausedSubscription, SetHere
from shared.audit.rendering.summary import headline
from shared.audit.report import Report
from shared.i18n import ENGLISH, parameters
from shared.mirror.lag import LagCounts
from shared.stripe.money import MissedAmount, in_major_units

VERSION = 1


def to_json(report: Report, language: str = ENGLISH) -> str:
    """Render the report: times are ISO 8601 in UTC, amounts are strings in the currency's main unit, a month.

    `language` is the one of its sentences.
    """
    return json.dumps(
        {
            "version": VERSION,
            "language": language,
            "as_of": _time(report.as_of),
            "timezone": report.timezone.key,
            "livemode": report.livemode,
            "phase": report.phase.value,
            "days_left": report.days_left,
            "complete": report.complete,
            "headline": headline(report).say(language),
            "subscriptions_read": report.subscriptions_read,
            "subscriptions_paused": len(report.paused),
            "customers_served_free": report.customers_served_free,
            "not_collected_monthly": _amounts(report.totals),
            "unknown_amounts": report.unknown_amounts,
            "uncertain_subscriptions": report.paused.uncertain,
            "not_collected_is_at_most": report.totals_are_highest,
            "missed": {"voided": _missed(report.paused.gone), "recoverable": _missed(report.paused.recoverable)},
            "event_lags": _event_lags(report),
            "findings": [_finding(finding, language) for finding in report.every_finding()],
        },
        indent=2,
    )


def _event_lags(report: Report) -> dict[str, Any]:
    window = int(report.uncertainty.total_seconds())
    return {
        "uncertainty_seconds": window,
        "delivery": _lag_counts(report.lags.delivery),
        "resent": report.lags.resent,
        "stamp": _lag_counts(report.lags.stamp),
        "exceeds_uncertainty": report.lags.stamp.largest > window,
    }


def _lag_counts(lags: LagCounts) -> dict[str, int | None]:
    known = lags.number
    return {
        "subscriptions": known,
        "largest_seconds": lags.largest if known else None,
        "percentile_99_seconds": lags.percentile(99) if known else None,
    }


def _finding(finding: Finding, language: str) -> dict[str, Any]:
    return {
        "check": finding.check,
        "code": finding.code,
        "title": title_of(finding.check).say(language),
        "severity": finding.severity.value,
        "subjects": list(finding.subjects),
        "more_subjects": finding.more,
        "customers": [_customer(customer) for customer in finding.customers],
        "notes": [note.say(language) for note in finding.notes],
        "parameters": parameters(finding.meaning),
        "meaning": finding.meaning.say(language),
        "action": finding.action.say(language),
        "paused": _paused(finding.paused, language) if finding.paused else None,
    }


def _customer(customer: CustomerName) -> dict[str, str | None]:
    return {"id": customer.id, "name": customer.name or None, "email": customer.email or None}


def _paused(paused: PausedSubscription, language: str) -> dict[str, Any]:
    return {
        "subscription_id": paused.subscription_id,
        "customer_id": paused.customer_id,
        "status": paused.status,
        "kind": paused.kind,
        "behavior": paused.behavior,
        "resumes_at": _time(paused.resumes_at),
        "paused_since": _time(paused.paused_since),
        "paused_since_is_exact": paused.paused_since_is_exact,
        "origin": paused.origin.value if paused.origin else None,
        "cause": paused.cause,
        "served_free": paused.served_free,
        "monthly": _amounts(paused.monthly.amounts),
        "monthly_unknown": [reason.say(language) for reason in paused.monthly.unknown],
        "monthly_at_most": [reason.say(language) for reason in paused.monthly.at_most],
        "served_free_is_certain": paused.free_is_certain,
        "free_since": _time(paused.free_since),
        "free_since_is_exact": paused.free_since_is_exact,
        "paid_until": _time(paused.paid_until),
        "ends_at": _time(paused.ends_at),
        "missed": _missed(paused.missed) if paused.missed else None,
        "acknowledged": _acknowledged(paused.acknowledged) if paused.acknowledged else None,
        "set_here": _set_here(paused.set_here) if paused.set_here else None,
    }


def _set_here(known: SetHere) -> dict[str, Any]:
    return {
        "actor": known.actor,
        "actor_name": known.actor_name,
        "reason": known.reason,
        "overridden": known.overridden,
        "resumes": _time(known.resumes),
    }


def _missed(missed: MissedAmount | MissedSum) -> dict[str, Any]:
    return {"amounts": _amounts(missed.amounts), "at_least": missed.at_least, "at_most": missed.at_most}


def _acknowledged(acknowledged: Acknowledgement) -> dict[str, Any]:
    until = acknowledged.until.isoformat() if acknowledged.until else None
    return {"until": until, "by": acknowledged.by, "note": acknowledged.note}


def _amounts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {currency: f"{in_major_units(amount, currency):f}" for currency, amount in amounts.items()}


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat(timespec="seconds")
