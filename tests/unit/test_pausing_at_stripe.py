"""The requests about a pause, each with its key, and what is taken for ours, refused or unknown of Stripe's answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import stripe

from shared.errors import Unavailable
from shared.pausing.at_stripe import SoughtSchedule, StripePauses, StripeRefusalError, pause_entry

RESUMES = 1_808_000_000
SCHEDULES = "/v1/subscription_schedules"
SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_1",
    "status": "active",
    "livemode": False,
    "billing_mode": {"type": "flexible"},
    "items": {"object": "list", "has_more": False, "data": []},
}


@dataclass
class Account:
    """Stripe as far as it is asked: gives or raises what was put under a request, and keeps what it was sent."""

    answers: dict[str, Any] = field(default_factory=dict)
    sent: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def raw_request(self, method: str, path: str, **params: Any) -> Any:
        self.sent.append((f"{method} {path}", params))
        answer = self.answers.get(f"{method} {path}", {"id": "sched_new"})
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(data=answer)

    @property
    def pauses(self) -> StripePauses:
        return StripePauses(cast("Any", self))


def refused(status: int = 400) -> stripe.InvalidRequestError:
    return stripe.InvalidRequestError("No.", None, http_status=status)  # type: ignore[no-untyped-call]


CHANGES: dict[str, Callable[[StripePauses], object]] = {
    "schedule": lambda pauses: pauses.schedule_pause("sub_1", {}, key="k"),
    "attach": lambda pauses: pauses.attach_schedule("sub_1", key="k"),
    "plan": lambda pauses: pauses.plan_on("sched_1", {}, key="k"),
    "return": lambda pauses: pauses.schedule_return("sub_1", "op_1", resumes=RESUMES, key="k"),
    "move": lambda pauses: pauses.move_return("sched_1", "op_1", resumes=RESUMES, key="k"),
    "release": lambda pauses: pauses.release("sched_1", key="k"),
    "resume": lambda pauses: pauses.resume_now("sub_1", key="k"),
    "void": lambda pauses: pauses.void_invoice("in_1", key="k"),
    "pause": lambda pauses: pauses.pause_collection("sub_1", resumes=RESUMES, key="k"),
    "collect": lambda pauses: pauses.collect_again("sub_1", key="k"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_sent_with_its_key_so_that_a_repeated_one_is_done_once(name: str) -> None:
    account = Account()
    CHANGES[name](account.pauses)
    ((request, params),) = account.sent
    assert request.startswith("post ")
    assert params["idempotency_key"] == "k"


@pytest.mark.parametrize(
    "error",
    [
        refused(409),
        stripe.IdempotencyError("Keys for idempotent requests", http_status=400),
        stripe.APIConnectionError("timed out"),  # type: ignore[no-untyped-call]
        stripe.APIError("broken", http_status=500),
        stripe.RateLimitError("slow down", http_status=429),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_have_been_carried_out_is_not_taken_for_a_refusal(error: Exception) -> None:
    """After a refusal the pause ends; Stripe may hold it all the same, or be about to."""
    account = Account({f"post {SCHEDULES}": error})
    with pytest.raises(Unavailable):
        account.pauses.schedule_pause("sub_1", {}, key="k")


def test_a_definite_refusal_is_one() -> None:
    account = Account({f"post {SCHEDULES}": refused()})
    with pytest.raises(StripeRefusalError):
        account.pauses.schedule_pause("sub_1", {}, key="k")


@pytest.mark.parametrize(
    ("state", "is_left"), [("active", True), ("not_started", True), ("released", False), ("canceled", False)]
)
def test_a_release_is_done_only_if_the_schedule_is_not_live_any_more(state: str, is_left: bool) -> None:  # noqa: FBT001
    """A schedule that stays attached would pause the subscription, or keep the customer from canceling."""
    account = Account({f"post {SCHEDULES}/sched_1/release": refused(), f"get {SCHEDULES}/sched_1": {"status": state}})
    assert _is_refused(lambda: account.pauses.release("sched_1", key="k")) is is_left


@pytest.mark.parametrize(("state", "is_left"), [("open", True), ("void", False), ("paid", False)])
def test_an_invoice_is_void_only_if_it_is_not_open_any_more(state: str, is_left: bool) -> None:  # noqa: FBT001
    """Stripe would go on charging one that is open, and resume with it."""
    account = Account({"post /v1/invoices/in_1/void": refused(), "get /v1/invoices/in_1": {"status": state}})
    assert _is_refused(lambda: account.pauses.void_invoice("in_1", key="k")) is is_left


def _is_refused(act: Callable[[], None]) -> bool:
    try:
        act()
    except StripeRefusalError:
        return True
    return False


def test_only_an_open_invoice_can_be_paid() -> None:
    for state, page in (("open", "https://pay.example"), ("paid", None), ("void", None), ("draft", None)):
        account = Account({"get /v1/invoices/in_1": {"status": state, "hosted_invoice_url": "https://pay.example"}})
        assert account.pauses.invoice_page("in_1") == page


def test_a_planned_pause_is_ours_by_its_key() -> None:
    entry = {"key": "op_1", "pause": {"status": {"type": "scheduled"}}, "resume": {"resume_at": RESUMES}}
    answers = {
        "get /v1/subscriptions/sub_1": SUBSCRIPTION | {"schedule": "sched_1"},
        f"get {SCHEDULES}/sched_1": {"id": "sched_1", "status": "active", "pause_schedules": [entry]},
    }
    found = Account(answers).pauses.read("sub_1")
    assert found.planned_by("op_1") == found.planned
    assert found.planned
    assert (found.planned.schedule_id, found.planned.resume_at) == ("sched_1", RESUMES)
    assert found.planned_by("op_2") is None


@pytest.mark.parametrize(
    ("pause", "is_ours"),
    [
        ({"behavior": "void", "resumes_at": RESUMES}, True),
        ({"behavior": "void", "resumes_at": RESUMES + 1}, False),
        ({"behavior": "void"}, False),
        ({"behavior": "keep_as_draft", "resumes_at": RESUMES}, False),
        ({"behavior": "mark_uncollectible", "resumes_at": RESUMES}, False),
        (None, False),
    ],
)
def test_a_pause_of_collection_is_ours_by_its_form(pause: Any, is_ours: bool) -> None:  # noqa: FBT001
    found = Account({"get /v1/subscriptions/sub_1": SUBSCRIPTION | {"pause_collection": pause}}).pauses.read("sub_1")
    assert found.is_collection_paused_until(RESUMES) is is_ours


@pytest.mark.parametrize(
    ("schedule", "is_by_itself"),
    [
        ({"status": "released", "phases": [{"end_date": 10}, {"end_date": 20}], "released_at": 20}, True),
        ({"status": "released", "phases": [{"end_date": 10}, {"end_date": 20}], "released_at": 19}, False),
        ({"status": "canceled", "phases": [{"end_date": 20}], "released_at": 20}, False),
        ({"status": "released", "phases": [], "released_at": 20}, False),
        (refused(404), False),
    ],
)
def test_a_schedule_that_somebody_released_has_not_ended_by_itself(schedule: Any, is_by_itself: bool) -> None:  # noqa: FBT001
    """A date of return is set again only where nobody has given it up."""
    account = Account({"get /v1/subscriptions/sub_1": SUBSCRIPTION, f"get {SCHEDULES}/sched_1": schedule})
    assert account.pauses.read("sub_1", "sched_1").ended_by_itself is is_by_itself


@pytest.mark.parametrize(
    ("changes", "is_ours"),
    [({}, True), ({"released_subscription": "sub_2"}, False), ({"pause_schedules": [{"key": "op_0"}]}, False)],
)
def test_a_pause_that_began_unseen_is_ours_by_its_subscription_and_its_key(changes: Any, is_ours: bool) -> None:  # noqa: FBT001
    past = {
        "id": "sched_9",
        "status": "released",
        "released_subscription": "sub_1",
        "created": 10,
        "released_at": 20,
        "phases": [{"end_date": 20}],
        "pause_schedules": [{"key": "op_1"}],
    }
    answers: dict[str, Any] = {
        "get /v1/subscriptions/sub_1": SUBSCRIPTION | {"status": "paused"},
        f"get {SCHEDULES}": {"data": [past | changes], "has_more": False},
    }
    account = Account(answers)
    found = account.pauses.read("sub_1", None, SoughtSchedule("op_1", 10))
    assert found.paused_by == ("sched_9" if is_ours else None)
    assert account.sent[-1][1]["customer"] == "cus_1"
    # It is only looked for where the subscription is paused.
    active = Account(answers | {"get /v1/subscriptions/sub_1": SUBSCRIPTION})
    assert active.pauses.read("sub_1", None, SoughtSchedule("op_1", 10)).paused_by is None


@pytest.mark.parametrize(("created", "is_found"), [(10_000 - 3600, True), (10_000 - 3601, False)])
def test_a_pause_is_looked_for_among_the_schedules_of_an_hour_before_it_was_asked_for(
    created: int, *, is_found: bool
) -> None:
    """Stripe's clock may be behind ours."""
    ours = {"id": "sched_9", "status": "released", "released_subscription": "sub_1", "created": created}
    other = {"id": "sched_8", "created": created}
    pages = [
        {"data": [other], "has_more": True},
        {"data": [ours | {"pause_schedules": [{"key": "op_1"}]}], "has_more": False},
    ]
    paused = SUBSCRIPTION | {"status": "paused"}
    account = Account({"get /v1/subscriptions/sub_1": paused, f"get {SCHEDULES}": pages})
    assert account.pauses.read("sub_1", None, SoughtSchedule("op_1", 10_000)).paused_by == (
        "sched_9" if is_found else None
    )


