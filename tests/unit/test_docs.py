"""What the docs do not name, a stranger cannot use."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from cli.main import app
from functions.create_session.app import PortalMetric
from functions.nightly_audit.app import AuditMetric
from functions.webhook.receive import metric_of
from local.aws.intrinsics import TemplateLoader
from shared.errors import InvalidRequest, Unavailable
from shared.mirror.intake import Ignored
from shared.mirror.rule import Outcome

ROOT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
ALL = "\n".join(DOCS.values())
TEMPLATE: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), TemplateLoader)
RESOURCES = TEMPLATE["Resources"].values()
ENVIRONMENT = {
    *TEMPLATE["Globals"]["Function"]["Environment"]["Variables"],
    *(
        name
        for resource in RESOURCES
        for name in resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
    ),
}
ROUTES = [resource["Properties"]["RouteKey"] for resource in RESOURCES if resource["Type"].endswith("V2::Route")]
WEBHOOK_RESULTS = [*Outcome, *Ignored, "dead_letter", InvalidRequest("a", "b"), Unavailable("a", "b")]
METRICS = {*map(metric_of, WEBHOOK_RESULTS), *PortalMetric, *AuditMetric}
SOURCES = "\n".join(path.read_text() for top in ("functions", "shared") for path in (ROOT / top).rglob("*.py"))
CODES = set(
    re.findall(
        r'(?:InvalidRequest|Unauthenticated|Forbidden|OperatorError|Unavailable|UnreadableEvent)\(\s*f?"([a-z_{}]+)"',
        SOURCES,
    )
)


def options() -> dict[str, set[str]]:
    """Each command with the names of its options."""
    root = typer.main.get_group(app)
    every = {"portal": root} | {f"portal {name}": command for name, command in root.commands.items()}
    return {
        name: {option for parameter in command.params if parameter.name != "help" for option in parameter.opts}
        for name, command in every.items()
    }


@pytest.mark.parametrize("name", [*TEMPLATE["Parameters"], *TEMPLATE["Outputs"], *ENVIRONMENT])
def test_every_parameter_setting_and_output_is_explained(name: str) -> None:
    assert f"`{name}`" in DOCS["deploy.md"]


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_is_explained(route: str) -> None:
    assert f"`{route}`" in DOCS["portal-link.md"]


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_every_metric_is_explained(metric: str) -> None:
    assert f"`{metric}`" in DOCS["operations.md"]


def test_no_metric_is_counted_under_a_name_of_its_own() -> None:
    assert not re.findall(r'add_metric\(\s*f?"', SOURCES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_error_code_is_explained(code: str) -> None:
    explained = {"other_{name}": "other_flow"}.get(code, code)
    assert f"`{explained}`" in ALL


@pytest.mark.parametrize("command", options())
def test_every_command_and_option_is_explained(command: str) -> None:
    assert command in ALL
    assert [option for option in options()[command] if option.startswith("--") and f"`{option}" not in ALL] == []


def test_every_make_target_is_in_the_readme_or_the_docs() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = ALL + (ROOT / "README.md").read_text()
    assert [target for target in targets if target != "help" and f"make {target}" not in text] == []


@pytest.mark.parametrize("page", [*DOCS, "../README.md"])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / "docs" / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_page_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [page for page in DOCS if f"docs/{page}" not in readme] == []


def test_the_readme_is_one_screen() -> None:
    assert (ROOT / "README.md").read_text().count("\n") <= 70


def test_nothing_names_a_path_of_somebodys_machine() -> None:
    for text in (ALL, (ROOT / "README.md").read_text(), SOURCES):
        assert not re.search(r"/(home|root|Users|work)/\w", text)
