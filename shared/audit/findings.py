"""Gathers findings, and keeps what is said of thousands as small as what is said of a few."""

from dataclasses import replace

from shared.audit.finding import Finding, FindingKind

SAMPLE = 5


class Findings:
    """In the order of their coming; sampled ones that say the same become one, with its first few subjects."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._places: dict[FindingKind, int] = {}

    def add(self, finding: Finding) -> None:
        """Keep a finding, or count it where the same was said before."""
        if not finding.sampled:
            self._findings.append(finding)
            return
        key = finding.kind
        if key not in self._places:
            self._places[key] = len(self._findings)
            self._findings.append(_sampled(finding))
            return
        place = self._places[key]
        known = self._findings[place]
        both = replace(known, subjects=(*known.subjects, *finding.subjects), more=known.more + finding.more)
        self._findings[place] = _sampled(both)

    def all(self) -> tuple[Finding, ...]:
        """Answer what was gathered."""
        return tuple(self._findings)


def _sampled(finding: Finding) -> Finding:
    return replace(finding, subjects=finding.subjects[:SAMPLE], more=finding.size - min(len(finding.subjects), SAMPLE))
