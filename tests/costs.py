"""What a month costs: from the requests of each way through the bundle, measured durations, and AWS's list prices.

`tests/integration/test_costs.py`, `test_pause_costs.py` and `test_audit_costs.py` count the requests anew.
`make reference` writes the tables of docs/explanation/cost.md from here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DOC = Path(__file__).parents[1] / "docs" / "explanation" / "cost.md"
RUNBOOK = Path(__file__).parents[1] / "docs" / "how-to" / "runbook.md"
_TABLE = re.compile(r"(<!-- cost: (\w+) -->\n).*?(<!-- end of cost -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Way:
    """The requests of one way through a warm function, by AWS's operation, and how many go to Stripe.

    `log_bytes` are those of its own line and of its metrics, measured. `is_invoked`: it is an invocation of its own.
    """

    title: str
    aws: Mapping[str, int]
    stripe: int = 0
    log_bytes: int = field(default=810, compare=False)
    is_invoked: bool = field(default=True, compare=False)


WAYS = {
    "usual": Way("an event that stands alone in its window", {"UpdateItem": 1}),
    "burst": Way("an event too close to another one, when it arrives", {"UpdateItem": 2, "SendMessage": 1}),
    "settled": Way("the same event, when the queue brings it back", {"UpdateItem": 2}, stripe=1),
    "settled_too": Way("another event of the same burst, when the queue brings it back", {"UpdateItem": 1}),
    "portal": Way("a portal click, by a link token", {}, stripe=1, log_bytes=240),
    "customer": Way("the same with `PortalConfigurations` set, and no group in the token", {}, stripe=2, log_bytes=240),
    "checkout": Way("the same with `CheckoutPrice` set besides, by a subscriber", {}, stripe=3, log_bytes=240),
    "access": Way("an access answer about one customer", {"Query": 1}, log_bytes=245),
    "unchanged": Way(
        "a change of the mirror that leaves the customer's access as it was", {"Query": 1, "GetItem": 1}, log_bytes=0
    ),
    "changed": Way(
        "a change of the mirror that changes the customer's access",
        {"Query": 1, "GetItem": 1, "UpdateItem": 2, "PutEvents": 1},
        log_bytes=240,
    ),
    "due": Way("the schedule of every five minutes, with nobody due", {"Query": 8}, log_bytes=320),
}

_LOOK = {"Query": 1, "GetItem": 1, "PutItem": 2}
PAUSES = {
    "pause_page": Way(
        "the page for pauses, of a customer with one subscription", {"Query": 1, "GetItem": 1}, stripe=1, log_bytes=210
    ),
    "pause": Way(
        "a pause that a customer sets, with its mail",
        {"Query": 1, "GetItem": 1, "PutItem": 2, "TransactWriteItems": 1, "SendEmail": 1},
        stripe=5,
        log_bytes=275,
    ),
    "pause_due": Way("the pauses' schedule of every five minutes, with none due", {"Query": 1}, log_bytes=210),
    "pause_look": Way("its daily look at a pause that waits", _LOOK, stripe=2, log_bytes=0, is_invoked=False),
    "pause_begins": Way(
        "its look at a pause that has begun",
        _LOOK | {"TransactWriteItems": 1},
        stripe=2,
        log_bytes=0,
        is_invoked=False,
    ),
    "pause_replan": Way(
        "its look at a pause whose schedule Stripe has released",
        _LOOK | {"PutItem": 3},
        stripe=5,
        log_bytes=0,
        is_invoked=False,
    ),
    "pause_notice": Way(
        "its look that sends the notice of the return",
        _LOOK | {"PutItem": 3, "SendEmail": 1},
        stripe=3,
        log_bytes=0,
        is_invoked=False,
    ),
    "pause_returns": Way(
        "its look at a pause that has ended",
        _LOOK | {"TransactWriteItems": 1},
        stripe=4,
        log_bytes=0,
        is_invoked=False,
    ),
}

_NIGHT = {
    "GetParameter": 6,
    "GetSecretValue": 1,
    "DescribeSecret": 3,
    "BatchGetItem": 4,
    "UpdateItem": 3,
    "Query": 1,
    "Scan": 1,
    "PutObject": 7,
    "GetObject": 7,
    "HeadObject": 1,
    "GetQueueAttributes": 3,
    "ReceiveMessage": 3,
    "SendEmail": 1,
}
NIGHTS = {
    "empty": Way("a night of an account without subscriptions", _NIGHT, stripe=7),
    "subscribers": Way("a night of 120 subscriptions, 12 of them paused", _NIGHT | {"BatchGetItem": 6}, stripe=9),
}


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for so many units; `source` says where that was read, or that it was not."""

    dollars: float
    units: float
    unit: str
    source: str

    @property
    def each(self) -> float:
        """The price of one unit."""
        return self.dollars / self.units


