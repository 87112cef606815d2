"""The people of the demo: each stands for one state that a subscription can be in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

# Before all of history: when everybody signed up. Steps come later, and before Stripe's cutoff of 2024-08-01.
SIGN_UP = datetime(2024, 2, 10, 9, 0, tzinfo=UTC)
_BUTTON = datetime(2024, 2, 20, 18, 30, tzinfo=UTC)
_SPRING = datetime(2024, 3, 12, 10, 15, tzinfo=UTC)
_MAY = datetime(2024, 5, 20, 8, 45, tzinfo=UTC)
# Ahead both as of 2024-07-15 and today.
_FAR_AHEAD = int(datetime(2035, 1, 1, tzinfo=UTC).timestamp())

Act = Literal["update", "pause", "schedule", "cancel", "fail_payment"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens to a person's first subscription."""

    at: datetime
    act: Act
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """A customer: `prices` are lookup keys, one subscription each unless `in_one`; `terms` are parameters of those.

    `pays_with` is a type of payment method, `None` for nobody's.
    """

    name: str
    email: str
    purpose: str
    prices: tuple[str, ...] = ("starter_eur_month",)
    steps: tuple[Step, ...] = ()
    terms: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    pays_with: str | None = "card"
    in_one: bool = False


def _collection_paused(at: datetime, behavior: str, *, resumes_at: int | None = None) -> tuple[Step, ...]:
    pause = {"behavior": behavior} | ({"resumes_at": resumes_at} if resumes_at else {})
    return (Step(at, "update", {"pause_collection": pause}),)


_CLASSIC = {"billing_mode": {"type": "classic"}}
_TRIAL_THEN_PAUSE = {
    "trial_period_days": 14,
    "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
}

PEOPLE = (
    Person("Amélie Laurent", "amelie.laurent@example.com", "Active, nothing special"),
    Person(
        "Jonas Weber",
        "jonas.weber@example.com",
        "Collection paused, invoices voided, without an end",
        steps=_collection_paused(_BUTTON, "void"),
        terms=_CLASSIC,
        group="legacy",
    ),
    Person(
        "Sofia Rossi",
        "sofia.rossi@example.com",
        "Collection paused, invoices voided, until 2035",
        prices=("starter_eur_year",),
        steps=_collection_paused(_BUTTON, "void", resumes_at=_FAR_AHEAD),
    ),
    Person(
        "Liam O'Connor",
        "liam.oconnor@example.com",
        "Collection paused, invoices kept as drafts, without an end",
        prices=("team_usd_month",),
        steps=_collection_paused(_SPRING, "keep_as_draft"),
    ),
    Person(
        "Noor de Vries",
        "noor.devries@example.com",
        "Collection paused, invoices kept as drafts, until 2035",
        steps=_collection_paused(_SPRING, "keep_as_draft", resumes_at=_FAR_AHEAD),
    ),
    Person(
        "Yuki Tanaka",
        "yuki.tanaka@example.com",
        "Collection paused, invoices uncollectible, without an end",
        prices=("starter_jpy_month",),
        steps=_collection_paused(_SPRING, "mark_uncollectible"),
    ),
    Person(
        "Marta Kowalska",
        "marta.kowalska@example.com",
        "Collection paused, invoices uncollectible, until 2035",
        prices=("team_usd_month",),
        steps=_collection_paused(_SPRING, "mark_uncollectible", resumes_at=_FAR_AHEAD),
    ),
    Person(
        "Daniel Kim",
        "daniel.kim@example.com",
        "Really paused (status=paused), on request",
        prices=("team_usd_month",),
        steps=(Step(_MAY, "pause"),),
    ),
    Person(
        "Priya Sharma",
        "priya.sharma@example.com",
        "Really paused: the trial ended without a card",
        terms=_TRIAL_THEN_PAUSE,
        pays_with=None,
    ),
    Person(
        "Emma Johansson",
        "emma.johansson@example.com",
        "Past due: the last payment failed",
        steps=(Step(_MAY, "fail_payment"),),
    ),
    Person("Luca Moretti", "luca.moretti@example.com", "Cancelled", steps=(Step(_MAY, "cancel"),)),
    Person(
        "Chloé Dubois",
        "chloe.dubois@example.com",
        "Two subscriptions, one of them with collection paused",
        prices=("team_eur_month", "starter_eur_month"),
        steps=_collection_paused(_SPRING, "void"),
    ),
    Person(
        "Oliver Smith",
        "oliver.smith@example.com",
        "Usage-based: no change of plan in the portal",
        prices=("api_calls_eur_month",),
    ),
    Person(
        "Mia Andersson",
        "mia.andersson@example.com",
        "Two products in one subscription: no change of plan in the portal",
        prices=("team_eur_month", "starter_eur_month"),
        in_one=True,
    ),
    Person(
        "Carlos Gómez",
        "carlos.gomez@example.com",
        "Pays by invoice: the portal can only cancel it",
        prices=("team_eur_month",),
        terms={"collection_method": "send_invoice", "days_until_due": 30},
    ),
    Person(
        "Aisha Khan",
        "aisha.khan@example.com",
        "Pays with what the portal does not support: no change of plan in it",
        pays_with="klarna",
    ),
    Person(
        "Pavel Novák",
        "pavel.novak@example.com",
        "An update is scheduled: the portal neither changes nor cancels",
        steps=(Step(_MAY, "schedule", {"change_at": _FAR_AHEAD, "price": "starter_eur_year"}),),
    ),
    Person(
        "Grace Osei",
        "grace.osei@example.com",
        "A price without a tax behavior: no change of plan in the portal",
        prices=("starter_2023_month",),
    ),
    Person(
        "Hugo Martin",
        "hugo.martin@example.com",
        "In a trial: a change of plan would end it",
        terms={"trial_end": _FAR_AHEAD},
    ),
    Person("Ingrid Berg", "ingrid.berg@example.com", "No subscription at all", prices=()),
)
