"""A made-up language, whose catalogue puts each sentence between brackets, and an accent on each letter."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from shared import i18n

PSEUDO = "xx"
_ACCENTS = str.maketrans("aeiouyncAEIOUYNC", "àéîöûÿñçÀÉÎÖÛŸÑÇ")
OPENING, CLOSING = "\u27e6", "\u27e7"


def pseudo(text: str) -> str:
    """The sentence as the made-up language has it; what has no words, such as the form of a number, stays as it is."""
    parts = list(Formatter().parse(text))
    if not any(re.search("[A-Za-z]", literal) for literal, *_ in parts):
        return text
    said = ""
    for literal, name, form, _ in parts:
        said += literal.translate(_ACCENTS).replace("{", "{{").replace("}", "}}")
        if name is not None:
            said += f"{{{name}:{form}}}" if form else f"{{{name}}}"
    return f"{OPENING}{said}{CLOSING}"


@contextmanager
def third_language(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have its one file, made of the messages in the French one, in place of the catalogues."""
    with (i18n.LOCALE / "fr.po").open("rb") as file:
        known = read_po(file, locale="fr")
    made = Catalog(locale="en")  # whose plurals it has
    for entry in known:
        if entry.id:
            many = isinstance(entry.id, tuple)
            made.add(entry.id, tuple(map(pseudo, entry.id)) if many else pseudo(str(entry.id)))
    with (folder / f"{PSEUDO}.po").open("wb") as file:
        write_po(file, made)
    with (folder / f"{PSEUDO}.mo").open("wb") as file:
        write_mo(file, made)
    monkeypatch.setattr(i18n, "LOCALE", folder)
    for cached in (i18n._catalogue, i18n._separators):
        cached.cache_clear()
    yield
    for cached in (i18n._catalogue, i18n._separators):
        cached.cache_clear()


# What no language changes: addresses, ids, Stripe's own words, names of files and zones.
_DATA = re.compile(
    r"https?://\S+|s3://\S+|\S+@\S+|\b(sub|cus|bpc|we|evt|price|prod|si)_\w+"
    r"|Europe/Paris|UTC|EUR|USD|JPY|CHF|GBP|SEK|KWD|CSV|CI|Northwind|visa"
)


def untranslated(text: str) -> list[str]:
    """Return the words outside brackets that are no data."""
    while (inner := re.sub(f"{OPENING}[^{OPENING}{CLOSING}]*{CLOSING}", " ", text)) != text:
        text = inner
    return re.findall(r"[^\W\d_]{3,}", _DATA.sub(" ", text), re.UNICODE)
