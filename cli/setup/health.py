"""The checks of `portal doctor`. Each asks what it needs itself, changes nothing, and depends on no other."""

import re
import secrets as random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import requests
import stripe
from stripe import StripeClient

from cli.deployment import aws_client
from cli.setup.endpoint import (
    EndpointState,
    endpoint_state,
    endpoints_at,
    missing_events,
    refusals,
    send_test_event,
)
from cli.setup.event_destination import every_destination
from cli.setup.notifications import IdentityState, address_of, alarm_readers, identity_of, is_in_sandbox, unverified
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
from shared.i18n import NOTHING, Message, _, _n, verbatim
from shared.mirror.drift import differences, is_expired
from shared.stripe.gateway import stripe_errors
from shared.stripe.subscription import Subscription, has_more_items, read_subscription
from shared.stripe.webhook_endpoint import API_VERSION, EVENTS, needed_events

if TYPE_CHECKING:
    from cli.deployment import Deployment

# Of the outputs that the commands and this folder use; the alarms' topic exists only with alarms.
OUTPUTS = (
    *("AccessChangesDeadLetterQueueUrl", "ApiUrl", "AuditDeadLetterQueueUrl", "AuditSettingsName", "AuditsTableName"),
    *("DeadLetterQueueUrl", "LinkSecretsArn", "NightlyAuditFunctionName", "PortalEmailSender", "SecretArn"),
    *("SettleDeadLetterQueueUrl", "SettleQueueUrl", "SigningSecretsArn", "TableName", "WebhookUrl"),
)
_CONNECT = _("run `portal connect`")
_DEPLOY = _("deploy the template again (`sam deploy`)")
# One attempt of a request to Stripe, in seconds: with its retry, less than the time that a check has.
STRIPE_SECONDS = 8
_PORTAL_SECONDS = 12
_NIGHTS = 8
_MANY_WAITING = 1000
_SAMPLE = 20
# How long an event may be on its way while Stripe and the mirror are compared.
_ON_ITS_WAY_SECONDS = 5
_ALARM_NAME = re.compile(r"[A-Za-z0-9]+")


class State(StrEnum):
    """What a check has found; the worst first."""

    FAILED = "failed"
    UNKNOWN = "unknown"
    WARNING = "warning"
    OK = "ok"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that a check has found, and what to do about it."""

    state: State
    text: Message
    to_do: Message = NOTHING


Results = Iterator[Result]


def ok(text: Message) -> Result:
    """Return what is as it should be."""
    return Result(State.OK, text)


def failed(text: Message, to_do: Message) -> Result:
    """Return what does not work."""
    return Result(State.FAILED, text, to_do)


def warning(text: Message, to_do: Message = NOTHING) -> Result:
    """Return what works, but not for long, or not as its owner will expect."""
    return Result(State.WARNING, text, to_do)


def skipped(text: Message) -> Result:
    """Return why there is nothing to check."""
    return Result(State.SKIPPED, text)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A name for the table, and the check; `to_do` is what to do where the check itself cannot go on."""

    label: Message
    run: Callable[["Deployment"], Results]
    to_do: Message = NOTHING

    @property
    def name(self) -> str:
        """The name for programs."""
        return self.label.id


def _key(deployment: "Deployment") -> str:
    return deployment.stored_key.parsed().api_key


def _stripe(deployment: "Deployment") -> StripeClient:
    return deployment.stripe_with(_key(deployment), STRIPE_SECONDS)


def _now(deployment: "Deployment") -> float:
    return deployment.ticking_clock()()


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _uses_eventbridge(deployment: "Deployment") -> bool:
    return bool(deployment.parameters.get("StripeEventSource"))


def check_outputs(deployment: "Deployment") -> Results:
    """Whether it is a stack of this template, and of this version."""
    missing = [each for each in OUTPUTS if not deployment.outputs.get(each)]
    if missing:
        yield failed(
            _("the stack has no {missing}", missing=", ".join(missing)),
            _("{deploy}: it is of an earlier version, or another stack", deploy=_DEPLOY),
        )
    else:
        yield ok(_("all {number} are there", number=len(OUTPUTS)))


