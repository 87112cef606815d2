"""Reads Stripe's lists whole: page by page, or in windows of `created` side by side; each page with its time."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any, Literal

import stripe
from stripe import StripeClient

from shared.errors import OperatorError, Unavailable, sentence
from shared.stripe.gateway import date_of, read_json, with_all_items
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.subscription import has_more_items

logger = logging.getLogger(__name__)

PAGE = 100
# A window is divided only while it seems to hold more pages than this: each division costs part of a page.
FEWEST_PAGES = 4
# Requests for pages side by side: at two seconds a page, enough for five a second.
STREAMS = 10
# `GET /v1/events` takes up to 20 concrete types (docs.stripe.com/api/events/list).
EVENT_TYPES = tuple(
    f"customer.subscription.{what}"
    for what in (
        "created",
        "deleted",
        "paused",
        "pending_update_applied",
        "pending_update_expired",
        "resumed",
        "trial_will_end",
        "updated",
    )
)


# What a list of subscriptions leaves out unless it is asked for, as far as four levels reach: the terms of a discount
# (docs.stripe.com/api/expanding_objects).
EXPANDED = ("data.discounts.source.coupon",)
EXPANDED_CUSTOMER = "data.customer"
EXPANDED_SCHEDULE = "data.schedule"


@dataclass(frozen=True, slots=True)
class ListPage:
    """Up to 100 objects as Stripe's JSON; `as_of` (Unix seconds) and `took` are as in `SubscriptionRead`."""

    data: tuple[Mapping[str, Any], ...]
    has_more: bool
    as_of: int
    took: float

    @property
    def last_id(self) -> str:
        """Where the next page starts after."""
        return str(self.data[-1]["id"])

    @property
    def cursors(self) -> tuple[str, ...]:
        """The page's ids, the last one first: the next page starts after the first of them that is still listed."""
        return tuple(str(each["id"]) for each in reversed(self.data))


def with_whole_subscriptions(client: StripeClient, retries: Retries, page: ListPage) -> ListPage:
    """Read the items that a page of subscriptions left out; `took` then covers these reads too."""
    if not any(map(has_more_items, page.data)):
        return page
    began = time.monotonic()
    data = tuple(
        retries.of_stripe(partial(with_all_items, client, raw)) if has_more_items(raw) else raw for raw in page.data
    )
    return replace(page, data=data, took=page.took + time.monotonic() - began)


def pages(
    client: StripeClient,
    retries: Retries,
    path: str,
    params: Mapping[str, Any] | None = None,
    *,
    starting_after: str | None = None,
) -> Iterator[ListPage]:
    """Read a list to its end, or as far as is asked for; at least one page. Raises as `Retries.of_stripe` does."""
    wanted = {"limit": PAGE, **(params or {})}
    cursors: tuple[str, ...] = (starting_after,) if starting_after else ()
    while True:
        page = _page_after(retries, partial(read_page, client, path), wanted, cursors)
        yield page
        if not page.has_more or not page.data:
            return
        cursors = page.cursors


def _page_after(
    retries: Retries, ask: Callable[[Mapping[str, Any]], ListPage], params: Mapping[str, Any], cursors: Sequence[str]
) -> ListPage:
    """Ask for the page after the first of `cursors` that Stripe still lists; for the first page without any.

    Stripe answers 400 when the object of `starting_after` has been deleted since, and also when the list no longer has
    it: a subscription that was just canceled, in the list of those that are not (stripe-node issue 2368). Raises as
    `Retries.of_stripe` does.
    """
    for number, cursor in enumerate(cursors, 1):
        try:
            return retries.of_stripe(partial(ask, {**params, "starting_after": cursor}))
        except OperatorError as error:
            if not _is_missing_cursor(error) or number == len(cursors):
                raise
    return retries.of_stripe(partial(ask, params))


