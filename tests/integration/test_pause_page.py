"""The page on which customers pause: every step of it against the simulator, as a browser without JavaScript goes."""

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import pytest

from functions.pause.caller import Caller
from functions.pause.look import Brand
from functions.pause.page import PageAnswer, PausePages, Visit
from functions.pause.portal_pause import PortalPauses
from shared.errors import Forbidden
from shared.pausing.history import PauseState
from tests.integration.pausing_world import DAY, LINKS, OPEN, TEAM, Outcome, World, pauses, world
from tests.integration.simulator_fixtures import server

__all__ = ["pauses", "server", "world"]

BRAND = Brand("Northwind & Co", "#ffd400", "https://shop.example/logo.svg", "https://shop.example/")


@dataclass
class Form:
    fields: dict[str, str] = field(default_factory=dict)
    button: str = ""


class Forms(HTMLParser):
    """Reads the forms of a page, each with its fields as they are first, and the text of its button."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside = self._in_button = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in_button = tag == "button"
        if tag == "form":
            self._inside = True
            self.forms.append(Form())
        elif self._inside and tag in {"input", "select"} and (given.get("type") != "radio" or "checked" in given):
            self.forms[-1].fields[given["name"]] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._in_button and data.strip():
            self.forms[-1].button = data.strip()
            self._in_button = False

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"


@dataclass
class Browser:
    """Follows the page's own forms and redirects."""

    world: World
    visit: Visit
    answer: PageAnswer = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    @property
    def pages(self) -> PausePages:
        portal_pauses = PortalPauses(lambda: self.world.stripe, {}, LINKS, lambda: self.world.now)
        return PausePages(self.world.pausing, BRAND, LINKS, portal_pauses)

    def open(self, done: str | None = None) -> str:
        self.answer = self.pages.show(self.visit, done=done)
        return self.text

    @property
    def text(self) -> str:
        body = self.answer.html.partition("<main>")[2]
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())

    def follow(self, **query: str) -> str:
        """Follow a link of the mail before the end."""
        if "extend" in query:
            self.answer = self.pages.propose_extension(self.visit, query["extend"])
        else:
            self.answer = self.pages.lead_to_cancellation(self.visit, query["cancel"], done=query.get("done"))
        return self.text

    def link(self, words: str) -> str:
        found = re.search(rf'href="([^"]+)">{words}<', self.answer.html)
        assert found, words
        return unescape(found[1])

    def form(self, button: str) -> Form:
        return next(form for form in Forms(self.answer.html).forms if form.button == button)

    def press(self, button: str, **fields: str) -> str:
        form = self.form(button)
        self.answer = self.pages.act(self.visit, form.fields | fields)
        while self.answer.location:
            query = {name: values[0] for name, values in parse_qs(self.answer.location.partition("?")[2]).items()}
            if "cancel" in query:
                self.follow(cancel=query["cancel"], done=query["done"])
            else:
                self.open(query.get("done"))
        return self.text


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(world, Visit("token-1", Caller(world.customer, world.policy), "en"))


def cancellation(world: World, subscription: str) -> str:
    return f"https://api.example/portal?token=portal.{world.customer}.subscription_cancel.{subscription}"


def day(world: World, days: int) -> str:
    return world.day(days).isoformat()


