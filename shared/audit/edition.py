"""What one night's mail is made of: the report, and what is known of the nights before it."""

from dataclasses import dataclass
from datetime import date, timedelta

from shared.audit.history import Change, PastNight
from shared.audit.report import Report
from shared.audit.text import Language, Text, format_date


@dataclass(frozen=True, slots=True)
class ListLink:
    """Where the whole list lies, as CSV: `url` opens it for some hours, `stays_at` names it while it is kept."""

    url: str
    stays_at: str


@dataclass(frozen=True, slots=True)
class Edition:
    """A report for one reader's language.

    `nights` are those before this one, the oldest first; some may be missing. `change` is `None` when no earlier night
    is known. With a `list_link` the list is not attached.
    """

    report: Report
    language: Language
    nights: tuple[PastNight, ...] = ()
    change: Change | None = None
    list_link: ListLink | None = None

    @property
    def night(self) -> date:
        """The day of the audit, where the team is."""
        return self.report.as_of.astimezone(self.report.timezone).date()


def since(day: date, night: date) -> Text:
    """Name an earlier day as seen from `night`, after the word "since": `yesterday`, `15 July 2024`."""
    if day == night - timedelta(days=1):
        return Text("yesterday", "hier")
    return Text(format_date(day), f"le {format_date(day, 'fr')}")
