import base64
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import NEW, RunningSimulator, Shop, refusal

server, simulator, client = given.server, given.simulator, given.client
shop, subscribe = given.shop, given.subscribe
URL = "https://example.com/done"
Subscribe = Callable[..., stripe.Subscription]


def test_every_answer_carries_the_simulators_date_a_request_id_and_the_version(simulator: RunningSimulator) -> None:
    simulator.admin("POST", "clock", {"now": 1_720_000_000})
    answer = simulator.client().raw_request("get", "/v1/account")
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() - 1_720_000_000 < 60
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == NEW
    page = simulator.session.get(f"{simulator.url}/p/login/test_x", timeout=60)
    assert page.headers["Date"].startswith("Wed, 03 Jul 2024 09:4")


def test_the_clock_jumps_ticks_and_comes_back(simulator: RunningSimulator) -> None:
    assert 0 <= simulator.admin("POST", "clock", {"now": 1_700_000_000})["now"] - 1_700_000_000 <= 60
    assert simulator.client().v1.customers.create({}).created - 1_700_000_000 <= 60
    assert abs(simulator.admin("POST", "clock", {"now": None})["now"] - time.time()) < 60


def test_a_key_is_needed_and_must_be_a_test_key(simulator: RunningSimulator) -> None:
    answer = simulator.session.get(f"{simulator.url}/v1/customers", timeout=60)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"].startswith("You did not provide an API key.")
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided: sk_live"):
        simulator.client("sk_live_0123456789abcdef").v1.customers.list()
    basic = {"Authorization": "Basic " + base64.b64encode(b"rk_test_1:").decode()}
    assert simulator.session.get(f"{simulator.url}/v1/customers", headers=basic, timeout=60).status_code == 200


def test_an_unknown_address_gets_stripes_own_404(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"Unrecognized request URL \(GET: /v1/foo\)\. ") as caught:
        client.raw_request("get", "/v1/foo")
    assert caught.value.http_status == 404


def test_a_version_that_does_not_exist_is_refused(simulator: RunningSimulator) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Invalid Stripe API version: 2031"):
        simulator.client(stripe_version="2031-01-01.future").v1.customers.list()


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"nonsense": "1"}, "parameter_unknown", "nonsense"),
        ({"items": [{"price": "price_none"}]}, "resource_missing", "items[0][price]"),
        ({"pause_collection": {"behavior": "wish"}}, None, "pause_collection[behavior]"),
        ({"pause_collection": {"resumes_at": 1}}, "parameter_missing", "pause_collection[behavior]"),
        ({"items": [{"id": "si_none", "quantity": 2}]}, "resource_missing", "items[0][id]"),
        ({"cancel_at_period_end": "maybe"}, None, "cancel_at_period_end"),
    ],
)
def test_a_refused_update_names_the_parameter_and_changes_nothing(
    client: stripe.StripeClient, subscribe: Subscribe, params: Any, code: str | None, param: str
) -> None:
    subscription = subscribe()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.subscriptions.update(subscription.id, params)
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, code, param)
    assert client.v1.subscriptions.retrieve(subscription.id) == subscription


