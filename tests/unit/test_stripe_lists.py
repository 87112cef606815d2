"""Windows of `created`: whatever the times are, each subscription is read once, and an interrupted walk goes on."""

import json
import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import OperatorError, Unavailable
from shared.stripe.gateway import read_from_stripe
from shared.stripe.lists import ListPage, Window, WindowReader, pages
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.subscription import read_subscription
from tests.canned_stripe import CannedStripe, long_subscription
from tests.clock import Clock

DATED = {"Date": "Tue, 24 Nov 2026 06:00:00 GMT"}


class FakeList(stripe.HTTPClient):
    """Stripe's list of subscriptions: newest first, `created` ranges, cursors, at most 100 a page."""

    name = "fake"

    def __init__(self, created: list[int], off_by: int = 0) -> None:
        """Let neighbours stand in the wrong order if their times differ by less than `off_by` seconds."""
        super().__init__()
        newest_first = sorted(enumerate(created), key=lambda each: (-each[1] - hash(each) % (off_by + 1), each[0]))
        self.all = [{"id": f"sub_{number}", "created": second} for number, second in newest_first]
        self.failures: list[int] = []
        self.empty = 0
        self.queries: list[dict[str, list[str]]] = []
        self._lock = threading.Lock()

    def request(  # type: ignore[override]
        self, _method: str, url: str, _headers: Mapping[str, str] | None, _post_data: Any = None
    ) -> tuple[str, int, dict[str, str]]:
        query = parse_qs(urlsplit(url).query)
        with self._lock:
            self.queries.append(query)
            if self.failures:
                status = self.failures.pop(0)
                return json.dumps({"error": {"type": "api_error", "message": "no"}}), status, {}
            if self.empty and "starting_after" in query:
                self.empty -= 1
                return json.dumps({"object": "list", "data": [], "has_more": True}), 200, DATED
        gte, lt = int(query["created[gte]"][0]), int(query.get("created[lt]", ["99999999999"])[0])
        after = query.get("starting_after", [""])[0]
        listed = [each["id"] for each in self.all]
        if after and after not in listed:
            missing = {"type": "invalid_request_error", "code": "resource_missing", "param": "starting_after"}
            return json.dumps({"error": missing}), 400, DATED
        start = listed.index(after) + 1 if after else 0
        found = [each for each in self.all[start:] if gte <= int(str(each["created"])) < lt]
        body = {"object": "list", "data": found[:100], "has_more": len(found) > 100}
        return json.dumps(body), 200, DATED

    def close(self) -> None:
        """Nothing is open."""


def reader(stripe_list: FakeList, *windows: Window, streams: int = 4) -> WindowReader:
    clock = Clock()
    client = stripe.StripeClient("sk_test_audit", http_client=stripe_list)
    limit = RateLimit(100, clock=clock, sleep=clock.sleep)
    return WindowReader(client, limit, windows or (Window(),), streams=streams)


def ids(pages: WindowReader, **how: Any) -> list[str]:
    return [str(each["id"]) for page in pages.pages(**how) for each in page.data]


SPREAD = [1_600_000_000 + 5_000 * number for number in range(2_000)]


@given(
    st.lists(st.integers(1_300_000_000, 1_300_000_400) | st.integers(0, 2_000_000_000), max_size=900),
    st.integers(1, 8),
)
def test_each_subscription_is_read_once_whatever_the_times_are(created: list[int], streams: int) -> None:
    stripe_list = FakeList(created)
    assert sorted(ids(reader(stripe_list, streams=streams))) == sorted(str(each["id"]) for each in stripe_list.all)


@given(
    st.lists(st.integers(1_300_000_000, 1_300_000_400) | st.integers(0, 2_000_000_000), max_size=900),
    st.integers(1, 8),
    st.integers(1, 12),
)
def test_a_run_that_starts_at_the_position_of_a_stopped_one_reads_the_rest(
    created: list[int], streams: int, stop: int
) -> None:
    stripe_list = FakeList(created)
    stopped, read = reader(stripe_list, streams=streams), set[str]()
    for number, page in enumerate(stopped.pages(), 1):
        read |= {str(each["id"]) for each in page.data}
        position = stopped.position
        if number == stop:
            break
    rest = reader(stripe_list, Window(after=(position,) if position else ()), streams=streams)
    assert read | set(ids(rest)) == {str(each["id"]) for each in stripe_list.all}


def test_a_small_account_costs_one_request_and_a_large_one_little_more_than_its_pages() -> None:
    small, large = FakeList(SPREAD[:100]), FakeList(SPREAD)
    assert len(ids(reader(small))) == 100
    assert len(small.queries) == 1
    assert len(ids(reader(large))) == 2_000
    assert len(large.queries) <= 20 + 15
    larger = FakeList([1_600_000_000 + 500 * number for number in range(20_000)])
    assert len(ids(reader(larger, streams=8))) == 20_000
    assert len(larger.queries) <= 200 + 40


def test_canceled_subscriptions_are_not_asked_for() -> None:
    stripe_list = FakeList(SPREAD)
    ids(reader(stripe_list))
    assert all("status" not in query and query["limit"] == ["100"] for query in stripe_list.queries)


