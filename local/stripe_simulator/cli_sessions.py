"""Sessions of `stripe listen`: the official CLI gets every event by a web socket, and forwards it to a local address.

The messages are those of the CLI's source (github.com/stripe/stripe-cli, `pkg/stripeauth` and `pkg/websocket`).
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from local.stripe_simulator.api import check_key
from local.stripe_simulator.deliveries import event_headers
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.simulator import Simulator
from local.stripe_simulator.store import StripeObject, new_id, token

_PROTOCOL = "stripecli-devproxy-v1"
_POLICY_VIOLATION = 1008


async def create(request: Request) -> Response:
    """`POST /v1/stripecli/sessions`: an address for a web socket, and the secret that signs what comes over it."""
    simulator: Simulator = request.app.state.simulator
    try:
        check_key(request.headers.get("authorization"))
    except ApiError as error:
        return JSONResponse(error.body(request.state.request_id), error.status, error.headers)
    session_id, secret = new_id("cliws"), f"whsec_{token(32)}"
    simulator.cli_sessions[session_id] = secret
    host = request.headers["host"]
    return JSONResponse(
        {
            "display_connect_filter_warning": False,
            "reconnect_delay": 60,
            "secret": secret,
            "websocket_authorized_feature": "webhook-payloads",
            "websocket_id": session_id,
            "websocket_url": f"ws://{host}/stripecli/subscribe/{session_id}",
        }
    )


async def subscribe(socket: WebSocket) -> None:
    """Send every event over a web socket while it is open, and record the responses that the CLI got."""
    simulator: Simulator = socket.app.state.simulator
    secret = simulator.cli_sessions.get(socket.path_params["id"])
    if secret is None:
        await socket.close(_POLICY_VIOLATION)
        return
    await socket.accept(_PROTOCOL if _PROTOCOL in socket.scope["subprotocols"] else None)
    queue: asyncio.Queue[StripeObject] = asyncio.Queue()
    listener = _listener(queue)
    simulator.listeners.append(listener)
    sender = asyncio.create_task(_send(socket, simulator, queue, secret))
    try:
        while True:
            _record(simulator, socket.path_params["id"], json.loads(await socket.receive_text()))
    except WebSocketDisconnect:
        pass
    finally:
        simulator.listeners.remove(listener)
        sender.cancel()


def _listener(queue: asyncio.Queue[StripeObject]) -> Callable[[StripeObject], None]:
    """Return what is called with each event, in whatever thread that happens."""
    loop = asyncio.get_running_loop()

    def listener(event: StripeObject) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, event)

    return listener


async def _send(socket: WebSocket, simulator: Simulator, queue: asyncio.Queue[StripeObject], secret: str) -> None:
    while True:
        event = await queue.get()
        payload = json.dumps(event, indent=2, ensure_ascii=False)
        message = {
            "type": "webhook_event",
            "endpoint": {"api_version": None},
            "event_payload": payload,
            "http_headers": event_headers(payload, secret, simulator.receiver_clock.now()),
            "webhook_conversation_id": new_id("wc"),
            "webhook_id": event["id"],
        }
        await socket.send_text(json.dumps(message))


def _record(simulator: Simulator, session_id: str, message: dict[str, Any]) -> None:
    """Keep the response of the address to which the CLI forwarded an event, among the other attempts."""
    if message.get("type") != "webhook_response":
        return
    event = simulator.store.events.find(message["webhook_id"]) or {}
    simulator.deliveries.add_attempt(
        {
            "event": message["webhook_id"],
            "type": event.get("type"),
            "endpoint": session_id,
            "url": message["forward_url"],
            "attempt": 1,
            "duplicate": False,
            "status_code": message["status"],
            "error": None,
            "time": simulator.clock.now(),
            "next_retry": None,
            "object": event.get("data", {}).get("object", {}).get("id"),
            "customer": event.get("data", {}).get("object", {}).get("customer"),
            "response": "",
        }
    )


ROUTES = [
    Route("/v1/stripecli/sessions", create, methods=["POST"]),
    WebSocketRoute("/stripecli/subscribe/{id}", subscribe),
]
