"""Stripe's lists page by page, each with the time that its state is of."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from stripe import StripeClient

from shared.recovery.retries import Retries
from shared.stripe_gateway import date_of

PAGE = 100
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


@dataclass(frozen=True, slots=True)
class Page:
    """Up to 100 objects as Stripe's JSON; `as_of` (Unix seconds) and `took` are as in `SubscriptionRead`."""

    data: tuple[Mapping[str, Any], ...]
    has_more: bool
    as_of: int
    took: float

    @property
    def last_id(self) -> str:
        """Where the next page starts after."""
        return str(self.data[-1]["id"])


def subscription_pages(client: StripeClient, retries: Retries, *, starting_after: str | None = None) -> Iterator[Page]:
    """Read every subscription of the account, canceled ones too, newest first.

    Stripe hides those of test clocks from this list. Raises as `Retries.of_stripe` does; no page is ever skipped.
    """
    return pages(client, retries, "/v1/subscriptions", {"status": "all"}, starting_after=starting_after)


def pages(
    client: StripeClient,
    retries: Retries,
    path: str,
    params: Mapping[str, Any] | None = None,
    *,
    starting_after: str | None = None,
) -> Iterator[Page]:
    """Read a list to its end, or as far as is asked for; at least one page. Raises as `Retries.of_stripe` does."""
    wanted = {"limit": PAGE, **(params or {})}
    while True:
        asked = wanted | _after(starting_after)
        page = retries.of_stripe(partial(read_page, client, path, asked))
        yield page
        if not page.has_more or not page.data:
            return
        starting_after = page.last_id


def undelivered_events(
    client: StripeClient, retries: Retries, *, since: int
) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """Read the subscription events since `since` (Unix seconds) that an endpoint has not taken, oldest page first.

    Stripe lists the newest first. So the pages are walked once for their cursors, and read again from the last to the
    first: two requests for 100 events, one where a single page holds them all. No more than one page and one id for
    each further page are held. Events that are delivered in between only let pages overlap.
    """

    def read(starting_after: str | None) -> Page:
        params = {
            "delivery_success": False,
            "types": list(EVENT_TYPES),
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


def read_page(client: StripeClient, path: str, params: Mapping[str, Any]) -> Page:
    """Ask for one page of a list, once: `Retries` tries again, and within the rate limit.

    The answer stays JSON. The library's objects would take several times as long as all that is done with them.
    """
    began = time.monotonic()
    answer = client.raw_request("get", path, max_network_retries=0, **params)
    took = time.monotonic() - began
    return Page(tuple(answer.data["data"]), answer.data["has_more"], date_of(answer), took)
