"""Pauses that the team accepts: a note in the subscription's metadata, which keeps a pause out of the headline."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

# Metadata of the subscription. The value of the first is a day, the last on which it holds, or `yes`.
PAUSE_OK = "portal_pause_ok"
PAUSE_OK_BY = "portal_pause_ok_by"
PAUSE_OK_NOTE = "portal_pause_ok_note"

_YES = frozenset({"yes", "true", "ok", "1"})
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who accepted a pause, until and including which day (`None`: until further notice), and why."""

    until: date | None
    by: str = ""
    note: str = ""


def acknowledgement_of(raw: Mapping[str, Any], today: date) -> Acknowledgement | None:
    """Return the acknowledgement in a subscription's JSON that holds `today`; a value that is unclear is none."""
    metadata = raw.get("metadata")
    if not isinstance(metadata, Mapping):
        return None
    value = str(metadata.get(PAUSE_OK, "")).strip().lower()
    by, note = str(metadata.get(PAUSE_OK_BY, "")), str(metadata.get(PAUSE_OK_NOTE, ""))
    if value in _YES:
        return Acknowledgement(None, by, note)
    try:
        until = date.fromisoformat(value) if _DAY.fullmatch(value) else None
    except ValueError:  # such as 2026-02-30
        return None
    return Acknowledgement(until, by, note) if until is not None and until >= today else None
