"""Runs the snippets that mint link tokens, each by its own language."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

EMBEDS = Path(__file__).parents[1] / "docs" / "how-to" / "embeds"
SECRET = "the link secret of this test, long enough for HS256"

# How each language loads the file and prints what the function answers; arguments come as one JSON text.
_PROGRAMS = {
    "node": [
        "--input-type=module",
        "--eval",
        (
            "const [file, given] = process.argv.slice(1); const { portalToken } = await import(file);"
            "process.stdout.write(portalToken(...JSON.parse(given)))"
        ),
        str(EMBEDS / "portal_token.mjs"),
    ],
    "python": [
        "-c",
        (
            "import json, runpy, sys; f = runpy.run_path(sys.argv[1])['portal_token'];"
            "print(f(*json.loads(sys.argv[2])), end='')"
        ),
        str(EMBEDS / "portal_token.py"),
    ],
    "php": [
        "-r",
        "require $argv[1]; echo portal_token(...json_decode($argv[2], true));",
        str(EMBEDS / "portal_token.php"),
    ],
    "ruby": [
        "-rjson",
        "-e",
        "require ARGV[0]; print portal_token(*JSON.parse(ARGV[1]))",
        str(EMBEDS / "portal_token.rb"),
    ],
}
LANGUAGES = tuple(_PROGRAMS)


def mint(language: str, customer: str, claims: Mapping[str, str | int] | None = None, seconds: int = 900) -> str:
    """Have the language's snippet make a token; skips the test where the language is not installed."""
    program = sys.executable if language == "python" else shutil.which(language)
    if program is None:
        pytest.skip(f"{language} is not installed")
    arguments = json.dumps([SECRET, customer, dict(claims or {}), seconds])
    done = subprocess.run(
        [program, *_PROGRAMS[language], arguments], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
