"""The links that need no sign-in: to the page for pauses, and to the portal."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from functions.pause.caller import Caller
from shared.link_token import AUDIENCE, MAX_AGE, PAUSE_AUDIENCE, LinkClaims, LinkTokens
from shared.secret_store import LinkSecrets, SecretStore

# The portal's page is opened right after ours.
_PORTAL_LINK_AGE = timedelta(hours=1)

PortalFlow = Literal["payment_method_update", "subscription_cancel", "subscription_pause"]


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the links; each has the customer's group, so that the same rules hold behind it."""

    secrets: SecretStore[LinkSecrets]
    pause_page_url: str
    portal_url: str
    clock: Callable[[], float] = time.time

    def pause_page(self, caller: Caller) -> str:
        """Return a link that opens a customer's page for a week, the longest that a link may live."""
        return f"{self.pause_page_url}?token={self._token(PAUSE_AUDIENCE, _claims(caller), MAX_AGE)}"

    def portal(self, caller: Caller) -> str:
        """Return a link that opens the whole portal for a week: for mails to the customer, and nobody else."""
        return f"{self.portal_url}?token={self._token(AUDIENCE, _claims(caller), MAX_AGE)}"

    def portal_page(self, caller: Caller, flow: PortalFlow, subscription: str | None = None) -> str:
        """Return a link that opens one page of the portal for an hour."""
        claims = _claims(caller).model_copy(update={"flow": flow, "subscription": subscription})
        return f"{self.portal_url}?token={self._token(AUDIENCE, claims, _PORTAL_LINK_AGE)}"

    def _token(self, audience: str, claims: LinkClaims, age: timedelta) -> str:
        now = self.clock()
        return LinkTokens(self.secrets.get().valid_at(now), audience).mint(claims, expires_in=age, now=now)


def _claims(caller: Caller) -> LinkClaims:
    return LinkClaims(sub=caller.customer, group=caller.group, locale=caller.locale)
