"""The page on which a customer pays an invoice, and the account's settings about payments that fail, over HTTP."""

from typing import Any

import pytest
import requests

from tests.integration.simulator_fixtures import RunningSimulator


@pytest.fixture
def unpaid(simulator: RunningSimulator) -> Any:
    """A subscription whose customer has to authenticate the card."""
    client = simulator.client()
    price: Any = {"currency": "eur", "unit_amount": 1200, "recurring": {"interval": "month"}}
    price["product_data"] = {"name": "Gold"}
    customer = client.v1.customers.create({"payment_method": "pm_card_authenticationRequired"}).id
    made = client.v1.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": client.v1.prices.create(price).id}],
            "expand": ["latest_invoice"],
        }
    )
    assert made.status == "incomplete"
    return made


def test_a_customer_authenticates_on_the_page_of_the_invoice(simulator: RunningSimulator, unpaid: Any) -> None:
    url, client = unpaid.latest_invoice.hosted_invoice_url, simulator.client()

    def pay(number: str) -> requests.Response:
        return requests.post(url, data={"number": number}, timeout=60, allow_redirects=False)

    assert "Pay 12.00 EUR" in requests.get(url, timeout=60).text
    refused = pay("4000 0000 0000 9995")
    assert (refused.status_code, "insufficient funds" in refused.text) == (402, True)
    assert client.v1.subscriptions.retrieve(unpaid.id).status == "incomplete"
    assert pay("").status_code == 303
    assert client.v1.subscriptions.retrieve(unpaid.id).status == "active"
    assert "Pay 12.00" not in requests.get(url, timeout=60).text
    assert pay("").status_code == 400
    assert requests.get(f"{url}x", timeout=60).status_code == 404


def test_the_settings_of_the_account_are_read_changed_and_reset(simulator: RunningSimulator) -> None:
    url = f"{simulator.url}/_simulator/billing"
    default = requests.get(url, timeout=60).json()

    def change(**settings: Any) -> requests.Response:
        return requests.post(url, json=settings, timeout=60)

    assert change(after_retries="cancel").json() == default | {"after_retries": "cancel"}
    assert change(after_retries="forgive").status_code == 400
    assert change(retry_after_days=["1"]).status_code == 400
    assert change(pause_after_first_failure=1).status_code == 400
    assert requests.get(url, timeout=60).json()["after_retries"] == "cancel"
    assert requests.delete(url, timeout=60).json() == default


def test_the_portal_lists_invoices_with_a_link_to_each(simulator: RunningSimulator, unpaid: Any) -> None:
    features = {"invoice_history": {"enabled": True}}
    simulator.admin("POST", "default_configuration", {"features": features})
    session = simulator.client().v1.billing_portal.sessions.create({"customer": str(unpaid.customer)})
    shown = requests.get(session.url, timeout=60).text
    assert "12.00 EUR, open" in shown
    assert f'href="{unpaid.latest_invoice.hosted_invoice_url}"' in shown
