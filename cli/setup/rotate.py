"""`portal rotate`: replaces a secret while the old one still counts, says until when, and can be run again anywhere."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from stripe import StripeClient

from cli.setup.dialog import Dialog, read_key
from cli.setup.endpoint import (
    EndpointState,
    create_endpoint,
    delete_endpoint,
    disable_endpoint,
    endpoint_state,
    endpoints_at,
    has_undelivered,
    wait_until_accepted,
    without_ended,
)
from cli.setup.operator import Operator
from cli.setup.stored_secret import Content
from cli.setup.stripe_key import check_key, check_same_mode, mode_of, new_link_secret, shown
from cli.terminal import ExitCode, Format, Language, duration
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, _
from shared.link_token import MAX_AGE
from shared.secret_store import CACHE_SECONDS, UNTIL
from shared.stripe.webhook_endpoint import API_VERSION, events_for

if TYPE_CHECKING:
    from cli.deployment import Deployment
    from shared.secret_store import SigningSecrets

app = typer.Typer()

_WEBHOOK, _LINKS, _KEY = _("webhook endpoint"), _("link secrets"), _("Stripe key")
# What is on its way to the old endpoint arrives within seconds; Stripe's own overlap is a day as well.
WEBHOOK_OVERLAP = timedelta(hours=24)
# The longest life of a link, and a day in which the site's backends take the new secret.
LINK_OVERLAP = MAX_AGE + timedelta(days=1)
# Of ten that a secret may hold.
_MOST_PREVIOUS = 8
# Stripe tries for three days (docs.stripe.com/webhooks).
_RETRIED_FOR = timedelta(days=3)
# Of a step of the audit, which keeps the key that it began with.
_STEP = timedelta(minutes=15)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


class WebhookRotation:
    """Replaces the endpoint by one with a new secret: Stripe's API can roll no secret of an endpoint.

    1. Create the new endpoint and store its secret first; the old one becomes a previous secret, which ends. Both
       endpoints deliver, and the mirror ignores what comes twice.
    2. See that the API accepts the new secret.
    3. Disable the old endpoint, once nothing waits for delivery: Stripe does not retry for a disabled one.

    Step 3 is repeated by every later run, until the old endpoint is disabled; after its end, or with `--finish`, it is
    deleted and its secret removed.
    """

    def __init__(self, deployment: "Deployment", dialog: Dialog) -> None:
        self._deployment = deployment
        self._dialog = dialog
        self._url = deployment.output("WebhookUrl")
        self._store = deployment.stored_signing_secrets

    def rotate(self, client: StripeClient, overlap: timedelta) -> None:
        """Begin a rotation, or go on with one that was interrupted."""
        now = self._deployment.ticking_clock()()
        stored, state = self._clean(client, now)
        unfinished = [each for each in state.replaced if each.get("status") != "disabled"]
        if not unfinished:
            self._begin(client, stored, state, now=now, until=now + overlap.total_seconds())
        else:
            self._dialog.note(_WEBHOOK, _("going on with the rotation that left {id} enabled", id=unfinished[0]["id"]))
        self._end_deliveries(client, now)

    def finish(self, client: StripeClient) -> None:
        """Delete what was replaced, and refuse its secrets from now on."""
        now = self._deployment.ticking_clock()()
        stored, state = self._clean(client, now)
        if state.current is None or state.current.get("status") == "disabled":
            raise InvalidRequest(
                "nothing_to_rotate",
                sentence("No enabled endpoint signs with the stored secret: run `portal connect` first"),
            )
        for each in state.replaced:
            delete_endpoint(client, each["id"])
            self._dialog.done(_WEBHOOK, _("deleted {id}", id=each["id"]))
        if stored.previous:
            self._store.update(lambda content: without_ended(content, now=now, everything=True))
            self._dialog.done(
                _WEBHOOK, _("removed the old signing secrets; the webhook refuses them within five minutes")
            )
        if not state.replaced and not stored.previous:
            self._dialog.ok(_WEBHOOK, _("nothing is left of an earlier rotation"))

    def _clean(self, client: StripeClient, now: float) -> "tuple[SigningSecrets, EndpointState]":
        """Delete the endpoints whose secret was never stored, and those whose secret has ended."""
        stored = self._store.parsed()
        state = endpoint_state(endpoints_at(client, self._url), stored)
        for each in state.orphans:
            delete_endpoint(client, each["id"])
            self._dialog.done(
                _WEBHOOK,
                _("deleted {id}, which an interrupted run had created before its secret was stored", id=each["id"]),
            )
        ended = {each.endpoint for each in stored.previous if each.until <= now}
        for each in state.replaced:
            if each["id"] in ended:
                delete_endpoint(client, each["id"])
                self._dialog.done(_WEBHOOK, _("deleted {id}, whose secret has ended", id=each["id"]))
        if any(each.until <= now for each in stored.previous):
            stored = self._store.update(lambda content: without_ended(content, now=now))
        return stored, endpoint_state(endpoints_at(client, self._url), stored)

    def _begin(
        self, client: StripeClient, stored: "SigningSecrets", state: EndpointState, *, now: float, until: float
    ) -> None:
        if state.current is None:
            raise InvalidRequest(
                "nothing_to_rotate",
                sentence("It is not known which endpoint signs with the stored secret: run `portal connect` first"),
            )
        if len(stored.previous) >= _MOST_PREVIOUS:
            raise InvalidRequest(
                "too_many_secrets",
                sentence("Too many previous secrets still count: run `portal rotate webhook --finish` first"),
            )
        events = events_for(entitlements=self._deployment.entitlements)
        made = create_endpoint(
            client, self._url, self._store, events, now=now, old_until=until, old_endpoint=state.current["id"]
        )
        self._dialog.done(
            _WEBHOOK,
            _(
                "created {id} (API {api_version}), and stored its signing secret",
                id=made["id"],
                api_version=API_VERSION,
            ),
        )

    def _end_deliveries(self, client: StripeClient, now: float) -> None:
        """Disable the replaced endpoints once the new secret is accepted and nothing waits for them."""
        stored = self._store.parsed()
        secret, deployment = stored.webhook_signing_secrets[0].get_secret_value(), self._deployment
        if not wait_until_accepted(self._url, secret, deployment.ticking_clock(), livemode=deployment.livemode):
            self._dialog.to_do(
                _WEBHOOK,
                _(
                    "the webhook does not accept the new secret yet; both endpoints deliver, and nothing is lost: "
                    "run this command again, and if it stays so, `portal doctor`"
                ),
            )
            return
        self._dialog.ok(_WEBHOOK, _("the API accepts an event that is signed with the new secret"))
        replaced = endpoint_state(endpoints_at(client, self._url), stored).replaced
        if replaced and has_undelivered(client, now - _RETRIED_FOR.total_seconds()):
            self._dialog.to_do(
                _WEBHOOK,
                _(
                    "events wait for delivery, maybe to {id}: it stays enabled. Run this again later, or `--finish` "
                    "ends it now, and `portal reconcile --repair` finds what it did not deliver",
                    id=replaced[0]["id"],
                ),
            )
            return
        for each in (each for each in replaced if each.get("status") != "disabled"):
            disable_endpoint(client, each["id"])
            self._dialog.done(_WEBHOOK, _("disabled {id}: Stripe sends to the new endpoint only", id=each["id"]))
        for previous in stored.previous:
            self._dialog.note(
                _WEBHOOK,
                _(
                    "an old secret counts until {time}, for what is on its way; `portal rotate webhook --finish` "
                    "ends it now",
                    time=_time(previous.until),
                ),
            )


def rotate_link(deployment: "Deployment", dialog: Dialog, overlap: timedelta, *, finish: bool) -> None:
    """Put a new link secret first, in one write; the others end with the overlap, and none later than it would have."""
    now = deployment.ticking_clock()()
    store = deployment.stored_link_secrets
    if finish:
        ended = [*store.parsed().until]
        store.update(_without_ending)
        if ended:
            dialog.done(
                _LINKS,
                _(
                    "removed {ended}: links signed with it open nothing within a minute",
                    ended=", ".join(map(repr, ended)),
                ),
            )
        else:
            dialog.ok(_LINKS, _("nothing is left of an earlier rotation"))
        return
    until = int(now + overlap.total_seconds())
    parsed = store.update(lambda content: with_new_link_secret(content, new_link_secret(), now=now, until=until))
    dialog.done(_LINKS, _("{kid} signs new links", kid=repr(next(iter(parsed.secrets)))))
    for kid, end in parsed.until.items():
        dialog.note(
            _LINKS,
            _(
                "links signed with {kid} open until {time}; `portal rotate link --finish` ends that now. Have the "
                "backends of your site read the secret anew before {before}",
                kid=repr(kid),
                time=_time(end),
                before=_time(end - MAX_AGE.total_seconds()),
            ),
        )


def with_new_link_secret(content: Content, secret: str, *, now: float, until: int) -> Content:
    """Return the JSON with a new secret first, under the next number, and an end for all others.

    Raises `InvalidRequest` where there would be too many.
    """
    ends = content.get(UNTIL) or {}
    kept = {kid: each for kid, each in content.items() if kid != UNTIL and not ends.get(kid, now + 1) <= now}
    if len(kept) > _MOST_PREVIOUS:
        raise InvalidRequest(
            "too_many_secrets",
            sentence("Too many previous secrets still count: run `portal rotate link --finish` first"),
        )
    numbers = [int(kid) for kid in content if kid.isascii() and kid.isdigit()]
    kid = str(max(numbers, default=0) + 1)
    return {kid: secret, **kept, UNTIL: {each: min(ends.get(each, until), until) for each in kept}}


def _without_ending(content: Content) -> Content:
    ends = content.get(UNTIL) or {}
    return {kid: each for kid, each in content.items() if kid != UNTIL and kid not in ends}


def rotate_key(deployment: "Deployment", dialog: Dialog, key_file: str | None) -> None:
    """Store a new key of the same mode and account, which may do what the deployment needs, in one write."""
    store = deployment.stored_key
    old = store.parsed().api_key
    key = read_key(key_file, _("New Stripe restricted key for the functions"), dialog.language)
    check_same_mode(key, old)
    for note in check_key(deployment, key):
        dialog.note(_KEY, note)
    if key == old:
        dialog.ok(_KEY, _("{key} is stored already", key=shown(key)))
        return
    store.update(lambda content: {**content, "stripe_api_key": key})
    now = datetime.now(UTC).timestamp()
    dialog.done(_KEY, _("{key} of {mode} mode is stored", key=shown(key), mode=mode_of(key)))
    dialog.note(
        _KEY,
        _(
            "the functions use {key} until {time}, a running step of the audit until {later}. It stays valid until "
            "you expire it (Dashboard: Developers > API keys)",
            key=shown(old),
            time=_time(now + CACHE_SECONDS),
            later=_time(now + _STEP.total_seconds()),
        ),
    )


@app.command()
def rotate(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    what: Annotated[Literal["webhook", "link", "key"], typer.Argument(help="Which secret.")],
    *,
    finish: Annotated[bool, typer.Option("--finish", help="End the old secrets now.")] = False,
    overlap: Annotated[
        str | None, typer.Option(help="How long the old secret still counts: 24h for webhook, 8d for link.")
    ] = None,
    stripe_key_file: Annotated[
        str | None, typer.Option(help="File with the new Stripe key, - for standard input, instead of asking.")
    ] = None,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Replace a secret while the old one still counts. Can be repeated wherever it was interrupted.

    Exits with 1 if something is left to do.
    """
    _check_options(what, finish=finish, overlap=overlap, key_file=stripe_key_file)
    deployment: Deployment = context.obj()
    if what != "key":
        # Functions of an earlier version, whose stack lacks this output, do not know secrets that end.
        deployment.output("AuditSettingsName")
    dialog = Dialog(yes=False, form=form, language=language)
    try:
        if what == "key":
            rotate_key(deployment, dialog, stripe_key_file)
        elif what == "link":
            rotate_link(deployment, dialog, duration(overlap) if overlap else LINK_OVERLAP, finish=finish)
        else:
            rotation, length = WebhookRotation(deployment, dialog), duration(overlap) if overlap else WEBHOOK_OVERLAP
            do = rotation.finish if finish else lambda client: rotation.rotate(client, length)
            Operator(deployment, dialog).write("Webhook Endpoints: write and Events: read", do)
    finally:
        dialog.close()
    if dialog.left:
        raise typer.Exit(ExitCode.FOUND)


def _check_options(what: str, *, finish: bool, overlap: str | None, key_file: str | None) -> None:
    if what == "key" and (finish or overlap):
        raise InvalidRequest("bad_request", sentence("An old Stripe key ends when you expire it in the Dashboard"))
    if what != "key" and key_file:
        raise InvalidRequest("bad_request", sentence("--stripe-key-file is for `portal rotate key`"))
    if finish and overlap:
        raise InvalidRequest("bad_request", sentence("--finish ends the old secrets now: leave --overlap out"))
