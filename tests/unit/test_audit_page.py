"""What a reader of the mail sees, hears and can do, in both languages and both colour schemes."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from shared.audit.findings import CustomerName, Finding, ListChange, Severity
from shared.audit.rendering.as_html import BANDS, DARK, LARGEST_HTML, LIGHT, ON_BAND, mail_bodies, to_html
from shared.audit.rendering.page import Medium, page_of
from shared.audit.report import PastNight, ReportView
from shared.i18n import _, sentences, verbatim
from shared.portal.pause import PauseOrigin, Phase
from shared.stripe.money import MonthlyAmount
from tests.audit_findings import finding
from tests.fakes import audit_report
from tests.mail_samples import samples

TONIGHT = date(2026, 11, 22)
YESTERDAY = TONIGHT - timedelta(days=1)
LANGUAGES: tuple[str, ...] = ("en", "fr")
EDITIONS = {
    f"{name} in {language}": ReportView(report, language, nights, change, link)
    for name, (report, nights, change, link) in samples().items()
    for language in LANGUAGES
}


class Elements(HTMLParser):
    """Every element with its attributes, and the text of every link."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.links: list[str] = []
        self._in_link = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "a":
            self._in_link = True
            self.links.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_link = self._in_link and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._in_link:
            self.links[-1] += data

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def plain(words: str) -> str:
    """Without the typography of French."""
    return words.replace("\u202f", " ").replace("\u00a0", " ").replace("\u2019", "'")


def night(days_ago: int, customers: int, *, complete: bool = True, **totals: int) -> PastNight:
    amounts = {currency: Decimal(amount) for currency, amount in totals.items()}
    return PastNight(TONIGHT - timedelta(days=days_ago), complete, customers, customers, amounts)


def page(*findings: Finding, language: str = "en", **facts: Any) -> Any:
    return page_of(ReportView(audit_report(*findings), language, **facts), Medium.MAIL)


# ------------------------------------------------------------------ what mail clients and readers need


def broken(rules: Callable[[ReportView], dict[str, bool]]) -> list[str]:
    """The rules that a sample of the mail breaks, with the sample's name."""
    return [
        f"{name}: {rule}" for name, edition in EDITIONS.items() for rule, kept in rules(edition).items() if not kept
    ]


def test_the_page_is_what_mail_clients_render() -> None:
    def rules(edition: ReportView) -> dict[str, bool]:
        _, html = mail_bodies(edition, Medium.MAIL)
        parsed = Elements(html)
        forbidden = {"img", "link", "script", "svg", "iframe", "form", "video"}
        return {
            "no element that clients block": not forbidden & {tag for tag, _ in parsed.elements},
            "no style that clients drop": not re.search(
                r"url\(|@import|display:\s*(?:flex|grid)|position:|background-image", html
            ),
            "all tables but one are for layout": all(
                table.get("role") == "presentation" or table["class"] == "pauses" for table in parsed.of("table")
            ),
            "that one has headings": all(cell["scope"] for cell in parsed.of("th")),
            "names its language": parsed.of("html") == [{"lang": edition.language}],
            "has two colour schemes": {"name": "color-scheme", "content": "light dark"} in parsed.of("meta"),
            "is 680 pixels wide": "max-width:680px" in html,
            "is 680 pixels wide in Outlook": '<!--[if mso]><table role="presentation" width="680"' in html,
        }

    assert broken(rules) == []


