"""The control room and the one clock of a running stack."""

import html
import json
import re
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import requests

from tests.end_to_end.stack_fixture import (
    PATIENCE_SECONDS,
    ROOT,
    SETTLES_SOON,
    RunningStack,
    counter,
    get,
    in_sync,
    simulator,
    wait_for_counter,
)


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    running = RunningStack.start(*SETTLES_SOON).wait_until_ready()
    yield running
    running.stop()


def change(stack: RunningStack, subscription: str, **values: str) -> None:
    url = f"http://127.0.0.1:{stack.ports[1]}/v1/subscriptions/{subscription}"
    requests.post(url, data=values, auth=("sk_test_local", ""), timeout=60).raise_for_status()


def clock(stack: RunningStack) -> float:
    return float(get(f"{stack.url}/local.json").json()["clock"])


def move(stack: RunningStack, to: str) -> None:
    """Move the clock, and wait until the site is there again."""
    assert requests.post(f"{stack.url}/clock", data={"to": to}, timeout=120, allow_redirects=False).status_code == 303
    wait_until_there(stack)


def wait_until_there(stack: RunningStack) -> None:
    """Wait until the site answers again, because everything may have begun again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while get(f"{stack.url}/local.json").status_code != 200:
        assert time.monotonic() < deadline, get(f"{stack.url}/local.json").text
        time.sleep(0.1)


def first_subscription(stack: RunningStack) -> str:
    return str(simulator(stack, "subscriptions")["data"][0]["id"])


def test_the_counter_compares_both_sides_and_a_dropped_event_shows(stack: RunningStack) -> None:
    wait_for_counter(stack, in_sync(stack))
    simulator(stack, "faults", {"drop": 1})
    change(stack, first_subscription(stack), **{"pause_collection[behavior]": "void"})
    wait_for_counter(stack, in_sync(stack, but=1))
    text = get(f"{stack.url}/room").text
    assert "Stripe did not send it" in text
    assert "<code>pause_collection.behavior</code>" in text
    change(stack, first_subscription(stack), **{"metadata[touched]": "1"})
    wait_for_counter(stack, in_sync(stack))


def item_of(stack: RunningStack, subscription: str) -> Any:
    (found,) = [one for one in simulator(stack, "subscriptions")["data"] if one["id"] == subscription]
    return found["items"]["data"][0]


@pytest.mark.parametrize("field", ["quantity", "price"])
def test_a_lost_change_of_plan_or_quantity_is_not_green(stack: RunningStack, field: str) -> None:
    wait_until_settled(stack)
    name = first_subscription(stack)
    item = item_of(stack, name)
    prices = requests.get(f"http://127.0.0.1:{stack.ports[1]}/v1/prices", auth=("sk_test_local", ""), timeout=60).json()
    other = next(
        one["id"]
        for one in prices["data"]
        if one["id"] != item["price"]["id"] and one["recurring"] == item["price"]["recurring"]
    )
    simulator(stack, "faults", {"drop": 1})
    value = str(item["quantity"] + 1) if field == "quantity" else other
    change(stack, name, **{"items[0][id]": item["id"], f"items[0][{field}]": value})
    wait_for_counter(stack, in_sync(stack, but=1))
    shown = "quantity" if field == "quantity" else "price_id"
    assert f"<code>items.{item['id']}.{shown}</code>" in get(f"{stack.url}/room").text
    change(stack, name, **{"metadata[touched]": field})
    wait_for_counter(stack, in_sync(stack))


def press(stack: RunningStack, **form: str) -> None:
    answer = requests.post(f"{stack.url}/room", data=form, timeout=60, allow_redirects=False)
    assert answer.status_code == 303, answer.text


def result(stack: RunningStack) -> str:
    """What the page says about the trial, once it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        text = get(f"{stack.url}/room").text.partition('id="room-trial"')[2].partition('id="room-link"')[0]
        if text and ", running" not in text and "<strong>" in text:
            return html.unescape(re.sub(r"<[^>]+>", "", text))
        assert time.monotonic() < deadline, text
        time.sleep(0.3)


def test_what_was_dropped_is_healed_by_a_command(stack: RunningStack) -> None:
    wait_for_counter(stack, in_sync(stack))
    press(stack, **{"try": "drop"})
    said = result(stack)
    assert f"{in_sync(stack, but=3).replace(' in', ' are in')}. Deliveries: 3 dropped." in said
    assert "What heals it: Reconcile" in said
    press(stack, run="reconcile")
    assert "portal reconcile --repair ended with 0." in result(stack)
    assert counter(stack) == in_sync(stack)
    press(stack, **{"try": "drop"})
    result(stack)
    press(stack, run="replay")
    assert re.search(r"Undelivered events: \d+ read, \d+ applied", result(stack))
    assert counter(stack) == in_sync(stack)


