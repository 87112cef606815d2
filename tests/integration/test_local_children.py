"""The stack's other processes: none outlives us, and one that ends is named."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from local.processes import Children, NotRunning, responds
from local.stop_signals import StopSignals
from tests.end_to_end.stack_fixture import free_port, is_free


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def test_a_child_runs_until_the_block_is_left() -> None:
    port = free_port()
    with Children(StopSignals()) as children:
        children.start("The web server", "http.server", str(port), "--bind", "127.0.0.1")
        children.wait_until("The web server", lambda: responds(f"http://127.0.0.1:{port}/"), timeout=60)
        children.check()
    assert is_free(port)


def test_a_child_that_ends_is_named_with_its_exit_code() -> None:
    with Children(StopSignals()) as children:
        children.start("The short one", "local.nowhere")
        with pytest.raises(NotRunning, match=r"The short one ended unexpectedly \(exit code 1\)"):
            children.wait_until("The short one", lambda: False, timeout=60)


def test_a_child_that_never_is_ready_is_named() -> None:
    with Children(StopSignals()) as children:
        children.start("The web server", "http.server", str(free_port()), "--bind", "127.0.0.1")
        with pytest.raises(NotRunning, match=r"The web server was not ready within 0\.2 s"):
            children.wait_until("The web server", lambda: False, timeout=0.2)


def test_a_child_ends_even_where_its_parent_is_killed() -> None:
    port = free_port()
    program = (
        "import os, time; from local.processes import Children, responds; "
        "from local.stop_signals import StopSignals; children = Children(StopSignals()); "
        f"children.start('x', 'http.server', '{port}', '--bind', '127.0.0.1'); "
        f"children.wait_until('x', lambda: responds('http://127.0.0.1:{port}/')); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ, timeout=60)
    assert eventually(lambda: is_free(port))