def test_a_screen_reader_finds_headings_in_order_and_links_that_say_something() -> None:
    def rules(edition: ReportView) -> dict[str, bool]:
        parsed = Elements(mail_bodies(edition, Medium.MAIL)[1])
        headings = [tag for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
        return {
            "begins with h1": headings[0] == "h1",
            "skips none": headings[1] == "h2" and set(headings[2:]) <= {"h2", "h3"},
            "every link has text": all(text.strip() for text in parsed.links),
            "no link within a link": len(parsed.of("a")) == len(parsed.links),
            "every link is https": all(str(each["href"]).startswith("https://") for each in parsed.of("a")),
        }

    assert broken(rules) == []


def test_the_text_stands_alone_in_78_columns() -> None:
    def rules(edition: ReportView) -> dict[str, bool]:
        text, _ = mail_bodies(edition, Medium.MAIL)
        return {
            "no long line": all(len(line) <= 78 or " " not in line.strip("- ") for line in text.splitlines()),
            "no gaps": "\n\n\n\n" not in text,
            "no markup": not re.search(r"<[a-z/]+[ >]|&[a-z#]+;|`", text),
        }

    assert broken(rules) == []


def test_the_audit_s_own_words_are_in_one_language() -> None:
    words = {
        "en": r"\b(?:To do|What to do|Since|Then|night|not shown|subscriptions? read|Times are|CRITICAL|warning)\b",
        "fr": r"\b(?:À faire|Depuis|Ensuite|nuit|non affichés|Abonnements|Heures|CRITIQUE|avertissement)\b",
    }

    def rules(edition: ReportView) -> dict[str, bool]:
        text, html = mail_bodies(edition, Medium.MAIL_WITH_LIST)
        shown = re.sub(r"(?s)<style>.*</style>|<[^>]+>", "", html)
        other = words["en" if edition.language == "fr" else "fr"]
        return {
            f"{body} has no word of the other language": not re.search(other, part)
            for body, part in {"text": text, "HTML": shown}.items()
        }

    assert broken(rules) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hundred_rows_stay_below_what_gmail_cuts_off(language: str) -> None:
    edition = ReportView(audit_report(*(finding(10**22 + number) for number in range(150))), language)
    _, html = mail_bodies(edition, Medium.MAIL_WITH_LIST)
    assert html.count('<td class="first"') == 100
    assert len(html.encode()) <= LARGEST_HTML < 102_000


def test_a_page_that_would_be_cut_off_shows_fewer_rows_and_says_so() -> None:
    long = [
        finding(number, customer_id=f"cus_{number}" + "x" * 240, subscription_id="sub_" + "y" * 240 + str(number))
        for number in range(150)
    ]
    text, html = mail_bodies(ReportView(audit_report(*long), "fr"), Medium.MAIL_WITH_LIST)
    assert len(html.encode()) <= LARGEST_HTML
    rows = html.count('<td class="first" ')
    assert rows == text.count("https://dashboard") == 60
    assert "et 90 autres, non affichés ici." in plain(html)


def test_however_many_kinds_of_finding_there_are_the_mail_stays_whole() -> None:
    meaning = verbatim("Means something. " * 40)
    many = [
        Finding(
            "links",
            Severity.WARNING,
            tuple(f"bpc_{number}{each}" + "z" * 200 for each in range(50)),
            sentences(verbatim(f"{number}"), meaning),
            meaning,
        )
        for number in range(60)
    ]
    _, html = mail_bodies(ReportView(audit_report(*many), "fr"), Medium.MAIL)
    assert len(html.encode()) <= LARGEST_HTML
    assert html.rstrip().endswith("</html>")
    assert "Et 35 autres types de constats" in plain(html)


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(scheme: Any) -> None:
    colours = asdict(scheme)
    texts = ("text", "muted", "link", "critical", "warning", "info")
    low = [
        (name, ground) for name in texts for ground in ("card", "box") if contrast(colours[name], colours[ground]) < 4.5
    ]
    assert low == []
    # A bar is a graphic: 3 to 1.
    assert min(contrast(colours[name], colours["card"]) for name in ("bar", "tonight", "warning")) >= 3


def test_the_bars_are_seen_where_a_client_inverts_the_colours_by_itself() -> None:
    assert min(contrast(colour, "#121212") for colour in (LIGHT.bar, LIGHT.tonight, LIGHT.warning)) >= 3


@pytest.mark.parametrize("band", BANDS)
def test_the_first_lines_have_the_contrast_of_wcag_aa(band: str) -> None:
    assert contrast(BANDS[band], ON_BAND) >= 4.5


# ------------------------------------------------------------------ what is said first


def test_green_means_that_nobody_has_to_look() -> None:
    crash = Finding("crashed_check", Severity.CRITICAL, (), verbatim("Crashed."), verbatim("Look."))
    incomplete = Finding("webhook_endpoints", Severity.WARNING, ("we_1",), verbatim("Missing."), verbatim("Fix it."))
    know = Finding("portal_limits", Severity.INFO, ("sub_1",), verbatim("Limited."), verbatim("Nothing."))
    assert page(know).band == "good"
    assert page(incomplete).band == "attention"
    assert page(replace(incomplete, severity=Severity.CRITICAL)).band == "alarm"
    assert page(crash).band == page(finding()).band == "alarm"


def test_an_incomplete_audit_says_so_beside_its_numbers() -> None:
    crash = Finding("crashed_check", Severity.CRITICAL, (), verbatim("Crashed."), verbatim("Look."))
    for body in mail_bodies(ReportView(audit_report(crash, finding()), "en"), Medium.MAIL):
        assert "The audit is incomplete: see its critical findings." in " ".join(body.split())
        assert BANDS["good"] not in body


def test_the_numbers_of_an_incomplete_audit_are_at_least_so_many() -> None:
    crash = Finding("crashed_check", Severity.CRITICAL, (), verbatim("Crashed."), verbatim("Look."))
    assert [each.numbers for each in page(crash, finding()).figures] == [
        ("at least 1 customer",),
        ("at least 12.50 EUR",),
    ]
    assert page(crash).figures[0].numbers == ("No customer served for free was found",)


def test_of_many_currencies_three_are_read_first_and_all_are_in_the_facts() -> None:
    amounts = {code: Decimal(1000) for code in ("chf", "eur", "jpy", "kwd", "usd")}
    shown = page(finding(monthly=MonthlyAmount(amounts)))
    assert shown.figures[1].numbers == ("10.00 CHF", "10.00 EUR", "1,000 JPY")
    assert shown.figures[1].words == "a month not collected, and 2 other currencies"
    assert "Not collected a month: 10.00 CHF, 10.00 EUR, 1,000 JPY, 1.000 KWD and 10.00 USD." in shown.facts


def test_the_worst_findings_come_first_and_of_these_the_ones_that_cost_money() -> None:
    shown = page(
        Finding("old_pause_form", Severity.WARNING, ("bpc_1",), verbatim("Old."), verbatim("Stop.")),
        finding(1, Severity.INFO, "Mild.", served_free=False),
        finding(2, Severity.WARNING, "Real pause.", served_free=False),
        finding(3, Severity.WARNING, "Free."),
        finding(4, Severity.CRITICAL, "Grave."),
        finding(5, Severity.INFO, "Mild.", served_free=False),
    )
    assert [[row.subject.id for row in task.rows] for task in shown.pauses.tasks] == [
        ["sub_4", "sub_3", "sub_2"],
        ["sub_1", "sub_5"],
    ]
    (section,) = shown.sections
    assert [finding.meaning for task in section.tasks for finding in task.findings] == ["Old."]


def test_a_kind_of_finding_is_told_even_when_the_rows_are_used_up() -> None:
    paused = [finding(number) for number in range(100)]
    shown = page(
        *paused,
        finding(200, Severity.INFO, "Mild.", served_free=False),
        Finding("old_pause_form", Severity.WARNING, ("bpc_1",), verbatim("Old."), verbatim("Stop.")),
    )
    assert [(task.heading, len(task.rows), task.left_out) for task in shown.pauses.tasks] == [
        ("Ask the customer first, then resume or cancel (100)", 100, ""),
        ("Nothing to do now (1)", 0, "1, not shown here."),
    ]


# ------------------------------------------------------------------ the table of pauses
TWELVE = samples()["twelve"][0]


def test_one_table_has_every_pause_with_its_customer_money_and_future() -> None:
    table = page_of(ReportView(TWELVE, "en"), Medium.MAIL).pauses
    assert table
    assert table.title == "Paused subscriptions (12)"
    assert sum(len(task.rows) for task in table.tasks) == 12
    first = table.tasks[0].rows[0]
    assert (first.subject.name, first.subject.email) == ("Ada Lovelace", "customer1@shop-1.example")
    assert (first.monthly, first.missed) == ("4,900.00 EUR a month", "at least 161,700.00 EUR voided so far")
    assert (first.since, first.note) == ("paused since 2 March 2024 or earlier", "free since 5 March 2024 or earlier")
    assert first.next == "no end: it lasts until you end it"
    nameless = table.tasks[-1].rows[-1].subject
    assert (nameless.name, nameless.email) == ("cus_Rk7e0000000015", "")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["one", "several", "twelve", "many", "resume_only"])
