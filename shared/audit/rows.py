"""One line of the report for each subject of a finding, with a link to it in Stripe's Dashboard."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared.audit.edition import Edition
from shared.audit.finding import PausedSubscription
from shared.audit.groups import Group
from shared.audit.text import NOTHING, Language, Text, format_date, format_time, joined
from shared.money import MonthlyAmount, format_amounts

DASHBOARD = "https://dashboard.stripe.com"
# Of findings about anything but a paused subscription, which may all say the same.
SUBJECTS_OF_A_GROUP = 10
# Stripe's ids are shorter. What is no subscription may come with any.
LONGEST = 255

_ID = re.compile(r"([a-z]+)_[A-Za-z0-9_]+", re.ASCII)
_PLACES = {"sub": "subscriptions", "cus": "customers", "prod": "products", "evt": "events", "we": "webhooks"}
_PORTAL = "settings/billing/portal"


@dataclass(frozen=True, slots=True)
class Row:
    """One subject of a finding."""

    subject: str
    url: str
    details: str = ""
    amount: str = ""


def rows_of(group: Group, edition: Edition, most: int) -> tuple[Row, ...]:
    """Answer a line for each subject that is shown."""
    if group.example.paused:
        return tuple(_paused(finding.paused, edition) for finding in group.findings if finding.paused)
    subjects = (subject for finding in group.findings for subject in finding.subjects)
    return tuple(subject_row(subject, edition) for subject in islice(subjects, min(most, SUBJECTS_OF_A_GROUP)))


def subject_row(subject: str, edition: Edition) -> Row:
    """Answer a line that has nothing but the subject."""
    return Row(_shown(subject), _url(subject, edition))


def _shown(text: str) -> str:
    """An id as it is, unless it is none: line ends and marks that turn the writing around would forge what follows."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:LONGEST])


def _url(subject: str, edition: Edition) -> str:
    """Where the Dashboard shows it; nothing for what is no id of Stripe's."""
    mode = "/test" if edition.report.livemode is False else ""
    known = _ID.fullmatch(subject)
    if known is None or len(subject) > LONGEST:
        return ""
    if known[1] == "bpc":
        return f"{DASHBOARD}{mode}/{_PORTAL}"
    return f"{DASHBOARD}{mode}/{_PLACES[known[1]]}/{subject}" if known[1] in _PLACES else ""


def _paused(paused: PausedSubscription, edition: Edition) -> Row:
    details = (_shown(paused.customer_id), *(each.say(edition.language) for each in _details(paused, edition)))
    return Row(
        _shown(paused.subscription_id),
        _url(paused.subscription_id, edition),
        ", ".join(details),
        _amount(paused.monthly, edition.language).say(edition.language),
    )


def _details(paused: PausedSubscription, edition: Edition) -> Iterator[Text]:
    zone = edition.report.timezone
    if paused.paused_since is None:
        yield Text("paused since an unknown day", "en pause depuis une date inconnue")
    else:
        day = paused.paused_since.astimezone(zone).date()
        earlier = NOTHING if paused.paused_since_is_exact else Text("or earlier", "ou avant")
        yield joined(
            (Text(f"paused since {format_date(day)}", f"en pause depuis le {format_date(day, 'fr')}"), earlier)
        )
    if paused.resumes_at:
        again = paused.resumes_at.astimezone(zone)
        yield Text(f"collects again on {_moment(again, 'en')}", f"reprise le {_moment(again, 'fr')}")


def _moment(time: datetime, language: Language) -> str:
    at = " à " if language == "fr" else " at "
    return format_date(time.date(), language) + at + format_time(time.time(), language)


def _amount(monthly: MonthlyAmount, language: Language) -> Text:
    known = format_amounts(monthly.amounts, language)
    if not monthly.unknown:
        return Text(f"{known} a month", f"{known} par mois")
    why = joined(monthly.unknown, between=", ")
    if known:
        return Text(f"at least {known} a month ({why.en})", f"au moins {known} par mois ({why.fr})")
    return Text(f"amount unknown ({why.en})", f"montant inconnu ({why.fr})")