def test_a_pause_is_shown_before_it_is_made(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    text = browser.open()
    assert "Your subscription, 12.00 EUR a month, since 1 February 2027" in text
    assert "It is paid until 1 March 2027." in text
    text = browser.press("Continue", resume_on=day(world, 60), reason="holiday")
    assert world.table.get(subscription) is None
    assert "Service until 1 March 2027" in text
    assert (
        "Return and next charge 2 April 2027 Next charge, before discounts, credits and added taxes 12.00 EUR" in text
    )
    text = browser.press("Pause my subscription")
    record = world.record(subscription)
    assert (record.state, record.actor, record.reason) == (PauseState.SCHEDULED, "customer", "holiday")
    assert "Your pause is set." in text
    assert "This subscription is going to be paused." in text
    assert "Your pause has been undone." in browser.press("Undo the pause")
    assert world.read(subscription)["schedule"] is None


@pytest.mark.parametrize(
    ("price", "charge"),
    [
        ({"unit_amount": 1200, "recurring": {"interval": "year"}}, "12.00 EUR"),
        ({"unit_amount": 1200, "currency": "jpy", "recurring": {"interval": "month"}}, "1,200 JPY"),
    ],
)
def test_the_charge_at_the_return_is_that_of_a_whole_period(
    world: World, browser: Browser, price: dict[str, Any], charge: str
) -> None:
    product = world.stripe.v1.products.create({"name": "Gold"}).id
    fields: Any = {"currency": "eur", "product": product} | price
    item = {"price": world.stripe.v1.prices.create(fields).id, "quantity": 1}
    subscription = world.subscribe(items=[item])
    days = (world.period_end(subscription) - world.now) // DAY
    browser.open()
    text = browser.press("Continue", resume_on=day(world, days + 40))
    assert f"credits and added taxes {charge}" in text
    browser.press("Pause my subscription")
    world.pass_time(world.period_end(subscription) + DAY)
    browser.open()
    assert f"credits and added taxes {charge}" in browser.press("Resume")
    browser.press("Resume my subscription")
    paid = world.stripe.v1.invoices.list({"subscription": subscription}).data[0]
    assert (paid.status, paid.amount_paid) == ("paid", 1200)


def test_what_is_confirmed_is_what_was_shown(world: World, browser: Browser) -> None:
    """A subscription that renewed between the two pages is paused a month later than was read, so it is shown again."""
    subscription = world.subscribe()
    browser.open()
    browser.press("Continue", resume_on=day(world, 90))
    world.go_to(world.period_end(subscription) + DAY)
    text = browser.press("Pause my subscription")
    assert world.table.get(subscription) is None
    assert "This has changed since it was shown to you." in text
    assert "Service until 1 April 2027" in text
    browser.press("Pause my subscription")
    assert world.record(subscription).state is PauseState.SCHEDULED


def test_a_forged_confirmation_pauses_nothing(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    browser.open()
    browser.press("Continue", resume_on=day(world, 60))
    assert "This has changed" in browser.press("Pause my subscription", resume_on=day(world, 80))
    assert world.table.get(subscription) is None


def test_a_resume_says_first_that_it_charges(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(90))
    world.pass_time(world.period_end(subscription) + DAY)
    assert "Nothing is charged, and there is no service." in browser.open()
    text = browser.press("Resume")
    assert "A new period begins, and it is charged today." in text
    assert len(world.charges(subscription)) == 1
    assert "Your subscription runs again." in browser.press("Resume my subscription")
    assert len(world.charges(subscription)) == 2
    assert world.read(subscription)["status"] == "active"


def test_the_date_of_return_can_be_changed(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    browser.open()
    text = browser.press("Continue", resume_on=day(world, 75))
    assert "Change the date of return?" in text
    assert "The date of return has been changed." in browser.press("Change the date")
    assert world.record(subscription).asked_resume == day(world, 75)


def test_a_paused_customer_can_cancel(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(90))
    world.pass_time(world.period_end(subscription) + DAY)
    browser.open()
    text = browser.press("Give up the date of return")
    assert "does not return by itself any more" in text
    assert browser.link("Cancel the subscription") == cancellation(world, subscription)
    assert world.read(subscription)["schedule"] is None


def test_who_has_given_up_the_date_of_return_can_still_resume(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(90))
    world.pass_time(world.period_end(subscription) + DAY)
    browser.open()
    browser.press("Give up the date of return")
    browser.open()
    assert "it is charged today" in browser.press("Resume")
    assert "Your subscription runs again." in browser.press("Resume my subscription")
    assert world.read(subscription)["status"] == "active"
    assert len(world.charges(subscription)) == 2


def test_a_pause_of_collection_keeps_nobody_from_canceling(world: World, browser: Browser) -> None:
    """There is no schedule in the way, so that nothing has to be given up first."""
    subscription = world.subscribe(mode="classic")
    world.pause(subscription, world.day(90))
    browser.open()
    assert browser.link("Cancel the subscription") == cancellation(world, subscription)
    world.pass_time(world.period_end(subscription) + DAY)
    text = browser.open()
    assert "Nothing is charged, and there is no service." in text
    assert "Give up the date of return" not in text
    assert browser.link("Cancel the subscription") == cancellation(world, subscription)


def test_a_return_that_is_not_paid_says_so_and_where_to_pay(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.period_end(subscription) + DAY)
    card = world.stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": world.customer}).id
    world.stripe.v1.customers.update(world.customer, {"invoice_settings": {"default_payment_method": card}})
    world.stripe.v1.subscriptions.update(subscription, {"default_payment_method": card})
    browser.open()
    browser.press("Resume")
    text = browser.press("Resume my subscription")
    assert world.read(subscription)["status"] == "paused"
    assert "could not be charged. There is no service until it is paid." in text
    assert re.search(r'href="http[^"]+">Pay now<', browser.answer.html)
    assert "payment_method_update" in browser.answer.html
    assert "Your subscription runs again." not in text


def test_a_moved_return_is_explained(world: World, browser: Browser) -> None:
    world.subscribe(mode="classic")
    browser.open()
    text = browser.press("Continue", resume_on=day(world, 45))
    assert "You asked for 18 March 2027." in text
    assert "it returns on 1 April 2027." in text


def test_a_pause_at_once_says_what_becomes_of_the_paid_time(world: World) -> None:
    subscription = world.subscribe()
    for rule, words in (("credit", "is credited to your next invoice"), ("forfeit", "is not paid back")):
        policy = world.policy.model_copy(update={"pause_now": rule})
        browser = Browser(world, Visit("token-1", Caller(world.customer, policy), "en"))
        assert words in browser.press("Continue", resume_on=day(world, 30), begin="now")
    browser.press("Pause my subscription")
    assert world.read(subscription)["status"] == "paused"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"resume_on": ""}, "Enter the date of return"),
        ({"resume_on": "31/03/2027"}, "Enter the date of return"),
        ({"resume_on": "2027-03-20", "begin": "yesterday"}, "Enter the date of return"),
        ({"resume_on": "2027-01-01"}, "The date of return has to be later than 1 March 2027."),
        ({"resume_on": "2031-01-01"}, "A pause can last at most 365 days. Choose an earlier date of return."),
        ({"resume_on": "2027-04-01", "reason": "none_of_yours"}, "This reason is not among those offered."),
        ({"resume_on": "2027-04-01", "begin": "now"}, "A pause begins at the end of the time that you have paid for."),
        ({"action": "burn"}, "This is not possible for your subscription at the moment."),
    ],
)
def test_bad_input_is_explained_and_changes_nothing(
    world: World, browser: Browser, fields: dict[str, str], said: str
) -> None:
    subscription = world.subscribe()
    browser.open()
    assert said in browser.press("Continue", **fields)
    assert browser.answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT}
    assert 'role="alert"' in browser.answer.html
    assert world.table.get(subscription) is None


