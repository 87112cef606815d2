"""One file as the scan sees it: the code without comments, and the lines as people count them."""

from bisect import bisect_right
from functools import cached_property

from cli.scanning.languages import Language


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
