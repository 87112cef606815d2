"""The mails about a pause: which, when, to whom and in which language; none is lost, and none comes twice by rule."""

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.pause.caller import Caller
from functions.pause.look import Brand
from functions.pause.notice_texts import NoticeKind
from functions.pause.notices import Notices
from functions.pause.page import Visit
from shared.errors import Unavailable
from shared.pausing.history import PauseState
from tests.integration.pausing_world import DAY, LINKS, TEAM, Outcome, World, pauses, world
from tests.integration.simulator_fixtures import server
from tests.integration.test_pause_page import Browser

__all__ = ["pauses", "server", "world"]

BRAND = Brand("Northwind & Co", "#0b6e6e")
SENDER = "Northwind <hello@shop.example>"


@dataclass
class Outbox:
    """SES as far as it is asked: keeps the mails, or fails as often as it is told to."""

    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    failures: int = 0

    def send_email(self, *, Destination: dict[str, list[str]], Content: dict[str, Any], **_: Any) -> None:  # noqa: N803 - AWS's names
        if self.failures:
            self.failures -= 1
            raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow down"}}, "SendEmail")
        self.recipients += Destination["ToAddresses"]
        raw = Content["Raw"]["Data"]
        self.mails.append(message_from_bytes(raw, policy=policy.default))


@dataclass
class Post:
    """The notices of a world, sent as the function does it: after each look at a pause."""

    world: World
    outbox: Outbox = field(default_factory=Outbox)
    sender: str | None = SENDER
    # By the customer's group.
    rules: dict[str | None, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.stripe.v1.customers.update(
            self.world.customer, {"email": "ada@example.com", "preferred_locales": ["en-GB"]}
        )

    @property
    def notices(self) -> Notices:
        return Notices(
            lambda: self.outbox,  # type: ignore[arg-type,return-value]  # as far as it is asked
            lambda: self.world.stripe,
            self.world.table,
            sender=self.sender,
            brand=BRAND,
            timezone=self.world.timezone,
            policy_of=lambda group: self.world.policy.with_changes(self.rules.get(group, {"pause_notice_days": 3})),
            links=LINKS,
        )

    def send(self, subscription: str) -> NoticeKind | None:
        return self.notices.send_due(self.world.record(subscription), now=self.world.now)

    def pass_days(self, subscription: str, until: float) -> None:
        """Let days pass, each with the schedule's looks."""
        while self.world.now < until:
            self.world.pass_time(min(until, self.world.now + DAY))
            self.send(subscription)

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.outbox.mails]


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def test_each_mail_of_a_pause_comes_once_and_in_time(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    assert [post.send(subscription), post.send(subscription)] == [NoticeKind.SET, None]
    back = world.record(subscription).next_charge
    post.pass_days(subscription, back - 5 * DAY)
    assert post.subjects == ["Your pause begins on 1 March 2027"]
    post.pass_days(subscription, back - 3 * DAY)
    assert post.subjects == ["Your pause begins on 1 March 2027", "Your subscription returns on 2 April 2027"]
    post.pass_days(subscription, back + 2 * DAY)
    assert len(post.subjects) == 2
    assert post.outbox.recipients == ["ada@example.com"] * 2
    assert world.read(subscription)["status"] == "active"


def test_the_notice_leads_to_a_longer_pause_to_the_cancellation_and_to_the_portal(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60), group="gold")
    post.pass_days(subscription, world.record(subscription).next_charge - 3 * DAY)
    page = f"https://api.example/pause?token=pause.{world.customer}.gold"
    links = [
        f"{page}&extend={subscription}",
        f"{page}&cancel={subscription}",
        f"https://api.example/portal?token=portal.{world.customer}.gold",
    ]
    text = _text(post.outbox.mails[-1])
    assert [line for line in text.splitlines() if line.startswith("https:")] == links
    html = post.outbox.mails[-1].get_body(("html",))
    assert html is not None
    assert [unescape(each) for each in re.findall(r'href="([^"]+)"', html.get_content())] == links
    assert "Stay paused longer" in text
    assert "The links below change nothing until you confirm." in text


def test_a_pause_that_cannot_be_longer_is_not_offered_to_be(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60), group="short")
    rules = replace(post, rules={"short": {"max_pause_days": 32}})
    rules.pass_days(subscription, world.record(subscription).next_charge - 3 * DAY)
    text = _text(post.outbox.mails[-1])
    assert rules.subjects[-1] == "Your subscription returns on 2 April 2027"
    assert "extend=" not in text
    assert "later date" not in text
    assert "You can cancel before that day." in text


def test_a_group_has_its_own_notice(world: World, post: Post) -> None:
    early = replace(post, rules={"gold": {"pause_notice_days": 10}})
    subscription = world.subscribe()
    world.pause(subscription, world.day(60), group="gold")
    early.pass_days(subscription, world.record(subscription).next_charge - 9 * DAY)
    assert early.subjects[-1] == "Your subscription returns on 2 April 2027"