def check_key(deployment: "Deployment") -> Results:
    """Whether there is a key that Stripe takes, and of the account whose subscriptions are mirrored."""
    key = _key(deployment)
    found = check_same_account(_stripe(deployment), key, deployment.mirror)
    with stripe_errors():
        _stripe(deployment).v1.subscriptions.list({"limit": 1})
    named = {"key": shown(key), "mode": mode_of(key)}
    yield ok(
        _("{key}: {mode} mode, of the account that is mirrored", **named) if found else _("{key}: {mode} mode", **named)
    )
    if not is_restricted(key):
        yield warning(_("it is a secret key, which may do everything"), _("`portal rotate key` with a restricted key"))


def check_key_permissions(deployment: "Deployment") -> Results:
    """Whether the key may do what the functions do."""
    parameters = deployment.parameters
    found = list(check_permissions(_stripe(deployment), parameters))
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
    stored, now = deployment.stored_signing_secrets.parsed(), _now(deployment)
    if stored.webhook_signing_secrets:
        yield ok(stored_words(len(stored.webhook_signing_secrets)))
    elif _uses_eventbridge(deployment):
        yield skipped(_("none is needed: events come through EventBridge"))
    else:
        yield failed(_("none is stored: the webhook refuses every event"), _CONNECT)
    for each in stored.previous:
        if each.until > now:
            yield ok(_("a previous one counts until {time}", time=_time(each.until)))
        else:
            yield warning(_("a previous one has ended"), _("`portal rotate webhook --finish` removes it"))


def check_link_secrets(deployment: "Deployment") -> Results:
    """Whether links can be signed and read."""
    store, now = deployment.stored_link_secrets, _now(deployment)
    if not store.content():
        yield failed(_("none is stored: no link works"), _CONNECT)
        return
    stored = store.parsed()
    yield ok(stored_words(len(stored.valid_at(now))))
    for kid, until in stored.until.items():
        if kid in stored.secrets:
            yield (
                ok(_("{kid} counts until {time}", kid=repr(kid), time=_time(until)))
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
    endpoints = endpoints_at(_stripe(deployment), url)
    state = endpoint_state(endpoints, deployment.stored_signing_secrets.parsed())
    if not endpoints:
        yield failed(_("the account has none for {url}", url=url), _CONNECT)
    elif state.current is None:
        names = ", ".join(each["id"] for each in endpoints)
        yield failed(_("the signing secret of {names} is not stored, or not known to be", names=names), _CONNECT)
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
            _("fix what made it fail, then {connect}", connect=_CONNECT),
        )
    if missing:
        yield failed(_("{name} is not sent {missing}", name=name, missing=", ".join(missing)), _CONNECT)
    if is_enabled and not missing:
        yield ok(_("{name} is enabled, and sends what the mirror needs", name=name))
    if not missing and (others := missing_events(endpoint, EVENTS)):
        yield warning(_("{name} is not sent {others}", name=name, others=", ".join(others)), _CONNECT)
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
        yield failed(_("nobody knows the signing secret of {id}: its events are refused", id=each["id"]), _CONNECT)
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
    found = next((each for each in every_destination(_stripe(deployment)) if each.source == source), None)
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
            _DEPLOY,
        )
    else:
        yield ok(_("{destination} is enabled, its partner event source active", destination=found.id))


def check_webhook(deployment: "Deployment") -> Results:
    """Send the webhook events that it ignores: signed with each secret, and with none of them."""
    now, url = _now(deployment), deployment.output("WebhookUrl")
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
    client = _stripe(deployment)
    address = portal_settings_url(_key(deployment))
    found = default_configuration(client)
    if found is None:
        yield failed(
            _("the portal's settings were never saved: Stripe refuses every session"),
            _("save them at {address}", address=address),
        )
    else:
        yield ok(_("the default configuration is {id}", id=found["id"]))
        if not (found.get("login_page") or {}).get("enabled"):
            yield failed(_("the login page is off: visitors without a link get an error"), _CONNECT)
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


