"""A third language is one file: in a made-up one, everything that people read is translated, and nothing slips past.

Its catalogue puts each sentence between brackets, and an accent on each letter.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.message import EmailMessage
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import cli.link
from cli.audit import report_as_text
from cli.explain import explained_as_text
from cli.link import MintedLink
from functions.nightly_audit.mail import compose
from shared import i18n
from shared.audit.rendering.as_html import to_html
from shared.audit.report import ReportView
from shared.errors import OperatorError, PortalError, Unauthenticated, Unavailable
from shared.link_token import Flow
from shared.portal.configuration import Configuration
from shared.portal.explain import ExplainedSubscription, Explanation
from shared.portal.pause import pause_day
from shared.portal.payment_methods import SUPPORTED
from shared.portal.rules import find_problems
from shared.visitor_page import Visitor, visitor_page
from tests import pseudo_locale
from tests.mail_samples import PEOPLE, samples
from tests.pseudo_locale import OPENING, PSEUDO, third_language
from tests.unit.test_portal_rules import facts, features, plain

CONFIGURATION = {"id": "bpc_1", "active": True, "features": {"subscription_pause": {"enabled": True}}}


@pytest.fixture(autouse=True)
def language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with third_language(tmp_path, monkeypatch):
        yield


_NAMES = re.compile(
    r"\b(?:" + "|".join(re.escape(word) for each in PEOPLE for word in re.findall(r"\w+", each)) + r")\b"
)


def untranslated(text: str) -> list[str]:
    return pseudo_locale.untranslated(_NAMES.sub(" ", text))


def words_of(html: str) -> str:
    """Return what a reader of the page sees."""
    html = re.sub(r"<!--.*?-->|<(style|title)[^>]*>.*?</\1>", "", html, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", " ", html))


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part
    return " ".join(str(part.get_content()).split())


def test_it_is_a_language_like_the_others() -> None:
    assert i18n.languages() == ("en", PSEUDO)
    assert i18n.best_language("fr, xx;q=0.5") == PSEUDO


@pytest.mark.parametrize("name", samples())
def test_the_nights_mail_and_the_report(name: str) -> None:
    report, before, change, link = samples()[name]
    message = compose(ReportView(report, PSEUDO, before, change, link), "audit@example.com", ("team@example.com",))
    assert OPENING in str(message["Subject"])
    assert untranslated(str(message["Subject"]).replace("\n", "")) == []
    assert untranslated(body(message, "plain")) == []
    assert untranslated(words_of(body(message, "html"))) == []
    assert untranslated(words_of(to_html(ReportView(report, PSEUDO)))) == []
    assert f'<html lang="{PSEUDO}">' in body(message, "html")


def test_the_report_in_the_terminal() -> None:
    report = samples()["several"][0]
    console = Console(width=200, record=True, file=StringIO())
    console.print(report_as_text(ReportView(report, PSEUDO)))
    names_of_checks = re.compile(r"\(\w+\)$", re.MULTILINE)
    assert untranslated(names_of_checks.sub("", console.export_text())) == []


@pytest.mark.parametrize(
    "error",
    [Unauthenticated("expired_token", ""), OperatorError("bad_secret", ""), Unavailable("stripe_unavailable", "")],
)
def test_the_visitors_page(error: PortalError) -> None:
    page = visitor_page(error, Visitor("xx", has_token=True, reference="0123"))
    assert untranslated(words_of(page)) == []
    assert f'<html lang="{PSEUDO}">' in page


def test_what_the_portal_lets_a_customer_do() -> None:
    given = facts(plain("past_due", schedule_id="sub_sched_1"), features=features(subscription_pause={"enabled": True}))
    problems = tuple(find_problems(Configuration.from_stripe(CONFIGURATION), pause_day(date(2026, 11, 22))))
    assert problems
    explained = ExplainedSubscription(Explanation(given, "FR"), "bpc_1", problems, None, ("Prices",))
    console = Console(width=200, record=True, file=StringIO())
    console.print(explained_as_text(explained, PSEUDO))
    text = console.export_text()
    brands = (each.name.say(PSEUDO) for each in SUPPORTED if OPENING not in each.name.say(PSEUDO))
    for name in (*(each.type for each in SUPPORTED), *brands):
        text = text.replace(name, " ")
    assert untranslated(text) == []


@pytest.mark.parametrize("flow", cli.link._PAGES)
def test_the_mail_of_a_link(flow: Flow | None) -> None:
    link = MintedLink(
        "https://api.example/x", "https://api.example/portal", flow, datetime(2026, 12, 1, 8, 5, tzinfo=UTC)
    )
    sender = "Northwind <billing@shop.example>"
    message = cli.link.compose(link, sender=sender, recipient="ada@example.com", language=PSEUDO)
    assert untranslated(str(message["Subject"])) == []
    assert untranslated(body(message, "plain")) == []
    assert untranslated(words_of(body(message, "html"))) == []
