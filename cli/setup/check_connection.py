"""The checks of `portal doctor` about what connects the deployment: its stack, secrets, Stripe and addresses.

Each asks what it needs itself, changes nothing, and depends on no other.
"""

import secrets as random
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
import stripe
from stripe import StripeClient

from cli.setup.check import (
    CONNECT,
    DEPLOY,
    HealthCheck,
    Result,
    Results,
    State,
    failed,
    key_of,
    now_of,
    ok,
    skipped,
    stripe_of,
    warning,
)
from cli.setup.endpoint import (
    EndpointState,
    endpoint_state,
    endpoints_at,
    missing_events,
    send_test_event,
)
from cli.setup.event_destination import every_destination
from cli.setup.portal_settings import default_configuration, portal_settings_url
from cli.setup.stripe_key import (
    Access,
    check_permissions,
    check_same_account,
    is_restricted,
    missing_words,
    mode_of,
    shown,
    stored_words,
    without_words,
)
from cli.terminal import utc_time
from shared.i18n import Message, _, verbatim
from shared.stripe.gateway import stripe_errors
from shared.stripe.webhook_endpoint import API_VERSION, EVENTS, needed_events

if TYPE_CHECKING:
    from cli.deployment import Deployment


# Of the outputs that the commands and this folder use; the alarms' topic exists only with alarms.
OUTPUTS = (
    *("AccessChangesDeadLetterQueueUrl", "ApiUrl", "AuditDeadLetterQueueUrl", "AuditSettingsName", "AuditsTableName"),
    *("DeadLetterQueueUrl", "LinkSecretsArn", "NightlyAuditFunctionName", "PortalEmailSender", "SecretArn"),
    *("SettleDeadLetterQueueUrl", "SettleQueueUrl", "SigningSecretsArn", "TableName", "WebhookUrl"),
)
_PORTAL_SECONDS = 12


def _uses_eventbridge(deployment: "Deployment") -> bool:
    return bool(deployment.parameters.get("StripeEventSource"))


def check_outputs(deployment: "Deployment") -> Results:
    """Whether it is a stack of this template, and of this version."""
    missing = [each for each in OUTPUTS if not deployment.outputs.get(each)]
    if missing:
        yield failed(
            _("the stack has no {missing}", missing=", ".join(missing)),
            _("{deploy}: it is of an earlier version, or another stack", deploy=DEPLOY),
        )
    else:
        yield ok(_("all {number} are there", number=len(OUTPUTS)))


def check_key(deployment: "Deployment") -> Results:
    """Whether there is a key that Stripe takes, and of the account whose subscriptions are mirrored."""
    key = key_of(deployment)
    found = check_same_account(stripe_of(deployment), key, deployment.mirror)
    with stripe_errors():
        stripe_of(deployment).v1.subscriptions.list({"limit": 1})
    named = {"key": shown(key), "mode": mode_of(key)}
    yield ok(
        _("{key}: {mode} mode, of the account that is mirrored", **named) if found else _("{key}: {mode} mode", **named)
    )
    if not is_restricted(key):
        yield warning(_("it is a secret key, which may do everything"), _("`portal rotate key` with a restricted key"))


def check_key_permissions(deployment: "Deployment") -> Results:
    """Whether the key may do what the functions do."""
    parameters = deployment.parameters
    found = list(check_permissions(stripe_of(deployment), parameters))
    missing = [each for each in found if each.access is Access.MISSING]
    needed = [each for each in missing if each.probe.is_needed(parameters)]
    if needed:
        yield failed(
            _("missing: {permissions}", permissions=missing_words(needed)),
            _("edit the key in the Dashboard (Developers > API keys)"),
        )
    for each in missing:
        if each not in needed and each.probe.without:
            yield warning(
                without_words(each.probe),
                _("add it to the key, if you want it"),
            )
    if unknown := [each.probe.name for each in found if each.access is Access.UNKNOWN]:
        yield Result(State.UNKNOWN, _("Stripe did not say of {unknown}", unknown=", ".join(unknown)), _("try again"))
    if not needed and not unknown:
        yield ok(
            _(
                "{present} of {all} present",
                present=sum(each.access is Access.PERMITTED for each in found),
                all=len(found),
            )
        )


def check_signing_secrets(deployment: "Deployment") -> Results:
    """Whether the webhook can verify anything."""
    stored, now = deployment.stored_signing_secrets.parsed(), now_of(deployment)
    if stored.webhook_signing_secrets:
        yield ok(stored_words(len(stored.webhook_signing_secrets)))
    elif _uses_eventbridge(deployment):
        yield skipped(_("none is needed: events come through EventBridge"))
    else:
        yield failed(_("none is stored: the webhook refuses every event"), CONNECT)
    for each in stored.previous:
        if each.until > now:
            yield ok(_("a previous one counts until {time}", time=utc_time(each.until)))
        else:
            yield warning(_("a previous one has ended"), _("`portal rotate webhook --finish` removes it"))