def check_mail(deployment: "Deployment") -> Results:
    """Whether SES sends from the senders, and to the readers."""
    ses, parameters = aws_client("sesv2"), deployment.parameters
    names = {parameters.get(each) or "" for each in ("AuditEmailFrom", "PortalEmailFrom")}
    names.add(deployment.outputs.get("PortalEmailSender") or "")
    senders = [identity_of(ses, each) for each in sorted({address_of(name) for name in names} - {""})]
    for each in senders:
        if each.state is IdentityState.VERIFIED:
            yield ok(_("{address} is verified", address=each.address))
        else:
            pending = _("{address} is not verified yet: its mails are refused", address=each.address)
            absent = _("{address} is no identity of this region: its mails are refused", address=each.address)
            yield failed(pending if each.state is IdentityState.PENDING else absent, _CONNECT)
    if deployment.is_local:
        yield skipped(_("the local SES has no sandbox"))
    elif is_in_sandbox(ses):
        yield warning(_("SES is in its sandbox: it mails to verified addresses only"), _("request production access"))
        readers = [identity_of(ses, each) for each in parameters.get("AuditEmailTo", "").split(",") if each]
        for each in unverified(readers):
            yield failed(
                _("{address} is not verified, and gets no audit", address=each.address),
                _("verify it in SES, or leave the sandbox"),
            )


def check_audit_settings(deployment: "Deployment") -> Results:
    """Whether the audit reads what the stack's parameters say."""
    name = deployment.output("AuditSettingsName")
    text = aws_client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    lines: Mapping[str, str] = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    expected = {each: "".join(part.title() for part in each.split("_")) for each in lines}
    wrong = [
        parameter
        for each, parameter in expected.items()
        if parameter in deployment.parameters and deployment.parameters[parameter] != lines[each]
    ]
    if wrong:
        to_do = _(
            "somebody changed the SSM parameter {name}, which CloudFormation does not notice: change it back", name=name
        )
        yield failed(_("the audit has other values than the stack for {wrong}", wrong=", ".join(wrong)), to_do)
    else:
        yield ok(_("the audit's settings are the stack's"))


def check_alias(deployment: "Deployment") -> Results:
    """Whether the audit's alias runs the code and the environment of the last deployment."""
    if deployment.is_local:
        yield skipped(_("`make dev` has no versions of functions"))
        return
    client, alias = aws_client("lambda"), deployment.output("NightlyAuditFunctionName")
    live = client.get_function_configuration(FunctionName=alias)
    latest = client.get_function_configuration(FunctionName=alias.partition(":")[0])
    unlike = [
        each for each in ("CodeSha256", "Environment", "Timeout", "MemorySize") if live.get(each) != latest.get(each)
    ]
    if unlike:
        to_do = _("`aws lambda publish-version`, then `aws lambda update-alias` to that version")
        yield failed(
            _("the alias `live` differs from the last deployment in {unlike}", unlike=", ".join(unlike)), to_do
        )
    else:
        yield ok(_("the alias `live` runs the last deployment"))


def check_last_night(deployment: "Deployment") -> Results:
    """Whether an audit has finished lately, and its mail went out."""
    now = datetime.fromtimestamp(_now(deployment), UTC)
    nights = _nights(deployment, now)
    if not nights:
        yield warning(_("no audit has run yet"), _("wait for the first night, or run it by hand"))
        return
    last = nights[-1]
    name, mail = last["night"]["S"], last.get("mail", {}).get("S")
    begun = int(last.get("begun_at", last.get("claimed_at", {"N": "0"}))["N"])
    hours = int(deployment.parameters.get("NoAuditHours") or 26)
    if begun < (now - timedelta(hours=hours)).timestamp():
        yield failed(
            _("no audit has begun since {time}", time=_time(begun)),
            _("look at the schedule and at AuditDeadLetterQueue"),
        )
    elif last.get("failed", {}).get("BOOL"):
        yield failed(_("the audit of {name} failed", name=name), _("read its log; the run is in AuditDeadLetterQueue"))
    elif mail in {"sent", "silent"}:
        silent = _("{name}: nothing to report, and no mail wanted", name=name)
        yield ok(_("{name}: mailed", name=name) if mail == "sent" else silent)
    elif mail == "refused":
        yield failed(_("{name}: SES refused the mail", name=name), _("verify sender and readers in SES"))
    else:
        yield warning(_("the audit of {name} is running since {time}", name=name, time=_time(begun)))


