"""First objects from a file, in the format of the official CLI's `stripe fixtures`."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.stripe_simulator.api import perform
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.simulator import Simulator

# `${customer:id}` is the field `id` of the response to the fixture named `customer`; `a.b` is field b of a.
_REFERENCE = re.compile(r"\$\{([^:}]+):([^}]+)\}")


class SeedError(Exception):
    """A seed file that cannot be read, or whose request the simulator refused."""


@dataclass(frozen=True)
class Seed:
    """The requests of a seed file: hashes with `name`, `path`, `method` and `params`."""

    fixtures: list[dict[str, Any]]

    @classmethod
    def read(cls, file: Path) -> "Seed":
        """Read a file; raises `SeedError`."""
        try:
            content = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise SeedError(f"{file}: {error}") from error
        fixtures = content.get("fixtures") if isinstance(content, dict) else None
        if not isinstance(fixtures, list):
            raise SeedError(f"{file}: `fixtures` must be a list of requests, as in a file for `stripe fixtures`.")
        for place, fixture in enumerate(fixtures):
            absent = {"name", "path", "method"} - (fixture.keys() if isinstance(fixture, dict) else set())
            if absent:
                raise SeedError(f"{file}: fixtures[{place}] has no {', '.join(sorted(absent))}.")
        return cls(fixtures)

    def apply(self, simulator: Simulator) -> None:
        """Carry out every request in its order; raises `SeedError` at the first that is refused."""
        responses: dict[str, Any] = {}
        for fixture in self.fixtures:
            try:
                method, path = fixture["method"].upper(), _filled(fixture["path"], responses)
                params = _filled(fixture.get("params") or {}, responses)
                responses[fixture["name"]] = perform(simulator, method, path, params)
            except ApiError as error:
                raise SeedError(f"The fixture {fixture['name']} was refused: {error}") from error


def _filled(value: Any, responses: dict[str, Any]) -> Any:
    """Return a value with every reference replaced."""
    if isinstance(value, dict):
        return {name: _filled(inner, responses) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, responses) for inner in value]
    return _REFERENCE.sub(lambda found: _field(found, responses), value) if isinstance(value, str) else value


def _field(found: re.Match[str], responses: dict[str, Any]) -> str:
    value: Any = responses.get(found[1])
    for name in found[2].split("."):
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            value = value.get(name) if isinstance(value, dict) else None
    if value is None or isinstance(value, dict | list):
        raise SeedError(f"{found[0]}: no earlier fixture has such a field.")
    return str(value)
