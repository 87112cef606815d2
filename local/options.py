"""What the person at the terminal asked for."""

from dataclasses import dataclass
from datetime import datetime

from local.places import Places


@dataclass(frozen=True, slots=True)
class Options:
    """Without `stripe_key` the simulator stands in for Stripe; `webhook_secret` is only for Stripe itself.

    With `oidc` users sign in with the demo's own OpenID Connect provider.
    """

    places: Places
    as_of: datetime | None = None
    stripe_key: str | None = None
    webhook_secret: str | None = None
    log_level: str = "WARNING"
    oidc: bool = False
