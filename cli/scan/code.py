"""The code that a scan reads: its files, their languages and comments, and positions in a file's text."""

import os
import re
import stat
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path, PurePath

from shared.errors import InvalidRequest, sentence
from shared.i18n import NOTHING, Message, _
from shared.portal.configuration import SINCE

# An unclosed string or comment reaches to the end, which keeps matching linear.
_STRINGS = (
    r"\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*(?:`|\Z)"
)
_SLASHES = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_DOCSTRING = r"(?:\A|(?<=:\n))[ \t]*(?:\"\"\".*?\"\"\"|'''.*?''')"
_HASH = r"#[^\n]*"
_HASH_AFTER_SPACE = r"(?:^|(?<=\s))#[^\n]*"


@dataclass(frozen=True, slots=True)
class Language:
    """A language; `comments` is a regular expression, `today` is code for the new form of a pause without an end.

    `where` says where that code belongs, if it is not a whole. The old form meant such a pause, so that this is what
    replaces it, in every language alike.
    """

    name: str
    comments: str | None
    today: str
    where: Message = NOTHING

    def without_comments(self, text: str) -> str:
        """Replace each character of a comment by a space, so that offsets stay the same."""
        if self.comments is None:
            return text
        parts = re.compile(f"(?P<comment>{self.comments})|(?P<string>{_STRINGS})", re.DOTALL | re.MULTILINE)
        return parts.sub(lambda found: found[0] if found["string"] else re.sub(r"[^\n]", " ", found[0]), text)


def _beside(name: str) -> Message:
    return _("beside {name}", name=name)


_JSON_TODAY = '"subscription_pause": {"enabled": true, "duration": {"type": "indefinite"}}'
_PYTHON = Language("Python", f"{_HASH}|{_DOCSTRING}", _JSON_TODAY.replace("true", "True"))
_JAVASCRIPT = Language(
    "JavaScript",
    _SLASHES,
    "subscription_pause: {enabled: true, duration: {type: 'indefinite'}}",
)
_RUBY = Language("Ruby", _HASH, _JAVASCRIPT.today)
_PHP = Language(
    "PHP",
    f"{_SLASHES}|{_HASH_AFTER_SPACE}",
    "'subscription_pause' => ['enabled' => true, 'duration' => ['type' => 'indefinite']]",
)
_GO = Language(
    "Go",
    _SLASHES,
    "Duration: &stripe.BillingPortalConfigurationFeaturesSubscriptionPauseDurationParams{Type: "
    'stripe.String("indefinite")}',
    _beside("Enabled"),
)
_JAVA = Language(
    "Java",
    _SLASHES,
    ".setDuration(SubscriptionPause.Duration.builder().setType(SubscriptionPause.Duration.Type.INDEFINITE).build())",
    _beside(".setEnabled(true)"),
)
_CSHARP = Language(
    "C#",
    _SLASHES,
    'Duration = new ConfigurationFeaturesSubscriptionPauseDurationOptions { Type = "indefinite" }',
    _beside("Enabled"),
)
_TERRAFORM = Language(
    "Terraform",
    f"{_SLASHES}|{_HASH}",
    'duration { type = "indefinite" }',
    _(
        "beside {name}, once your provider knows API {version}",
        name="enabled",
        version=SINCE["features.subscription_pause"],
    ),
)
_JSON = Language("JSON", None, _JSON_TODAY)
_YAML = Language("YAML", _HASH_AFTER_SPACE, "duration: {type: indefinite}", _beside("enabled"))
_SHELL = Language(
    "shell",
    _HASH_AFTER_SPACE,
    "features[subscription_pause][duration][type]=indefinite",
    _beside("features[subscription_pause][enabled]"),
)
_ELIXIR = Language("Elixir", _HASH, 'subscription_pause: %{enabled: true, duration: %{type: "indefinite"}}')

