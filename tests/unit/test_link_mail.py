"""The mail that brings a link: what it says, in two languages, to a reader with images off."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from typing import Any, get_args

import pytest

from cli.link import _PAGES, MintedLink, compose
from shared.link_token import Flow
from shared.ses import on_the_wire

URL = "https://api.example/portal?token=eyJ.a.b&return_url=https%3A%2F%2Fshop.example%2F"
LINK = MintedLink(URL, "https://api.example/portal", None, datetime(2026, 12, 1, 8, 5, tzinfo=UTC))


def mail(
    link: MintedLink = LINK, sender: str = "Northwind <billing@shop.example>", language: Any = "en"
) -> EmailMessage:
    return compose(link, sender=sender, recipient="ada@example.com", language=language)


def text_of(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part
    return str(part.get_content())


class Read(HTMLParser):
    """What a page has: links, images, and the words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_it_says_what_it_opens_until_when_and_who_sent_it() -> None:
    message = mail()
    assert message["Subject"] == "Northwind: Your link to manage your subscription"
    assert (message["From"], message["To"]) == ("Northwind <billing@shop.example>", "ada@example.com")
    for words in (text_of(message, "plain"), Read(text_of(message, "html")).words):
        for said in (
            "opens your billing page",
            "It works until 1 December 2026, 08:05 UTC.",
            "whoever has it can open the page",
            "Northwind has sent you this mail, from billing@shop.example.",
            URL,
        ):
            assert said in " ".join(words.split())


def test_it_says_so_in_french_as_it_is_printed() -> None:
    message = mail(language="fr")
    assert message["Subject"] == "Northwind\u00a0: Votre lien pour gérer votre abonnement"
    text = text_of(message, "plain")
    assert "jusqu\u2019au 1er décembre 2026 à 8\u00a0h\u00a005 (UTC)" in text
    assert not re.search(r"[a-z]'[a-z]| [;:!?]", text.replace(URL, ""))
    assert '<html lang="fr">' in text_of(message, "html")


def test_the_page_has_one_button_and_needs_no_image_or_script() -> None:
    page = Read(text_of(mail(), "html"))
    assert page.links == [URL, "https://api.example/portal"]
    assert not page.tags & {"img", "script", "link", "form", "iframe"}
    assert "prefers-color-scheme: dark" in text_of(mail(), "html")


def test_every_flow_has_words_of_its_own() -> None:
    assert set(_PAGES) == {None, *get_args(Flow)}
    said = {mail(MintedLink(URL, URL, flow, LINK.expires_at)).as_string() for flow in _PAGES}
    assert len(said) == len(_PAGES)


def test_without_a_name_the_senders_domain_says_who_writes() -> None:
    message = mail(sender="billing@shop.example")
    assert message["Subject"] == "Your link to manage your subscription"
    assert "shop.example has sent you this mail, from billing@shop.example" in text_of(message, "plain")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_wire_has_seven_bits_and_gives_back_what_was_written(language: str) -> None:
    message = mail(sender="Café Nord & Fils <billing@shop.example>", language=language)
    wire = on_the_wire(message)
    assert wire.isascii()
    read = message_from_bytes(wire, EmailMessage, policy=SMTP)
    assert read["Subject"] == message["Subject"]
    assert text_of(read, "plain").splitlines() == text_of(message, "plain").splitlines()
    assert "Café Nord &amp; Fils" in text_of(read, "html")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_line_of_the_mail_is_longer_than_mail_allows(language: str) -> None:
    long = MintedLink(URL + "x" * 3000, URL, None, LINK.expires_at)
    message = mail(long, language=language)
    assert max(map(len, on_the_wire(message).splitlines())) <= 998
    assert long.url in text_of(message, "plain")
