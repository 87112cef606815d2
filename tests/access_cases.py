"""The cases of docs/reference/access.md: states of a subscription, with the answer that each has to get.

The table in the docs is written from here by `make reference`, with the answers that the code gives; a test compares
them with the expected ones, which are written by hand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.access import AccessPolicy, CustomerAccess, Reason, customer_access
from shared.mirror.items import Beginnings, MirroredSubscription
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "access.md"
_TABLE = re.compile(r"(<!-- access: (.+?) -->\n)(.*?)(<!-- end of access -->)", re.DOTALL)


def day(text: str) -> int:
    """Midnight of a day of 2026 (UTC), such as `1 Apr`."""
    return int(datetime.strptime(f"{text} 2026 +0000", "%d %b %Y %z").timestamp())


def shown(moment: int | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%-d %b}"


VOID = PauseCollection("void")
# Renewed on the first of each month; the present period is April's, whatever happened before.
MONTHLY = Subscription(
    "sub_1",
    "cus_1",
    "active",
    livemode=False,
    created=day("1 Jan"),
    current_period_end=day("1 May"),
    items=(SubscriptionItem("si_1", "price_1", "prod_1", 2, interval="month", current_period_end=day("1 May")),),
)
# As the webhook sees it: while collected, the end of the period is the end of the paid time.
PAID = Beginnings(paid_through=day("1 May"))
# Paused on 10 February, when January and February were paid: Stripe let the period roll on to April.
SEEN_PAUSE = Beginnings(paused_since=day("10 Feb"), paused_since_exact=True, paid_through=day("1 Mar"))


@dataclass(frozen=True)
class Case:
    """A state, when it is asked about, and the answer; `policy` are settings that differ from the defaults."""

    state: str
    on: str
    granted: bool
    reason: Reason
    until: str | None = None
    subscription: Mapping[str, Any] = field(default_factory=dict)
    beginnings: Beginnings = PAID
    policy: Mapping[str, Any] = field(default_factory=dict)

    @property
    def item(self) -> MirroredSubscription:
        return MirroredSubscription(replace(MONTHLY, **self.subscription), day("2 Jan"), 1, beginnings=self.beginnings)

    def answer(self) -> CustomerAccess:
        policy = AccessPolicy(**self.policy)
        return customer_access("cus_1", [self.item], now=day(self.on), policy=policy)


_OVERDUE = Beginnings(past_due_since=day("1 Apr"), past_due_since_exact=True, paid_through=day("1 May"))
_UNSEEN_PAUSE = Beginnings(paused_since=day("10 Feb"), paid_through=day("1 Feb"))
_NEVER_PAID = Beginnings(paused_since=day("10 Feb"))
_CANCELED = {"status": "canceled", "ended_at": day("10 Apr"), "cancellation_reason": "cancellation_requested"}
_AT_PERIOD_END = {"cancel_at_period_end": True, "cancel_at": day("1 May")}
_RESUMES = {"pause_collection": PauseCollection("void", day("15 Apr"))}

DEFAULTS = (
    Case("`active`", "10 Apr", True, Reason.ACTIVE),
    Case("`active`, and its renewal has not been heard of", "20 May", True, Reason.ACTIVE),
    Case(
        "`active`, to be canceled at the end of the period", "10 Apr", True, Reason.CANCELING, "1 May", _AT_PERIOD_END
    ),
    Case("the same, though no event has told of the end yet", "1 May", False, Reason.CANCELED, None, _AT_PERIOD_END),
    Case(
        "`active`, to be canceled by `cancel_at_period_end` alone",
        "10 Apr",
        True,
        Reason.CANCELING,
        "1 May",
        {"cancel_at_period_end": True},
    ),
    Case("`trialing`", "10 Apr", True, Reason.TRIALING, None, {"status": "trialing", "trial_end": day("1 May")}),
    Case("`past_due` since 1 Apr", "14 Apr", True, Reason.PAST_DUE, "15 Apr", {"status": "past_due"}, _OVERDUE),
    Case("the same, after 14 days", "15 Apr", False, Reason.PAST_DUE, None, {"status": "past_due"}, _OVERDUE),
    Case("`unpaid`", "2 Apr", False, Reason.UNPAID, None, {"status": "unpaid"}, _OVERDUE),
    Case(
        "`incomplete`: the first payment is missing", "2 Apr", False, Reason.INCOMPLETE, None, {"status": "incomplete"}
    ),
    Case("`incomplete_expired`", "2 Apr", False, Reason.INCOMPLETE_EXPIRED, None, {"status": "incomplete_expired"}),
    Case(
        "collection paused (`void`) on 10 Feb",
        "28 Feb",
        True,
        Reason.COLLECTION_PAUSED,
        "1 Mar",
        {"pause_collection": VOID},
        SEEN_PAUSE,
    ),
    Case(
        "the same, after the paid period",
        "1 Mar",
        False,
        Reason.COLLECTION_PAUSED,
        None,
        {"pause_collection": VOID},
        SEEN_PAUSE,
    ),
    Case(
        "the same, with `resumes_at` 15 Apr", "10 Apr", False, Reason.COLLECTION_PAUSED, "15 Apr", _RESUMES, SEEN_PAUSE
    ),
    Case("the same, when `resumes_at` has passed", "15 Apr", True, Reason.ACTIVE, None, _RESUMES, SEEN_PAUSE),
    Case(
        "`void`, first seen on 10 Feb, and last seen collected in January",
        "20 Feb",
        True,
        Reason.PAID_TIME_UNKNOWN,
        "1 Mar",
        {"pause_collection": VOID},
        _UNSEEN_PAUSE,
    ),
    Case(
        "the same, after that period",
        "1 Mar",
        False,
        Reason.COLLECTION_PAUSED,
        None,
        {"pause_collection": VOID},
        _UNSEEN_PAUSE,
    ),
    Case(
        "`void`, first seen on 10 Feb, and never seen collected",
        "20 Feb",
        True,
        Reason.PAID_TIME_UNKNOWN,
        "1 Mar",
        {"pause_collection": VOID},
        _NEVER_PAID,
    ),
    Case(
        "collection paused (`keep_as_draft`)",
        "10 Apr",
        True,
        Reason.COLLECTION_PAUSED,
        None,
        {"pause_collection": PauseCollection("keep_as_draft")},
        SEEN_PAUSE,
    ),
    Case(
        "collection paused (`mark_uncollectible`)",
        "10 Apr",
        True,
        Reason.COLLECTION_PAUSED,
        None,
        {"pause_collection": PauseCollection("mark_uncollectible")},
        SEEN_PAUSE,
    ),
    Case(
        "collection paused by a behavior that is new to this version",
        "10 Apr",
        False,
        Reason.COLLECTION_PAUSED,
        None,
        {"pause_collection": PauseCollection("something_new")},
        SEEN_PAUSE,
    ),
    Case(
        "`past_due` since 1 Apr, and collection paused (`void`) on 5 Apr",
        "10 Apr",
        True,
        Reason.COLLECTION_PAUSED,
        "15 Apr",
        {"status": "past_due", "pause_collection": VOID},
        replace(_OVERDUE, paused_since=day("5 Apr"), paused_since_exact=True),
    ),
    Case(
        "the same, after 14 days",
        "15 Apr",
        False,
        Reason.PAST_DUE,
        None,
        {"status": "past_due", "pause_collection": VOID},
        replace(_OVERDUE, paused_since=day("5 Apr"), paused_since_exact=True),
    ),
    Case(
        "`status=paused`",
        "20 Feb",
        False,
        Reason.PAUSED,
        None,
        {"status": "paused", "paused_at": day("10 Feb")},
        SEEN_PAUSE,
    ),
    Case("`canceled` on 10 Apr, at once", "11 Apr", False, Reason.CANCELED, None, _CANCELED),
    Case(
        "a status that is new to this version", "10 Apr", True, Reason.UNKNOWN_STATUS, None, {"status": "something_new"}
    ),
)

SETTINGS = (
    Case(
        "collection paused (`void`) on 10 Feb",
        "11 Feb",
        False,
        Reason.COLLECTION_PAUSED,
        None,
        {"pause_collection": VOID},
        SEEN_PAUSE,
        {"access_collection_void": "stop"},
    ),
    Case(
        "the same",
        "10 Apr",
        True,
        Reason.COLLECTION_PAUSED,
        None,
        {"pause_collection": VOID},
        SEEN_PAUSE,
        {"access_collection_void": "keep"},
    ),
    Case(
        "collection paused (`keep_as_draft`) on 10 Feb",
        "28 Feb",
        True,
        Reason.COLLECTION_PAUSED,
        "1 Mar",
        {"pause_collection": PauseCollection("keep_as_draft")},
        SEEN_PAUSE,
        {"access_collection_keep_as_draft": "paid_period"},
    ),
    Case(
        "collection paused (`mark_uncollectible`) on 10 Feb",
        "1 Mar",
        False,
        Reason.COLLECTION_PAUSED,
        None,
        {"pause_collection": PauseCollection("mark_uncollectible")},
        SEEN_PAUSE,
        {"access_collection_mark_uncollectible": "paid_period"},
    ),
    Case(
        "`void`, first seen on 10 Feb, and never seen collected",
        "20 Feb",
        False,
        Reason.PAID_TIME_UNKNOWN,
        "1 Mar",
        {"pause_collection": VOID},
        _NEVER_PAID,
        {"access_if_unknown": "deny"},
    ),
    Case(
        "`status=paused`",
        "20 Apr",
        True,
        Reason.PAUSED,
        None,
        {"status": "paused"},
        SEEN_PAUSE,
        {"access_paused": "keep"},
    ),
    Case(
        "`past_due` since 1 Apr",
        "1 Apr",
        False,
        Reason.PAST_DUE,
        None,
        {"status": "past_due"},
        _OVERDUE,
        {"access_past_due_days": 0},
    ),
    Case(
        "`unpaid`, overdue since 1 Apr",
        "10 Apr",
        True,
        Reason.UNPAID,
        "15 Apr",
        {"status": "unpaid"},
        _OVERDUE,
        {"access_unpaid": "grace"},
    ),
    Case("the same", "20 Apr", True, Reason.UNPAID, None, {"status": "unpaid"}, _OVERDUE, {"access_unpaid": "keep"}),
    Case(
        "`trialing`", "10 Apr", False, Reason.TRIALING, None, {"status": "trialing"}, PAID, {"access_trialing": "stop"}
    ),
    Case(
        "`incomplete`",
        "10 Apr",
        True,
        Reason.INCOMPLETE,
        None,
        {"status": "incomplete"},
        PAID,
        {"access_incomplete": "keep"},
    ),
    Case(
        "`canceled` on 10 Apr, on request",
        "11 Apr",
        True,
        Reason.CANCELED,
        "1 May",
        _CANCELED,
        PAID,
        {"access_canceled": "paid_period"},
    ),
    Case(
        "`canceled` on 10 Apr, because a payment failed",
        "11 Apr",
        False,
        Reason.CANCELED,
        None,
        _CANCELED | {"cancellation_reason": "payment_failed"},
        PAID,
        {"access_canceled": "paid_period"},
    ),
    Case(
        "`canceled` on 10 Apr, and Stripe does not say why",
        "11 Apr",
        True,
        Reason.PAID_TIME_UNKNOWN,
        "1 May",
        _CANCELED | {"cancellation_reason": None},
        PAID,
        {"access_canceled": "paid_period"},
    ),
    Case(
        "`canceled` on 10 Apr, while collection was paused (`void`) since 10 Feb",
        "11 Apr",
        False,
        Reason.CANCELED,
        None,
        _CANCELED | {"pause_collection": VOID},
        SEEN_PAUSE,
        {"access_canceled": "paid_period"},
    ),
    Case(
        "a status that is new to this version",
        "10 Apr",
        False,
        Reason.UNKNOWN_STATUS,
        None,
        {"status": "something_new"},
        PAID,
        {"access_if_unknown": "deny"},
    ),
)


def tables() -> Mapping[str, list[str]]:
    """The lines of each table, by the name in its marker."""
    head = "asked on | service | `reason` | `until` |"
    return {
        "defaults": [f"| the subscription | {head}", "|---|---|---|---|---|", *(_row(case) for case in DEFAULTS)],
        "settings": [
            f"| setting | the subscription | {head}",
            "|---|---|---|---|---|---|",
            *(f"| {_setting(case)} {_row(case)}" for case in SETTINGS),
        ],
    }


def _row(case: Case) -> str:
    answer = case.answer()
    cells = (case.state, case.on, "yes" if answer.granted else "**no**", f"`{answer.reason}`", shown(answer.until))
    return f"| {' | '.join(cells)} |"


def _setting(case: Case) -> str:
    ((name, value),) = case.policy.items()
    return f"`{name.title().replace('_', '')}`: {value}"


def with_tables(text: str) -> str:
    """The page with every table between markers written anew."""
    every = {name: "\n".join(lines) for name, lines in tables().items()}
    return _TABLE.sub(lambda found: f"{found[1]}{every[found[2]]}\n{found[4]}", text)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