_BY_SUFFIX: Mapping[str, Language] = {
    **dict.fromkeys((".py", ".pyi"), _PYTHON),
    **dict.fromkeys(
        (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte", ".astro"), _JAVASCRIPT
    ),
    **dict.fromkeys((".rb", ".rake", ".erb", ".gemspec"), _RUBY),
    **dict.fromkeys((".php", ".phtml"), _PHP),
    ".go": _GO,
    **dict.fromkeys((".java", ".kt", ".kts", ".scala", ".groovy"), _JAVA),
    ".cs": _CSHARP,
    **dict.fromkeys((".tf", ".tfvars", ".hcl"), _TERRAFORM),
    **dict.fromkeys((".json", ".jsonc", ".json5", ".ipynb", ".har"), _JSON),
    **dict.fromkeys((".yaml", ".yml"), _YAML),
    **dict.fromkeys((".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".cmd", ".http", ".rest", ".mk"), _SHELL),
    **dict.fromkeys((".ex", ".exs"), _ELIXIR),
}
_BY_NAME = {"Makefile": _SHELL, "Dockerfile": _SHELL, "Rakefile": _RUBY, "Gemfile": _RUBY, "justfile": _SHELL}


def language_of(path: PurePath, beginning: str) -> Language | None:
    """Return a file's language by its name, or by a first line such as `#!/bin/sh`."""
    found = _BY_SUFFIX.get(path.suffix.lower()) or _BY_NAME.get(path.name)
    if found or path.suffix or not beginning.startswith("#!"):
        return found
    first = beginning.partition("\n")[0]
    for word, language in (("python", _PYTHON), ("node", _JAVASCRIPT), ("ruby", _RUBY), ("php", _PHP), ("sh", _SHELL)):
        if word in first:
            return language
    return None


LARGEST_BYTES = 1024 * 1024
SKIPPED_FOLDERS = frozenset(
    {
        *(".git", ".hg", ".svn", "node_modules", "bower_components", "vendor", "site-packages", "__pycache__"),
        *(".venv", "venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".terraform", ".aws-sam"),
        *(".next", ".nuxt", ".gradle", ".idea", "target", "dist", "build", "coverage"),
    }
)


@dataclass(frozen=True, slots=True)
class CodeFile:
    """A file of a known language; `path` is relative to the scanned folder."""

    path: Path
    language: Language
    text: str


class SkipReason(StrEnum):
    """Why a file was not read."""

    BINARY = "binary"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"


class Files:
    """The files of a folder, by name; `read` counts those that were read, `skipped` the others by reason."""

    def __init__(self, root: Path) -> None:
        """Raise `InvalidRequest` unless the root is a folder or a file."""
        if not root.exists():
            raise InvalidRequest("no_such_folder", sentence("There is no {root}", root=root))
        self._root = root
        self.read = 0
        self.skipped: Counter[SkipReason] = Counter()

    def texts(self) -> Iterator[CodeFile]:
        """Yield each file of a known language."""
        for path in self._paths():
            raw = self._raw(path)
            if raw is None:
                continue
            text = _decoded(raw)
            if text is None:
                self.skipped[SkipReason.BINARY] += 1
                continue
            language = language_of(path, text[:200])
            if language:
                self.read += 1
                relative = path.relative_to(self._root) if path != self._root else Path(path.name)
                yield CodeFile(relative, language, text)

    def _paths(self) -> Iterator[Path]:
        if not self._root.is_dir():
            yield self._root
            return
        for folder, names, files in os.walk(
            self._root, onerror=lambda _error: self.skipped.update([SkipReason.UNREADABLE])
        ):
            names[:] = sorted(name for name in names if name not in SKIPPED_FOLDERS)
            yield from (Path(folder, name) for name in sorted(files))

    def _raw(self, path: Path) -> bytes | None:
        """Return a file's bytes. Links are not followed; pipes and devices are never opened."""
        try:
            about = path.lstat()
            if not stat.S_ISREG(about.st_mode):
                return None
            if about.st_size > LARGEST_BYTES:
                self.skipped[SkipReason.TOO_LARGE] += 1
                return None
            return path.read_bytes()
        except OSError:
            self.skipped[SkipReason.UNREADABLE] += 1
            return None


def _decoded(raw: bytes) -> str | None:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    return None if b"\0" in raw[:8192] else raw.decode("utf-8", "replace")


_CHAIN_END = re.compile(r"\.\s*build\s*\(\s*\)|;")
_PAIRS = {"{": "}", "(": ")", "[": "]"}
_LONGEST_VALUE = 4000
# A lookup of a variable searches the whole file.
_LONGEST_TO_LOOK_UP = 200_000


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets in the code, `end` excluded."""

    start: int
    end: int


class Source:
    """A file's text. Offsets count in `code`, the text with blanked comments, which has the same length."""

    def __init__(self, text: str, language: Language) -> None:
        self.language = language
        self.code = language.without_comments(text)
        self._text = text

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for offset, character in enumerate(self._text):
            if character == "\n":
                starts.append(offset + 1)
        return starts

    def line(self, offset: int) -> int:
        """Return the line of an offset, counted from 1."""
        return bisect_right(self._starts, offset)

    def column(self, offset: int) -> int:
        """Return the column of an offset, counted from 1."""
        return offset - self._starts[self.line(offset) - 1] + 1

    def line_text(self, line: int) -> str:
        """Return a line as written, comments included."""
        return self._text[self._starts[line - 1] : self._end(line)]

    def near(self, offset: int, lines: int) -> str:
        """Return the code around an offset."""
        line = self.line(offset)
        return self.code[self._starts[max(1, line - lines) - 1] : self._end(line + lines)]

    def _end(self, line: int) -> int:
        return self._starts[line] if line < len(self._starts) else len(self._text)

    def closing(self, opening: int) -> int:
        """Return the offset after the bracket that closes the one at `opening`, or where the search stops."""
        pending: list[str] = []
        offset = opening
        for offset in range(opening, min(len(self.code), opening + _LONGEST_VALUE)):
            character = self.code[offset]
            if character in _PAIRS:
                pending.append(_PAIRS[character])
            elif pending and character == pending[-1]:
                pending.pop()
                if not pending:
                    return offset + 1
        return offset + 1

    def chain_end(self, start: int) -> int:
        """Return where a chain of builder calls ends: at its `build()`, or at the end of the statement."""
        found = _CHAIN_END.search(self.code, start, start + _LONGEST_VALUE)
        return found.end() if found else min(len(self.code), start + _LONGEST_VALUE)

    def indented(self, key: int, start: int) -> Span:
        """Return the lines below a YAML key that are indented more than the key."""
        own = key - self.code.rfind("\n", 0, key) - 1
        end = self.code.rfind("\n", 0, start) + 1
        for line in self.code[end : end + _LONGEST_VALUE].splitlines(keepends=True):
            if line.strip() and len(line) - len(line.lstrip()) <= own:
                break
            end += len(line)
        return Span(start, max(start, end))

    def value_of(self, variable: str) -> str | None:
        """Return the literal that this file assigns to a variable, or `None`."""
        if len(self.code) > _LONGEST_TO_LOOK_UP:
            return None
        name = rf"(?<![\w.\"'\[])\$?{re.escape(variable)}"
        found = re.search(rf"{name}\s*(?::[^=\n]{{1,60}})?:?=\s*[^\s;,]{{0,100}}?(?=[{{(\[])", self.code)
        return self.code[found.end() : self.closing(found.end())] if found else None
