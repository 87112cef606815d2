"""A request for each parameter of each operation of the Stripe simulator, and what the parameter did.

A parameter has an effect when, with it, the response or anything that the simulator keeps is another one than without.
"""

import json
import random
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from typing_extensions import is_typeddict

from local.stripe_simulator import parameters, store
from local.stripe_simulator.api import ApiRoute
from local.stripe_simulator.errors import NOT_IMPLEMENTED
from local.stripe_simulator.simulator import Simulator
from local.stripe_simulator.state import content_of, take_over
from tests.simulator_in_process import Answer, Params, SimulatorInProcess

NOW = 1_795_000_000
DAY = 86_400
DEEPEST = 7
_OK = 200


@dataclass(frozen=True)
class Probe:
    """A parameter by its full name, such as `items.price_data.currency`, and the form fields that set it."""

    name: str
    fields: Params


@dataclass(frozen=True)
class Outcome:
    """What a parameter did: `effect`, `ignored`, `not implemented`, `refused` by Stripe's error, or `unclear`.

    A refusal is `unclear` when it is about another parameter, so that the probe says nothing.
    """

    kind: str
    detail: str = ""


class Chance(random.Random):
    """The same random letters in every run, in place of `secrets`."""

    def token_bytes(self, length: int) -> bytes:
        """Return bytes as the function of that name in `secrets` does."""
        return self.randbytes(length)


CHANCE = Chance()


