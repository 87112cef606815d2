"""The page on which customers pause, look at, change and end their pauses; it works without JavaScript.

A pause is confirmed on a page of its own, which says what it means. What was confirmed is carried out only if it is
still what was shown: a subscription that renewed meanwhile is shown again.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from functions.pause.caller import Caller
from functions.pause.links import Links
from functions.pause.look import Brand, pages, shown
from functions.pause.notice_texts import CHANGE_NOT_SET
from functions.pause.portal_pause import PortalPause, PortalPauses
from shared.i18n import NOTHING, Message, _, interval_text, listed, sentences, verbatim
from shared.pausing.history import CUSTOMER, PauseRecord, PauseState
from shared.pausing.operations import Outcome, PauseResult, PauseView, Pausing
from shared.pausing.plan import Begin, PausePlan, PauseRequest, longer_return
from shared.pausing.policy import PausePolicy, PauseRefusal
from shared.pausing.refusals import NOT_BEGUN, why_it_does_not_return, why_it_failed
from shared.stripe.money import monthly_amount, period_amount, written_amounts


@dataclass(frozen=True, slots=True)
class Visit:
    """Who looks at the page, with which token, and in which language."""

    token: str
    caller: Caller
    language: str


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A page, or where to go next. `policy` is its Content-Security-Policy, `result` that of what was carried out."""

    status: HTTPStatus
    html: str = ""
    location: str | None = None
    policy: str = ""
    result: PauseResult | None = None


@dataclass(frozen=True, slots=True)
class _Fact:
    name: Message
    value: Message | date


@dataclass(frozen=True, slots=True)
class _Card:
    """A subscription as the page shows it; `can` names the forms that it offers."""

    id: str
    title: Message
    state: Message
    facts: tuple[_Fact, ...] = ()
    notes: tuple[Message, ...] = ()
    can: frozenset[str] = frozenset()
    first_day: date | None = None
    last_day: date | None = None
    resume_on: str = ""
    pay: str | None = None
    payment_method: str | None = None
    cancel: str | None = None
    portal_pause: str | None = None


@dataclass(frozen=True, slots=True)
class _Confirmation:
    """What is about to be done, in facts, and the form that does it; or the `link` that leads to where it is done."""

    title: Message
    facts: tuple[_Fact, ...]
    notes: tuple[Message, ...]
    button: Message
    fields: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None


_DONE = {
    "pause": _("Your pause is set."),
    "change": _("The date of return has been changed."),
    "undo": _("Your pause has been undone. Nothing has changed in your subscription."),
    "resume": _("Your subscription runs again."),
    "renewal": _("Your subscription runs again from its next renewal on."),
    "underway": _("Your request is being carried out. It can take a few minutes; you need not do anything."),
    "release": _("Your subscription does not return by itself any more. You can cancel it now."),
}
_REASONS = {
    "holiday": _("I am away for a while"),
    "too_expensive": _("It is too expensive for me just now"),
    "not_used": _("I do not use it enough just now"),
    "technical": _("I have a problem with it"),
    "other": _("Another reason"),
}
_WORDS = {
    "title": _("Pause your subscription"),
    "has_more": _("You have more subscriptions than are shown here. Ask us about the others."),
    "meaning": _(
        "You keep your service to the end of the time that you have paid for. From then to your return nothing is "
        "charged, and there is no service."
    ),
    "day": _("Return on"),
    "latest": _("At the latest:"),
    "begin": _("The pause begins"),
    "period_end": _("at the end of the time that you have paid for"),
    "now": _("at once"),
    "reason": _("Why do you pause? (optional)"),
    "next": _("Continue"),
    "back": _("Back, without a change"),
    "undo": _("Undo the pause"),
    "resume": _("Resume"),
    "change": _("Change the date of return"),
    "cancel_instead": _("Cancel instead"),
    "release": _(
        "To cancel, give up your date of return first: the subscription then stays paused, and you can cancel it."
    ),
    "undo_to_cancel": _("To cancel, undo the pause first: the subscription then runs on, and you can cancel it."),
    "release_button": _("Give up the date of return"),
    "cancel": _("Cancel the subscription"),
    "in_portal": _("You cancel in the customer portal. Nothing changes before you confirm it there."),
    "portal_pause": _("Pause in the customer portal"),
    "pay": _("Pay now"),
    "payment_method": _("Change the payment method"),
    "none": _("You have no subscription that can be paused."),
}
_BUSY = PauseRefusal(
    "busy", _("Something else is being done with this subscription."), _("Try again in a few minutes.")
)
_CHANGED = PauseRefusal(
    "plan_changed", _("This has changed since it was shown to you. Please read it again before you confirm.")
)
_BAD_DATE = PauseRefusal("bad_date", _("Enter the date of return as year, month and day, such as 2027-03-31."))
# Stripe had accepted these pauses, and did not carry them out.
_NOT_LONGER = PauseRefusal("not_longer", _("Your pause is as long as a pause can be."))
_NOT_OFFERED = PauseRefusal("not_offered", _("This is not possible for your subscription at the moment."))


