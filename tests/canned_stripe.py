"""A Stripe for tests of the client: answers given in advance, through the official library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

import stripe


@dataclass
class CannedStripe(stripe.HTTPClient):
    """Answers each path with its JSON, or what a function makes of the query; `asked` are the requests so far."""

    name = "canned"

    answers: dict[str, Any]
    date: int = 1_700_000_000
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, dict[str, str]]:
        del headers, post_data, _usage
        parts = urlsplit(url)
        self.asked.append(f"{method.upper()} {parts.path}")
        answer = self.answers[parts.path]
        found = (
            answer({name: values[0] for name, values in parse_qs(parts.query).items()}) if callable(answer) else answer
        )
        return json.dumps(found), 200, {"Date": formatdate(self.date, usegmt=True)}

    def client(self) -> stripe.StripeClient:
        return stripe.StripeClient("sk_test_1", http_client=self)


def long_subscription(count: int, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A subscription of `count` items as Stripe renders it (ten of them), and the answers that have them all."""
    items = [
        {"id": f"si_{number}", "quantity": 1, "price": {"id": f"price_{number}", "unit_amount": 100}}
        for number in range(count)
    ]

    def page(query: Mapping[str, str]) -> dict[str, Any]:
        assert query["subscription"] == "sub_1"
        first = (
            next(n + 1 for n, item in enumerate(items) if item["id"] == query["starting_after"])
            if "starting_after" in query
            else 0
        )
        last = first + int(query["limit"])
        return {"object": "list", "data": items[first:last], "has_more": last < count}

    raw = {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "status": "active",
        "livemode": False,
        "created": 1_600_000_000,
        "items": {"object": "list", "data": items[:10], "has_more": count > 10},
    } | changes
    answers = {
        "/v1/subscriptions/sub_1": raw,
        "/v1/subscription_items": page,
        "/v1/subscriptions": {"object": "list", "data": [raw], "has_more": False},
    }
    return raw, answers
