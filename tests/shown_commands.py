"""The commands that the docs show, for the tests that run them and those that check them."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A command as a page shows it, in one line, and the lines of output shown below it."""

    command: str
    output: tuple[str, ...]


def examples(markdown: str) -> list[Example]:
    """Read the `console` blocks: `$` begins a command, `\\` continues it, other lines are its output."""
    found = []
    for block in re.findall(r"^ *```console\n(.*?)^ *```$", markdown, re.MULTILINE | re.DOTALL):
        for shown in re.split(r"^ *\$ ", re.sub(r"\\\n\s*", "", block), flags=re.MULTILINE)[1:]:
            command, *output = shown.strip().splitlines()
            found.append(Example(command.partition(" # ")[0].strip(), tuple(output)))
    return found
