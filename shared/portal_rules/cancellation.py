"""Whether the portal lets a customer cancel."""

from datetime import UTC, datetime

from shared.audit.text import Text, format_date
from shared.portal_rules.answer import ENDED, Answer, Reason, answer
from shared.portal_rules.facts import PortalFacts
from shared.portal_rules.limits import limits_of

_CANCEL = Text("Cancel", "Résilier")
_CANCEL_OFF = Reason(
    "subscription_cancel_off",
    Text(
        "The configuration does not let customers cancel.",
        "La configuration ne permet pas aux clients de résilier.",
    ),
    Text("Switch features.subscription_cancel on.", "Activez features.subscription_cancel."),
    configured=True,
)
_AT_ONCE = Text("It would end at once.", "Il prendrait fin aussitôt.")
_AT_PERIOD_END = Text("It would end with the period that is paid.", "Il prendrait fin avec la période payée.")


def cancellation(facts: PortalFacts) -> Answer:
    """Whether the customer can cancel, or take a planned cancellation back."""
    if facts.subscription.ended:
        return answer("cancel", _CANCEL, (ENDED,))
    limits = limits_of(facts.subscription, update_is_planned=facts.update_is_planned)
    reasons = (
        None if facts.features.cancel else _CANCEL_OFF,
        *(limit.reason for limit in limits if limit.forbids_cancelling),
    )
    when = _AT_ONCE if facts.features.cancel_mode == "immediately" else _AT_PERIOD_END
    return answer("cancel", _CANCEL, reasons, () if any(reasons) else (_planned_end(facts) or when,))


def _planned_end(facts: PortalFacts) -> Text | None:
    end = facts.subscription.cancel_at
    if end is None:
        return None
    day = datetime.fromtimestamp(end, UTC).date()
    return Text(
        f"It is set to end on {format_date(day)}; the customer can take that back.",
        f"Sa fin est prévue le {format_date(day, 'fr')} ; le client peut y renoncer.",
    )
