"""The control endpoints and the hosted pages refuse what they cannot read, and never fail."""

import asyncio
import random
from urllib.parse import urlencode, urlsplit

import pytest
from starlette.types import ASGIApp, Message

from local.stripe_simulator.admin import ROUTES
from local.stripe_simulator.portal import actions
from tests.simulator_fuzz import HOSTILE
from tests.simulator_in_process import Params, SimulatorInProcess

NOW = 1_795_000_000


def request(app: ASGIApp, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> int:
    """Send a request through the whole application; returns the status, and raises what would be a 500."""
    statuses: list[int] = []
    address, _, query = path.partition("?")
    headers = [(b"host", b"127.0.0.1"), (b"content-type", kind.encode()), (b"origin", b"http://127.0.0.1")]

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": address,
        "raw_path": address.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def run() -> None:
        await app(scope, receive, send)

    asyncio.run(run())
    return statuses[0]


BODIES = [
    *(b"", b"{", b"null", b"[]", b"[1]", b'"x"', b"1", b"\xff\xfe", b"{}", b'{"wish": 1}', b"[" * 5000),
    *(b'{"now": "soon"}', b'{"now": true}', b'{"now": 1e400}', b'{"now": -1e300}', b'{"now": 1e18}', b'{"now": {}}'),
    *(b'{"receiver_now": 1e30}', b'{"follower": 5}', b'{"follower": "x"}', b'{"follower": "http://["}'),
    *(b'{"fail": 1}', b'{"fail": [1]}', b'{"fail": [{}]}', b'{"fail": [{"status": "x"}]}', b'{"fail": null}'),
    *(b'{"duplicate": "x"}', b'{"drop": null}', b'{"latency_seconds": -1}', b'{"lag": "x"}', b'{"reorder": []}'),
    *(b'{"features": 1}', b'{"features": {"subscription_pause": 1}}', b'{"features": {"subscription_pause": {}}}'),
    *(b'{"status": 1}', b'{"items": null}', b'{"customer": null}', b'{"id": "x"}', b'{"object": 1}'),
]


def account() -> tuple[SimulatorInProcess, str]:
    simulator = SimulatorInProcess(NOW)
    price = {"product_data[name]": "Gold", "currency": "eur", "recurring[interval]": "month", "unit_amount": 900}
    customer = simulator.create("customers", {"payment_method": "pm_card_visa"})
    terms = {"customer": customer, "items[0][price]": simulator.create("prices", price)}
    return simulator, simulator.create("subscriptions", terms)


CONTROL = [(method, route.path) for route in ROUTES for method in sorted((route.methods or set()) - {"HEAD"})]


@pytest.mark.parametrize(("method", "path"), CONTROL)
def test_a_control_endpoint_refuses_what_it_cannot_read(method: str, path: str) -> None:
    simulator, subscription = account()
    for body in BODIES:
        status = request(simulator.app, method, path.replace("{id}", subscription), body)
        assert status < 500, (path, body)
        # Whatever it took, the API goes on.
        assert simulator.call("GET", "customers").status in {200, 429}, (path, body)
        assert simulator.call("GET", f"subscriptions/{subscription}").status in {200, 404, 429}, (path, body)


FIELDS = [
    *(
        "subscription",
        "price",
        "quantity",
        "duration",
        "feedback",
        "comment",
        "number",
        "payment_method",
        "email",
        "name",
    ),
    *("phone", "line1", "country", "shipping_name", "shipping_country", "code", "tax_id", "as_of", "prefilled_email"),
]
FEATURES = {
    "features[customer_update][enabled]": "true",
    **{
        f"features[customer_update][allowed_updates][{place}]": name
        for place, name in enumerate(("email", "name", "address", "shipping", "phone"))
    },
    "features[payment_method_update][enabled]": "true",
    "features[subscription_cancel][enabled]": "true",
    "features[subscription_pause][enabled]": "true",
    "features[subscription_update][enabled]": "true",
    "features[subscription_update][default_allowed_updates][0]": "price",
    "features[subscription_update][default_allowed_updates][1]": "quantity",
    "features[invoice_history][enabled]": "true",
    "login_page[enabled]": "true",
}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_hosted_page_refuses_hostile_forms(seed: int) -> None:
    chance = random.Random(seed)
    simulator, subscription = account()
    item = simulator.call("GET", f"subscriptions/{subscription}").body["items"]["data"][0]
    customer = simulator.call("GET", f"subscriptions/{subscription}").body["customer"]
    yearly = {"product": item["price"]["product"], "currency": "eur", "recurring[interval]": "year", "unit_amount": 9}
    prices = [item["price"]["id"], simulator.create("prices", yearly)]
    offered: Params = {"features[subscription_update][products][0][product]": item["price"]["product"]}
    offered |= {f"features[subscription_update][products][0][prices][{n}]": name for n, name in enumerate(prices)}
    configuration = simulator.call("POST", "billing_portal/configurations", FEATURES | offered).body
    lines = {"mode": "subscription", "success_url": "https://example.com/", "line_items[0][price]": prices[1]}
    known = [subscription, customer, *prices, "month-1", "too_expensive", "4242424242424242", "ada@example.com", "2"]
    names = [*actions._ON_SUBSCRIPTION, *actions._ON_CUSTOMER, *HOSTILE]
    for _ in range(150):
        session = {"customer": customer, "configuration": configuration["id"]}
        opened = simulator.call("POST", "billing_portal/sessions", session).body["url"]
        paid = simulator.call("POST", "checkout/sessions", lines).body["url"]
        address = urlsplit(chance.choice([opened, opened, opened, paid, configuration["login_page"]["url"]])).path
        chosen = chance.sample(FIELDS, 5)
        form = {name: chance.choice([*known, *HOSTILE, "\N{SUPERSCRIPT TWO}"]) for name in chosen}
        form |= {"action": chance.choice(names), "subscription": chance.choice([subscription, *form.values()])}
        encoded = urlencode(form).encode()
        kind = "application/x-www-form-urlencoded"
        assert request(simulator.app, "POST", address, encoded, kind) < 500, form
        assert request(simulator.app, "GET", f"{address}?{urlencode({'as_of': chance.choice(HOSTILE)})}") < 500


@pytest.mark.parametrize("quantity", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "-1", "", "2.5"])
def test_a_quantity_that_is_no_number_is_refused(quantity: str) -> None:
    simulator, subscription = account()
    bought = simulator.call("GET", f"subscriptions/{subscription}").body
    item = bought["items"]["data"][0]
    offered: Params = {"features[subscription_update][products][0][product]": item["price"]["product"]}
    offered["features[subscription_update][products][0][prices][0]"] = item["price"]["id"]
    configuration = simulator.create("billing_portal/configurations", FEATURES | offered)
    session = {"customer": bought["customer"], "configuration": configuration}
    address = urlsplit(simulator.call("POST", "billing_portal/sessions", session).body["url"]).path
    form = urlencode({"action": "update", "subscription": subscription, "quantity": quantity}).encode()
    assert request(simulator.app, "POST", address, form, "application/x-www-form-urlencoded") in {303, 400, 403}
    unchanged = simulator.call("GET", f"subscriptions/{subscription}").body["items"]["data"][0]
    assert unchanged["quantity"] == 1
