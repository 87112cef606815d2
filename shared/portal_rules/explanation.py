"""All answers about one subscription, and the sentence that leads."""

from dataclasses import dataclass

from shared.audit.text import Text
from shared.pause import is_paused
from shared.portal_rules.answer import Answer
from shared.portal_rules.cancellation import cancellation
from shared.portal_rules.facts import PortalFacts
from shared.portal_rules.pausing import pausing, resuming
from shared.portal_rules.payment_methods import SUPPORTED, Support, Supported, removal
from shared.portal_rules.plan_change import plan_change

_SUMMARIES = {
    (True, True): Text(
        "In the portal the customer can change and cancel this subscription.",
        "Dans le portail, le client peut modifier et résilier cet abonnement.",
    ),
    (False, True): Text(
        "In the portal the customer can only cancel this subscription.",
        "Dans le portail, le client peut seulement résilier cet abonnement.",
    ),
    (True, False): Text(
        "In the portal the customer can change this subscription, not cancel it.",
        "Dans le portail, le client peut modifier cet abonnement, mais non le résilier.",
    ),
    (False, False): Text(
        "In the portal the customer can neither change nor cancel this subscription.",
        "Dans le portail, le client ne peut ni modifier ni résilier cet abonnement.",
    ),
}
_OR_PAUSE = Text(
    "In the portal the customer can cancel or pause this subscription, but not change its plan.",
    "Dans le portail, le client peut résilier ou mettre en pause cet abonnement, mais pas changer d'offre.",
)
_OR_RESUME = Text(
    "In the portal the customer can cancel or resume this subscription, but not change its plan.",
    "Dans le portail, le client peut résilier ou reprendre cet abonnement, mais pas changer d'offre.",
)
_ENDED = Text("It has ended: no access.", "Il est terminé : plus d'accès.")
_REALLY_PAUSED = Text(
    "It is really paused (status=paused): no invoices, and the service should stop. Entitlements are withdrawn.",
    "Il est réellement en pause (status=paused) : aucune facture, et le service doit cesser. Les droits "
    "(entitlements) sont retirés.",
)
_UNPAID = frozenset({"incomplete", "unpaid"})


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the portal does with one subscription at one moment; `country` is the Stripe account's, if known."""

    facts: PortalFacts
    country: str | None = None

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every question about the portal, with its answer."""
        facts = self.facts
        return plan_change(facts), cancellation(facts), pausing(facts), resuming(facts), removal(facts)

    @property
    def summary(self) -> Text:
        """The sentence that matters."""
        change, cancel, pause, resume, _ = self.answers
        if cancel.possible and not change.possible and (pause.possible or resume.possible):
            return _OR_PAUSE if pause.possible else _OR_RESUME
        return _SUMMARIES[change.possible, cancel.possible]

    @property
    def access(self) -> Text:
        """Say what a service that goes by the subscription would give."""
        subscription = self.facts.subscription
        status = subscription.status
        if subscription.ended:
            return _ENDED
        if status == "paused":
            return _REALLY_PAUSED
        if is_paused(subscription, self.facts.now):
            return Text(
                f"Its collection is suspended, and its status is still {status}: a service that goes by the status "
                "alone serves it for free. Decide by pause_collection.",
                f"Sa collecte est suspendue, et son statut est toujours {status} : un service qui ne regarde que le "
                "statut le sert sans être payé. Décidez selon pause_collection.",
            )
        if status in _UNPAID:
            return Text(
                f"Its status is {status}: not paid, no access.", f"Son statut est {status} : impayé, pas d'accès."
            )
        return Text(
            f"Its status is {status}: a service that goes by the status serves it.",
            f"Son statut est {status} : un service qui s'en tient au statut le sert.",
        )

    @property
    def payment_methods(self) -> tuple[tuple[Supported, Support], ...]:
        """Every type that the portal supports, and whether it does in the account's country."""
        return tuple((each, each.in_country(self.country)) for each in SUPPORTED)
