"""What somebody without any credential can cost, and that nothing that they send is answered with a fault of ours."""

import io
import random
import re
import string
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from tests.aws_requests import watch_aws_requests
from tests.integration.conftest import Api
from tests.integration.portal_world import FEATURES
from tests.integration.simulator_fixtures import RunningSimulator

DOC = Path(__file__).parents[2] / "docs" / "security.md"
REQUESTS = 2000
COOKIE = "__Host-portal-return"


def forged(**claims: Any) -> str:
    """A token of the right form that no secret of ours has signed."""
    usual = {"aud": "portal", "sub": "cus_1", "exp": int(time.time()) + 600}
    return jwt.encode(usual | claims, "f" * 64, algorithm="HS256", headers={"kid": "1"})


def unsigned(header: str | None) -> dict[str, str]:
    return {"stripe-signature": header} if header is not None else {}


# The requests of docs/security.md that need no credential, by the name that they have there.
STRANGERS: dict[str, Callable[[Api], Any]] = {
    "`GET /portal`": lambda api: api.send("GET /portal", query="email=ada%40example.com"),
    "`GET /portal` with a forged token": lambda api: api.send("GET /portal", query=f"token={forged()}"),
    "`HEAD /portal`": lambda api: api.send("HEAD /portal"),
    "`GET /portal/return`": lambda api: api.send("GET /portal/return", query="customer=cus_1"),
    "`GET /portal/return` with a forged cookie": lambda api: api.send(
        "GET /portal/return", query="customer=cus_1", headers={"cookie": f"{COOKIE}={forged(aud='portal-return')}"}
    ),
    "`POST /portal/sessions`": lambda api: api.send("POST /portal/sessions", body=b"{}"),
    "`POST /portal/sessions` with a forged token": lambda api: api.send(
        "POST /portal/sessions", body=b"{}", headers={"authorization": f"Bearer {forged()}"}
    ),
    "`GET /access`": lambda api: api.send("GET /access"),
    "`GET /access` with a forged token": lambda api: api.send(
        "GET /access", headers={"authorization": f"Bearer {forged(aud='access')}"}
    ),
    "`POST /access` with a forged token": lambda api: api.send(
        "POST /access",
        body=b'{"customers": ["cus_1"]}',
        headers={"authorization": f"Bearer {forged(aud='access-batch')}"},
    ),
    "`POST /webhooks/stripe`": lambda api: api.send("POST /webhooks/stripe", body=b"{}"),
    "`POST /webhooks/stripe` with a forged signature": lambda api: api.send(
        "POST /webhooks/stripe", body=b"{}", headers=unsigned(f"t={int(time.time())},v1={'0' * 64}")
    ),
    "`POST /webhooks/stripe` with a large body": lambda api: api.send("POST /webhooks/stripe", body=b" " * 4_000_000),
}


@contextmanager
def aws_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count the requests that are sent to AWS by their operation, or by the method where the request names none."""
    calls: Counter[str] = Counter()
    with monkeypatch.context() as patch:
        watch_aws_requests(patch, lambda target, _: calls.update([target.rpartition(".")[2]]))
        yield calls


def test_what_a_stranger_can_cost_is_counted_and_as_documented(
    api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.admin("POST", "default_configuration", {"login_page": {"enabled": True}, "features": FEATURES})
    # The first of each kind reads what is then kept for a while.
    for ask in STRANGERS.values():
        ask(api)
    documented = dict(re.findall(r"^\| (`.+?) \| (\d+ \| \d+) \|", DOC.read_text(), re.MULTILINE))
    counted = {}
    for name, ask in STRANGERS.items():
        before = sum(simulator.admin("GET", "requests").values())
        with aws_calls(monkeypatch) as calls:
            statuses = {ask(api).status for _ in range(3)}
        stripe_calls = sum(simulator.admin("GET", "requests").values()) - before
        assert max(statuses) < 500, (name, statuses)
        counted[name] = f"{sum(calls.values())} | {stripe_calls}"
    assert counted == documented


def noise(chance: random.Random) -> str:
    """Text that is odd in one of the ways that parsers differ about."""
    letters = string.ascii_letters + string.digits + "-_.=:/+%&;,\"'<>{}[]() \t"
    odd = "\x00\x1b\x7f\x80\u00a0\u2028\u202e\ufeff\ud7ff\U0001f4a5e\u0301\uff1d"
    made = "".join(chance.choice(odd if chance.random() < 0.2 else letters) for _ in range(chance.randrange(60)))
    return chance.choice((made, f"{forged()}{made}", forged()[: chance.randrange(120)], made * 40))


FUZZED: dict[str, Callable[[Api, str, str], Any]] = {
    "token": lambda api, one, _: api.send("GET /portal", query=f"token={quote(one)}"),
    "query": lambda api, one, two: api.send("GET /portal", query=f"{one}={two}"),
    "cookie": lambda api, one, _: api.send(
        "GET /portal/return", query="customer=cus_1", headers={"cookie": f"{COOKIE}={one}"}
    ),
    "return URL": lambda api, one, _: api.send("GET /portal/return", query=f"return_url={quote(one)}"),
    "authorization": lambda api, one, two: api.send(
        "POST /portal/sessions", headers={"authorization": f"Bearer {one}", "accept-language": two, "accept": two}
    ),
    "body": lambda api, one, _: api.send("POST /portal/sessions", body=one.encode("utf-8", "replace")),
    "access": lambda api, one, two: api.send(
        "GET /access", query=f"product={quote(two)}", headers={"authorization": f"Bearer {one}", "if-none-match": two}
    ),
    "access batch": lambda api, one, two: api.send(
        "POST /access", body=one.encode("utf-8", "replace"), headers={"authorization": f"Bearer {two}"}
    ),
    "signature": lambda api, one, two: api.send(
        "POST /webhooks/stripe", body=two.encode("utf-8", "replace"), headers=unsigned(f"t={int(time.time())},v1={one}")
    ),
    "webhook headers": lambda api, one, two: api.send(
        "POST /webhooks/stripe", body=b"{}", headers=unsigned(one) | {"content-type": two}
    ),
}


@pytest.mark.parametrize("part", FUZZED)
def test_no_stranger_gets_a_fault_of_ours(
    api: Api,
    simulator: RunningSimulator,
    log: io.StringIO,
    record_property: Callable[[str, object], None],
    part: str,
) -> None:
    simulator.admin("POST", "default_configuration", {"login_page": {"enabled": True}, "features": FEATURES})
    chance = random.Random(f"strangers {part}")  # The same requests at each run.
    statuses = Counter(FUZZED[part](api, noise(chance), noise(chance)).status for _ in range(REQUESTS))
    answered = ", ".join(f"{number} times {status}" for status, number in sorted(statuses.items()))
    record_property("figures", f"{REQUESTS} hostile requests, {part}: {answered}")
    assert max(statuses) < 500
    assert sum(statuses.values()) == REQUESTS
    # No stack trace, and nothing that the operator would have to fix.
    assert '"level":"ERROR"' not in log.getvalue()
