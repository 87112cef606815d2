"""Ctrl-C and the other signals that stop the stack, at any moment of its start.

An exception from a signal handler gets lost where Python swallows exceptions, in a destructor for example. So the first
signal is also remembered, for the loops to check, and a second one ends the process at once. The children end with it.
"""

import os
import signal


class Interrupted(BaseException):
    """Raised in the main thread by the first signal, so that everything is stopped in order."""


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
        raise Interrupted
