"""What the commands of this folder ask and print: a line for each step, questions in a terminal, keys without echo."""

import sys
from getpass import getpass
from pathlib import Path

import typer

from cli.deployment import is_api_key
from cli.terminal import printable
from shared.errors import InvalidRequest


class Dialog:
    """Prints each step and counts what is left to do. With `yes` every question is answered yes.

    Without a terminal, and without `yes`, every question is answered no.
    """

    def __init__(self, *, yes: bool) -> None:
        self._yes = yes
        self.left = 0

    @property
    def is_interactive(self) -> bool:
        """Whether somebody can answer."""
        return sys.stdin.isatty()

    def ok(self, what: str, text: str) -> None:
        """Say what was right already."""
        self._say("ok", what, text)

    def done(self, what: str, text: str) -> None:
        """Say what has been changed."""
        self._say("done", what, text)

    def note(self, what: str, text: str) -> None:
        """Say what is worth knowing; nothing has to be done."""
        self._say("note", what, text)

    def to_do(self, what: str, text: str) -> None:
        """Say what the reader has to do."""
        self.left += 1
        self._say("TO DO", what, text)

    def agrees(self, question: str) -> bool:
        """Ask whether to change something."""
        if self._yes or not self.is_interactive:
            return self._yes
        return typer.confirm(question, err=True)

    def waited_for(self, question: str) -> bool:
        """Ask whether somebody has done what only a person can do; without a terminal nobody has."""
        return self.is_interactive and typer.confirm(question, err=True)

    def _say(self, state: str, what: str, text: str) -> None:
        sys.stdout.write(f"{state:<6} {what:<22} {printable(text)}\n")
        sys.stdout.flush()


def read_key(file: str | None, prompt: str) -> str:
    """Return a Stripe key: from a file, from standard input (`-`), or typed without an echo.

    Never from an argument, which the shell's history and the list of processes would show. Raises `InvalidRequest`.
    """
    if file == "-":
        text = sys.stdin.read()
    elif file is not None:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRequest("no_stripe_key", f"Cannot read the key file: {type(error).__name__}") from error
    elif sys.stdin.isatty():
        text = getpass(f"{prompt} (not shown): ")
    else:
        raise InvalidRequest(
            "no_stripe_key", "No terminal to ask for the Stripe key: give --stripe-key-file, or - for standard input"
        )
    key = text.strip()
    if not is_api_key(key):
        # Not quoted: it may be a key with a slip in it.
        raise InvalidRequest("bad_stripe_key", "Not a secret or restricted key of Stripe's, such as rk_live_...")
    return key
