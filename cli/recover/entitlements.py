"""Compares the entitlements in the mirror with Stripe's, and repairs them by the rule: a signal may have been lost.

Stripe has no list of all customers' entitlements, so each customer costs a request.
"""

from collections.abc import Callable, Iterable

from shared.mirror.comparison import attempt
from shared.mirror.drift import ComparisonCounts, ComparisonResult, Difference, Drift, DriftKind, Failure
from shared.mirror.entitlements import EntitlementsMirror, products_of
from shared.mirror.items import ENTITLEMENTS_KEY, MirroredCustomer
from shared.mirror.rule import Outcome
from shared.stripe.entitlements import EntitlementsRead, EntitlementsReader
from shared.stripe.pacing import RateLimit, Retries


def reconcile_entitlements(  # noqa: PLR0913 - keywords, each a plain fact of the command line
    customers: Iterable[MirroredCustomer],
    reader: EntitlementsReader,
    mirror: EntitlementsMirror,
    *,
    repair: bool,
    limit: RateLimit,
    progress: Callable[[ComparisonResult], None] = lambda _: None,
) -> ComparisonResult:
    """Compare the entitlements of every customer of the mirror who has a subscription that has not ended, or features.

    Writes only with `repair`. `progress` gets the result so far after each customer. What a signal is about to settle,
    or was written after Stripe's list is certain, is in flight. Raises `Unavailable` or `OperatorError` when it cannot
    go on.
    """
    counts, retries = ComparisonCounts(), Retries(limit)
    for held in customers:
        customer, known = _customer_of(held), held.entitlements
        counts.mirrored += known is not None
        products = products_of(held.subscriptions)
        if not products and not (known and known.features):
            continue
        found = attempt(customer, lambda c=customer, p=products: reader.read(c, p), retries)  # type: ignore[misc]
        if isinstance(found, Failure):
            counts.fail(found)
        elif found is not None:
            counts.read += 1
            _compare(customer, held, found, counts, mirror if repair else None)
        progress(counts.result())
    return counts.result()


def _customer_of(held: MirroredCustomer) -> str:
    return held.entitlements.customer_id if held.entitlements else held.subscriptions[0].subscription.customer_id


def _compare(
    customer: str,
    held: MirroredCustomer,
    found: EntitlementsRead,
    counts: ComparisonCounts,
    mirror: EntitlementsMirror | None,
) -> None:
    known = held.entitlements
    if known and known.features == found.features:
        # Which product gives them is no drift: no event says so.
        if mirror and dict(known.products) != dict(found.products):
            mirror.write(customer, found)
        return
    if known and (known.settling is not None or known.as_of >= found.certain_as_of):
        counts.in_flight += 1
        return
    kind = DriftKind.DIFFERENT if known else DriftKind.ABSENT
    unlike = (Difference("features", ", ".join(known.features), ", ".join(found.features)),) if known else ()
    repaired = mirror is not None and mirror.write(customer, found) is Outcome.APPLIED
    counts.add(Drift(kind, ENTITLEMENTS_KEY, customer, unlike), repaired=repaired)
