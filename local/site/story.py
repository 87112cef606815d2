"""The first story: the leak of the old pause button in 2024, Stripe's pause of today, and the project's own pause."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.addresses import AUDIT_TO
from local.site.backend import Backend, Customer
from local.site.clock import MARCH, SiteClock
from local.site.mails import NumberedMail, read_outbox
from local.site.pages import page
from local.site.session import SiteSession
from shared.pausing.history import PauseRecord

_OLD_BUTTON, _TODAY, _OWN_PAGE = "rosa.keller@example.com", "amelie.laurent@example.com", "grace.osei@example.com"
_SOON = timedelta(minutes=1)
_SHORTLY_BEFORE = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One step: a button does something here, a link leads to where the visitor does or sees something.

    `mail_to`: the newest mail to this address is shown.
    """

    title: str
    text: str
    button: str = ""
    link: str = ""
    mail_to: str = ""


STEPS = (
    StoryStep(
        "20 March 2024",
        "Northwind sells subscriptions with Stripe. In March 2024 the customer portal still has a pause button, for "
        "nine more days. This begins there: all that you have changed here is forgotten.",
        button="Begin in March 2024",
    ),
    StoryStep(
        "Rosa presses the old button",
        "Rosa Keller pays 89.00 EUR a month. Open her portal, press “Pause plan”, and come back.",
        link="Open Rosa's portal",
    ),
    StoryStep(
        "Nothing looks wrong",
        "Rosa's invoices are voided from now on, and yet her subscription is “active”. A service that looks at the "
        "status serves her for free. Let time pass.",
        button="Jump to 1 August 2024",
    ),
    StoryStep(
        "The audit finds the money",
        "Stripe has removed the resume button too: Rosa cannot go back to paying, even if she wants to. Nobody at "
        "Stripe tells the team. The nightly audit does.",
        button="Run the nightly audit",
    ),
    StoryStep(
        "The team resumes her",
        "The mail is in the outbox: who is served for free, what that costs a month, and what to do. Rosa wants to "
        "stay.",
        button="Resume Rosa's payments",
        mail_to=AUDIT_TO,
    ),
    StoryStep(
        "Today",
        "Rosa pays again. Since 2026 Stripe has another pause, which stops the service too. Go there.",
        button="Jump to today",
    ),
    StoryStep(
        "Amélie presses today's button",
        "Amélie Laurent has access, which her account page shows. Open her portal, choose a month, press “Pause "
        "subscription”, and come back.",
        link="Open Amélie's portal",
    ),
    StoryStep(
        "Money and service stop together",
        "Stripe's event reached the mirror, and the shop asked GET /access: the door is closed until she resumes. "
        "Nobody is served for free. But Stripe's pause began at once, and no mail tells Amélie when she is charged "
        "again.",
        button="Go on to the other pause",
        link="See the shop as Amélie does",
    ),
    StoryStep(
        "Grace pauses on Northwind's own page",
        "Grace Osei pays 19.00 EUR a month, and goes away for a while. Open her page for pauses, choose a date of "
        "return in about two months, and confirm. Then come back: “Northwind” at its top leads to this site.",
        link="Open Grace's page for pauses",
    ),
    StoryStep(
        "She keeps what she has paid for",
        "The pause is set, and a mail says so. Until the paid period ends she has service; after that nothing is "
        "charged. Go there.",
        button="Jump to the end of Grace's paid period",
        mail_to=_OWN_PAGE,
    ),
    StoryStep(
        "The service ends with the money",
        "Stripe has paused the subscription, and the shop asked GET /access: the door is closed. Go on to the days "
        "before she returns.",
        button="Jump to three days before Grace's return",
        link="See the shop as Grace does",
    ),
    StoryStep(
        "No silent charge",
        "A mail has told Grace on which day she is charged again. Its link opens her page, where she can return later, "
        "or cancel. She does nothing.",
        button="Jump to Grace's return",
        mail_to=_OWN_PAGE,
    ),
    StoryStep(
        "Collection has started again",
        "On the day that Grace chose, Stripe resumed her subscription and charged her. The door is open.",
        link="See the shop as Grace does",
    ),
)


