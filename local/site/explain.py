"""The demo site's page about what the portal allows for a subscription, and links to the portal on other days."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import NamedTuple
from urllib.parse import urlencode

import stripe
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.site.backend import Backend
from local.site.pages import page
from shared.errors import InvalidRequest, PortalError
from shared.i18n import ENGLISH, languages, say
from shared.portal import explain as explain_texts
from shared.portal.explain import explain
from shared.portal.facts import PortalFacts
from shared.portal.pause import pausing, resuming
from shared.portal.which_configuration import ConfigurationChoice

# One day in each age of the portal's pause.
_DAYS = (date(2024, 3, 20), date(2024, 7, 15), date(2025, 1, 15), date(2026, 11, 1))


class _Age(NamedTuple):
    """Whether the customer can pause and resume on a day."""

    day: date
    pause: bool
    resume: bool


class SiteExplain:
    """Pages about one customer's portal."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def subscription(self, request: Request) -> Response:
        """What the portal rules say about one subscription, in English or French."""
        wanted = request.query_params.get("language")
        language = wanted if wanted in languages() else ENGLISH
        try:
            found = explain(
                self._backend.stripe,
                request.path_params["subscription"],
                datetime.now(UTC),
                ConfigurationChoice(self._backend.groups),
            )
        except InvalidRequest as error:
            raise HTTPException(404, error.message) from error
        except PortalError as error:
            raise HTTPException(502, error.message) from error
        facts = found.explanation.facts
        if facts.subscription.customer_id != request.path_params["id"]:
            raise HTTPException(404, "This customer does not have this subscription.")
        return page(
            "explain",
            found=found,
            explanation=found.explanation,
            portal=self._backend.addresses.portal_command,
            customer=self._backend.customer(facts.subscription.customer_id),
            ages=[_age(facts, day) for day in _DAYS],
            words=explain_texts,
            language=language,
            say=lambda value: say(value, language),
        )

    def portal_then(self, request: Request) -> Response:
        """Redirect to the simulator's portal as it looks on another day."""
        if not self._backend.is_simulated:
            raise HTTPException(404, "Stripe shows its portal only as of today.")
        customer_id = request.path_params["id"]
        try:
            group = self._backend.customer(customer_id).group
            configuration = self._backend.groups.get(group or "")
            session = self._backend.stripe.v1.billing_portal.sessions.create(
                {"customer": customer_id, "return_url": f"{self._backend.addresses.site_url}/customers/{customer_id}"}
                | ({"configuration": configuration} if configuration else {}),  # type: ignore[arg-type]  # a union of two dicts
            )
        except stripe.InvalidRequestError as error:
            raise HTTPException(404, str(error.user_message)) from error
        query = urlencode({"as_of": request.query_params.get("as_of", "")})
        return RedirectResponse(f"{session.url}?{query}", 303)


def _age(facts: PortalFacts, day: date) -> _Age:
    then = replace(facts, now=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    return _Age(day, pausing(then).possible, resuming(then).possible)