def test_each_explanation_is_said_once(name: str, language: str) -> None:
    report, before, change, link = samples()[name]
    shown = page_of(ReportView(report, language, before, change, link), Medium.MAIL)
    assert shown.pauses
    said = [each.words for each in shown.pauses.explanations]
    said += [words for section in shown.sections for words in section.details]
    sentences_ = [part for words in said for part in re.split(r"(?<=[.!?]) ", words)]
    assert len(sentences_) == len(set(sentences_))


def test_no_api_path_or_backtick_stands_before_what_is_for_developers() -> None:
    for edition in EDITIONS.values():
        for body in mail_bodies(edition, Medium.MAIL):
            above = re.split(r"(?i)for your developers|pour vos développeurs", body)[0]
            assert not re.search(r"/v1/|pause_collection|auto_advance|`", above.replace("pause-payment", ""))


def test_nobody_is_told_to_resume_or_cancel_without_asking_the_customer() -> None:
    for name, edition in EDITIONS.items():
        if edition.language == "en":
            text, _ = mail_bodies(edition, Medium.MAIL)
            for paragraph in re.split(r"\n\n|\n- ", text):
                if re.search("(resume|cancel) or cancel|then resume", " ".join(paragraph.split())):
                    assert re.search("[Aa]sk the customer", " ".join(paragraph.split())), (name, paragraph)


