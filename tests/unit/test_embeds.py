"""What a site's developer pastes: each snippet is a file, shown verbatim, and run by its own language."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import jwt
import pytest

from shared.errors import Unauthenticated
from shared.link_token import LinkTokens
from tests.embeds import EMBEDS, LANGUAGES, SECRET, mint

PAGE = (EMBEDS.parent / "embeds.md").read_text()
SHOWN = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", sorted(EMBEDS.iterdir()), ids=lambda path: path.name)
def test_every_snippet_is_shown_as_it_is(path: Path) -> None:
    assert path.read_text() in SHOWN


def test_the_page_shows_nothing_but_the_snippets() -> None:
    assert sorted(SHOWN) == sorted(path.read_text() for path in EMBEDS.iterdir())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_token_of_each_language_is_accepted(language: str) -> None:
    now = time.time()
    claims = LinkTokens({"1": SECRET}).read(mint(language, "cus_Ada1"), now=now)
    assert claims.sub == "cus_Ada1"
    given: dict[str, str | int] = {"flow": "subscription_update_confirm", "subscription": "sub_1", "price": "price_1"}
    given |= {"quantity": 3, "locale": "fr-CA", "group": "Gästé"}
    read = LinkTokens({"1": SECRET}).read(mint(language, "cus_Ada1", given, 60), now=now)
    assert read.model_dump(include={"sub", *given}) == {"sub": "cus_Ada1", **given}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_token_is_about_cannot_be_changed_by_its_claims(language: str) -> None:
    token = mint(language, "cus_Ada1", {"sub": "cus_Eve1", "aud": "elsewhere", "exp": "0"})
    assert LinkTokens({"1": SECRET}).read(token, now=time.time()).sub == "cus_Ada1"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_token_lives_as_long_as_it_was_told_to(language: str) -> None:
    token = mint(language, "cus_Ada1", {}, 120)
    expires = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert 0 <= expires - 120 - time.time() + 30 <= 31
    with pytest.raises(Unauthenticated):
        LinkTokens({"1": SECRET}).read(mint(language, "cus_Ada1", {}, -5), now=time.time())
    with pytest.raises(Unauthenticated):
        LinkTokens({"1": SECRET}).read(mint(language, "cus_Ada1", {}, 8 * 86_400), now=time.time())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_token_of_another_secret_is_refused(language: str) -> None:
    with pytest.raises(Unauthenticated):
        LinkTokens({"1": "another secret, as long as the other one was"}).read(
            mint(language, "cus_Ada1"), now=time.time()
        )


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_the_buttons_script_is_javascript() -> None:
    (script,) = re.findall(r"<script>\n(.*?)</script>", (EMBEDS / "button.html").read_text(), re.DOTALL)
    done = subprocess.run(["node", "--check", "-"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_address_that_is_to_be_replaced_is_the_same_everywhere() -> None:
    every = "\n".join(path.read_text() for path in EMBEDS.iterdir())
    assert set(re.findall(r"https://[^\"/\s`]+", every)) == {"https://api.example.com"}
