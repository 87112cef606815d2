"""Search pages, and fields that an object shows only when they are expanded."""

from tests.simulator_in_process import Params, SimulatorInProcess

RECURRING = {"currency": "eur", "recurring[interval]": "month"}


def search(simulator: SimulatorInProcess, **more: str | int) -> list[list[str]]:
    """The names on each page of a search."""
    pages: list[list[str]] = []
    params: Params = {"query": "metadata['user']:'1'", **more}
    while True:
        body = simulator.call("GET", "customers/search", params).body
        pages.append([one["name"] for one in body["data"]])
        if not body["has_more"]:
            assert body["next_page"] is None
            return pages
        params["page"] = body["next_page"]


def test_a_search_has_pages_newest_first() -> None:
    simulator = SimulatorInProcess(1_700_000_000)
    for name in "abcde":
        simulator.create("customers", {"name": name, "metadata[user]": "1"})
    simulator.app.state.simulator.clock.set(1_700_000_100)
    assert search(simulator, limit=2) == [["e", "d"], ["c", "b"], ["a"]]
    assert search(simulator) == [["e", "d", "c", "b", "a"]]
    query: Params = {"query": "metadata['user']:'1'", "limit": 1}
    assert simulator.call("GET", "customers/search", {**query, "expand[]": "total_count"}).body["total_count"] == 5
    assert "total_count" not in simulator.call("GET", "customers/search", query).body
    assert simulator.call("GET", "customers/search", {**query, "page": "x"}).error["param"] == "page"


def test_tiers_are_shown_only_when_they_are_expanded() -> None:
    simulator = SimulatorInProcess()
    product = simulator.create("products", {"name": "Gold"})
    tiers = {"tiers[0][up_to]": 10, "tiers[0][unit_amount]": 100, "tiers[1][up_to]": "inf", "tiers[1][flat_amount]": 5}
    terms = {"product": product, "billing_scheme": "tiered", "tiers_mode": "volume", **tiers, **RECURRING}
    price = simulator.create("prices", terms)
    assert "tiers" not in simulator.call("GET", f"prices/{price}").body
    shown = simulator.call("GET", "prices", {"expand[]": "data.tiers"}).body["data"][0]["tiers"]
    assert [(one["up_to"], one["unit_amount"], one["flat_amount"]) for one in shown] == [
        (10, 100, None),
        (None, None, 5),
    ]
    plain = simulator.create("prices", {"product": product, "unit_amount": 5, **RECURRING})
    assert "tiers" not in simulator.call("GET", f"prices/{plain}", {"expand[]": "tiers"}).body


def test_a_checkout_session_has_amounts_and_shows_its_lines_when_they_are_expanded() -> None:
    simulator = SimulatorInProcess()
    product = simulator.create("products", {"name": "Gold"})
    price = simulator.create("prices", {"product": product, "unit_amount": 1200, **RECURRING})
    terms = {
        "mode": "subscription",
        "success_url": "https://example.com/",
        "line_items[0][price]": price,
        "line_items[0][quantity]": 2,
        "line_items[1][price_data][currency]": "eur",
        "line_items[1][price_data][product]": product,
        "line_items[1][price_data][recurring][interval]": "month",
        "line_items[1][price_data][unit_amount_decimal]": "99.5",
    }
    session = simulator.call("POST", "checkout/sessions", terms).body
    assert (session["amount_total"], session["currency"], "line_items" in session) == (2500, "eur", False)
    path = f"checkout/sessions/{session['id']}"
    lines = simulator.call("GET", path, {"expand[]": "line_items"}).body["line_items"]["data"]
    assert [(one["description"], one["quantity"], one["amount_total"]) for one in lines] == [
        ("Gold", 2, 2400),
        ("Gold", 1, 100),
    ]