def check_link_secrets(deployment: "Deployment") -> Results:
    """Whether links can be signed and read."""
    store, now = deployment.stored_link_secrets, now_of(deployment)
    if not store.content():
        yield failed(_("none is stored: no link works"), CONNECT)
        return
    stored = store.parsed()
    yield ok(stored_words(len(stored.valid_at(now))))
    for kid, until in stored.until.items():
        if kid in stored.secrets:
            yield (
                ok(_("{kid} counts until {time}", kid=repr(kid), time=utc_time(until)))
                if until > now
                else warning(_("{kid} has ended", kid=repr(kid)), _("`portal rotate link --finish` removes it"))
            )


def check_secret_age(deployment: "Deployment") -> Results:
    """Whether a secret has been the same for long."""
    stores = {
        _("the Stripe key"): (deployment.stored_key.changed_at(), "key"),
        _("the signing secret"): (deployment.stored_signing_secrets.changed_at(), "webhook"),
        _("the link secret"): (deployment.stored_link_secrets.changed_at(), "link"),
    }
    allowed = deployment.secret_max_age
    oldest = datetime.now(UTC) - allowed
    old = [(name, changed, what) for name, (changed, what) in stores.items() if changed and changed <= oldest]
    for name, changed, what in old:
        yield warning(
            _("{name} was last changed on {changed}", name=name, changed=f"{changed:%Y-%m-%d}"),
            verbatim(f"`portal rotate {what}`"),
        )
    if not old:
        yield ok(_("none is older than {days} days", days=allowed.days))


def check_endpoint(deployment: "Deployment") -> Results:
    """Whether Stripe sends the mirror's events to this deployment."""
    if _uses_eventbridge(deployment):
        yield skipped(_("events come through EventBridge"))
        return
    url = deployment.output("WebhookUrl")
    endpoints = endpoints_at(stripe_of(deployment), url)
    state = endpoint_state(endpoints, deployment.stored_signing_secrets.parsed())
    if not endpoints:
        yield failed(_("the account has none for {url}", url=url), CONNECT)
    elif state.current is None:
        names = ", ".join(each["id"] for each in endpoints)
        yield failed(_("the signing secret of {names} is not stored, or not known to be", names=names), CONNECT)
    else:
        yield from _endpoint_faults(state, entitlements=deployment.entitlements)


def _endpoint_faults(state: EndpointState, *, entitlements: bool) -> Results:
    endpoint = state.current or {}
    name = endpoint["id"]
    is_enabled = endpoint.get("status") == "enabled"
    missing = missing_events(endpoint, needed_events(entitlements=entitlements))
    if not is_enabled:
        yield failed(
            _("{name} is disabled: Stripe sends it nothing", name=name),
            _("fix what made it fail, then {connect}", connect=CONNECT),
        )
    if missing:
        yield failed(_("{name} is not sent {missing}", name=name, missing=", ".join(missing)), CONNECT)
    if is_enabled and not missing:
        yield ok(_("{name} is enabled, and sends what the mirror needs", name=name))
    if not missing and (others := missing_events(endpoint, EVENTS)):
        yield warning(_("{name} is not sent {others}", name=name, others=", ".join(others)), CONNECT)
    if (version := endpoint.get("api_version")) != API_VERSION:
        yield warning(
            _(
                "{name} has API version {version}, not {api_version}; it can be read",
                name=name,
                version=version or _("of the account"),
                api_version=API_VERSION,
            ),
            _("`portal rotate webhook`, if you like"),
        )
    for each in (*state.orphans, *state.unknown):
        yield failed(_("nobody knows the signing secret of {id}: its events are refused", id=each["id"]), CONNECT)
    for each in state.replaced:
        if each.get("status") == "disabled":
            yield ok(_("{id} was replaced, and is disabled", id=each["id"]))
        else:
            yield warning(
                _("{id} is being replaced, and still delivers", id=each["id"]),
                _("`portal rotate webhook` goes on with it"),
            )