def test_another_date_of_return_is_announced_again(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    post.pass_days(subscription, world.record(subscription).next_charge - 3 * DAY)
    world.pause(subscription, world.day(40))
    post.pass_days(subscription, world.record(subscription).next_charge - 3 * DAY)
    assert post.subjects[2:] == [
        "Your subscription is paused until 9 May 2027",
        "Your subscription returns on 9 May 2027",
    ]


def test_a_pause_that_ends_within_days_is_announced_by_one_mail(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.go_to(world.period_end(subscription) - 3600)
    world.pause(subscription, world.day(3))
    post.send(subscription)
    post.pass_days(subscription, world.record(subscription).next_charge - 3600)
    assert len(post.subjects) == 1
    assert "returns on 4 March 2027, and is charged again then" in _text(post.outbox.mails[0])


def test_a_return_that_is_not_paid_is_told_once(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    world.pass_time(world.period_end(subscription) + DAY)
    card = world.stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": world.customer}).id
    world.stripe.v1.customers.update(world.customer, {"invoice_settings": {"default_payment_method": card}})
    world.stripe.v1.subscriptions.update(subscription, {"default_payment_method": card})
    post.pass_days(subscription, world.record(subscription).next_charge + 3 * DAY)
    assert world.record(subscription).state is PauseState.RESUMING
    assert post.subjects[-1] == "Your subscription could not be charged"
    assert post.subjects.count("Your subscription could not be charged") == 1
    assert "There is no service until it is paid." in _text(post.outbox.mails[-1])


def test_a_mail_that_ses_does_not_take_is_sent_later(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.outbox.failures = 1
    with pytest.raises(Unavailable):
        post.send(subscription)
    assert post.send(subscription) is NoticeKind.SET
    assert len(post.subjects) == 1


def test_a_pause_that_changes_while_its_mail_is_sent_keeps_the_change(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    before = world.record(subscription)
    world.pause(subscription, world.day(90))
    post.notices.send_due(before, now=world.now)
    assert world.record(subscription).asked_resume == world.day(90).isoformat()
    assert post.send(subscription) is NoticeKind.SET


def fail_after_the_answer(world: World, subscription: str) -> None:
    """Ask for a pause, which is answered as under way, and then refused by Stripe."""
    path = {"method": "POST", "path": "/v1/subscription_schedules", "times": 9}
    world.simulator.admin("POST", "faults", {"fail": [{"status": 500} | path]})
    assert world.pause(subscription, world.day(60)).outcome is Outcome.UNDERWAY
    refusal = "You cannot pause a subscription that is in a trial."
    world.simulator.admin("POST", "faults", {"fail": [{"status": 400, "message": refusal} | path]})
    look(world)
    world.simulator.admin("POST", "faults", {})
    assert world.record(subscription).state is PauseState.FAILED


def look(world: World) -> None:
    world.go_to(world.now + 300)
    world.tick()


@pytest.mark.parametrize(
    ("locale", "subject", "said"),
    [
        ("en", "Your pause could not be set", ("A trial cannot be paused.", "is charged as if you had not asked")),
        ("fr", "Votre pause n’a pas pu être enregistrée", ("ne peut pas être mise en pause", "sera prélevé comme si")),  # noqa: RUF001 - French has that apostrophe
    ],
)
def test_a_pause_that_fails_after_its_answer_is_told_once(
    world: World, post: Post, locale: str, subject: str, said: tuple[str, ...]
) -> None:
    world.stripe.v1.customers.update(world.customer, {"preferred_locales": [locale]})
    subscription = world.subscribe()
    fail_after_the_answer(world, subscription)
    assert post.send(subscription) is NoticeKind.FAILED
    text = _text(post.outbox.mails[0])
    assert post.subjects == [subject]
    assert all(words in text for words in said), text
    look(world)
    assert post.send(subscription) is None
    assert list(world.table.due(now=world.now + DAY)) == []


def test_a_pause_that_stripe_did_not_begin_is_told(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    world.stripe.v1.subscriptions.update(subscription, {"collection_method": "send_invoice", "days_until_due": 14})
    post.pass_days(subscription, world.record(subscription).begins + 2 * DAY)
    assert post.subjects == ["Your pause begins on 1 March 2027", "Your pause did not begin"]
    assert "Your pause of 1 March 2027 did not begin, and your subscription went on." in _text(post.outbox.mails[1])


def test_a_refusal_that_was_the_answer_is_not_mailed(world: World, post: Post) -> None:
    subscription = world.subscribe()
    refusal = {"method": "POST", "path": "/v1/subscription_schedules", "status": 400, "message": "trial", "times": 1}
    world.simulator.admin("POST", "faults", {"fail": [refusal]})
    assert world.pause(subscription, world.day(60)).outcome is Outcome.REFUSED
    assert world.record(subscription).state is PauseState.FAILED
    look(world)
    assert post.send(subscription) is None


def test_the_mail_about_a_failure_is_tried_until_it_is_sent(world: World, post: Post) -> None:
    subscription = world.subscribe()
    fail_after_the_answer(world, subscription)
    post.outbox.failures = 1
    with pytest.raises(Unavailable):
        post.send(subscription)
    assert list(world.table.due(now=world.now + 300)) == [subscription]
    look(world)
    assert post.send(subscription) is NoticeKind.FAILED


def test_an_address_that_is_never_accepted_does_not_alarm_with_every_look(world: World, post: Post) -> None:
    subscription = world.subscribe()
    fail_after_the_answer(world, subscription)
    post.outbox.failures = 1000
    tries: list[float] = []
    until = world.now + 5 * DAY
    while world.now < until:
        world.go_to(world.now + 3600)
        if list(world.table.due(now=world.now)):
            world.tick()
            tries.append(world.now)
            with pytest.raises(Unavailable):
                post.send(subscription)
    assert 5 <= len(tries) <= 13
    assert tries[-1] > until - 2 * DAY
    post.outbox.failures = 0
    world.go_to(world.now + DAY)
    world.tick()
    assert post.send(subscription) is NoticeKind.FAILED


def test_a_failure_is_not_looked_at_again_without_a_sender(world: World, post: Post) -> None:
    subscription = world.subscribe()
    fail_after_the_answer(world, subscription)
    assert replace(post, sender=None).send(subscription) is None
    assert list(world.table.due(now=world.now + DAY)) == []


def test_a_new_pause_is_followed_although_the_mail_about_the_last_one_comes_late(world: World, post: Post) -> None:
    """It has the same dates: only the pause that failed is told of, and is not looked at again."""
    subscription = world.subscribe()
    fail_after_the_answer(world, subscription)
    failed = world.record(subscription)
    assert world.pause(subscription, world.day(60)).outcome is Outcome.DONE
    new = world.record(subscription)
    assert new.resumes == failed.resumes
    post.notices.send_due(failed, now=world.now)
    assert world.record(subscription) == new


def change_after_the_answer(world: World, subscription: str, status: int = 400, **options: Any) -> None:
    """Ask for another date of return, which is answered as under way, and then refused by Stripe."""
    path = {"method": "POST", "path": "/v1/subscription_schedules/", "times": 9}
    world.simulator.admin("POST", "faults", {"fail": [{"status": 500} | path]})
    assert world.pause(subscription, world.day(90), **options).outcome is Outcome.UNDERWAY
    refusal = "You cannot update a subscription schedule that is managed by another one."
    world.simulator.admin("POST", "faults", {"fail": [{"status": status, "message": refusal} | path]})
    look(world)
    world.simulator.admin("POST", "faults", {})


@pytest.mark.parametrize(
    ("locale", "subject", "said"),
    [
        (
            "en",
            "The date of return was not changed",
            (
                "A change of this subscription is planned already.",
                "Your date of return stays 2 April 2027: your subscription returns",
            ),
        ),
        (
            "fr",
            "La date de reprise n’a pas été modifiée",  # noqa: RUF001 - French has that apostrophe
            (
                "Une modification de cet abonnement est déjà prévue.",
                "Votre date de reprise reste fixée au 2 avril 2027",
            ),
        ),
    ],
)
def test_a_change_that_is_refused_after_its_answer_is_told_once_with_the_date_that_holds(
    world: World, post: Post, locale: str, subject: str, said: tuple[str, ...]
) -> None:
    world.stripe.v1.customers.update(world.customer, {"preferred_locales": [locale]})
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    change_after_the_answer(world, subscription)
    record = world.record(subscription)
    assert (record.state, record.asked_resume) == (PauseState.SCHEDULED, "2027-04-02")
    assert post.send(subscription) is NoticeKind.CHANGE_FAILED
    text = _text(post.outbox.mails[1])
    assert post.subjects[1:] == [subject]
    assert all(words in text for words in said), text
    post.pass_days(subscription, world.now + 3 * DAY)
    assert len(post.subjects) == 2
    last = world.history(subscription)[-1]
    assert (last.action.value, last.actor, last.resumes, last.detail) == (
        "change_failed",
        "customer",
        record.resumes,
        record.failure,
    )


def test_a_change_whose_refusal_was_the_answer_is_not_mailed_later_either(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    fault = {"method": "POST", "path": "/v1/subscription_schedules/", "status": 400, "message": "no", "times": 1}
    world.simulator.admin("POST", "faults", {"fail": [fault]})
    assert world.pause(subscription, world.day(90)).outcome is Outcome.REFUSED
    post.pass_days(subscription, world.now + 3 * DAY)
    assert post.subjects == ["Your pause begins on 1 March 2027"]
    assert world.actions(subscription) == ["set", "change_failed"]


def test_a_change_by_the_team_that_is_refused_later_is_in_the_history_and_in_no_mail(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    change_after_the_answer(world, subscription, customer=None, actor=TEAM)
    post.pass_days(subscription, world.now + 3 * DAY)
    assert post.subjects == ["Your pause begins on 1 March 2027"]
    last = world.history(subscription)[-1]
    assert (last.action.value, last.actor, last.actor_name) == ("change_failed", "team", TEAM.name)


def test_the_mail_about_a_change_that_failed_is_tried_until_it_is_sent(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    change_after_the_answer(world, subscription)
    post.outbox.failures = 1
    with pytest.raises(Unavailable):
        post.send(subscription)
    look(world)
    assert post.send(subscription) is NoticeKind.CHANGE_FAILED


def test_close_to_the_return_the_mail_about_a_change_that_failed_is_also_its_notice(world: World, post: Post) -> None:
    """It names the day: another mail would only repeat it. Each other date has its own notice."""
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    post.pass_days(subscription, world.record(subscription).resumes - 5 * DAY)
    world.go_to(world.now + 1.5 * DAY)
    change_after_the_answer(world, subscription)
    assert post.send(subscription) is NoticeKind.CHANGE_FAILED
    post.pass_days(subscription, world.record(subscription).resumes - 600)
    assert post.subjects == ["Your pause begins on 1 March 2027", "The date of return was not changed"]


def test_who_asks_again_is_told_of_the_new_date_and_not_of_the_change_that_failed(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    change_after_the_answer(world, subscription)
    assert world.pause(subscription, world.day(80)).outcome is Outcome.DONE
    assert post.send(subscription) is NoticeKind.SET
    assert post.send(subscription) is None


def test_no_date_is_named_for_a_pause_that_has_ended_while_its_change_was_under_way(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    path = {"method": "POST", "path": "/v1/subscription_schedules/", "times": 9}
    world.simulator.admin("POST", "faults", {"fail": [{"status": 500} | path]})
    assert world.pause(subscription, world.day(90)).outcome is Outcome.UNDERWAY
    world.simulator.admin("POST", "faults", {})
    world.stripe.v1.subscription_schedules.release(str(world.read(subscription)["schedule"]))
    look(world)
    assert (world.record(subscription).state, post.send(subscription)) == (PauseState.ENDED, None)
    assert world.actions(subscription) == ["set", "change_failed", "ended_elsewhere"]


def test_the_page_says_that_a_change_has_failed(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    change_after_the_answer(world, subscription)
    browser = Browser(world, Visit("token-1", Caller(world.customer, world.policy), "en"))
    assert "The new date of return that you asked for could not be set." in browser.text


def test_a_pause_whose_change_failed_still_counts_for_the_rules(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    change_after_the_answer(world, subscription)
    (counted,) = world.table.pauses_of(world.customer, since=0)
    assert (counted.resumes, counted.extended) == (world.record(subscription).resumes, 0)


def test_an_undone_pause_sends_nothing(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.undo(subscription)
    assert post.send(subscription) is None
    assert not post.outbox.mails


@pytest.mark.parametrize("address", ["", None])
def test_a_customer_without_an_address_is_left_alone(world: World, post: Post, address: str | None) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.stripe.v1.customers.update(world.customer, {"email": address or ""})
    assert post.send(subscription) is None
    assert not post.outbox.mails
    assert world.record(subscription).told is not None


def test_without_a_sender_nothing_is_sent_and_nothing_is_recorded(world: World, post: Post) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    silent = replace(post, sender=None)
    assert silent.send(subscription) is None
    assert world.record(subscription).told is None


def test_the_mail_is_in_the_customers_language_and_its_link_is_the_customers(world: World, post: Post) -> None:
    world.stripe.v1.customers.update(world.customer, {"preferred_locales": ["fr-FR", "en"]})
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    post.send(subscription)
    mail = post.outbox.mails[0]
    assert mail["Subject"] == "Votre pause commence le 1er mars 2027"
    assert mail["From"] == SENDER
    link = f"https://api.example/pause?token=pause.{world.customer}"
    html = mail.get_body(("html",))
    assert html is not None
    for body in (_text(mail), html.get_content()):
        assert link in body
        assert "Northwind" in body
    assert "Northwind &amp; Co" in html.get_content()


def test_no_notice_days_means_no_notice_of_the_return(world: World, post: Post) -> None:
    quiet = replace(post, rules={None: {"pause_notice_days": 0}})
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    quiet.send(subscription)
    quiet.pass_days(subscription, world.record(subscription).next_charge - timedelta(hours=1).total_seconds())
    assert len(quiet.subjects) == 1


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")