def test_only_the_customers_own_subscriptions_are_listed() -> None:
    account = Account({"get /v1/subscriptions": {"data": [SUBSCRIPTION], "has_more": False}})
    assert [found.subscription.id for found in account.pauses.of_customer("cus_1").subscriptions] == ["sub_1"]
    assert account.sent == [("get /v1/subscriptions", {"customer": "cus_1", "limit": 100})]


def test_a_payment_that_a_change_waits_for_is_seen() -> None:
    for pending, waits in ((None, False), ({"expires_at": 1}, True)):
        account = Account({"get /v1/subscriptions/sub_1": SUBSCRIPTION | {"pending_update": pending}})
        assert account.pauses.read("sub_1").waits_for_payment is waits


def test_each_way_to_resume_begins_a_period_that_is_paid_first() -> None:
    """Else there would be service before the payment, or none for which anything is charged."""
    account = Account()
    for name in ("return", "move", "resume"):
        CHANGES[name](account.pauses)
    planned, moved, now = (params for _, params in account.sent)
    settings = [planned["pause_schedules"][0]["resume"]["settings"], moved["pause_schedules"][0]["resume"]["settings"]]
    for each in (*settings, now):
        assert each["payment_behavior"] == "resume_on_payment_success"
        assert each["proration_behavior"] == "none"
    assert [each["billing_cycle_anchor"] for each in settings] == ["resume_at"] * 2
    assert now["billing_cycle_anchor"] == {"type": "now"}


