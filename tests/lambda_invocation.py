"""One invocation of the audit, event in and answer out, as a process of its own that a test can kill."""

import json
import os
import sys
from typing import Any

from functions.nightly_audit import app
from local.lambda_function import LambdaContext
from local.template import Function

FUNCTION = Function("NightlyAuditFunction", "functions.nightly_audit.app.handler", 900, 1024)

if __name__ == "__main__":
    # What is logged must not stand in the answer.
    answer_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    context: Any = LambdaContext(FUNCTION)
    with answer_to:
        json.dump(app.handler(json.load(sys.stdin), context), answer_to)
