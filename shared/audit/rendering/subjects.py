"""Whom and what a finding is about: names and ids that forge nothing, where the Dashboard shows them, how many more."""

import re
from dataclasses import dataclass

from shared.audit.findings import CustomerName
from shared.audit.report import ReportView
from shared.i18n import NOTHING, Message, _n, listed

DASHBOARD = "https://dashboard.stripe.com"
# Stripe's ids are shorter. What is no id of Stripe's may come with any.
LONGEST = 255

_ID = re.compile(r"([a-z]+)_[A-Za-z0-9_]+", re.ASCII)
_ACCOUNT = re.compile(r"acct_[A-Za-z0-9]+", re.ASCII)
_PLACES = {
    "sub": "subscriptions",
    "cus": "customers",
    "prod": "products",
    "evt": "events",
    "in": "invoices",
    "we": "webhooks",
}
_PORTAL = "settings/billing/portal"


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject of a finding. `name` is the customer's, or an id where no name is known; `email` may be empty.

    `note` is what is said of this subject by itself, if anything is.
    """

    name: str
    email: str
    id: str
    url: str
    note: str = ""


def subject_of(
    subject: str, customer: CustomerName | None, edition: ReportView, note: Message | None = None
) -> Subject:
    """Return a subject as it is shown: the customer it belongs to, if known, and a link to it."""
    name = email = ""
    if customer:
        name, email = shown(customer.name or customer.email), shown(customer.email if customer.name else "")
    # A space that does not break is not printable; the templates fold line ends.
    words = note.say(edition.language) if note else ""
    said = "".join(each if each.isprintable() or each.isspace() else "\ufffd" for each in words)
    return Subject(name or shown(subject), email, shown(subject), url_of(subject, edition), said)


def shown(text: str) -> str:
    """Text as it is, but for what would forge the text after it: line ends, and marks that turn the writing around."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:LONGEST])


def url_of(subject: str, edition: ReportView) -> str:
    """Where the Dashboard shows it; empty for what is no id of Stripe's.

    With the account in the address, the Dashboard opens that account for a person who belongs to several. Stripe's own
    errors have this form in `request_log_url`: `/acct_.../test/logs`.
    """
    account = edition.account if edition.account and _ACCOUNT.fullmatch(edition.account) else ""
    base = "/".join(filter(None, (DASHBOARD, account, "test" if edition.report.livemode is False else "")))
    known = _ID.fullmatch(subject)
    if known is None or len(subject) > LONGEST:
        return ""
    if known[1] == "bpc":
        return f"{base}/{_PORTAL}"
    return f"{base}/{_PLACES[known[1]]}/{subject}" if known[1] in _PLACES else ""


def left_out(number: int, *, shown: int) -> Message:
    """Count the subjects that a group does not show."""
    if not number:
        return NOTHING
    if not shown:
        return _n("{n}, not shown here.", "{n}, not shown here.", number)
    return _n("and {n} more, not shown here.", "and {n} more, not shown here.", number)


def and_more(number: int, *, any_named: bool) -> Message:
    """Count those that are not named."""
    if not number:
        return NOTHING
    return _n("and {n} more", "and {n} more", number) if any_named else listed([number])