@pytest.mark.parametrize(
    ("unused_time", "since"),
    [("credit", "pause_at"), ("forfeit", "none"), ("none", "pause_at"), ("credit_period", "item_current_period_start")],
)
def test_what_becomes_of_unused_time_is_as_it_was_promised(unused_time: str, since: str) -> None:
    """A pause at the end of the paid time begins minutes early, or after a late renewal: Stripe credits either."""
    entry = pause_entry("op_1", at=1, resumes=RESUMES, unused_time=unused_time)
    bills = entry["pause"]["settings"]["bill_for"]
    assert bills["unused_time_from"] == {"type": since}
    # Usage before the pause is owed, but not that of time for which nothing was to be paid.
    assert bills["outstanding_usage_through"] == {"type": "pause_at"}
    free = pause_entry("op_1", at=1, resumes=RESUMES, unused_time=unused_time, bills_usage=False)
    assert free["pause"]["settings"]["bill_for"]["outstanding_usage_through"] == {"type": "none"}


def test_a_pause_begins_and_returns_when_it_was_promised() -> None:
    entry = pause_entry("op_1", at=RESUMES - 100, resumes=RESUMES, unused_time="none")
    assert entry["key"] == "op_1"
    assert entry["pause"]["pause_at"] == {"type": "timestamp", "timestamp": RESUMES - 100}
    assert entry["resume"]["resume_at"] == {"type": "timestamp", "timestamp": RESUMES}
    assert pause_entry("op_1", at=None, resumes=RESUMES, unused_time="none")["pause"]["pause_at"] == {"type": "now"}
    assert "resume" not in pause_entry("op_1", at=1, resumes=None, unused_time="none")


def test_collection_is_paused_so_that_its_invoices_are_void() -> None:
    account = Account()
    account.pauses.pause_collection("sub_1", resumes=RESUMES, key="k")
    account.pauses.pause_collection("sub_1", resumes=None, behavior="keep_as_draft", key="k")
    account.pauses.collect_again("sub_1", key="k")
    assert [params["pause_collection"] for _, params in account.sent] == [
        {"behavior": "void", "resumes_at": RESUMES},
        {"behavior": "keep_as_draft"},
        "",
    ]
