"""What comes next in the course of a pause, from its record, from what Stripe has, and from the time: each guard."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import stripe

from shared.pausing.at_stripe import AtStripe, PlannedPause, StripeRefusalError
from shared.pausing.conversion import SAFE_GAP
from shared.pausing.course import LAST_MINUTE, Call, Settle, after_refusal, next_step
from shared.pausing.history import NO_RETURN, OVERDUE, PauseRecord, PauseState
from shared.stripe.subscription import PauseCollection, Subscription
from tests.pause_records import ACTIVE, DAY, END, ITEM, NOW

HOUR = 3600
MARGIN = 300
BEGINS = END - MARGIN
BACK = int(datetime(2027, 4, 20, tzinfo=UTC).timestamp())
APRIL = int(datetime(2027, 4, 1, 10, tzinfo=UTC).timestamp())
MAY = int(datetime(2027, 5, 1, 10, tzinfo=UTC).timestamp())
PLANNED = PlannedPause("sched_1", "op_1", "scheduled", None, BACK, "scheduled", None)
BEGUN = replace(PLANNED, pause_state="succeeded")
PAUSED = replace(ACTIVE, status="paused", schedule_id="sched_1")
VOID = PauseCollection("void", MAY - MARGIN)
REAL = PauseRecord(
    subscription_id="sub_1",
    customer_id="cus_1",
    operation_id="op_1",
    intent="intent_1",
    kind="subscription",
    state=PauseState.STARTING,
    begin="period_end",
    begins=BEGINS,
    resumes=BACK,
    next_charge=BACK,
    asked_resume="2027-04-20",
    unused_time="none",
    created=NOW,
    actor="customer",
    schedule_id="sched_1",
    retry_at=NOW,
)
STARTING = replace(REAL, schedule_id=None)
COLLECTION = replace(
    REAL,
    kind="collection",
    begins=END,
    resumes=MAY - MARGIN,
    next_charge=MAY,
    schedule_id=None,
    state=PauseState.PAUSED,
)


def at(subscription: Subscription = ACTIVE, planned: PlannedPause | None = None, **found: Any) -> AtStripe:
    given = {"waits_for_payment": False, "latest_invoice": None} | found
    attached = planned.schedule_id if planned else subscription.schedule_id
    return AtStripe(replace(subscription, schedule_id=attached), anchor=END, planned=planned, **given)


def step(record: PauseRecord, found: AtStripe, now: float = NOW, zone: str = "UTC") -> Call | Settle:
    return next_step(record, found, now, ZoneInfo(zone))


def settled(record: PauseRecord, found: AtStripe, now: float = NOW, zone: str = "UTC") -> PauseRecord:
    decided = step(record, found, now, zone)
    assert isinstance(decided, Settle)
    return decided.record


def actions(record: PauseRecord, found: AtStripe, now: float = NOW) -> list[tuple[str, str]]:
    """What the history gets, and by whose hand."""
    decided = step(record, found, now)
    assert isinstance(decided, Settle)
    return [(entry.action.value, entry.actor) for entry in decided.entries]


def refusal(param: str = "", text: str = "No, because.", *, is_card: bool = False) -> StripeRefusalError:
    if is_card:
        return StripeRefusalError(stripe.CardError(text, param, "card_declined"))  # type: ignore[no-untyped-call]
    return StripeRefusalError(stripe.InvalidRequestError(text, param))  # type: ignore[no-untyped-call]


def test_a_pause_is_asked_for_while_nothing_has_changed() -> None:
    assert step(STARTING, at()) is Call.SCHEDULE
    starting = replace(COLLECTION, state=PauseState.STARTING)
    assert step(starting, at(replace(ACTIVE, billing_mode="classic"))) is Call.PAUSE_COLLECTION


@pytest.mark.parametrize("kind", ["subscription", "collection"])
@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"cancel_at_period_end": True}, "canceling"),
        ({"cancel_at": END}, "canceling"),
        ({"pause_collection": PauseCollection("void")}, "paused_elsewhere"),
        ({"pause_collection": PauseCollection("keep_as_draft", BACK)}, "paused_elsewhere"),
        ({"status": "paused"}, "paused_elsewhere"),
        ({"status": "unpaid"}, "cannot_pause"),
        ({"current_period_end": END + 31 * DAY}, "changed_meanwhile"),
        ({"status": "canceled"}, "subscription_over"),
    ],
)
def test_what_has_come_between_the_plan_and_the_request_keeps_it_from_being_sent(
    kind: str, changes: Any, failure: str
) -> None:
    starting = STARTING if kind == "subscription" else replace(COLLECTION, state=PauseState.STARTING)
    failed = settled(starting, at(replace(ACTIVE, **changes)))
    assert (failed.state, failed.failure, failed.retry_at) == (PauseState.FAILED, failure, None)


@pytest.mark.parametrize(
    "record", [STARTING, replace(COLLECTION, state=PauseState.STARTING)], ids=lambda each: each.kind
)
def test_in_the_last_minute_before_it_is_to_begin_a_pause_is_not_asked_for(record: PauseRecord) -> None:
    """Stripe could bill the renewal first."""
    assert isinstance(step(record, at(), record.begins - LAST_MINUTE), Call)
    assert settled(record, at(), record.begins - LAST_MINUTE + 1).failure == "too_late"
    at_once = replace(STARTING, begin="now", begins=NOW)
    assert step(at_once, at(), NOW + LAST_MINUTE) is Call.SCHEDULE


def test_a_schedule_of_somebody_else_is_not_taken_for_ours() -> None:
    foreign = replace(PLANNED, key="another")
    assert settled(STARTING, at(planned=foreign)).failure == "cannot_pause"
    attaching = replace(STARTING, step="attach")
    assert step(attaching, at(planned=foreign)) is Call.ATTACH
    assert step(replace(attaching, schedule_id="sched_1"), at(planned=foreign)) is Call.PLAN


def test_a_plan_that_stripe_could_not_carry_out_is_removed_and_fails() -> None:
    wrong = replace(PLANNED, pause_state="error", pause_error="a trial")
    for state in (PauseState.STARTING, PauseState.SCHEDULED):
        undoing = settled(replace(REAL, state=state), at(planned=wrong))
        assert (undoing.state, undoing.failure, undoing.failure_detail) == (
            PauseState.UNDOING,
            "pause_error",
            "a trial",
        )
    assert step(undoing, at(planned=wrong)) is Call.RELEASE
    failed = settled(replace(undoing, step="removed", schedule_id=None), at())
    assert (failed.state, failed.failure) == (PauseState.FAILED, "pause_error")


def test_a_refused_plan_removes_the_schedule_that_was_made_for_it() -> None:
    attached = replace(REAL, step="attach")
    undoing = after_refusal(attached, Call.PLAN, refusal(), NOW).record
    assert (undoing.state, undoing.failure) == (PauseState.UNDOING, "stripe_refused")
    assert step(undoing, at(replace(ACTIVE, schedule_id="sched_1"))) is Call.RELEASE


@pytest.mark.parametrize("state", [PauseState.SCHEDULED, PauseState.PAUSED])
def test_a_date_of_return_that_was_changed_at_stripe_counts(state: PauseState) -> None:
    record = replace(REAL, state=state, has_begun=state is PauseState.PAUSED)
    kept, subscription = (BEGUN, PAUSED) if record.has_begun else (PLANNED, ACTIVE)
    moved = BACK + 9 * DAY + 15 * HOUR
    found = at(subscription, replace(kept, resume_at=moved))
    new = settled(record, found, zone="Pacific/Kiritimati")
    # Fourteen hours before UTC's, their day is the next one.
    assert (new.resumes, new.next_charge, new.asked_resume) == (moved, moved, date(2027, 4, 30).isoformat())
    assert actions(record, found) == [("changed", "stripe")]
    assert actions(replace(record, resumes=moved), found) == []
    gone = at(subscription, replace(kept, resume_at=None))
    assert settled(record, gone).outcome == "ended_elsewhere"


def test_a_pause_that_waits_is_looked_at_within_a_day_and_right_after_it_begins() -> None:
    scheduled = replace(REAL, state=PauseState.SCHEDULED)
    assert settled(scheduled, at(planned=PLANNED)).retry_at == NOW + DAY
    assert settled(scheduled, at(planned=PLANNED), BEGINS - HOUR).retry_at == BEGINS
    assert settled(scheduled, at(planned=PLANNED), BEGINS + 1).retry_at == BEGINS + 241


def test_a_schedule_that_is_gone_before_the_pause_begins_is_set_again_only_if_stripe_ended_it() -> None:
    scheduled = replace(REAL, state=PauseState.SCHEDULED)
    again = settled(scheduled, at(ended_by_itself=True), BEGINS - LAST_MINUTE - 1)
    assert (again.state, again.step, again.schedule_id) == (PauseState.STARTING, "again", None)
    assert step(again, at(), BEGINS - LAST_MINUTE - 1) is Call.SCHEDULE
    late = settled(scheduled, at(ended_by_itself=True), BEGINS - LAST_MINUTE)
    assert (late.state, late.failure) == (PauseState.FAILED, "not_paused_in_time")
    assert actions(scheduled, at()) == [("ended_elsewhere", "stripe")]


def test_a_pause_that_has_not_begun_an_hour_after_its_time_fails() -> None:
    scheduled, latest = replace(REAL, state=PauseState.SCHEDULED), BEGINS + OVERDUE.total_seconds()
    assert settled(scheduled, at(planned=PLANNED), latest - 1).state is PauseState.SCHEDULED
    given_up = settled(scheduled, at(planned=PLANNED), latest)
    assert (given_up.state, given_up.failure) == (PauseState.UNDOING, "not_paused_in_time")
    # Stripe has begun meanwhile: to go on as failed would leave it paused with nobody to follow it.
    goes_on = settled(given_up, at(PAUSED, BEGUN), latest + 1)
    assert (goes_on.state, goes_on.failure, goes_on.has_begun) == (PauseState.PAUSED, None, True)


def test_a_whole_pause_between_two_looks_is_over() -> None:
    back = replace(BEGUN, resume_state="succeeded")
    over = settled(replace(REAL, state=PauseState.SCHEDULED), at(planned=back), BACK + 1)
    assert (over.state, over.outcome) == (PauseState.UNDOING, "resumed")


def test_a_pause_whose_schedule_stripe_has_ended_gets_its_date_of_return_again() -> None:
    record = replace(REAL, state=PauseState.PAUSED, has_begun=True)
    gone = replace(PAUSED, schedule_id=None)
    changing = settled(record, at(gone, ended_by_itself=True), END + DAY)
    assert (changing.state, changing.wanted_resumes, changing.wanted_next_charge) == (PauseState.CHANGING, BACK, BACK)
    assert step(changing, at(gone), END + DAY) is Call.RETURN
    # Somebody has released it by hand, who may want to cancel.
    assert settled(record, at(gone), END + DAY).outcome == "ended_elsewhere"
    # Never while it is not paused: a schedule with a return alone is no pause.
    assert settled(changing, at(), END + DAY).failure == "changed_meanwhile"


def test_a_return_that_stripe_refuses_to_plan_is_resumed_by_hand_when_its_time_has_come() -> None:
    changing = replace(
        REAL, state=PauseState.CHANGING, has_begun=True, wanted_resumes=BACK, wanted_next_charge=BACK, schedule_id=None
    )
    by_hand = after_refusal(changing, Call.RETURN, refusal(), END + DAY).record
    assert (by_hand.state, by_hand.step, by_hand.failure) == (PauseState.PAUSED, "no_return", None)
    assert by_hand.retry_at == END + 2 * DAY
    gone = at(replace(PAUSED, schedule_id=None), ended_by_itself=True)
    assert settled(by_hand, gone, END + 2 * DAY).state is PauseState.PAUSED
    assert settled(by_hand, gone, BACK - 1).retry_at == BACK + 239
    resuming = settled(by_hand, gone, BACK)
    assert resuming.state is PauseState.RESUMING
    assert step(resuming, gone, BACK) is Call.RESUME


def test_a_pause_that_stripe_has_not_resumed_an_hour_after_its_time_is_resumed_by_us() -> None:
    record, latest = replace(REAL, state=PauseState.PAUSED, has_begun=True), BACK + OVERDUE.total_seconds()
    assert settled(record, at(PAUSED, BEGUN), latest - 1).state is PauseState.PAUSED
    assert settled(record, at(PAUSED, BEGUN), latest).state is PauseState.RESUMING
    assert actions(record, at(planned=None), BACK - 1) == []
    assert settled(record, at(planned=None), BACK - 1).outcome == "ended_elsewhere"
    assert settled(record, at(planned=None), BACK).outcome == "resumed"


def test_a_planned_resume_that_failed_is_released_before_it_is_asked_for() -> None:
    resuming = replace(REAL, state=PauseState.RESUMING, has_begun=True)
    failed = replace(BEGUN, resume_state="error", resume_error="declined")
    assert step(resuming, at(PAUSED, BEGUN), BACK) is Call.RESUME_PLANNED
    assert step(resuming, at(PAUSED, failed), BACK) is Call.RELEASE
    assert step(resuming, at(replace(PAUSED, schedule_id=None)), BACK) is Call.RESUME
    # A second request while a payment is open could charge twice.
    waiting = settled(resuming, at(replace(PAUSED, schedule_id=None), waits_for_payment=True), BACK)
    assert (waiting.state, waiting.waiting, waiting.waiting_since) == (PauseState.RESUMING, "payment", BACK)
    assert actions(waiting, at(replace(PAUSED, schedule_id=None), waits_for_payment=True), BACK + HOUR) == []


def test_the_history_says_whose_hand_ended_a_pause() -> None:
    asked = replace(REAL, state=PauseState.RESUMING, has_begun=True, actor="team", actor_name="ops")
    for record, found, ended_by in (
        (asked, at(), ("resumed", "team")),
        (replace(asked, state=PauseState.PAUSED), at(), ("ended_elsewhere", "stripe")),
        (
            replace(asked, state=PauseState.PAUSED),
            at(planned=replace(BEGUN, resume_state="succeeded")),
            ("resumed", "stripe"),
        ),
    ):
        undoing = settled(record, found, BACK - 1)
        assert undoing.state is PauseState.UNDOING
        assert actions(replace(undoing, step="removed", schedule_id=None), at(), BACK) == [ended_by]


@pytest.mark.parametrize(
    ("refused", "waiting", "hours"),
    [
        (refusal(is_card=True), "payment", 1),
        (refusal(text="This customer has no attached payment source"), "payment_method", 24),
        (refusal(text="There is no default payment method."), "payment_method", 24),
        (refusal(), "stripe", 1),
    ],
)
def test_a_resume_that_is_refused_says_what_is_missing(refused: Any, waiting: str, hours: int) -> None:
    resuming = replace(REAL, state=PauseState.RESUMING, has_begun=True)
    for call in (Call.RESUME, Call.RESUME_PLANNED):
        waits = after_refusal(resuming, call, refused, BACK).record
        assert (waits.waiting, waits.retry_at) == (waiting, BACK + hours * HOUR)


@pytest.mark.parametrize("call", [Call.MOVE, Call.RETURN, Call.PAUSE_COLLECTION])
def test_a_change_that_is_refused_leaves_the_pause_as_it_was_and_says_so(call: Call) -> None:
    changing = replace(REAL, state=PauseState.CHANGING, wanted_resumes=BACK + DAY, wanted_next_charge=BACK + DAY)
    back = after_refusal(changing, call, refusal(text="in the past"), NOW).record
    assert (back.state, back.resumes, back.next_charge) == (PauseState.SCHEDULED, BACK, BACK)
    assert (back.failure, back.failure_detail, back.wanted_resumes) == ("stripe_refused", "in the past", None)


@pytest.mark.parametrize(
    ("actor", "attempt", "is_mailed", "is_recorded"),
    [("customer", 0, False, True), ("customer", 1, True, True), ("team", 1, False, True), ("stripe", 1, False, False)],
)
def test_a_change_that_fails_after_its_answer_is_told_to_the_customer_who_asked_for_it(
    actor: str, attempt: int, *, is_mailed: bool, is_recorded: bool
) -> None:
    changing = replace(REAL, state=PauseState.CHANGING, actor=actor, attempt=attempt, wanted_resumes=BACK + DAY)
    failed = after_refusal(changing, Call.MOVE, refusal(), NOW)
    assert (failed.record.change_failed, failed.again) == (is_mailed, False)
    assert [entry.action.value for entry in failed.entries] == ["change_failed"] * is_recorded
    # The mail is sent by the next look at the latest, and not before what has come in between is known.
    assert failed.record.retry_at == (NOW + 240 if attempt and is_recorded else NOW + DAY)
    gone = step(changing, at())
    assert isinstance(gone, Settle)
    assert (gone.record.failure, gone.again) == ("changed_meanwhile", bool(attempt) and is_recorded)


def test_a_changed_return_renews_all_that_was_promised() -> None:
    changing = replace(
        REAL,
        state=PauseState.CHANGING,
        actor="team",
        wanted_resumes=BACK + DAY,
        wanted_next_charge=BACK + DAY,
        wanted_asked_resume="2027-04-21",
    )
    found = at(planned=replace(PLANNED, resume_at=BACK + DAY))
    new = settled(changing, found)
    assert (new.resumes, new.next_charge, new.asked_resume) == (BACK + DAY, BACK + DAY, "2027-04-21")
    assert (new.wanted_resumes, new.wanted_next_charge, new.wanted_asked_resume) == (None, None, None)
    assert actions(changing, found) == [("changed", "team")]
    assert step(changing, at(planned=PLANNED)) is Call.MOVE
    # Stripe has begun to resume: the old date holds, and whoever asked learns it.
    begun = settled(changing, at(PAUSED, replace(BEGUN, resume_state="pending")), BACK)
    assert (begun.resumes, begun.failure) == (BACK, "resume_begun")


def test_an_undo_that_stripe_overtook_goes_on_as_a_pause_and_says_that_it_was_too_late() -> None:
    undoing = replace(REAL, state=PauseState.UNDOING, outcome="undone")
    for found in (at(PAUSED, BEGUN), at(replace(PAUSED, schedule_id=None))):
        goes_on = settled(undoing, found, BEGINS + 1)
        assert (goes_on.state, goes_on.has_begun) == (PauseState.PAUSED, True)
        assert (goes_on.failure, goes_on.outcome) == ("undo_too_late", None)
        assert actions(undoing, found) == [("begun", "stripe")]


def test_a_schedule_is_released_although_a_read_that_is_behind_does_not_name_it() -> None:
    undoing = replace(REAL, state=PauseState.UNDOING, outcome="undone")
    assert step(undoing, at()) is Call.RELEASE
    assert settled(replace(undoing, step="removed", schedule_id=None), at()).state is PauseState.ENDED
    free = replace(COLLECTION, state=PauseState.UNDOING, outcome="undone", has_begun=False)
    assert step(free, at()) is Call.COLLECT_AGAIN
    assert settled(replace(free, step="removed"), at()).state is PauseState.ENDED


def test_what_is_released_while_it_waits_for_its_payment_takes_the_invoice_along() -> None:
    released = replace(REAL, state=PauseState.UNDOING, outcome="released", step="removed", has_begun=True)
    unpaid = at(replace(PAUSED, schedule_id=None), waits_for_payment=True, latest_invoice="in_1")
    assert step(released, unpaid) is Call.VOID_INVOICE
    assert step(replace(released, outcome="resumed"), unpaid) is not Call.VOID_INVOICE


def test_a_pause_of_collection_is_not_undone_from_the_minute_before_it_begins() -> None:
    """The invoice of the period that begins is void: to undo it would serve that period for nothing."""
    undoing = replace(COLLECTION, state=PauseState.UNDOING, outcome="undone", has_begun=False)
    found = at(replace(ACTIVE, pause_collection=VOID))
    assert step(undoing, found, END - LAST_MINUTE) is Call.COLLECT_AGAIN
    goes_on = settled(undoing, found, END - LAST_MINUTE + 1)
    assert (goes_on.state, goes_on.failure) == (PauseState.PAUSED, "undo_too_late")


@pytest.mark.parametrize("state", [PauseState.SCHEDULED, PauseState.PAUSED])
@pytest.mark.parametrize(
    "pause",
    [None, PauseCollection("void"), PauseCollection("keep_as_draft", VOID.resumes_at), replace(VOID, resumes_at=1)],
)
def test_a_pause_of_collection_that_is_not_ours_any_more_is_left_alone(
    state: PauseState, pause: PauseCollection | None
) -> None:
    record = replace(COLLECTION, state=state, has_begun=state is PauseState.PAUSED)
    over = settled(record, at(replace(ACTIVE, pause_collection=pause)), END - DAY)
    assert (over.state, over.outcome, over.retry_at) == (PauseState.ENDED, "ended_elsewhere", None)


@pytest.mark.parametrize("state", [PauseState.SCHEDULED, PauseState.PAUSED])
def test_somebody_elses_real_pause_ends_ours_of_collection_so_that_one_is_left(state: PauseState) -> None:
    record = replace(COLLECTION, state=state, has_begun=state is PauseState.PAUSED)
    both = at(replace(ACTIVE, status="paused", pause_collection=VOID))
    undoing = settled(record, both)
    assert (undoing.state, undoing.outcome) == (PauseState.UNDOING, "ended_elsewhere")
    assert step(undoing, both) is Call.COLLECT_AGAIN


@pytest.mark.parametrize("state", [PauseState.SCHEDULED, PauseState.PAUSED])
def test_collection_starts_again_at_the_renewal_of_another_plan(state: PauseState) -> None:
    """What runs at the old date of return is void, and would be given away."""
    weekly = replace(ITEM, interval="week")
    record = replace(COLLECTION, state=state, has_begun=state is PauseState.PAUSED)
    found = at(replace(ACTIVE, pause_collection=VOID, items=(weekly,)))
    renewal = END + 9 * 7 * DAY
    changing = settled(record, found, END - DAY)
    assert (changing.state, changing.wanted_next_charge, changing.wanted_resumes) == (
        PauseState.CHANGING,
        renewal,
        renewal - MARGIN,
    )
    assert changing.actor == "stripe"
    # It is over then: nothing is moved, and nothing paused again.
    assert settled(record, found, MAY).state is not PauseState.CHANGING


def test_a_change_of_collection_is_never_set_to_a_renewal_that_is_over() -> None:
    changing = replace(
        COLLECTION, state=PauseState.CHANGING, has_begun=True, wanted_resumes=APRIL - MARGIN, wanted_next_charge=APRIL
    )
    renewed = replace(ITEM, current_period_end=MAY)
    found = at(replace(ACTIVE, pause_collection=VOID))
    assert step(changing, found, APRIL - MARGIN - LAST_MINUTE) is Call.PAUSE_COLLECTION
    late = at(replace(ACTIVE, pause_collection=VOID, items=(renewed,), current_period_end=MAY))
    assert settled(changing, late, APRIL).failure == "changed_meanwhile"
    july = replace(changing, resumes=MAY + 61 * DAY - MARGIN, next_charge=MAY + 61 * DAY)
    kept = replace(
        late, subscription=replace(late.subscription, pause_collection=PauseCollection("void", july.resumes))
    )
    assert settled(july, kept, APRIL).wanted_next_charge == MAY
    # It has been charged: to pause it again would take the time that was paid.
    longer = replace(changing, wanted_resumes=MAY + 31 * DAY - MARGIN, wanted_next_charge=MAY + 31 * DAY)
    assert step(longer, found, MAY - 1) is Call.PAUSE_COLLECTION
    assert settled(longer, found, MAY).failure == "changed_meanwhile"


@pytest.mark.parametrize("state", [each for each in PauseState if each.is_open and each is not PauseState.STARTING])
def test_a_subscription_that_is_over_ends_its_pause_in_every_state(state: PauseState) -> None:
    over = settled(replace(REAL, state=state), at(replace(ACTIVE, status="canceled")))
    assert (over.state, over.outcome, over.retry_at) == (PauseState.ENDED, "canceled", None)


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({"attempt": 1}, True),
        ({"attempt": 0}, False),
        ({"attempt": 1, "actor": "team"}, False),
        ({"attempt": 1, "actor": "team", "told": "set:1"}, True),
        ({"attempt": 1, "collection_behavior": "void"}, False),
    ],
)
def test_a_failure_is_mailed_to_whoever_has_not_seen_it(changes: Any, is_told: bool) -> None:  # noqa: FBT001
    failed = settled(replace(STARTING, **changes), at(replace(ACTIVE, cancel_at_period_end=True)))
    assert failed.state is PauseState.FAILED
    assert (failed.retry_at is not None) is is_told


# In place of a pause of collection.

UNTIL = PauseCollection("keep_as_draft", BACK)
CONVERSION = replace(
    STARTING,
    begin="now",
    begins=NOW,
    unused_time="forfeit",
    collection_behavior="keep_as_draft",
    collection_resumes=BACK,
)
HELD = replace(ACTIVE, pause_collection=UNTIL)
CLEARED = replace(CONVERSION, cleared_at=NOW)


def test_collection_stays_paused_until_the_subscription_is() -> None:
    assert step(CONVERSION, at(HELD)) is Call.SCHEDULE
    assert step(
        replace(CONVERSION, state=PauseState.SCHEDULED), at(replace(PAUSED, pause_collection=UNTIL), BEGUN)
    ) is (Call.COLLECT_AGAIN)
    begun = settled(replace(CONVERSION, state=PauseState.SCHEDULED), at(PAUSED, BEGUN))
    assert (begun.state, begun.is_conversion) == (PauseState.PAUSED, False)


def test_collection_is_unset_first_only_where_no_renewal_is_near() -> None:
    refused = after_refusal(CONVERSION, Call.SCHEDULE, refusal(), NOW).record
    assert (refused.state, refused.cleared_at) == (PauseState.STARTING, NOW)
    safe = END - SAFE_GAP.total_seconds()
    assert step(CLEARED, at(HELD), safe) is Call.COLLECT_AGAIN
    waits = settled(CLEARED, at(HELD), safe + 1)
    assert (waits.state, waits.cleared_at, waits.retry_at) == (PauseState.STARTING, None, END + 900)
    unknown = replace(HELD, current_period_end=None, items=())
    assert settled(CLEARED, at(unknown), safe).state is PauseState.STARTING


def test_a_renewal_while_collection_was_unset_is_given_back_whole() -> None:
    assert step(CLEARED, at()) is Call.SCHEDULE
    renewed = replace(ACTIVE, current_period_end=APRIL, items=(replace(ITEM, current_period_end=APRIL),))
    assert settled(CLEARED, at(renewed), END + 1).unused_time == "credit_period"


def test_a_conversion_that_fails_leaves_collection_paused_as_it_was() -> None:
    undoing = after_refusal(CLEARED, Call.SCHEDULE, refusal(), NOW).record
    assert (undoing.state, undoing.failure) == (PauseState.UNDOING, "stripe_refused")
    assert step(undoing, at()) is Call.RESTORE
    assert settled(undoing, at(HELD)).state is PauseState.FAILED
    # Its end is past, so collection would have started again by itself.
    assert settled(undoing, at(), BACK - LAST_MINUTE).state is PauseState.FAILED
    assert step(undoing, at(), BACK - LAST_MINUTE - 1) is Call.RESTORE


@pytest.mark.parametrize(
    ("changes", "now", "failure"),
    [
        ({"pause_collection": PauseCollection("void", BACK)}, NOW, "changed_meanwhile"),
        ({"pause_collection": None}, NOW, "changed_meanwhile"),
        ({"cancel_at": END}, NOW, "canceling"),
        ({"cancel_at_period_end": True}, NOW, "canceling"),
        ({}, BACK - LAST_MINUTE, "resume_begun"),
        ({"schedule_id": "foreign"}, NOW, "cannot_pause"),
        ({"collection_method": "send_invoice"}, NOW, "cannot_pause"),
    ],
)
def test_what_has_changed_before_the_conversion_ends_it(changes: Any, now: float, failure: str) -> None:
    failed = settled(CONVERSION, at(replace(HELD, **changes)), now)
    assert (failed.state, failed.failure) == (PauseState.FAILED, failure)


def test_without_a_date_of_return_a_conversion_leaves_no_schedule_that_keeps_from_canceling() -> None:
    untimed = replace(
        REAL, state=PauseState.PAUSED, has_begun=True, resumes=NO_RETURN, next_charge=NO_RETURN, asked_resume=""
    )
    undoing = settled(untimed, at(PAUSED, replace(BEGUN, resume_at=None, resume_state=None)))
    assert (undoing.state, undoing.outcome) == (PauseState.UNDOING, "released")
    assert step(undoing, at(PAUSED, replace(BEGUN, resume_at=None))) is Call.RELEASE
