"""Requests with hostile parameters to every route of the Stripe simulator, which may refuse them but never fail.

`python -m tests.simulator_fuzz 10000 1` sends ten thousand requests, in the order that the seed 1 gives.
"""

import json
import random
import re
import sys
import traceback
import typing
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import is_typeddict

from local.stripe_simulator import parameters
from local.stripe_simulator.api import ROUTES, ApiRoute
from local.stripe_simulator.implemented import accepted
from local.stripe_simulator.state import content_of
from tests.simulator_in_process import Params, SimulatorInProcess

# API v2 takes JSON, and has tests of its own.
V1 = [route for route in ROUTES if route.version == "v1"]
NOW = 1_795_000_000
DAY = 86_400
DEPTH = 5

HOSTILE = [
    *("", " ", "0", "-1", "1e9", "NaN", "inf", "-inf", "null", "None", "true", "[]", "{}", "[", "]", "'", '"', "\\"),
    *("\x00", "\ud7ff", "\u202e", "\N{PILE OF POO}", "%00", "../..", "<script>", "${id}", "{customer}", "now", "auto"),
    *(
        "9" * 19,
        "9" * 400,
        "1" + "0" * 5000,
        "-" + "9" * 25,
        "0.1",
        "1.",
        ".5",
        "٣",
        "a" * 6000,
        "sub_",
        "cus_x",
        "pm_card_",
    ),
    *(
        "pm_card_visa",
        "tok_visa",
        "pm_card_chargeDeclined",
        "https://",
        "http://[",
        "https://example.com",
        "eur",
        "usd",
    ),
    *(
        "2026-10-28.endive",
        "max_period_end",
        "metadata['a']:'b'",
        "email~'x'",
        "created>1 OR",
        "data.customer.subscriptions",
    ),
]
NUMBERS = [*range(-1, 5), 12, 99, 100, 101, 366, 1000, 2**31, 2**53, 2**63, 9_999_999_999, 99_999_999, 100_000_000]
TIMES = [NOW + days * DAY for days in (-4000, -400, -1, 0, 1, 29, 31, 365, 800, 2000, 100_000)]
BRACKETS = ["", "[]", "[a]", "[0]", "[-1]", "[x][y]", "[", "[0][0][0]", "[99999]", "[][]", "[[a]]"]