def test_the_lines_of_help_lead_to_the_teams_documentation() -> None:
    shown = page_of(ReportView(TWELVE, "en", help_url="https://docs.shop.example/audit"), Medium.MAIL).pauses
    assert shown
    anchors = [each.url.rpartition("#")[2] for each in shown.help if each.url.startswith("https://docs.shop.example")]
    headings = re.findall(
        r"^#+ (.+)$", (Path(__file__).parents[2] / "docs/reference/audit.md").read_text(), re.MULTILINE
    )
    assert anchors
    assert set(anchors) <= {heading.lower().replace(" ", "-") for heading in headings}


def test_three_hundred_customers_fit_in_a_mail() -> None:
    for language in LANGUAGES:
        _, html = mail_bodies(ReportView(samples()["three_hundred"][0], language), Medium.MAIL_WITH_LIST)
        assert html.count('<td class="first" ') == 100
        assert len(html.encode()) <= LARGEST_HTML


def test_a_team_whose_service_honors_pauses_reads_first_how_many_are_paused() -> None:
    report = replace(audit_report(finding(served_free=False, honored=True)), service_honors_pauses=True)
    shown = page_of(ReportView(report, "en"), Medium.MAIL)
    assert [(each.numbers, each.words) for each in shown.figures] == [
        (("1 customer",), "paused"),
        (("12.50 EUR",), "a month not collected"),
    ]


def test_what_asks_for_the_same_stands_together_and_customers_come_before_developers() -> None:
    late = replace(
        Finding("long_pause", Severity.WARNING, ("sub_1",), verbatim("Long."), verbatim("Ask.")),
        customers=(CustomerName("cus_1", "Zoé Martin", "zoe@b.example"),),
    )
    shown = page(
        Finding(
            "webhook_endpoints", Severity.CRITICAL, ("we_1",), verbatim("Off."), sentences(_("Fix it."), _("Now."))
        ),
        late,
        Finding("drift", Severity.INFO, ("sub_2",), verbatim("Drifted."), sentences(_("Fix it."), _("Now."))),
    )
    assert [section.title for section in shown.sections] == ["Other findings about customers", "For your developers"]
    assert shown.sections[0].tasks[0].findings[0].subjects[0].name == "Zoé Martin"
    (task,) = shown.sections[1].tasks
    assert (task.action, [each.meaning for each in task.findings], task.more) == (
        "Fix it.",
        ["Off.", "Drifted."],
        "Now.",
    )


