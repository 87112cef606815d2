"""Ctrl-C and the other signals that stop the stack, at any moment of its start.

The first signal is only remembered, for the steps of the start to check. A handler that raises can interrupt any line
of Python's own code, where the exception may be swallowed or leave a lock behind. A second signal ends the process at
once, and the child processes with it.
"""

import os
import signal


class Interrupted(BaseException):
    """Raised between two steps after a signal, so that everything is stopped in order."""


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP, from `install` on."""

    def __init__(self) -> None:
        self._received = False

    def install(self) -> None:
        """Handle the signals in this process."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)

    def check(self) -> None:
        """Raise `Interrupted` if a signal has arrived."""
        if self._received:
            raise Interrupted

    def _receive(self, number: int, _frame: object) -> None:
        if self._received:
            os._exit(128 + number)
        self._received = True
        # `print` is not safe in a signal handler.
        os.write(2, b"Stopping ... (a second Ctrl-C ends it at once)\n")
