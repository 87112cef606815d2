"""The words for people, in each language: messages, dates, numbers, and which language somebody asks for.

The English sentence in the code is the message id; every other language is one catalogue, `locale/<language>.po`,
compiled to `.mo` by `make catalogues`. A message keeps its values until it is said, because findings are kept between
the steps of an audit, before anybody's language is known.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.errors import Sentence

if TYPE_CHECKING:
    from gettext import NullTranslations

    from pydantic_core import CoreSchema

LOCALE = Path(__file__).parent / "locale"
# The language of the message ids, which needs no catalogue.
ENGLISH = "en"

NARROW_NO_BREAK_SPACE = "\u202f"
NO_BREAK_SPACE = "\u00a0"
MINUS = "\u2212"


class MissingCatalogueError(Exception):
    """Raised instead of speaking English to somebody who reads another language."""


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for people: its English, with named places for `values`, such as `{name}`.

    Numbers, dates and other messages among the values are written in the language in which the message is said. A
    value with a format, such as `{hour:02d}`, is written by that format. With a `plural`, `n` chooses the form.
    """

    id: str
    plural: str = ""
    n: int = 0
    values: "tuple[tuple[str, Value], ...]" = ()

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.id)

    def say(self, language: str) -> str:
        """Return the words in one of `languages()`. Raises `MissingCatalogueError` for any other."""
        if not self.id:
            return ""
        values = dict(self.values)
        said = []
        for literal, name, form in _template(self._translated(language), language):
            said.append(literal)
            if name is not None:
                said.append(format(values[name], form) if form else say(values[name], language))
        return "".join(said)

    def _translated(self, language: str) -> str:
        catalogue = _catalogue(language)
        if self.plural:
            return catalogue.ngettext(self.id, self.plural, self.n)
        return catalogue.gettext(self.id)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> "CoreSchema":
        """Messages are kept as JSON between the steps of an audit."""
        from pydantic_core import core_schema  # noqa: PLC0415 - the webhook starts without

        return core_schema.no_info_plain_validator_function(
            _validated, serialization=core_schema.plain_serializer_function_ser_schema(_dumped)
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """Several values, one after the other."""

    values: "tuple[Value, ...]"
    between: "Value"


Value: TypeAlias = "str | int | Decimal | date | time | Message | Listed"


def _(text: str, /, **values: Value) -> Message:
    """Mark a sentence for translation."""
    return Message(text, values=tuple(values.items()))


def _n(one: str, many: str, /, n: int, **values: Value) -> Message:
    """Mark a sentence whose words depend on the number `n`, which it may show as `{n}`."""
    return Message(one, many, n, (("n", n), *values.items()))


NOTHING = Message("")
_COMMA = _(", ")


def verbatim(words: str) -> Message:
    """Return a message that no language changes, such as a name of Stripe's."""
    return Message("{words}" if words else "", values=(("words", words),))


def sentences(*messages: Message) -> Message:
    """Return one message of several; empty ones leave no trace."""
    return _joined(messages, " ")


def first_sentence(message: Message) -> Message:
    """Return the first of the messages that `sentences` made one."""
    match message.values:
        case ((_, Listed((Message() as first, *_), " ")),):
            return first
    return message


def other_sentences(message: Message) -> Message:
    """Return what `first_sentence` leaves out."""
    match message.values:
        case ((_, Listed((Message(), *others), " ")),):
            return sentences(*(each for each in others if isinstance(each, Message)))
    return NOTHING


def distinct_sentences(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return the messages that `sentences` made of others, each once, in the order of their coming."""
    return tuple(dict.fromkeys(each for message in messages for each in _parts(message)))


def _parts(message: Message) -> Iterator[Message]:
    match message.values:
        case ((_, Listed(several, " ")),):
            for each in several:
                if isinstance(each, Message):
                    yield from _parts(each)
        case _ if message:
            yield message


def as_sentence(message: Message) -> Sentence:
    """Return a message's English, which `say` translates."""
    made = Sentence(message.say(ENGLISH))
    made.template, made.values = "{words}", {"words": message}
    return made


def listed(values: "Iterable[Value]", between: "Value" = _COMMA) -> Message:
    """Return the values with commas between them, or something else; empty ones leave no trace."""
    return _joined(values, between)


def _joined(values: "Iterable[Value]", between: "Value") -> Message:
    every = tuple(value for value in values if value or value == 0)
    return Message("{all}", values=(("all", Listed(every, between)),)) if every else NOTHING


def parameters(message: Message) -> dict[str, Any]:
    """Return the values of a message and of those in it as JSON has them, for programs that read no sentences."""
    found: dict[str, Any] = {}
    for name, value in message.values:
        match value:
            case Message():
                found |= parameters(value)
            case Listed():
                for each in value.values:
                    if isinstance(each, Message):
                        found |= parameters(each)
                    else:
                        found.setdefault(name, []).append(_plain(each))
            case _:
                found[name] = _plain(value)
    return found


def _plain(value: "Value") -> Any:
    return value if isinstance(value, str | int) else str(value)


def say(value: "Value", language: str) -> str:  # noqa: PLR0911 - one for each type
    """Return a value as people write it in a language: `1,234`, `15 July 2024`, `7:05`."""
    match value:
        case Message():
            return value.say(language)
        case Sentence():
            return Message(value.template, values=tuple(value.values.items())).say(language)
        case str():
            return value
        case int():
            return f"{value:,}".translate(_separators(language))
        case Decimal():
            return f"{value:,f}".translate(_separators(language))
        case datetime():
            return _("{day} at {time}", day=value.date(), time=value.time()).say(language)
        case date():
            return _day(value).say(language)
        case time():
            return _time(value).say(language)
        case Listed():
            return say(value.between, language).join(say(each, language) for each in value.values)


def signed(number: Decimal | int, written: "Value") -> Message:
    """Put the sign of a number before what is written of its size: `+2`, `\u22122`."""
    return Message("{sign}{size}", values=(("sign", "+" if number >= 0 else MINUS), ("size", written)))


# ------------------------------------------------------------------ how a language writes dates and numbers
_MONTHS = (
    _("January"),
    _("February"),
    _("March"),
    _("April"),
    _("May"),
    _("June"),
    _("July"),
    _("August"),
    _("September"),
    _("October"),
    _("November"),
    _("December"),
)
# Longer times than these are written in the next larger unit.
_MOST_SECONDS, _MOST_MINUTES, _MOST_HOURS = 120, 120, 96
# Translators write this number as their language does.
_NUMBER = _("1,234.5")


def _day(day: date) -> Message:
    month = _MONTHS[day.month - 1]
    # French alone counts the first day otherwise than the rest: `1er`.
    if day.day == 1:
        return _("1 {month} {year}", month=month, year=str(day.year))
    return _("{day} {month} {year}", day=str(day.day), month=month, year=str(day.year))


def duration(seconds: int) -> Message:
    """Return a length of time in the unit that suits it, to the nearest: seconds, minutes, hours or days."""
    if seconds < _MOST_SECONDS:
        return _("{n} s", n=seconds)
    if seconds < _MOST_MINUTES * 60:
        return _("{n} min", n=round(seconds / 60))
    if seconds < _MOST_HOURS * 3600:
        return _("{n} h", n=round(seconds / 3600))
    days = round(seconds / 86_400)
    return _n("{n} day", "{n} days", days)


def interval_text(number: int, interval: str) -> Message:
    """Write a length of time in Stripe's units: `3 months`, `3 mois`."""
    match interval:
        case "day":
            return _n("{n} day", "{n} days", number)
        case "week":
            return _n("{n} week", "{n} weeks", number)
        case "month":
            return _n("{n} month", "{n} months", number)
        case "year":
            return _n("{n} year", "{n} years", number)
    return sentences(listed([number]), verbatim(interval))


def _time(at: time) -> Message:
    if at.minute == 0:
        return _("{hour:02d}:00", hour=at.hour)
    return _("{hour:02d}:{minute:02d}", hour=at.hour, minute=at.minute)


@cache
def _separators(language: str) -> Mapping[int, str]:
    example = re.fullmatch(r"1(\D*)234(\D+)5", _NUMBER.say(language))
    if example is None:
        raise MissingCatalogueError(f"The catalogue of {language} does not say how 1,234.5 is written")
    return str.maketrans({",": example[1], ".": example[2]})


def decimal_point(language: str) -> str:
    """Return what stands before a language's decimals."""
    return _separators(language)[ord(".")]


# ------------------------------------------------------------------ catalogues
def languages() -> tuple[str, ...]:
    """Return every language that there is a catalogue of, English first."""
    found = {path.stem for path in LOCALE.iterdir() if path.suffix in (".po", ".mo")} if LOCALE.is_dir() else set()
    return (ENGLISH, *sorted(found))


def best_language(*wishes: str | None) -> str:
    """Return the language that fits the first wish that any fits, else English; a wish is as for `preferred`."""
    available = languages()
    return next(filter(None, (preferred(wish, available) for wish in wishes)), ENGLISH)


@cache
def _catalogue(language: str) -> "NullTranslations":
    from gettext import GNUTranslations, NullTranslations  # noqa: PLC0415 - the webhook speaks to nobody

    if language == ENGLISH:
        return NullTranslations()
    compiled, source = LOCALE / f"{language}.mo", LOCALE / f"{language}.po"
    if not compiled.exists():
        raise MissingCatalogueError(f"{compiled} is missing: run `make catalogues`")
    # An artifact has no sources.
    if source.exists() and source.stat().st_mtime > compiled.stat().st_mtime:
        raise MissingCatalogueError(f"{compiled} is older than {source.name}: run `make catalogues`")
    with compiled.open("rb") as file:
        return GNUTranslations(file)


@lru_cache(maxsize=4096)
def _template(text: str, language: str) -> tuple[tuple[str, str | None, str | None], ...]:
    """Split a message into words and places for values, with the typography of its language."""
    for typewritten, printed in _TYPOGRAPHY.get(language, ()):
        text = typewritten.sub(printed, text)
    return tuple((literal, name, form) for literal, name, form, _conversion in Formatter().parse(text))


# What a person types in a catalogue, to what is printed.
_TYPOGRAPHY = {
    "fr": (
        (re.compile(r" (?=[;!?])"), NARROW_NO_BREAK_SPACE),
        (re.compile(r" (?=[:%»])"), NO_BREAK_SPACE),
        (re.compile(r"(?<=«) "), NO_BREAK_SPACE),
        (re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_]|\{)"), "\u2019"),
    ),
}


# ------------------------------------------------------------------ messages as JSON
# Thousands of findings say the same: each message is written and read once.
@lru_cache(maxsize=1024)
def _dumped(message: Message) -> str:
    return json.dumps(_to_json(message), ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=1024)
def _loaded(text: str) -> Message:
    message = _from_json(json.loads(text))
    if not isinstance(message, Message):
        raise ValueError(f"not a message: {text}")  # noqa: TRY004 - pydantic expects it
    return message


def _validated(data: Any) -> Message:
    if isinstance(data, Message):
        return data
    if isinstance(data, str):
        return _loaded(data)
    raise ValueError(f"not a message: {data!r}")


def _to_json(value: "Value") -> Any:  # noqa: PLR0911 - one for each type
    match value:
        case Message(id, plural, n, values):
            return {"id": id, "plural": plural, "n": n, "values": {name: _to_json(each) for name, each in values}}
        case Listed(values, between):
            return {"list": [_to_json(each) for each in values], "between": _to_json(between)}
        case str() | int():
            return value
        case Decimal():
            return {"number": str(value)}
        case datetime():
            return {"moment": value.isoformat()}
        case date():
            return {"day": value.isoformat()}
        case time():
            return {"time": value.isoformat()}


def _from_json(data: Any) -> Any:  # noqa: PLR0911 - one for each type
    match data:
        case {"id": id, "plural": plural, "n": n, "values": values}:
            return Message(id, plural, n, tuple((name, _from_json(each)) for name, each in values.items()))
        case {"list": values, "between": between}:
            return Listed(tuple(_from_json(each) for each in values), _from_json(between))
        case {"number": number}:
            return Decimal(number)
        case {"moment": moment}:
            return datetime.fromisoformat(moment)
        case {"day": day}:
            return date.fromisoformat(day)
        case {"time": at}:
            return time.fromisoformat(at)
        case str() | int():
            return data
    raise ValueError(f"not a message: {data!r}")


# ------------------------------------------------------------------ which language somebody asks for
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
