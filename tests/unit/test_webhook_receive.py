"""One request of Stripe's: only a genuine one counts, and a genuine one is never lost."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from stripe import SignatureVerificationError, WebhookSignature

from functions.webhook.receive import Receiver, metric_of
from functions.webhook.signature import TOLERANCE_SECONDS, verify_signature
from shared.errors import InvalidRequest, OperatorError, Unavailable, UnreadableEvent
from shared.mirror.intake import Ignored, Intake
from shared.mirror.rule import Defer, Outcome
from shared.secret_store import PreviousSigningSecret, SigningSecrets
from shared.stripe.events import SubscriptionEvent, is_from_event_bus

SIGNING = "whsec_current_0123456789"
OLDER = "whsec_older_0123456789"


@dataclass
class FakeSecrets:
    """The signing secrets; `rolled` is what a reread finds."""

    signing: tuple[str, ...] = (OLDER, SIGNING)
    rolled: tuple[str, ...] | None = None
    rereads: int = 0
    previous: tuple[PreviousSigningSecret, ...] = ()

    def get(self) -> SigningSecrets:
        return SigningSecrets(webhook_signing_secrets=tuple(map(SecretStr, self.signing)), previous=self.previous)

    def reread(self) -> SigningSecrets | None:
        self.rereads += 1
        if self.rolled is None:
            return None
        self.signing = self.rolled
        return self.get()


@dataclass
class FakeMirror:
    """Remembers what it was told."""

    events: list[SubscriptionEvent] = field(default_factory=list)
    notifications: list[tuple[str, int, str]] = field(default_factory=list)
    fails: bool = False
    queues: bool = False

    def apply(
        self, event: SubscriptionEvent, *, now: float, received: float | None = None, defer: Defer | None = None
    ) -> Outcome:
        assert received == now
        if self.queues and defer:
            defer(7)
            return Outcome.QUEUED
        if self.fails:
            raise Unavailable("mirror_unavailable", "down")
        assert now == pytest.approx(time.time(), abs=60)
        self.events.append(event)
        return Outcome.APPLIED

    def apply_notification(  # noqa: PLR0913 - as of the mirror
        self,
        event_id: str,
        created: int,
        subscription_id: str,
        *,
        now: float,
        received: float | None = None,
        defer: Defer | None = None,
    ) -> Outcome:
        assert received == now
        assert now == pytest.approx(time.time(), abs=60)
        assert defer
        self.notifications.append((event_id, created, subscription_id))
        return Outcome.APPLIED


@dataclass
class FakeDeadLetters:
    """Remembers what it kept."""

    kept: list[tuple[bytes, str]] = field(default_factory=list)

    def keep(self, body: bytes, reason: UnreadableEvent) -> None:
        self.kept.append((body, reason.code))


@dataclass
class FakeSettleQueue:
    """Remembers what it was given, and for how long."""

    kept: list[tuple[bytes, int]] = field(default_factory=list)

    def keep(self, body: bytes, delay_seconds: int) -> None:
        self.kept.append((body, delay_seconds))


@dataclass
class World:
    """A receiver and all it stands on."""

    secrets: FakeSecrets = field(default_factory=FakeSecrets)
    livemode: bool = False
    mirror: FakeMirror = field(default_factory=FakeMirror)
    queue: FakeSettleQueue = field(default_factory=FakeSettleQueue)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    clock: Callable[[], float] = time.time
    account: str | None = None

    def receive(self, body: bytes, header: str | None = None) -> Any:
        intake = Intake(self.mirror, lambda: self.livemode, self.account)
        receiver = Receiver(self.secrets, intake, self.queue, self.dead_letters, self.clock)  # type: ignore[arg-type]
        return receiver.receive(body, {"stripe-signature": signed(body) if header is None else header})


@pytest.fixture
def world() -> World:
    return World()


def signed(body: bytes, secret: str = SIGNING, at: float | None = None) -> str:
    return WebhookSignature.generate_signature_header(body.decode(), secret, int(at or time.time()))  # type: ignore[no-any-return]


def event(**changes: Any) -> bytes:
    snapshot = {"id": "sub_1", "customer": "cus_1", "status": "active", "livemode": False}
    whole = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.subscription.updated",
        "created": int(time.time()) - 5,
        "livemode": False,
        "data": {
            "object": snapshot | changes.pop("snapshot", {}),
            "previous_attributes": changes.pop("previous", None),
        },
    }
    return json.dumps(whole | changes).encode()


def thin(**changes: Any) -> bytes:
    whole = {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-10-30T12:00:00.250Z",
        "livemode": False,
        "reason": None,
        "related_object": {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"},
    }
    return json.dumps(whole | changes).encode()


@pytest.mark.parametrize("related", [{"id": "su_1", "type": "subscription"}, {"id": "su_1"}])
def test_a_thin_event_about_a_subscription_from_before_2014_is_read(world: World, related: dict[str, str]) -> None:
    assert world.receive(thin(related_object=related)).outcome is Outcome.APPLIED


def test_a_thin_event_makes_the_mirror_ask_stripe(world: World) -> None:
    result = world.receive(thin())
    assert (result.outcome, result.event_type) == (Outcome.APPLIED, "v1.customer.subscription.updated")
    assert world.mirror.notifications == [("evt_test_1", 1793361600, "sub_1")]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"type": "v1.billing.meter.error_report_triggered"}, Ignored.OTHER_TYPE),
        ({"livemode": True}, Ignored.OTHER_MODE),
        ({"context": "org_1/acct_1"}, Ignored.OTHER_ACCOUNT),
        ({"context": "org_1/acct_1", "related_object": None}, Ignored.OTHER_ACCOUNT),
    ],
)
def test_a_thin_event_that_is_not_ours_is_ignored(world: World, change: dict[str, Any], outcome: Ignored) -> None:
    assert world.receive(thin(**change)).outcome is outcome
    assert world.mirror.notifications == []


def test_a_genuine_event_reaches_the_mirror(world: World) -> None:
    result = world.receive(event())
    assert (result.outcome, result.event_id) == (Outcome.APPLIED, "evt_1")
    assert [told.subscription.id for told in world.mirror.events] == ["sub_1"]


@pytest.mark.parametrize("secret", [OLDER, SIGNING])
def test_every_secret_of_the_list_is_good(world: World, secret: str) -> None:
    body = event()
    assert world.receive(body, signed(body, secret)).outcome is Outcome.APPLIED


def forged(name: str, body: bytes) -> tuple[bytes, str]:
    """A request that is not Stripe's, or no longer."""
    now = time.time()
    good = signed(body)
    return {
        "tampered": (body.replace(b"active", b"paused"), good),
        "other secret": (body, signed(body, "whsec_other")),
        "no header": (body, ""),
        "stale": (body, signed(body, at=now - 301)),
        "from the future": (body, signed(body, at=now + 310)),
        "other scheme": (body, good.replace("v1=", "v0=")),
        "no time": (body, good.partition(",")[2]),
        "no signature": (body, good.partition(",")[0]),
        "two times": (body, f"t={int(now)}," + signed(body, at=now - 400)),
        "future behind a good time": (body, good.replace("t=", f"t={int(now + 10**6)},t=", 1)),
        "not a header": (body, "hello"),
        "empty body": (b"", good),
        "binary body": (b"\xff\xfe" + body, good),
        "time is no number": (body, "t=NaN," + good.partition(",")[2]),
        "not ASCII": (body, f"t={int(now)},v1=é"),
        "not ASCII beside a good signature": (body, good + ",v1=é,é=é"),
        "a plus before the time": (body, resigned(body, f"+{int(now)}")),
        "a space before the time": (body, resigned(body, f" {int(now)}")),
        "underscores in the time": (body, resigned(body, f"{int(now):_}")),
        "thirteen digits": (body, resigned(body, f"{int(now * 1000)}")),
        "a future time that only the verifier reads": (body, resigned(body, f"+{int(now + 10**6)}")),
    }[name]