# ------------------------------------------------------------------ what to do today


@pytest.mark.parametrize(
    ("facts", "phase", "english", "french"),
    [
        (
            {},
            Phase.STRANDED,
            "Ask the customers of 2 subscriptions, then resume or cancel: they cannot resume without you.",
            (
                "Consultez les clients de 2 abonnements, puis reprenez ou résiliez : ils ne peuvent pas reprendre sans "
                "vous."
            ),
        ),
        (
            {"origin": PauseOrigin.UNKNOWN},
            Phase.STRANDED,
            "Find out who paused 2 subscriptions, and why: without you the pauses have no end.",
            "Cherchez qui a suspendu 2 abonnements, et pourquoi : sans vous, les suspensions n'ont pas de fin.",
        ),
        (
            {"origin": PauseOrigin.UNKNOWN},
            Phase.RESUME_ONLY,
            "Ask the customers of 2 subscriptions to resume in the portal within 17 days.",
            "Invitez les clients concernés (2 abonnements) à reprendre leurs paiements dans le portail d'ici 17 jours.",
        ),
        (
            {"origin": PauseOrigin.NOT_BUTTON},
            Phase.RESUME_ONLY,
            "Find out who paused 2 subscriptions, and why: without you the pauses have no end.",
            "Cherchez qui a suspendu 2 abonnements, et pourquoi : sans vous, les suspensions n'ont pas de fin.",
        ),
        (
            {},
            Phase.RESUME_ONLY,
            "Ask the customers of 2 subscriptions to resume in the portal within 17 days.",
            "Invitez les clients concernés (2 abonnements) à reprendre leurs paiements dans le portail d'ici 17 jours.",
        ),
        (
            {},
            Phase.BUTTON_AVAILABLE,
            "Ask the customers of 2 subscriptions whether to resume or cancel.",
            "Demandez aux clients concernés (2 abonnements) s'ils souhaitent reprendre ou résilier.",
        ),
        (
            {"behavior": "keep_as_draft"},
            Phase.STRANDED,
            "Ask the customers of 2 subscriptions, then resume or cancel: without you the pauses have no end.",
            (
                "Consultez les clients de 2 abonnements, puis reprenez ou résiliez : sans vous, les suspensions n'ont "
                "pas de fin."
            ),
        ),
        (
            {"resumes_at": datetime(2026, 12, 1, tzinfo=UTC)},
            Phase.STRANDED,
            "Check the dates on which collection starts again for 2 subscriptions.",
            "Vérifiez les dates de reprise des paiements de 2 abonnements.",
        ),
        (
            {"kind": "subscription", "cause": "trial_end_without_payment_method", "served_free": False},
            Phase.STRANDED,
            "Ask for valid payment methods: 2 subscriptions are paused without one.",
            "Demandez des moyens de paiement valables : 2 abonnements sont en pause faute de paiement.",
        ),
        (
            {"kind": "subscription", "cause": "final_payment_failure", "served_free": False},
            Phase.STRANDED,
            "Ask the customers to pay: 2 subscriptions are paused because a renewal was not paid.",
            "Demandez aux clients de payer : 2 abonnements sont en pause car un renouvellement n'a pas été payé.",
        ),
        (
            {"kind": "subscription", "cause": "system", "served_free": False},
            Phase.STRANDED,
            "Find out why 2 subscriptions are paused.",
            "Cherchez pourquoi 2 abonnements sont en pause.",
        ),
    ],
)
def test_what_to_do_today_is_one_sentence_with_its_count(
    facts: dict[str, Any], phase: Phase, english: str, french: str
) -> None:
    # Two kinds that ask for the same are one task.
    report = audit_report(finding(1, meaning="One.", **facts), finding(2, meaning="Two.", **facts))
    report = replace(report, phase=phase, days_left=17)
    assert page_of(ReportView(report, "en"), Medium.MAIL).to_do == english
    assert plain(page_of(ReportView(report, "fr"), Medium.MAIL).to_do) == french


