"""A Stripe simulator with a large account: `python -m bench.large_account SUBSCRIPTIONS LATENCY_SECONDS RATE`."""

import socket
import sys
from threading import Thread

import requests
import uvicorn

from local.stripe_simulator.app import create_app
from local.stripe_simulator.faults import Faults
from local.stripe_simulator.simulator import Simulator

# Subscriptions are made over four years; one in a hundred is paused as the old portal's button did it.
SECONDS = 4 * 365 * 86_400
PAUSED_EVERY = 100


def created_of(number: int, count: int, newest: int) -> int:
    """When subscription `number` of an account was made."""
    return newest - number * SECONDS // count


def is_paused(number: int) -> bool:
    """Whether its collection is."""
    return number % PAUSED_EVERY == 0


def fill(simulator: Simulator, url: str, count: int) -> None:
    """Make one subscription as anybody would, and the others after its likeness; what they share is held once."""

    def post(path: str, **form: str) -> str:
        answer = requests.post(f"{url}/v1/{path}", data=form, auth=("sk_test_bench", ""), timeout=10)
        answer.raise_for_status()
        return str(answer.json()["id"])

    customer = post("customers", email="bench@example.com", payment_method="pm_card_visa")
    product = post("products", name="Gold")
    price = {"product": product, "currency": "eur", "unit_amount": "1250", "recurring[interval]": "month"}
    first = post("subscriptions", customer=customer, **{"items[0][price]": post("prices", **price)})
    store, customers = simulator.store.subscriptions, simulator.store.customers
    person = customers.get(customer)
    likeness, newest = store.get(first), int(store.get(first)["created"]) - 1
    void = {"behavior": "void", "resumes_at": None}
    for number in range(count - 1, 0, -1):
        customers.add({**person, "id": f"cus_{number:014}", "name": f"Customer {number}"})
        store.add(
            {
                **likeness,
                "id": f"sub_{number:024}",
                "customer": f"cus_{number:014}",
                "created": created_of(number, count, newest),
                "pause_collection": void if is_paused(number) else None,
            }
        )


def main() -> None:
    """Serve until the process is ended; the address is the first line on standard output."""
    count, latency, rate = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(public_url=url)
    simulator: Simulator = app.state.simulator
    config = uvicorn.Config(app, log_level="warning", date_header=False, server_header=False, ws="none")
    serving = Thread(target=uvicorn.Server(config).run, kwargs={"sockets": [listener]})
    serving.start()
    fill(simulator, url, count)
    simulator.faults = Faults(latency_seconds=latency, requests_per_second=rate)
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    serving.join()


if __name__ == "__main__":
    main()
