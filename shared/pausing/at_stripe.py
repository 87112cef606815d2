"""A pause as Stripe has it: what is read of a subscription and its schedule, and each request that changes them.

A pause schedule is known as ours by its entry's `key`, which is the pause's own id.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import stripe
from stripe import StripeClient

from shared.deadline import seconds_left
from shared.errors import Forbidden
from shared.stripe.gateway import StripeJson, stripe_errors, text_of, with_all_items
from shared.stripe.subscription import Subscription, has_more_items, read_subscription

# What becomes of the time that is not used: a pause at once credits it or not. One at the end of the paid period
# begins a few minutes early, which Stripe then credits; and if Stripe should pause after the renewal, it credits that.
# `credit_period` gives a whole period back, that of a renewal which should not have been.
_UNUSED_TIME = {
    "credit": "pause_at",
    "credit_period": "item_current_period_start",
    "forfeit": "none",
    "none": "pause_at",
}
_RESUME_SETTINGS = {
    "billing_cycle_anchor": "resume_at",
    "payment_behavior": "resume_on_payment_success",
    "proration_behavior": "none",
}
_LIVE_SCHEDULES = frozenset({"active", "not_started"})
_PAGE = 100
# Of one customer's: Stripe allows 500 that are active or scheduled (stripe-python 16.1.0, `Subscription.create`).
MOST_SUBSCRIPTIONS = 500
# What a request has to have left to begin another read of a list: one attempt of it, and what is made of the answer.
_LEAST_SECONDS = 8
# How much earlier than by our own clock Stripe may say that a schedule was made.
_CLOCK_UNCERTAINTY = 3600


class StripeRefusalError(Exception):
    """Raised for a definite refusal (4xx) of Stripe's: nothing was changed. `text` is Stripe's own."""

    def __init__(self, error: stripe.StripeError) -> None:
        super().__init__(str(error))
        self.code = error.code or "stripe_refused"
        self.param: str | None = getattr(error, "param", None)
        self.text = text_of(error) if isinstance(error, stripe.InvalidRequestError) else "The card was declined."
        self.is_card = isinstance(error, stripe.CardError)


@dataclass(frozen=True, slots=True)
class PlannedPause:
    """One entry of a schedule's `pause_schedules`; the states are Stripe's, the times Unix seconds."""

    schedule_id: str
    key: str | None
    pause_state: str | None
    pause_error: str | None
    resume_at: int | None
    resume_state: str | None
    resume_error: str | None


@dataclass(frozen=True, slots=True)
class SoughtSchedule:
    """The schedule of a pause that was asked for at a time (Unix seconds) by our clock."""

    operation_id: str
    since: int


@dataclass(frozen=True, slots=True)
class AtStripe:
    """A subscription as Stripe has it, and the planned pause of the schedule that is attached to it.

    `planned` is `None` where no schedule is attached, or it plans no pause. `waits_for_payment`: a resume or a change
    waits until its invoice is paid. `ended_by_itself`: the schedule that was attached is gone because its last phase is
    over, and not by anybody's hand. `paused_by`: the schedule that has paused it, and is gone since.
    """

    subscription: Subscription
    anchor: int | None
    planned: PlannedPause | None
    waits_for_payment: bool
    latest_invoice: str | None
    ended_by_itself: bool = False
    paused_by: str | None = None

    def planned_by(self, operation_id: str) -> PlannedPause | None:
        """Return the planned pause if it is that operation's."""
        return self.planned if self.planned and self.planned.key == operation_id else None

    def is_collection_paused_until(self, resumes: int) -> bool:
        """Whether its collection is paused in the form that we give it."""
        pause = self.subscription.pause_collection
        return pause is not None and pause.behavior == "void" and pause.resumes_at == resumes


@dataclass(frozen=True, slots=True)
class CustomerSubscriptions:
    """A customer's subscriptions that have not ended, the newest first; `has_more`: there are others."""

    subscriptions: tuple[AtStripe, ...]
    has_more: bool


