"""The portal's own pause, for customers whom the company offers none of its own.

The portal keeps none of the company's rules and sends none of its mails. So it never stands beside our own pause, nor
where a rule refuses one: it takes our place where pauses are off for the customer, and the company has switched the
portal's on.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import stripe
from stripe import StripeClient

from functions.pause.caller import Caller
from functions.pause.links import Links
from shared.cached_read import CachedRead
from shared.deadline import deadline
from shared.errors import PortalError
from shared.pausing.operations import PauseView
from shared.pausing.policy import NOT_OFFERED
from shared.portal.configuration import Configuration, Features, PauseOption
from shared.portal.facts import PortalFacts
from shared.portal.pause import pausing
from shared.portal.which_configuration import (
    ConfigurationChoice,
    configuration_of_group,
    group_in,
    read_configuration,
)
from shared.stripe.gateway import stripe_errors
from shared.stripe.subscription import Subscription

logger = logging.getLogger(__name__)

_SECONDS = 3


@dataclass(frozen=True, slots=True)
class PortalPause:
    """A pause in the portal: `url` opens it for an hour. Without `lengths` it lasts until the customer resumes."""

    url: str
    lengths: tuple[PauseOption, ...]


class PortalPauses:
    """Says where the portal's pause takes the place of our own; `groups` is PORTAL_CONFIGURATIONS."""

    def __init__(
        self,
        client: Callable[[], StripeClient],
        groups: Mapping[str, str],
        links: Links,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._groups = groups
        self._links = links
        self._clock = clock
        self._features = CachedRead(self._read_features)

    def offers(self, caller: Caller, views: Iterable[PauseView]) -> dict[str, PortalPause]:
        """Return the portal's pauses of the caller's subscriptions, by their id, as far as they suit.

        None while Stripe does not say what the portal offers: whoever asks has other things to show.
        """
        suiting = [view for view in views if any(refusal.code == NOT_OFFERED for refusal in view.refusals)]
        if not suiting:
            return {}
        try:
            with deadline(_SECONDS):
                features = self._features.get(self._configuration_id(caller))
        except (PortalError, stripe.StripeError) as error:
            logger.warning("The portal's own pause is not offered: what the portal offers is not known. %s", error)
            return {}
        found = ((view.at.subscription.id, self._offer(caller, view.at.subscription, features)) for view in suiting)
        return {subscription: offer for subscription, offer in found if offer}

    def _offer(self, caller: Caller, subscription: Subscription, features: Features) -> PortalPause | None:
        duration = features.subscription_pause.duration
        facts = PortalFacts(subscription, features, datetime.fromtimestamp(self._clock(), UTC))
        if duration is None or not pausing(facts).possible:
            return None
        url = self._links.portal_page(caller, "subscription_pause", subscription.id)
        return PortalPause(url, duration.interval_options if duration.type == "interval_options" else ())

    def _configuration_id(self, caller: Caller) -> str | None:
        """Return the configuration that the link opens, as the portal link chooses it."""
        if not self._groups:
            return None
        group = caller.group
        if group is None:
            with stripe_errors():
                group = group_in(self._client().v1.customers.retrieve(caller.customer).to_dict().get("metadata"))
        return configuration_of_group(group, self._groups)

    def _read_features(self, configuration_id: str | None) -> Features:
        choice = ConfigurationChoice(configuration_id=configuration_id)
        raw = read_configuration(self._client(), choice, None, with_products=False)
        return Configuration.from_stripe(raw).features
