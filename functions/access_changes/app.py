"""Looks at the customers whose subscriptions have changed, and at those whose answer time has changed."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.access_changes.wiring import wire
from shared.errors import PortalError
from shared.http import log_failure, log_problem


class AccessChangeMetric(StrEnum):
    """What is counted: events that were published, and customers who have to be looked at again."""

    PUBLISHED = "AccessChangePublished"
    FAILED = "AccessChangeFailed"


logger = Logger(service="access_changes")
metrics = Metrics(service="access_changes")

_wire = cache(wire)
# Enough for the customer at hand, with all of AWS's retries.
LEAST_MILLISECONDS = 30_000
# Who made a change: DynamoDB itself, when it deletes what has expired
# (docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).
_BY_TIME_TO_LIVE = "dynamodb.amazonaws.com"


@logger.inject_lambda_context(log_event=False, clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take records of the table's stream, or, for the schedule's event, whoever is due.

    To the stream the answer names the records that have to come again; those after the first of them come again too.
    `{"everyone": true}`, sent by hand, looks at every customer, for rules that were changed; if time runs out, the
    answer has the `after` to send with it next.
    """
    try:
        if "Records" in event:
            return {"batchItemFailures": _changed(event["Records"])}
        if event.get("everyone") is True:
            return _everyone(context, event.get("after"))
        return _due(context)
    finally:
        # Most invocations of the schedule count nothing, and Powertools' own decorator would warn about that.
        if metrics.provider.metric_set:
            metrics.flush_metrics()


def _changed(records: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Look at each customer once, however many records there are; return the first record of each that failed."""
    first: dict[str | None, str] = {}
    for record in records:
        if record.get("userIdentity", {}).get("principalId") != _BY_TIME_TO_LIVE:
            first.setdefault(_customer_of(record), record["dynamodb"]["SequenceNumber"])
    return [
        {"itemIdentifier": number} for customer, number in first.items() if customer is None or not _look_at(customer)
    ]


def _customer_of(record: Mapping[str, Any]) -> str | None:
    """Return the customer; `None` for a record that cannot be read, which has to be kept."""
    try:
        return str(record["dynamodb"]["Keys"]["customer_id"]["S"])
    except (KeyError, TypeError) as error:
        log_failure(logger, error)
        metrics.add_metric(AccessChangeMetric.FAILED, MetricUnit.Count, 1)
        return None


def _due(context: LambdaContext) -> dict[str, Any]:
    """Look at whoever is due while there is time; the next invocation continues."""
    changes = _wire()
    looked = _look_at_each(changes.table.due(now=int(changes.clock())), context)
    counts = {"looked_at": looked.looked_at, "failed": looked.failed}
    logger.info("due", extra=counts)
    return dict(counts)


def _everyone(context: LambdaContext, after: str | None) -> dict[str, Any]:
    return asdict(_look_at_each(_wire().table.customers(after), context))


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """How many customers were looked at, and of how many that failed; `after`, if time ran out, is the last of them."""

    looked_at: int
    failed: int
    after: str | None = None


def _look_at_each(customers: Iterable[str], context: LambdaContext) -> _LookedAt:
    """Look at the customers while there is time."""
    number, failed, last = 0, 0, None
    for customer in customers:
        if context.get_remaining_time_in_millis() < LEAST_MILLISECONDS:
            return _LookedAt(number, failed, last)
        number += 1
        failed += not _look_at(customer)
        last = customer
    return _LookedAt(number, failed)


def _look_at(customer: str) -> bool:
    """Return whether it is done; a failure concerns this customer alone."""
    try:
        published = _wire().look_at(customer)
    except PortalError as error:
        log_problem(logger, error)
    except Exception as error:  # noqa: BLE001 - a fault of our own must not stop the other customers
        log_failure(logger, error)
    else:
        if published:
            metrics.add_metric(AccessChangeMetric.PUBLISHED, MetricUnit.Count, published)
        return True
    metrics.add_metric(AccessChangeMetric.FAILED, MetricUnit.Count, 1)
    return False
