"""The names under which CloudWatch counts what the audit found; all have the unit Count."""

from enum import StrEnum


class AuditMetric(StrEnum):
    """One value each a run. A night without `AuditReports` is one of which nobody knows anything: alarm on that."""

    AUDIT_RUNS = "AuditRuns"
    AUDIT_REPORTS = "AuditReports"
    AUDIT_FAILURES = "AuditFailures"
    AUDIT_MAILS = "AuditMails"
    AUDIT_FINDINGS = "AuditFindings"
    PAUSED_SUBSCRIPTIONS = "PausedSubscriptions"
    CUSTOMERS_SERVED_FREE = "CustomersServedFree"