def check_destination(deployment: "Deployment") -> Results:
    """Whether the event destination delivers to EventBridge."""
    if not _uses_eventbridge(deployment):
        yield skipped(_("events come by HTTPS"))
        return
    source = deployment.parameters["StripeEventSource"]
    found = next((each for each in every_destination(stripe_of(deployment)) if each.source == source), None)
    if found is None:
        yield failed(
            _("Stripe has no destination for {source}", source=source), _("`portal connect --eventbridge` creates one")
        )
    elif not found.is_active:
        yield failed(
            _(
                "{destination} is {status}, its partner event source {source_status}",
                destination=found.id,
                status=found.status,
                source_status=found.source_status,
            ),
            DEPLOY,
        )
    else:
        yield ok(_("{destination} is enabled, its partner event source active", destination=found.id))


def check_webhook(deployment: "Deployment") -> Results:
    """Send the webhook events that it ignores: signed with each secret, and with none of them."""
    now, url = now_of(deployment), deployment.output("WebhookUrl")
    secrets = deployment.stored_signing_secrets.parsed().valid_at(now)
    livemode = deployment.stored_key.parsed().livemode
    if not secrets:
        yield skipped(_("there is no signing secret to sign with"))
        return
    for place, secret in enumerate(secrets, start=1):
        status = send_test_event(url, secret.get_secret_value(), now=now, livemode=livemode)
        if status == HTTPStatus.OK:
            yield ok(_("answers 200 to an event signed with secret {place}", place=place))
        elif status == HTTPStatus.BAD_REQUEST:
            to_do = _("wait a minute, in which it reads a new secret; then read its log")
            yield failed(_("answers 400 to an event signed with secret {place}", place=place), to_do)
        else:
            yield failed(
                _("answers {status} to an event signed with secret {place}", status=status, place=place),
                _("read the log of WebhookFunction"),
            )
    status = send_test_event(url, f"whsec_{random.token_hex(16)}", now=now, livemode=livemode)
    if status == HTTPStatus.BAD_REQUEST:
        yield ok(_("answers 400 to an event signed with another secret"))
    elif status < HTTPStatus.INTERNAL_SERVER_ERROR:
        yield failed(
            _("answers {status} to an event signed with another secret", status=status),
            _("read the log of WebhookFunction at once"),
        )


def check_portal_link(deployment: "Deployment") -> Results:
    """Whether a visitor without a link reaches Stripe's login page."""
    url = f"{deployment.api_url}/portal"
    response = requests.get(url, timeout=_PORTAL_SECONDS, allow_redirects=False)
    if response.status_code == HTTPStatus.SEE_OTHER:
        yield ok(_("{url} leads to the login page", url=url))
    else:
        yield failed(
            _("{url} answers {status_code}", url=url, status_code=response.status_code),
            _("read the log of CreateSessionFunction, which names the fix"),
        )


def check_portal_settings(deployment: "Deployment") -> Results:
    """Whether the account's portal settings are saved, and the groups' configurations exist."""
    client = stripe_of(deployment)
    address = portal_settings_url(key_of(deployment))
    found = default_configuration(client)
    if found is None:
        yield failed(
            _("the portal's settings were never saved: Stripe refuses every session"),
            _("save them at {address}", address=address),
        )
    else:
        yield ok(_("the default configuration is {id}", id=found["id"]))
        if not (found.get("login_page") or {}).get("enabled"):
            yield failed(_("the login page is off: visitors without a link get an error"), CONNECT)
    for group, name in deployment.portal_configurations.items():
        if fault := _configuration_fault(client, name):
            yield failed(
                replace(fault, values=(("name", name), ("group", group))),
                _("correct PortalConfigurations, and deploy"),
            )


def _configuration_fault(client: StripeClient, name: str) -> Message | None:
    with stripe_errors():
        try:
            found = client.v1.billing_portal.configurations.retrieve(name)
        except stripe.InvalidRequestError:
            return _("{name} of the group {group} does not exist in this account and mode")
    return None if found.active else _("{name} of the group {group} is inactive")


CONNECTION = (
    HealthCheck(_("outputs"), check_outputs),
    HealthCheck(_("Stripe key"), check_key, CONNECT),
    HealthCheck(_("permissions"), check_key_permissions, CONNECT),
    HealthCheck(_("signing secrets"), check_signing_secrets, _("correct the secret of SigningSecretsArn")),
    HealthCheck(_("link secrets"), check_link_secrets, _("correct the secret of LinkSecretsArn")),
    HealthCheck(_("age of secrets"), check_secret_age),
    HealthCheck(_("webhook endpoint"), check_endpoint, CONNECT),
    HealthCheck(_("event destination"), check_destination, CONNECT),
    HealthCheck(_("webhook"), check_webhook, _("look at the API and at the log of WebhookFunction")),
    HealthCheck(_("portal link"), check_portal_link, _("look at the API and at the log of CreateSessionFunction")),
    HealthCheck(_("portal settings"), check_portal_settings, CONNECT),
)