@given(st.integers(1, 12))
def test_a_walk_that_is_stopped_again_and_again_reads_each_once(requests: int) -> None:
    stripe_list = FakeList(SPREAD)
    windows: tuple[Window, ...] = (Window(),)
    found: list[str] = []
    while windows:
        before = len(stripe_list.queries)
        stretch = reader(stripe_list, *windows)
        found += ids(stretch, more=lambda before=before: len(stripe_list.queries) - before < requests)
        windows = stretch.left
    assert sorted(found) == sorted(str(each["id"]) for each in stripe_list.all)


def test_what_fails_for_now_is_asked_for_again_and_no_page_is_left_out() -> None:
    stripe_list = FakeList(SPREAD)
    stripe_list.failures = [429, 500, 503, 429]
    assert len(set(ids(reader(stripe_list)))) == 2_000
    assert len(stripe_list.queries) >= 24


@pytest.mark.parametrize(("status", "error"), [(401, OperatorError), (403, OperatorError), (500, Unavailable)])
def test_what_does_not_pass_ends_the_walk(status: int, error: type[Exception]) -> None:
    stripe_list = FakeList(SPREAD)
    stripe_list.failures = [status] * 100
    with pytest.raises(error):
        ids(reader(stripe_list))


@pytest.mark.parametrize("streams", [1, 4, 8])
def test_a_list_whose_order_is_off_by_a_second_is_read_whole_all_the_same(streams: int) -> None:
    stripe_list = FakeList([1_600_000_000 + number // 2 for number in range(3_000)], off_by=1)
    assert sorted(ids(reader(stripe_list, streams=streams))) == sorted(str(each["id"]) for each in stripe_list.all)


def test_an_empty_page_that_promises_more_is_asked_for_again_and_is_never_the_end() -> None:
    stripe_list = FakeList(SPREAD)
    stripe_list.empty = 3
    assert len(set(ids(reader(stripe_list)))) == 2_000
    stripe_list.empty = 1_000
    with pytest.raises(Unavailable, match="broke off"):
        ids(reader(stripe_list))


def test_subscriptions_that_do_not_say_when_they_were_created_are_read_one_page_after_the_other() -> None:
    stripe_list = FakeList(SPREAD[:250])
    page = ListPage(tuple({"id": each["id"], "created": None} for each in stripe_list.all[:100]), True, 0, 0)
    assert Window(lt=1_700_000_000).divided(page) is None
    assert Window().divided(page) is None
    assert Window().rest(page) == Window(after=page.cursors)


@pytest.mark.parametrize("gone", [1, 3, 99])
def test_a_cursor_that_is_no_longer_listed_is_replaced_by_the_one_before(gone: int) -> None:
    stripe_list = FakeList(SPREAD[:250])
    everything = [str(each["id"]) for each in stripe_list.all]
    first = reader(stripe_list)
    found = ids(first, more=lambda: not stripe_list.queries)
    del stripe_list.all[100 - gone : 100]
    found += ids(reader(stripe_list, *first.left))
    assert sorted(found) == sorted(everything)


def test_a_cursor_of_any_list_may_be_deleted() -> None:
    stripe_list = FakeList(SPREAD[:250])
    limit = RateLimit(100, clock=(clock := Clock()), sleep=clock.sleep)
    client = stripe.StripeClient("sk_test_audit", http_client=stripe_list)
    found = []
    for page in pages(client, Retries(limit), "/v1/subscriptions", {"created": {"gte": 0}}):
        found += [str(each["id"]) for each in page.data]
        stripe_list.all = [each for each in stripe_list.all if each["id"] != page.last_id]
    assert len(found) == len(set(found)) == 250


def test_a_page_of_which_nothing_is_listed_any_more_is_a_failure() -> None:
    stripe_list = FakeList(SPREAD[:250])
    first = reader(stripe_list)
    ids(first, more=lambda: not stripe_list.queries)
    del stripe_list.all[:100]
    with pytest.raises(OperatorError):
        ids(reader(stripe_list, *first.left))


# ------------------------------------------------------------------ Stripe embeds ten items of a subscription; all of t
def limit() -> RateLimit:
    clock = Clock()
    return RateLimit(100, clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize(("count", "requests"), [(10, 1), (11, 2), (20, 2), (250, 4)])
def test_a_read_has_all_items(count: int, requests: int) -> None:
    canned = CannedStripe(long_subscription(count)[1])
    found = read_from_stripe(canned.client(), "sub_1")
    assert [item.id for item in found.subscription.items] == [f"si_{number}" for number in range(count)]
    assert len(canned.asked) == requests


def test_a_read_takes_as_long_as_all_of_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items are read after their subscription: a change in between must count as newer than both."""
    canned = CannedStripe(long_subscription(250)[1])
    clock = SimpleNamespace(monotonic=lambda: float(len(canned.asked)))
    monkeypatch.setattr("shared.stripe.gateway.time", clock)
    assert read_from_stripe(canned.client(), "sub_1").took == 4


def test_the_pages_of_an_audit_have_all_items_of_each() -> None:
    canned = CannedStripe(long_subscription(20)[1])
    (page,) = WindowReader(canned.client(), limit(), [Window()], streams=1).pages()
    assert len(read_subscription(page.data[0]).items) == 20
