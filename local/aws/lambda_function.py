"""Lambda in this process: loads a function's handler and invokes it; durable functions run in AWS's local runner."""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import _lru_cache_wrapper
from importlib import import_module
from typing import Any
from uuid import uuid4

from aws_durable_execution_sdk_python.lambda_service import InvocationStatus
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner
from aws_lambda_powertools import Metrics

from local.aws.intrinsics import ACCOUNT_ID, REGION
from local.aws.template import Function

# The runner skips waits and the pauses between retries.
LONGEST_SECONDS = 600


class ExecutionFailed(Exception):
    """Raised when a durable execution has failed; the message is the one that Lambda would report."""


def run_durably(handler: Callable[..., Any], function_name: str, event: Mapping[str, Any]) -> Any:
    """Run a durable execution to its end and return its result. Raises `ExecutionFailed`."""
    with DurableFunctionTestRunner(handler=handler, poll_interval=0.02, execution_timeout=LONGEST_SECONDS) as runner:
        result = runner.run(input=json.dumps(event), function_name=function_name)
    # The runner stops its event loop and its thread, but does not close the loop.
    runner._scheduler._loop.close()  # noqa: SLF001 - there is no public way
    if result.status is not InvocationStatus.SUCCEEDED:
        raise ExecutionFailed(f"{result.error.type}: {result.error.message}" if result.error else "no reason given")
    return json.loads(result.result) if result.result else None


class LambdaContext:
    """The context that Lambda passes to a handler with the event."""

    function_version = "$LATEST"

    def __init__(self, function: Function) -> None:
        self.function_name = function.logical_id
        self.memory_limit_in_mb = function.memory_size
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function.logical_id}"
        self.aws_request_id = str(uuid4())
        self.log_group_name = f"/aws/lambda/{function.logical_id}"
        self.log_stream_name = "local"
        self._deadline = time.monotonic() + function.timeout

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left before the timeout, which is not enforced here."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def forget_caches() -> None:
    """Empty every cache of the functions' modules: their next invocations begin in new execution environments."""
    for name, module in list(sys.modules.items()):
        if name.startswith("functions."):
            for value in vars(module).values():
                if isinstance(value, _lru_cache_wrapper):
                    value.cache_clear()


class LambdaFunction:
    """A function ready for invocations; creating it imports its module, as in Lambda's init phase."""

    def __init__(self, function: Function) -> None:
        self._function = function
        module, _, name = function.handler.rpartition(".")
        self._handler = getattr(import_module(module), name)
        self._lock = threading.Lock()

    def invoke(self, event: dict[str, Any]) -> Any:
        """Call the handler and return its result; event and result pass through JSON, as on Lambda."""
        with self._lock:
            if self._function.durable:
                return run_durably(self._handler, self._function.logical_id, event)
            try:
                result = self._handler(json.loads(json.dumps(event)), LambdaContext(self._function))
            finally:
                # Disabled metrics still accumulate, and the hundredth would print all of them.
                Metrics().clear_metrics()
            return json.loads(json.dumps(result))
