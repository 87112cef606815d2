"""Runs a durable function to its end, as Lambda would over many invocations, with AWS's own local runner."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from aws_durable_execution_sdk_python.lambda_service import InvocationStatus
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

# Waits and pauses between tries take no time here.
LONGEST_SECONDS = 600


class ExecutionFailed(Exception):
    """Raised when a durable execution failed for good; the message is what Lambda would report."""


def run_durably(handler: Callable[..., Any], function_name: str, event: Mapping[str, Any]) -> Any:
    """Run a durable execution, and answer its result. Raises `ExecutionFailed`."""
    with DurableFunctionTestRunner(handler=handler, poll_interval=0.02, execution_timeout=LONGEST_SECONDS) as runner:
        result = runner.run(input=json.dumps(event), function_name=function_name)
    # The runner stops its event loop and its thread, and leaves the loop open.
    runner._scheduler._loop.close()  # noqa: SLF001 - it has no other way
    if result.status is not InvocationStatus.SUCCEEDED:
        raise ExecutionFailed(f"{result.error.type}: {result.error.message}" if result.error else "no reason given")
    return json.loads(result.result) if result.result else None
