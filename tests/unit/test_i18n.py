"""A message is said in any language that has a catalogue, with its values as that language writes them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from unittest.mock import Mock, patch

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared import i18n
from shared.i18n import (
    NOTHING,
    Message,
    Value,
    _,
    _n,
    best_language,
    listed,
    preferred,
    say,
    sentences,
    signed,
    verbatim,
)

THIN, HARD = i18n.NARROW_NO_BREAK_SPACE, i18n.NO_BREAK_SPACE


@pytest.fixture
def locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of catalogues of its own."""
    monkeypatch.setattr(i18n, "LOCALE", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    i18n._catalogue.cache_clear()
    i18n._separators.cache_clear()
    i18n._template.cache_clear()


@pytest.mark.parametrize(
    ("value", "english", "french"),
    [
        (date(2024, 7, 15), "15 July 2024", "15 juillet 2024"),
        (date(2024, 8, 1), "1 August 2024", "1er août 2024"),
        (time(7, 5), "07:05", f"7{HARD}h{HARD}05"),
        (time(18), "18:00", f"18{HARD}h"),
        (datetime(2024, 12, 31, 9, 30), "31 December 2024 at 09:30", f"31 décembre 2024 à 9{HARD}h{HARD}30"),  # noqa: DTZ001
        (999, "999", "999"),
        (1234567, "1,234,567", f"1{THIN}234{THIN}567"),
        (Decimal("1234.50"), "1,234.50", f"1{THIN}234,50"),
        (Decimal("0.001"), "0.001", "0,001"),
        (listed(("a", 2000)), "a, 2,000", f"a, 2{THIN}000"),
        (verbatim("it's: {so}?"), "it's: {so}?", "it's: {so}?"),
        (signed(-2, 2), "\u22122", "\u22122"),
        (signed(1000, 1000), "+1,000", f"+1{THIN}000"),
    ],
)
def test_values_are_written_as_a_language_writes_them(value: Value, english: str, french: str) -> None:
    assert (say(value, "en"), say(value, "fr")) == (english, french)


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        (
            "Rien n'est perdu : l'API dit « oui » ; sûr ? 50 % !",
            f"Rien n\u2019est perdu{HARD}: l\u2019API dit «{HARD}oui{HARD}»{THIN}; sûr{THIN}? 50{HARD}%{THIN}!",
        ),
        ("https://a.example:80/?a=b", "https://a.example:80/?a=b"),
        ("l'{what} : {what}", f"l\u2019it's : x?{HARD}: it's : x?"),
    ],
)
def test_french_is_printed_with_its_spaces_and_apostrophes(typed: str, printed: str) -> None:
    catalogue = Mock(gettext=lambda _: typed)
    with patch.object(i18n, "_catalogue", lambda _: catalogue):
        assert _("any", what="it's : x?").say("fr") == printed  # what a value brings stays as it is


def test_every_month_has_its_name() -> None:
    every = [say(date(2024, month, 2), "fr") for month in range(1, 13)]
    assert len(set(every)) == len({say(date(2024, month, 2), "en") for month in range(1, 13)}) == 12


def test_sentences_leave_no_trace_of_nothing() -> None:
    assert sentences(verbatim("a."), NOTHING, verbatim("b.")).say("en") == "a. b."
    assert listed([NOTHING, "", 0]).say("en") == "0"
    assert not sentences(NOTHING)
    assert not verbatim("")
    assert NOTHING.say("fr") == ""


def test_the_number_chooses_the_form_and_is_shown() -> None:
    def of(n: int) -> str:
        return _n("{n} night of {who}", "{n} nights of {who}", n, who="us").say("en")

    assert [of(0), of(1), of(2000)] == ["0 nights of us", "1 night of us", "2,000 nights of us"]


@dataclass(frozen=True)
class Kept:
    message: Message


@pytest.mark.parametrize(
    "message",
    [
        NOTHING,
        _("{day} at {time}", day=date(2024, 8, 1), time=time(7, 30)),
        sentences(_("January"), verbatim("{day}")),
        listed([Decimal("1.50"), 7, "seven", datetime(2024, 8, 1, 12)]),  # noqa: DTZ001
        _n("{n} night", "{n} nights", 2, inner=_("May")),
    ],
)
def test_a_kept_message_is_the_same_in_every_language(message: Message) -> None:
    adapter = TypeAdapter(Kept)
    again = adapter.validate_json(adapter.dump_json(Kept(message))).message
    assert again == message
    assert hash(again) == hash(message)


def test_what_is_no_message_is_not_read_as_one() -> None:
    for wrong in ({"text": "x"}, "7", '{"text": "x"}', '{"day": "2024-08-01"}', "no JSON"):
        with pytest.raises(ValidationError):
            TypeAdapter(Kept).validate_python({"message": wrong})


