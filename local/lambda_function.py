"""Runs a function's real handler as one Lambda execution environment would: one call at a time."""

import json
import threading
import time
from importlib import import_module
from typing import Any
from uuid import uuid4

from aws_lambda_powertools import Metrics

from local.durable_execution import run_durably
from local.physical_names import ACCOUNT_ID, REGION
from local.template import Function


class LambdaContext:
    """What Lambda hands to a handler beside the event."""

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
        """How long the handler may still take; nothing ends it when that is over."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class LambdaFunction:
    """A function ready to be invoked; its module is imported when it is made, as in Lambda's init phase."""

    def __init__(self, function: Function) -> None:
        self._function = function
        module, _, name = function.handler.rpartition(".")
        self._handler = getattr(import_module(module), name)
        self._lock = threading.Lock()

    def invoke(self, event: dict[str, Any]) -> Any:
        """Call the handler with a copy of the event and answer what it returns, both as JSON would carry them."""
        with self._lock:
            if self._function.durable:
                return run_durably(self._handler, self._function.logical_id, event)
            try:
                answer = self._handler(json.loads(json.dumps(event)), LambdaContext(self._function))
            finally:
                # Metrics that are switched off are kept all the same, and the hundredth writes all of them.
                Metrics().clear_metrics()
            return json.loads(json.dumps(answer))
