"""Runs the audit as a Lambda durable execution: each step is checkpointed, so an interruption costs one step."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy, StepConfig
from aws_durable_execution_sdk_python.exceptions import StepError
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy
from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.nightly_audit.night import run_steps
from functions.nightly_audit.wiring import wire
from shared.errors import PortalError, Unavailable
from shared.http import log_problem


class AuditMetric(StrEnum):
    """The metrics of a run; unit Count, but of `UNCOLLECTED_PER_MONTH`, which is money by the dimension `currency`."""

    AUDIT_RUNS = "AuditRuns"
    AUDIT_REPORTS = "AuditReports"
    AUDIT_FAILURES = "AuditFailures"
    AUDIT_MAILS = "AuditMails"
    AUDIT_FINDINGS = "AuditFindings"
    PAUSED_SUBSCRIPTIONS = "PausedSubscriptions"
    CUSTOMERS_SERVED_FREE = "CustomersServedFree"
    DRIFT_REPAIRED = "DriftRepaired"
    OLDEST_SECRET_DAYS = "OldestSecretDays"  # noqa: S105 - a metric's name
    UNCOLLECTED_PER_MONTH = "UncollectedPerMonth"


logger = Logger(service="nightly_audit")
metrics = Metrics(service="nightly_audit")

_Result = TypeVar("_Result")

# A temporary failure of Stripe or AWS is retried for 13 hours, longer than Lambda lets an execution run; what only the
# operator can fix is not.
_PATIENCE = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=60,
            initial_delay=Duration.from_seconds(30),
            max_delay=Duration.from_minutes(15),
            # Jitter would halve that time, and no other run competes.
            jitter_strategy=JitterStrategy.NONE,
            retryable_error_types=[Unavailable],
        )
    )
)


class _Steps:
    """Runs the steps of a night under Lambda's durable execution."""

    failures: tuple[type[Exception], ...] = (PortalError, StepError)

    def __init__(self, context: DurableContext) -> None:
        self._context = context

    def step(self, name: str, act: Callable[[], _Result]) -> _Result:
        """Act once; after an interruption, return the recorded result."""
        return self._context.step(partial(_logged, act), name=name, config=_PATIENCE)

    def rest(self, name: str) -> None:
        """Continue in a new invocation, which has 15 minutes of its own."""
        self._context.wait(Duration.from_seconds(1), name=name)


def _logged(act: Callable[[], _Result], _context: StepContext) -> _Result:
    try:
        return act()
    except PortalError as error:
        log_problem(logger, error)
        # The SDK logs it with its causes; those may have a part of the key in them.
        raise error from None


def _is_to_send_again(event: Any) -> bool:
    """Whether the event asks for it with exactly `true`; any other event starts an ordinary run."""
    return isinstance(event, Mapping) and event.get("send_again") is True


def _count_failures(number: int) -> None:
    metrics.add_metric(AuditMetric.AUDIT_FAILURES, MetricUnit.Count, number)


def _count_uncollected(currency: str, amount: float) -> None:
    """Count money in its major unit; each currency is a metric of its own, because amounts of two do not add up."""
    with single_metric(
        AuditMetric.UNCOLLECTED_PER_MONTH, MetricUnit.NoUnit, amount, default_dimensions={"service": "nightly_audit"}
    ) as metric:
        metric.add_dimension("currency", currency)


@durable_execution
def _run(event: Any, context: DurableContext) -> dict[str, Any]:
    if not context.is_replaying():
        metrics.add_metric(AuditMetric.AUDIT_RUNS, MetricUnit.Count, 1)
    try:
        counts = run_steps(wire, _Steps(context), _count_failures, again=_is_to_send_again(event))
    except _Steps.failures:
        _count_failures(1)
        raise
    metrics.add_metric(AuditMetric.AUDIT_REPORTS, MetricUnit.Count, 1)
    metrics.add_metric(AuditMetric.AUDIT_MAILS, MetricUnit.Count, int(counts["mail"] == "sent"))
    metrics.add_metric(AuditMetric.AUDIT_FINDINGS, MetricUnit.Count, counts["findings"])
    metrics.add_metric(AuditMetric.PAUSED_SUBSCRIPTIONS, MetricUnit.Count, counts["subscriptions_paused"])
    metrics.add_metric(AuditMetric.CUSTOMERS_SERVED_FREE, MetricUnit.Count, counts["customers_served_free"])
    metrics.add_metric(AuditMetric.DRIFT_REPAIRED, MetricUnit.Count, counts["subscriptions_repaired"])
    if counts["oldest_secret_days"] is not None:
        metrics.add_metric(AuditMetric.OLDEST_SECRET_DAYS, MetricUnit.Count, counts["oldest_secret_days"])
    for currency, amount in counts["uncollected_per_month"].items():
        _count_uncollected(currency, amount)
    logger.info("audit", extra=counts)
    return counts


@logger.inject_lambda_context(log_event=False, clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Audit, send the mail and return the counts, over as many invocations as it takes.

    The schedule's event is empty; `{"send_again": true}`, sent by hand, sends the mail even if it was sent before.
    """
    try:
        answer: dict[str, Any] = _run(event, context)  # type: ignore[arg-type]  # two libraries type the context differently
        return answer
    finally:
        # Most invocations of a long run count nothing, and Powertools' own decorator would warn about that.
        if metrics.provider.metric_set:
            metrics.flush_metrics()
