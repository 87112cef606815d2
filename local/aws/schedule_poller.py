"""EventBridge Scheduler in this process: what runs every few minutes on AWS runs every few seconds here."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from local.aws.lambda_function import LambdaFunction
from local.aws.template import Template

EVERY_SECONDS = 5.0


@dataclass(slots=True)
class SchedulePoller:
    """One function that a schedule invokes."""

    function: LambdaFunction
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=0, init=False)

    def poll(self) -> int:
        """Invoke the function if it is time; there is never a reason to poll again at once."""
        if self.clock() >= self._next:
            self._next = self.clock() + EVERY_SECONDS
            self.function.invoke({})
        return 0


def schedule_pollers(template: Template, functions: Mapping[str, LambdaFunction]) -> tuple[SchedulePoller, ...]:
    """Return a poller for each function that runs every so many minutes; what runs at a time of day is left alone."""
    return tuple(
        SchedulePoller(functions[logical_id])
        for logical_id, properties in template.resources("AWS::Serverless::Function").items()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "ScheduleV2" and event["Properties"]["ScheduleExpression"].startswith("rate(")
    )
