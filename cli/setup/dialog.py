"""What the commands of this folder ask and print: a line for each step, questions in a terminal, keys without echo."""

import sys
from enum import StrEnum
from getpass import getpass
from pathlib import Path

from cli.deployment import is_api_key
from cli.terminal import Form, confirmed, print_json, printable
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, Message, _


class _Done(StrEnum):
    """What became of a step."""

    OK = "ok"
    DONE = "done"
    NOTE = "note"
    TO_DO = "to_do"


_WORDS = {_Done.OK: _("ok"), _Done.DONE: _("done"), _Done.NOTE: _("note"), _Done.TO_DO: _("TO DO")}


class Dialog:
    """Reports each step and counts what is left to do. With `yes` every question is answered yes.

    Without a terminal, and without `yes`, every question is answered no. As JSON, the steps are printed by `close`.
    """

    def __init__(self, *, yes: bool, form: Form = "text", language: str = ENGLISH) -> None:
        self._yes = yes
        self._form = form
        self.language = language
        self._steps: list[dict[str, str]] = []
        self.left = 0

    @property
    def is_interactive(self) -> bool:
        """Whether somebody can answer."""
        return sys.stdin.isatty()

    def ok(self, what: Message, text: Message) -> None:
        """Say what was right already."""
        self._say(_Done.OK, what, text)

    def done(self, what: Message, text: Message) -> None:
        """Say what has been changed."""
        self._say(_Done.DONE, what, text)

    def note(self, what: Message, text: Message) -> None:
        """Say what is worth knowing; nothing has to be done."""
        self._say(_Done.NOTE, what, text)

    def to_do(self, what: Message, text: Message) -> None:
        """Say what the reader has to do."""
        self.left += 1
        self._say(_Done.TO_DO, what, text)

    def agrees(self, question: Message) -> bool:
        """Ask whether to change something."""
        if self._yes or not self.is_interactive:
            return self._yes
        return confirmed(question, self.language)

    def waited_for(self, question: Message) -> bool:
        """Ask whether somebody has done what only a person can do; without a terminal nobody has."""
        return self.is_interactive and confirmed(question, self.language)

    def close(self) -> None:
        """Print the steps as JSON, where that is wanted, also those before one that failed."""
        if self._form == "json":
            print_json(to_do=self.left, steps=self._steps)

    def _say(self, state: _Done, what: Message, text: Message) -> None:
        said = text.say(self.language)
        if self._form == "json":
            self._steps.append({"step": what.id, "state": state.value, "text": said})
            return
        words = {each: word.say(self.language) for each, word in _WORDS.items()}
        width = max(6, *map(len, words.values()))
        sys.stdout.write(f"{words[state]:<{width}} {what.say(self.language):<22} {printable(said)}\n")
        sys.stdout.flush()


def read_key(file: str | None, prompt: Message, language: str) -> str:
    """Return a Stripe key: from a file, from standard input (`-`), or typed without an echo.

    Never from an argument, which the shell's history and the list of processes would show. Raises `InvalidRequest`.
    """
    if file == "-":
        text = sys.stdin.read()
    elif file is not None:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error.reason
            raise InvalidRequest(
                "no_stripe_key", sentence("Cannot read the key file {file}: {why}", file=file, why=why)
            ) from error
    elif sys.stdin.isatty():
        asked = _("{prompt} (not shown): ", prompt=prompt)
        text = getpass(asked.say(language))
    else:
        raise InvalidRequest(
            "no_stripe_key",
            sentence("No terminal to ask for the Stripe key: give --stripe-key-file, or - for standard input"),
        )
    key = text.strip()
    if not is_api_key(key):
        # Not quoted: it may be a key with a slip in it.
        raise InvalidRequest(
            "bad_stripe_key", sentence("Not a secret or restricted key of Stripe's, such as rk_live_...")
        )
    return key
