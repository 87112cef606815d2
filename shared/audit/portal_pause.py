"""Tells that customers can pause by themselves in the portal: today's feature, and no fault."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check, Raw
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text, joined

NAME = "portal_pause"

_UNITS = {
    "day": (Text("day", "jour"), Text("days", "jours")),
    "week": (Text("week", "semaine"), Text("weeks", "semaines")),
    "month": (Text("month", "mois"), Text("months", "mois")),
    "year": (Text("year", "an"), Text("years", "ans")),
}
_WITHOUT_END = Text(
    "Customers can pause by themselves in the portal, without an end.",
    "Les clients peuvent mettre eux-mêmes leur abonnement en pause dans le portail, sans limite de durée.",
)
_ACTION = Text(
    "Nothing, if it is meant. Such a pause is a real one: status paused, no invoices, and access should stop.",
    "Rien, si cela est voulu. Cette pause est réelle : statut paused, aucune facture, et l'accès doit cesser.",
)


def of_configuration(configuration: Raw, _audit: AuditContext) -> Iterator[Finding]:
    """Say for how long: the form with `duration` came with API 2026-10-28.endive."""
    feature = (configuration.get("features") or {}).get("subscription_pause") or {}
    duration = feature.get("duration")
    if not (feature.get("enabled") and duration and configuration.get("active")):
        return
    yield Finding(NAME, Severity.INFO, (str(configuration["id"]),), _meaning(duration), _ACTION)


def _meaning(duration: Raw) -> Text:
    if duration.get("type") == "indefinite":
        return _WITHOUT_END
    spans = joined((_span(each) for each in duration.get("interval_options") or ()), between=", ")
    return Text(
        f"Customers can pause by themselves in the portal, for up to: {spans.en or 'one month'}.",
        "Les clients peuvent mettre eux-mêmes leur abonnement en pause dans le portail, durées proposées : "
        f"{spans.fr or 'un mois'}.",
    )


def _span(option: Raw) -> Text:
    number, interval = int(option.get("interval_count") or 1), str(option["interval"])
    one, several = _UNITS.get(interval, (Text(interval, interval), Text(interval, interval)))
    unit = one if number == 1 else several
    return Text(f"{number} {unit.en}", f"{number} {unit.fr}")


CHECK = Check(
    NAME,
    Text("Customers can pause in the portal", "Les clients peuvent faire une pause dans le portail"),
    (Severity.INFO,),
    of_configuration=of_configuration,
)