class PausePages:
    """Answers the page's requests."""

    def __init__(self, pausing: Pausing, brand: Brand, links: Links, portal_pauses: PortalPauses) -> None:
        self._pausing = pausing
        self._brand = brand
        self._links = links
        self._portal_pauses = portal_pauses

    def show(self, visit: Visit, *, done: str | None = None) -> PageAnswer:
        """Show every subscription of the customer; `done` names what was just done."""
        return self._overview(visit, said=_DONE.get(done or "", NOTHING))

    def propose_extension(self, visit: Visit, subscription: str) -> PageAnswer:
        """Show a later date of return, to be confirmed: what the mail before the end links to."""
        caller = visit.caller
        view = self._pausing.view(caller.checked(subscription), customer=caller.customer, policy=caller.policy)
        record = view.record
        if record is None or record.state not in {PauseState.SCHEDULED, PauseState.PAUSED}:
            return self._overview(visit, (_NOT_OFFERED,), HTTPStatus.CONFLICT)
        longer = longer_return(record.begins, record.next_charge, caller.policy, self._pausing.timezone)
        if longer is None:
            return self._overview(visit, (_NOT_LONGER,), HTTPStatus.CONFLICT)
        return self._pause(visit, subscription, {"resume_on": longer.isoformat()}, confirmed=False)

    def lead_to_cancellation(self, visit: Visit, subscription: str, *, done: str | None = None) -> PageAnswer:
        """Show the way to the portal's cancellation: what has to go first, to be confirmed, or the link."""
        caller = visit.caller
        view = self._pausing.view(caller.checked(subscription), customer=caller.customer, policy=caller.policy)
        record = view.record
        title, facts = _("Cancel this subscription?"), (_Fact(_("Subscription"), self._title(view)),)
        if record is None or not record.state.is_open or record.kind == "collection":
            link = self._cancellation(visit, subscription)
            confirmation = _Confirmation(title, facts, (_WORDS["in_portal"],), _WORDS["cancel"], link=link)
        elif record.has_begun or self._pausing.clock() >= record.begins:
            fields = {"action": "release", "subscription": subscription}
            confirmation = _Confirmation(title, facts, (_WORDS["release"],), _WORDS["release_button"], fields)
        else:
            fields = {"action": "undo", "subscription": subscription, "then": "cancel"}
            confirmation = _Confirmation(title, facts, (_WORDS["undo_to_cancel"],), _WORDS["undo"], fields)
        said = _DONE.get(done or "", NOTHING)
        return self._page(visit, "confirm", errors=(), confirmation=confirmation, said=said)

    def act(self, visit: Visit, form: Mapping[str, str]) -> PageAnswer:
        """Carry out what a form asks for, or show what it means first.

        Raises as the operations do; a refusal is a page that gives the reason.
        """
        subscription, action = visit.caller.checked(form.get("subscription", "")), form.get("action", "")
        match action:
            case "preview" | "pause":
                return self._pause(visit, subscription, form, confirmed=action == "pause")
            case "confirm_resume":
                return self._confirm_resume(visit, subscription)
            case "resume":
                result = self._pausing.resume(subscription, customer=visit.caller.customer, actor=CUSTOMER)
                at_renewal = result.record is not None and result.record.state is PauseState.PAUSED
                return self._after(visit, "renewal" if at_renewal else action, result)
            case "undo":
                result = self._pausing.undo(subscription, customer=visit.caller.customer, actor=CUSTOMER)
                canceling = subscription if form.get("then") == "cancel" else None
            case "release":
                result = self._pausing.release(subscription, customer=visit.caller.customer, actor=CUSTOMER)
                canceling = subscription
            case _:
                return self._overview(visit, (_NOT_OFFERED,), HTTPStatus.BAD_REQUEST)
        return self._after(visit, action, result, canceling=canceling)

    # What is asked for.

    def _pause(self, visit: Visit, subscription: str, form: Mapping[str, str], *, confirmed: bool) -> PageAnswer:
        try:
            request = _request_of(form, visit.caller.group)
        except ValueError:
            return self._overview(visit, (_BAD_DATE,), HTTPStatus.BAD_REQUEST)
        policy = visit.caller.policy
        preview = self._pausing.preview(subscription, request, customer=visit.caller.customer, policy=policy)
        view, planned = preview.view, preview.planned
        if planned.plan is None:
            return self._overview(visit, planned.refusals, HTTPStatus.CONFLICT)
        is_change = view.record is not None and view.record.state.is_open
        expected = self._identity_of(planned.plan)
        if confirmed and form.get("expected") == expected:
            result = self._pausing.pause(
                subscription, request, customer=visit.caller.customer, actor=CUSTOMER, policy=policy
            )
            return self._after(visit, "change" if is_change else "pause", result)
        fields = {
            "action": "pause",
            "subscription": subscription,
            "resume_on": request.resume_on.isoformat(),
            "begin": request.begin.value,
            "reason": request.reason or "",
            "expected": expected,
        }
        confirmation = _Confirmation(
            _("Change the date of return?") if is_change else _("Pause this subscription?"),
            (_Fact(_("Subscription"), self._title(view)), *self._facts_of(planned.plan), *_price_of(view)),
            tuple(self._notes_of(planned.plan)),
            _("Change the date") if is_change else _("Pause my subscription"),
            fields,
        )
        return self._page(visit, "confirm", errors=(_CHANGED,) if confirmed else (), confirmation=confirmation)

    def _confirm_resume(self, visit: Visit, subscription: str) -> PageAnswer:
        view = self._pausing.view(subscription, customer=visit.caller.customer, policy=visit.caller.policy)
        if view.record is None or not (view.record.state.is_open or _is_released(view)):
            return self._overview(visit, (_NOT_OFFERED,), HTTPStatus.CONFLICT)
        if view.record.kind == "collection":
            note = _("Your subscription runs again from its next renewal on, and is charged then.")
        else:
            note = _("Your subscription runs again at once. A new period begins, and it is charged today.")
        confirmation = _Confirmation(
            _("Resume this subscription?"),
            (_Fact(_("Subscription"), self._title(view)), *_price_of(view)),
            (note,),
            _("Resume my subscription"),
            {"action": "resume", "subscription": subscription},
        )
        return self._page(visit, "confirm", errors=(), confirmation=confirmation)

    def _after(self, visit: Visit, action: str, result: PauseResult, *, canceling: str | None = None) -> PageAnswer:
        match result.outcome:
            case Outcome.REFUSED:
                return replace(self._overview(visit, result.refusals, HTTPStatus.CONFLICT), result=result)
            case Outcome.BUSY:
                return replace(self._overview(visit, (_BUSY,), HTTPStatus.CONFLICT), result=result)
            case Outcome.UNDERWAY if result.record is None or not result.record.waiting:
                action = "underway"
            case Outcome.UNDERWAY:
                action = ""
            case Outcome.DONE:
                pass
        then = f"&cancel={canceling}" if canceling and result.outcome is Outcome.DONE else ""
        return PageAnswer(HTTPStatus.SEE_OTHER, location=f"?token={visit.token}&done={action}{then}", result=result)

    # What is shown.

    def _overview(
        self,
        visit: Visit,
        errors: tuple[PauseRefusal, ...] = (),
        status: HTTPStatus = HTTPStatus.OK,
        said: Message = NOTHING,
    ) -> PageAnswer:
        caller = visit.caller
        found = self._pausing.views(caller.customer, caller.policy, only=caller.only)
        offers = self._portal_pauses.offers(caller, found.views)
        cards = [self._card(view, visit, offers.get(view.at.subscription.id)) for view in found.views]
        return self._page(
            visit, "overview", status=status, errors=errors, said=said, cards=cards, has_more=found.has_more
        )

    def _card(self, view: PauseView, visit: Visit, portal_pause: PortalPause | None) -> _Card:
        record, subscription = view.record, view.at.subscription
        if record and record.state.is_open:
            return self._open_card(view, record, visit)
        card = _Card(subscription.id, self._title(view), NOTHING)
        if record and record.failure in NOT_BEGUN:
            missed = _(
                "Your pause of {day} did not begin, and your subscription went on.", day=self._day(record.begins)
            )
            card = replace(card, notes=(sentences(missed, self._told(why_it_failed(record))),))
        if _is_released(view):
            return replace(
                card,
                state=_("This subscription is paused, and does not return by itself."),
                can=frozenset({"resume", "cancel"}),
                cancel=self._cancellation(visit, subscription.id),
            )
        end = self._day(subscription.current_period_end or int(self._pausing.clock()))
        running = _("This subscription is running. It is paid until {day}.", day=end)
        if portal_pause is not None:
            return replace(
                card, state=running, notes=(*card.notes, _portal_words(portal_pause)), portal_pause=portal_pause.url
            )
        if view.offer is None:
            said = _("This subscription cannot be paused just now.")
            return replace(card, state=said, notes=(*card.notes, *map(self._told, view.refusals)))
        return replace(
            card,
            state=running,
            can=frozenset({"pause"} | ({"now"} if _can_begin_now(view, visit.caller.policy) else set())),
            first_day=view.first_day,
            last_day=view.last_day,
        )

    def _open_card(self, view: PauseView, record: PauseRecord, visit: Visit) -> _Card:
        begins = self._day(record.begins)
        returns = (_Fact(_("Return and next charge"), self._day(record.next_charge)),) if record.has_return else ()
        card = _Card(
            record.subscription_id,
            self._title(view),
            NOTHING,
            (_Fact(_("Service until"), begins), *returns),
            last_day=view.last_day,
            notes=(sentences(CHANGE_NOT_SET, self._told(why_it_failed(record))),) if record.change_failed else (),
            resume_on=record.asked_resume,
        )
        has_begun = record.has_begun or self._pausing.clock() >= record.begins
        # Only a schedule, which a real pause has, can keep the portal from canceling.
        is_real = record.kind == "subscription"
        if not is_real:
            card = replace(card, cancel=self._cancellation(visit, record.subscription_id))
        match record.state:
            case PauseState.SCHEDULED if not has_begun:
                said = _("This subscription is going to be paused.")
                return replace(card, state=said, can=frozenset({"undo", "change"}))
            case PauseState.SCHEDULED | PauseState.PAUSED:
                return replace(
                    card,
                    state=_("This subscription is paused. Nothing is charged, and there is no service."),
                    facts=(_Fact(_("Paused since"), begins), *returns),
                    can=frozenset({"resume", "change"} | ({"release"} if is_real else set())),
                )
            case PauseState.RESUMING if record.waiting == "payment":
                return replace(
                    card,
                    state=_("This subscription could not be charged. There is no service until it is paid."),
                    facts=(),
                    pay=self._pausing.payment_page(record),
                    payment_method=self._links.portal_page(visit.caller, "payment_method_update"),
                )
            case PauseState.RESUMING if record.waiting == "payment_method":
                return replace(
                    card,
                    state=_("This subscription has no payment method that can be charged. Add one, then resume."),
                    facts=(),
                    can=frozenset({"resume"}),
                    payment_method=self._links.portal_page(visit.caller, "payment_method_update"),
                )
            case PauseState.RESUMING if refused := why_it_does_not_return(record):
                said = _("This subscription has not returned yet, and there is no service until it does.")
                return replace(card, state=said, facts=(), notes=(self._told(refused),))
            case _:
                return replace(card, state=_DONE["underway"], facts=())

    def _cancellation(self, visit: Visit, subscription: str) -> str:
        return self._links.portal_page(visit.caller, "subscription_cancel", subscription)

    def _facts_of(self, plan: PausePlan) -> tuple[_Fact, ...]:
        return (
            _Fact(_("Service until"), self._day(plan.begins)),
            _Fact(_("Return and next charge"), self._day(plan.next_charge)),
        )

    def _notes_of(self, plan: PausePlan) -> list[Message]:
        notes = [_("From the end of your service to your return nothing is charged.")]
        if plan.is_moved:
            notes.append(
                _(
                    "You asked for {asked}. This subscription can only return on the day of a renewal, so it returns "
                    "on {day}.",
                    asked=plan.asked_resume,
                    day=self._day(plan.next_charge),
                )
            )
        if plan.kind == "collection":
            notes.append(
                _(
                    "Change your plan only after your return: a change before it can put your return off to a later "
                    "renewal."
                )
            )
        if plan.unused_time == "credit":
            notes.append(_("The time that you have paid for and do not use is credited to your next invoice."))
        if plan.unused_time == "forfeit":
            notes.append(_("The time that you have paid for and do not use is not paid back."))
        if self._pausing.clock() >= plan.begins:
            notes.append(_("You can resume, change the date or cancel at any time."))
        else:
            notes.append(_("You can undo the pause, change its date or cancel at any time."))
        return notes

    def _identity_of(self, plan: PausePlan) -> str:
        return ".".join((plan.kind, self._day(plan.begins).isoformat(), str(plan.next_charge), plan.unused_time))

    def _title(self, view: PauseView) -> Message:
        """Name a subscription by its price and its beginning: a customer may have several of the same price."""
        subscription = view.at.subscription
        amounts = monthly_amount(subscription).amounts
        title = (
            _("Your subscription, {amounts} a month", amounts=written_amounts(amounts))
            if amounts
            else _("Your subscription")
        )
        if subscription.created is None:
            return title
        return _("{title}, since {day}", title=title, day=self._day(subscription.created))

    def _told(self, refusal: PauseRefusal) -> Message:
        return refusal_text(refusal, self._pausing.timezone)

    def _day(self, moment: int) -> date:
        return datetime.fromtimestamp(moment, self._pausing.timezone).date()

    def _page(
        self,
        visit: Visit,
        name: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        errors: tuple[PauseRefusal, ...],
        said: Message = NOTHING,
        **content: Any,
    ) -> PageAnswer:
        style = _style(self._brand.colour, self._brand.on_colour)
        html = (
            pages()
            .get_template("page.html.j2")
            .render(
                brand=self._brand,
                language=visit.language,
                say=partial(shown, visit.language),
                style=style,
                token=visit.token,
                view=name,
                said=said,
                errors=[self._told(each) for each in errors],
                reasons={code: _REASONS.get(code, verbatim(code)) for code in visit.caller.policy.pause_reasons},
                words=_WORDS,
                **content,
            )
        )
        return PageAnswer(status, html, policy=_content_security_policy(style, self._brand.logo_url))