def test_missing_objects_are_404_by_address_and_400_as_a_parameter(client: stripe.StripeClient, shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'") as by_address:
        client.v1.customers.retrieve("cus_none")
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'") as as_parameter:
        client.v1.subscriptions.create({"customer": "cus_none", "items": [{"price": shop.monthly.id}]})
    with pytest.raises(stripe.InvalidRequestError, match="Missing required param: customer") as missing:
        client.v1.subscriptions.create({"items": [{"price": shop.monthly.id}]})
    assert (by_address.value.http_status, by_address.value.code) == (404, "resource_missing")
    assert (as_parameter.value.http_status, as_parameter.value.param) == (400, "customer")
    assert missing.value.code == "parameter_missing"


def test_customers_can_be_made_changed_found_and_deleted(client: stripe.StripeClient) -> None:
    ada = client.v1.customers.create({"email": "ada@example.com", "metadata": {"a": "1", "b": "2"}})
    client.v1.customers.create({"email": "other@example.com"})
    changed = client.v1.customers.update(ada.id, {"name": "Ada", "metadata": {"a": ""}})
    assert changed.to_dict()["metadata"] == {"b": "2"}
    assert changed.name == "Ada"
    assert [one.id for one in client.v1.customers.list({"email": "ada@example.com"}).data] == [ada.id]
    assert client.v1.customers.delete(ada.id).deleted
    assert client.v1.customers.retrieve(ada.id).deleted


def test_deleting_a_customer_cancels_its_subscriptions(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    subscription = subscribe()
    client.v1.customers.delete(str(subscription.customer))
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"


def test_expansion_replaces_ids_by_objects(client: stripe.StripeClient, subscribe: Subscribe, shop: Shop) -> None:
    subscription = subscribe()
    shown = client.v1.subscriptions.retrieve(
        subscription.id, {"expand": ["customer", "items.data.price.product", "customer.subscriptions"]}
    )
    assert isinstance(shown.customer, stripe.Customer)
    assert shown.customer.email == "ada@example.com"
    assert getattr(shown.items.data[0].price.product, "name", None) == "Gold"
    listed = client.v1.customers.list({"expand": ["data.subscriptions"]}).data[0]
    assert listed.subscriptions is not None
    assert [one.id for one in listed.subscriptions.data] == [subscription.id]
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.customers.retrieve(shop.customer.id, {"expand": ["nonsense"]})


def test_lists_page_newest_first_in_both_directions(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({}).id for _ in range(7)]
    newest_first = made[::-1]
    first = client.v1.customers.list({"limit": 3})
    assert ([one.id for one in first.data], first.has_more) == (newest_first[:3], True)
    assert [one.id for one in first.auto_paging_iter()] == newest_first
    backwards = client.v1.customers.list({"limit": 3, "ending_before": made[0]})
    assert [one.id for one in backwards.data] == newest_first[3:6]
    assert [one.id for one in backwards.auto_paging_iter()] == made[1:]
    with pytest.raises(stripe.InvalidRequestError, match="less than or equal to 100"):
        client.v1.customers.list({"limit": 101})
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'"):
        client.v1.customers.list({"starting_after": "cus_none"})


def test_created_ranges_are_half_open_and_follow_the_clock(simulator: RunningSimulator) -> None:
    client, start, made = simulator.client(), 1_700_000_000, []
    for day in (2, 0, 1):
        simulator.admin("POST", "clock", {"now": start + day * 86_400})
        made.append((day, client.v1.customers.create({}).id))
    in_order = [one for _, one in sorted(made)]
    assert [one.id for one in client.v1.customers.list().data] == in_order[::-1]
    window = client.v1.customers.list({"created": {"gte": start, "lt": start + 86_400}})
    assert [one.id for one in window.data] == in_order[:1]
    later = client.v1.customers.list({"created": {"gt": start + 100, "lte": start + 3 * 86_400}})
    assert [one.id for one in later.data] == in_order[:0:-1]


def test_prices_and_products_are_listed_by_what_they_are(client: stripe.StripeClient, shop: Shop) -> None:
    inactive = client.v1.prices.update(shop.yearly.id, {"active": False, "lookup_key": "gold-yearly"})
    assert [one.id for one in client.v1.prices.list({"active": True}).data] == [shop.monthly.id]
    assert [one.id for one in client.v1.prices.list({"lookup_keys": ["gold-yearly"]}).data] == [inactive.id]
    assert [one.id for one in client.v1.prices.list({"recurring": {"interval": "month"}}).data] == [shop.monthly.id]
    client.v1.products.update(str(shop.monthly.product), {"active": False})
    assert client.v1.products.list({"active": True}).data == []


def test_a_price_may_have_fractions_of_a_cent_or_one_of_its_product_data(client: stripe.StripeClient) -> None:
    price = client.v1.prices.create(
        {"currency": "USD", "unit_amount_decimal": "0.5", "product_data": {"name": "Call"}}  # type: ignore[typeddict-item]
    )
    assert (price.unit_amount, str(price.unit_amount_decimal), price.currency) == (None, "0.5", "usd")
    assert price.type == "one_time"


def test_a_repeated_idempotency_key_gives_the_same_answer_once(simulator: RunningSimulator) -> None:
    client = simulator.client()
    first = client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    again = client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k1"})
    assert first.id == again.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(client.v1.customers.list().data) == 1
    with pytest.raises(stripe.IdempotencyError, match="Keys for idempotent requests can only be used"):
        client.v1.customers.create({"name": "Eve"}, {"idempotency_key": "k1"})


def test_a_refused_request_does_not_use_up_its_idempotency_key(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.create({"email": "x", "payment_method": "pm_none"}, {"idempotency_key": "k2"})
    assert client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k2"}).name == "Ada"


def test_payment_methods_are_attached_listed_and_detached(client: stripe.StripeClient, shop: Shop) -> None:
    card = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_mastercard"}})
    assert card.card is not None
    assert card.card.brand == "mastercard"
    client.v1.payment_methods.attach(card.id, {"customer": shop.customer.id})
    mine = client.v1.payment_methods.list({"customer": shop.customer.id, "type": "card"})
    assert [one.id for one in mine.data][:1] == [card.id]
    assert len(client.v1.customers.payment_methods.list(shop.customer.id).data) == 2
    client.v1.customers.update(shop.customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    client.v1.payment_methods.detach(card.id)
    settings = client.v1.customers.retrieve(shop.customer.id).invoice_settings
    assert settings is not None
    assert settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        client.v1.customers.update(shop.customer.id, {"invoice_settings": {"default_payment_method": card.id}})


def test_requests_are_counted_by_operation(simulator: RunningSimulator) -> None:
    client = simulator.client()
    one = client.v1.customers.create({})
    client.v1.customers.retrieve(one.id)
    client.v1.customers.retrieve(one.id)
    assert simulator.admin("GET", "requests") == {"POST /v1/customers": 1, "GET /v1/customers/{id}": 2}
    assert simulator.admin("DELETE", "requests") == {}


def test_account_and_balance_answer(client: stripe.StripeClient) -> None:
    assert client.v1.accounts.retrieve_current().id.startswith("acct_")
    assert client.v1.balance.retrieve().available[0].amount == 0


def test_it_runs_as_a_server_of_its_own_at_a_date() -> None:
    command = [sys.executable, "-m", "local.stripe_simulator", "--port", "0", "--as-of", "2024-07-15"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().rpartition(" ")[2].strip()
            answer = requests.get(f"{url}/_simulator/clock", timeout=60)
        finally:
            process.kill()
    assert 0 <= answer.json()["now"] - 1_721_001_600 <= 10
    assert answer.headers["Date"].startswith("Mon, 15 Jul 2024 00:00:")


def test_a_test_card_may_be_attached_and_made_the_default_in_one_request(client: stripe.StripeClient) -> None:
    settings: Any = {"default_payment_method": "pm_card_visa"}
    customer = client.v1.customers.create({"payment_method": "pm_card_visa", "invoice_settings": settings})
    cards = client.v1.payment_methods.list({"customer": customer.id}).data
    assert [one.id for one in cards] == [customer.to_dict()["invoice_settings"]["default_payment_method"]]


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        ("prices", {"currency": "eur", "product": "prod_x"}, "Missing required param: unit_amount."),
        ("prices", {"currency": "eur", "unit_amount": 1}, "Missing required param: product."),
        ("payment_methods", {}, "Missing required param: type."),
        ("payment_methods/pm_card_visa/attach", {}, "Missing required param: customer."),
        ("checkout/sessions", {"mode": "subscription", "success_url": URL}, "Missing required param: line_items."),
        ("checkout/sessions", {"mode": "payment", "success_url": URL, "line_items": [{"price": "p"}]}, "only knows"),
        ("webhook_endpoints", {"url": "ftp://example.com", "enabled_events": ["*"]}, "Not a valid URL."),
        ("billing_portal/sessions", {}, "Missing required param: customer."),
    ],
)
def test_incomplete_requests_are_told_what_is_missing(
    client: stripe.StripeClient, path: str, params: Any, words: str
) -> None:
    assert words in refusal(client, "post", path, params)


def test_products_may_have_an_id_and_a_price_from_the_start(client: stripe.StripeClient) -> None:
    price: Any = {"currency": "eur", "unit_amount": 100, "recurring": {"interval": "year"}}
    product = client.v1.products.create({"id": "gold", "name": "Gold", "default_price_data": price})
    assert client.v1.prices.retrieve(str(product.default_price)).product == "gold"
    assert refusal(client, "post", "products", {"id": "gold", "name": "Gold"}) == "Product already exists."


def test_an_address_outside_the_api_is_stripes_404_too(simulator: RunningSimulator) -> None:
    answer = simulator.session.get(f"{simulator.url}/elsewhere", timeout=60)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
    assert answer.headers["Request-Id"].startswith("req_")


def test_an_idempotency_key_compares_parameters_and_not_bytes(simulator: RunningSimulator) -> None:
    headers = {"Authorization": "Bearer sk_test_1", "Idempotency-Key": "k"}

    def post(body: str) -> Any:
        return simulator.session.post(f"{simulator.url}/v1/customers", data=body, headers=headers, timeout=60)

    first, again, other = post("name=Ada&phone=1"), post("phone=1&name=%41da"), post("name=Bob&phone=1")
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_key_is_refused_while_its_first_request_runs_and_the_official_library_waits(
    simulator: RunningSimulator,
) -> None:
    simulator.admin("POST", "faults", {"latency_seconds": 1.5})
    patient = simulator.client(max_network_retries=3)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(patient.v1.customers.create, {"name": "Ada"}, {"idempotency_key": "k"})
        while not simulator.admin("GET", "requests"):
            time.sleep(0.02)
        with pytest.raises(stripe.APIError, match="another in-progress request") as caught:
            simulator.client().v1.customers.create({"name": "Ada"}, {"idempotency_key": "k"})
        again = threads.submit(patient.v1.customers.create, {"name": "Ada"}, {"idempotency_key": "k"})
        other = threads.submit(patient.v1.customers.create, {"name": "Ada"}, {"idempotency_key": "other"})
        assert first.result().id == again.result().id != other.result().id
    assert caught.value.headers is not None
    assert caught.value.error is not None
    assert (caught.value.http_status, caught.value.headers["Stripe-Should-Retry"]) == (409, "true")
    assert (caught.value.error.type, caught.value.error.code) == ("idempotency_error", "idempotency_key_in_use")
    assert len(patient.v1.customers.list().data) == 2


def test_a_refused_payment_is_repeated_under_its_key_and_not_tried_again(
    simulator: RunningSimulator, shop: Shop
) -> None:
    client = simulator.client(max_network_retries=2)
    terms: Any = {"customer": shop.customer.id, "items": [{"price": shop.monthly.id}], "days_until_due": 7}
    terms["collection_method"] = "send_invoice"
    subscription = client.v1.subscriptions.create(terms)
    card = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": shop.customer.id})
    refused: list[Any] = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            client.v1.invoices.pay(
                str(subscription.latest_invoice), {"payment_method": card.id}, {"idempotency_key": "pay-1"}
            )
        refused.append(caught.value)
    first, again = refused
    assert (again.http_status, again.json_body) == (402, first.json_body)
    assert (again.headers["Idempotent-Replayed"], again.headers["Stripe-Should-Retry"]) == ("true", "false")
    assert again.headers["Original-Request"] == first.headers["Request-Id"]
    assert client.v1.invoices.retrieve(str(subscription.latest_invoice)).attempt_count == 1


def test_a_failure_says_whether_to_retry_and_the_official_library_obeys(simulator: RunningSimulator) -> None:
    client = simulator.client(max_network_retries=2)
    simulator.admin("POST", "faults", {"fail": [{"status": 500, "should_retry": False}]})
    with pytest.raises(stripe.APIError):
        client.v1.balance.retrieve()
    simulator.admin("POST", "faults", {"fail": [{"status": 400, "should_retry": True}]})
    assert client.v1.balance.retrieve().object == "balance"


def test_a_failure_with_402_is_an_error_of_the_card(simulator: RunningSimulator) -> None:
    simulator.admin("POST", "faults", {"fail": [{"status": 402, "code": "card_declined", "message": "No."}]})
    with pytest.raises(stripe.CardError) as caught:
        simulator.client().v1.balance.retrieve()
    assert (caught.value.code, caught.value.user_message) == ("card_declined", "No.")
