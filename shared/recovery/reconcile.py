"""Compares the mirror with Stripe both ways, and repairs it by the rule of every other write."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from stripe import StripeClient

from shared.rate_limit import RateLimit
from shared.recovery.bring import Rule, limited_reads
from shared.recovery.comparison import Comparison, Table
from shared.recovery.pages import subscription_pages
from shared.recovery.seen import nothing_seen
from shared.recovery.summary import Summary

# Reads of the table side by side: fewer than the connections that boto3 keeps.
WORKERS = 8


def reconcile(  # noqa: PLR0913 - keywords, each a plain fact that the command line or the audit sets
    client: StripeClient,
    table: Table,
    mirror: Rule,
    *,
    repair: bool,
    now: float,
    retention: timedelta,
    uncertainty: timedelta,
    limit: RateLimit,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Compare every subscription of the account, and every item of the table.

    Writes only with `repair`. `now` is in Unix seconds; `progress` is told the summary so far after each page. A
    difference counts only if it is still there after `uncertainty`, and the mirror was not written meanwhile. Memory
    stays flat however large the account is. Raises `Unavailable` or `OperatorError` when it cannot go on.
    """
    with nothing_seen() as seen, ThreadPoolExecutor(WORKERS) as pool:
        run = Comparison(
            table, mirror if repair else None, limited_reads(client, limit), now, retention, uncertainty, limit, seen
        )
        for page in subscription_pages(client, run.retries):
            run.see_page(page, pool)
            progress(run.tally.summary())
        for held in table.all():
            if run.see_mirrored(held):
                progress(run.tally.summary())
        run.judge(everything=True)
    return run.tally.summary()
