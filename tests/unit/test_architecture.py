"""Who may import whom, and how large a thing may grow."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "shared": {"shared"},
    "functions": {"functions", "shared"},
    "cli": {"cli", "shared"},
    "local": {"local", "functions", "shared"},
}
CODE = [
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *(f"{top}/*.py" for top in MAY_IMPORT)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    if (ROOT / name).exists()
]


def imported(path: Path) -> set[str]:
    """The dotted names that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_there_is_code_to_look_at() -> None:
    assert {path.parts[0] for path in CODE} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", CODE, ids=str)
def test_imports_only_point_down(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imported(path)}
    assert tops & {*MAY_IMPORT, "tests", "bench"} <= MAY_IMPORT[path.parts[0]]


@pytest.mark.parametrize("path", [path for path in CODE if path.parts[0] == "functions"], ids=str)
def test_no_function_imports_another(path: Path) -> None:
    others = {".".join(name.split(".")[:2]) for name in imported(path) if name.startswith("functions.")}
    assert others <= {".".join(path.parts[:2])}


@pytest.mark.parametrize("path", CODE, ids=str)
def test_modules_say_why_they_exist_and_stay_small(path: Path) -> None:
    text = (ROOT / path).read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert text.count("\n") <= 200
    assert len(path.parts) <= 3
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # Its signature does not count: a command's options are its documentation.
            assert (node.end_lineno or 0) - node.body[0].lineno < 30, node.name


@pytest.mark.parametrize("function", ["create_session", "nightly_audit", "webhook"])
def test_importing_a_function_makes_no_client_and_reads_no_setting(function: str) -> None:
    """`boto3.client` and the settings are only reached when an event comes."""
    source = (ROOT / "functions" / function / "app.py").read_text()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr):
            assert "client(" not in ast.unparse(node)
            assert "from_environment()" not in ast.unparse(node)
