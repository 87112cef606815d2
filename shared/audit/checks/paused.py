"""The words for a pause of collection: what it means on a day of the old button's calendar, and what to do."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check, at
from shared.audit.findings import Finding, PausedSubscription, Severity
from shared.i18n import Text, count, format_date, joined
from shared.portal.pause import Phase
from shared.stripe.money import monthly_amount
from shared.stripe.subscription import PauseCollection, Subscription, is_paused

PAUSED_COLLECTION_TITLE = Text("Collection paused", "Collecte des paiements suspendue")

# docs.stripe.com/billing/subscriptions/pause-payment
_INVOICES = {
    "void": Text(
        "New invoices are voided at once: this money is never collected.",
        "Les nouvelles factures sont aussitôt annulées : cet argent ne sera jamais encaissé.",
    ),
    "keep_as_draft": Text(
        "New invoices pile up as drafts: nothing is collected until somebody finalizes them.",
        "Les nouvelles factures s'accumulent en brouillon : rien n'est encaissé tant que personne ne les finalise.",
    ),
    "mark_uncollectible": Text(
        "New invoices are marked uncollectible, after the customer's balance is used up.",
        "Les nouvelles factures sont marquées irrécouvrables, une fois le solde du client épuisé.",
    ),
}
_OLD_INVOICES = {
    "void": Text(
        "Resuming does not bring voided invoices back.",
        "La reprise ne rétablit pas les factures annulées.",
    ),
    "keep_as_draft": Text(
        "Resuming only touches new invoices: set auto_advance=true on each draft that is to be collected.",
        "La reprise ne touche que les nouvelles factures : réglez auto_advance=true sur chaque brouillon à encaisser.",
    ),
    "mark_uncollectible": Text(
        "Resuming only touches new invoices.", "La reprise ne concerne que les nouvelles factures."
    ),
}
_NOBODY_KNOWS = Text(
    "Stripe does not tell whether the old portal's pause button, the Dashboard or the API made it.",
    "Stripe n'indique pas si elle vient de l'ancien bouton du portail, du Dashboard ou de l'API.",
)
_NO_END = Text("It has no end.", "Cette suspension n'a pas de fin.")
_DECIDE = Text(
    "Let the service decide by pause_collection, not by status.",
    "Fournissez le service selon pause_collection, et non selon le statut.",
)
_RESUME = Text(
    "resume (Dashboard: Resume payment collection; API: update pause_collection to empty)",
    "reprenez la collecte (Dashboard : « Reprendre la collecte des paiements » ; API : pause_collection vide)",
)


def service_text(facts: PausedSubscription) -> Text:
    """Say what a service that looks at the status alone does with this customer."""
    if facts.status == "trialing":
        return Text(
            "Collection is paused during a trial: nothing is due yet, and nothing will be collected after it.",
            "La collecte est suspendue pendant une période d'essai : rien n'est encore dû, et rien ne sera encaissé "
            "ensuite.",
        )
    if facts.monthly.is_zero:
        return Text(
            "Collection is paused on a price of zero: no money is lost.",
            "La collecte est suspendue sur un tarif nul : aucun argent n'est perdu.",
        )
    if facts.served_free:
        return Text(
            f"Collection is paused and the status is still {facts.status}: "
            "a service that looks at the status alone serves this customer for free.",
            f"La collecte est suspendue et le statut est toujours {facts.status} : un service qui ne regarde que le "
            "statut sert ce client sans être payé.",
        )
    return Text(
        f"Collection is paused and the status is {facts.status}: who looks at the status alone may not serve it.",
        f"La collecte est suspendue et le statut est {facts.status} : qui ne regarde que le statut peut refuser le "
        "service.",
    )


def invoices_text(pause: PauseCollection) -> Text:
    """Say what becomes of the invoices made meanwhile."""
    return _INVOICES.get(pause.behavior) or Text(
        f"What {pause.behavior} does to new invoices is not known to this version.",
        f"Cette version ne connaît pas l'effet de {pause.behavior} sur les nouvelles factures.",
    )


def end_text(pause: PauseCollection, audit: AuditContext) -> Text:
    """Say who can end it. The old portal button made pauses with `void` and no end, and left no other trace."""
    if pause.resumes_at is not None:
        return Text(
            "Collection starts again by itself at the time shown.",
            "La collecte reprend d'elle-même à la date indiquée.",
        )
    if pause.behavior != "void":
        return Text(
            "It has no end: it lasts until the team ends it.",
            "Cette suspension n'a pas de fin : elle dure jusqu'à ce que l'équipe y mette un terme.",
        )
    if audit.phase is Phase.STRANDED:
        return joined((_only_the_team(audit), _NOBODY_KNOWS))
    return joined((_NO_END, _NOBODY_KNOWS, _the_customer_can(audit)))


def action_text(pause: PauseCollection) -> Text:
    """Say what to do about it."""
    old = _OLD_INVOICES.get(pause.behavior, Text("", ""))
    if pause.resumes_at is not None:
        what = Text(
            f"Nothing, if the date is right; else {_RESUME.en}.", f"Rien, si la date convient ; sinon, {_RESUME.fr}."
        )
    else:
        what = Text(
            f"Ask the customer, then {_RESUME.en} or cancel.",
            f"Interrogez le client, puis {_RESUME.fr} ou résiliez l'abonnement.",
        )
    return joined((what, _DECIDE, old))


def _the_customer_can(audit: AuditContext) -> Text:
    if audit.phase is Phase.BUTTON_AVAILABLE:
        return Text(
            "In the first case the customer can resume in the portal.",
            "Dans le premier cas, le client peut reprendre les paiements dans le portail.",
        )
    left, reste = count(audit.days_left, "day"), count(audit.days_left, "jour", "fr")
    return Text(
        "In the first case the customer can still resume in the portal, "
        f"until {format_date(audit.cutoff_on)} ({left} left); then only the team can.",
        "Dans le premier cas, le client peut encore reprendre les paiements dans le portail, "
        f"jusqu'au {format_date(audit.cutoff_on, 'fr')} (encore {reste}) ; ensuite, seule l'équipe le pourra.",
    )


def _only_the_team(audit: AuditContext) -> Text:
    return Text(
        f"It has no end, and since {format_date(audit.cutoff_on)} the customer cannot resume in Stripe's portal: "
        "only the team can.",
        f"Cette suspension n'a pas de fin et, depuis le {format_date(audit.cutoff_on, 'fr')}, le client ne peut plus "
        "reprendre les paiements dans le portail de Stripe : seule l'équipe le peut.",
    )


PAUSED_COLLECTION_NAME = "paused_collection"

# The statuses that most services take for a paying customer's. A trial is not among them: nothing is due yet.
SERVED_STATUSES = frozenset({"active", "past_due"})


def find_paused_collection(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Say what a pause of collection means today; one whose `resumes_at` has passed is over."""
    pause = subscription.pause_collection
    if pause is None or subscription.pause_kind != "collection" or not is_paused(subscription, audit.now):
        return
    facts = _collection_facts(subscription, pause, audit)
    yield Finding(
        PAUSED_COLLECTION_NAME,
        _collection_severity(facts, audit),
        (subscription.id,),
        joined((service_text(facts), invoices_text(pause), end_text(pause, audit))),
        action_text(pause),
        facts,
    )


