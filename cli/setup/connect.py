"""`portal connect`: what is left to do after a deployment, in one command that can be repeated at any point."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from stripe import StripeClient

from cli.deployment import aws_client
from cli.recover.commands import backfill_line, fill_mirror
from cli.setup.dialog import Dialog, read_key
from cli.setup.endpoint import (
    EndpointState,
    create_endpoint,
    created,
    delete_endpoint,
    delete_orphans,
    deleted_orphan,
    has_others,
    repair_endpoint,
    wait_until_accepted,
)
from cli.setup.event_destination import EventDestination, create_destination, destinations_of
from cli.setup.notifications import IdentityState, address_of, alarm_readers, identity_of, is_in_sandbox, unverified
from cli.setup.operator import Operator
from cli.setup.portal_settings import default_configuration, portal_settings_url, turn_on_login_page
from cli.setup.stored_secret import Content
from cli.setup.stripe_key import check_key, check_same_mode, mode_of, new_link_secret, shown, store_key, stored_words
from cli.terminal import ExitCode, Format, Language, Rate
from shared.errors import PortalError
from shared.i18n import ENGLISH, Message, _, listed, verbatim
from shared.stripe.gateway import StripeJson
from shared.stripe.pacing import RateLimit
from shared.stripe.webhook_endpoint import API_VERSION, events_for

if TYPE_CHECKING:
    from cli.deployment import Deployment
    from cli.setup.stored_secret import StoredSecret
    from shared.secret_store import LinkSecrets

app = typer.Typer()

# How long an old signing secret counts after another one took its place.
OVERLAP = timedelta(hours=24)

_KEY, _WEBHOOK, _BRIDGE, _LINKS = _("Stripe key"), _("webhook endpoint"), _("event destination"), _("link secrets")
_PORTAL, _LOGIN, _MAIL, _ALARMS, _MIRROR = (
    _("portal settings"),
    _("login page"),
    _("mail (SES)"),
    _("alarms"),
    _("mirror"),
)


def is_filled(content: Content) -> bool:
    """Whether the key's secret has a key."""
    return bool(content.get("stripe_api_key"))


