"""Stripe's query language, and the pages of what it finds."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.search import FIELDS, parse
from tests.simulator_in_process import SimulatorInProcess

NOW = 1_795_000_000


@pytest.fixture(scope="module")
def shop() -> SimulatorInProcess:
    simulator = SimulatorInProcess(NOW)
    people = [
        {"name": "Ada Lovelace King", "email": "ada@rocketrides.io", "metadata[user]": "1"},
        {"name": "Ada King", "email": "ADA@example.com", "phone": "+33 1 23", "metadata[user]": "2"},
        {"name": 'Grace "Amazing" Hopper', "email": "grace@example.com", "metadata[it's]": "a\\b"},
        {},
    ]
    for number, person in enumerate(people):
        simulator.app.state.simulator.clock.set(NOW + 100 * number)
        simulator.create("customers", {"description": str(number), **person})
    clock = simulator.create("test_helpers/test_clocks", {"frozen_time": NOW})
    simulator.create("customers", {"description": "of a test clock", "test_clock": clock, "name": "Ada King"})
    simulator.app.state.simulator.clock.set(NOW + 1000)
    simulator.create("customers", {"description": "too new", "name": "Ada King"})
    return simulator


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name:'ada king'", "1"),
        ("name:'ADA'", "10"),
        ("name:'lovelace king'", "0"),
        ("name:'love'", ""),
        ("name~'LOVE'", "0"),
        ("email:'ada@example.com'", "1"),
        ('email~"example"', "21"),
        ("-name:'ada'", "32"),
        ("name:null", "3"),
        ("-name:null", "210"),
        ("phone:null", "320"),
        ("name:'null'", ""),
        (f"created:{NOW + 100}", "1"),
        (f"created>{NOW + 100}", "32"),
        (f"created>='{NOW + 100}' created<{NOW + 300}", "21"),
        (f"created<={NOW} OR created>{NOW + 200}", "30"),
        ("name:'ada' AND email~'rocket'", "0"),
        ("name:'ada' and -email~'rocket'", "1"),
        ("name:'grace' or name:'lovelace'", "20"),
        ("metadata['user']:'2'", "1"),
        ('metadata["user"]:2', "1"),
        ("-metadata['user']:null", "10"),
        ("metadata['it\\'s']:'a\\\\b'", "2"),
        ('name:"grace \\"amazing\\" hopper"', "2"),
    ],
)
def test_a_query_finds_what_stripes_documentation_says(shop: SimulatorInProcess, query: str, found: str) -> None:
    answer = shop.call("GET", "customers/search", {"query": query})
    assert answer.status == 200, answer.body
    assert "".join(one["description"] for one in answer.body["data"]) == found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "We were unable to parse"),
        ("asdf", "We were unable to parse"),
        ("name:ada", "We were unable to parse"),
        ("name:'ada", "We were unable to parse"),
        ("name:'a'email:'b'", "We were unable to parse"),
        ("name:'a' AND", "We were unable to parse"),
        ("(name:'a')", "We were unable to parse"),
        ("name['x']:'a'", "We were unable to parse"),
        ("metadata:'a'", "We were unable to parse"),
        ("name:'a' AND name:'b' OR name:'c'", "We were unable to parse"),
        ("name:'a' name:'b' OR name:'c'", "We were unable to parse"),
        ("description:'a'", "Field `description` is an unsupported search field for resource `customers`."),
        ("name>'a'", "The operator `>` is not supported for the search field `name`."),
        ("metadata['a']~'abc'", "The operator `~` is not supported"),
        ("created~'179'", "The operator `~` is not supported"),
        ("created>null", "The operator `>` is not supported"),
        ("created>'yesterday'", "The search field `created` needs a number"),
        ("name~'ab'", "A substring to search for has at least 3 characters"),
        (" ".join(["name:'a'"] * 11), "A search query can have up to 10 clauses."),
    ],
)
def test_a_query_that_stripe_does_not_know_is_refused(shop: SimulatorInProcess, query: str, message: str) -> None:
    answer = shop.call("GET", "customers/search", {"query": query})
    assert (answer.status, answer.error["message"].startswith(message)) == (400, True), answer.body


@given(st.text("ab'\"\\ :-~<>=[]()01ANDORnulmetadcrs", max_size=40), st.sampled_from(sorted(FIELDS)))
def test_any_text_is_read_or_refused(text: str, resource: str) -> None:
    with suppress(ApiError):
        assert parse(text, resource).clauses


@given(st.text(min_size=1), st.booleans())
def test_any_value_can_be_asked_for_in_quotes(value: str, double: bool) -> None:  # noqa: FBT001 - a drawn value
    quote = '"' if double else "'"
    quoted = quote + value.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote
    query = parse(f"metadata['k']:{quoted}", "customers")
    assert query.matches({"metadata": {"k": value}})
    assert not query.matches({"metadata": {"k": f"{value}x"}})


def test_subscriptions_are_found_by_status_and_time_of_cancellation() -> None:
    simulator = SimulatorInProcess(NOW)
    price = {"currency": "eur", "unit_amount": 900, "recurring[interval]": "month", "product_data[name]": "Gold"}
    monthly, customer = (
        simulator.create("prices", price | {"lookup_key": "gold"}),
        simulator.create("customers", {"payment_method": "pm_card_visa"}),
    )
    terms = {"customer": customer, "items[0][price]": monthly}
    kept, gone = simulator.create("subscriptions", terms), simulator.create("subscriptions", terms)
    simulator.call("DELETE", f"subscriptions/{gone}")
    simulator.app.state.simulator.clock.set(NOW + 100)

    def found(kind: str, query: str) -> list[str]:
        answer = simulator.call("GET", f"{kind}/search", {"query": query})
        assert answer.status == 200, answer.body
        return [one["id"] for one in answer.body["data"]]

    assert found("subscriptions", "status:'canceled'") == found("subscriptions", "-canceled_at:null") == [gone]
    assert found("subscriptions", f"status:'ACTIVE' AND created<={NOW}") == [kept]
    assert found("subscriptions", f"canceled_at>{NOW + 5}") == []
    assert found("prices", "active:'true' AND currency:'EUR' AND lookup_key:'gold'") == [monthly]
    assert found("prices", "type:'one_time'") == []
    assert len(found("products", "name:'gold' AND shippable:null")) == 1


def test_a_page_goes_on_when_its_first_object_is_no_longer_found() -> None:
    simulator = SimulatorInProcess(NOW)
    names = [simulator.create("customers", {"metadata[a]": "1"}) for _ in range(5)]
    simulator.app.state.simulator.clock.set(NOW + 100)
    query = {"query": "metadata['a']:'1'", "limit": 2}
    first = simulator.call("GET", "customers/search", query).body
    simulator.call("POST", f"customers/{names[2]}", {"metadata[a]": "2"})
    second = simulator.call("GET", "customers/search", query | {"page": first["next_page"]}).body
    assert [one["id"] for one in first["data"]] == [names[4], names[3]]
    assert [one["id"] for one in second["data"]] == [names[1], names[0]]
    assert (second["has_more"], second["next_page"]) == (False, None)
    for page in ("x", "AAAA", "MSAyIA==", "MSAyIHggeQ=="):
        answer = simulator.call("GET", "customers/search", query | {"page": page})
        assert answer.status == 200 if page == "MSAyIA==" else answer.error["param"] == "page"
