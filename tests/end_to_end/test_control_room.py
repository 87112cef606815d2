"""The control room and the one clock of a running stack."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.end_to_end.stack_fixture import RunningStack, get


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    running = RunningStack.start().wait_until_ready()
    yield running
    running.stop()


def simulator(stack: RunningStack, path: str, body: object | None = None) -> Any:
    url = f"http://127.0.0.1:{stack.ports[1]}/_simulator/{path}"
    answer = requests.get(url, timeout=30) if body is None else requests.post(url, json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()


def change(stack: RunningStack, subscription: str, **values: str) -> None:
    url = f"http://127.0.0.1:{stack.ports[1]}/v1/subscriptions/{subscription}"
    requests.post(url, data=values, auth=("sk_test_local", ""), timeout=30).raise_for_status()


def clock(stack: RunningStack) -> float:
    return float(get(f"{stack.url}/local.json").json()["clock"])


def move(stack: RunningStack, to: str) -> None:
    """Move the clock, and wait until the site is there again."""
    assert requests.post(f"{stack.url}/clock", data={"to": to}, timeout=120, allow_redirects=False).status_code == 303
    deadline = time.monotonic() + 60
    while get(f"{stack.url}/local.json").status_code != 200:
        assert time.monotonic() < deadline, get(f"{stack.url}/local.json").text
        time.sleep(0.1)


def counter(stack: RunningStack) -> str:
    return get(f"{stack.url}/room").text.partition('id="room-counter"')[2].partition("</strong>")[0].rpartition(">")[2]


def wait_for_counter(stack: RunningStack, words: str) -> None:
    deadline = time.monotonic() + 60
    while counter(stack) != words:
        assert time.monotonic() < deadline, counter(stack)
        time.sleep(0.2)


def first_subscription(stack: RunningStack) -> str:
    return str(simulator(stack, "subscriptions")["data"][0]["id"])


def test_the_counter_compares_both_sides_and_a_dropped_event_shows(stack: RunningStack) -> None:
    wait_for_counter(stack, "20 of 20 in sync")
    simulator(stack, "faults", {"drop": 1})
    change(stack, first_subscription(stack), **{"pause_collection[behavior]": "void"})
    wait_for_counter(stack, "19 of 20 in sync")
    text = get(f"{stack.url}/room").text
    assert "Stripe did not send it" in text
    assert "<code>pause_collection.behavior</code>" in text
    change(stack, first_subscription(stack), **{"metadata[touched]": "1"})
    wait_for_counter(stack, "20 of 20 in sync")


def test_the_stream_tells_what_changed_and_ends_when_everything_begins_again(stack: RunningStack) -> None:
    with requests.get(f"{stack.url}/room/changes", stream=True, timeout=60) as stream:
        lines = stream.iter_lines(decode_unicode=True)
        first = json.loads(next(lines).removeprefix("data: "))
        assert sum(name.startswith("sub-") for name in first["parts"]) == 20
        name = first_subscription(stack)
        change(stack, name, cancel_at_period_end="true")
        line = next(each for each in lines if f"sub-{name}" in each)
        assert sum(one.startswith("sub-") for one in json.loads(line.removeprefix("data: "))["parts"]) == 1
        move(stack, "march")
        assert not [each for each in lines if "20 March" in each]
    assert 0 <= clock(stack) - 1710925200 < 60  # 2024-03-20 09:00


def test_to_begin_again_empties_everything(stack: RunningStack) -> None:
    name = first_subscription(stack)
    requests.post(f"{stack.url}/audit", timeout=120, allow_redirects=False)
    assert "<strong>1</strong> mail" in get(f"{stack.url}/room").text
    move(stack, "march")
    assert name not in [one["id"] for one in simulator(stack, "subscriptions")["data"]]
    text = get(f"{stack.url}/room").text
    assert name not in text
    assert "<strong>0</strong> mails" in text
    wait_for_counter(stack, "20 of 20 in sync")


def test_forward_moves_never_make_a_signature_stale(stack: RunningStack) -> None:
    """Changes go on while the clock jumps; the audit and the site are at the same time as Stripe."""
    move(stack, "march")
    name, stop = first_subscription(stack), threading.Event()

    def go_on() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            change(stack, name, **{"metadata[touched]": str(number)})
            time.sleep(0.05)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for to in ("day", "period", "month", "cutoff", "month", "now"):
            before = clock(stack)
            move(stack, to)
            assert clock(stack) > before + 86_000
            assert abs(simulator(stack, "clock")["receiver_now"] - clock(stack)) < 2
    finally:
        stop.set()
        thread.join(30)
    assert abs(clock(stack) - time.time()) < 5
    assert {one["status_code"] for one in simulator(stack, "deliveries")["data"]} == {200}
    wait_for_counter(stack, "20 of 20 in sync")


def test_a_place_that_the_clock_cannot_go_to_moves_nothing(stack: RunningStack) -> None:
    before = clock(stack)
    assert requests.post(f"{stack.url}/clock", data={"to": "1 May"}, timeout=30).status_code == 400
    assert (
        requests.post(f"{stack.url}/clock", headers={"Origin": "https://evil.example"}, timeout=30).status_code == 403
    )
    assert abs(clock(stack) - before) < 5
    assert "Traceback" not in stack.said