class SiteStory:
    """The page of the story; the session keeps the step."""

    def __init__(self, backend: Backend, session: SiteSession, clock: SiteClock) -> None:
        self._backend, self._session, self._clock = backend, session, clock

    def story(self, _: Request) -> Response:
        """All steps, with the present one open."""
        if not self._backend.is_simulated:
            return page("story", steps=(), step=0, links={}, mail=None, is_settling=False)
        is_settling = self._notice_what_was_pressed()
        self._notice_own_pause()
        step = self._session.story_step
        response = page(
            "story",
            is_settling=is_settling,
            steps=STEPS,
            step=step,
            links=self._links(step),
            mail=self._newest_mail(STEPS[step].mail_to),
        )
        if is_settling:
            response.headers["Refresh"] = "1"
        return response

    async def go_on(self, request: Request) -> Response:
        """Do what the present step's button says, or begin again; a button of another step does nothing."""
        form = await request.form()
        if "again" in form:
            self._session.story_step = 0
        elif str(form.get("step")) == str(self._session.story_step):
            await run_in_threadpool(self._do, self._session.story_step)
        return RedirectResponse("/story", 303)

    def _do(self, step: int) -> None:
        acts: Any = {
            0: lambda: self._session.begin_again(MARCH),
            2: lambda: self._clock.move_to("cutoff"),
            3: self._backend.run_audit,
            4: self._resume,
            5: lambda: self._clock.move_to("now"),
            _CLOSED: lambda: None,
            _PROMISED: lambda: self._jump(lambda pause: pause.begins, _SOON),
            _PAUSED: lambda: self._jump(lambda pause: pause.resumes, -_SHORTLY_BEFORE),
            _ANNOUNCED: lambda: self._jump(lambda pause: pause.resumes, _SOON),
        }
        if not self._backend.is_simulated or step not in acts:
            raise HTTPException(400, "There is no such button.")
        acts[step]()
        self._session.story_step = step + 1

    def _notice_what_was_pressed(self) -> bool:
        """Go on when the visitor has pressed a portal's button and the mirror knows; return whether it does not yet."""
        step = self._session.story_step
        email = {_PRESS_OLD: _OLD_BUTTON, _PRESS_TODAY: _TODAY}.get(step)
        if email is None:
            return False
        customer = self._customer(email)
        if not any(raw["pause_collection"] or raw["status"] == "paused" for raw in self._subscriptions(customer)):
            return False
        if not any(one.subscription.pause_kind for one in self._backend.mirror.of_customer(customer.id)):
            return True
        self._session.story_step = step + 1
        return False

    def _notice_own_pause(self) -> None:
        """Go on when Grace has a pause, and back when she has undone it."""
        step = self._session.story_step
        if step == _PAUSE_PAGE and self._own_pause():
            self._session.story_step = _PROMISED
        elif step in {_PROMISED, _PAUSED, _ANNOUNCED} and not self._own_pause():
            self._session.story_step = _PAUSE_PAGE

    def _own_pause(self) -> PauseRecord | None:
        """Return the pause that Grace has set on the page for pauses, if it is not over."""
        for raw in self._subscriptions(self._customer(_OWN_PAGE)):
            record = self._backend.pauses.get(raw["id"])
            if record and record.state.is_open:
                return record
        return None

    def _jump(self, moment_of: Callable[[PauseRecord], int], by: timedelta) -> None:
        """Move to a time before or after a moment of Grace's pause, unless that is past."""
        pause = self._own_pause()
        if pause is None:
            raise HTTPException(400, "Grace has no pause any more: go back to the story.")
        target = datetime.fromtimestamp(moment_of(pause), UTC) + by
        if target > datetime.now(UTC):
            self._backend.let_time_pass(target)

    def _newest_mail(self, address: str) -> NumberedMail | None:
        """Return the newest mail to an address."""
        mails = enumerate(read_outbox(self._backend.addresses.aws_url) if address else [], start=1)
        found = [NumberedMail(number, mail) for number, mail in mails if address in mail.recipients]
        return found[-1] if found else None

    def _links(self, step: int) -> dict[int, str]:
        """Return the address of the present step's link."""
        if step in {_PRESS_OLD, _PRESS_TODAY}:
            customer = self._customer(_OLD_BUTTON if step == _PRESS_OLD else _TODAY)
            back = quote(f"{self._backend.addresses.site_url}/story", safe="")
            return {step: f"{self._backend.portal_link(customer)}&return_url={back}"}
        if step == _PAUSE_PAGE:
            return {step: self._backend.portal_link(self._customer(_OWN_PAGE), flow="pause")}
        if STEPS[step].link:
            return {step: f"/customers/{self._customer(_TODAY if step == _CLOSED else _OWN_PAGE).id}/shop"}
        return {}

    def _customer(self, email: str) -> Customer:
        found = next((one for one in self._backend.customers() if one.email == email), None)
        if found is None:
            raise HTTPException(404, f"There is no customer with the address {email}: begin again.")
        return found

    def _subscriptions(self, customer: Customer) -> list[dict[str, Any]]:
        every = self._backend.subscriptions_at_stripe().subscriptions
        return [raw for raw in every if raw["customer"] == customer.id]

    def _resume(self) -> None:
        for raw in self._subscriptions(self._customer(_OLD_BUTTON)):
            if raw["pause_collection"]:
                self._backend.stripe.v1.subscriptions.update(raw["id"], {"pause_collection": ""})
        self._backend.wait_for_webhooks()


_PRESS_OLD, _PRESS_TODAY, _CLOSED, _PAUSE_PAGE, _PROMISED, _PAUSED, _ANNOUNCED = 1, 6, 7, 8, 9, 10, 11
