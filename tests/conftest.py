"""What every test stands on: no account, no region of the machine's own, no network but this machine's."""

import os
import subprocess
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Powertools reads it when a function's module is imported, as it would be in Lambda's init phase.
os.environ["POWERTOOLS_METRICS_NAMESPACE"] = "StripePortal"

# Catalogues that are older than their sources are refused. One process compiles them, before it starts any other, and
# before mutmut copies them.
if not {"PYTEST_XDIST_WORKER", "MUTANT_UNDER_TEST"} & os.environ.keys():
    subprocess.run(["make", "--silent", "catalogues"], cwd=Path(__file__).parents[1], check=True)

# A busy machine is no failure of the code. Each run of a commit tries the same examples, so Hypothesis must not add the
# constants of whatever modules are imported; `--hypothesis-profile=search` tries others.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")
patch.object(providers, "_get_local_constants", Constants).start()

pytest_plugins = ["tests.integration.dynamodb_fixtures", "tests.integration.simulator_fixtures"]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "STRIPE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


# What `make test` leaves to `make test-all`, which CI runs: browsers, artifacts, whole stacks beside that of the walk,
# and tests that try everything: each command, each thing that can be broken, each moment of a crash.
EXHAUSTIVE = (
    "tests/browser/",
    "tests/contract/",
    "tests/package/",
    "tests/end_to_end/test_control_room.py",
    "tests/end_to_end/test_dead_ends.py",
    "tests/end_to_end/test_docs_commands.py",
    "tests/end_to_end/test_setup_commands.py",
    "tests/end_to_end/test_sign_in.py",
    "tests/end_to_end/test_start_and_stop.py",
    "tests/end_to_end/test_test_account.py",
    "tests/end_to_end/test_walk.py::test_today_a_customer_pauses_and_another_cancels",
    "tests/integration/test_access_changes.py::test_a_crash_at_any_step_loses_nothing",
    "tests/integration/test_access_changes.py::test_the_items_of_every_shard_are_found",
    "tests/integration/test_alarm_drill.py",
    "tests/integration/test_audit_costs.py",
    "tests/integration/test_audit_killed.py",
    "tests/integration/test_audit_night.py::test_a_night_on_which_one_list_cannot_be_read",
    "tests/integration/test_audit_night.py::test_a_list_of_last_night_that_is_lost",
    "tests/integration/test_audit_night.py::test_what_stripe_refuses_for_now_only_slows_it_down",
    "tests/integration/test_audit_night.py::test_whatever_the_schedule_sends",
    "tests/integration/test_audit_spreadsheet.py",
    "tests/integration/test_command_language.py",
    "tests/integration/test_command_permissions.py",
    "tests/integration/test_concurrency.py",
    "tests/integration/test_connect_command.py::test_killed_after_any_call",
    "tests/integration/test_doctor_command.py::test_what_is_broken_is_named",
    "tests/integration/test_openapi.py",
    "tests/integration/test_pause_function.py::test_no_date_and_no_state_of_a_subscription",
    "tests/integration/test_pause_refusals.py::test_the_page_gives_each_reason",
    "tests/integration/test_pausing.py::test_whatever_a_crash_interrupts",
    "tests/integration/test_pausing_conversion.py::test_whatever_a_crash_interrupts",
    "tests/integration/test_pausing_conversion.py::test_whichever_way_stripe_answers",
    "tests/integration/test_pausing_kills.py",
    "tests/integration/test_rotate_command.py::test_a_rotation_killed_anywhere",
    "tests/integration/test_simulator_alone.py::test_a_file_that_it_cannot_use",
    "tests/integration/test_slow_dependencies.py",
    "tests/integration/test_strangers.py::test_no_stranger_gets_a_fault",
    "tests/unit/test_pseudo_locale.py",
    "tests/unit/test_simulator_fuzz.py",
    "tests/unit/test_simulator_probes.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is exhaustive, before pytest selects by marks."""
    for item in items:
        if item.nodeid.startswith(EXHAUSTIVE):
            item.add_marker(pytest.mark.exhaustive)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """A module's tests run in one process, and so do all that share the browser; the slow folders come first."""
    config.option.loadscopereorder = False
    return _ModuleByModule(config, log)


class _ModuleByModule(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "tests/browser" if module.startswith("tests/browser/") else module


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured: `record_property("figures", ...)`, from whichever process."""
    measured = [
        figures
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for name, figures in report.user_properties
        if name == "figures"
    ]
    if measured:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(measured))