def test_a_catalogue_is_all_that_a_language_needs(locale: Path) -> None:
    (locale / "xx.po").write_text(
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n<5 ? 1 : 2);\\n"\n\n'
        'msgid "{n} night"\nmsgid_plural "{n} nights"\n'
        'msgstr[0] "one {n}"\nmsgstr[1] "few {n}"\nmsgstr[2] "many {n}"\n\n'
        'msgid "1,234.5"\nmsgstr "1234·5"\n\n'
        'msgid "May"\nmsgstr "mai-xx"\n\n'
        'msgid "{day} {month} {year}"\nmsgstr "{year}-{month}-{day}"\n',
        encoding="utf-8",
    )
    with (locale / "xx.po").open("rb") as source, (locale / "xx.mo").open("wb") as compiled:
        write_mo(compiled, read_po(source))
    assert i18n.languages() == ("en", "xx")
    assert best_language("fr", "de, xx;q=0.5") == "xx"
    assert [_n("{n} night", "{n} nights", n).say("xx") for n in (1, 2, 5000)] == ["one 1", "few 2", "many 5000"]
    assert say(Decimal("1234567.8"), "xx") == "1234567·8"
    assert say(date(2024, 5, 3), "xx") == "2024-mai-xx-3"


def test_without_its_catalogue_a_language_is_not_replaced_by_english(locale: Path) -> None:
    (locale / "xx.po").write_text("", encoding="utf-8")
    for refused in ("xx", "yy"):
        with pytest.raises(i18n.MissingCatalogueError, match="make catalogues"):
            _("May").say(refused)
    assert _("May").say("en") == "May"


def test_a_catalogue_older_than_its_source_is_refused(locale: Path) -> None:
    (locale / "xx.mo").write_bytes(b"")
    (locale / "xx.po").write_text("", encoding="utf-8")
    os.utime(locale / "xx.mo", (1, 1))
    with pytest.raises(i18n.MissingCatalogueError, match="older than"):
        _("May").say("xx")


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [((), "en"), ((None, ""), "en"), (("fr-CA",), "fr"), (("de", "fr;q=0.1"), "fr"), (("de, it",), "en")],
)
def test_english_is_for_those_whose_language_there_is_not(wishes: tuple[str | None, ...], expected: str) -> None:
    assert best_language(*wishes) == expected


# ------------------------------------------------------------------ `Accept-Language` picks among the languages on offe
TWO = ("en", "fr")
STRIPES = ("auto", "en", "en-GB", "fr", "fr-CA", "pt", "pt-BR", "zh", "zh-HK")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fr", "fr"),
        ("FR-fr", "fr"),
        ("fr-CA,fr;q=0.9,en;q=0.8", "fr"),
        ("en;q=0.8, fr;q=0.9", "fr"),
        ("en, fr", "en"),
        ("fr, en", "fr"),
        ("de, it;q=0.9, fr;q=0.1", "fr"),
        ("de", None),
        ("", None),
        (None, None),
        ("*", "en"),
        ("de, *;q=0.5", "en"),
        ("en;q=0, *", "fr"),
        ("en;q=0.1, *;q=0.9", "fr"),
        ("fr;q=0", None),
        ("fr;q=0, fr-CA", None),
        ("fr;q=0.0, en;q=0.001", "en"),
        ("fr ; q=0.5 , en ; q=0.6", "en"),
        ("fr;q=1.5, en;q=0.2", "en"),
        ("fr;q=high, en;q=0.2", "en"),
        ("fr;level=1, en;q=0.2", "en"),
        ("français, en;q=0.2", "en"),
        ("french, fr;q=0.1", "fr"),
        (",,,fr,", "fr"),
        (";q=1", None),
        ("fr;q=0.1234", None),
    ],
)
def test_of_two_languages(header: str | None, expected: str | None) -> None:
    assert preferred(header, TWO) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fr-CA", "fr-CA"),
        ("fr-ca", "fr-CA"),
        ("fr-BE", "fr"),
        ("fr", "fr"),
        ("en-GB-oxendict", "en-GB"),
        ("zh-Hant-HK", "zh"),
        ("pt-BR,pt;q=0.9", "pt-BR"),
        ("pt;q=0, pt-BR", "pt-BR"),
        ("sv", None),
    ],
)
def test_of_languages_with_regions(header: str, expected: str) -> None:
    assert preferred(header, STRIPES) == expected


@given(st.one_of(st.text(), st.from_regex(r"([a-z*]{0,3}(;q=[0-2.]{0,5})?,?){0,20}", fullmatch=True)))
def test_no_header_at_all_does_more_than_prefer_nothing(header: str) -> None:
    assert preferred(header, TWO) in {*TWO, None}


@given(st.lists(st.tuples(st.sampled_from(["en", "fr", "de"]), st.integers(1, 1000)), min_size=1, max_size=6))
def test_the_heaviest_offered_language_wins(weights: list[tuple[str, int]]) -> None:
    header = ", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in weights)
    offered = [(name, weight) for name, weight in weights if name in TWO]
    expected = max(offered, key=lambda one: one[1])[0] if offered else None
    assert preferred(header, TWO) == expected