def resigned(body: bytes, time_text: str) -> str:
    """A header with this time, however written, and the signature that Stripe's verifier expects for it."""
    return signed(body, at=int(time_text)).replace(str(int(time_text)), time_text, 1)


@pytest.mark.parametrize(
    "name",
    [
        "tampered",
        "other secret",
        "no header",
        "stale",
        "from the future",
        "other scheme",
        "no time",
        "no signature",
        "two times",
        "future behind a good time",
        "not a header",
        "empty body",
        "binary body",
        "time is no number",
        "not ASCII",
        "a plus before the time",
        "a space before the time",
        "underscores in the time",
        "thirteen digits",
        "a future time that only the verifier reads",
    ],
)
def test_what_is_not_from_stripe_is_refused_and_changes_nothing(world: World, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        world.receive(*forged(name, event()))
    assert caught.value.code == "bad_signature"
    assert (world.mirror.events, world.dead_letters.kept) == ([], [])


HEADER_EDITS: dict[str, Callable[[str, str], str]] = {
    "as signed": lambda header, _: header,
    "another signature first": lambda header, other: header.replace("v1=", f"v1={other},v1="),
    "another signature last": lambda header, other: f"{header},v1={other}",
    "only another signature": lambda header, other: f"{header.partition(',')[0]},v1={other}",
    "a digit of the signature changed": lambda header, _: header[:-1] + ("0" if header[-1] != "0" else "1"),
    "a scheme beside it": lambda header, other: f"{header},v0={other}",
}


@given(
    st.text(max_size=200),
    st.sampled_from([SIGNING, "whsec_other_0123456789"]),
    st.integers(-400, 299),
    st.sampled_from(sorted(HEADER_EDITS)),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)
def test_a_signature_is_taken_where_the_verifier_of_stripe_takes_it(
    body: str, secret: str, age: int, edit: str, other: str
) -> None:
    header = HEADER_EDITS[edit](signed(body.encode(), secret, at=time.time() - age), other)
    secrets: Any = FakeSecrets()

    def accepts(verify: Callable[[], object]) -> bool:
        try:
            verify()
        except (InvalidRequest, SignatureVerificationError):
            return False
        return True

    by_stripe = age >= -TOLERANCE_SECONDS and accepts(
        lambda: WebhookSignature.verify_header(body, header, SIGNING, TOLERANCE_SECONDS)
    )
    assert accepts(lambda: verify_signature(body.encode(), header, secrets, now=time.time())) == (
        by_stripe and age > -300
    )


def test_junk_beside_a_good_signature_does_no_harm(world: World) -> None:
    body, header = forged("not ASCII beside a good signature", event())
    assert world.receive(body, header).outcome is Outcome.APPLIED


@given(st.text(max_size=40), st.sampled_from(["{}", "t={}", "t={now},v1={}", "t={now},{},v1=aa", "v1={},t={now}"]))
def test_no_header_of_a_strangers_does_more_than_be_refused(text: str, form: str) -> None:
    with pytest.raises(InvalidRequest):
        World().receive(b"{}", form.replace("{now}", str(int(time.time()))).replace("{}", text))


def test_a_secret_rolled_since_the_last_read_is_found(world: World) -> None:
    world.secrets.rolled = ("whsec_new_0123456789abcdef",)
    body = event()
    assert world.receive(body, signed(body, "whsec_new_0123456789abcdef")).outcome is Outcome.APPLIED
    assert world.secrets.rereads == 1


PREVIOUS = "whsec_previous_0123456789"


def test_a_previous_secret_is_refused_from_the_second_of_its_end(world: World) -> None:
    """However long the secret is cached: nothing is read in between."""
    end = int(time.time())
    world.secrets.previous = (PreviousSigningSecret(secret=SecretStr(PREVIOUS), until=end),)
    body = event()
    world.clock = lambda: end - 0.1
    assert world.receive(body, signed(body, PREVIOUS)).outcome is Outcome.APPLIED
    world.clock = lambda: end
    with pytest.raises(InvalidRequest, match="does not fit"):
        world.receive(body, signed(body, PREVIOUS))
    assert world.receive(body, signed(body, SIGNING)).outcome is Outcome.APPLIED


def test_an_ended_previous_secret_alone_is_no_secret(world: World) -> None:
    world.secrets.signing = ()
    world.secrets.previous = (PreviousSigningSecret(secret=SecretStr(PREVIOUS), until=int(time.time())),)
    body = event()
    with pytest.raises(OperatorError, match="webhook_signing_secrets is empty"):
        world.receive(body, signed(body, PREVIOUS))


def test_no_secret_at_all_lets_nothing_in(world: World) -> None:
    world.secrets.signing = ()
    body = event()
    for secret in ("", "whsec_"):
        with pytest.raises(OperatorError, match="webhook_signing_secrets is empty"):
            world.receive(body, signed(body, secret))


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"type": "invoice.paid"}, Ignored.OTHER_TYPE),
        ({"type": "customer.updated"}, Ignored.OTHER_TYPE),
        ({"account": "acct_1"}, Ignored.OTHER_ACCOUNT),
        ({"context": "acct_1"}, Ignored.OTHER_ACCOUNT),
        ({"context": "org_1/acct_1"}, Ignored.OTHER_ACCOUNT),
        ({"livemode": True}, Ignored.OTHER_MODE),
    ],
)
def test_what_is_not_ours_is_ignored(world: World, change: dict[str, Any], outcome: Ignored) -> None:
    assert world.receive(event(**change)).outcome is outcome
    assert (world.mirror.events, world.dead_letters.kept) == ([], [])


