"""The one clock of the demo: moved forward in place; an earlier time means to begin again there."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.site.backend import Backend
from local.site.session import SiteSession
from local.stack_clock import real_time

# The old pause button is still there, for nine days.
MARCH = datetime(2024, 3, 20, 9, 0, tzinfo=UTC)
# The first day on which customers whom the old button paused can no longer resume.
CUTOFF = datetime(2024, 8, 1, 9, 0, tzinfo=UTC)
_MONTH = timedelta(days=31)
_LATEST = datetime(2035, 1, 1, tzinfo=UTC)
_BILLED = {"active", "past_due", "trialing", "unpaid"}


@dataclass(frozen=True, slots=True)
class ClockMove:
    """A button: `forgets` says that it begins again, with every change lost."""

    to: str
    label: str
    forgets: bool = False


def clock_moves() -> list[ClockMove]:
    """Return the buttons as of now."""
    now = time.time()
    named = [
        ("march", "20 March 2024", MARCH.timestamp()),
        ("cutoff", "the cutoff, 1 August 2024", CUTOFF.timestamp()),
        ("now", "today", real_time()),
    ]
    moves = [
        ClockMove("day", "A day forward"),
        ClockMove("month", "A month forward"),
        ClockMove("period", "To the next period's end"),
    ]
    for to, label, moment in named:
        if moment > now + 1:
            moves.append(ClockMove(to, f"Forward to {label}"))
        elif moment < now - 1:
            moves.append(ClockMove(to, f"Begin again at {label}" if to != "now" else "Begin again today", forgets=True))
        else:
            moves.append(ClockMove(to, "Begin again today", forgets=True))
    return moves


class SiteClock:
    """Moves the time of Stripe, the functions, the audit and the site."""

    def __init__(self, backend: Backend, session: SiteSession) -> None:
        self._backend, self._session = backend, session

    async def move(self, request: Request) -> Response:
        """Move to where the form says, and return to the page that it was on."""
        if not self._backend.is_simulated:
            raise HTTPException(400, "Stripe's own clock cannot be moved.")
        target = str((await request.form()).get("to"))
        await run_in_threadpool(self.move_to, target)
        return RedirectResponse(page_before(request, "/room"), 303)

    def move_to(self, target: str) -> None:
        """Move forward, or begin again at an earlier time. Raises `HTTPException` for a target that does not exist."""
        now = datetime.now(UTC)
        match target:
            case "day":
                self._forward(now + timedelta(days=1))
            case "month":
                self._forward(now + _MONTH)
            case "period":
                self._forward(self._next_period_end(now))
            case "march":
                self._go(now, MARCH)
            case "cutoff":
                self._go(now, CUTOFF)
            case "now":
                real = datetime.fromtimestamp(real_time(), UTC)
                if real > now + timedelta(seconds=1):
                    self._backend.let_time_pass(None)
                else:
                    self._session.begin_again(None)
            case _:
                raise HTTPException(400, "The clock cannot be moved there.")

    def _go(self, now: datetime, moment: datetime) -> None:
        if moment > now:
            self._forward(moment)
        else:
            self._session.begin_again(moment)

    def _forward(self, moment: datetime) -> None:
        if moment > _LATEST:
            raise HTTPException(400, f"The clock ends in {_LATEST:%Y}: begin again at an earlier time.")
        self._backend.let_time_pass(moment)

    def _next_period_end(self, now: datetime) -> datetime:
        """Return the moment after the earliest end of a period or trial that is still to come."""
        ends = [
            item["current_period_end"]
            for subscription in self._backend.subscriptions_at_stripe().subscriptions
            if subscription["status"] in _BILLED
            for item in subscription["items"]["data"]
        ]
        coming = [end for end in ends if end > now.timestamp()]
        if not coming:
            raise HTTPException(400, "No subscription has a period that ends.")
        return datetime.fromtimestamp(min(coming) + 1, UTC)


def page_before(request: Request, otherwise: str) -> str:
    """Return the path of the page that sent a form: the browser names it, and only its path counts."""
    before = urlsplit(request.headers.get("referer", ""))
    path = before.path if before.netloc == request.headers.get("host") else ""
    return path if path.startswith("/") and not path.startswith("//") else otherwise
