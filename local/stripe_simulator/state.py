"""The state of a simulator in a file, so that it goes on after a restart.

Not kept: idempotency keys, faults, and the counts and record of requests and deliveries.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local.stripe_simulator.resources.events import send_again
from local.stripe_simulator.simulator import BillingSettings, PortalVisit, Simulator

_FORMAT = 2
# Attributes of the simulator that are JSON as they are.
_PLAIN = (
    *("trial_notices", "expiry_notices", "announced_trials"),
    *(
        "pause_ends",
        "phase_starts",
        "pause_plans",
        "invoice_moments",
        "retries_end",
        "pending_lines",
        "resumptions",
        "waiting_updates",
        "payment_pauses",
        "deleted_customers",
    ),
    *("checkout_params", "login_codes"),
    "schedule_starts",
)


class StateError(Exception):
    """A state file that this version of the simulator cannot read."""


def save(simulator: Simulator, file: Path) -> None:
    """Write the state; the file is replaced as a whole."""
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(content_of(simulator)))
    # Signing secrets are in it.
    part.chmod(0o600)
    part.replace(file)


def content_of(simulator: Simulator) -> dict[str, Any]:
    """Return the state as JSON."""
    return {
        "format": _FORMAT,
        "clock_offset": simulator.clock.offset,
        "objects": {
            name: [kind.get(key) for _, _, key in kind.positions()]
            for name, kind in simulator.store.collections().items()
        },
        "visits": {key: asdict(visit) for key, visit in simulator.visits.items()},
        "undelivered": simulator.deliveries.undelivered(),
        "billing": asdict(simulator.billing),
        **{name: getattr(simulator, name) for name in _PLAIN},
    }


def restore(simulator: Simulator, file: Path) -> None:
    """Give a new simulator the state of a file; deliveries that were not accepted are made again."""
    try:
        content = json.loads(file.read_text())
        if content["format"] != _FORMAT:
            raise StateError(f"{file}: the state of another version of the simulator. Delete the file to begin anew.")
        take_over(simulator, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{file}: not a state file of the simulator ({type(error).__name__}: {error}).") from error


def take_over(simulator: Simulator, content: dict[str, Any]) -> None:
    """Give a new simulator a state that `content_of` returned."""
    store = simulator.store
    simulator.clock.move(content["clock_offset"])
    for name, objects in content["objects"].items():
        for one in objects:
            getattr(store, name).add(one)
    for name in _PLAIN:
        # In place, because the queue of due changes reads the same hashes.
        own = getattr(simulator, name)
        own.extend(content.get(name, [])) if isinstance(own, list) else own.update(content.get(name, {}))
    simulator.billing = BillingSettings(**content["billing"])
    for key, visit in content["visits"].items():
        session = store.portal_sessions.find(visit["session"]["id"]) or visit["session"]
        simulator.visits[key] = PortalVisit(**{**visit, "session": session})
    for _, _, key in store.subscriptions.positions():
        simulator.due_changes.add(store.subscriptions.get(key))
    for event_id, names in content["undelivered"].items():
        send_again(simulator, event_id, names)
