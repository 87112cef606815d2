"""The docs name everything a user can set, call, measure or meet, and their links work."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer.main
import yaml

from cli.main import app
from functions.access.app import AccessMetric
from functions.access_changes.app import AccessChangeMetric
from functions.create_session.app import PortalMetric
from functions.nightly_audit.app import AuditMetric
from functions.pause.app import PauseMetric
from functions.webhook.receive import LAG, RETRIED, metric_of
from local.aws.intrinsics import TemplateLoader
from shared.errors import CATALOGUE, InvalidRequest, Unavailable
from shared.mirror.intake import Ignored
from shared.mirror.rule import Outcome
from shared.secret_store import SECRET_KEPT
from tests import costs

ROOT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").rglob("*.md") if path.name != "README.md"}
ALL = "\n".join(DOCS.values())
INDEX = ROOT / "docs" / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
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
WEBHOOK_RESULTS = [
    *Outcome,
    *Ignored,
    "dead_letter",
    InvalidRequest("bad_signature", ""),
    Unavailable("mirror_unavailable", ""),
]
METRICS = {
    *map(metric_of, WEBHOOK_RESULTS),
    *PortalMetric,
    *AccessChangeMetric,
    *AccessMetric,
    *AuditMetric,
    *PauseMetric,
    SECRET_KEPT,
    LAG,
    RETRIED,
    *(entry.metric for entry in CATALOGUE.values() if entry.metric),
}
SOURCES = "\n".join(path.read_text() for top in ("functions", "shared") for path in (ROOT / top).rglob("*.py"))

TARGETS = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def options() -> dict[str, set[str]]:
    """Each command with the names of its options."""
    root = typer.main.get_group(app)
    every = {"portal": root} | {f"portal {name}": command for name, command in root.commands.items()}
    return {
        name: {option for parameter in command.params if parameter.name != "help" for option in parameter.opts}
        for name, command in every.items()
    }


def undocumented(names: Iterable[str], text: str) -> list[str]:
    """The names that the text does not show as code."""
    return sorted({name for name in names if f"`{name}`" not in text})


def linked(page: Path) -> set[Path]:
    """The files of this project that a page links to."""
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    return {(page.parent / target).resolve() for target in targets}


def test_every_parameter_setting_and_output_is_documented() -> None:
    assert undocumented([*TEMPLATE["Parameters"], *TEMPLATE["Outputs"], *ENVIRONMENT], DOCS["settings.md"]) == []


def test_every_route_is_documented() -> None:
    assert undocumented(ROUTES, DOCS["portal-link.md"] + DOCS["access.md"] + DOCS["pause.md"]) == []


def test_every_metric_is_documented() -> None:
    assert undocumented(METRICS, DOCS["operations.md"]) == []


def test_every_metric_is_counted_by_a_named_constant() -> None:
    assert re.findall(r'add_metric\(\s*f?"', SOURCES) == []


def test_every_error_code_is_documented() -> None:
    assert undocumented((entry.code for entry in CATALOGUE.values() if entry.explanation), ALL) == []


def test_every_command_and_option_is_documented() -> None:
    commands = options()
    assert sorted(command for command in commands if command not in ALL) == []
    assert [
        f"{command} {option}"
        for command, names in commands.items()
        for option in sorted(names)
        if option.startswith("--") and f"`{option}" not in ALL
    ] == []


def test_every_make_target_is_documented() -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert [target for target in TARGETS if target != "help" and f"make {target}" not in text] == []


def test_every_link_leads_to_a_file() -> None:
    assert [
        f"{page.relative_to(ROOT)}: {target}" for page in PAGES for target in linked(page) if not target.exists()
    ] == []


def test_every_anchor_exists() -> None:
    missing = []
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text()):
            path = (page.parent / target).resolve() if target else page
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            if anchor not in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}:
                missing.append(f"{page.relative_to(ROOT)}: {target}#{anchor}")
    assert missing == []


def test_every_page_can_be_reached_from_the_index() -> None:
    reached, waiting = set(), [INDEX]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        waiting += [target for target in linked(page) - reached if target.suffix == ".md" and target.exists()]
    assert [str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md") if page not in reached] == []
    assert INDEX in linked(ROOT / "README.md")


def test_the_readme_is_one_screen() -> None:
    assert (ROOT / "README.md").read_text().count("\n") <= 70


def test_no_text_contains_a_path_of_one_machine() -> None:
    texts = {page.name: page.read_text() for page in PAGES} | {"sources": SOURCES}
    assert [name for name, text in texts.items() if re.search(r"/(home|root|Users|work)/\w", text)] == []


def test_both_languages_have_the_same_questions_commands_and_proofs() -> None:
    pages = [DOCS["faq.en.md"], DOCS["faq.fr.md"]]
    english, french = (re.findall(r"^## (\d+)\.", page, re.MULTILINE) for page in pages)
    assert english == french == [str(number) for number in range(1, 20)]
    commands = [re.findall(r"^\$ (\w+ \w+)", page, re.MULTILINE) for page in pages]
    assert commands[0] == commands[1]
    settings = [sorted(set(re.findall(r"`([A-Z]\w+)`", page))) for page in pages]
    assert settings[0] == settings[1]
    footnotes = [re.findall(r"^\[\^\d+\]: .*", page, re.MULTILINE) for page in pages]
    assert footnotes[0] == footnotes[1]


def test_every_test_and_setting_that_the_questions_name_exists() -> None:
    page = DOCS["faq.en.md"]
    tests = re.findall(r"`(tests/[\w/.]+)::(\w+)`", page)
    assert len(tests) == len(re.findall(r"^## ", page, re.MULTILINE))
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    missing = [f"{path}::{name}" for path, name in tests if f"def {name}(" not in sources.get(path, "")]
    settings = set(re.findall(r"`([A-Z][a-zA-Z]+)`", page)) - {*TEMPLATE["Parameters"], *TEMPLATE["Outputs"]}
    assert missing + sorted(settings) == []


def test_the_costs_are_those_of_the_counts_the_prices_and_the_alarms() -> None:
    assert costs.DOC.read_text() == costs.with_tables(costs.DOC.read_text()), "run `make reference`"
