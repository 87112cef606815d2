"""Finds the deployment that a command works on: a CloudFormation stack, or the stack that `make dev` runs here."""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import boto3
import requests
from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError
from stripe import StripeClient

from cli.setup.stored_secret import StoredSecret
from shared.access import AccessPolicy
from shared.aws import AWS_SETTINGS, isolate_environment
from shared.errors import InvalidRequest, OperatorError, Unavailable, sentence
from shared.i18n import _
from shared.link_token import LinkTokens
from shared.mirror.dead_letters import DeadLetterReader
from shared.mirror.entitlements import EntitlementsMirror
from shared.mirror.rule import Mirror
from shared.mirror.table import DryRunEntitlements, DryRunTable, MirrorTable
from shared.pausing.at_stripe import StripePauses
from shared.pausing.history import PauseTable
from shared.pausing.operations import Pausing
from shared.pausing.policy import PausePolicy
from shared.return_url import origin_of
from shared.secret_store import LinkSecrets, SecretStore, SigningSecrets, StripeSecret
from shared.stripe.entitlements import EntitlementsReader
from shared.stripe.gateway import PATIENT_TIMEOUT_SECONDS, stripe_client
from shared.stripe.pacing import RateLimit
from shared.stripe.subscription_read import SubscriptionRead

