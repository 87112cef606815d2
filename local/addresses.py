"""The stack's options, the addresses of its parts, and the settings derived from them."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import requests

from local.aws.intrinsics import REGION, PhysicalNames
from local.processes import NotRunning

HOST = "127.0.0.1"
SENDING_DOMAIN = "northwind.example"
AUDIT_FROM = "billing-audit@northwind.example"
# Where `portal --local` looks for the stack, too.
SITE_PORT = 8787
PORTAL_FROM = "Northwind <billing@northwind.example>"
OIDC_PATH = "/oidc"
OIDC_AUDIENCE = "northwind"
AUDIT_TO = "billing-team@northwind.example"
STRIPE_API = "https://api.stripe.com"
# Where Stripe's hosted pages are.
STRIPE_PAGES = "https://billing.stripe.com https://checkout.stripe.com"
# The body of 503 while the stack starts.
STARTING = "The demo is starting. This page reloads by itself.\n"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The ports of the stack; `stripe_port` is `None` when it runs against `stripe_api`, on a test account."""

    port: int = SITE_PORT
    stripe_port: int | None = 12111
    aws_port: int = 5555
    stripe_api: str = STRIPE_API

    @property
    def site_url(self) -> str:
        """The demo site and the API."""
        return f"http://{HOST}:{self.port}"

    @property
    def stripe_url(self) -> str:
        """Stripe's API: the simulator's, or Stripe's own."""
        return f"http://{HOST}:{self.stripe_port}" if self.stripe_port else self.stripe_api

    @property
    def stripe_pages(self) -> str:
        """The origins of Stripe's hosted pages, as a Content-Security-Policy lists them."""
        return STRIPE_PAGES if self.stripe_url == STRIPE_API else self.stripe_url

    @property
    def aws_url(self) -> str:
        """Every AWS service."""
        return f"http://{HOST}:{self.aws_port}"

    @property
    def names(self) -> PhysicalNames:
        """The physical names of the template's resources."""
        return PhysicalNames(self.aws_url, self.site_url)

    @property
    def portal_command(self) -> str:
        """The command for this stack, as it is typed in the project's folder."""
        elsewhere = "" if self.port == SITE_PORT else f" --local-url {self.site_url}"
        return f".venv/bin/portal --local{elsewhere}"

    @property
    def parameters(self) -> dict[str, str]:
        """Values for the template's parameters that have no default, and of the pauses that the demo offers."""
        return {
            "AllowedReturnOrigins": f"{self.site_url},http://localhost:{self.port}",
            "DefaultReturnUrl": f"{self.site_url}/",
            "AuditEmailFrom": AUDIT_FROM,
            "AuditEmailTo": AUDIT_TO,
            "PortalEmailFrom": PORTAL_FROM,
            "PauseAllowed": "everybody",
            "PauseEmailFrom": PORTAL_FROM,
            "BrandName": "Northwind",
            "PauseReasons": "holiday,too_expensive,not_used",
            # All that Stripe allows: nobody else asks the simulator.
            **({"SettleReadsPerSecond": "25"} if self.stripe_port else {}),
        }

    @property
    def oidc_parameters(self) -> dict[str, str]:
        """Values for the template's parameters for users who sign in."""
        return {
            "OidcIssuer": f"{self.site_url}{OIDC_PATH}",
            "OidcAudience": OIDC_AUDIENCE,
            "AllowVerifiedEmail": "true",
            "CreateMissingCustomers": "true",
        }

    @property
    def aws_environment(self) -> dict[str, str]:
        """The environment variables that point boto3 and the AWS CLI at the stack."""
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
        }

    def check_free(self) -> None:
        """Raise `NotRunning` if a port is in use; the message says so if another stack uses it."""
        if _is_in_use(self.port) and _is_our_site(self.site_url):
            raise NotRunning(
                f"A stack is already running at {self.site_url}. Stop it with Ctrl-C, "
                "or start a second one with --port, --stripe-port and --aws-port.",
            )
        for option, port in (("--port", self.port), ("--stripe-port", self.stripe_port), ("--aws-port", self.aws_port)):
            if port and _is_in_use(port):
                raise NotRunning(
                    f"Port {port} is in use by another program. Free it, or choose another port with {option}."
                )


def _is_in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _is_our_site(url: str) -> bool:
    try:
        response = requests.get(f"{url}/local.json", timeout=2)
        return response.text == STARTING or "stripe_api_base" in response.json()
    except (requests.RequestException, ValueError, TypeError):
        return False


@dataclass(frozen=True, slots=True)
class Options:
    """How to start the stack.

    Without `stripe_key` the simulator replaces Stripe; `webhook_secret` is needed only with Stripe itself. With `oidc`
    users sign in at the demo's own OpenID Connect provider. `parameters` are values of the template's parameters that
    replace the demo's.
    """

    addresses: Addresses
    as_of: datetime | None = None
    stripe_key: str | None = None
    webhook_secret: str | None = None
    log_level: str = "WARNING"
    oidc: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
