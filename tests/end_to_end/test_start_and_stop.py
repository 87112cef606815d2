"""How the stack starts and stops: by a signal at any moment, and with wrong options."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pytest
import requests

from tests.end_to_end.stack_fixture import HAS_PROC, PATIENCE_SECONDS, ROOT, RunningStack, is_free


def is_gone(pid: int) -> bool:
    """Whether a process has ended, within a few seconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - read often
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def wait_until_it_says(stack: RunningStack, words: str) -> None:
    deadline = time.monotonic() + 180
    while words not in stack.said:
        assert stack.process.poll() is None, stack.said
        assert time.monotonic() < deadline, stack.said
        time.sleep(0.02)


@pytest.mark.skipif(not HAS_PROC, reason="the children are found in /proc")
@pytest.mark.parametrize(
    ("number", "words", "seconds"),
    [
        (signal.SIGINT, "Starting", 0.0),
        (signal.SIGTERM, "Starting", 0.6),
        (signal.SIGINT, "Creating", 0.0),
        (signal.SIGTERM, "Creating", 0.8),
    ],
)
def test_a_signal_during_the_start_ends_everything(number: int, words: str, seconds: float) -> None:
    stack = RunningStack.start()
    wait_until_it_says(stack, words)
    time.sleep(seconds)
    children = stack.descendants()
    stack.process.send_signal(number)
    assert stack.wait_for_end() == 0
    assert stack.said.endswith("Stopped.\n")
    assert "Traceback" not in stack.said
    assert all(is_gone(child) for child in children)
    assert all(is_free(port) for port in stack.ports)


@pytest.mark.skipif(not HAS_PROC, reason="the children are found in /proc")
def test_a_second_ctrl_c_ends_it_at_once() -> None:
    stack = RunningStack.start()
    wait_until_it_says(stack, "Creating")
    children = stack.descendants()
    stack.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    stack.process.send_signal(signal.SIGINT)
    assert stack.wait_for_end(10) in {128 + signal.SIGINT, 0}
    assert all(is_gone(child) for child in children)


# Seconds after the start: imports, the children's start, the resources, the demo's history, and the moment it is ready.
MOMENTS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 3.7, 4.5, 5.5, 7.0, 9.0)


def becomes_free(port: int) -> bool:
    """Whether nothing listens at a port, within a few seconds: a child that had just been started ends by itself."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def stopped_at(seconds: float, *, twice: bool) -> str:
    """Start the stack, interrupt it at that moment, and return what is wrong about its end."""
    stack = RunningStack.start()
    time.sleep(seconds)
    children = stack.descendants()
    stack.process.send_signal(signal.SIGINT)
    if twice:
        time.sleep(0.3)
        if stack.process.poll() is None:
            stack.process.send_signal(signal.SIGINT)
    try:
        code = stack.wait_for_end()
    except subprocess.TimeoutExpired:
        stack.process.kill()
        return f"{seconds} s: it hangs, and has said {stack.said}"
    left = [child for child in children if not is_gone(child)]
    busy = [port for port in stack.ports if not becomes_free(port)]
    # Before Python has come to the program's first lines, its own handling of Ctrl-C ends it, with a stack trace.
    handled = "Stopping" in stack.said
    is_right = not handled or (code in {0, 128 + signal.SIGINT} and "Traceback" not in stack.said)
    return "" if is_right and not (left or busy) else f"{seconds} s: {code} {left} {busy} {stack.said}"


@pytest.mark.skipif(not HAS_PROC, reason="the children are found in /proc")
def test_ctrl_c_ends_everything_at_twenty_moments_of_the_start() -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(stopped_at, moment, twice=number % 2 == 1) for number, moment in enumerate(MOMENTS)]
    assert [problem for run in runs if (problem := run.result())] == []


@dataclass(frozen=True, slots=True)
class Started:
    """A stack that is ready, and the statuses with which its site answered until then."""

    stack: RunningStack
    statuses: frozenset[int]


@pytest.fixture(scope="module")
def started() -> Iterator[Started]:
    stack, statuses = RunningStack.start(), set[int]()
    try:
        while "Clock" not in stack.said:
            assert stack.process.poll() is None, stack.said
            with suppress(requests.ConnectionError):
                statuses.add(requests.get(stack.url, timeout=60).status_code)
            time.sleep(0.1)
        yield Started(stack, frozenset(statuses))
    finally:
        stack.stop()


def test_the_site_answers_only_once_it_is_ready(started: Started) -> None:
    assert 503 in started.statuses
    assert started.statuses <= {503, 200}
    assert "Luca Moretti" in requests.get(started.stack.url, timeout=60).text


# The last with this stack, which it ends.
@pytest.mark.skipif(not HAS_PROC, reason="the children are found in /proc")
def test_a_child_that_dies_takes_all_down_and_is_named(started: Started) -> None:
    stack = started.stack
    os.kill(stack.descendants()[0], signal.SIGKILL)
    assert stack.wait_for_end() == 1
    assert re.search(r"(The Stripe simulator|AWS \(moto\)) ended unexpectedly", stack.said)
    assert all(is_free(port) for port in stack.ports)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "70000"], "argument --port: '70000' is not a port: write a number from 1 to 65535"),
        (["--aws-port", "-1"], "argument --aws-port: '-1' is not a port: write a number from 1 to 65535"),
        (["--stripe-port", "8787"], "--port, --stripe-port and --aws-port must be different."),
        (["--parameter", "PauseAllowed"], "argument --parameter: 'PauseAllowed' is not a parameter: write NAME=VALUE"),
        (["--as-of", "soon"], "argument --as-of: 'soon' is not a date or time: write 2024-07-15 or 2024-07-15T08:30"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options: list[str], message: str) -> None:
    command = [sys.executable, "-m", "local", *options]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1] == f"python -m local: error: {message}"
