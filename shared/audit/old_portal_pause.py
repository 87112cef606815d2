"""Finds portal configurations that still ask for the pause button which Stripe withdrew in 2024."""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.audit.check import AuditContext, Check
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text, count, format_date, joined
from shared.pause import Phase

NAME = "old_portal_pause"

_ACTIVE = Text(
    "This portal configuration has features.subscription_pause in its old form.",
    "Cette configuration du portail utilise l'ancienne forme de features.subscription_pause.",
)
_INACTIVE = Text(
    "This inactive portal configuration has features.subscription_pause in its old form.",
    "Cette configuration inactive du portail utilise l'ancienne forme de features.subscription_pause.",
)


def of_configuration(configuration: Mapping[str, Any], audit: AuditContext) -> Iterator[Finding]:
    """Say what the withdrawn form means today.

    It is `features.subscription_pause` with `enabled` alone (until API 2024-04-10). The feature of the same name that
    came with API 2026-10-28.endive always shows a `duration`, and is no fault.
    """
    feature = (configuration.get("features") or {}).get("subscription_pause") or {}
    if not feature.get("enabled") or feature.get("duration"):
        return
    active = bool(configuration.get("active"))
    severity, meaning, action = _by_phase(audit)
    yield Finding(
        NAME,
        severity if active else Severity.INFO,
        (str(configuration["id"]),),
        joined((_ACTIVE if active else _INACTIVE, meaning)),
        action,
    )


def _by_phase(audit: AuditContext) -> tuple[Severity, Text, Text]:
    match audit.phase:
        case Phase.BUTTON_AVAILABLE:
            return (Severity.INFO, *_button_available(format_date(audit.cutoff_on), format_date(audit.cutoff_on, "fr")))
        case Phase.RESUME_ONLY:
            return (Severity.WARNING, *_resume_only(audit))
        case Phase.STRANDED:
            return (Severity.WARNING, *_stranded(format_date(audit.cutoff_on), format_date(audit.cutoff_on, "fr")))


def _button_available(day: str, jour: str) -> tuple[Text, Text]:
    return (
        Text(
            "Customers can pause the collection of their payments themselves; the status stays active.",
            "Les clients peuvent suspendre eux-mêmes la collecte de leurs paiements ; le statut reste active.",
        ),
        Text(
            f"Plan for the end of the button: from {day} customers cannot resume by themselves.",
            f"Préparez la fin du bouton : à partir du {jour}, les clients ne pourront plus reprendre eux-mêmes leurs "
            "paiements.",
        ),
    )


def _resume_only(audit: AuditContext) -> tuple[Text, Text]:
    day, jour = format_date(audit.cutoff_on), format_date(audit.cutoff_on, "fr")
    left, reste = count(audit.days_left, "day"), count(audit.days_left, "jour", "fr")
    return (
        Text(
            f"Customers can no longer pause, only resume, until {day} ({left} left).",
            f"Les clients ne peuvent plus suspendre leurs paiements, seulement les reprendre, jusqu'au {jour} "
            f"(encore {reste}).",
        ),
        Text(
            f"Ask paused customers to resume while they can, and stop sending the parameter by {day}.",
            "Invitez les clients concernés à reprendre leurs paiements tant qu'ils le peuvent, et cessez de "
            f"transmettre ce paramètre d'ici le {jour}.",
        ),
    )


def _stranded(day: str, jour: str) -> tuple[Text, Text]:
    return (
        Text(
            f"Since {day} it neither pauses nor resumes, and code that sends it may get an error.",
            f"Depuis le {jour}, elle ne permet ni de suspendre ni de reprendre, et le code qui la transmet peut "
            "recevoir une erreur.",
        ),
        Text(
            "Stop sending the old form. Today's pause wants a duration beside it (API 2026-10-28.endive or later).",
            "Cessez de transmettre l'ancienne forme. La pause actuelle demande en plus une durée, duration (API "
            "2026-10-28.endive ou plus récente).",
        ),
    )


CHECK = Check(
    NAME,
    Text("Old pause button in a portal configuration", "Ancien bouton de pause dans une configuration du portail"),
    (Severity.WARNING, Severity.INFO),
    of_configuration=of_configuration,
)
