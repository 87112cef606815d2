"""Finds where code sends the old form of `features.subscription_pause`, in any language and spelling.

The old form is `enabled` alone. Two things of the same name are not faults: the form with `duration`
(API 2026-10-28.endive), and the portal session's flow, which holds a `subscription`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cli.scan.code import Language, Source, Span


class Kind(StrEnum):
    """What code does with the parameter; the first two are faults."""

    OLD_FORM = "old form"
    SWITCHES_OFF = "old form, switched off"
    UNCLEAR = "unclear"
    READS = "reads it"


FAULTS = frozenset({Kind.OLD_FORM, Kind.SWITCHES_OFF})


@dataclass(frozen=True, slots=True)
class Use:
    """One use; `line` and `column` count from 1, `text` is the whole line."""

    line: int
    column: int
    kind: Kind
    text: str


_NAME = re.compile(
    r"(?:(?<=%5B)|(?<=%5b)|(?<![A-Za-z0-9_-]))"
    r"(?P<name>subscription_pause|subscription-pause|subscriptionPause|SubscriptionPause|(?:set|with)SubscriptionPause)"
    r"(?![A-Za-z0-9_]|-[A-Za-z0-9])"
)
# What follows where the path goes on: `][enabled]`, `"]["enabled"]`, `.enabled`, `?.enabled`, `->enabled`, `%5D%5B`.
_INNER = re.compile(
    r"[\"']?\s*(?P<close>\]|%5D)?\s*(?:\?\.|!\.|&\.|\.|->|\[|%5B)\s*[:\"']?(?P<key>enabled|duration|subscription)\b",
    re.IGNORECASE,
)
_IS_SET = re.compile(r"[\"'\]]*\s*=(?![=~>])")
_TURNED_OFF = re.compile(
    r"[\"'\]\)]*(?:%5D)?[\"']?\s*(?:=>|[:=,(])\s*[\"']?(?:[\w.&*]+\()?\s*(?:false|0)\b", re.IGNORECASE
)
# What stands between the name and its value.
_SEPARATOR = re.compile(r"[\"']?\s*\]?\s*(?:\?\s*:|=>|:=|:|=(?![=~]))\s*")
_BLOCK = re.compile(r"[\"']?\s*(?=[{(])")
# `new Options {`, `&stripe.Params{`, `dict(`, or C#'s brace on the next line.
_OPENING = re.compile(r"[^\n,;{(\[\])}]{0,200}?(?:\s*\n\s*(?=\{)|(?=[{(\[]))")
_BUILDER = re.compile(r"\s*\.\s*(?:builder|newBuilder)\s*\(\s*\)")
_VARIABLE = re.compile(r"[&*$@]{0,2}(?P<variable>[A-Za-z_][\w.$]*)\s*(?:[,;)}\n]|$)")
_ENABLED = re.compile(r"(?:\b|_)(?:set)?enabled\b", re.IGNORECASE)
_DURATION = re.compile(r"\b(?:set_?)?duration\b", re.IGNORECASE)
_FLOW = re.compile(r"\b(?:set)?subscription[\"']?\s*(?:=>|[:=(])", re.IGNORECASE)
_PORTAL = re.compile(
    r"billing_?portal|portal_configuration|invoice_?history|payment_?method_?update|customer_?update|FeaturesSubscription",
    re.IGNORECASE,
)
_DURATION_PATH = re.compile(r"subscription[_-]?pause[\"'\]>?.%5DB\[:\s-]{1,12}duration", re.IGNORECASE)
# Form parameters of one request stand near each other.
_NEAR_LINES = 25


def uses(text: str, language: Language) -> Iterator[Use]:
    """Yield each use once, in order."""
    if "ause" not in text:  # most files end here
        return
    source = Source(text, language)
    mentions_portal = bool(_PORTAL.search(source.code))
    previous_end = 0
    for found in _NAME.finditer(source.code):
        if found.start() < previous_end:  # inside the previous use's value
            continue
        classified = _classify(source, found)
        kind, previous_end = classified.kind, classified.end
        if kind in FAULTS and found["name"] == "subscriptionPause":  # not Stripe's spelling, but it may be converted
            kind = Kind.UNCLEAR
        if kind in FAULTS or (kind and mentions_portal):
            line = source.line(found.start())
            yield Use(line, source.column(found.start()), kind, source.line_text(line).strip()[:200])


@dataclass(frozen=True, slots=True)
class _Classified:
    """A kind, or `None` for a use that does not matter, and the offset where the use ends."""

    kind: Kind | None
    end: int


def _classify(source: Source, found: re.Match[str]) -> _Classified:
    inner = _INNER.match(source.code, found.end())
    if inner:
        return _Classified(_path(source, found, inner), inner.end())
    span = _value(source, found)
    value = source.code[span.start : span.end]
    if not value:
        return _Classified(_bare(source, found), found.end())
    if _ENABLED.search(value) or _DURATION.search(value) or _FLOW.search(value):
        return _Classified(_judge(value), span.end)
    return _Classified(_bare(source, found), span.end)


def _path(source: Source, found: re.Match[str], inner: re.Match[str]) -> Kind | None:
    """Judge `...[subscription_pause][enabled]` and the like, where the whole path is written out."""
    if inner["key"].lower() != "enabled":
        return None
    before = source.code[max(0, found.start() - 3) : found.start()]
    is_form = before.endswith(("[", "%5B", "%5b")) and bool(inner["close"])
    # A form or a command line sends it; other code may only read it.
    if not (is_form or source.language.name == "shell" or _IS_SET.match(source.code, inner.end())):
        return Kind.READS
    if _DURATION_PATH.search(source.near(found.start(), _NEAR_LINES)):
        return None
    return Kind.SWITCHES_OFF if _TURNED_OFF.match(source.code, inner.end()) else Kind.OLD_FORM


def _value(source: Source, found: re.Match[str]) -> Span:
    """Return where a name's value is; an empty span if no value can be read here."""
    code, end = source.code, found.end()
    builder = _BUILDER.match(code, end)
    if builder:
        return Span(end, source.chain_end(builder.end()))
    separator = _SEPARATOR.match(code, end) or _BLOCK.match(code, end)
    if not separator:
        return Span(end, end)
    if source.language.name == "YAML" and "\n" in separator[0]:
        return source.indented(found.start(), separator.end())
    opening = _OPENING.match(code, separator.end())
    if not opening:
        return Span(end, end)
    return Span(separator.end(), source.closing(opening.end()))


def _bare(source: Source, found: re.Match[str]) -> Kind | None:
    """Judge a name whose value is a variable, which is looked up in the same file."""
    code, separator = source.code, _SEPARATOR.match(source.code, found.end())
    called = found["name"].startswith(("set", "with")) and code[found.end() : found.end() + 1] == "("
    start = found.end() + 1 if called else separator.end() if separator else None
    variable = _VARIABLE.match(code, start) if start is not None else None
    if not variable:
        return None
    value = source.value_of(variable["variable"])
    is_known = value is not None and (_ENABLED.search(value) or _DURATION.search(value))
    return _judge(value or "") if is_known else Kind.UNCLEAR


def _judge(value: str) -> Kind | None:
    """Judge a value by the keys in it."""
    enabled = _ENABLED.search(value)
    if _DURATION.search(value) or not enabled:
        return None
    return Kind.SWITCHES_OFF if _TURNED_OFF.match(value, enabled.end()) else Kind.OLD_FORM
