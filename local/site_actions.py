"""The demo site's buttons for the team: they change Stripe, and Stripe's webhook changes the mirror."""

from typing import Any
from urllib.parse import quote

import stripe
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.backend import Backend
from local.pages import page

_BEHAVIORS = frozenset({"void", "keep_as_draft", "mark_uncollectible"})


class SiteActions:
    """Writes of the demo; each leads back to the page that shows its effect."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def audit(self, _: Request) -> Response:
        """Run the nightly audit now."""
        try:
            await run_in_threadpool(self._backend.run_audit)
        except Exception as error:  # noqa: BLE001 - whatever the handler raises is shown, as Lambda would report it
            return page("message", 502, title="The audit failed", text=f"{type(error).__name__}: {error}")
        return RedirectResponse("/outbox", 303)

    async def change(self, request: Request) -> Response:
        """Pause or resume a subscription in one of Stripe's ways."""
        form = await request.form()
        customer_id, subscription_id = request.path_params["id"], request.path_params["subscription"]
        back = f"/customers/{customer_id}"
        try:
            await run_in_threadpool(self._apply, subscription_id, str(form.get("action")), str(form.get("behavior")))
        except stripe.InvalidRequestError as error:
            return RedirectResponse(f"{back}?error={quote(str(error.user_message))}", 303)
        await run_in_threadpool(self._backend.wait_for_webhooks)
        return RedirectResponse(back, 303)

    def _apply(self, subscription_id: str, action: str, behavior: str) -> None:
        subscriptions = self._backend.stripe.v1.subscriptions
        match action:
            case "pause_collection" if behavior in _BEHAVIORS:
                pause: Any = {"behavior": behavior}
                subscriptions.update(subscription_id, {"pause_collection": pause})
            case "resume_collection":
                subscriptions.update(subscription_id, {"pause_collection": ""})
            case "pause":
                subscriptions.pause(subscription_id)
            case "resume":
                subscriptions.resume(subscription_id)
            case _:
                raise HTTPException(400, "There is no such action.")