_MEMORY = "not verified (from memory)"
PRICES = {
    "api": Price(1.00, 1e6, "million requests to the HTTP API", "a public note of 2019; not verified since"),
    "invocation": Price(0.20, 1e6, "million invocations of Lambda", "aws.amazon.com/lambda/pricing, copied 2026-09-20"),
    "gb_second": Price(1.33334, 1e5, "100,000 GB-seconds of Lambda on arm64", "artillery 2.0.28, after AWS's page"),
    "write": Price(0.625, 1e6, "million write units of DynamoDB, on demand", _MEMORY),
    "read": Price(0.125, 1e6, "million read units of DynamoDB, on demand", _MEMORY),
    "storage": Price(0.25, 1, "GB-month of DynamoDB", "a public note of 2020; not verified since"),
    "backup": Price(0.20, 1, "GB-month of point-in-time recovery", "a public note of 2020; not verified since"),
    "queue": Price(0.40, 1e6, "million requests to SQS", "a public note of 2020; not verified since"),
    "object": Price(5.00, 1e6, "million objects written to S3", _MEMORY),
    "bus": Price(1.00, 1e6, "million events on EventBridge's own buses", _MEMORY),
    "logs": Price(0.50, 1, "GB of logs", "a third party's page of 2026-06-13"),
    "metric": Price(0.30, 1, "custom metric a month", "a third party's page of 2026-02-15"),
    "secret": Price(0.40, 1, "secret a month", "aws.amazon.com/secrets-manager/pricing, copied 2026-09-20"),
    "secret_read": Price(
        0.05, 1e4, "10,000 reads of secrets", "aws.amazon.com/secrets-manager/pricing, copied 2026-09-20"
    ),
    "schedule": Price(1.00, 1e6, "million invocations by EventBridge Scheduler", _MEMORY),
    "mail": Price(0.10, 1e3, "1,000 mails by SES", _MEMORY),
    "durable": Price(8.00, 1e6, "million durable operations", "aws.amazon.com/lambda/pricing, copied 2026-09-20"),
}

# What a subscription does in a month. Of its events every tenth is one of a burst of three.
EVENTS, PORTAL_CLICKS, ACCESS_ANSWERS, ACCESS_CHANGES = 3, 0.1, 20, 0.05
BURST_SHARE, BURST_EVENTS = 0.1, 3
# Seconds billed, and memory in GB. The handler's own CPU is below a millisecond (bench/README.md); the rest is waiting:
# 5 ms for a request to AWS and 300 ms for one to Stripe, neither of which could be measured here.
SECONDS = {"AWS": 0.005, "Stripe": 0.3, "own": 0.002}
MEMORY_GB = 0.5
# What Lambda itself and the API log of each request (from memory, and by the API's format in template.yaml).
LAMBDA_LOG_BYTES, API_LOG_BYTES = 300, 300
# Of an item of the mirror with one price (333 bytes with the fewest attributes): one write unit, one read unit.
ITEM_BYTES, WRITE_UNITS, READ_UNITS = 600, 1, 1
# The metrics that a month without trouble has.
METRICS = (
    "EventApplied", "EventStale", "EventQueued", "EventLag", "EventIgnoredType", "AccessGranted", "AccessDenied",
    "AccessChangePublished", "PortalOpened", "PortalRefused", "AuditRuns", "AuditReports", "AuditMails",
    "AuditFindings", "PausedSubscriptions", "CustomersServedFree", "OldestSecretDays", "UncollectedPerMonth",
)  # fmt: skip
# With pauses on, such a share of the subscriptions is paused each month, each for so many days, from two weeks later;
# and so often does a customer who pauses open the page.
PAUSED_SHARE, PAUSE_DAYS, PAUSE_WAITS, PAUSE_PAGES = 0.01, 60, 15, 3
# A transaction takes two units for each item. A record's place in the index `due` moves with each write, which takes
# two more, and an entry is in two other indexes (docs.aws.amazon.com, "Read/write capacity mode": from memory).
PAUSE_RECORD_BYTES, PAUSE_ENTRY_BYTES, PAUSE_ENTRIES = 1_024, 512, 3
PAUSE_PUT_UNITS, PAUSE_TRANSACTION_UNITS = 1 + 2, 2 * 2 + 2 + 2
PAUSE_METRICS = ("PauseDone", "PauseFollowed", "PauseNoticeSent", "PausePageShown")
SECRETS = 3
SIZES = (0, 1_000, 100_000, 10_000_000)
MONTH_SECONDS = 30 * 86_400
SCHEDULED = MONTH_SECONDS / 300
# bench.audit_scale: requests to Stripe for each subscription, and seconds of CPU for each of them.
AUDIT_REQUESTS, AUDIT_CPU = 1_024 / 100_000, 0.017
AUDIT_OPERATIONS, AUDIT_GB = 200, 1
# A warm environment reads two secrets every five minutes; at most so many environments are warm all month.
ENVIRONMENT_EVENTS_PER_SECOND = 50


