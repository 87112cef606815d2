"""The links that need no sign-in: to the page for pauses, and to the portal."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from shared.link_token import AUDIENCE, MAX_AGE, PAUSE_AUDIENCE, LinkClaims, LinkTokens
from shared.pausing.operations import PauseView
from shared.pausing.policy import PausePolicy
from shared.secret_store import LinkSecrets, SecretStore

# The portal's page is opened right after ours.
_PORTAL_LINK_AGE = timedelta(hours=1)

PortalFlow = Literal["payment_method_update", "subscription_cancel", "subscription_pause"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the customer, the rules that hold for it, and the one subscription that a token may be limited to.

    `group` is one that the settings know; `locale` is the language that the token asks for.
    """

    customer: str
    policy: PausePolicy
    only: str | None = None
    group: str | None = None
    locale: str | None = None

    def own(self, views: Iterable[PauseView]) -> list[PauseView]:
        """Return those of the subscriptions that the token is good for."""
        return [view for view in views if self.only in {None, view.at.subscription.id}]


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the links; each has the customer's group, so that the same rules hold behind it."""

    secrets: SecretStore[LinkSecrets]
    pause_page_url: str
    portal_url: str
    clock: Callable[[], float] = time.time

    def pause_page(self, customer: str, group: str | None) -> str:
        """Return a link that opens a customer's page for a week, the longest that a link may live."""
        claims = LinkClaims(sub=customer, group=group)
        return f"{self.pause_page_url}?token={self._token(PAUSE_AUDIENCE, claims, MAX_AGE)}"

    def portal_page(self, caller: Caller, flow: PortalFlow, subscription: str | None = None) -> str:
        """Return a link that opens one page of the portal for an hour."""
        claims = LinkClaims(
            sub=caller.customer, group=caller.group, locale=caller.locale, flow=flow, subscription=subscription
        )
        return f"{self.portal_url}?token={self._token(AUDIENCE, claims, _PORTAL_LINK_AGE)}"

    def _token(self, audience: str, claims: LinkClaims, age: timedelta) -> str:
        now = self.clock()
        return LinkTokens(self.secrets.get().valid_at(now), audience).mint(claims, expires_in=age, now=now)
