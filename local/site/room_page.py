"""The control room's page: complete without a script, and kept up to date by server-sent events."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from local.site.clock import clock_moves
from local.site.pages import page, rendered
from local.site.room import Room, RoomRow, RoomState
from local.site.session import SiteSession
from local.site.switches import RUNS, SWITCHES, Run, Switches

_TICK_SECONDS = 0.3
_HEARTBEAT_SECONDS = 10.0
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# What works on a real account too.
_EVERYWHERE = {"audit", "backfill", "reconcile", "replay"}


class SiteRoom:
    """The page, and the stream of its changes."""

    def __init__(self, room: Room, session: SiteSession, switches: Switches) -> None:
        self._room, self._session, self._switches = room, session, switches

    def room(self, _: Request) -> Response:
        """The whole page, which is complete without any script."""
        parts = self._parts(self._room.look())
        response = page("room", parts=parts, rows=[one for one in parts if one.startswith("sub-")], **self._values())
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    async def act(self, request: Request) -> Response:
        """Turn a switch on or off, try it, or run something; the form has one of `on`, `off`, `try` and `run`."""
        form = await request.form()
        acts = {"run": self._run}
        if self._room.is_simulated:
            acts |= {"on": self._switches.leave_on, "off": self._switches.turn_off, "try": self._switches.try_out}
        for name, act in acts.items():
            if name in form:
                try:
                    await run_in_threadpool(act, str(form[name]))
                except KeyError as error:
                    raise HTTPException(400, "This does not exist here.") from error
                return RedirectResponse("/room", 303)
        raise HTTPException(400, "The control room cannot do that here.")

    def _run(self, name: str) -> None:
        if name not in {run.name for run in self._runs}:
            raise KeyError(name)
        self._switches.run(name)

    @property
    def _runs(self) -> list[Run]:
        """The buttons that run something; on a real account nothing is changed a thousand times."""
        return [run for run in RUNS if self._room.is_simulated or run.name in _EVERYWHERE]

    async def changes(self, request: Request) -> Response:
        """Server-sent events: each has the HTML of the parts that have changed, by their ids."""
        del request
        return StreamingResponse(
            self._stream(self._session.beginning), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )

    async def _stream(self, beginning: int) -> AsyncIterator[str]:
        """Send changes until the reader leaves, everything begins again, or the stack stops.

        A row is sent again for every change of either side, even one that looks the same.
        """
        sent: dict[str, str] = {}
        rows: dict[str, RoomRow] = {}
        last = time.monotonic()
        while not self._session.closed.is_set() and self._session.beginning == beginning:
            state = await run_in_threadpool(self._room.look)
            parts = await run_in_threadpool(self._parts, state)
            rows, before = {f"sub-{row.id}": row for row in state.rows}, rows
            changed = {
                name: html
                for name, html in parts.items()
                if (html, rows.get(name)) != (sent.get(name), before.get(name))
            }
            gone = [name for name in sent if name not in parts]
            if changed or gone:
                yield f"data: {json.dumps({'parts': changed, 'gone': gone})}\n\n"
                sent, last = parts, time.monotonic()
            elif time.monotonic() - last > _HEARTBEAT_SECONDS:
                yield ": still here\n\n"
                last = time.monotonic()
            await asyncio.sleep(_TICK_SECONDS)

    def _values(self) -> dict[str, Any]:
        is_simulated = self._room.is_simulated
        return {
            "moves": clock_moves() if is_simulated else [],
            "switches": SWITCHES if is_simulated else [],
            "left_on": self._switches.left_on,
            "runs": self._runs,
            "trial": self._switches.trial,
        }

    def _parts(self, state: RoomState) -> dict[str, str]:
        """Return the HTML of each part that can change, by the id of its element."""
        parts = {
            name: rendered(f"room_{name}", state=state, **self._values())
            for name in ("counter", "trial", "switches", "beside", "deliveries", "time")
        }
        return {f"room-{name}": html for name, html in parts.items()} | {
            f"sub-{row.id}": rendered("room_row", row=row) for row in state.rows
        }