@pytest.mark.parametrize("where", [{"account": "acct_mine"}, {"context": "acct_mine"}, {"context": "org_1/acct_mine"}])
def test_events_of_the_account_that_is_mirrored_are_ours_however_they_name_it(
    world: World, where: dict[str, Any]
) -> None:
    world.account = "acct_mine"
    assert world.receive(event(**where)).outcome is Outcome.APPLIED
    assert world.receive(thin(**where)).outcome is Outcome.APPLIED
    assert world.receive(event()).outcome is Outcome.APPLIED
    assert world.receive(event(account="acct_1")).outcome is Ignored.OTHER_ACCOUNT


def test_the_mode_is_the_events_where_the_object_does_not_say(world: World) -> None:
    whole = json.loads(event())
    del whole["data"]["object"]["livemode"]
    assert world.receive(json.dumps(whole).encode()).outcome is Outcome.APPLIED
    assert world.mirror.events[0].subscription.livemode is False


@pytest.mark.parametrize("has_more", [True, False])
def test_an_event_with_the_first_of_its_items_says_that_there_are_more(world: World, *, has_more: bool) -> None:
    world.receive(event(snapshot={"items": {"data": [{"id": "si_1"}], "has_more": has_more}}))
    assert world.mirror.events[0].complete is not has_more


