"""Puts together the findings that say the same, the worst first, however many there are."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from shared.audit.finding import Finding, FindingKind, Severity
from shared.audit.report import Report
from shared.audit.text import NOTHING, Text, count, joined

_MILDEST_FIRST = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Group:
    """Findings of one kind: the first few of them, and how many subjects they and the others have."""

    findings: tuple[Finding, ...]
    example: Finding
    size: int


def urgent(groups: Iterable[Group]) -> Text:
    """Count the critical findings and the warnings, such as `1 critical finding and 2 warnings`; empty without any."""
    sizes: Counter[Severity] = Counter()
    for group in groups:
        # One that names nothing is about the account.
        sizes[group.example.severity] += max(group.size, 1)
    critical, warning = sizes[Severity.CRITICAL], sizes[Severity.WARNING]
    critiques = count(critical, "constat critique", "fr", plural="constats critiques")
    return joined(
        (
            Text(count(critical, "critical finding"), critiques) if critical else NOTHING,
            Text("and", "et") if critical and warning else NOTHING,
            Text(count(warning, "warning"), count(warning, "avertissement", "fr")) if warning else NOTHING,
        )
    )


def groups_of(report: Report, most_paused: int) -> list[Group]:
    """Group the findings: the worst severity first, of these what costs money, then other pauses, then the rest.

    At most `most_paused` findings about paused subscriptions are in the groups, the worst; all are in their sizes.
    """
    shown: dict[FindingKind, list[Finding]] = {}
    for finding in (*islice(report.paused, most_paused), *report.findings):
        shown.setdefault(finding.kind, []).append(finding)
    groups = [Group(tuple(shown.get(each.kind, ())), each, size) for each, size in report.paused.kinds()]
    known = {group.example.kind for group in groups}
    for kind, findings in shown.items():
        if kind not in known:
            groups.append(Group(tuple(findings), findings[0], sum(finding.size for finding in findings)))
    return sorted(groups, key=_rank)


def _rank(group: Group) -> tuple[int, bool, bool, int]:
    finding = group.example
    free = finding.paused is not None and finding.paused.served_free
    return (
        -_MILDEST_FIRST.index(finding.severity),
        not free,
        finding.paused is None,
        -group.size if finding.paused else 0,
    )
