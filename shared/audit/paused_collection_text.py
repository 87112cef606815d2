"""The words for a pause of collection: what it means on a day of the old button's calendar, and what to do."""

from shared.audit.check import AuditContext
from shared.audit.finding import PausedSubscription
from shared.audit.text import Text, count, format_date, joined
from shared.pause import Phase
from shared.subscription import PauseCollection

TITLE = Text("Collection paused", "Collecte des paiements suspendue")

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


def service(facts: PausedSubscription) -> Text:
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


def invoices(pause: PauseCollection) -> Text:
    """Say what becomes of the invoices made meanwhile."""
    return _INVOICES.get(pause.behavior) or Text(
        f"What {pause.behavior} does to new invoices is not known to this version.",
        f"Cette version ne connaît pas l'effet de {pause.behavior} sur les nouvelles factures.",
    )


def end(pause: PauseCollection, audit: AuditContext) -> Text:
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


def action(pause: PauseCollection) -> Text:
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
