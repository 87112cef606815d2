"""Pytest fixtures: `pytest_plugins = ["local.stripe_simulator.pytest_plugin"]` in a `conftest.py`."""

from collections.abc import Iterator

import pytest

from local.stripe_simulator.testing import RunningSimulator, Server


@pytest.fixture(scope="session")
def stripe_simulator_server() -> Iterator[Server]:
    """A server that tests may start simulators of their own options on."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def stripe_simulator(stripe_simulator_server: Server) -> Iterator[RunningSimulator]:
    """A new simulator for each test."""
    with stripe_simulator_server.simulator() as running:
        yield running
