"""Which Stripe account a command is about: the deployment's, or that of a key in the environment."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import typer
from stripe import StripeClient

from cli.configuration.account import Account
from cli.deployment import STRIPE_API_BASE, Deployment
from shared.rate_limit import RateLimit
from shared.recovery.retries import Retries
from shared.stripe_gateway import stripe_client

# Before the first deployment there is no stack to take the key from, and its parameter needs the ids.
KEY_VARIABLE = "PORTAL_STRIPE_API_KEY"
_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class Source:
    """An account, and the groups that the deployment has now; `deployed` is `None` where nobody can tell."""

    client: StripeClient
    livemode: bool
    deployed: Mapping[str, str] | None
    clock: float | None = None

    @classmethod
    def of(cls, context: typer.Context) -> "Source":
        """Take the key of the environment, unless `--local` is given, or else the deployment's."""
        key = os.environ.get(KEY_VARIABLE)
        if key and not context.find_root().params.get("local"):
            return cls(stripe_client(key, STRIPE_API_BASE), key.startswith(("sk_live_", "rk_live_")), None)
        deployment: Deployment = context.obj()
        return cls(deployment.stripe, deployment.livemode, deployment.portal_configurations, deployment.clock)

    def account(self, version: str) -> Account:
        """Answer the account at an API version."""
        return Account(self.client, version, Retries(RateLimit(_PER_SECOND)))

    @property
    def today(self) -> date:
        """The day there, which a local stack may have moved."""
        return datetime.fromtimestamp(self.clock or time.time(), UTC).date()

    @property
    def mode(self) -> str:
        """The mode, for people."""
        return "live mode" if self.livemode else "test mode"