def alarms() -> float:
    """What all alarms cost a month at most, as the runbook says."""
    found = re.search(r"up to (\d+\.\d+) dollars", RUNBOOK.read_text())
    assert found, "the runbook does not say what the alarms cost"
    return float(found[1])


def _seconds(way: Way) -> float:
    return SECONDS["own"] + SECONDS["AWS"] * sum(way.aws.values()) + SECONDS["Stripe"] * way.stripe


def _requests(way: Way, *, by_api: bool) -> dict[str, float]:
    """Return what one of these costs, by the line of the bill, in dollars."""
    price = {name: each.each for name, each in PRICES.items()}
    units = {
        "UpdateItem": WRITE_UNITS,
        "PutItem": PAUSE_PUT_UNITS,
        "TransactWriteItems": PAUSE_TRANSACTION_UNITS,
    }
    writes = sum(way.aws.get(name, 0) * each for name, each in units.items()) * price["write"]
    reads = (way.aws.get("Query", 0) + way.aws.get("GetItem", 0)) * READ_UNITS * price["read"]
    log_bytes = way.log_bytes + (LAMBDA_LOG_BYTES if way.is_invoked else 0) + (API_LOG_BYTES if by_api else 0)
    return {
        "API": price["api"] if by_api else 0,
        "Lambda": price["invocation"] * way.is_invoked + _seconds(way) * MEMORY_GB * price["gb_second"],
        "DynamoDB": writes + reads,
        "SQS and EventBridge": way.aws.get("SendMessage", 0) * 3 * price["queue"]
        + way.aws.get("PutEvents", 0) * price["bus"],
        "logs": log_bytes / 1e9 * price["logs"],
    }


def pauses_month(subscriptions: int) -> float:
    """What pauses cost a month where they are on, in dollars, with a year of their history."""
    price = {name: each.each for name, each in PRICES.items()}
    paused = subscriptions * PAUSED_SHARE
    numbers = {
        "pause_page": (paused * PAUSE_PAGES, True),
        "pause": (paused, True),
        "pause_due": (SCHEDULED, False),
        "pause_look": (paused * (PAUSE_WAITS + PAUSE_DAYS), False),
        "pause_begins": (paused, False),
        "pause_replan": (paused, False),
        "pause_notice": (paused, False),
        "pause_returns": (paused, False),
    }
    work = sum(
        number * sum(_requests(PAUSES[name], by_api=by_api).values()) for name, (number, by_api) in numbers.items()
    )
    mails = sum(number * PAUSES[name].aws.get("SendEmail", 0) for name, (number, _) in numbers.items())
    # Each entry is in the table and, whole, in two indexes.
    stored = paused * 12 * (PAUSE_RECORD_BYTES + PAUSE_ENTRIES * 3 * PAUSE_ENTRY_BYTES) / 1e9
    metrics = len(PAUSE_METRICS) * price["metric"] if subscriptions else 0
    asked = work + mails * price["mail"] + SCHEDULED * price["schedule"]
    return asked + metrics + stored * (price["storage"] + price["backup"])


