"""Access: whether a customer has service now, why, and until when, decided from the mirror and the time alone.

One rule for everybody who asks: the access function, the command, and whoever publishes changes.
docs/reference/access.md has a table of every case, which is written from this module.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.mirror.items import MirroredEntitlements, MirroredSubscription
from shared.stripe.periods import PaidUntil, period_paid_before
from shared.stripe.subscription import Subscription, is_collected

# Stripe's other reasons, or none, say nothing about the last invoice (SDK `Subscription.CancellationDetails.reason`).
_CANCELED_BY_REQUEST = "cancellation_requested"
_CANCELED_UNPAID = frozenset({"payment_disputed", "payment_failed"})


class Reason(StrEnum):
    """Why a customer has service, or has not; of several subscriptions the reason that comes first here is given."""

    ACTIVE = "active"
    TRIALING = "trialing"
    CANCELING = "canceling"
    PAST_DUE = "past_due"
    COLLECTION_PAUSED = "collection_paused"
    PAID_TIME_UNKNOWN = "paid_time_unknown"
    PAUSED = "paused"
    UNPAID = "unpaid"
    INCOMPLETE = "incomplete"
    UNKNOWN_STATUS = "unknown_status"
    CANCELED = "canceled"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    ENTITLEMENTS_UNKNOWN = "entitlements_unknown"
    FEATURE_NOT_ENTITLED = "feature_not_entitled"
    PRODUCT_NOT_SUBSCRIBED = "product_not_subscribed"
    NO_SUBSCRIPTION = "no_subscription"


_RANK = {reason: rank for rank, reason in enumerate(Reason)}

PauseRule = Literal["keep", "paid_period", "stop"]


class AccessPolicy(BaseModel):
    """What each state of a subscription means for service; `keep` serves, `stop` does not.

    `paid_period` serves to the end of the time that was paid. `access_if_unknown` says what to do while the mirror does
    not know how long that is, or does not know the status or the entitlements.
    """

    model_config = ConfigDict(frozen=True)

    access_collection_void: PauseRule = "paid_period"
    access_collection_keep_as_draft: PauseRule = "keep"
    access_collection_mark_uncollectible: PauseRule = "keep"
    access_paused: Literal["keep", "stop"] = "stop"
    # Stripe's own retries go on for two weeks by default (docs.stripe.com/billing/revenue-recovery/smart-retries).
    access_past_due_days: Annotated[int, Field(ge=0, le=365)] = 14
    access_unpaid: Literal["keep", "grace", "stop"] = "stop"
    access_trialing: Literal["keep", "stop"] = "keep"
    access_incomplete: Literal["keep", "stop"] = "stop"
    access_canceled: Literal["paid_period", "stop"] = "stop"
    access_if_unknown: Literal["grant", "deny"] = "grant"

    @property
    def grace_seconds(self) -> int:
        """How long an overdue payment is waited for."""
        return int(timedelta(days=self.access_past_due_days).total_seconds())

    def collection_rule(self, behavior: str) -> PauseRule:
        """Return the rule for a `pause_collection.behavior`; one that is not known counts as `void`."""
        match behavior:
            case "keep_as_draft":
                return self.access_collection_keep_as_draft
            case "mark_uncollectible":
                return self.access_collection_mark_uncollectible
            case _:
                return self.access_collection_void


@dataclass(frozen=True, slots=True)
class SubscriptionAccess:
    """Whether one subscription gives service; `until` as in `CustomerAccess`.

    `products` are the quantities by product, `None` for metered ones; a product of quantity zero is not among them.
    """

    subscription_id: str
    granted: bool
    reason: Reason
    until: int | None
    products: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class CustomerAccess:
    """Whether a customer has service: one of the subscriptions is enough.

    `until` (Unix seconds): when time alone will next change `granted`, `reason` or `features`; `None`: only an event
    can. `features`: the lookup keys of all features that the customer may use now; `None`: they are not known.
    """

    customer_id: str
    granted: bool
    reason: Reason
    until: int | None
    subscriptions: tuple[SubscriptionAccess, ...]
    features: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the form in which the answer is sent, cached and published; without features that are not known."""
        answer = asdict(self)
        if self.features is None:
            del answer["features"]
        return answer


