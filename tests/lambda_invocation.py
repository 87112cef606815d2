"""One invocation of the audit, event in and answer out, as a process of its own that a test can kill."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from functions.nightly_audit import app
from functions.nightly_audit.mail import Mailer
from local.aws.lambda_function import LambdaContext
from local.aws.template import Function
from shared.audit.report import ReportView

FUNCTION = Function("NightlyAuditFunction", "functions.nightly_audit.app.handler", 900, 1024)


def _die_once_before_the_mail(died: Path) -> None:
    """The night is claimed and its list kept; the mail is not sent."""
    send = Mailer.send

    def die_or_send(self: Mailer, edition: ReportView) -> None:
        if not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        send(self, edition)

    Mailer.send = die_or_send  # type: ignore[method-assign]


if __name__ == "__main__":
    if died := os.environ.get("DIES_ONCE_BEFORE_THE_MAIL"):
        _die_once_before_the_mail(Path(died))
    # What is logged must not stand in the answer.
    answer_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    context: Any = LambdaContext(FUNCTION)
    with answer_to:
        json.dump(app.handler(json.load(sys.stdin), context), answer_to)