def month(subscriptions: int) -> dict[str, float]:
    """What a month costs, by the line of the bill, in dollars, without any free tier."""
    events = subscriptions * EVENTS
    in_bursts = events * BURST_SHARE
    settled = in_bursts / BURST_EVENTS
    numbers = {
        "usual": (events - in_bursts, True),
        "burst": (in_bursts, True),
        "settled": (settled, False),
        "settled_too": (in_bursts - settled, False),
        "portal": (subscriptions * PORTAL_CLICKS, True),
        "access": (subscriptions * ACCESS_ANSWERS, True),
        "unchanged": (events - subscriptions * ACCESS_CHANGES, False),
        "changed": (subscriptions * ACCESS_CHANGES, False),
        "due": (SCHEDULED, False),
    }
    price = {name: each.each for name, each in PRICES.items()}
    bill = dict.fromkeys(("alarms", "custom metrics", "secrets", "API", "Lambda", "DynamoDB"), 0.0)
    bill |= dict.fromkeys(("SQS and EventBridge", "logs", "audit", "pauses"), 0.0)
    for name, (number, by_api) in numbers.items():
        for line, dollars in _requests(WAYS[name], by_api=by_api).items():
            bill[line] += number * dollars
    gigabytes = subscriptions * ITEM_BYTES / 1e9
    warm = min(1, events / 10_000) + events / MONTH_SECONDS / ENVIRONMENT_EVENTS_PER_SECOND
    bill["alarms"] = alarms()
    bill["custom metrics"] = len(METRICS) * price["metric"] if subscriptions else 8 * price["metric"]
    bill["secrets"] = SECRETS * price["secret"] + 2 * warm * MONTH_SECONDS / 300 * price["secret_read"]
    bill["DynamoDB"] += gigabytes * (price["storage"] + price["backup"])
    audit_seconds = subscriptions * AUDIT_REQUESTS * (AUDIT_CPU + 1 / 10)
    scanned = gigabytes * 1e9 / 8_192 * price["read"]
    # Beside each page of Stripe's list, by `BatchGetItem`: half a unit each, eventually consistent.
    compared = subscriptions * READ_UNITS / 2 * price["read"]
    objects = _NIGHT["PutObject"] * price["object"]
    work = audit_seconds * AUDIT_GB * price["gb_second"] + AUDIT_OPERATIONS * price["durable"]
    bill["audit"] = 30 * (work + scanned + compared + objects)
    bill["pauses"] = pauses_month(subscriptions)
    return bill


def _number(dollars: float) -> str:
    return f"{dollars:,.2f}" if dollars < 100 else f"{dollars:,.0f}"


def tables() -> dict[str, str]:
    """The tables of the page."""
    bills = {size: month(size) for size in SIZES}
    head = f"| a month, in dollars | {' | '.join(f'{size:,}' for size in SIZES)} |\n|---|{'---:|' * len(SIZES)}\n"
    lines = [f"| {line} | {' | '.join(_number(bills[size][line]) for size in SIZES)} |" for line in bills[0]]
    total = f"| **all** | {' | '.join(f'**{_number(sum(bills[size].values()))}**' for size in SIZES)} |"
    every = WAYS | PAUSES | NIGHTS
    asked = {
        name: ", ".join(f"{number} `{operation}`" for operation, number in way.aws.items()) or "none"
        for name, way in every.items()
    }
    ways = [f"| {way.title} | {asked[name]} | {way.stripe} |" for name, way in every.items()]
    prices = [f"| {price.dollars:g} | {price.unit} | {price.source} |" for price in PRICES.values()]
    return {
        "month": head + "\n".join([*lines, total]) + "\n",
        "requests": "| | requests to AWS | requests to Stripe |\n|---|---|---|\n" + "\n".join(ways) + "\n",
        "prices": "| dollars | for | source |\n|---|---|---|\n" + "\n".join(prices) + "\n",
    }


def with_tables(text: str) -> str:
    """The page with its tables written anew."""
    every = tables()
    return _TABLE.sub(lambda found: f"{found[1]}{every[found[2]]}{found[3]}", text)


if __name__ == "__main__":
    DOC.write_text(with_tables(DOC.read_text()))
