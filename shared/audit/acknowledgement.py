"""What the team accepts: a note in the subscription's metadata, which keeps a pause, or all else, out of the way."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

# Metadata of the subscription: a day, the last on which it holds, or `yes`. Who and why are in two more keys.
PAUSE_OK = "portal_pause_ok"
AUDIT_OK = "portal_audit_ok"

_YES = frozenset({"yes", "true", "ok", "1"})
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who accepted it, until and including which day (`None`: until further notice), and why."""

    until: date | None
    by: str = ""
    note: str = ""


def metadata_of(key: str, value: str, by: str, note: str) -> dict[str, str]:
    """Return the metadata of an acknowledgement."""
    return {key: value, f"{key}_by": by, f"{key}_note": note}


def acknowledgement_of(raw: Mapping[str, Any], today: date, key: str = PAUSE_OK) -> Acknowledgement | None:
    """Return the acknowledgement in a subscription's JSON that holds `today`; a value that is unclear is none.

    `key` says of what: of its pause (`PAUSE_OK`), or of everything else that the audit finds of it (`AUDIT_OK`).
    """
    metadata = raw.get("metadata")
    if not isinstance(metadata, Mapping):
        return None
    value = str(metadata.get(key, "")).strip().lower()
    by, note = str(metadata.get(f"{key}_by", "")), str(metadata.get(f"{key}_note", ""))
    if value in _YES:
        return Acknowledgement(None, by, note)
    try:
        until = date.fromisoformat(value) if _DAY.fullmatch(value) else None
    except ValueError:  # such as 2026-02-30
        return None
    return Acknowledgement(until, by, note) if until is not None and until >= today else None
