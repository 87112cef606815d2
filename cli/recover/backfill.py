"""Fills an empty or old mirror from the whole account, while webhooks go on arriving."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from stripe import StripeClient

from shared.mirror.comparison import Observer, attempt, read_subscriptions
from shared.mirror.drift import MOST_RECORDS, Failure, differences, is_expired
from shared.mirror.rule import Outcome
from shared.mirror.table import WritableTable
from shared.stripe.lists import STREAMS, Window, WindowReader
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.subscription_read import SubscriptionRead

# Writes of the table side by side: fewer than the connections that boto3 keeps.
WORKERS = 8


class BackfillStep(StrEnum):
    """What became of one subscription, besides the rule's own outcomes."""

    EXPIRED = "expired"
    ABSENT = "absent"
    DIFFERENT = "different"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """How far it came. Counts are of all, `failures` holds the first 1,000.

    `starting_after` is the last subscription before which nothing is missing: where to go on.
    """

    read: int = 0
    outcomes: Mapping[Outcome | BackfillStep, int] = field(default_factory=dict)
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    starting_after: str | None = None


def backfill(  # noqa: PLR0913 - keywords, each an option of the command
    client: StripeClient,
    table: WritableTable,
    mirror: Observer,
    *,
    dry_run: bool,
    now: float,
    retention: timedelta,
    limit: RateLimit,
    starting_after: str | None = None,
) -> Iterator[BackfillProgress]:
    """Apply every subscription of the account, newest first, each as of the time of its page.

    `now` is in Unix seconds. Yields the progress after each finished page. A subscription that cannot be read is
    counted and skipped. Raises `Unavailable` or `OperatorError` when it cannot go on, `InvalidRequest` when Stripe
    has no subscription `starting_after`: no page is skipped then, and the last progress says where to go on.
    """
    retries = Retries(limit)

    def apply(found: SubscriptionRead | Failure) -> Outcome | BackfillStep | Failure:
        if isinstance(found, Failure):
            return found
        mine = found.subscription
        # Elsewhere the rule's own write reads the item: most of a backfill is one request each.
        if dry_run or is_expired(mine, now=now, retention=retention):
            held = retries.of(lambda: table.get(mine.customer_id, mine.id))
            if held is None and is_expired(mine, now=now, retention=retention):
                return BackfillStep.EXPIRED
            if dry_run:
                return BackfillStep.ABSENT if held is None else _compared(differences(held.subscription, mine))
        return attempt(mine.id, lambda: mirror.observe(found), retries)

    done = BackfillProgress(starting_after=starting_after)
    begin = Window(after=(starting_after,) if starting_after else ())
    reader = WindowReader(client, limit, [begin], streams=STREAMS, status="all")
    with ThreadPoolExecutor(WORKERS) as pool:
        for page in reader.pages():
            results = list(pool.map(apply, read_subscriptions(page)))
            done = _with(done, results, reader.position)
            yield done


def _compared(unlike: tuple[object, ...]) -> BackfillStep:
    return BackfillStep.DIFFERENT if unlike else BackfillStep.SAME


def _with(
    done: BackfillProgress, results: list[Outcome | BackfillStep | Failure], starting_after: str | None
) -> BackfillProgress:
    failures = [each for each in results if isinstance(each, Failure)]
    outcomes = Counter(done.outcomes) + Counter(each for each in results if not isinstance(each, Failure))
    return replace(
        done,
        read=done.read + len(results),
        outcomes=dict(outcomes),
        failed=done.failed + len(failures),
        failures=(*done.failures, *failures)[:MOST_RECORDS],
        starting_after=starting_after,
    )