class StripePauses:
    """The requests to Stripe.

    Each raises `Unavailable` for an outcome that is not known, `StripeRefusalError` for a definite refusal, and
    `OperatorError` where the key is wrong. `wait` returns when the next request may start.
    """

    def __init__(self, client: StripeClient, wait: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._wait = wait

    def read(
        self, subscription_id: str, schedule_id: str | None = None, sought: SoughtSchedule | None = None
    ) -> AtStripe:
        """Read the subscription, and its schedule if it has one. Raises `Forbidden` if there is none of that id.

        `schedule_id`: the schedule that it had. If it has none now, how that one ended is read too. `sought`: the
        schedule whose id is not known. If the subscription is paused and has none now, that one is looked for.
        """
        try:
            raw = self._send("get", f"/v1/subscriptions/{subscription_id}")
        except StripeRefusalError as error:
            raise Forbidden("not_your_subscription", "That subscription is not yours") from error
        if has_more_items(raw):
            raw = with_all_items(self._client, raw)
        found = _at_stripe(raw)
        if attached := found.subscription.schedule_id:
            return replace(found, planned=self._planned(attached))
        if schedule_id is None and sought is not None and found.subscription.status == "paused":
            past = self._schedule_of(found.subscription, sought)
            return replace(found, paused_by=past["id"], ended_by_itself=_ended_by_itself(past)) if past else found
        return replace(found, ended_by_itself=schedule_id is not None and self._ended_by_itself(schedule_id))

    def of_customer(self, customer_id: str) -> CustomerSubscriptions:
        """Return the customer's subscriptions that have not ended, without their schedules.

        `MOST_SUBSCRIPTIONS` at most, and fewer where the deadline is near. Each has all its items.
        """
        found: list[AtStripe] = []
        try:
            for page in self._pages("/v1/subscriptions", customer=customer_id):
                for raw in page["data"]:
                    if has_more_items(raw) and seconds_left() < _LEAST_SECONDS:
                        return CustomerSubscriptions(tuple(found), has_more=True)
                    found.append(_at_stripe(with_all_items(self._client, raw) if has_more_items(raw) else raw))
                if len(found) >= MOST_SUBSCRIPTIONS or seconds_left() < _LEAST_SECONDS:
                    return CustomerSubscriptions(tuple(found), has_more=bool(page["has_more"]))
        except StripeRefusalError:
            # There is no such customer; or the subscription that a page was to start after has just been canceled.
            return CustomerSubscriptions(tuple(found), has_more=bool(found))
        return CustomerSubscriptions(tuple(found), has_more=False)

    def invoice_page(self, invoice_id: str) -> str | None:
        """Return the address of the page where an open invoice can be paid; `None` if it is not open."""
        try:
            raw = self._send("get", f"/v1/invoices/{invoice_id}")
        except StripeRefusalError:
            return None
        return raw.get("hosted_invoice_url") if raw.get("status") == "open" else None

    def invoice_states(self, subscription_id: str, *, since: int) -> frozenset[str]:
        """Return the states of the invoices made since then (Unix seconds) on which there was something to pay."""
        listed = self._send("get", "/v1/invoices", subscription=subscription_id, created={"gte": since}, limit=100)
        return frozenset(str(raw["status"]) for raw in listed["data"] if raw["total"] > 0)

    def schedule_pause(self, subscription_id: str, entry: StripeJson, *, key: str) -> str:
        """Attach a schedule with a `pause_entry`; return its id."""
        params = {"from_subscription": subscription_id, "pause_schedules": [entry]}
        return str(self._send("post", "/v1/subscription_schedules", key, **params)["id"])

    def attach_schedule(self, subscription_id: str, *, key: str) -> str:
        """Attach a schedule that plans nothing yet, for an account where both in one request are refused."""
        return str(self._send("post", "/v1/subscription_schedules", key, from_subscription=subscription_id)["id"])

    def plan_on(self, schedule_id: str, entry: StripeJson, *, key: str) -> None:
        """Plan a `pause_entry` on a schedule that is attached."""
        self._send("post", f"/v1/subscription_schedules/{schedule_id}", key, pause_schedules=[entry])

    def schedule_return(self, subscription_id: str, operation_id: str, *, resumes: int, key: str) -> str:
        """Give a subscription that is paused already a date of return; return the schedule's id.

        Source: docs.stripe.com/billing/subscriptions/pause/schedules.
        """
        entry = {"key": operation_id, "resume": _resume(resumes)}
        params = {"from_subscription": subscription_id, "pause_schedules": [entry]}
        return str(self._send("post", "/v1/subscription_schedules", key, **params)["id"])

    def move_return(self, schedule_id: str, operation_id: str, *, resumes: int | None, key: str) -> None:
        """Change the date of return of a planned pause; `None`: resume now."""
        entry = {"key": operation_id, "resume": _resume(resumes)}
        self._send("post", f"/v1/subscription_schedules/{schedule_id}", key, pause_schedules=[entry])

    def release(self, schedule_id: str, *, key: str) -> None:
        """Detach a schedule; the subscription stays as it is. One that is not live any more is left alone."""
        try:
            self._send("post", f"/v1/subscription_schedules/{schedule_id}/release", key)
        except StripeRefusalError:
            if self._send("get", f"/v1/subscription_schedules/{schedule_id}")["status"] in _LIVE_SCHEDULES:
                raise

    def resume_now(self, subscription_id: str, *, key: str) -> None:
        """Resume a paused subscription that no schedule is attached to, in a new period, when it is paid."""
        params = {
            "billing_cycle_anchor": {"type": "now"},
            "payment_behavior": "resume_on_payment_success",
            "proration_behavior": "none",
        }
        self._send("post", f"/v1/subscriptions/{subscription_id}/resume", key, **params)

    def void_invoice(self, invoice_id: str, *, key: str) -> None:
        """Void the invoice that a resume waits for; one that is not open any more is left alone.

        The subscription stays paused (docs.stripe.com/billing/subscriptions/pause).
        """
        try:
            self._send("post", f"/v1/invoices/{invoice_id}/void", key)
        except StripeRefusalError:
            if self._send("get", f"/v1/invoices/{invoice_id}")["status"] == "open":
                raise

    def pause_collection(self, subscription_id: str, *, resumes: int | None, key: str, behavior: str = "void") -> None:
        """Pause the collection of a subscription until a time; without one until it is unset."""
        pause = {"behavior": behavior} if resumes is None else {"behavior": behavior, "resumes_at": resumes}
        self._send("post", f"/v1/subscriptions/{subscription_id}", key, pause_collection=pause)

    def collect_again(self, subscription_id: str, *, key: str) -> None:
        """End a pause of collection: invoices made from now on are collected."""
        self._send("post", f"/v1/subscriptions/{subscription_id}", key, pause_collection="")

    def start_period(self, subscription_id: str, *, since: int, key: str) -> None:
        """End a pause of collection, and begin a new period, which is charged now (`billing_cycle_anchor` `now`).

        Source: docs.stripe.com/billing/subscriptions/billing-cycle. Not where something was charged since then (Unix
        seconds): whoever has changed the plan after the return has paid for that.
        """
        if self.invoice_states(subscription_id, since=since) <= {"void"}:
            params = {"pause_collection": "", "billing_cycle_anchor": {"type": "now"}, "proration_behavior": "none"}
            self._send("post", f"/v1/subscriptions/{subscription_id}", key, **params)

    def _planned(self, schedule_id: str) -> PlannedPause | None:
        raw = self._send("get", f"/v1/subscription_schedules/{schedule_id}")
        entry = next(iter(raw.get("pause_schedules") or []), None)
        if entry is None:
            return None
        pause, resume = entry.get("pause") or {}, entry.get("resume") or {}
        return PlannedPause(
            schedule_id,
            entry.get("key"),
            _state(pause),
            _error(pause),
            resume.get("resume_at"),
            _state(resume),
            _error(resume),
        )

    def _schedule_of(self, subscription: Subscription, sought: SoughtSchedule) -> StripeJson | None:
        """Return the schedule that was released of a subscription, and had this pause.

        Stripe lists the newest first: only those that were made since the pause was asked for are read.
        """
        since = sought.since - _CLOCK_UNCERTAINTY
        for page in self._pages("/v1/subscription_schedules", customer=subscription.customer_id):
            for raw in page["data"]:
                keys = {entry.get("key") for entry in raw.get("pause_schedules") or []}
                if raw.get("released_subscription") == subscription.id and sought.operation_id in keys:
                    return raw  # type: ignore[no-any-return]  # Stripe's JSON
            if page["data"] and page["data"][-1]["created"] < since:
                return None
        return None

    def _pages(self, path: str, **params: Any) -> Iterator[StripeJson]:
        """Read a list page by page, as far as is asked for."""
        page = self._send("get", path, limit=_PAGE, **params)
        yield page
        while page["has_more"] and page["data"]:
            page = self._send("get", path, limit=_PAGE, starting_after=page["data"][-1]["id"], **params)
            yield page

    def _ended_by_itself(self, schedule_id: str) -> bool:
        try:
            return _ended_by_itself(self._send("get", f"/v1/subscription_schedules/{schedule_id}"))
        except StripeRefusalError:
            return False

    def _send(self, method: str, path: str, key: str | None = None, /, **params: Any) -> StripeJson:
        options: dict[str, Any] = {"idempotency_key": key} if key else {}
        self._wait()
        with stripe_errors():
            try:
                answer: StripeJson = self._client.raw_request(method, path, **params, **options).data
            except (stripe.InvalidRequestError, stripe.CardError) as error:
                if error.http_status == HTTPStatus.CONFLICT:
                    raise stripe.APIConnectionError("Another request has the same key") from error  # type: ignore[no-untyped-call]
                raise StripeRefusalError(error) from error
            except stripe.IdempotencyError as error:
                raise stripe.APIConnectionError("The key was used for another request") from error  # type: ignore[no-untyped-call]
        return answer


def _ended_by_itself(raw: StripeJson) -> bool:
    """Whether Stripe released a schedule by itself, when its last phase was over."""
    last = max((phase["end_date"] for phase in raw.get("phases") or []), default=None)
    released = raw.get("released_at")
    return raw["status"] == "released" and last is not None and released is not None and released >= last


def _at_stripe(raw: StripeJson) -> AtStripe:
    latest = raw.get("latest_invoice")
    return AtStripe(
        read_subscription(raw),
        raw.get("billing_cycle_anchor"),
        planned=None,
        waits_for_payment=raw.get("pending_update") is not None,
        latest_invoice=latest.get("id") if isinstance(latest, Mapping) else latest,
    )


def pause_entry(
    operation_id: str, *, at: int | None, resumes: int | None, unused_time: str, bills_usage: bool = True
) -> dict[str, Any]:
    """Return the entry of a schedule that pauses at a time, at once without one, and resumes, if there is a time.

    All that has a default is said, because defaults differ by door and version. The SDK's types require no `resume`.
    """
    settings = {
        "type": "subscription",
        "invoicing_behavior": "pending_invoice_item",
        "bill_for": {
            "outstanding_usage_through": {"type": "pause_at" if bills_usage else "none"},
            "unused_time_from": {"type": _UNUSED_TIME[unused_time]},
        },
    }
    pause_at = {"type": "now"} if at is None else {"type": "timestamp", "timestamp": at}
    entry = {"key": operation_id, "pause": {"pause_at": pause_at, "settings": settings}}
    return entry if resumes is None else entry | {"resume": _resume(resumes)}


def _resume(resumes: int | None) -> dict[str, Any]:
    at = {"type": "now"} if resumes is None else {"type": "timestamp", "timestamp": resumes}
    return {"resume_at": at, "settings": _RESUME_SETTINGS}


def _state(half: Mapping[str, Any]) -> str | None:
    state: str | None = (half.get("status") or {}).get("type")
    return state


def _error(half: Mapping[str, Any]) -> str | None:
    error = (half.get("status") or {}).get("error") or {}
    return error.get("message")