def test_a_pause_that_ends_by_itself_waits_for_the_others() -> None:
    by_itself = datetime(2026, 12, 1, tzinfo=UTC)
    one = [finding(number, Severity.WARNING, "By itself.", resumes_at=by_itself) for number in range(5)]
    other = finding(9, Severity.WARNING, "Draft.", behavior="keep_as_draft")
    assert page(*one, other).to_do == (
        "Ask the customer of 1 subscription, then resume or cancel: without you the pause has no end."
    )


def test_any_other_finding_says_itself_what_to_do() -> None:
    incomplete = Finding(
        "webhook_endpoints",
        Severity.WARNING,
        ("we_1",),
        verbatim("Types are missing."),
        sentences(_("Add these types to the endpoint."), verbatim("Then wait.")),
    )
    assert page(incomplete).to_do == "Webhook endpoints: Add these types to the endpoint."
    assert (
        plain(page(incomplete, language="fr").to_do)
        == "Points de terminaison de webhook : Ajoutez ces types d'événements au point de terminaison."
    )


def test_what_waits_behind_the_first_task_is_counted() -> None:
    incomplete = Finding(
        "webhook_endpoints", Severity.WARNING, ("we_1", "we_2"), verbatim("Types are missing."), verbatim("Fix it.")
    )
    lost = [finding(number, meaning=f"{number}") for number in range(3)]
    other = replace(incomplete, severity=Severity.CRITICAL, subjects=())
    mild = finding(9, Severity.INFO, "Mild.", served_free=False)
    assert page(*lost, mild).then == ""
    assert page(*lost, incomplete).then == "Then: 2 warnings."
    assert (
        plain(page(*lost, incomplete, other, language="fr").then) == "Ensuite : 1 constat critique et 2 avertissements."
    )
    # Two that say themselves what to do are two tasks.
    shown = page(other, replace(other, meaning=verbatim("Off.")))
    assert (shown.to_do, shown.then) == ("Webhook endpoints: Fix it.", "Then: 1 critical finding.")


def test_information_asks_for_nothing() -> None:
    assert page(finding(1, Severity.INFO, served_free=False)).to_do == "Nothing."
    assert page(language="fr").to_do == "Rien."


def test_a_phone_previews_what_to_do_and_what_changed() -> None:
    shown = page(finding(1), nights=(night(1, 0),), change=ListChange(YESTERDAY, ("sub_1",), 1))
    _, html = mail_bodies(ReportView(audit_report(finding(1)), "en"), Medium.MAIL)
    assert shown.preheader == (
        "To do today: Ask the customer of 1 subscription, then resume or cancel: they cannot resume without you. "
        "Since yesterday: +1 customer, +12.50 EUR a month."
    )
    assert html.index("To do today: Ask") < html.index("Stripe audit")


# ------------------------------------------------------------------ what changed


def test_the_change_names_customers_money_and_the_first_new_ones() -> None:
    change = ListChange(YESTERDAY, ("sub_1", "sub_2"), 5, ("sub_8",), 1)
    before = night(1, 3, eur=5000, jpy=700)
    shown = page(finding(1), nights=(before,), change=change)
    assert shown.change == "Since yesterday: \u22122 customers, \u221237.50 EUR, \u2212700 JPY a month."
    new, gone = shown.names
    assert (new.words, [each.name for each in new.subjects], new.more) == (
        "Newly paused since yesterday:",
        ["sub_1", "sub_2"],
        "and 3 more",
    )
    assert (gone.words, [each.name for each in gone.subjects], gone.more) == (
        "No longer paused since yesterday:",
        ["sub_8"],
        "",
    )
    french = page(finding(1), language="fr", nights=(before,), change=change)
    assert plain(french.change) == "Depuis hier : \u22122 clients, \u221237,50 EUR, \u2212700 JPY par mois."
    assert plain(french.names[0].more) == "et 3 autres"


