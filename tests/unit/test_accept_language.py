"""`Accept-Language` picks among the languages on offer, whatever a browser or a program sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.i18n import preferred

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
