"""What the audit says to people, in each of its languages, with that language's typography."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Literal

Language = Literal["en", "fr"]

_FRENCH_MONTHS = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)
_ENGLISH_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
NARROW_NO_BREAK_SPACE = "\u202f"
NO_BREAK_SPACE = "\u00a0"
MINUS = "\u2212"

# French as a person types it, to French as it is printed.
_FRENCH_TYPOGRAPHY = (
    (re.compile(r" (?=[;!?])"), NARROW_NO_BREAK_SPACE),
    (re.compile(r" (?=[:%»])"), NO_BREAK_SPACE),
    (re.compile(r"(?<=«) "), NO_BREAK_SPACE),
    (re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])"), "\u2019"),
)


@dataclass(frozen=True, slots=True)
class Text:
    """The same in every language. French is written with plain spaces and apostrophes: `say` sets the others."""

    en: str
    fr: str

    def say(self, language: Language) -> str:
        """Answer the words of one language, ready to be read."""
        return french(self.fr) if language == "fr" else self.en


NOTHING = Text("", "")


def same(words: str) -> Text:
    """A text that no language changes, such as a name of Stripe's."""
    return Text(words, words)


def joined(texts: Iterable[Text], between: str = " ") -> Text:
    """One text of several; empty ones leave no trace."""
    every = list(texts)
    return Text(between.join(each.en for each in every if each.en), between.join(each.fr for each in every if each.fr))


def french(typed: str) -> str:
    """Set the no-break spaces and apostrophes of printed French; what is printed already stays as it is."""
    for typewritten, printed in _FRENCH_TYPOGRAPHY:
        typed = typewritten.sub(printed, typed)
    return typed


def format_date(day: date, language: Language = "en") -> str:
    """Write a day for people: `15 July 2024`, `15 juillet 2024`, and `1er août 2024` as French has it."""
    if language == "fr":
        return f"{'1er' if day.day == 1 else day.day} {_FRENCH_MONTHS[day.month - 1]} {day.year}"
    return f"{day.day} {_ENGLISH_MONTHS[day.month - 1]} {day.year}"


def format_time(at: time, language: Language = "en") -> str:
    """Write a time of day for people: `07:05`, `7 h 05`."""
    if language == "en":
        return f"{at:%H:%M}"
    return f"{at.hour}{NO_BREAK_SPACE}h" + (f"{NO_BREAK_SPACE}{at:%M}" if at.minute else "")


def format_number(number: int, language: Language = "en") -> str:
    """Write a whole number for people: `1,234`, and with a narrow no-break space in French."""
    return f"{number:,}" if language == "en" else f"{number:,}".replace(",", NARROW_NO_BREAK_SPACE)


def count(number: int, noun: str, language: Language = "en", *, plural: str | None = None) -> str:
    """Write a number with its noun, given in the singular: `1 customer`, `2,000 customers`; French zero is singular.

    `plural` is for a noun that does more than take an s.
    """
    singular = number in (0, 1) if language == "fr" else number == 1
    return f"{format_number(number, language)} {noun if singular else plural or f'{noun}s'}"


def signed(number: Decimal | int, written: str) -> str:
    """Put the sign of a number before what is written of its size: `+2`, `\u22122`."""
    return f"{'+' if number >= 0 else MINUS}{written}"
