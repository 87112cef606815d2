"""Every sentence in the code has its translation in every catalogue, and none has more."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from shared import i18n

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted(i18n.LOCALE.glob("*.po"))
every_catalogue = pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)


@cache
def catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.stem)


def forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def entries(path: Path) -> Iterator[Message]:
    return (entry for entry in catalogue(path) if entry.id)


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@cache
def in_the_code() -> frozenset[tuple[str, ...]]:
    keywords = {"_": None, "_n": (1, 2), "sentence": None}
    found = (
        message
        for folder in ("cli", "functions", "local", "shared")
        for _, _, message, _, _ in extract_from_dir(ROOT / folder, [("**.py", "python")], keywords=keywords)
    )
    return frozenset(forms(each) for each in found)


def in_the_syntax_tree() -> set[str]:
    """Every sentence that is marked, also where Babel's extractor misses it: in an f-string, in another call."""
    return {
        argument.value
        for folder in ("cli", "functions", "local", "shared")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"_", "_n", "sentence"}
        for argument in node.args[:2]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_the_extractor_finds_every_sentence() -> None:
    assert in_the_syntax_tree() - {form for forms_ in in_the_code() for form in forms_} == set()


def test_there_is_a_french_catalogue() -> None:
    assert "fr" in i18n.languages()


@every_catalogue
def test_a_catalogue_has_what_the_code_says_and_nothing_else(path: Path) -> None:
    held = {forms(entry.id) for entry in entries(path)}
    assert held == in_the_code(), "run `make messages`, then translate what is new"
    assert not catalogue(path).obsolete


@every_catalogue
def test_every_entry_is_translated_for_certain(path: Path) -> None:
    assert [entry.id for entry in entries(path) if entry.fuzzy or not all(forms(entry.string))] == []


@every_catalogue
def test_every_plural_form_is_there(path: Path) -> None:
    wanted = catalogue(path).num_plurals
    assert [entry.id for entry in entries(path) if entry.pluralizable and len(forms(entry.string)) != wanted] == []


@every_catalogue
def test_a_translation_has_the_placeholders_of_its_sentence(path: Path) -> None:
    unlike = [
        (entry.id, said)
        for entry in entries(path)
        for said in forms(entry.string)
        if names(said) != set().union(*map(names, forms(entry.id)))
    ]
    assert unlike == []


@every_catalogue
def test_a_placeholder_has_a_name(path: Path) -> None:
    assert [e.id for e in entries(path) for name in names(forms(e.id)[0]) if not name.isidentifier()] == []


_CODE = re.compile(r"`[^`]*`")
# A typewriter's spaces are made no-break ones when a message is said; where there is none, none is made.
_WRONG_IN_FRENCH = re.compile(r"""[^\s:/{][;!?»](?=\s|$)|[^\s/{]:(?=\s)|«\S|\s[.,](?=\s|$)|\.\.\.|"|\s'|'\s""")


def test_french_is_set_as_the_french_print_it() -> None:
    french = next(path for path in CATALOGUES if path.stem == "fr")
    every = (said for entry in entries(french) for said in forms(entry.string))
    assert [said for said in every if _WRONG_IN_FRENCH.search(_CODE.sub("code", said))] == []


def test_the_webhook_loads_no_catalogue() -> None:
    code = "import sys, functions.webhook.app; sys.exit('gettext' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
