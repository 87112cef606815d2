"""Who may import whom."""

import ast
import os
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.conftest import EXHAUSTIVE

ROOT = Path(__file__).parents[2]

# A room's own modules are always allowed. The longest prefix of a module's name is its room.
ROOMS = {
    "cli": {"shared"},
    "functions": set(),
    "functions.access": {"shared"},
    "functions.access_changes": {"shared"},
    "functions.create_session": {"shared"},
    "functions.nightly_audit": {"shared"},
    "functions.pause": {"shared"},
    "functions.webhook": {"shared"},
    "local": {"functions", "shared"},
    "local.stripe_simulator": set(),
    "shared": set(),
    "shared.access": {"shared", "shared.mirror", "shared.stripe"},
    "shared.access_comparison": {"shared", "shared.access", "shared.mirror", "shared.stripe"},
    "shared.audit": {
        "shared",
        "shared.access",
        "shared.access_comparison",
        "shared.mirror",
        "shared.pausing",
        "shared.portal",
        "shared.stripe",
    },
    "shared.identity": {"shared", "shared.stripe"},
    "shared.mirror": {"shared", "shared.stripe"},
    "shared.pausing": {"shared", "shared.portal", "shared.stripe"},
    "shared.portal": {"shared", "shared.stripe"},
    "shared.stripe": {"shared"},
}
# `shared` means the modules that lie in no room of it, unless every room of it is allowed.
WHOLE = {
    "cli",
    "functions.access",
    "functions.access_changes",
    "functions.create_session",
    "functions.nightly_audit",
    "functions.pause",
    "functions.webhook",
    "local",
}

# What a cold start may load of `shared`, beside its base layer.
COLD = {
    "functions.access": {"shared.mirror", "shared.stripe"},
    "functions.access_changes": {"shared.mirror", "shared.stripe"},
    "functions.webhook": {"shared.stripe", "shared.mirror"},
    "functions.create_session": {
        "shared.stripe.gateway",
        "shared.stripe.subscription",
        "shared.stripe.subscription_read",
        "shared.portal.which_configuration",
    },
}

LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
).stdout.split()
MODULES = {
    name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): ast.parse((ROOT / name).read_text())
    for name in LISTED
    if name.split("/")[0] in {"cli", "functions", "local", "shared"} and (ROOT / name).exists()
}


def imports_of(tree: ast.Module) -> set[str]:
    """The modules of this project that a module imports, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else str(node.module))
    return {name for name in found if name.split(".")[0] in {"bench", "cli", "functions", "local", "shared", "tests"}}


IMPORTS = {name: imports_of(tree) for name, tree in MODULES.items()}


def room_of(module: str) -> str:
    """The longest name in the table that contains the module."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len, default="")


def is_allowed(module: str, imported: str) -> bool:
    room, other = room_of(module), room_of(imported)
    if room == other:
        return True
    allowed = ROOMS[room]
    return other in allowed or (room in WHOLE and other.split(".")[0] in allowed)


def test_every_folder_is_looked_at() -> None:
    assert {name.split(".")[0] for name in MODULES} == {"cli", "functions", "local", "shared"}
    assert set(ROOMS) <= set(MODULES)


def test_imports_follow_the_table() -> None:
    offenders = [
        f"{module} imports {imported}"
        for module, found in IMPORTS.items()
        for imported in sorted(found)
        if not is_allowed(module, imported)
    ]
    assert offenders == []


def test_no_module_imports_itself_through_others() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(error.args[1])) from None


def test_a_cold_start_loads_no_more_than_its_table_says() -> None:
    offenders = []
    for function, allowed in COLD.items():
        reached: set[str] = set()
        waiting = [name for name in MODULES if name.startswith(f"{function}.") and not name.endswith(".openapi")]
        while waiting:
            module = waiting.pop()
            if module not in reached:
                reached.add(module)
                waiting += IMPORTS.get(module, set())
        offenders += [
            f"{function} loads {module}"
            for module in sorted(reached)
            if len(module.split(".")) > 2
            and module.startswith("shared.")
            and not any(f"{module}.".startswith(f"{each}.") for each in allowed)
        ]
    assert offenders == []


def test_ci_runs_what_make_test_leaves_out() -> None:
    for file, _, name in (each.partition("::") for each in EXHAUSTIVE):
        assert (ROOT / file).exists(), file
        assert not name or f"def {name}" in (ROOT / file).read_text(), name
    # Not what a make that runs the tests hands on to others.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "ARGS"))}
    plan = subprocess.check_output(["make", "--dry-run", "check"], cwd=ROOT, env=environment, text=True)
    assert "-m pytest --numprocesses auto\n" in plan


def test_every_module_says_why_it_exists() -> None:
    assert [name for name, tree in MODULES.items() if not ast.get_docstring(tree)] == []


# Nobody waits for their single requests.
WITHOUT_DEADLINE = {"access_changes", "nightly_audit"}


def test_a_function_that_somebody_waits_for_keeps_to_one_deadline() -> None:
    """Its entrance sets the deadline, and none of its clients of AWS can outlast it; Stripe's client never can."""
    functions = {name.split(".")[1] for name in MODULES if name.startswith("functions.")} - WITHOUT_DEADLINE
    assert [each for each in functions if "shared.deadline.deadline" not in from_imports(f"functions.{each}.app")] == []
    unbounded = [
        f"{name}:{node.lineno}"
        for name, tree in MODULES.items()
        if name.startswith("functions.") and name.split(".")[1] not in WITHOUT_DEADLINE
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "boto3.client" and node not in bounded_clients(tree)
    ]
    assert unbounded == []


def from_imports(module: str) -> set[str]:
    """The names that a module imports, with the modules that they come from."""
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def bounded_clients(tree: ast.Module) -> list[ast.expr]:
    """The arguments of `within_deadline`."""
    return [
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "within_deadline"
        for argument in node.args
    ]


def test_importing_a_function_makes_no_client_and_reads_no_setting() -> None:
    """`boto3.client` and the settings are only reached when an event comes."""
    offenders = [
        f"{name}:{node.lineno}"
        for name, tree in MODULES.items()
        if name.startswith("functions.")
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr)
        and ("client(" in ast.unparse(node) or "from_environment()" in ast.unparse(node))
    ]
    assert offenders == []