def test_a_database_that_refuses_is_healed_by_stripes_retries(stack: RunningStack) -> None:
    press(stack, **{"try": "database"})
    said = result(stack)
    assert re.search(r"All \d+ are in sync\. Deliveries: .*\d failed", said), said
    assert "What healed it: Stripe sent the events again" in said


def test_everything_at_once_heals_when_it_is_off_again(stack: RunningStack) -> None:
    """With seven switches left on, a trial of the eighth changes subscriptions."""
    names = ["duplicate", "delay", "slow", "429", "500", "database", "queue"]
    for name in names:
        press(stack, on=name)
    before = len(simulator(stack, "deliveries")["data"])
    press(stack, **{"try": "ties"})
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Late by the delay, refused by the database, and a second time.
    while {one["attempt"] for one in simulator(stack, "deliveries")["data"][before:]} < {1, 2}:
        assert time.monotonic() < deadline, simulator(stack, "deliveries")["data"][before:]
        time.sleep(0.2)
    assert counter(stack) != in_sync(stack)
    for name in names:
        press(stack, off=name)
    assert "What healed it: Ties wait" in result(stack)
    assert simulator(stack, "faults")["fail"] == []


def test_what_does_not_exist_is_refused_and_foreign_pages_press_nothing(stack: RunningStack) -> None:
    for form in ({"on": "nothing"}, {"try": "nothing"}, {"run": "rm"}, {}, {"left": "drop"}):
        assert requests.post(f"{stack.url}/room", data=form, timeout=60).status_code == 400
    foreign = {"Origin": "https://evil.example"}
    assert requests.post(f"{stack.url}/room", data={"on": "drop"}, headers=foreign, timeout=60).status_code == 403
    assert simulator(stack, "faults")["drop"] == 0


def wait_until_settled(stack: RunningStack) -> None:
    """Wait until no change waits to be settled, so that no row changes by itself."""
    wait_for_counter(stack, in_sync(stack))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "<code>SettleQueue</code> <strong>0</strong></li>" not in (text := get(f"{stack.url}/room").text):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)


def test_the_stream_tells_what_changed_and_ends_when_everything_begins_again(stack: RunningStack) -> None:
    name = first_subscription(stack)
    # Whatever its row shows already, one more change shows too.
    change(stack, name, **{"pause_collection[behavior]": "void", "cancel_at_period_end": "false"})
    wait_until_settled(stack)
    with requests.get(f"{stack.url}/room/changes", stream=True, timeout=60) as stream:
        lines = stream.iter_lines(decode_unicode=True)
        first = json.loads(next(lines).removeprefix("data: "))
        assert sum(one.startswith("sub-") for one in first["parts"]) == len(simulator(stack, "subscriptions")["data"])
        change(stack, name, cancel_at_period_end="true")
        line = next((each for each in islice(lines, 200) if f"sub-{name}" in each), "")
        assert line, get(f"{stack.url}/room").text
        assert sum(one.startswith("sub-") for one in json.loads(line.removeprefix("data: "))["parts"]) == 1
        move(stack, "march")
        assert not [each for each in lines if "20 March" in each]
    assert 0 <= clock(stack) - 1710925200 < 600  # 2024-03-20 09:00


def test_the_stream_sends_a_row_for_each_sides_change_of_what_it_does_not_show(stack: RunningStack) -> None:
    """A new quantity reaches Stripe's side first; an event that changes nothing visible still writes the mirror."""
    wait_until_settled(stack)
    name = first_subscription(stack)
    item = item_of(stack, name)
    simulator(stack, "faults", {"delay_seconds": 3})
    with requests.get(f"{stack.url}/room/changes", stream=True, timeout=60) as stream:
        lines = stream.iter_lines(decode_unicode=True)
        next(lines)

        def sent() -> Iterator[str]:
            for line in islice(lines, 200):
                if f"sub-{name}" in line:
                    yield html.unescape(json.loads(line.removeprefix("data: "))["parts"][f"sub-{name}"])

        rows = sent()
        change(stack, name, **{"items[0][id]": item["id"], "items[0][quantity]": str(item["quantity"] + 1)})
        marks = []
        for row in rows:
            marks.append(tuple("last change: <code>quantity</code>" in side for side in row.split("Mirror", 1)))
            if all(marks[-1]):
                break
        assert marks[0] == (True, False)
        assert marks[-1] == (True, True)
        simulator(stack, "faults", {})
        wait_until_settled(stack)
        change(stack, name, **{"metadata[touched]": "again"})
        assert any("<code>revision</code>" in row for row in rows)


