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
    customer = simulator.create("customers")
    answer = simulator.call("GET", f"customers/{customer}", {"expand[]": "invented"})
    assert (answer.status, answer.error["code"]) == (400, "property_cannot_be_expanded")
    for name in ("default_source", "sources", "subscriptions", "tax", "tax_ids", "test_clock"):
        assert simulator.call("GET", f"customers/{customer}", {"expand[]": name}).status == 200, name
