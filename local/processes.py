"""The child processes of the stack: started, watched and ended together."""

import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import requests

from local.stop_signals import StopSignals

_TERMINATION_SECONDS = 5


class NotRunning(Exception):
    """Raised when the stack cannot start or continue; the message is for the person at the terminal."""


class Children:
    """Child processes by name; leaving the `with` block ends them all."""

    def __init__(self, signals: StopSignals) -> None:
        self._signals = signals
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Start a module in its own session, so that Ctrl-C reaches only this process, which ends the child."""
        self._processes[name] = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", "local.child", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def check(self) -> None:
        """Raise `NotRunning` if a child has ended, `Interrupted` if a signal has arrived."""
        self._signals.check()
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                raise NotRunning(f"{name} ended unexpectedly (exit code {code}). Everything else was stopped.")

    def wait_until(self, name: str, is_ready: Callable[[], bool], *, timeout: float = 60) -> None:
        """Wait until a child is ready. Raises `NotRunning` if a child ends first or it takes too long."""
        deadline = time.monotonic() + timeout
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise NotRunning(f"{name} was not ready within {timeout:g} s.")
            time.sleep(0.05)

    def stop(self) -> None:
        """End all: SIGTERM first, SIGKILL for those that are still running after five seconds."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _TERMINATION_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def responds(url: str) -> bool:
    """Whether a GET request succeeds."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
