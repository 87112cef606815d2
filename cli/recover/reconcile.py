"""Compares the mirror with Stripe both ways, and repairs it by the rule of every other write."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

from stripe import StripeClient

from shared.mirror.comparison import ComparedTable, Comparison, Rule, SeenSubscriptions
from shared.mirror.drift import ComparisonResult
from shared.mirror.table import MirroredSubscription
from shared.stripe.lists import subscription_pages
from shared.stripe.pacing import RateLimit, limited_reads


class WholeTable(ComparedTable, Protocol):
    """What can be compared the other way as well."""

    def all(self) -> Iterator[MirroredSubscription]:
        """Read all."""


def reconcile(  # noqa: PLR0913 - keywords, each a plain fact that the command line or the audit sets
    client: StripeClient,
    table: WholeTable,
    mirror: Rule,
    *,
    repair: bool,
    now: float,
    retention: timedelta,
    uncertainty: timedelta,
    limit: RateLimit,
    progress: Callable[[ComparisonResult], None] = lambda _: None,
) -> ComparisonResult:
    """Compare every subscription of the account, and every item of the table.

    Writes only with `repair`. `now` is in Unix seconds; `progress` is told the summary so far after each page. A
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
    for page in subscription_pages(client, run.retries):
        run.see_page(page)
        progress(run.tally.summary())
    for held in table.all():
        if run.see_mirrored(held):
            progress(run.tally.summary())
    run.judge(everything=True)
    return run.tally.summary()