def fixed_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every identifier and the time the same in every run."""
    monkeypatch.setattr(store, "time", SimpleNamespace(time=lambda: float(NOW)))
    monkeypatch.setattr(store, "secrets", CHANCE)


class Prober:
    """Sends the probes of one operation, each to the same account."""

    def __init__(self, route: ApiRoute, base: Params, object_id: str, values: dict[str, Any]) -> None:
        self._route, self._base, self._id, self._values = route, base, object_id, values
        self._world: World | None = None
        self._kept = ""
        self._without = self._run({})
        assert self._without.answer.status == 200, (route.name, self._without.answer.body)

    def outcome(self, probe: Probe) -> Outcome:
        """Send the request with the parameter, and compare."""
        run = self._run(probe.fields)
        if run.answer.status == 200:
            return Outcome("effect" if run != self._without else "ignored")
        assert run.kept == run.before, f"{self._route.name} {probe.name}: a refused request changed something"
        error = run.answer.error
        if error.get("code") == NOT_IMPLEMENTED:
            return Outcome("not implemented")
        is_about_it = _plain_name(error.get("param", "")) in {
            probe.name,
            *parents(probe.name),
            *self._values.get("*", ()),
        }
        return Outcome("refused" if is_about_it else "unclear", f"{error.get('param')}: {error['message']}")

    def _run(self, fields: Params) -> "Run":
        world = self._world or _account().copy()
        filled = {name: world.fill(value) for name, value in (self._base | fields).items() if value is not None}
        CHANCE.seed(1)
        before = self._kept or world.kept()
        path = world.fill(self._route.path.replace("{id}", self._id))
        answer = world.call(self._route.method, path, filled)
        # What is not implemented is refused before anything else is looked at.
        is_early = answer.status != _OK and answer.error.get("code") == NOT_IMPLEMENTED
        kept = before if is_early else world.kept()
        self._kept, self._world = (kept, world) if kept == before else ("", None)
        return Run(answer, before, kept)


@dataclass(frozen=True)
class Run:
    """A response, and what the simulator kept before and afterwards."""

    answer: Answer
    before: str
    kept: str


class World(SimulatorInProcess):
    """An account with two of everything, so that a filter leaves something out."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.names: dict[str, str] = {}

    def build(self) -> "World":
        """Create everything."""
        # These get the events about prices, and none is delivered.
        for name in ("endpoint", "other_endpoint"):
            self._make(name, "webhook_endpoints", {"url": "https://example.com/", "enabled_events[0]": "price.created"})
        self._catalog()
        self._features()
        self._customers()
        self._subscriptions()
        self._invoices()
        self._others()
        return self

    def copy(self) -> "World":
        """Return the same account again, for a request that may change it."""
        other = World()
        other.names = self.names
        take_over(other.simulator, json.loads(self.kept()))
        return other

    def fill(self, value: Any) -> Any:
        """Put the ids of this account into a value."""
        return value.format(**self.names) if isinstance(value, str) else value

    def kept(self) -> str:
        """Return all that the simulator keeps, as text."""
        return json.dumps(content_of(self.simulator))

    @property
    def simulator(self) -> Simulator:
        """The account's state."""
        simulator: Simulator = self.app.state.simulator
        return simulator

    def _make(self, name: str, path: str, params: Params) -> None:
        body = self.call("POST", path, {key: self.fill(value) for key, value in params.items()}).body
        assert "id" in body, (path, body)
        self.names[name] = body["id"]
        for place, item in enumerate(body.get("items", {}).get("data", [])):
            self.names[f"{name}_item{place or ''}"] = item["id"]

    def _wait(self, seconds: int) -> None:
        clock = self.simulator.clock
        clock.set(clock.now() + seconds)

    def _catalog(self) -> None:
        self._make("silver", "products", {"name": "Silver", "active": "false", "id": "silver"})
        self._wait(-DAY)
        self._make("unsold", "products", {"name": "Tin"})
        self._make("product", "products", {"name": "Gold", "url": "https://example.com/gold"})
        terms = {"product": "{product}", "currency": "eur"}
        self._make(
            "one_time", "prices", {"product": "{silver}", "currency": "usd", "unit_amount": 5, "active": "false"}
        )
        self._wait(DAY)
        for name, interval, amount in (
            ("price", "month", 900),
            ("other_price", "month", 500),
            ("yearly", "year", 9000),
        ):
            self._make(
                name, "prices", terms | {"unit_amount": amount, "recurring[interval]": interval, "lookup_key": name}
            )
        self._make(
            "metered",
            "prices",
            terms | {"unit_amount": 1, "recurring[interval]": "month", "recurring[usage_type]": "metered"},
        )
        self._make("coupon", "coupons", {"percent_off": 10})
        self._wait(-DAY)
        self._make("other_coupon", "coupons", {"percent_off": 20})
        self._wait(DAY)
        self._make("code", "promotion_codes", {"promotion[type]": "coupon", "promotion[coupon]": "{coupon}"})
        self._wait(-DAY)
        used = {"promotion[type]": "coupon", "promotion[coupon]": "{other_coupon}", "active": "false"}
        self._make("other_code", "promotion_codes", used)
        self._wait(DAY)

    def _features(self) -> None:
        for name in ("fast", "safe"):
            self._make(name, "entitlements/features", {"lookup_key": name, "name": name})
            made = self.call(
                "POST", f"products/{self.names['product']}/features", {"entitlement_feature": self.names[name]}
            )
            self.names |= {"feature": made.body["id"], "other_feature": self.names.get("feature", "")}
        self._make("spare", "entitlements/features", {"lookup_key": "spare", "name": "spare"})
        self._make("archived", "entitlements/features", {"lookup_key": "old", "name": "old"})
        self.call("POST", f"entitlements/features/{self.names['archived']}", {"active": "false"})

    def _customers(self) -> None:
        self._make("clock", "test_helpers/test_clocks", {"frozen_time": NOW})
        self._make("other_clock", "test_helpers/test_clocks", {"frozen_time": NOW})
        self._make("clocked", "customers", {"test_clock": "{clock}"})
        self._make("customer", "customers", {"email": "ada@example.com", "metadata[a]": "1"})
        self._wait(-DAY)
        self._make("other_customer", "customers", {"email": "grace@example.com", "payment_method": "pm_card_visa"})
        self._wait(DAY)
        for name, params in (("card", {"type": "card"}), ("sepa", {"type": "sepa_debit"}), ("loose", {"type": "card"})):
            self._make(name, "payment_methods", params)
        for name in ("card", "sepa"):
            self._make(name, f"payment_methods/{self.names[name]}/attach", {"customer": "{customer}"})
        settings = {"invoice_settings[default_payment_method]": "{card}"}
        self._make("customer", f"customers/{self.names['customer']}", settings)

    def _subscriptions(self) -> None:
        terms = {"customer": "{customer}", "items[0][price]": "{price}"}
        self._make("subscription", "subscriptions", terms | {"items[1][price]": "{other_price}"})
        self._wait(-DAY)
        invoiced = {"collection_method": "send_invoice", "days_until_due": 7, "items[0][price]": "{yearly}"}
        self._make("other_subscription", "subscriptions", {"customer": "{other_customer}"} | invoiced)
        self._wait(DAY)
        self._make("paused", "subscriptions", terms)
        self._make("paused", f"subscriptions/{self.names['paused']}/pause", {})
        self._make("other_paused", "subscriptions", terms)
        self._make("classic", "subscriptions", terms | {"billing_mode[type]": "classic"})
        self._make("ended", "subscriptions", terms)
        self.call("DELETE", f"subscriptions/{self.names['ended']}")
        self._make(
            "clocked_subscription", "subscriptions", {"customer": "{clocked}", "items[0][price]": "{price}"} | invoiced
        )
        self._make("scheduled", "subscriptions", terms)
        self._make("schedule", "subscription_schedules", {"from_subscription": "{scheduled}"})
        schedule = self.call("GET", f"subscription_schedules/{self.names['schedule']}").body
        self.names["phase_start"] = str(schedule["phases"][0]["start_date"])
        self._wait(-DAY)
        self._make("other_scheduled", "subscriptions", invoiced | {"customer": "{other_customer}"})
        self._make("other_schedule", "subscription_schedules", {"from_subscription": "{other_scheduled}"})
        later = {"phases[0][items][0][price]": "{price}", "phases[0][duration][interval]": "month"}
        self._make("later", "subscription_schedules", later | {"customer": "{customer}", "start_date": NOW + 9 * DAY})
        for end in ("cancel", "release"):
            self._make("ended_schedule", "subscription_schedules", later | {"customer": "{customer}"})
            self._make("ended_schedule", f"subscription_schedules/{self.names['ended_schedule']}/{end}", {})
        self._wait(DAY)

    def _invoices(self) -> None:
        """A draft, made by a renewal of today, and an open one; both of other customers than the paid ones."""
        self._make("renewing_clock", "test_helpers/test_clocks", {"frozen_time": NOW - 31 * DAY})
        self._make("renewing", "customers", {"test_clock": "{renewing_clock}", "payment_method": "pm_card_visa"})
        self._make("renewing_subscription", "subscriptions", {"customer": "{renewing}", "items[0][price]": "{price}"})
        self.call("POST", f"test_helpers/test_clocks/{self.names['renewing_clock']}/advance", {"frozen_time": NOW + 60})
        for name, customer, status in (
            ("draft", "renewing", "draft"),
            ("open", "other_customer", "open"),
            ("paid", "customer", "paid"),
        ):
            query = {"customer": self.names[customer], "status": status}
            found = self.call("GET", "invoices", query).body["data"]
            self.names[name] = found[0]["id"]
        self.names["two_lines"] = next(one["id"] for one in found if len(one["lines"]["data"]) > 1)
        lines = self.call("GET", f"invoices/{self.names['two_lines']}/lines").body["data"]
        self.names |= {"line": lines[0]["id"], "other_line": lines[1]["id"]}

    def _others(self) -> None:
        features = {
            "features[customer_update][enabled]": "true",
            "features[customer_update][allowed_updates][0]": "email",
            "features[payment_method_update][enabled]": "true",
            "features[subscription_cancel][enabled]": "true",
            "features[subscription_pause][enabled]": "true",
            "features[subscription_update][enabled]": "true",
            "features[subscription_update][default_allowed_updates][0]": "price",
            "features[subscription_update][products][0][product]": "{product}",
            "features[subscription_update][products][0][prices][0]": "{price}",
            "features[subscription_update][products][0][prices][1]": "{yearly}",
        }
        self._make("configuration", "billing_portal/configurations", features)
        self._make(
            "other_configuration", "billing_portal/configurations", {"features[invoice_history][enabled]": "true"}
        )
        self._make(
            "other_configuration",
            f"billing_portal/configurations/{self.names['other_configuration']}",
            {"active": "false"},
        )
        session = {
            "mode": "subscription",
            "success_url": "https://example.com/",
            "line_items[0][price]": "{price}",
            "line_items[0][quantity]": 1,
        }
        self._make("session", "checkout/sessions", session | {"customer": "{customer}"})
        self._wait(-DAY // 2)
        self._make("other_session", "checkout/sessions", session)
        self._make("other_session", f"checkout/sessions/{self.names['other_session']}/expire", {})
        self._wait(DAY // 2)
        events = self.call("GET", "events", {"limit": 100}).body["data"]
        self.names |= {"event": events[0]["id"], "other_event": events[-1]["id"]}
        query = {"customer": self.names["customer"]}
        entitlements = self.call("GET", "entitlements/active_entitlements", query).body["data"]
        self.names |= {"entitlement": entitlements[0]["id"], "other_entitlement": entitlements[1]["id"]}
        # Searches find what is older than a minute.
        self._wait(120)


@cache
def _account() -> World:
    return World().build()


def probes(shape: type, values: dict[str, Any]) -> Iterator[Probe]:
    """Yield a probe for every parameter of an operation that holds no other."""
    for name, hint in parameters._fields(shape).items():
        if name != "expand":
            yield from _probes(hint, (name,), name, {}, values)


# Values by the last part of a parameter's name, where the type does not give one that means something.
BY_NAME: dict[str, Any] = {
    **dict.fromkeys(("gt", "gte", "lt", "lte"), NOW - DAY // 4),
    **dict.fromkeys(("default_price", "plan", "price"), "{yearly}"),
    "coupon": "{coupon}",
    "currency": "eur",
    "customer": "{other_customer}",
    "default_payment_method": "{card}",
    "email": "new@example.com",
    "from_subscription": "{subscription}",
    "limit": 1,
    "product": "{product}",
    "promotion_code": "{code}",
    "subscription": "{subscription}",
    "test_clock": "{clock}",
    **dict.fromkeys(("url", "return_url", "default_return_url", "success_url", "cancel_url"), "https://example.com/x"),
}
# What a hash of that name needs though the types do not say so.
COMPANIONS: dict[str, Params] = {
    "price_data": {"currency": "eur", "product": "{product}", "unit_amount": 700},
    "default_price_data": {"currency": "eur", "unit_amount": 700},
}


def _probes(hint: Any, names: tuple[str, ...], path: str, needed: Params, values: dict[str, Any]) -> Iterator[Probe]:
    full, inner = ".".join(names), _inside(hint)
    needed = needed | values.get(f"+{full}", {})
    place = "[0]" if _is_list(hint) else ""
    if isinstance(values.get(full), dict):
        yield Probe(full, needed | values[full])
    elif full in values:
        yield Probe(full, needed | {path + place: values[full]})
    elif inner is None or len(names) > DEEPEST:
        yield Probe(full, needed | {path + _end(hint): BY_NAME.get(names[-1], _value(hint, names[-1]))})
    else:
        fields = parameters._fields(inner)
        siblings = {f"{path}{place}[{name}]": value for name, value in COMPANIONS.get(names[-1], {}).items()}
        if names[-1] == "price_data" and "recurring" in fields:
            siblings[f"{path}{place}[recurring][interval]"] = "month"
        for name, field in fields.items():
            if typing.get_origin(field) is not typing.NotRequired:
                siblings |= _whole(field, (*names, name), f"{path}{place}[{name}]", values)
        for name, field in fields.items():
            own = f"{path}{place}[{name}]"
            # Only one of `product` and `product_data` may be given.
            without = own.removesuffix("_data]") + "]" if own.endswith("_data]") else own
            others = {key: value for key, value in siblings.items() if not key.startswith((own, without))}
            yield from _probes(field, (*names, name), own, others | needed, values)


def _whole(hint: Any, names: tuple[str, ...], path: str, values: dict[str, Any]) -> Params:
    """Return form fields that set a required parameter."""
    added = {name: value for name, value in values.items() if name[0] == "+"}
    return next(_probes(hint, names, path, {}, added)).fields


def _options(hint: Any) -> tuple[Any, ...]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.NotRequired:
        return _options(arguments[0])
    is_choice = origin is typing.Union or type(hint).__name__ == "UnionType"
    return tuple(one for member in arguments for one in _options(member)) if is_choice else (hint,)


def _is_list(hint: Any) -> bool:
    return any(typing.get_origin(one) is list for one in _options(hint))


def _inside(hint: Any) -> Any:
    """Return the hash that a parameter holds, or each element of its list; none for a plain value."""
    for one in _options(hint):
        if is_typeddict(one):
            return one
        if typing.get_origin(one) is list:
            return _inside(typing.get_args(one)[0])
    return None


def _end(hint: Any) -> str:
    if _is_list(hint):
        return "[0]"
    for one in _options(hint):
        if typing.get_origin(one) is dict:
            inner = _inside(typing.get_args(one)[1])
            # Such as `currency_options[usd][unit_amount]`; else metadata.
            return f"[usd][{_one_field(inner)[0]}]" if inner else "[a]"
    return ""


def _one_field(shape: Any) -> tuple[str, Any]:
    """Return a field that can be set alone."""
    fields = list(parameters._fields(shape).items())
    return next((field for field in fields if typing.get_origin(field[1]) is not typing.NotRequired), fields[-1])


def _value(hint: Any, name: str) -> Any:
    if any(typing.get_origin(one) is dict and _inside(typing.get_args(one)[1]) for one in _options(hint)):
        (mapping,) = (one for one in _options(hint) if typing.get_origin(one) is dict)
        name, hint = _one_field(_inside(typing.get_args(mapping)[1]))
    options = [one for hint_or_element in _options(hint) for one in _elements(hint_or_element)]
    words = [
        word for one in options if typing.get_origin(one) is typing.Literal for word in typing.get_args(one) if word
    ]
    if bool in options:
        return "true"
    if int in options:
        return NOW + 3 * DAY if name.endswith(("_at", "_end", "_date", "timestamp")) else 2
    if {float, Decimal} & set(options):
        return "5.5"
    return next((word for word in words if word not in _USUAL), words[0]) if words else "x"


# Words that are often the default; another one shows more.
_USUAL = {"unspecified", "none", "create_prorations", "unchanged", "auto"}


def _elements(hint: Any) -> tuple[Any, ...]:
    return _options(typing.get_args(hint)[0]) if typing.get_origin(hint) is list else (hint,)


def _plain_name(param: str) -> str:
    return ".".join(part for part in param.replace("]", "").split("[") if part and not part.isdigit())


def parents(name: str) -> Iterator[str]:
    """Yield the hashes that a parameter is in, innermost first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