def test_a_longer_pause_takes_one_confirmation(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.record(subscription).resumes - 3 * DAY)
    before = world.record(subscription)
    world.requests.clear()
    for _ in range(3):
        text = browser.follow(extend=subscription)
    # Mail scanners follow links too.
    assert all(request.startswith("get ") for request in world.requests)
    assert world.record(subscription) == before
    assert "Change the date of return?" in text
    assert "Return and next charge 2 May 2027" in text
    # It has begun, so it cannot be undone.
    assert "You can resume, change the date or cancel at any time." in text
    assert "undo" not in text
    assert "The date of return has been changed." in browser.press("Change the date")
    assert world.record(subscription).asked_resume == "2027-05-02"
    # The link may be followed again.
    assert "Return and next charge 2 June 2027" in browser.follow(extend=subscription)


def test_a_longer_pause_keeps_to_the_rules(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.record(subscription).begins + DAY)
    policy = OPEN.model_copy(update={"max_pause_days": 45})
    browser.visit = replace(browser.visit, caller=replace(browser.visit.caller, policy=policy))
    assert "Return and next charge 15 April 2027" in browser.follow(extend=subscription)
    browser.press("Change the date")
    assert world.record(subscription).asked_resume == "2027-04-15"
    assert "Your pause is as long as a pause can be." in browser.follow(extend=subscription)
    assert browser.answer.status is HTTPStatus.CONFLICT


def test_a_longer_pause_of_collection_returns_at_a_renewal(world: World, browser: Browser) -> None:
    subscription = world.subscribe(mode="classic")
    world.pause(subscription, world.day(60))
    world.pass_time(world.record(subscription).begins + DAY)
    back = world.record(subscription).next_charge
    browser.follow(extend=subscription)
    browser.press("Change the date")
    assert world.record(subscription).next_charge > back + 27 * DAY
    assert world.record(subscription).resumes == world.record(subscription).next_charge - 300


