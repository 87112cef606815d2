"""Compares the mirror with Stripe both ways, and repairs it by the rule."""

from collections.abc import Callable
from datetime import timedelta

from stripe import StripeClient

from shared.mirror.comparison import Comparison, Observer, SeenSubscriptions
from shared.mirror.drift import ComparisonResult
from shared.mirror.table import SubscriptionTable
from shared.stripe.lists import STREAMS, Window, WindowReader
from shared.stripe.pacing import RateLimit, limited_reads


def reconcile(  # noqa: PLR0913 - keywords, each a plain fact that the command line or the audit sets
    client: StripeClient,
    table: SubscriptionTable,
    mirror: Observer,
    *,
    repair: bool,
    now: float,
    retention: timedelta,
    uncertainty: timedelta,
    limit: RateLimit,
    progress: Callable[[ComparisonResult], None] = lambda _: None,
) -> ComparisonResult:
    """Compare every subscription of the account, and every item of the table.

    Writes only with `repair`. `now` is in Unix seconds; `progress` gets the result so far after each page. A
    difference counts only if it is still there after `uncertainty`, and the mirror was not written meanwhile. Memory
    grows by 8 bytes a subscription. Raises `Unavailable` or `OperatorError` when it cannot go on.
    """
    run = Comparison(
        table,
        mirror if repair else None,
        limited_reads(client, limit),
        now,
        retention,
        uncertainty,
        limit,
        SeenSubscriptions(),
    )
    for page in WindowReader(client, limit, [Window()], streams=STREAMS, status="all").pages():
        run.compare_page(page)
        progress(run.counts.result())
    for held in table.all():
        if run.compare_mirrored(held):
            progress(run.counts.result())
    run.confirm(wait=True)
    return run.counts.result()
