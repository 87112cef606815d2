"""Refuses to build a wheel or a source distribution: this project is deployed or run from its checkout, not installed.

Only the editable install that make does for the `portal` command is allowed. A wheel would lack the dependencies, which
differ for each Lambda function, and would put packages named `cli`, `local` and `shared` into somebody's environment.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_REFUSAL = (
    "stripe-portal-bundle is an application, not a library, and cannot be packaged. Clone the repository, then: "
    "`make dev` runs it, `make build` builds the Lambda functions, `make .venv/bin/portal` installs the portal command."
)


class RefuseDistributions(BuildHookInterface[Any]):
    """Stops every build but the editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Raise unless hatchling prepares an editable install."""
        if version != "editable":
            raise SystemExit(_REFUSAL)
