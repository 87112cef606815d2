"""`portal rotate`: replaces a secret while the old one still counts, says until when, and can be run again anywhere."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from stripe import StripeClient

from cli.setup.dialog import Dialog, read_key
from cli.setup.endpoint import (
    EndpointState,
    create_endpoint,
    created,
    delete_endpoint,
    delete_orphans,
    deleted_orphan,
    disable_endpoint,
    has_undelivered,
    read_state,
    wait_until_accepted,
    without_previous,
)
from cli.setup.operator import Operator
from cli.setup.stored_secret import Content
from cli.setup.stripe_key import check_key, check_same_mode, mode_of, new_link_secret, shown, store_key
from cli.terminal import ExitCode, Format, Language, duration, utc_time
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, _
from shared.link_token import MAX_AGE
from shared.secret_store import CACHE_SECONDS, UNTIL
from shared.stripe.webhook_endpoint import events_for

if TYPE_CHECKING:
    from cli.deployment import Deployment
    from shared.secret_store import SigningSecrets

app = typer.Typer()

_WEBHOOK, _LINKS, _KEY = _("webhook endpoint"), _("link secrets"), _("Stripe key")
# What is on its way to the old endpoint arrives within seconds; Stripe's own overlap is a day as well.
WEBHOOK_OVERLAP = timedelta(hours=24)
# The longest life of a link, and a day in which the site's backends take the new secret.
LINK_OVERLAP = MAX_AGE + timedelta(days=1)
_LONGEST_OVERLAP = timedelta(days=90)
# Of ten that a secret may hold.
_MOST_PREVIOUS = 8
# Stripe tries for three days (docs.stripe.com/webhooks).
_RETRIED_FOR = timedelta(days=3)
# Of a step of the audit, which keeps the key that it began with.
_STEP = timedelta(minutes=15)


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
        state = self._clean(client, now)
        unfinished = [each for each in state.replaced if each.get("status") != "disabled"]
        if state.delivers and unfinished:
            self._dialog.note(_WEBHOOK, _("going on with the rotation that left {id} enabled", id=unfinished[0]["id"]))
        else:
            self._begin(client, state, now=now, until=now + overlap.total_seconds())
        self._end_deliveries(client, now)

    def finish(self, client: StripeClient) -> None:
        """Delete what was replaced, and refuse its secrets from now on."""
        state = self._clean(client, self._deployment.ticking_clock()())
        previous = state.stored.previous
        if not state.delivers:
            raise InvalidRequest(
                "nothing_to_rotate",
                sentence("No enabled endpoint signs with the stored secret: run `portal connect` first"),
            )
        for each in state.replaced:
            delete_endpoint(client, each["id"])
            self._dialog.done(_WEBHOOK, _("deleted {id}", id=each["id"]))
        if previous:
            self._store.update(lambda content: without_previous(content, previous))
            self._dialog.done(
                _WEBHOOK, _("removed the old signing secrets; the webhook refuses them within five minutes")
            )
        if not state.replaced and not previous:
            self._dialog.ok(_WEBHOOK, _("nothing is left of an earlier rotation"))

    def _clean(self, client: StripeClient, now: float) -> EndpointState:
        """Delete the endpoints whose secret was never stored, and those whose secret has ended."""
        state = delete_orphans(
            client, self._url, self._store, lambda each: self._dialog.done(_WEBHOOK, deleted_orphan(each))
        )
        ended = [each for each in state.stored.previous if each.until <= now]
        if not ended:
            return state
        ids = {each.endpoint for each in ended}
        for each in (each for each in state.replaced if each["id"] in ids):
            delete_endpoint(client, each["id"])
            self._dialog.done(_WEBHOOK, _("deleted {id}, whose secret has ended", id=each["id"]))
        self._store.update(lambda content: without_previous(content, ended))
        return self._read(client)

    def _read(self, client: StripeClient) -> EndpointState:
        return read_state(client, self._url, self._store)

    def _begin(self, client: StripeClient, seen: EndpointState, *, now: float, until: float) -> None:
        # Where the stored endpoint is gone, what it had replaced shows that the secret is a rotation's.
        if seen.current is None and not (seen.stored.endpoint and seen.replaced):
            raise InvalidRequest(
                "nothing_to_rotate",
                sentence("It is not known which endpoint signs with the stored secret: run `portal connect` first"),
            )
        if len(seen.stored.previous) >= _MOST_PREVIOUS:
            raise InvalidRequest(
                "too_many_secrets",
                sentence("Too many previous secrets still count: run `portal rotate webhook --finish` first"),
            )
        events = events_for(entitlements=self._deployment.entitlements)
        made = create_endpoint(client, self._url, self._store, events, seen=seen, now=now, old_until=until)
        self._dialog.done(_WEBHOOK, created(made))

    def _end_deliveries(self, client: StripeClient, now: float) -> None:
        """Disable the replaced endpoints once the new secret is accepted and nothing waits for them."""
        stored = self._store.parsed()
        if not self._is_accepted(stored):
            return
        state = self._read(client)
        if not state.delivers or state.stored.endpoint != stored.endpoint:
            self._dialog.to_do(
                _WEBHOOK,
                _("somebody else rotates at the same time: what delivers stays as it is. Run this again, alone"),
            )
            return
        if state.replaced and has_undelivered(client, now - _RETRIED_FOR.total_seconds()):
            self._dialog.to_do(
                _WEBHOOK,
                _(
                    "events wait for delivery, maybe to {id}: it stays enabled. Run this again later, or `--finish` "
                    "ends it now, and `portal reconcile --repair` finds what it did not deliver",
                    id=state.replaced[0]["id"],
                ),
            )
            return
        for each in (each for each in state.replaced if each.get("status") != "disabled"):
            disable_endpoint(client, each["id"])
            self._dialog.done(_WEBHOOK, _("disabled {id}: Stripe sends to the new endpoint only", id=each["id"]))
        for previous in state.stored.previous:
            self._dialog.note(
                _WEBHOOK,
                _(
                    "an old secret counts until {time}, for what is on its way; `portal rotate webhook --finish` "
                    "ends it now",
                    time=utc_time(previous.until),
                ),
            )

    def _is_accepted(self, stored: "SigningSecrets") -> bool:
        """Say whether the API accepts an event that is signed with the first secret, and return it."""
        secret, deployment = stored.webhook_signing_secrets[0].get_secret_value(), self._deployment
        if wait_until_accepted(self._url, secret, deployment.ticking_clock(), livemode=deployment.livemode):
            self._dialog.ok(_WEBHOOK, _("the API accepts an event that is signed with the new secret"))
            return True
        self._dialog.to_do(
            _WEBHOOK,
            _(
                "the webhook does not accept the new secret yet; both endpoints deliver, and nothing is lost: "
                "run this command again, and if it stays so, `portal doctor`"
            ),
        )
        return False


def rotate_link(deployment: "Deployment", dialog: Dialog, overlap: timedelta, *, finish: bool) -> None:
    """Put a new link secret first, in one write; the others end with the overlap, and none later than it would have."""
    now = deployment.ticking_clock()()
    store = deployment.stored_link_secrets
    if finish:
        ended = [*store.parsed().until]
        store.update(lambda content: _without(content, ended))
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
        latest = end - MAX_AGE.total_seconds()
        dialog.note(
            _LINKS,
            _(
                "links signed with {kid} open until {time}; `portal rotate link --finish` ends that now. Have the "
                "backends of your site read the secret anew {before}",
                kid=repr(kid),
                time=utc_time(end),
                before=_("before {time}", time=utc_time(latest)) if latest > now else _("at once"),
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


def _without(content: Content, kids: Collection[str]) -> Content:
    """Return the JSON without the secrets that end and are named: another run may have ended more meanwhile."""
    ends = {kid: end for kid, end in (content.get(UNTIL) or {}).items() if kid not in kids}
    kept = {kid: each for kid, each in content.items() if kid != UNTIL and kid not in kids}
    return kept | ({UNTIL: ends} if ends else {})


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
    store_key(store, key, instead_of=old)
    now = datetime.now(UTC).timestamp()
    dialog.done(_KEY, _("{key} of {mode} mode is stored", key=shown(key), mode=mode_of(key)))
    dialog.note(
        _KEY,
        _(
            "the functions use {key} until {time}, a running step of the audit until {later}. It stays valid until "
            "you expire it (Dashboard: Developers > API keys)",
            key=shown(old),
            time=utc_time(now + CACHE_SECONDS),
            later=utc_time(now + _STEP.total_seconds()),
        ),
    )


@app.command()
def rotate(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    what: Annotated[Literal["webhook", "link", "key"], typer.Argument(help="Which secret.")],
    *,
    finish: Annotated[bool, typer.Option("--finish", help="End the old secrets now.")] = False,
    overlap: Annotated[
        str | None,
        typer.Option(help="How long the old secret still counts, at most 90d: 24h for webhook, 8d for link."),
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
            rotate_link(deployment, dialog, _overlap(overlap, LINK_OVERLAP), finish=finish)
        else:
            rotation, length = WebhookRotation(deployment, dialog), _overlap(overlap, WEBHOOK_OVERLAP)
            do = rotation.finish if finish else lambda client: rotation.rotate(client, length)
            Operator(deployment, dialog).write("Webhook Endpoints: write and Events: read", do)
    finally:
        dialog.close()
    if dialog.left:
        raise typer.Exit(ExitCode.FOUND)


def _overlap(text: str | None, default: timedelta) -> timedelta:
    """Parse how long an old secret still counts. Raises `InvalidRequest` for what would be for good."""
    wanted = default if text is None else duration(text)
    if wanted > _LONGEST_OVERLAP:
        raise InvalidRequest(
            "bad_duration",
            sentence(
                "--overlap {text}: an old secret counts for at most {days} days", text=text, days=_LONGEST_OVERLAP.days
            ),
        )
    return wanted


def _check_options(what: str, *, finish: bool, overlap: str | None, key_file: str | None) -> None:
    if what == "key" and (finish or overlap):
        raise InvalidRequest("bad_request", sentence("An old Stripe key ends when you expire it in the Dashboard"))
    if what != "key" and key_file:
        raise InvalidRequest("bad_request", sentence("--stripe-key-file is for `portal rotate key`"))
    if finish and overlap:
        raise InvalidRequest("bad_request", sentence("--finish ends the old secrets now: leave --overlap out"))