@dataclass
class Fuzz:
    """One simulated account under fire; `failures` are the requests that raised anything but Stripe's errors."""

    seed: int
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.reached: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self.simulator = SimulatorInProcess(NOW)
        self.ids: defaultdict[str, list[str]] = defaultdict(list)

    def run(self, requests: int) -> None:
        """Send that many requests, to a new account from time to time."""
        for number in range(requests):
            if number % 400 == 0:
                self._begin()
                self._settle_in()
            if self.random.random() < 0.02:
                days = self.random.choice([1, 10, 40, 400])
                self.simulator.app.state.simulator.clock.set(
                    self.simulator.app.state.simulator.clock.now() + days * DAY
                )
            self._send(self.random.choice(V1))

    def _settle_in(self) -> None:
        """Create what most requests are about, so that they come further than `resource_missing`."""
        product = self._keep("POST", "products", {"name": "Gold"})
        for interval in ("day", "month", "year"):
            price = {"product": product, "currency": "eur", "unit_amount": 900, "recurring[interval]": interval}
            price_id = self._keep("POST", "prices", price)
        for _ in range(3):
            customer = self._keep("POST", "customers", {"payment_method": "pm_card_visa"})
            self._keep("POST", "subscriptions", {"customer": customer, "items[0][price]": price_id})
        invoiced = {"customer": customer, "items[0][price]": price_id, "collection_method": "send_invoice"}
        self._keep("POST", "subscriptions", invoiced | {"days_until_due": 7})
        classic = {"customer": customer, "items[0][price]": price_id, "billing_mode[type]": "classic"}
        self._keep("POST", "subscriptions", classic)
        self._keep("POST", "coupons", {"percent_off": 10})
        self._keep("POST", "test_helpers/test_clocks", {"frozen_time": NOW})
        features = {
            "features[subscription_cancel][enabled]": "true",
            "features[payment_method_update][enabled]": "true",
        }
        self._keep("POST", "billing_portal/configurations", features)

    def _kept(self) -> str:
        return json.dumps(content_of(self.simulator.app.state.simulator)["objects"])

    def _keep(self, method: str, path: str, params: Params) -> str:
        body = self.simulator.call(method, path, params).body
        self._collect(body)
        return str(body["id"])

    def _collect(self, body: Any) -> None:
        if isinstance(body, dict):
            if isinstance(body.get("id"), str) and isinstance(body.get("object"), str):
                known = self.ids[body["object"].rpartition(".")[2]]
                known.append(body["id"])
                del known[:-20]
            for value in body.values():
                self._collect(value)
        elif isinstance(body, list):
            for value in body:
                self._collect(value)

    def _send(self, route: ApiRoute) -> None:
        kind = route.collection.rpartition("/")[2].removesuffix("s")
        path = route.path.replace("{id}", self._id(kind).replace("/", "") or "x")
        params: Params = {}
        # Most requests have only parameters that are implemented, and half have nothing hostile in their values.
        self.names = accepted(route.name) if self.random.random() < 0.9 else None
        self.hostility = self.random.choice([0, 0, 0.02, 0.15])
        self._fill(params, route.shape, "", DEPTH)
        if self.random.random() < 0.9:
            self._without_exclusive(params)
        for _ in range(self.random.choice([0] * 12 + [1, 2])):
            name = self.random.choice([*params, "wish", "expand", "items", "metadata", "[", ""])
            params[name + self.random.choice(BRACKETS)] = self.random.choice(HOSTILE)
        if self.random.random() < 0.1:
            params["expand[]"] = ".".join(self.random.choice(EXPANDS) for _ in range(self.random.randint(1, 4)))
        before = ""
        if route.method != "GET" and self.random.random() < 0.3:
            # Whatever time has brought is carried out first.
            self.simulator.call("GET", "balance")
            before = self._kept()
        try:
            answer = self.simulator.call(route.method, path, params)
        except Exception:  # noqa: BLE001 - whatever it is, it would be a 500
            self.failures.append(
                f"{route.method} /v1/{path} {json.dumps(params)[:600]}\n{traceback.format_exc(limit=-4)}"
            )
            return
        self.statuses[answer.status] += 1
        # A refused payment leaves traces, and so does a Checkout session that has expired meanwhile.
        is_refused = answer.status in {400, 404} and not path.startswith("checkout/")
        if before and is_refused and self._kept() != before:
            request = f"{route.method} /v1/{path} {json.dumps(params)[:600]}"
            self.failures.append(f"{request}\nwas refused: {answer.error}, but changed something")
        if answer.status == 200:
            self.reached.add(route.name)
            self._collect(answer.body)

    def _without_exclusive(self, params: Params) -> None:
        """Leave one out of two parameters that exclude each other."""
        for one, other in EXCLUSIVE:
            gone = self.random.choice([one, other])
            if any(re.search(one, name) for name in params) and any(re.search(other, name) for name in params):
                for name in [name for name in params if re.search(gone, name)]:
                    del params[name]

    def _fill(self, params: Params, shape: Any, path: str, depth: int) -> None:
        fields = parameters._fields(shape)
        wanted = self.random.choice([0, 0.05, 0.15, 0.4])
        for name, hint in fields.items():
            is_required = typing.get_origin(hint) is not typing.NotRequired
            full = re.sub(r"\[([^\]]*)\]", lambda part: "" if part[1].isdigit() else f".{part[1]}", f"{path}[{name}]")
            if name == "expand" or not self._is_implemented(full.lstrip(".")):
                continue
            if self.random.random() < (0.97 if is_required or name in NEEDED else wanted):
                self._value(params, hint, f"{path}[{name}]" if path else name, name, depth)

    def _is_implemented(self, name: str) -> bool:
        if self.names is None:
            return True
        return any(f"{name}.".startswith(f"{one}.") or one.startswith(f"{name}.") for one in self.names)

    def _value(self, params: Params, hint: Any, path: str, name: str, depth: int) -> None:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if self.random.random() < self.hostility:
            params[path] = self.random.choice(HOSTILE)
        elif origin is typing.NotRequired:
            self._value(params, arguments[0], path, name, depth)
        elif origin is typing.Literal:
            params[path] = self.random.choice(arguments)
        elif is_typeddict(hint) or origin in {list, dict}:
            self._nested(params, hint, path, name, depth)
        elif arguments:
            literals = [member for member in arguments if typing.get_origin(member) is typing.Literal]
            self._value(params, self.random.choice(literals or list(arguments)), path, name, depth)
        else:
            params[path] = self._scalar(hint, name)

    def _nested(self, params: Params, hint: Any, path: str, name: str, depth: int) -> None:
        if not depth:
            return
        if is_typeddict(hint):
            self._fill(params, hint, path, depth - 1)
        elif typing.get_origin(hint) is list:
            for place in range(self.random.choice([0, 1, 1, 1, 2, 2, 25])):
                self._value(params, typing.get_args(hint)[0], f"{path}[{place}]", name.removesuffix("s"), depth - 1)
        else:
            for _ in range(self.random.choice([1, 1, 1, 2])):
                params[f"{path}[{self.random.choice(['a', 'a', 'a', 'b', 'x' * 50])}]"] = "v"

    def _scalar(self, hint: Any, name: str) -> Any:
        is_time = name.endswith(("_at", "_end", "_time", "_date", "timestamp", "created", "gte", "lt"))
        by_type: dict[Any, list[Any]] = {
            bool: ["true", "false"],
            int: TIMES if is_time else NUMBERS,
            float: ["0.5", "50", "100", "100.1", "0", "-1"],
        }
        words = by_type.get(hint) or WORDS.get(name)
        return self.random.choice(words) if words else self._id(name)

    def _id(self, name: str) -> str:
        """Return mostly an id of the kind that a parameter's name says, else of any kind, else nonsense."""
        known = self.ids.get(ALIASES.get(name, name), [])
        anything = [one for ids in self.ids.values() for one in ids]
        choice = self.random.random()
        if known and choice < 0.85:
            return self.random.choice(known)
        return self.random.choice(anything if anything and choice < 0.95 else HOSTILE)


