"""The order of a night's steps, and what each hands to the next: plain JSON, small, whatever the account's size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from functions.nightly_audit.night import Night, Run
from shared.audit.window import Window

_Answer = TypeVar("_Answer")
_Wire = Callable[[], Night]


class Steps(Protocol):
    """What runs a step and remembers its answer; the code between steps runs again after every interruption."""

    def step(self, name: str, act: Callable[[], _Answer]) -> _Answer:
        """Act once, or answer what it answered before."""

    def rest(self, name: str) -> None:
        """End this invocation; another goes on."""


def run_steps(wire: _Wire, steps: Steps, *, again: bool) -> dict[str, Any]:
    """Run a night, and answer what it counted. Raises what `Steps.step` raises: then no mail was sent."""
    begun = steps.step("begin", partial(_begin, wire))
    run = Run(begun["name"], datetime.fromisoformat(begun["as_of"]))
    read = _read_all(wire, steps, run)
    number = _compare_all(wire, steps, run, read)
    steps.step("look", lambda: wire().look(run, number))
    # A long list takes minutes: the last reading must not have used them up.
    steps.rest("rest-tell")
    return steps.step("tell", lambda: wire().tell(run, number + 1, read, again=again))


def _read_all(wire: _Wire, steps: Steps, run: Run) -> int:
    """Read all subscriptions; answer how many steps that took."""
    number, windows = 0, [astuple(Window())]
    while windows:
        if number:
            steps.rest(f"rest-{number}")
        windows = steps.step(f"read-{number}", partial(_read, wire, run, number, windows))
        number += 1
    return number


def _compare_all(wire: _Wire, steps: Steps, run: Run, read: int) -> int:
    """Compare the mirror the other way; answer the number of the next step."""
    number, start = read, None
    while True:
        start = steps.step(f"compare-{number}", partial(_compare, wire, run, number, read, start))
        number += 1
        if not start:
            return number
        steps.rest(f"rest-{number}")


def _begin(wire: _Wire) -> dict[str, str]:
    run = wire().begin()
    return {"name": run.name, "as_of": run.as_of.isoformat()}


def _read(wire: _Wire, run: Run, number: int, windows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [astuple(each) for each in wire().read(run, number, [Window(*each) for each in windows])]


def _compare(wire: _Wire, run: Run, number: int, read: int, start: Mapping[str, Any] | None) -> dict[str, Any] | None:
    then = wire().compare(run, number, read, start)
    return dict(then) if then else None