def _nights(deployment: "Deployment", now: datetime) -> Sequence[Mapping[str, Any]]:
    """Return the items of the last nights, the oldest first."""
    table = deployment.output("AuditsTableName")
    today = now.astimezone(ZoneInfo(deployment.parameters.get("AuditTimezone") or "UTC")).date()
    keys = [{"night": {"S": (today - timedelta(days=days)).isoformat()}} for days in range(_NIGHTS)]
    found = aws_client("dynamodb").batch_get_item(RequestItems={table: {"Keys": keys}})["Responses"]
    return sorted(found.get(table, []), key=lambda item: str(item["night"]["S"]))


_DEAD_LETTERS = {
    "DeadLetterQueueUrl": (_("events that could not be understood"), verbatim("`portal replay`")),
    "SettleDeadLetterQueueUrl": (_("events that could not be settled"), verbatim("`portal replay`")),
    "AuditDeadLetterQueueUrl": (
        _("lost runs of the audit"),
        _("read the audit's log of that day, then purge the queue"),
    ),
    "AccessChangesDeadLetterQueueUrl": (
        _("changes of access that were not published"),
        _("read the log of AccessChanges"),
    ),
}


def check_queues(deployment: "Deployment") -> Results:
    """Whether something waits that should not."""
    found = False
    for output, (words, to_do) in _DEAD_LETTERS.items():
        if number := _waiting(deployment.output(output)):
            found = True
            yield failed(_("{words}: {number}", words=words, number=number), to_do)
    waiting = _waiting(deployment.output("SettleQueueUrl"))
    if waiting > _MANY_WAITING:
        yield warning(_waiting_words(waiting), _("raise SettleReadsPerSecond, if it stays so"))
    elif not found:
        yield ok(_("no dead letters; {waiting}", waiting=_waiting_words(waiting)))


def _waiting_words(number: int) -> Message:
    return _n("{n} event waits to be settled", "{n} events wait to be settled", number)


def _waiting(url: str) -> int:
    names = [f"ApproximateNumberOfMessages{each}" for each in ("", "NotVisible", "Delayed")]
    found = aws_client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found.get(each, 0)) for each in names)


def check_alarms(deployment: "Deployment") -> Results:
    """Whether an alarm is raised. Alarms of another stack whose name begins with this one's are not this one's."""
    if "AlarmTopicArn" not in deployment.outputs:
        yield warning(_("the stack has no alarms"), _("deploy with Alarms=true"))
        return
    prefix = f"{deployment.name}-"
    pages = aws_client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    every = [each for page in pages for each in page["MetricAlarms"]]
    own = [each for each in every if _ALARM_NAME.fullmatch(each["AlarmName"].removeprefix(prefix))]
    raised = [each["AlarmName"].removeprefix(prefix) for each in own if each["StateValue"] == "ALARM"]
    for name in raised:
        yield failed(_("{name} is raised", name=name), verbatim(f"docs/how-to/runbook.md#{name.lower()}"))
    if not own and not deployment.is_local:
        yield failed(_("there are none"), _DEPLOY)
    elif not own:
        yield skipped(_("`make dev` has no alarms"))
    elif not raised:
        yield ok(_("none of {number} is raised", number=len(own)))


def check_alarm_readers(deployment: "Deployment") -> Results:
    """Whether somebody is told of alarms."""
    if "AlarmTopicArn" not in deployment.outputs:
        yield skipped(_("the stack has no alarms"))
        return
    readers = alarm_readers(aws_client("sns"), deployment.output("AlarmTopicArn"))
    for each in readers.pending:
        yield failed(_("{reader} has not confirmed", reader=each), _("follow the link in the mail of SNS"))
    if readers.confirmed:
        yield ok(_("told: {readers}", readers=", ".join(readers.confirmed)))
    elif not readers.pending:
        yield failed(_("nobody is told of alarms"), _("deploy with AlarmEmail"))