def _collection_facts(subscription: Subscription, pause: PauseCollection, audit: AuditContext) -> PausedSubscription:
    monthly = monthly_amount(subscription)
    return PausedSubscription(
        subscription.id,
        subscription.customer_id,
        subscription.status,
        "collection",
        pause.behavior,
        at(pause.resumes_at),
        at(audit.paused_since.get(subscription.id)),
        paused_since_is_exact=False,
        cause=None,
        monthly=monthly,
        served_free=subscription.status in SERVED_STATUSES and not monthly.is_zero,
        created=at(subscription.created),
        current_period_end=at(subscription.current_period_end),
        trial_end=at(subscription.trial_end),
        canceled_at=at(subscription.canceled_at),
        items=subscription.items,
    )


def _collection_severity(facts: PausedSubscription, audit: AuditContext) -> Severity:
    if not facts.served_free:
        return Severity.INFO
    lost_for_good = facts.behavior == "void" and facts.resumes_at is None and audit.phase is Phase.STRANDED
    return Severity.CRITICAL if lost_for_good else Severity.WARNING


PAUSED_COLLECTION = Check(
    PAUSED_COLLECTION_NAME,
    PAUSED_COLLECTION_TITLE,
    (Severity.CRITICAL, Severity.WARNING, Severity.INFO),
    of_subscription=find_paused_collection,
)


PAUSED_STATUS_NAME = "paused_status"
UNKNOWN = "unknown"

