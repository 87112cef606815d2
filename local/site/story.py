"""The first story: the leak of the old pause button in 2024, and the pause that replaces it, in eight short steps."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.site.backend import Backend, Customer
from local.site.clock import MARCH, SiteClock
from local.site.mails import read_outbox
from local.site.pages import page
from local.site.session import SiteSession

_OLD_BUTTON, _TODAY = "rosa.keller@example.com", "amelie.laurent@example.com"


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One step: a button does something here, a link leads to where the visitor does it."""

    title: str
    text: str
    button: str = ""
    link: str = ""


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
        "Nobody is served for free.",
        link="See the shop as Amélie does",
    ),
)


class SiteStory:
    """The page of the story; the session keeps the step."""

    def __init__(self, backend: Backend, session: SiteSession, clock: SiteClock) -> None:
        self._backend, self._session, self._clock = backend, session, clock

    def story(self, _: Request) -> Response:
        """All steps, with the present one open."""
        if self._backend.addresses.stripe_port is None:
            return page("story", steps=(), step=0, links={}, mail=None, is_settling=False)
        is_settling = self._notice_what_was_pressed()
        step = self._session.story_step
        mails = read_outbox(self._backend.addresses.aws_url) if step == _RESUME else []
        response = page(
            "story",
            is_settling=is_settling,
            steps=STEPS,
            step=step,
            links=self._links(step),
            mail=(len(mails), mails[-1].subject) if mails else None,
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
        }
        if self._backend.addresses.stripe_port is None or step not in acts:
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

    def _links(self, step: int) -> dict[int, str]:
        """Return the address of the present step's link."""
        if step in {_PRESS_OLD, _PRESS_TODAY}:
            customer = self._customer(_OLD_BUTTON if step == _PRESS_OLD else _TODAY)
            back = quote(f"{self._backend.addresses.site_url}/story", safe="")
            return {step: f"{self._backend.portal_link(customer)}&return_url={back}"}
        if step == len(STEPS) - 1:
            return {step: f"/customers/{self._customer(_TODAY).id}/shop"}
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


_PRESS_OLD, _RESUME, _PRESS_TODAY = 1, 4, 6