def check_mirror(deployment: "Deployment") -> Results:
    """Whether the newest subscriptions are in the mirror as they are at Stripe."""
    client = _stripe(deployment)
    with refusals():
        page = client.raw_request("get", "/v1/subscriptions", status="all", limit=_SAMPLE).data
    sample = [read_subscription(each) for each in page["data"] if not has_more_items(each)]
    now = _now(deployment)
    sample = [each for each in sample if not is_expired(each, now=now, retention=deployment.retention)]
    unlike = _unlike(deployment, sample)
    if unlike:
        # An event may be on its way: what still differs later is not that.
        time.sleep(_ON_ITS_WAY_SECONDS)
        unlike = _unlike(deployment, _again(client, unlike))
    if not sample:
        yield ok(_("the account has no subscription"))
    elif len(unlike) == len(sample):
        yield failed(
            _("none of the newest {all} subscriptions is as at Stripe", all=len(sample)),
            _("`portal backfill` fills it"),
        )
    elif unlike:
        names = ", ".join(each.id for each in unlike[:3])
        to_do = _("`portal reconcile` shows how, `portal reconcile --repair` repairs it")
        yield failed(
            _(
                "{unlike} of the newest {all} subscriptions differ: {names}",
                unlike=len(unlike),
                all=len(sample),
                names=names,
            ),
            to_do,
        )
    else:
        yield ok(_("the newest {all} subscriptions are as at Stripe", all=len(sample)))


def _unlike(deployment: "Deployment", sample: Sequence[Subscription]) -> list[Subscription]:
    held = deployment.mirror.get_many([(each.customer_id, each.id) for each in sample])
    unlike = []
    for each in sample:
        item = held.get((each.customer_id, each.id))
        if item is None or differences(item.subscription, each):
            unlike.append(each)
    return unlike


def _again(client: StripeClient, subscriptions: Iterable[Subscription]) -> list[Subscription]:
    with refusals():
        found = [client.v1.subscriptions.retrieve(each.id).to_dict(for_json=True) for each in subscriptions]
    return [read_subscription(each) for each in found]


CHECKS = (
    HealthCheck(_("outputs"), check_outputs),
    HealthCheck(_("Stripe key"), check_key, _CONNECT),
    HealthCheck(_("permissions"), check_key_permissions, _CONNECT),
    HealthCheck(_("signing secrets"), check_signing_secrets, _("correct the secret of SigningSecretsArn")),
    HealthCheck(_("link secrets"), check_link_secrets, _("correct the secret of LinkSecretsArn")),
    HealthCheck(_("age of secrets"), check_secret_age),
    HealthCheck(_("webhook endpoint"), check_endpoint, _CONNECT),
    HealthCheck(_("event destination"), check_destination, _CONNECT),
    HealthCheck(_("webhook"), check_webhook, _("look at the API and at the log of WebhookFunction")),
    HealthCheck(_("portal link"), check_portal_link, _("look at the API and at the log of CreateSessionFunction")),
    HealthCheck(_("portal settings"), check_portal_settings, _CONNECT),
    HealthCheck(_("mail (SES)"), check_mail),
    HealthCheck(_("audit settings"), check_audit_settings, _DEPLOY),
    HealthCheck(_("audit alias"), check_alias),
    HealthCheck(_("last night"), check_last_night),
    HealthCheck(_("queues"), check_queues),
    HealthCheck(_("alarms"), check_alarms),
    HealthCheck(_("alarm readers"), check_alarm_readers),
    HealthCheck(_("mirror"), check_mirror),
)


def as_json(results: Sequence[tuple[HealthCheck, Result]], language: str) -> dict[str, Any]:
    """Return the results for programs."""
    rows = [
        {
            "check": check.name,
            "state": each.state.value,
            "text": each.text.say(language),
            "to_do": each.to_do.say(language),
        }
        for check, each in results
    ]
    healthy = all(each.state not in {State.FAILED, State.UNKNOWN} for _check, each in results)
    return {"healthy": healthy, "results": rows}
