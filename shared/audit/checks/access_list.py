"""The company's own list of who is served, against the mirror: the optional check of the audit."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.access_comparison import AccessComparison, DifferenceKind
from shared.audit.check import AccessListFacts, AccountFacts, AuditContext, Check, ListedWrongly
from shared.audit.findings import CustomerName, Finding, Severity
from shared.i18n import NOTHING, Message, _, _n, sentences
from shared.stripe.money import add_amounts, written_amounts

NAME = "access_list"
# A list that is older is compared all the same, and said to be old.
FRESH_FOR = timedelta(hours=48)
# Of each kind so many customers are named in the mail, and so many lines of those that cannot be read.
SHOWN = 20


def compared_list(
    run: AccessComparison, *, bad_lines: tuple[int, ...], written_at: datetime, names: bool
) -> AccessListFacts:
    """Read the differences of a comparison; keep their numbers, the first few customers and the money.

    Without `names` no address of the list is kept. Raises `Unavailable` as the comparison does.
    """
    wrong: dict[DifferenceKind, ListedWrongly] = {}
    for each in run.differences():
        before = wrong.get(each.kind, ListedWrongly())
        customer = CustomerName(each.customer_id, "", each.email if names else "")
        is_shown = len(before.customers) < SHOWN and bool(customer.id or customer.email)
        wrong[each.kind] = ListedWrongly(
            before.number + 1,
            (*before.customers, customer) if is_shown else before.customers,
            add_amounts((before.monthly, each.monthly.amounts)),
        )
    return AccessListFacts(
        written_at=written_at,
        lines=run.lines,
        customers=run.customers,
        bad_lines=run.bad_lines,
        first_bad_lines=bad_lines,
        not_asked=run.not_asked is not None,
        wrong=wrong,
    )


@dataclass(frozen=True, slots=True)
class _Words:
    severity: Severity
    meaning: Callable[[int], Message]
    action: Message


_FIX_YOURS = _("Correct your own records, and find out why they were not: `portal access --compare` says why of each.")
_WORDS: Mapping[DifferenceKind, _Words] = {
    DifferenceKind.SERVED_WITHOUT_ACCESS: _Words(
        Severity.CRITICAL,
        lambda n: _n(
            "Your list serves {n} customer who should have no service.",
            "Your list serves {n} customers who should have no service.",
            n,
        ),
        _FIX_YOURS,
    ),
    DifferenceKind.NOT_SERVED: _Words(
        Severity.CRITICAL,
        lambda n: _n(
            "Your list refuses {n} customer who should have service.",
            "Your list refuses {n} customers who should have service.",
            n,
        ),
        _FIX_YOURS,
    ),
    DifferenceKind.NOT_LISTED: _Words(
        Severity.WARNING,
        lambda n: _n(
            "{n} customer who should have service is not in your list.",
            "{n} customers who should have service are not in your list.",
            n,
        ),
        _("Find out whether they are served; if they are, have the list name them."),
    ),
    DifferenceKind.UNKNOWN_TO_STRIPE: _Words(
        Severity.WARNING,
        lambda n: _n(
            "Your list serves {n} customer whom Stripe does not know.",
            "Your list serves {n} customers whom Stripe does not know.",
            n,
        ),
        _("Look for them at Stripe by another id or address: they may have been deleted, or belong to the other mode."),
    ),
    DifferenceKind.NOT_MIRRORED: _Words(
        Severity.WARNING,
        lambda n: _n(
            "Your list serves {n} customer whose subscription is missing in the mirror.",
            "Your list serves {n} customers whose subscriptions are missing in the mirror.",
            n,
        ),
        _("Run `portal reconcile --repair`."),
    ),
}


def find_list_differences(account: AccountFacts, audit: AuditContext) -> Iterator[Finding]:
    """Say whom the list is wrong about, and how old it is."""
    facts = account.access_list
    if facts is None:
        return
    if facts.problem or facts.written_at is None:
        meaning = _("Your list of who is served could not be compared: {problem}.", problem=facts.problem.rstrip("."))
        action = _("Upload it again (docs/how-to/compare-access.md), or empty the setting AccessList.")
        yield Finding(NAME, Severity.WARNING, (), meaning, action, code="list_not_compared")
        return
    of_day = _("The list is of {time} UTC.", time=f"{facts.written_at:%Y-%m-%d %H:%M}")
    for kind, words in _WORDS.items():
        if wrong := facts.wrong.get(kind):
            amounts = {code: amount for code, amount in wrong.monthly.items() if amount}
            price = NOTHING
            if amounts:
                price = _("Their subscriptions cost {amounts} a month.", amounts=written_amounts(amounts))
            subjects = tuple(each.id or each.email for each in wrong.customers)
            yield Finding(
                NAME,
                words.severity,
                subjects,
                sentences(words.meaning(wrong.number), price, of_day),
                words.action,
                more=wrong.number - len(subjects),
                code=kind.value,
                customers=wrong.customers,
            )
    yield from _doubts(facts, facts.written_at, audit)


def _doubts(facts: AccessListFacts, written_at: datetime, audit: AuditContext) -> Iterator[Finding]:
    """Say what makes the comparison worth less."""
    if facts.bad_lines:
        numbers = ", ".join(map(str, facts.first_bad_lines))
        meaning = sentences(
            _n(
                "{n} line of your list could not be read.",
                "{n} lines of your list could not be read.",
                facts.bad_lines,
            ),
            _("The first are: {numbers}.", numbers=numbers),
        )
        action = _("Run `portal access --compare` with the same file: it says what is wrong with each.")
        yield Finding(NAME, Severity.WARNING, (), meaning, action, code="bad_lines")
    if facts.not_asked:
        meaning = _("Stripe could not be asked about customers whom the mirror does not know.")
        action = _("Nothing, if the next audit can ask; otherwise find the error in the audit's log.")
        yield Finding(NAME, Severity.WARNING, (), meaning, action, code="stripe_not_asked")
    age = audit.now - written_at
    if age > FRESH_FOR:
        hours = int(age.total_seconds() // 3600)
        meaning = _n(
            "Your list of who is served is {n} hour old: differences may be of changes since.",
            "Your list of who is served is {n} hours old: differences may be of changes since.",
            hours,
        )
        action = _("Repair whatever uploads it every night (docs/how-to/compare-access.md).")
        yield Finding(NAME, Severity.WARNING, (), meaning, action, code="list_is_old")


ACCESS_LIST = Check(
    NAME,
    _("Your own list of who is served"),
    (Severity.CRITICAL, Severity.WARNING),
    reports=(
        "customers for whom the list in `AccessList` differs from the [access](access.md) decision: served and should "
        "not be, with the money; refused or missing and should be served; unknown to Stripe; a list that is old, or "
        "cannot be read; only if `AccessList` is set, and not in `portal audit`"
    ),
    of_account=find_list_differences,
)
