"""The checks of `portal doctor` about what the deployment does: mails, the audit, queues, alarms, the mirror.

Each asks what it needs itself, changes nothing, and depends on no other.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from stripe import StripeClient

from cli.deployment import aws_client
from cli.setup.check import (
    CONNECT,
    DEPLOY,
    HealthCheck,
    Results,
    failed,
    now_of,
    ok,
    skipped,
    stripe_of,
    warning,
)
from cli.setup.endpoint import (
    refusals,
)
from cli.setup.notifications import IdentityState, address_of, alarm_readers, identity_of, is_in_sandbox, unverified
from cli.terminal import utc_time
from shared.i18n import Message, _, _n, verbatim
from shared.mirror.drift import differences, is_expired
from shared.stripe.subscription import Subscription, has_more_items, read_subscription

if TYPE_CHECKING:
    from cli.deployment import Deployment


_NIGHTS = 8
_MANY_WAITING = 1000
_SAMPLE = 20
# How long an event may be on its way while Stripe and the mirror are compared.
_ON_ITS_WAY_SECONDS = 5
_ALARM_NAME = re.compile(r"[A-Za-z0-9]+")


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
            yield failed(pending if each.state is IdentityState.PENDING else absent, CONNECT)
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
    now = datetime.fromtimestamp(now_of(deployment), UTC)
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
            _("no audit has begun since {time}", time=utc_time(begun)),
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
        yield warning(_("the audit of {name} is running since {time}", name=name, time=utc_time(begun)))


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
        yield failed(_("there are none"), DEPLOY)
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
    client = stripe_of(deployment)
    with refusals():
        page = client.raw_request("get", "/v1/subscriptions", status="all", limit=_SAMPLE).data
    sample = [read_subscription(each) for each in page["data"] if not has_more_items(each)]
    now = now_of(deployment)
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


OPERATION = (
    HealthCheck(_("mail (SES)"), check_mail),
    HealthCheck(_("audit settings"), check_audit_settings, DEPLOY),
    HealthCheck(_("audit alias"), check_alias),
    HealthCheck(_("last night"), check_last_night),
    HealthCheck(_("queues"), check_queues),
    HealthCheck(_("alarms"), check_alarms),
    HealthCheck(_("alarm readers"), check_alarm_readers),
    HealthCheck(_("mirror"), check_mirror),
)
