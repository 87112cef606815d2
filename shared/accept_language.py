"""Which of the languages on offer a browser's `Accept-Language` prefers."""

import re
from collections.abc import Iterator, Sequence

# One range with its weight (RFC 9110, 12.5.4): `fr-CA;q=0.8`. What does not look like one is passed over.
_RANGE = re.compile(r"\s*(\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE)


def preferred(header: str | None, available: Sequence[str]) -> str | None:
    """Answer the one of `available` that the header asks for most, or `None` when it asks for none of them.

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