# What a request needs though the library's types do not say so, by the name of the field.
NEEDED = {
    "customer",
    "items",
    "line_items",
    "price",
    "type",
    "mode",
    "success_url",
    "product",
    "unit_amount",
    "currency",
    "phases",
    "end_date",
    "from_subscription",
}
EXCLUSIVE = [
    (r"^from_subscription", r"^(?!from_subscription|pause_schedules)"),
    (r"\[duration\]", r"\[end_date\]"),
    (r"product\]?$", r"product_data"),
]
ALIASES = {
    "from_subscription": "subscription",
    "default_payment_method": "payment_method",
    "plan": "price",
    "default_price": "price",
    "id": "subscription_item",
    "starting_after": "customer",
    "ending_before": "customer",
    "endpoint": "webhook_endpoint",
}
QUERIES = [
    *(
        "metadata['a']:'b'",
        'email:"a@example.com"',
        "created>1",
        "-status:'active'",
        "name:null",
        "status:'active' AND",
    ),
    *(
        "created>'x'",
        "(created>1)",
        "a" * 300,
        "metadata['a",
        "created<10 OR created>20 AND name:'x'",
        "name~'ab'",
        ":",
        "--",
    ),
]
URLS = ["https://example.com/x"]
WORDS = {
    "cancel_url": URLS,
    "return_url": URLS,
    "success_url": URLS,
    "url": URLS,
    "currency": ["eur", "usd", "EUR", "jpy"],
    "email": ["a@example.com", "b@example.com"],
    "enabled_events": ["*", "customer.created"],
    "query": QUERIES,
}
EXPANDS = [
    *(
        "data",
        "customer",
        "subscription",
        "items",
        "price",
        "product",
        "latest_invoice",
        "discounts",
        "source",
        "coupon",
    ),
    *(
        "test_clock",
        "schedule",
        "features",
        "subscription_update",
        "products",
        "metadata",
        "created",
        "",
        "object",
        "id",
    ),
    *(
        "line_items",
        "subscriptions",
        "default_payment_method",
        "invoice_settings",
        "total_count",
        "phases",
        "configuration",
    ),
]


def main(requests: int, seed: int) -> int:
    """Write what the requests met; returns the number of failures."""
    fuzz = Fuzz(seed)
    fuzz.run(requests)
    distinct = {text.rpartition("File ")[2]: text for text in fuzz.failures}
    never = sorted({route.name for route in V1} - fuzz.reached)
    sys.stdout.write("\n".join([*distinct.values(), ""]))
    sys.stdout.write(f"{requests} requests, seed {seed}: {dict(fuzz.statuses)}, {len(fuzz.failures)} failures\n")
    sys.stdout.write(f"{len(fuzz.reached)} of {len(V1)} routes returned 200; never: {never}\n")
    return len(fuzz.failures)


if __name__ == "__main__":
    sys.exit(min(main(int(sys.argv[1]), int(sys.argv[2])), 1))
