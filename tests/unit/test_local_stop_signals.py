"""What a signal does to the stack's start."""

import os
import signal

import pytest

from local.stop_signals import Interrupted, StopSignals


class _Ended(BaseException):
    """The process would be gone."""


def test_the_first_signal_stops_at_the_next_check_and_the_second_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        raise _Ended

    monkeypatch.setattr(os, "_exit", end)
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    signals = StopSignals()
    try:
        signals.install()
        signals.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            signals.check()
        assert codes == []
        with pytest.raises(_Ended):
            os.kill(os.getpid(), signal.SIGINT)
        assert codes == [128 + signal.SIGINT]
    finally:
        for number, handler in before:
            signal.signal(number, handler)