def test_a_pause_that_is_over_is_not_made_longer(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    assert "This is not possible" in browser.follow(extend=subscription)
    world.pause(subscription, world.day(40))
    world.pass_time(world.record(subscription).resumes + DAY)
    text = browser.follow(extend=subscription)
    assert "This is not possible for your subscription at the moment." in text
    assert "This subscription is running." in text


def test_who_is_paused_is_led_to_the_cancellation(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.record(subscription).begins + DAY)
    before = world.record(subscription)
    assert "Cancel this subscription?" in browser.follow(cancel=subscription)
    assert world.record(subscription) == before
    browser.press("Give up the date of return")
    assert browser.link("Cancel the subscription") == cancellation(world, subscription)


def test_who_is_going_to_be_paused_undoes_that_and_cancels(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    assert "To cancel, undo the pause first" in browser.follow(cancel=subscription)
    text = browser.press("Undo the pause")
    assert world.read(subscription)["schedule"] is None
    assert "Your pause has been undone." in text
    assert "Nothing changes before you confirm it there." in text
    assert browser.link("Cancel the subscription") == cancellation(world, subscription)


@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_where_nothing_is_in_the_way_the_cancellation_is_one_link(world: World, browser: Browser, mode: str) -> None:
    subscription = world.subscribe(mode=mode)
    if mode == "classic":
        world.pause(subscription, world.day(60))
    browser.follow(cancel=subscription)
    assert browser.link("Cancel the subscription") == cancellation(world, subscription)


@pytest.mark.parametrize(
    "name", ["", "sub_x/../../customers/cus_x", "sub_x?expand[]=customer", "sub_x#", "../invoices/in_1", "s" * 300]
)
def test_what_is_no_id_never_becomes_part_of_an_address(world: World, browser: Browser, name: str) -> None:
    world.requests.clear()
    for ask in (
        lambda: browser.follow(extend=name),
        lambda: browser.follow(cancel=name),
        lambda: browser.pages.act(browser.visit, {"action": "resume", "subscription": name}),
        lambda: browser.pages.act(
            browser.visit, {"action": "preview", "subscription": name, "resume_on": day(world, 60)}
        ),
    ):
        with pytest.raises(Forbidden, match="not yours"):
            ask()
    assert world.requests == []


def test_nobody_reaches_somebody_elses_subscription(world: World, browser: Browser) -> None:
    own = world.subscribe()
    other = World(world.simulator, world.table, now=world.now).subscribe()
    browser.open()
    assert other not in browser.answer.html
    for action in ("preview", "pause", "confirm_resume", "resume", "undo", "release"):
        with pytest.raises(Forbidden):
            browser.pages.act(browser.visit, {"action": action, "subscription": other, "resume_on": day(world, 60)})
    for link in ("extend", "cancel"):
        with pytest.raises(Forbidden):
            browser.follow(**{link: other})
    limited = replace(browser.visit, caller=replace(browser.visit.caller, only=world.subscribe()))
    assert own not in browser.pages.show(limited).html
    with pytest.raises(Forbidden):
        browser.pages.act(limited, {"action": "preview", "subscription": own, "resume_on": day(world, 60)})
    for follow in (browser.pages.propose_extension, browser.pages.lead_to_cancellation):
        with pytest.raises(Forbidden):
            follow(limited, own)


def test_a_pause_that_the_team_made_elsewhere_is_not_the_customers_to_end(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.stripe.v1.subscriptions.update(subscription, {"pause_collection": {"behavior": "void"}})
    text = browser.open()
    assert "This subscription is paused already. Ask us if you want to change that pause." in text
    assert "<form" not in browser.answer.html


def test_a_rule_names_the_day_from_which_a_pause_is_possible(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(40))
    world.pass_time(world.record(subscription).resumes + DAY)
    policy = OPEN.model_copy(update={"pause_min_days_between": 100})
    browser = Browser(world, Visit("token-1", Caller(world.customer, policy), "en"))
    earliest = world.history(subscription)[-1].at + timedelta(days=100).total_seconds()
    assert "There have to be at least 100 days between two pauses." in browser.text
    assert re.search(r"It will be possible from \d+ June 2027 on\.", browser.text)
    assert earliest > world.now


def test_the_page_speaks_french_and_wears_the_companys_name(world: World, browser: Browser) -> None:
    world.subscribe()
    browser.visit = replace(browser.visit, language="fr")
    text = browser.open()
    assert '<html lang="fr">' in browser.answer.html
    assert "12,00 EUR par mois, depuis le 1er février 2027" in text
    assert not re.search(r"\b(pause your|until|return|the)\b", text, re.IGNORECASE)
    assert "Northwind &amp; Co" in browser.answer.html
    assert "img-src https://shop.example/logo.svg;" in browser.answer.policy
    assert "script" not in browser.answer.policy


def test_a_customer_without_subscriptions_is_told(browser: Browser) -> None:
    assert "You have no subscription that can be paused." in browser.text


@pytest.mark.parametrize(
    ("colour", "on_colour"), [("#ffd400", "#000000"), ("#0b6e6e", "#ffffff"), ("#777777", "#000000")]
)
def test_words_on_the_companys_colour_can_be_read(colour: str, on_colour: str) -> None:
    assert Brand("N", colour).on_colour == on_colour


def test_the_team_can_break_the_rules_and_the_page_shows_it_all_the_same(world: World) -> None:
    subscription = world.subscribe()
    closed = OPEN.model_copy(update={"pause_allowed": "nobody"})
    browser = Browser(world, Visit("token-1", Caller(world.customer, closed), "en"))
    assert "Pauses are not offered for your subscription." in browser.text
    result = world.pause(subscription, world.day(60), customer=None, actor=TEAM, policy=closed, override=True)
    assert result.outcome is Outcome.DONE
    assert "This subscription is going to be paused." in browser.open()
    assert "Your pause has been undone." in browser.press("Undo the pause")