def test_a_pause_that_cuts_the_period_leaves_it_paid_to_its_former_end(world: World) -> None:
    def items(period_end: int) -> dict[str, Any]:
        return {"data": [{"id": "si_1", "current_period_end": period_end}]}

    cut = {"status": "paused", "items": items(1_900_000_000)}
    world.receive(event(snapshot=cut, previous={"status": "active", "items": items(1_902_000_000)}))
    (paused,) = world.mirror.events
    assert (paused.starts_pause, paused.paid_through) == (True, 1_902_000_000)


def test_a_live_key_takes_live_events_only(world: World) -> None:
    world.livemode = True
    assert world.receive(event(livemode=True)).outcome is Outcome.APPLIED
    assert world.receive(event()).outcome is Ignored.OTHER_MODE


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "unreadable_event"),
        (b"[]", "unreadable_event"),
        (b"{not json", "unreadable_event"),
        (b'{"object": "event"}', "unreadable_event"),
        (thin(created="yesterday"), "unreadable_event"),
        (thin(related_object=None), "thin_event_without_subscription"),
        (thin(related_object={"id": "cus_1", "type": "customer"}), "thin_event_without_subscription"),
        (thin(related_object={"id": "sub_1/../../customers"}), "unreadable_event"),
        (event(created="yesterday"), "unreadable_event"),
        (event(created=10**15), "unreadable_event"),
        (event(snapshot={"customer": None}), "subscription_without_customer"),
        (event(snapshot={"status": 7}), "unreadable_subscription"),
    ],
)
def test_a_genuine_event_that_cannot_be_understood_is_kept(world: World, body: bytes, code: str) -> None:
    assert world.receive(body).outcome == "dead_letter"
    assert world.dead_letters.kept == [(body, code)]


