"""Windows of `created`: how the list of all subscriptions is divided, so that several requests can be under way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from stripe import StripeClient

from shared.errors import Unavailable
from shared.rate_limit import RateLimit
from shared.recovery.pages import PAGE, Page, read_page
from shared.recovery.retries import Retries

# A window is divided only while it seems to hold more pages than this: each division costs part of a page.
FEWEST_PAGES = 4


@dataclass(frozen=True, slots=True)
class Window:
    """Subscriptions with `gte <= created < lt` (Unix seconds), of these the ones that Stripe lists after `after`.

    Stripe lists the newest first. `lt=None` has no end; `after=None` has no beginning.
    """

    gte: int = 0
    lt: int | None = None
    after: str | None = None

    def params(self) -> dict[str, Any]:
        """Answer the parameters of `GET /v1/subscriptions`; without a `status` it lists all that are not canceled."""
        created = {"gte": self.gte} | ({} if self.lt is None else {"lt": self.lt})
        return {"limit": PAGE, "created": created} | ({"starting_after": self.after} if self.after else {})

    def rest(self, page: Page) -> "Window | None":
        """What is left of it after a page of it; the cursor alone says where, should times be a little out of order."""
        return Window(self.gte, self.lt, page.last_id) if page.has_more else None

    def divided(self, page: Page) -> tuple["Window", "Window"] | None:
        """Divide what is left after `page`, the newer half first; `None` when that seems not worth a request."""
        times = [each["created"] for each in page.data if each.get("created") is not None]
        if not page.has_more or not times:
            return None
        newest, oldest = max(times), min(times)
        if (oldest - self.gte) * len(times) < FEWEST_PAGES * PAGE * (newest - oldest + 1):
            return None
        middle = (self.gte + oldest + 1) // 2
        newer, older = Window(middle, self.lt, page.last_id), Window(self.gte, middle)
        return (newer, older) if self.gte < middle <= oldest else None


class WindowReader:
    """Reads windows side by side under one rate limit; what is left when it is stopped can be gone on with."""

    def __init__(self, client: StripeClient, limit: RateLimit, windows: Iterable[Window], *, streams: int) -> None:
        """Keep up to `streams` requests under way."""
        self._client = client
        self._retries = Retries(limit)
        self._streams = streams
        self._waiting = deque(windows)

    @property
    def left(self) -> tuple[Window, ...]:
        """What is still to be read, once `pages` has ended."""
        return tuple(self._waiting)

    def pages(self, more: Callable[[], bool] = lambda: True) -> Iterator[Page]:
        """Read until nothing is left, or `more` says that no other request should begin.

        Each page comes once, in no order. Raises as `Retries.of_stripe` does.
        """
        running: dict[Future[Page], Window] = {}
        with ThreadPoolExecutor(self._streams) as pool:
            while True:
                while self._waiting and len(running) < self._streams and more():
                    window = self._waiting.popleft()
                    running[pool.submit(self._read, window)] = window
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    page, window = future.result(), running.pop(future)
                    self._go_on(window, page, idle=self._streams - len(running) - len(self._waiting) > 1)
                    yield page

    def _go_on(self, window: Window, page: Page, *, idle: bool) -> None:
        """A window under way goes on first, so that few are open at a time."""
        divided = window.divided(page) if idle else None
        if divided:
            self._waiting.extendleft(reversed(divided))
        elif rest := window.rest(page):
            self._waiting.appendleft(rest)

    def _read(self, window: Window) -> Page:
        return self._retries.of_stripe(lambda: self._ask(window))

    def _ask(self, window: Window) -> Page:
        page = read_page(self._client, "/v1/subscriptions", window.params())
        if page.has_more and not page.data:
            raise Unavailable("stripe_unavailable", "Stripe's list broke off: an empty page, and more to come")
        return page