@dataclass(frozen=True, slots=True)
class _Verdict:
    granted: bool
    reason: Reason

    @property
    def order(self) -> tuple[bool, int]:
        return not self.granted, _RANK[self.reason]


@dataclass(frozen=True, slots=True)
class _State:
    """What time can change about a customer's answer."""

    verdict: _Verdict
    features: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked about a customer: of the `own` subscriptions the `counted` ones, and one feature of all."""

    own: Sequence[MirroredSubscription]
    counted: Sequence[MirroredSubscription]
    entitlements: MirroredEntitlements | None
    feature: str | None
    policy: AccessPolicy

    def at(self, moment: float) -> _State:
        return _State(self._verdict(moment), self._features(moment))

    def _verdict(self, moment: float) -> _Verdict:
        if self.feature is None or not self.counted:
            return self._service(self.counted, moment)
        if self.entitlements is None:
            service = self._service(self.counted, moment)
            granted = self.policy.access_if_unknown == "grant"
            return _Verdict(granted, Reason.ENTITLEMENTS_UNKNOWN) if service.granted else service
        if self.feature not in self.entitlements.features:
            return _Verdict(False, Reason.FEATURE_NOT_ENTITLED)
        return self._service(_giving(self.feature, self.entitlements, self.counted), moment)

    def _features(self, moment: float) -> tuple[str, ...] | None:
        """Return the features that come from a subscription which gives service then."""
        if self.entitlements is None:
            return None
        serving = {item.subscription.id for item in self.own if _verdict(item, moment, self.policy).granted}
        return tuple(
            key
            for key in self.entitlements.features
            if any(item.subscription.id in serving for item in _giving(key, self.entitlements, self.own))
        )

    def _service(self, items: Iterable[MirroredSubscription], moment: float) -> _Verdict:
        none = _Verdict(False, Reason.PRODUCT_NOT_SUBSCRIBED if self.own else Reason.NO_SUBSCRIPTION)
        return min((_verdict(item, moment, self.policy) for item in items), key=lambda each: each.order, default=none)


def customer_access(  # noqa: PLR0913  # the facts, and what narrows them down
    customer_id: str,
    items: Iterable[MirroredSubscription],
    *,
    now: float,
    policy: AccessPolicy,
    product: str | None = None,
    account: str | None = None,
    entitlements: MirroredEntitlements | None = None,
    feature: str | None = None,
) -> CustomerAccess:
    """Decide from the customer's items in the mirror whether there is service at `now` (Unix seconds).

    With `product` only subscriptions to it count. With `feature` (a lookup key) the customer also has to be entitled
    to it, by a subscription that gives service. Items of another customer never count, and with `account` those that
    are known to be another Stripe account's do not.
    """

    def is_own(customer: str, account_of_item: str | None) -> bool:
        return customer == customer_id and account_of_item in {None, account or account_of_item}

    own = sorted(
        (item for item in items if is_own(item.subscription.customer_id, item.account)),
        key=lambda item: item.subscription.id,
    )
    counted = [item for item in own if product is None or product in _products(item.subscription)]
    known = entitlements if entitlements and is_own(entitlements.customer_id, entitlements.account) else None
    question = _Question(own, counted, known, feature, policy)
    state = question.at(now)
    return CustomerAccess(
        customer_id,
        state.verdict.granted,
        state.verdict.reason,
        _next_change(question.at, now, {moment for item in own for moment in _boundaries(item, policy)}),
        tuple(subscription_access(item, now=now, policy=policy) for item in counted),
        state.features,
    )


def _giving(
    feature: str, known: MirroredEntitlements, items: Sequence[MirroredSubscription]
) -> Sequence[MirroredSubscription]:
    """Return the subscriptions that a feature may come from: those with a product that has it.

    A product whose features are not known may have it. If no product has it any more, Stripe still says that the
    customer is entitled, so each may be the one.
    """
    giving = [
        item
        for item in items
        if any(feature in known.products.get(product, (feature,)) for product in _products(item.subscription))
    ]
    return giving or items


def subscription_access(item: MirroredSubscription, *, now: float, policy: AccessPolicy) -> SubscriptionAccess:
    """Decide whether one subscription gives service at `now` (Unix seconds)."""

    def at(moment: float) -> _Verdict:
        return _verdict(item, moment, policy)

    verdict = at(now)
    return SubscriptionAccess(
        item.subscription.id,
        verdict.granted,
        verdict.reason,
        _next_change(at, now, _boundaries(item, policy)),
        _products(item.subscription),
    )


def without_service_since(  # noqa: PLR0911  # one for each reason
    item: MirroredSubscription, verdict: SubscriptionAccess, policy: AccessPolicy
) -> int | None:
    """Return since when a subscription that gives no service has given none; `None` where the mirror cannot tell.

    Of an unpaid one without grace it is when the payment was due; of a pause whose beginning was not seen, the latest
    end that the paid time can have.
    """
    subscription = item.subscription
    match verdict.reason:
        case Reason.COLLECTION_PAUSED if subscription.pause_collection:
            stops = policy.collection_rule(subscription.pause_collection.behavior) == "stop"
            return item.beginnings.paused_since if stops else _paid_before_pause(item).latest
        case Reason.PAUSED:
            return item.beginnings.paused_since
        case Reason.CANCELED:
            ended = subscription.ended_at if subscription.ended_at is not None else _end(subscription)
            is_kept = (
                policy.access_canceled == "paid_period" and subscription.cancellation_reason not in _CANCELED_UNPAID
            )
            paid = _paid_before_end(item).latest if is_kept else None
            return max((moment for moment in (ended, paid) if moment is not None), default=None)
        case Reason.PAST_DUE:
            return _overdue_since(item) + policy.grace_seconds
        case Reason.UNPAID:
            return _overdue_since(item) + (policy.grace_seconds if policy.access_unpaid == "grace" else 0)
        case Reason.INCOMPLETE | Reason.INCOMPLETE_EXPIRED | Reason.TRIALING:
            return subscription.created
        case _:
            return None


def _next_change(at: Callable[[float], object], now: float, boundaries: Iterable[int]) -> int | None:
    present = at(now)
    return next((moment for moment in sorted(set(boundaries)) if moment > now and at(moment) != present), None)


def _products(subscription: Subscription) -> dict[str, int | None]:
    """Return the quantities by product; several items of one product count together."""
    found: dict[str, int | None] = {}
    for item in subscription.items:
        if item.product_id is None or item.quantity == 0:
            continue
        before = found.get(item.product_id)
        found[item.product_id] = item.quantity if before is None else before + (item.quantity or 0)
    return found


def _verdict(item: MirroredSubscription, moment: float, policy: AccessPolicy) -> _Verdict:
    """Decide for one subscription at that time.

    Every change before `as_of` is in the item, so a clock that says less is slow.
    """
    subscription, moment = item.subscription, max(moment, item.as_of)
    end = _end(subscription)
    if subscription.status == "incomplete_expired":
        return _Verdict(False, Reason.INCOMPLETE_EXPIRED)
    if subscription.ended or (end is not None and end <= moment):
        return _canceled(item, moment, policy)
    state = _of_status(item, moment, policy)
    if not state.granted or is_collected(subscription, at=moment) or subscription.pause_collection is None:
        return state
    match policy.collection_rule(subscription.pause_collection.behavior):
        case "keep":
            return _Verdict(True, Reason.COLLECTION_PAUSED)
        case "stop":
            return _Verdict(False, Reason.COLLECTION_PAUSED)
        case "paid_period":
            return _paid_period(_paid_before_pause(item), moment, Reason.COLLECTION_PAUSED, policy)


def _of_status(  # noqa: PLR0911  # one for each of Stripe's statuses
    item: MirroredSubscription, moment: float, policy: AccessPolicy
) -> _Verdict:
    """Decide by the status of a subscription that has not ended, as if its collection were not paused."""
    is_canceling = _end(item.subscription) is not None
    in_grace = moment < _overdue_since(item) + policy.grace_seconds
    match item.subscription.status:
        case "trialing" if policy.access_trialing == "stop":
            return _Verdict(False, Reason.TRIALING)
        case "active" | "trialing" if is_canceling:
            return _Verdict(True, Reason.CANCELING)
        case "active" | "trialing" as status:
            return _Verdict(True, Reason(status))
        case "past_due":
            return _Verdict(in_grace, Reason.PAST_DUE)
        case "unpaid":
            kept = policy.access_unpaid == "keep" or (policy.access_unpaid == "grace" and in_grace)
            return _Verdict(kept, Reason.UNPAID)
        case "incomplete":
            return _Verdict(policy.access_incomplete == "keep", Reason.INCOMPLETE)
        case "paused":
            return _Verdict(policy.access_paused == "keep", Reason.PAUSED)
        case _:
            return _Verdict(policy.access_if_unknown == "grant", Reason.UNKNOWN_STATUS)


def _canceled(item: MirroredSubscription, moment: float, policy: AccessPolicy) -> _Verdict:
    """Decide for a subscription that has ended, or whose end has come although no event has told so yet.

    Whether the last period was paid is certain only if Stripe says that the end was asked for.
    """
    why = item.subscription.cancellation_reason
    if policy.access_canceled == "stop" or why in _CANCELED_UNPAID:
        return _Verdict(False, Reason.CANCELED)
    return _paid_period(_paid_before_end(item), moment, Reason.CANCELED, policy)


def _paid_period(paid: PaidUntil, moment: float, reason: Reason, policy: AccessPolicy) -> _Verdict:
    if paid.earliest is not None and moment < paid.earliest:
        return _Verdict(True, reason)
    if paid.latest is None or moment < paid.latest:
        return _Verdict(policy.access_if_unknown == "grant", Reason.PAID_TIME_UNKNOWN)
    return _Verdict(False, reason)


def _paid_before_pause(item: MirroredSubscription) -> PaidUntil:
    """Return the end of the period that was paid before collection was paused: it never moves while that lasts."""
    times = item.beginnings
    since = times.paused_since if times.paused_since is not None else _seen_at(item)
    exact = times.paused_since is not None and times.paused_since_exact
    return period_paid_before(item.subscription, times.paid_through, since, exact=exact)


def _paid_before_end(item: MirroredSubscription) -> PaidUntil:
    subscription = item.subscription
    latest = item.beginnings.paid_through
    if latest is None:
        # Nobody pays beyond the period in which it ended.
        latest = subscription.current_period_end or subscription.ended_at or item.as_of
        return PaidUntil(None, latest)
    return PaidUntil(latest if subscription.cancellation_reason == _CANCELED_BY_REQUEST else None, latest)


def _overdue_since(item: MirroredSubscription) -> int:
    """Return since when a payment is overdue; a failed retry does not change it."""
    since = item.beginnings.past_due_since
    return _seen_at(item) if since is None else since


def _seen_at(item: MirroredSubscription) -> int:
    """Return when the state of an item that is not settled yet, and has no beginnings of its own, was seen."""
    return item.as_of if item.settling is None else item.settling


def _end(subscription: Subscription) -> int | None:
    """Return when it is set to be canceled; newer API versions may show a cancellation at period's end by its time."""
    if subscription.cancel_at is not None:
        return subscription.cancel_at
    return subscription.current_period_end if subscription.cancel_at_period_end else None


def _boundaries(item: MirroredSubscription, policy: AccessPolicy) -> set[int]:
    """Return every time at which the verdict may change by itself."""
    subscription = item.subscription
    pause = subscription.pause_collection
    paid = [_paid_before_end(item)] + ([_paid_before_pause(item)] if pause else [])
    overdue = _overdue_since(item) + policy.grace_seconds
    moments = {_end(subscription), pause.resumes_at if pause else None, overdue}
    moments |= {moment for each in paid for moment in (each.earliest, each.latest)}
    return {moment for moment in moments if moment is not None}