def test_an_event_whose_order_is_not_certain_is_kept_whole(world: World) -> None:
    world.mirror.queues = True
    body = event()
    assert world.receive(body).outcome is Outcome.QUEUED
    assert (world.queue.kept, world.dead_letters.kept) == ([(body, 7)], [])


def test_an_event_that_the_mirror_did_not_take_is_stripes_to_send_again(world: World) -> None:
    world.mirror.fails = True
    with pytest.raises(Unavailable):
        world.receive(event())
    assert world.dead_letters.kept == []


@pytest.mark.parametrize(
    ("snapshot", "previous", "type_", "starts"),
    [
        ({"pause_collection": {"behavior": "void"}}, {"pause_collection": None}, "updated", True),
        ({"pause_collection": {"behavior": "void"}}, {"pause_collection": {"behavior": "void"}}, "updated", False),
        ({"pause_collection": {"behavior": "void"}}, {"quantity": 1}, "updated", False),
        ({"pause_collection": {"behavior": "void"}}, None, "updated", False),
        ({"pause_collection": None}, {"pause_collection": {"behavior": "void"}}, "updated", False),
        ({"status": "paused"}, {"status": "active"}, "updated", True),
        ({"status": "paused"}, None, "paused", True),
        ({"status": "paused"}, {"metadata": {}}, "updated", False),
        ({"status": "active"}, {"status": "paused"}, "resumed", False),
    ],
)
def test_the_event_that_begins_a_pause_is_known(
    world: World,
    snapshot: dict[str, Any],
    previous: dict[str, Any] | None,
    type_: str,
    starts: bool,  # noqa: FBT001
) -> None:
    world.receive(event(snapshot=snapshot, previous=previous, type=f"customer.subscription.{type_}"))
    assert world.mirror.events[0].starts_pause is starts


def test_every_result_has_its_own_metric() -> None:
    results = [
        *Outcome,
        *Ignored,
        "dead_letter",
        InvalidRequest("bad_signature", "b"),
        Unavailable("mirror_unavailable", "b"),
        OperatorError("bad_secret", "b"),
    ]
    names = [metric_of(result) for result in results]
    assert names == [
        "EventApplied",
        "EventStale",
        "EventDuplicate",
        "EventUnchanged",
        "EventQueued",
        "EventIgnoredType",
        "EventIgnoredAccount",
        "EventIgnoredLivemode",
        "EventDeadLetter",
        "EventRefused",
        "EventFailed",
        "EventFailed",
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"source": "aws.partner/stripe.com/ed_test_1", "detail": {}}, True),
        ({"source": "aws.partner/stripe.com/ed_test_1"}, False),
        ({"source": "aws.partner/other.example/1", "detail": {}}, False),
        ({"source": "my.aws.partner/stripe.com/", "detail": {}}, False),
        ({"detail": {}}, False),
        # API Gateway's envelope always has a request context, whatever a request brings.
        ({"source": "aws.partner/stripe.com/ed_test_1", "detail": {}, "requestContext": {}}, False),
    ],
)
def test_only_eventbridge_speaks_without_a_signature(message: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    assert is_from_event_bus(message) is expected