STRIPE_API_BASE = "https://api.stripe.com"
# The operator's own key: the deployment's does not have to be allowed what the writing commands do.
KEY_VARIABLE = "PORTAL_STRIPE_API_KEY"
_API_KEY = re.compile(r"[sr]k_(test|live)_\S+")
_LOCAL_AWS_SETTINGS = frozenset(
    {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
)
# The template's defaults, for a stack that does not list the parameter.
DEFAULTS = {
    "AuditTimezone": "UTC",
    "EventClockUncertaintySeconds": "10",
    "EndedRetentionDays": "400",
    "SecretMaxAgeDays": "365",
}

WHICH_AWS = _(
    "Choose account and region with AWS_PROFILE and AWS_REGION and the stack with --stack, or use `portal --local` for "
    "the `make dev` stack"
)


# boto3's default session is not made for several threads; its clients are.
_CREATING = threading.Lock()


def aws_client(service: str) -> Any:
    """Return a client with the credentials of the environment, whichever thread asks; it gives up within seconds."""
    with _CREATING:
        return boto3.client(service, config=AWS_SETTINGS.config())


def is_api_key(text: str) -> bool:
    """Whether this has the form of a secret or restricted key."""
    return _API_KEY.fullmatch(text) is not None


def operator_key() -> str | None:
    """Return the Stripe key in the environment, if there is one. Raises `InvalidRequest` for anything else."""
    key = os.environ.get(KEY_VARIABLE) or None
    if key and not is_api_key(key):
        raise InvalidRequest(
            "bad_operator_key",
            sentence("{variable} must be a secret or restricted key, such as rk_live_...", variable=KEY_VARIABLE),
        )
    return key


def is_live(key: str) -> bool:
    """Whether a key is of live mode."""
    return key[3:7] == "live"


class _LocalStack(BaseModel):
    """`/local.json`. Another program may serve it, so no address that it names may lead away from this machine."""

    environment: Mapping[str, str]
    stripe_api_base: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    clock: float

    def check(self) -> None:
        """Raise `InvalidRequest` for anything but the local stack's AWS settings and addresses of this machine."""
        unknown = self.environment.keys() - _LOCAL_AWS_SETTINGS
        urls = {name: value for name, value in {**self.environment, **self.outputs}.items() if "://" in value}
        if self.stripe_api_base != STRIPE_API_BASE:
            urls["stripe_api_base"] = self.stripe_api_base
        elsewhere = sorted(name for name, url in urls.items() if not _is_on_this_machine(url))
        if unknown or elsewhere or "AWS_ENDPOINT_URL" not in urls:
            wrong = ", ".join([*sorted(unknown), *elsewhere]) or "AWS_ENDPOINT_URL"
            raise InvalidRequest(
                "not_local",
                sentence("The local stack may only name addresses of this machine, not in {wrong}", wrong=wrong),
            )


def _is_on_this_machine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"} and port != 0


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment: its outputs and parameters. AWS and Stripe are called only when a command needs them.

    `operator_key` is the Stripe key of whoever runs the command, if one is given.
    """

    outputs: Mapping[str, str]
    stripe_api_base: str = STRIPE_API_BASE
    clock: float | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    operator_key: str | None = field(default=None, repr=False)
    name: str = "local"

    @classmethod
    def of_stack(cls, name: str) -> Self:
        """Read a stack's outputs with the credentials of the environment. Raises `InvalidRequest` if there is none.

        The environment's `PORTAL_STRIPE_API_KEY` is the operator's key. No local stack gets it.
        """
        try:
            (stack,) = aws_client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            raise InvalidRequest(
                "no_stack",
                sentence(
                    "Cannot read the stack {name}: {message}. {which}",
                    name=name,
                    message=error.response["Error"]["Message"].rstrip("."),
                    which=WHICH_AWS,
                ),
            ) from error
        return cls(
            {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])},
            parameters={each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])},
            operator_key=operator_key(),
            name=name,
        )

    @classmethod
    def of_this_machine(cls, site_url: str) -> Self:
        """Read the local stack's `/local.json` and point boto3 at its AWS, without the caller's own AWS settings.

        Raises `InvalidRequest` for an address that is not on this machine, and `Unavailable` if no stack runs there.
        """
        if not _is_on_this_machine(site_url):
            raise InvalidRequest(
                "not_local",
                sentence(
                    "{address} is not an address of this machine: write --local-url like http://127.0.0.1:8787",
                    address=repr(site_url),
                ),
            )
        isolate_environment()
        try:
            response = requests.get(f"{site_url.rstrip('/')}/local.json", timeout=5, allow_redirects=False)
            if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                raise Unavailable(
                    "not_running",
                    sentence("The stack at {address} is still starting: try again in a moment", address=site_url),
                )
            found = _LocalStack.model_validate_json(response.content)
        except requests.RequestException as error:
            raise Unavailable(
                "not_running", sentence("No stack runs at {address}: start it with `make dev`", address=site_url)
            ) from error
        except ValidationError as error:
            raise Unavailable(
                "not_the_stack",
                sentence("{address} is not a stack that `make dev` started: check --local-url", address=site_url),
            ) from error
        found.check()
        os.environ.update(found.environment)
        return cls(found.outputs, found.stripe_api_base, found.clock, found.parameters)

    @property
    def is_local(self) -> bool:
        """Whether `make dev` runs it."""
        return self.clock is not None

    @property
    def api_url(self) -> str:
        """The API's address, without a trailing slash."""
        return self.output("ApiUrl").rstrip("/")

    @property
    def mirror(self) -> MirrorTable:
        """The table of subscriptions."""
        return MirrorTable(aws_client("dynamodb"), self.output("TableName"))

    @property
    def has_pauses(self) -> bool:
        """Whether it has a table of pauses; a stack of an earlier version has none."""
        return "PausesTableName" in self.outputs

    @property
    def pauses(self) -> PauseTable:
        """The table of the pauses and their history."""
        return PauseTable(aws_client("dynamodb"), self.output("PausesTableName"))

    @property
    def pausing(self) -> Pausing:
        """The operations on pauses, with the operator's key."""
        return Pausing(lambda: StripePauses(self.operator_stripe), self.pauses, self.timezone, self.ticking_clock())

    def paced_pausing(self, limit: RateLimit) -> Pausing:
        """Return the operations on pauses, with one client for many, each request within a rate limit."""
        stripe = StripePauses(self.operator_stripe, limit.wait)
        return Pausing(lambda: stripe, self.pauses, self.timezone, self.ticking_clock())

    @property
    def pause_policy(self) -> PausePolicy:
        """The company's rules for pauses, without those of the groups; the defaults where the stack lists none."""
        return PausePolicy.model_validate(self._listed(PausePolicy))

    @property
    def timezone(self) -> ZoneInfo:
        """The time zone in which the deployment's days begin."""
        return ZoneInfo(self._parameter("AuditTimezone"))

    @property
    def uncertainty(self) -> timedelta:
        """Two event times closer than this cannot be ordered."""
        return timedelta(seconds=int(self._parameter("EventClockUncertaintySeconds")))

    @property
    def retention(self) -> timedelta:
        """How long the mirror keeps an ended subscription."""
        return timedelta(days=int(self._parameter("EndedRetentionDays")))

    @property
    def secret_max_age(self) -> timedelta:
        """For how long a secret may stay the same before it is worth a rotation."""
        return timedelta(days=int(self._parameter("SecretMaxAgeDays")))

    @property
    def account(self) -> str | None:
        """The Stripe account that is mirrored, where the deployment names it."""
        return self.parameters.get("StripeAccountId") or None

    @property
    def entitlements(self) -> bool:
        """Whether the mirror holds entitlements."""
        return self.parameters.get("Entitlements") == "true"

    @property
    def access_policy(self) -> AccessPolicy:
        """What each state means for service; the template's defaults where the stack does not list them."""
        return AccessPolicy.model_validate(self._listed(AccessPolicy))

    def mirror_rule(self, read: Callable[[str], SubscriptionRead], *, dry_run: bool = False) -> Mirror:
        """Return the mirror with its rule; `read` reads one subscription from Stripe. A dry run writes nothing."""
        table = DryRunTable(self.mirror) if dry_run else self.mirror
        return Mirror(table, read, uncertainty=self.uncertainty, retention=self.retention, account=self.account)

    def entitlements_rule(self, reader: EntitlementsReader, *, dry_run: bool = False) -> EntitlementsMirror:
        """Return the mirror of entitlements with its rule. A dry run writes nothing."""
        table = DryRunEntitlements(self.mirror) if dry_run else self.mirror
        return EntitlementsMirror(
            table, reader.read, uncertainty=self.uncertainty, retention=self.retention, account=self.account
        )

    @property
    def dead_letter_queue(self) -> DeadLetterReader:
        """The genuine events that the webhook could not read."""
        return DeadLetterReader(aws_client("sqs"), self.output("DeadLetterQueueUrl"))

    @property
    def unsettled_queue(self) -> DeadLetterReader:
        """The events that the settle queue gave up after its last try."""
        return DeadLetterReader(aws_client("sqs"), self.output("SettleDeadLetterQueueUrl"))

    @property
    def livemode(self) -> bool:
        """Whether the deployment mirrors live mode."""
        return self._secrets.get().livemode

    def ticking_clock(self) -> Callable[[], float]:
        """Return the deployment's clock in Unix seconds, which `make dev --as-of` may have moved."""
        ahead = 0.0 if self.clock is None else self.clock - time.time()
        return lambda: time.time() + ahead

    @property
    def portal_configurations(self) -> dict[str, str]:
        """The deployed groups, each with its portal configuration; empty if the stack does not list them."""
        return dict(json.loads(self.parameters.get("PortalConfigurations") or "{}"))

    @property
    def allow_verified_email(self) -> bool:
        """Whether the deployment finds signed-in users' customers by their addresses; no if the stack does not say."""
        return self.parameters.get("AllowVerifiedEmail") == "true"

    @property
    def allowed_return_origins(self) -> tuple[str, ...]:
        """The origins that a return URL may have; empty if the stack does not list them."""
        listed = (self.parameters.get("AllowedReturnOrigins") or "").split(",")
        return tuple(origin_of(each.strip()) for each in listed if each.strip())

    @property
    def link_tokens(self) -> LinkTokens:
        """Mints links with the deployment's link secrets; Stripe's secret is not read for it."""
        store = SecretStore("LinkSecretsArn", self.output("LinkSecretsArn"), LinkSecrets, aws_client("secretsmanager"))
        return LinkTokens(store.get().valid_at(self.ticking_clock()()))

    @property
    def email_sender(self) -> str:
        """The sender of mails to customers: an address, or `Name <address>`."""
        return self.output("PortalEmailSender")

    @property
    def stripe(self) -> StripeClient:
        """A Stripe client with the deployment's key."""
        return stripe_client(self._secrets.get().api_key, self.stripe_api_base, PATIENT_TIMEOUT_SECONDS)

    @property
    def operator_stripe(self) -> StripeClient:
        """A Stripe client for what changes the account: with the operator's key, or the deployment's if none is given.

        Raises `InvalidRequest` if the operator's key is known to be of the other mode.
        """
        if self.operator_key is None:
            return self.stripe
        try:
            same_mode = self.livemode == is_live(self.operator_key)
        except (OperatorError, Unavailable):  # An operator does not have to be able to read the secret.
            same_mode = True
        if not same_mode:
            mode = "live" if self.livemode else "test"
            raise InvalidRequest(
                "bad_operator_key",
                sentence(
                    "The deployment is of {mode} mode, and {variable} is a key of the other",
                    mode=mode,
                    variable=KEY_VARIABLE,
                ),
            )
        return stripe_client(self.operator_key, self.stripe_api_base, PATIENT_TIMEOUT_SECONDS)

    def stripe_with(self, key: str, timeout: float = PATIENT_TIMEOUT_SECONDS) -> StripeClient:
        """Return a Stripe client with a key; `timeout` is in seconds, for one attempt."""
        return stripe_client(key, self.stripe_api_base, timeout)

    @property
    def stored_key(self) -> StoredSecret[StripeSecret]:
        """The secret with the functions' Stripe key, for the commands that write it."""
        return StoredSecret("SecretArn", self.output("SecretArn"), StripeSecret, aws_client("secretsmanager"))

    @property
    def stored_signing_secrets(self) -> StoredSecret[SigningSecrets]:
        """The secret with the webhook's signing secrets."""
        arn = self.output("SigningSecretsArn")
        return StoredSecret("SigningSecretsArn", arn, SigningSecrets, aws_client("secretsmanager"))

    @property
    def stored_link_secrets(self) -> StoredSecret[LinkSecrets]:
        """The secret with the link secrets."""
        return StoredSecret("LinkSecretsArn", self.output("LinkSecretsArn"), LinkSecrets, aws_client("secretsmanager"))

    @property
    def _secrets(self) -> SecretStore[StripeSecret]:
        return SecretStore("SecretArn", self.output("SecretArn"), StripeSecret, aws_client("secretsmanager"))

    def output(self, name: str) -> str:
        """Return an output of the stack. Raises `OperatorError` for a stack without it."""
        if name not in self.outputs:
            raise OperatorError(
                "no_output", sentence("The stack has no output {name}: is it a stack of this template?", name=name)
            )
        return self.outputs[name]

    def _listed(self, policy: type[BaseModel]) -> dict[str, str]:
        """Return the fields of a policy that the stack has parameters for."""
        names = {name: name.title().replace("_", "") for name in policy.model_fields}
        return {name: self.parameters[key] for name, key in names.items() if key in self.parameters}

    def _parameter(self, name: str) -> str:
        return self.parameters.get(name, DEFAULTS[name])
