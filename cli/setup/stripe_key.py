"""What the deployment's Stripe key has to be allowed to do, found out by asking Stripe, and whose account it opens."""

import secrets as random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

import stripe
from stripe import StripeClient

from cli.deployment import is_live
from cli.setup.stored_secret import Content, StoredSecret
from shared.errors import InvalidRequest, OperatorError, Unavailable, sentence
from shared.i18n import NOTHING, Message, _, _n, listed
from shared.mirror.table import MirrorTable
from shared.secret_store import StripeSecret
from shared.stripe.gateway import stripe_errors

if TYPE_CHECKING:
    from cli.deployment import Deployment

# Of an object that nobody has: Stripe's ids have letters and digits only behind the first underscore.
_NOBODY = "portal_bundle_probe"
# So many subscriptions of the mirror are looked for in the account of a key, among so many items of a large mirror.
_SAMPLE, _LOOKED_AT = 5, 1000
_UNRESTRICTED = "sk_"
_LINK_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Probe:
    """A permission in the words of Stripe's Dashboard, who needs it, and a request that shows whether a key has it.

    A probe of writing changes an object that does not exist: Stripe refuses it with 403 without the permission, and
    for the missing object with it. No source says that Stripe looks at the permission first; were it the other way
    round, a missing permission would be reported as present, and the function's log would name it later. `parameters`
    are those of the stack without which the permission is not needed, with their values then; `without` says what is
    missing without it, where the deployment works all the same.
    """

    permission: str
    writes: bool
    path: str
    functions: tuple[str, ...]
    params: tuple[tuple[str, str], ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    without: Message = NOTHING

    @property
    def name(self) -> str:
        """The permission as the docs show it: `Customers: write`."""
        return f"{self.permission}: {'write' if self.writes else 'read'}"

    def is_used(self, parameters: Mapping[str, str]) -> bool:
        """Whether a deployment with these parameters makes use of it."""
        return not self.parameters or any(parameters.get(name, off) != off for name, off in self.parameters)

    def is_needed(self, parameters: Mapping[str, str]) -> bool:
        """Whether a deployment with these parameters does not work without it."""
        return not self.without and self.is_used(parameters)

    def send(self, client: StripeClient) -> None:
        """Ask Stripe. Raises `stripe.PermissionError` without the permission."""
        if self.writes:
            client.raw_request("post", self.path, **dict(self.params))
            return
        client.raw_request("get", self.path, **dict(self.params))


_ONE = (("limit", "1"),)
_AUDIT = ("nightly_audit",)
_PAUSES = (("PauseAllowed", "nobody"), ("PauseGroups", "{}"))

PROBES = (
    Probe("Subscriptions", False, "/v1/subscriptions", ("access", "create_session", "nightly_audit", "webhook"), _ONE),
    Probe(
        "Customer portal",
        True,
        "/v1/billing_portal/sessions",
        ("create_session",),
        (("customer", f"cus_{_NOBODY}"),),
    ),
    Probe("Customer portal", False, "/v1/billing_portal/configurations", _AUDIT, _ONE),
    Probe("Customers", False, "/v1/customers", _AUDIT, _ONE),
    Probe(
        "Customers",
        True,
        f"/v1/customers/cus_{_NOBODY}",
        ("access", "create_session"),
        parameters=(("AllowVerifiedEmail", "false"),),
    ),
    Probe(
        "Checkout Sessions",
        True,
        f"/v1/checkout/sessions/cs_{_NOBODY}/expire",
        ("create_session",),
        parameters=(("CheckoutPrice", ""),),
    ),
    Probe(
        "Payment Methods",
        False,
        f"/v1/payment_methods/pm_{_NOBODY}",
        _AUDIT,
        parameters=(("ReadsPaymentMethods", "false"),),
    ),
    Probe("Subscriptions", True, f"/v1/subscriptions/sub_{_NOBODY}", ("pause",), parameters=_PAUSES),
    Probe("Invoices", True, f"/v1/invoices/in_{_NOBODY}/void", ("pause",), parameters=_PAUSES),
    Probe(
        "Entitlements",
        False,
        "/v1/entitlements/active_entitlements",
        ("access", "webhook"),
        (("customer", f"cus_{_NOBODY}"),),
        parameters=(("Entitlements", "false"),),
    ),
    Probe("Products", False, "/v1/products", ("access", "webhook"), _ONE, parameters=(("Entitlements", "false"),)),
    Probe("Coupons", False, "/v1/coupons", _AUDIT, _ONE, without=_('amounts after discounts read "up to"')),
    Probe("Prices", False, "/v1/prices", _AUDIT, _ONE, without=_("duplicate prices are not checked")),
    Probe("Invoices", False, "/v1/invoices", _AUDIT, _ONE, without=_("unpaid invoices are not checked")),
    Probe("Events", False, "/v1/events", _AUDIT, _ONE, without=_("undelivered events are not checked")),
    Probe(
        "Webhook Endpoints",
        False,
        "/v1/webhook_endpoints",
        _AUDIT,
        _ONE,
        without=_("the webhook endpoint is not checked"),
    ),
    Probe(
        "Event Destinations",
        False,
        "/v2/core/event_destinations",
        _AUDIT,
        _ONE,
        without=_("event destinations are not checked"),
    ),
)


class Access(StrEnum):
    """What a probe has shown."""

    PERMITTED = "permitted"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Permission:
    """A probe and its result; `reason` says why it is not known."""

    probe: Probe
    access: Access
    reason: str = ""


def check_permissions(client: StripeClient, parameters: Mapping[str, str]) -> Iterator[Permission]:
    """Ask Stripe for each permission that a deployment with these parameters can use. Changes nothing.

    Raises `OperatorError` for a key that Stripe does not take at all.
    """
    skipped = {each.strip() for each in parameters.get("AuditSkips", "").split(",")}
    for probe in PROBES:
        if probe.is_used(parameters) and not (probe.without and probe.permission in skipped):
            yield _ask(client, probe)


def _ask(client: StripeClient, probe: Probe) -> Permission:
    try:
        probe.send(client)
    except stripe.PermissionError:
        return Permission(probe, Access.MISSING)
    except stripe.AuthenticationError:
        with stripe_errors():
            raise
    except stripe.InvalidRequestError:
        # What was asked for does not exist, and the key could have it.
        return Permission(probe, Access.PERMITTED)
    except stripe.StripeError as error:
        return Permission(probe, Access.UNKNOWN, type(error).__name__)
    return Permission(probe, Access.PERMITTED)


def is_restricted(key: str) -> bool:
    """Whether a key has only the permissions that somebody gave it."""
    return not key.startswith(_UNRESTRICTED)


def shown(key: str) -> str:
    """A key as the Dashboard shows it: its kind and its last four characters."""
    return f"{key[:8]}...{key[-4:]}"


def mode_of(key: str) -> str:
    """`live` or `test`."""
    return "live" if is_live(key) else "test"


def check_same_mode(new: str, stored: str) -> None:
    """Raise `InvalidRequest` where a key is of the other mode than the one that the deployment has."""
    if is_live(new) != is_live(stored):
        raise InvalidRequest(
            "key_of_other_mode",
            sentence(
                "The deployment is of {mode} mode and this key of {other} mode: its mirror holds the subscriptions "
                "of {mode} mode. Deploy another stack for {other} mode",
                mode=mode_of(stored),
                other=mode_of(new),
            ),
        )


def check_same_account(client: StripeClient, key: str, mirror: MirrorTable) -> int:
    """Raise `InvalidRequest` where the mirror's subscriptions are not those of the key's account and mode.

    Looks for a few of them, and returns how many it found: 0 while the mirror is empty. A mirror of which only
    deleted test clocks are left cannot be told from another account's.
    """
    sample = list(islice((each for each in islice(mirror.all(), _LOOKED_AT) if not each.subscription.ended), _SAMPLE))
    if any(each.subscription.livemode not in {None, is_live(key)} for each in sample):
        raise InvalidRequest(
            "key_of_other_mode",
            sentence("The mirror does not hold subscriptions of {mode} mode, which this key is of", mode=mode_of(key)),
        )
    found = sum(_exists(client, each.subscription.id) for each in sample)
    if sample and not found:
        raise InvalidRequest(
            "key_of_other_account",
            sentence(
                "The account of this key has none of {number} subscriptions that the mirror holds: it is a key of "
                "another account",
                number=len(sample),
            ),
        )
    return found


def _exists(client: StripeClient, subscription_id: str) -> bool:
    with stripe_errors():
        try:
            client.v1.subscriptions.retrieve(subscription_id)
        except stripe.InvalidRequestError:
            return False
    return True


def missing_words(missing: Iterable[Permission]) -> Message:
    """List permissions with who needs them, for people."""
    each_with_functions = (
        _("{permission} (for {functions})", permission=each.probe.name, functions=", ".join(each.probe.functions))
        for each in missing
    )
    return listed(each_with_functions, "; ")


def without_words(probe: Probe) -> Message:
    """Say what is missing without a permission that nothing depends on."""
    return _("without {permission}, {consequence}", permission=probe.name, consequence=probe.without)


def stored_words(number: int) -> Message:
    """Say how many secrets there are."""
    return _n("{n} stored", "{n} stored", number)


def check_key(deployment: "Deployment", key: str) -> list[Message]:
    """Return what is worth knowing of a key that does.

    Raises `PortalError` for one that Stripe does not take, that lacks a permission which the deployment needs, or that
    is of another account.
    """
    client, parameters = deployment.stripe_with(key), deployment.parameters
    found = list(check_permissions(client, parameters))
    missing = [each for each in found if each.access is Access.MISSING]
    if needed := [each for each in missing if each.probe.is_needed(parameters)]:
        raise OperatorError(
            "stripe_key_lacks_permission",
            sentence(
                "The key {key} lacks permissions. Edit it in the Dashboard (Developers > API keys), add {missing}, "
                "then run this command again",
                key=shown(key),
                missing=missing_words(needed),
            ),
        )
    if unknown := [each for each in found if each.access is Access.UNKNOWN]:
        raise Unavailable(
            "stripe_unavailable", sentence("Stripe did not answer ({reason}): try again", reason=unknown[0].reason)
        )
    check_same_account(client, key, deployment.mirror)
    notes = [without_words(each.probe) for each in missing]
    return (
        notes
        if is_restricted(key)
        else [*notes, _("this is a secret key, which may do everything: use a restricted one")]
    )


def store_key(store: StoredSecret[StripeSecret], key: str, *, instead_of: str | None) -> None:
    """Store a key for the functions. Raises `InvalidRequest` where another one than `instead_of` is stored by now."""

    def with_key(content: Content) -> Content:
        stored = content.get("stripe_api_key") or None
        if stored not in {instead_of, key}:
            raise InvalidRequest(
                "changed_meanwhile",
                sentence(
                    "Somebody else has stored the key {stored} at the same time, so {key} was not stored: run this "
                    "again, alone, if it is to take its place",
                    stored=shown(str(stored)),
                    key=shown(key),
                ),
            )
        return {**content, "stripe_api_key": key}

    store.update(with_key)


def new_link_secret() -> str:
    """Return 43 random characters, as the template generates them."""
    return random.token_urlsafe(_LINK_SECRET_BYTES)
