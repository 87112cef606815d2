"""What the audit says to people, in each of its languages, with that language's typography."""

import re
from collections.abc import Iterable, Iterator, Sequence
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
        """Return the words of one language, ready to be read."""
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


# One range with its weight (RFC 9110, 12.5.4): `fr-CA;q=0.8`. What does not look like one is passed over.
_RANGE = re.compile(r"\s*(\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE)


def preferred(header: str | None, available: Sequence[str]) -> str | None:
    """Return the one of `available` that the header asks for most, or `None` when it asks for none of them.

    A range is shortened from its end until it fits (RFC 4647, 3.4): `fr-CA-x-a` also means `fr-CA` and `fr`, but `fr`
    never means `fr-CA`. Of equal weights the first wins; a weight of 0 refuses a language, `*` stands for the first of
    `available` that is not named otherwise.
    """
    weights = list(_weights(header or ""))
    refused = {name for name, weight in weights if weight == 0}
    named = {name for name, _ in weights}
    offered = {each.lower(): each for each in available}
    for name, weight in sorted(weights, key=lambda one: one[1], reverse=True):
        if weight == 0:
            break
        if name == "*":
            fits: Iterator[str] = (each for each in offered if not named.intersection(_shortened(each)))
        else:
            fits = (each for each in _shortened(name) if each in offered and each not in refused)
        if (found := next(fits, None)) is not None:
            return offered[found]
    return None


def _weights(header: str) -> Iterator[tuple[str, float]]:
    for part in header.split(","):
        if match := _RANGE.fullmatch(part):
            weight = float(match[2] or 1)
            if weight <= 1:
                yield match[1].lower(), weight


def _shortened(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition("-")[0]


# `locale` of a portal session (API 2026-10-28.endive). `auto` is the first, because it is what `*` means.
_LOCALES = (
    "auto bg cs da de el en en-AU en-CA en-GB en-IE en-IN en-NZ en-SG es es-419 et fi fil fr fr-CA hr hu id it ja ko "
    "lt lv ms mt nb nl pl pt pt-BR ro ru sk sl sv th tr vi zh zh-HK zh-TW"
)
PORTAL_LOCALES = tuple(_LOCALES.split())
# Checkout has fewer kinds of English.
CHECKOUT_LOCALES = tuple(each for each in PORTAL_LOCALES if not each.startswith("en-") or each == "en-GB")


def stripe_locale(wishes: Iterable[str | None], available: tuple[str, ...] = PORTAL_LOCALES) -> str | None:
    """Return the first of the wishes that is available, or `None` to leave it to Stripe.

    A wish is a language tag, of which the nearest is taken (`fr-BE` is `fr`), or a whole `Accept-Language` header.
    Stripe then takes the customer's `preferred_locales`, else the browser's language; `auto` asks for just that.
    """
    found = next(filter(None, (preferred(wish, available) for wish in wishes)), None)
    return None if found == "auto" else found
