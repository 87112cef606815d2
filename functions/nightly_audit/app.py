"""Adapts the schedule's event to the audit, and its report to a mail and a few counts."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.nightly_audit.metrics import AuditMetric
from functions.nightly_audit.night import Night, wire
from functions.nightly_audit.settings import NightlyAuditSettings
from shared.errors import PortalError
from shared.problem import log_problem

logger = Logger(service="nightly_audit")
metrics = Metrics(service="nightly_audit")


@cache
def _wire() -> Night:
    return wire(NightlyAuditSettings.from_environment())


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """Audit, mail, and answer the counts. Raises what went wrong, so that Lambda tries again."""
    metrics.add_metric(AuditMetric.AUDIT_RUNS, MetricUnit.Count, 1)
    try:
        counts = _wire().run(datetime.now(UTC))
    except PortalError as error:
        log_problem(logger, error)
        raise
    metrics.add_metric(AuditMetric.AUDIT_MAILS, MetricUnit.Count, 1)
    metrics.add_metric(AuditMetric.AUDIT_FINDINGS, MetricUnit.Count, counts["findings"])
    metrics.add_metric(AuditMetric.PAUSED_SUBSCRIPTIONS, MetricUnit.Count, counts["subscriptions_paused"])
    metrics.add_metric(AuditMetric.CUSTOMERS_SERVED_FREE, MetricUnit.Count, counts["customers_served_free"])
    logger.info("audit", extra=counts)
    return counts
