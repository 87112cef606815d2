"""What the mirror holds of a customer, as a table for people or as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from shared.mirror_item import MirroredSubscription


def as_json(items: Sequence[MirroredSubscription]) -> str:
    """Every field; times are Unix seconds, as Stripe has them."""
    return json.dumps([_flat(item) for item in items], indent=2)


def as_table(customer_id: str, items: Sequence[MirroredSubscription]) -> Table:
    """The fields that people ask for; times are UTC."""
    table = Table(title=f"The mirror of {customer_id}", show_lines=True)
    for heading in ("subscription", "status", "pause", "paused since", "resumes", "paid until", "as of", "revision"):
        table.add_column(heading, overflow="fold")
    for item in items:
        held = item.subscription
        pause = held.pause_collection
        table.add_row(
            held.id,
            held.status,
            f"{held.pause_kind} ({pause.behavior if pause else held.paused_reason or '?'})" if held.pause_kind else "",
            _time(item.paused_since),
            _time(pause.resumes_at if pause else None),
            _time(held.current_period_end),
            _time(item.as_of),
            str(item.revision),
        )
    return table


def _flat(item: MirroredSubscription) -> dict[str, Any]:
    whole = asdict(item)
    held = whole.pop("subscription")
    return {"subscription_id": held.pop("id"), **held, "pause_kind": item.subscription.pause_kind, **whole}


def _time(seconds: int | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