@pytest.mark.parametrize(
    ("change", "nights", "words"),
    [
        (None, (), ""),
        (ListChange(YESTERDAY), (night(1, 1, eur=1250),), "No change since yesterday."),
        (ListChange(YESTERDAY, ("sub_1",), 1), (night(1, 1, eur=1250),), "Since yesterday: the same sums."),
        (ListChange(date(2026, 11, 1)), (), "No change since 1 November 2026."),
        (ListChange(YESTERDAY, ("sub_1",), 1), (), ""),
        (ListChange(YESTERDAY, ("sub_1",), 1), (night(1, 0, complete=False),), ""),
        (ListChange(YESTERDAY, ("sub_1",), 1), (night(2, 0),), ""),
    ],
)
def test_nothing_is_said_of_a_change_that_is_not_known(
    change: ListChange | None, nights: tuple[PastNight, ...], words: str
) -> None:
    assert page(finding(1), nights=nights, change=change).change == words


def test_an_incomplete_audit_is_compared_with_nothing() -> None:
    crash = Finding("crashed_check", Severity.CRITICAL, (), verbatim("Crashed."), verbatim("Look."))
    shown = page(crash, nights=(night(1, 5),), change=ListChange(YESTERDAY, (), 0, ("sub_1",), 5))
    assert (shown.change, shown.names) == ("", ())


# ------------------------------------------------------------------ the trend


def test_each_night_is_a_bar_and_a_night_without_an_audit_is_a_gap() -> None:
    trend = page(finding(1), nights=(night(5, 8), night(4, 0), night(2, 3, complete=False), night(1, 1))).trend
    assert [bar.eighths for bar in trend.bars] == [8, 0, None, 3, 1, 1]
    assert [bar.complete for bar in trend.bars] == [True, True, True, False, True, True]
    assert trend.since == "Since 17 November 2026:"
    assert trend.lines[0] == "1 customer tonight; fewest 0, most 8. No audit: 1 night. Incomplete: 1 night."


def test_the_text_shows_the_bars_as_blocks() -> None:
    nights = (night(5, 8), night(4, 0), night(2, 3), night(1, 1))
    text, html = mail_bodies(ReportView(audit_report(finding(1)), "en", nights), Medium.MAIL)
    assert "\n\u2588_\u00b7\u2583\u2581\u2581\n" in text
    assert html.count('class="gap"') == 1
    assert html.count('class="now"') == 1
    # Bars say nothing to a screen reader: the sentence does.
    assert '<table role="presentation" width="20%"' in html
    assert html.count('aria-hidden="true"') == 1


def test_the_trend_goes_back_thirty_nights_at_most() -> None:
    trend = page(finding(1), nights=tuple(night(days, 1) for days in range(45, 0, -1))).trend
    assert len(trend.bars) == 30
    assert trend.lines[0] == "1 customer every night."


def test_the_first_night_has_no_trend_and_a_quiet_account_no_bars() -> None:
    assert page(finding(1)).trend is None
    assert page(finding(1), nights=(night(0, 3), night(30, 3))).trend is None
    quiet = page(nights=(night(2, 0), night(1, 0)), language="fr").trend
    assert quiet.bars == ()
    assert quiet.lines[0] == "aucun client, chaque nuit."


def test_money_is_told_then_and_now_for_a_few_currencies() -> None:
    few = page(finding(1), nights=(night(2, 1, jpy=500), night(1, 9, eur=9))).trend
    assert few.lines[1:] == (
        "0.00 EUR a month on 20 November 2026, 12.50 EUR tonight.",
        "500 JPY a month on 20 November 2026, 0 JPY tonight.",
    )
    many = page(finding(1), nights=(night(1, 1, jpy=1, usd=1, chf=1),)).trend
    assert len(many.lines) == 1


def test_one_customer_among_thousands_is_still_a_bar() -> None:
    trend = page(finding(1), nights=(night(1, 5000),)).trend
    assert [bar.eighths for bar in trend.bars] == [8, 1]


# ------------------------------------------------------------------ the page as a file


def test_a_file_has_all_rows_and_no_word_about_mail() -> None:
    report = audit_report(*(finding(number) for number in range(150)))
    html = to_html(ReportView(report, "en"))
    assert html.count('<td class="first"') == 150
    assert not re.search("this mail|attached|mso-hide", html)