def _is_missing_cursor(error: OperatorError) -> bool:
    cause = error.__cause__
    return (
        isinstance(cause, stripe.InvalidRequestError)
        and cause.code == "resource_missing"
        and cause.param == "starting_after"
    )


def undelivered_events(
    client: StripeClient, retries: Retries, *, since: int, types: Sequence[str] = EVENT_TYPES
) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """Read the events of these types since `since` (Unix seconds) that an endpoint has not taken, oldest page first.

    Stripe lists the newest first. So the pages are walked once for their cursors, and read again from the last to the
    first: two requests for 100 events, one where a single page holds them all. No more than one page and one id for
    each further page are held. Events that are delivered in between only let pages overlap.
    """

    def read(starting_after: str | None) -> ListPage:
        params = {
            "delivery_success": False,
            "types": list(types),
            "created": {"gte": since},
            "limit": PAGE,
        } | _after(starting_after)
        return retries.of_stripe(lambda: read_page(client, "/v1/events", params))

    cursors: list[str | None] = []
    page = read(None)
    while page.has_more and page.data:
        cursors.append(page.last_id)
        page = read(page.last_id)
    yield page.data[::-1]
    for cursor in reversed([None, *cursors[:-1]] if cursors else []):
        yield read(cursor).data[::-1]


def _after(starting_after: str | None) -> dict[str, str]:
    return {"starting_after": starting_after} if starting_after else {}


def read_page(client: StripeClient, path: str, params: Mapping[str, Any]) -> ListPage:
    """Read one page of a list, once: `Retries` tries again, within the rate limit.

    The page stays JSON: the library's objects take several times as long to make as everything done with them.
    """
    began = time.monotonic()
    read = read_json(client, path, params)
    took = time.monotonic() - began
    return ListPage(tuple(read.data["data"]), read.data["has_more"], date_of(read.response), took)


@dataclass(frozen=True, slots=True)
class Window:
    """Subscriptions with `gte <= created < lt` (Unix seconds), of these the ones that Stripe lists after `after`.

    Stripe lists the newest first. `lt=None` has no end; `after` has the ids of the page before, the last one first: the
    first of them that is still listed counts. Without any there is no beginning.
    """

    gte: int = 0
    lt: int | None = None
    after: tuple[str, ...] = ()

    def params(self) -> dict[str, Any]:
        """Return the range for `GET /v1/subscriptions`; without a `status` it lists all that are not canceled."""
        created = {"gte": self.gte} | ({} if self.lt is None else {"lt": self.lt})
        return {"limit": PAGE, "created": created}

    def rest(self, page: ListPage) -> "Window | None":
        """What is left of it after a page of it; the cursor alone says where, should times be a little out of order."""
        return Window(self.gte, self.lt, page.cursors) if page.has_more else None

    def divided(self, page: ListPage) -> tuple["Window", "Window"] | None:
        """Divide what is left after `page`, the newer half first; `None` when that seems not worth a request."""
        times = [each["created"] for each in page.data if each.get("created") is not None]
        if not page.has_more or not times:
            return None
        newest, oldest = max(times), min(times)
        if (oldest - self.gte) * len(times) < FEWEST_PAGES * PAGE * (newest - oldest + 1):
            return None
        middle = (self.gte + oldest + 1) // 2
        newer, older = Window(middle, self.lt, page.cursors), Window(self.gte, middle)
        return (newer, older) if self.gte < middle <= oldest else None


