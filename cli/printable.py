"""Text of other people's on a terminal: what could move the cursor, hide or turn round is written out."""


def printable(text: str) -> str:
    r"""Answer one line in which every character can be seen: an escape becomes `\x1b`, a line's end `\n`."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