def test_an_address_has_all_its_fields_and_a_customer_no_name_that_was_not_given() -> None:
    simulator = SimulatorInProcess()
    customer = simulator.call("POST", "customers", {"address[city]": "Paris", "business_name": "Ada & Co"}).body
    assert customer["address"] == {
        "city": "Paris",
        "country": None,
        "line1": None,
        "line2": None,
        "postal_code": None,
        "state": None,
    }
    assert (customer["business_name"], "individual_name" in customer) == ("Ada & Co", False)
    changed = simulator.call("POST", f"customers/{customer['id']}", {"address": "", "business_name": ""}).body
    assert (changed["address"], "business_name" in changed) == (None, False)


def test_an_unknown_property_cannot_be_expanded() -> None:
    simulator = SimulatorInProcess()
    customer = simulator.create("customers", {"payment_method": "pm_card_visa"})
    answer = simulator.call("GET", f"customers/{customer}", {"expand[]": "invented"})
    assert (answer.status, answer.error["code"]) == (400, "property_cannot_be_expanded")
    for name in ("default_source", "sources", "subscriptions", "tax", "tax_ids", "test_clock"):
        assert simulator.call("GET", f"customers/{customer}", {"expand[]": name}).status == 200, name


def subscription_of(simulator: SimulatorInProcess, count: int) -> str:
    """A subscription with that many items."""
    product = simulator.create("products", {"name": "Gold"})
    prices = [
        simulator.create("prices", {"product": product, "unit_amount": amount, **RECURRING}) for amount in range(count)
    ]
    items = {f"items[{place}][price]": price for place, price in enumerate(prices)}
    return simulator.create(
        "subscriptions", {"customer": simulator.create("customers", {"payment_method": "pm_card_visa"}), **items}
    )


def test_a_subscription_embeds_ten_items_and_the_list_has_them_all() -> None:
    simulator = SimulatorInProcess()
    name = subscription_of(simulator, 13)
    embedded = simulator.call("GET", f"subscriptions/{name}").body["items"]
    assert (len(embedded["data"]), embedded["has_more"], embedded["total_count"]) == (10, True, 13)
    listed = simulator.call("GET", "subscriptions").body["data"][0]["items"]
    event = simulator.call("GET", "events", {"type": "customer.subscription.created"}).body["data"][0]
    assert listed == embedded == event["data"]["object"]["items"]
    query: Params = {"subscription": name, "limit": 100}
    every = simulator.call("GET", "subscription_items", query).body
    assert (len(every["data"]), every["has_more"]) == (13, False)
    ids = [one["id"] for one in every["data"]]
    assert ids[:10] == [one["id"] for one in embedded["data"]]
    rest = simulator.call("GET", "subscription_items", {"subscription": name, "starting_after": ids[9]}).body
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (ids[10:], False)
    earlier = {"subscription": name, "ending_before": ids[9], "limit": 4}
    page = simulator.call("GET", "subscription_items", earlier).body
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (ids[5:9], True)
    unknown = simulator.call("GET", "subscription_items", {"subscription": name, "starting_after": "si_0"})
    assert (unknown.status, unknown.error["param"]) == (400, "starting_after")
    assert simulator.call("GET", "subscription_items").error["param"] == "subscription"


def test_a_subscription_with_ten_items_has_no_more() -> None:
    simulator = SimulatorInProcess()
    embedded = simulator.call("GET", f"subscriptions/{subscription_of(simulator, 10)}").body["items"]
    assert (len(embedded["data"]), embedded["has_more"]) == (10, False)


def test_the_old_items_of_an_event_are_ten_at_most() -> None:
    simulator = SimulatorInProcess()
    name = subscription_of(simulator, 12)
    item = simulator.call("GET", f"subscriptions/{name}").body["items"]["data"][0]["id"]
    simulator.call("POST", f"subscriptions/{name}", {"items[0][id]": item, "items[0][quantity]": 2})
    data = simulator.call("GET", "events", {"type": "customer.subscription.updated"}).body["data"][0]["data"]
    assert [len(one["items"]["data"]) for one in (data["object"], data["previous_attributes"])] == [10, 10]
    assert [one["items"]["data"][0]["quantity"] for one in (data["object"], data["previous_attributes"])] == [2, 1]