def test_to_begin_again_empties_everything(stack: RunningStack) -> None:
    name = first_subscription(stack)
    requests.post(f"{stack.url}/audit", timeout=120, allow_redirects=False)
    assert "<strong>1</strong> mail" in get(f"{stack.url}/room").text
    move(stack, "march")
    assert name not in [one["id"] for one in simulator(stack, "subscriptions")["data"]]
    text = get(f"{stack.url}/room").text
    assert name not in text
    assert "<strong>0</strong> mails" in text
    wait_for_counter(stack, in_sync(stack))


def test_forward_moves_never_make_a_signature_stale(stack: RunningStack) -> None:
    """Changes go on while the clock jumps; the audit and the site are at the same time as Stripe."""
    move(stack, "march")
    name, stop = first_subscription(stack), threading.Event()

    def go_on() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            change(stack, name, **{"metadata[touched]": str(number)})
            time.sleep(0.3)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for to in ("day", "period", "cutoff", "now"):
            before = clock(stack)
            move(stack, to)
            assert clock(stack) > before + 86_000
            assert abs(simulator(stack, "clock")["receiver_now"] - clock(stack)) < 60
    finally:
        stop.set()
        thread.join(30)
    assert abs(clock(stack) - time.time()) < 60
    # Without a status there was no response in time, as on a slow machine; it comes again.
    assert {one["status_code"] for one in simulator(stack, "deliveries")["data"]} - {None} == {200}
    wait_for_counter(stack, in_sync(stack))


def test_a_place_that_the_clock_cannot_go_to_moves_nothing(stack: RunningStack) -> None:
    before = clock(stack)
    assert requests.post(f"{stack.url}/clock", data={"to": "1 May"}, timeout=60).status_code == 400
    assert (
        requests.post(f"{stack.url}/clock", headers={"Origin": "https://evil.example"}, timeout=60).status_code == 403
    )
    assert abs(clock(stack) - before) < 60
    assert "Traceback" not in stack.said


def test_the_story_keeps_its_step_and_a_button_counts_once(stack: RunningStack) -> None:
    """Two clicks, an old tab or a step that is not there yet never skip one."""

    def present() -> str:
        found = re.search(r'aria-current="step">\s*<h2>([^<]+)', get(f"{stack.url}/story").text)
        assert found
        return html.unescape(found[1]).strip()

    def go_on(step: int) -> None:
        requests.post(f"{stack.url}/story", data={"step": step}, timeout=120, allow_redirects=False)

    go_on(3)
    assert present() == "20 March 2024"
    go_on(0)
    wait_until_there(stack)
    go_on(0)
    go_on(1)
    assert present() == "Rosa presses the old button"
    (rosa,) = [key for key, name in simulator(stack, "subscriptions")["customers"].items() if name == "Rosa Keller"]
    (owned,) = [one["id"] for one in simulator(stack, "subscriptions")["data"] if one["customer"] == rosa]
    change(stack, owned, **{"pause_collection[behavior]": "void"})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while present() != "Nothing looks wrong":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    go_on(2)
    go_on(2)
    assert present() == "The audit finds the money"
    assert 0 <= clock(stack) - 1722502800 < 600  # 2024-08-01 09:00
    go_on(3)
    assert present() == "The team resumes her"
    (mail,) = re.findall(r'<a href="(/outbox/\d+)">', get(f"{stack.url}/story").text)
    assert re.search(
        r"Rosa Keller.*?89\.00 EUR a month.{1,5}356\.00 EUR voided so far", get(stack.url + mail).text, re.DOTALL
    )
    go_on(4)
    assert present() == "Today"
    go_on(5)
    assert present() == "Amélie presses today's button"


# The last: all of the above has happened in this stack.
def test_the_terminal_shows_only_messages_for_people_and_names_the_functions_log(stack: RunningStack) -> None:
    requests.post(f"{stack.url}/audit", timeout=120, allow_redirects=False).raise_for_status()
    first, *lines = [line for line in stack.said.splitlines() if line]
    assert first.startswith("Starting the Stripe simulator")
    assert lines[0].startswith("Creating the tables")
    assert lines[1].startswith("Ready after")
    names = [line.strip().partition("  ")[0] for line in lines[2:]]
    assert names == ["Demo site and API", "Stripe", "AWS", "Functions' log", "Clock"]
    log = ROOT / lines[5].rpartition("  ")[2]
    assert '"UncollectedPerMonth' in log.read_text()


def test_the_functions_log_ends_with_the_stack(stack: RunningStack) -> None:
    (line,) = [line for line in stack.lines if "Functions' log" in line]
    log = ROOT / line.rpartition("  ")[2].strip()
    assert log.exists()
    stack.stop()
    assert not log.exists()
    assert stack.said.endswith("Stopped.\n")
