"""Counts the events about subscriptions that some endpoint has not taken: what the mirror may not know yet."""

from collections.abc import Iterator

from shared.audit.check import Account, AuditContext, Check, at
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text, format_date, format_number

NAME = "undelivered_events"
# Stripe keeps trying for three days (docs.stripe.com/webhooks): what is older is given up.
_ACTION = Text(
    "Look at the endpoint's failed deliveries in the Dashboard (Webhooks), mend them, then run `portal reconcile`.",
    "Consultez les envois en échec dans le Dashboard (Webhooks), corrigez-les, puis lancez `portal reconcile`.",
)


def of_account(account: Account, _audit: AuditContext) -> Iterator[Finding]:
    """Say how many and since when; one of the account's other endpoints may be the one that failed."""
    if not account.undelivered:
        return
    oldest = account.undelivered[-1]
    day = at(int(oldest["created"]))
    assert day is not None  # noqa: S101 - `at` only answers nothing for nothing
    number = len(account.undelivered)
    least, moins = ("", "") if account.undelivered_whole else ("At least ", "Au moins ")
    yield Finding(
        NAME,
        Severity.WARNING,
        (str(oldest["id"]),),
        Text(
            f"{least}{format_number(number)} of the events about subscriptions did not reach every endpoint; the "
            f"oldest that was read is of {format_date(day.date())} (UTC).",
            f"{moins}{format_number(number, 'fr')} des événements d'abonnement n'ont pas atteint tous leurs "
            f"destinataires ; le plus ancien parmi ceux qui ont été lus date du {format_date(day.date(), 'fr')} (UTC).",
        ),
        _ACTION,
    )


CHECK = Check(
    NAME,
    Text("Undelivered events", "Événements non remis"),
    (Severity.WARNING,),
    of_account=of_account,
)