_RESUME_IT = Text(
    "resume it (Dashboard: Resume subscription; API: POST /v1/subscriptions/{id}/resume)",
    "reprenez-le (Dashboard : « Reprendre l'abonnement » ; API : POST /v1/subscriptions/{id}/resume)",
)
_UNLESS_MEANT = Text(
    f"Nothing, if it is meant; else {_RESUME_IT.en}.", f"Rien, si cette pause est voulue ; sinon, {_RESUME_IT.fr}."
)
_NEW_METHOD = Text(
    f"Ask the customer for a payment method that works, then {_RESUME_IT.en}, or cancel.",
    f"Demandez au client un moyen de paiement valable, puis {_RESUME_IT.fr}, ou résiliez-le.",
)
_LOOK = Text(
    f"Look at the subscription's events in the Dashboard, then {_RESUME_IT.en}, or cancel.",
    f"Consultez les événements de l'abonnement dans le Dashboard, puis {_RESUME_IT.fr}, ou résiliez-le.",
)

# The reasons of `status_details.paused.subscription.type` (stripe-python 16.1.0, `_subscription.py`): what each means,
# and what to do.
_CAUSES = {
    "pause_requested": (
        Severity.INFO,
        Text(
            "Somebody asked for this pause; Stripe does not tell whether the customer did, in the portal, or the team.",
            "Cette pause a été demandée ; Stripe n'indique pas si c'est par le client dans le portail ou par l'équipe.",
        ),
        _UNLESS_MEANT,
    ),
    "trial_end_without_payment_method": (
        Severity.WARNING,
        Text(
            "The trial ended and there was no payment method.",
            "La période d'essai s'est terminée sans moyen de paiement.",
        ),
        _NEW_METHOD,
    ),
    "first_payment_failure": (
        Severity.WARNING,
        Text("The first payment failed.", "Le premier paiement a échoué."),
        _NEW_METHOD,
    ),
    "final_payment_failure": (
        Severity.WARNING,
        Text("The last try of a payment failed.", "La dernière tentative de paiement a échoué."),
        _NEW_METHOD,
    ),
    "system": (
        Severity.WARNING,
        Text("Stripe paused it by itself.", "Stripe l'a mis en pause de lui-même."),
        _LOOK,
    ),
}
_NO_CAUSE = (
    Severity.WARNING,
    Text(
        "Why cannot be known: Stripe gives no cause, or one that this version does not know.",
        "La cause est inconnue : Stripe n'en donne pas, ou en donne une que cette version ne connaît pas.",
    ),
    _LOOK,
)
_PAUSED = Text(
    "The subscription is paused (status paused): no new invoices, no service.",
    "L'abonnement est en pause (statut paused) : pas de nouvelle facture, pas de service.",
)
_COLLECTION_TOO = Text(
    "Its collection is paused too, and stays so when the subscription is resumed.",
    "La collecte de ses paiements est suspendue elle aussi, et le restera à la reprise de l'abonnement.",
)


def find_paused_status(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Say what a real pause means; it makes no invoices and its status tells every service to stop."""
    if subscription.pause_kind != "subscription" or not is_paused(subscription, audit.now):
        return
    severity, why, action = _CAUSES.get(subscription.paused_reason or UNKNOWN, _NO_CAUSE)
    meaning = [_PAUSED, why] + ([_COLLECTION_TOO] if subscription.pause_collection else [])
    yield Finding(
        PAUSED_STATUS_NAME, severity, (subscription.id,), joined(meaning), action, _status_facts(subscription)
    )


def _status_facts(subscription: Subscription) -> PausedSubscription:
    pause = subscription.pause_collection
    return PausedSubscription(
        subscription.id,
        subscription.customer_id,
        subscription.status,
        "subscription",
        pause.behavior if pause else None,
        at(pause.resumes_at) if pause else None,
        at(subscription.paused_at),
        paused_since_is_exact=subscription.paused_at is not None,
        cause=subscription.paused_reason or UNKNOWN,
        monthly=monthly_amount(subscription),
        served_free=False,
        created=at(subscription.created),
        current_period_end=at(subscription.current_period_end),
        trial_end=at(subscription.trial_end),
        canceled_at=at(subscription.canceled_at),
        items=subscription.items,
    )


PAUSED_STATUS = Check(
    PAUSED_STATUS_NAME,
    Text("Subscription paused", "Abonnement en pause"),
    (Severity.WARNING, Severity.INFO),
    of_subscription=find_paused_status,
)
