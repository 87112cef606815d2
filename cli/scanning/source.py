"""One file as the scan sees it: the code without comments, and the lines as people count them."""

import re
from bisect import bisect_right
from functools import cached_property

from cli.scanning.languages import Language

_CHAIN_END = re.compile(r"\.\s*build\s*\(\s*\)|;")
_PAIRS = {"{": "}", "(": ")", "[": "]"}
_LONGEST_VALUE = 4000
# Looking up a variable reads the whole file.
_LONGEST_TO_LOOK_UP = 200_000


class Source:
    """A file's text; places are offsets in `code`, which is as long as the text."""

    def __init__(self, text: str, language: Language) -> None:
        self.language = language
        self.code = language.without_comments(text)
        self._text = text

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for place, character in enumerate(self._text):
            if character == "\n":
                starts.append(place + 1)
        return starts

    def line(self, place: int) -> int:
        """Answer the line of a place, counted from 1."""
        return bisect_right(self._starts, place)

    def column(self, place: int) -> int:
        """Answer the column of a place, counted from 1."""
        return place - self._starts[self.line(place) - 1] + 1

    def line_text(self, line: int) -> str:
        """Answer a line as it was written."""
        return self._text[self._starts[line - 1] : self._end(line)]

    def near(self, place: int, lines: int) -> str:
        """Answer the code around a place."""
        line = self.line(place)
        return self.code[self._starts[max(1, line - lines) - 1] : self._end(line + lines)]

    def _end(self, line: int) -> int:
        return self._starts[line] if line < len(self._starts) else len(self._text)

    def closing(self, opening: int) -> int:
        """Answer where the bracket at `opening` is closed, or where to give up."""
        open_ones: list[str] = []
        place = opening
        for place in range(opening, min(len(self.code), opening + _LONGEST_VALUE)):
            character = self.code[place]
            if character in _PAIRS:
                open_ones.append(_PAIRS[character])
            elif open_ones and character == open_ones[-1]:
                open_ones.pop()
                if not open_ones:
                    return place + 1
        return place + 1

    def chain_end(self, start: int) -> int:
        """Answer where a chain of builder calls ends: at its `build()`, or at the statement's end."""
        found = _CHAIN_END.search(self.code, start, start + _LONGEST_VALUE)
        return found.end() if found else min(len(self.code), start + _LONGEST_VALUE)

    def indented(self, key: int, start: int) -> tuple[int, int]:
        """Answer the lines below a YAML key that are indented more than it."""
        own = key - self.code.rfind("\n", 0, key) - 1
        end = self.code.rfind("\n", 0, start) + 1
        for line in self.code[end : end + _LONGEST_VALUE].splitlines(keepends=True):
            if line.strip() and len(line) - len(line.lstrip()) <= own:
                break
            end += len(line)
        return start, max(start, end)

    def value_of(self, variable: str) -> str | None:
        """Answer what a variable is set to in this file, if that is a literal."""
        if len(self.code) > _LONGEST_TO_LOOK_UP:
            return None
        name = rf"(?<![\w.\"'\[])\$?{re.escape(variable)}"
        found = re.search(rf"{name}\s*(?::[^=\n]{{1,60}})?:?=\s*[^\s;,]{{0,100}}?(?=[{{(\[])", self.code)
        return self.code[found.end() : self.closing(found.end())] if found else None