class WindowReader:
    """Reads windows side by side under one rate limit; a later run can continue with what is left."""

    def __init__(  # noqa: PLR0913 - half of them are for one of its callers
        self,
        client: StripeClient,
        limit: RateLimit,
        windows: Iterable[Window],
        *,
        streams: int,
        status: Literal["all"] | None = None,
        expand: Sequence[str] = EXPANDED,
    ) -> None:
        """Keep up to `streams` requests running; with the status `all` the list has canceled subscriptions too.

        `expand` asks for what a list leaves out; what Stripe refuses to expand stays an id.
        """
        self._client = client
        self._status = {"status": status} if status else {}
        self._retries = Retries(limit)
        self._limit = limit
        self._streams = streams
        # What is asked for, and what is left to ask for where Stripe refuses a part of it: the most first.
        self._expansions = [each for size in range(len(expand), -1, -1) for each in combinations(expand, size)]
        self._waiting = deque(windows)
        self._running: dict[Future[ListPage], Window] = {}
        # Where each window that has been read to its end began and ended: its end by its beginning in time.
        self._ended: dict[int, str | None] = {}

    @property
    def position(self) -> str | None:
        """The subscription up to which Stripe's list has been read without a gap; a later run can start after it."""
        unread = [*self._running.values(), *self._waiting]
        newest = max(unread, key=lambda window: math.inf if window.lt is None else window.lt, default=None)
        return self._end_before(newest) if newest else self._ended.get(min(self._ended, default=0))

    def _end_before(self, window: Window) -> str | None:
        if window.after:
            return window.after[0]
        return None if window.lt is None else self._ended.get(window.lt)

    @property
    def left(self) -> tuple[Window, ...]:
        """What is still to be read, once `pages` has ended."""
        return tuple(self._waiting)

    def pages(self, more: Callable[[], bool] = lambda: True) -> Iterator[ListPage]:
        """Read until nothing is left, or `more` says that no other request should begin.

        Each page comes once, in no order. Raises as `Retries.of_stripe` does.
        """
        running = self._running
        with ThreadPoolExecutor(self._streams) as pool:
            self._begin(pool, more)
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    page, window = future.result(), running.pop(future)
                    self._go_on(window, page, idle=self._streams - len(running) - len(self._waiting) > 1)
                    # The caller may take its time with a page: the next requests run meanwhile.
                    self._begin(pool, more)
                    yield page

    def _begin(self, pool: ThreadPoolExecutor, more: Callable[[], bool]) -> None:
        while self._waiting and len(self._running) < self._streams and more():
            window = self._waiting.popleft()
            self._running[pool.submit(self._read, window)] = window

    def _go_on(self, window: Window, page: ListPage, *, idle: bool) -> None:
        """Continue a window that was begun before another, so that few are open at a time."""
        divided = window.divided(page) if idle else None
        if divided:
            self._waiting.extendleft(reversed(divided))
        elif rest := window.rest(page):
            self._waiting.appendleft(rest)
        else:
            self._ended[window.gte] = page.last_id if page.data else self._end_before(window)

    def _read(self, window: Window) -> ListPage:
        page = _page_after(self._retries, self._ask, window.params() | self._status, window.after)
        return with_whole_subscriptions(self._client, self._retries, page)

    def _ask(self, params: Mapping[str, Any]) -> ListPage:
        page = self._page(params)
        if page.has_more and not page.data:
            raise Unavailable(
                "stripe_unavailable", sentence("Stripe's list broke off: an empty page, and more to come")
            )
        return page

    def _page(self, params: Mapping[str, Any]) -> ListPage:
        """Read a page with as much expanded as Stripe allows; what it refuses once is not asked for again."""
        expansions = self._expansions
        for tried, expand in enumerate(expansions):
            wanted = {**params, "expand": list(expand)} if expand else params
            try:
                page = read_page(self._client, "/v1/subscriptions", wanted)
            except (stripe.InvalidRequestError, stripe.PermissionError) as error:
                if not expand or getattr(error, "param", None) == "starting_after":
                    raise
                refusal = type(error).__name__
                self._limit.wait()
                continue
            if tried:
                refused = ", ".join(sorted({*expansions[0]} - {*expand}))
                logger.warning("Stripe refuses to expand %s: %s", refused, refusal)
                self._expansions = [expand]
            return page
        raise AssertionError("unreachable: the last of them expands nothing")
