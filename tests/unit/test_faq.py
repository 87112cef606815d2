"""The questions and answers: each in two languages, and everything that is said to answer it exists."""

import re

import pytest

from tests.unit.test_docs import DOCS, ROOT, ROUTES, TEMPLATE, options

PAGE = DOCS["faq.md"]
QUESTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
COMMANDS = options()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
NAMED = [
    (question.partition(".")[0], name)
    for question in QUESTIONS
    for line in question.splitlines()
    if line.startswith("Here: ")
    for name in re.findall(r"`([^`]+)`", line)
]
SAID_OF_COMMANDS = sorted(set(re.findall(r"`(portal [^`]+)`", PAGE)))


def exists(name: str) -> bool:
    """Whether there is such a test, command, make target, route, parameter or output."""
    if name.startswith("tests/"):
        path, _, test = name.partition("::")
        return (ROOT / path).exists() and f"\ndef {test}(" in (ROOT / path).read_text()
    if name.startswith("portal "):
        _, command, *given = name.split()
        return set(given) <= COMMANDS.get(f"portal {command}", set()) and f"portal {command}" in COMMANDS
    if name.startswith("make "):
        return name.removeprefix("make ") in TARGETS
    return name in ROUTES or name in TEMPLATE["Parameters"] or name in TEMPLATE["Outputs"]


def test_there_are_the_pages_nineteen_questions() -> None:
    assert [question.partition(".")[0] for question in QUESTIONS] == [str(number) for number in range(1, 20)]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.partition(".")[0])
def test_each_is_answered_in_english_in_french_and_by_something_here(question: str) -> None:
    title, english, *rest = question.strip().split("\n\n")
    french, here = rest
    assert " · " in title
    assert not english.startswith(">")
    assert all(line.startswith(">") for line in french.splitlines())
    assert here.startswith("Here: `")
    assert re.search(r"[éèàêîçù]| le | la | les ", french)


@pytest.mark.parametrize(("question", "name"), NAMED, ids=lambda each: each[:40])
def test_what_is_said_to_answer_it_exists(question: str, name: str) -> None:
    assert exists(name), f"question {question}"


@pytest.mark.parametrize("name", SAID_OF_COMMANDS)
def test_every_command_in_the_text_exists(name: str) -> None:
    assert exists(name)


@pytest.mark.parametrize(
    "name", ["tests/unit/test_faq.py::test_nothing", "portal dance", "portal link --dance", "GET /x"]
)
def test_what_does_not_exist_is_found_out(name: str) -> None:
    assert not exists(name)