@dataclass
class Connection:
    """The steps, in their order. Each looks first at what is there, so that all of them can be repeated."""

    deployment: "Deployment"
    dialog: Dialog
    key_file: str | None = None
    eventbridge: bool = False

    def __post_init__(self) -> None:
        """One key that is typed is enough for all steps."""
        self.operator = Operator(self.deployment, self.dialog)

    def run(self, limit: RateLimit | None) -> None:
        """Do what is left to do. Without `limit` the mirror is not filled."""
        self.key()
        steps = (
            (_BRIDGE, self.destination) if self.uses_eventbridge else (_WEBHOOK, self.endpoint),
            (_LINKS, self.link_secrets),
            (_PORTAL, self.portal_settings),
            (_MAIL, self.senders),
            (_ALARMS, self.alarms),
        )
        for what, step in steps:
            with self._failures(what):
                step()
        if limit is None:
            self.dialog.note(_MIRROR, _("not filled, as you asked: `portal backfill` does it"))
        else:
            with self._failures(_MIRROR):
                done = fill_mirror(self.deployment, limit, self.dialog.language)
                report = self.dialog.to_do if done.failed else self.dialog.done
                report(_MIRROR, backfill_line(done))

    @contextmanager
    def _failures(self, what: Message) -> Iterator[None]:
        """Say what a step could not do; the next ones do not depend on it."""
        try:
            yield
        except PortalError as error:
            self.dialog.to_do(what, verbatim(error.message))
        except (ClientError, BotoCoreError) as error:
            self.dialog.to_do(what, verbatim(f"AWS: {error}"))

    # ------------------------------------------------------------ the key

    def key(self) -> None:
        """Store the functions' key once it has shown what it is. Raises `PortalError` for a key that does not do."""
        store = self.deployment.stored_key
        stored = store.parsed().api_key if is_filled(store.content()) else None
        if stored is not None and self.key_file is None:
            self._check(stored)
            self.dialog.ok(
                _KEY,
                _(
                    "{key} of {mode} mode is stored; `portal rotate key` replaces it",
                    key=shown(stored),
                    mode=mode_of(stored),
                ),
            )
            return
        key = read_key(self.key_file, _("Stripe restricted key for the functions"), self.dialog.language)
        if stored is not None:
            check_same_mode(key, stored)
        self._check(key)
        store_key(store, key, instead_of=stored)
        report = self.dialog.ok if key == stored else self.dialog.done
        report(
            _KEY,
            _(
                "{key} of {mode} mode is stored; the functions use it within five minutes",
                key=shown(key),
                mode=mode_of(key),
            ),
        )

    def _check(self, key: str) -> None:
        for note in check_key(self.deployment, key):
            self.dialog.note(_KEY, note)

    # ------------------------------------------------------------ events

    @property
    def uses_eventbridge(self) -> bool:
        """Whether events are to come by Amazon EventBridge."""
        return self.eventbridge or bool(self.deployment.parameters.get("StripeEventSource"))

    @property
    def events(self) -> tuple[str, ...]:
        """The types of events that Stripe is to send."""
        return events_for(entitlements=self.deployment.entitlements)

    def endpoint(self) -> None:
        """Have one webhook endpoint with our events, whose secret is stored."""
        self.operator.write("Webhook Endpoints: write", self._endpoint)
        self._test_event()

    def _endpoint(self, client: StripeClient) -> None:
        url, store = self.deployment.output("WebhookUrl"), self.deployment.stored_signing_secrets
        now = self.deployment.ticking_clock()()
        state = delete_orphans(client, url, store, lambda each: self.dialog.done(_WEBHOOK, deleted_orphan(each)))
        if state.current is not None:
            self._keep(client, state.current)
        elif not state.unknown:
            self._create(client, state)
        else:
            self._replace(client, state)
        for each in state.replaced:
            self.dialog.note(
                _WEBHOOK, _("{id} was replaced: `portal rotate webhook --finish` removes it", id=each["id"])
            )
        if any(each.until <= now for each in store.parsed().previous):
            self.dialog.note(_WEBHOOK, _("a previous signing secret has ended"))

    def _keep(self, client: StripeClient, endpoint: StripeJson) -> None:
        if done := repair_endpoint(client, endpoint, self.events):
            self.dialog.done(_WEBHOOK, _("{id}: {done}", id=endpoint["id"], done=listed(done)))
        else:
            self.dialog.ok(_WEBHOOK, _("{id} is enabled, and sends what the mirror needs", id=endpoint["id"]))
        if has_others(endpoint, self.events):
            self.dialog.note(_WEBHOOK, _("{id} also sends events that the webhook ignores", id=endpoint["id"]))
        if (version := endpoint.get("api_version")) != API_VERSION:
            self.dialog.note(
                _WEBHOOK,
                _(
                    "its API version is {version}, which can be read; Stripe cannot change it: `portal rotate "
                    "webhook` creates an endpoint with {api_version}",
                    version=version or _("the account default"),
                    api_version=API_VERSION,
                ),
            )

    def _create(self, client: StripeClient, seen: EndpointState) -> None:
        now = self.deployment.ticking_clock()()
        url, store = self.deployment.output("WebhookUrl"), self.deployment.stored_signing_secrets
        old_until = now + OVERLAP.total_seconds()
        made = create_endpoint(client, url, store, self.events, seen=seen, now=now, old_until=old_until)
        self.dialog.done(_WEBHOOK, created(made))

    def _replace(self, client: StripeClient, seen: EndpointState) -> None:
        names = ", ".join(each["id"] for each in seen.unknown)
        if seen.stored.webhook_signing_secrets and len(seen.unknown) > 1:
            self.dialog.to_do(
                _WEBHOOK,
                _(
                    "{names} have the deployment's address, and it is not known whose signing secret is stored: "
                    "delete those that are not needed (Dashboard: Webhooks)",
                    names=names,
                ),
            )
            return
        question = _(
            "{names} was made by hand, and its signing secret is not stored. Create an endpoint in its place, and "
            "delete {names}?",
            names=names,
        )
        if not self.dialog.agrees(question):
            self.dialog.to_do(
                _WEBHOOK,
                _(
                    "put the signing secret of {names} (Dashboard: Webhooks) into webhook_signing_secrets of "
                    "SigningSecretsArn, or run this command again and let it replace the endpoint",
                    names=names,
                ),
            )
            return
        self._create(client, seen)
        for each in seen.unknown:
            delete_endpoint(client, each["id"])
            self.dialog.done(_WEBHOOK, _("deleted {id}", id=each["id"]))

    def _test_event(self) -> None:
        """Send a signed event through the real API."""
        found = self.deployment.stored_signing_secrets.parsed().webhook_signing_secrets
        if not found:
            return
        secret = found[0].get_secret_value()
        url, clock = self.deployment.output("WebhookUrl"), self.deployment.ticking_clock()
        if wait_until_accepted(url, secret, clock, livemode=self.deployment.livemode):
            self.dialog.ok(_WEBHOOK, _("the API accepts a signed test event"))
        else:
            self.dialog.to_do(_WEBHOOK, _("the API does not accept a signed test event: run `portal doctor`"))

    def destination(self) -> None:
        """Have one event destination for this AWS account and region, and say with which parameter to deploy."""
        found: EventDestination = self.operator.write("Event Destinations: write", self._destination)
        deployed = self.deployment.parameters.get("StripeEventSource") or ""
        if deployed == found.source:
            report = self.dialog.ok if found.is_active else self.dialog.to_do
            report(
                _BRIDGE,
                _(
                    "{destination} is {status}; the partner event source is {source_status}",
                    destination=found.id,
                    status=found.status,
                    source_status=found.source_status,
                ),
            )
        else:
            self.dialog.to_do(
                _BRIDGE,
                _(
                    "within seven days, run `sam deploy --parameter-overrides StripeEventSource={source}`: it "
                    "accepts the partner event source",
                    source=found.source,
                ),
            )

    def _destination(self, client: StripeClient) -> EventDestination:
        account = aws_client("sts").get_caller_identity()["Account"]
        region = aws_client("events").meta.region_name
        existing = destinations_of(client, account, region, self.events)
        if existing:
            self.dialog.ok(
                _BRIDGE,
                _(
                    "{destination} delivers to AWS account {account} in {region}",
                    destination=existing[0].id,
                    account=account,
                    region=region,
                ),
            )
            return existing[0]
        made = create_destination(client, account, region, self.events)
        self.dialog.done(
            _BRIDGE,
            _(
                "created {destination} for AWS account {account} in {region}",
                destination=made.id,
                account=account,
                region=region,
            ),
        )
        return made

    # ------------------------------------------------------------ the rest

    def link_secrets(self) -> None:
        """Have a link secret; one that is there is never touched."""
        store: StoredSecret[LinkSecrets] = self.deployment.stored_link_secrets
        if store.content():
            self.dialog.ok(_LINKS, stored_words(len(store.parsed().secrets)))
            return
        store.update(lambda content: content or {"1": new_link_secret()})
        self.dialog.done(_LINKS, _("generated the first one"))

    def portal_settings(self) -> None:
        """Check the default configuration, which only the Dashboard can make, and turn on its login page."""
        found = default_configuration(self.deployment.stripe)
        url = portal_settings_url(self.deployment.stored_key.parsed().api_key)
        if found is None and self.dialog.waited_for(_("Save the portal's settings once at {url}. Have you?", url=url)):
            found = default_configuration(self.deployment.stripe)
        if found is None:
            self.dialog.to_do(
                _PORTAL,
                _(
                    "open {url}, press Save, and run this command again: without saved settings Stripe refuses every "
                    "portal session, and its API cannot save them",
                    url=url,
                ),
            )
            return
        self.dialog.ok(_PORTAL, _("the default configuration is {id}", id=found["id"]))
        if (found.get("login_page") or {}).get("enabled"):
            self.dialog.ok(_LOGIN, _("is on"))
        elif self.dialog.agrees(_("Turn on the login page, where customers without a link get a code by e-mail?")):
            self.operator.write("Customer portal: write", lambda client: turn_on_login_page(client, found["id"]))
            self.dialog.done(_LOGIN, _("turned on"))
        else:
            self.dialog.to_do(
                _LOGIN, _("is off: visitors without a link get an error. Turn it on with --yes, or at {url}", url=url)
            )

    def senders(self) -> None:
        """Check the senders' identities in SES, and ask SES to verify those that it does not know."""
        ses, parameters = aws_client("sesv2"), self.deployment.parameters
        names = {address_of(parameters[each]) for each in ("AuditEmailFrom", "PortalEmailFrom") if parameters.get(each)}
        for address in sorted(names):
            found = identity_of(ses, address)
            if found.state is IdentityState.VERIFIED:
                self.dialog.ok(_MAIL, _("{address} is verified", address=address))
            elif found.state is IdentityState.ABSENT and self.dialog.agrees(
                _("Ask SES to verify {address} by a mail?", address=address)
            ):
                ses.create_email_identity(EmailIdentity=address)
                self.dialog.to_do(
                    _MAIL, _("follow the link in the mail that SES has sent to {address}", address=address)
                )
            elif found.state is IdentityState.PENDING:
                self.dialog.to_do(
                    _MAIL,
                    _(
                        "{address} is not verified yet: follow the link in SES's mail, or set the DNS records",
                        address=address,
                    ),
                )
            else:
                self.dialog.to_do(
                    _MAIL, _("verify {address} or its domain in SES (console: SES > Identities)", address=address)
                )
        if self.deployment.is_local or not is_in_sandbox(ses):
            return
        readers = [identity_of(ses, each) for each in parameters.get("AuditEmailTo", "").split(",") if each]
        for each in unverified(readers):
            self.dialog.to_do(
                _MAIL, _("SES is in its sandbox and {address} is not verified: it gets no audit", address=each.address)
            )
        self.dialog.note(
            _MAIL, _("SES is in its sandbox: request production access before you mail links to customers")
        )

    def alarms(self) -> None:
        """Check that somebody is told of alarms."""
        if "AlarmTopicArn" not in self.deployment.outputs:
            self.dialog.note(_ALARMS, _("the stack has none (Alarms=false)"))
            return
        readers = alarm_readers(aws_client("sns"), self.deployment.output("AlarmTopicArn"))
        for each in readers.pending:
            self.dialog.to_do(
                _ALARMS, _("{reader} has to follow the link in the mail of SNS, else nobody is told", reader=each)
            )
        if readers.confirmed:
            self.dialog.ok(_ALARMS, _("told: {readers}", readers=", ".join(readers.confirmed)))
        elif not readers.pending:
            self.dialog.to_do(_ALARMS, _("nobody is subscribed to the topic: deploy with AlarmEmail"))


@app.command()
def connect(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    stripe_key_file: Annotated[
        str | None, typer.Option(help="File with the functions' Stripe key, - for standard input, instead of asking.")
    ] = None,
    eventbridge: Annotated[
        bool, typer.Option("--eventbridge", help="Receive events through Amazon EventBridge instead of a webhook.")
    ] = False,
    backfill: Annotated[bool, typer.Option("--backfill/--no-backfill", help="Fill the mirror.")] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Change what has to be changed without asking.")] = False,
    requests_per_second: Rate = 5,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Connect a deployment with Stripe.

    Key, webhook, portal settings, mail, alarms, mirror. Can be repeated; exits with 1 if something is left to do.
    """
    dialog = Dialog(yes=yes, form=form, language=language)
    connection = Connection(context.obj(), dialog, stripe_key_file, eventbridge)
    try:
        connection.run(RateLimit(requests_per_second) if backfill else None)
        if dialog.left:
            raise typer.Exit(ExitCode.FOUND)
        dialog.ok(_("connected"), _("`portal doctor` checks all of it, whenever you like"))
    finally:
        dialog.close()