def refusal_text(refusal: PauseRefusal, timezone: tzinfo) -> Message:
    """Return a refusal as one message: why, what helps, and from when on it is possible."""
    from_day = NOTHING
    if refusal.allowed_from is not None:
        moment = datetime.fromtimestamp(refusal.allowed_from, timezone)
        from_day = _("It will be possible from {day} on.", day=moment.date())
    return sentences(refusal.why, refusal.lifted_by or NOTHING, from_day)


def _price_of(view: PauseView) -> Iterator[_Fact]:
    """Say what the charge at the return is, where every item has a fixed price."""
    price = period_amount(view.at.subscription)
    if price.amounts and not price.unknown:
        yield _Fact(_("Next charge, before discounts, credits and added taxes"), written_amounts(price.amounts))


def _is_released(view: PauseView) -> bool:
    """Whether it is paused still, after the customer gave the date of return up."""
    record = view.record
    return record is not None and record.outcome == "released" and view.at.subscription.status == "paused"


def _can_begin_now(view: PauseView, policy: PausePolicy) -> bool:
    return policy.pause_now != "never" and view.offer is not None and view.offer.kind == "subscription"


def _portal_words(offer: PortalPause) -> Message:
    if not offer.lengths:
        return _("You can pause it in the customer portal, until you resume it there.")
    lengths = listed(interval_text(each.interval_count, each.interval) for each in offer.lengths)
    return _("You can pause it in the customer portal. Lengths to choose from: {lengths}.", lengths=lengths)


def _request_of(form: Mapping[str, str], group: str | None) -> PauseRequest:
    """Read the form. Raises `ValueError` for a date or a beginning that is none."""
    begin = Begin(form.get("begin") or Begin.PERIOD_END)
    return PauseRequest(
        date.fromisoformat(form.get("resume_on", "").strip()), begin, form.get("reason") or None, group=group
    )


def _style(colour: str, on_colour: str) -> str:
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return f":root {{ --brand: {colour}; --on-brand: {on_colour} }}\n{css}"


def _content_security_policy(style: str, logo_url: str | None) -> str:
    digest = b64encode(sha256(style.encode()).digest()).decode()
    images = f" img-src {logo_url};" if logo_url else ""
    return (
        f"default-src 'none'; style-src 'sha256-{digest}';{images} form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
