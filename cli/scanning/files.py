"""Walks a code base: text that people wrote, not what machines fetched or built."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cli.scanning.languages import Language, language_of
from shared.errors import InvalidRequest

LARGEST_BYTES = 1024 * 1024
SKIPPED_FOLDERS = frozenset(
    {
        *(".git", ".hg", ".svn", "node_modules", "bower_components", "vendor", "site-packages", "__pycache__"),
        *(".venv", "venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".terraform", ".aws-sam"),
        *(".next", ".nuxt", ".gradle", ".idea", "target", "dist", "build", "coverage"),
    }
)


class Files:
    """The files of a folder, in the order of their names; `skipped` counts why others were not read."""

    def __init__(self, root: Path) -> None:
        """Raise `InvalidRequest` unless the root is a folder or a file."""
        if not root.exists():
            raise InvalidRequest("no_such_folder", f"There is no {root}")
        self._root = root
        self.read = 0
        self.skipped: Counter[str] = Counter()

    def texts(self) -> Iterator[tuple[Path, Language, str]]:
        """Answer each file of a known language: its path below the root, the language, and its text."""
        for path in self._paths():
            raw = self._raw(path)
            if raw is None:
                continue
            text = _decoded(raw)
            if text is None:
                self.skipped["binary"] += 1
                continue
            language = language_of(path, text[:200])
            if language:
                self.read += 1
                yield (path.relative_to(self._root) if path != self._root else Path(path.name)), language, text

    def _paths(self) -> Iterator[Path]:
        if not self._root.is_dir():
            yield self._root
            return
        for folder, names, files in os.walk(self._root, onerror=lambda _: self.skipped.update(["unreadable"])):
            names[:] = sorted(name for name in names if name not in SKIPPED_FOLDERS)
            yield from (Path(folder, name) for name in sorted(files))

    def _raw(self, path: Path) -> bytes | None:
        """Answer a file's bytes; a link is not followed, and a pipe or a device never opened."""
        try:
            about = path.lstat()
            if not stat.S_ISREG(about.st_mode):
                return None
            if about.st_size > LARGEST_BYTES:
                self.skipped["larger than 1 MB"] += 1
                return None
            return path.read_bytes()
        except OSError:
            self.skipped["unreadable"] += 1
            return None


def _decoded(raw: bytes) -> str | None:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    return None if b"\0" in raw[:8192] else raw.decode("utf-8", "replace")
