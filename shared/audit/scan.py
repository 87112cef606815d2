"""Reads the account and the mirror for an audit, in one go or in steps, and shows every object to the checks."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

from stripe import StripeClient

from shared.audit.check import (
    AccessListFacts,
    AccountFacts,
    AuditContext,
    AuditDay,
    Check,
    DriftTotals,
    InvoicesRead,
    UnpaidInvoice,
    WaitingMessages,
    no_prices,
)
from shared.audit.check_run import CheckRun, CheckRunState, customer_of, read_optional, skipped
from shared.audit.checks.registry import CHECKS
from shared.audit.findings import MIRROR_UNREADABLE, MISSING_PERMISSION, CustomerName, Finding, PausedFindings, Severity
from shared.audit.options import DEFAULT_OPTIONS, AuditOptions
from shared.audit.pauses import DAY, PausesRead, read_pauses
from shared.audit.report import Report
from shared.errors import PortalError, Unavailable
from shared.i18n import _, sentences
from shared.mirror.comparison import Comparison, SeenSubscriptions, key_of, read_subscriptions
from shared.mirror.items import item_key
from shared.mirror.lag import EventLags
from shared.mirror.rule import Mirror
from shared.mirror.table import SubscriptionTable
from shared.pausing.history import PauseReader, PauseRecord
from shared.stripe.gateway import StripeJson
from shared.stripe.lists import (
    EVENT_TYPES,
    EXPANDED,
    EXPANDED_CUSTOMER,
    EXPANDED_SCHEDULE,
    ListPage,
    Window,
    WindowReader,
    pages,
)
from shared.stripe.pacing import RateLimit, Retries, limited_reads
from shared.stripe.subscription_read import SubscriptionRead

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

# Enough to see that something is wrong; what a broken endpoint left behind may be endless.
MOST_EVENTS = 1000
# A delivery that is still under way is no fault.
TIME_TO_DELIVER = timedelta(hours=1)
# Each list besides the subscriptions has this long. With the last request of each, all of them fit in one invocation.
LIST_SECONDS = 100
# Of each kind of unpaid invoice.
MOST_INVOICES = 1000
# By the name that the team knows it by.
PAUSES = "Pauses (DynamoDB)"
DESTINATIONS = "/v2/core/event_destinations"
MOST_DESTINATION_PAGES = 10
# The permission for what is read one by one, as the Dashboard names it.
_LOOKED_UP = {"customers": "Customers", "payment_methods": "Payment Methods"}
# Requests for the prices of products, of all configurations together.
MOST_PRODUCTS_READ = 50
# What the mirror has and Stripe's list has not costs a request each. Usually that is little, of test clocks or of lost
# events; in a mirror of another account it is all.
MOST_ASKED = 5000


@dataclass(frozen=True, slots=True)
class Sources:
    """Where an audit reads, and within which rate; `repair` writes what differs in the mirror.

    `allow_verified_email` and `options` are settings of the deployment that is audited. `dead_letters` looks at its
    dead-letter queues; it raises `Unavailable`. `pauses` is its table of pauses, if it has one.
    """

    client: StripeClient
    table: SubscriptionTable
    limit: RateLimit
    uncertainty: timedelta
    retention: timedelta
    repair: bool
    allow_verified_email: bool = False
    streams: int = 8
    account: str | None = None
    options: AuditOptions = DEFAULT_OPTIONS
    dead_letters: Callable[[], Mapping[str, WaitingMessages] | None] = lambda: None
    pauses: PauseReader | None = None

    def comparison(self, day: AuditDay, seen: SeenSubscriptions) -> Comparison:
        """Start a comparison of the mirror with Stripe."""
        read = limited_reads(self.client, self.limit)
        rule = Mirror(self.table, read, uncertainty=self.uncertainty, retention=self.retention, account=self.account)
        now = day.now.timestamp()
        return Comparison(
            self.table, rule if self.repair else None, read, now, self.retention, self.uncertainty, self.limit, seen
        )


def all_configurations(client: StripeClient, retries: Retries) -> Iterator[StripeJson]:
    """Return every portal configuration, inactive ones too."""
    # Stripe leaves the products out unless they are asked for.
    expand = {"expand": ["data.features.subscription_update.products"]}
    for page in pages(client, retries, "/v1/billing_portal/configurations", expand):
        yield from page.data


def webhook_endpoints(client: StripeClient, retries: Retries) -> Sequence[StripeJson]:
    """Return the account's webhook endpoints, of which Stripe allows 16."""
    return next(pages(client, retries, "/v1/webhook_endpoints")).data


def undelivered_events(client: StripeClient, retries: Retries, now: datetime) -> list[StripeJson]:
    """Return up to `MOST_EVENTS` + 1 events about subscriptions that some endpoint has not taken within an hour."""
    params = {
        "types": list(EVENT_TYPES),
        "delivery_success": False,
        "created": {"lte": int((now - TIME_TO_DELIVER).timestamp())},
    }
    events = (each for page in pages(client, retries, "/v1/events", params) for each in page.data)
    return [{"id": each["id"], "created": each["created"]} for each in islice(events, MOST_EVENTS + 1)]


def unpaid_invoices(client: StripeClient, retries: Retries, now: datetime, options: AuditOptions) -> InvoicesRead:
    """Return up to `MOST_INVOICES` invoices of each kind that have been unpaid for longer than `options` allows.

    What Stripe charges counts from its creation, what the customer pays from its due date. Each comes with its
    subscription (docs.stripe.com/api/invoices/list, whose `expand` reaches four levels).
    """
    limits = {
        "charge_automatically": ("created", options.max_past_due_days),
        "send_invoice": ("due_date", options.max_overdue_days),
    }
    found: list[UnpaidInvoice] = []
    whole = True
    for method, (dated, days) in limits.items():
        if not days:
            continue
        params = {
            "status": "open",
            "collection_method": method,
            dated: {"lte": int((now - timedelta(days=days)).timestamp())},
            "expand": ["data.parent.subscription_details.subscription"],
        }
        read = (each for page in pages(client, retries, "/v1/invoices", params) for each in page.data)
        of_subscriptions = filter(
            None, (_of_a_subscription(each, names=options.audit_names_customers) for each in read)
        )
        listed = list(islice(of_subscriptions, MOST_INVOICES + 1))
        whole = whole and len(listed) <= MOST_INVOICES
        found += listed[:MOST_INVOICES]
    return InvoicesRead(tuple(found), whole)


def _of_a_subscription(invoice: StripeJson, *, names: bool) -> UnpaidInvoice | None:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    subscription = details.get("subscription")
    if not isinstance(subscription, Mapping):
        return None
    keys = ("customer", "customer_name", "customer_email") if names else ("customer",)
    return UnpaidInvoice(
        str(invoice["id"]),
        invoice.get("collection_method") == "charge_automatically",
        str(subscription["id"]),
        str(subscription.get("status")),
        dict(subscription.get("metadata") or {}),
        int(invoice["amount_remaining"]),
        str(invoice["currency"]),
        CustomerName(*(str(invoice.get(key) or "") for key in keys)),
    )


def event_destinations(client: StripeClient, retries: Retries) -> list[StripeJson]:
    """Return the account's event destinations (`GET /v2/core/event_destinations`), their addresses included.

    A list of version 2 names its next page by a URL, and takes no cursor (stripe-python 16.1.0).
    """
    found: list[StripeJson] = []
    path, params = DESTINATIONS, {"include": ["webhook_endpoint.url"]}
    for _page in range(MOST_DESTINATION_PAGES):
        answer = retries.of_stripe(partial(client.raw_request, "get", path, max_network_retries=0, **params))
        found += answer.data["data"]
        following = answer.data.get("next_page_url")
        if not following:
            break
        # The client's own address and no other: only the path and the query are taken.
        parts = urlsplit(following)
        path, params = f"{DESTINATIONS}?{parts.query}", {}
    return found


class LookUps:
    """Objects read one by one, each at the cost of a request; none after one has failed, which is a finding."""

    def __init__(self, client: StripeClient, retries: Retries, add: Callable[[Finding], None]) -> None:
        self._client = client
        self._retries = retries
        self._add = add
        self._failed = False

    def __call__(self, path: str) -> StripeJson | None:
        """Return the object at a path of the API; `None` if it cannot be read."""
        if self._failed:
            return None

        def read() -> StripeJson:
            found: StripeJson = self._client.raw_request("get", path, max_network_retries=0).data
            return found

        found = read_optional(lambda: self._retries.of_stripe(read), _LOOKED_UP[path.split("/")[2]], self._add)
        self._failed = found is None
        return found


class Prices:
    """The prices of products, each product's read once, and not more than `MOST_PRODUCTS_READ` of them."""

    def __init__(self, client: StripeClient, retries: Retries) -> None:
        self._client = client
        self._retries = retries
        self._known: dict[str, Sequence[StripeJson]] = {}
        self._failed = False

    def __call__(self, product_id: str) -> Sequence[StripeJson]:
        """Return all prices of a product; nothing once the requests are used up, or one of them has failed."""
        if product_id not in self._known:
            if self._failed or len(self._known) >= MOST_PRODUCTS_READ:
                return ()
            try:
                read = pages(self._client, self._retries, "/v1/prices", {"product": product_id})
                prices = [price for page in read for price in page.data]
            except PortalError:
                self._failed = True
                raise
            self._known[product_id] = prices
        return self._known[product_id]


_UNREADABLE = Finding(
    MIRROR_UNREADABLE,
    Severity.CRITICAL,
    (),
    sentences(
        _(
            "The table of subscriptions did not answer: it is not known since when collection is paused, nor whether "
            "the mirror is true."
        ),
        _("What Stripe says about each subscription was read all the same."),
    ),
    _("Find the error in the audit's log, then run `portal reconcile`."),
)


_NAMELESS = Finding(
    MISSING_PERMISSION,
    Severity.INFO,
    (),
    sentences(
        _("The API key may not read: {name}.", name="Customers"),
        _("Customers are shown by their ids, without names."),
    ),
    _("Allow the restricted key to read {permission} (docs/how-to/deploy.md).", permission="Customers"),
)


class Scan:
    """One step of an audit: subscriptions, then the mirror, then the rest of the account."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the two ways of an audit share
        self,
        sources: Sources,
        day: AuditDay,
        checks: tuple[Check, ...],
        paused: Callable[[Finding], None],
        seen: SeenSubscriptions,
        drift: DriftTotals,
    ) -> None:
        """Pass each finding about a paused subscription to `paused`; add to `seen` and to `drift`."""
        self._sources = sources
        self._all_checks = checks
        self._retries = Retries(sources.limit, more=self._time_is_left)
        self._list_until = math.inf
        context = AuditContext(
            day.now,
            day.phase,
            day.days_left,
            day.cutoff_on,
            prices_of=no_prices if "Prices" in sources.options.audit_skips else Prices(sources.client, self._retries),
            allow_verified_email=sources.allow_verified_email,
            button_removed_on=day.button_removed_on,
            timezone=day.timezone,
            options=sources.options,
        )
        if sources.options.reads_payment_methods:
            look_up = LookUps(sources.client, Retries(sources.limit), self._add_own_finding)
            context = replace(context, look_up=look_up)
        self.checks = CheckRun(checks, context, paused)
        self._day = day
        self._seen, self._drift = seen, drift
        self.lags = EventLags()
        self.pauses: PausesRead | None = None
        self._asked, self._given_up = drift.asked, drift.given_up
        self._comparison = sources.comparison(day, seen)
        self._compares = True

    def load(self, state: CheckRunState, lags: EventLags, pauses: PausesRead | None) -> None:
        """Continue from the state of the step before; once that gave up on the mirror, so does this one."""
        self.checks.load(state)
        self.lags, self.pauses = lags, pauses
        self._compares = _UNREADABLE not in state.own

    def read_pauses(self, since: int | None = None, until: int | None = None) -> None:
        """Read what the table `Pauses` says of a time, by default the last day; Unix seconds.

        It has to be read before subscriptions are. A table that cannot be read is a finding.
        """
        table, options, now = self._sources.pauses, self._sources.options, int(self._day.now.timestamp())
        if table is None:
            return
        begin, end = now - DAY if since is None else since, now if until is None else until
        read = partial(read_pauses, table, begin, end, options, self._time_is_left)
        self.pauses = self._read_list(read, PAUSES)

    def read_subscriptions(
        self,
        windows: Sequence[Window],
        more: Callable[[], bool] = lambda: True,
        progress: Callable[[int], None] = lambda _: None,
    ) -> tuple[Window, ...]:
        """Read subscriptions until none is left or `more` returns false; return the windows that are left.

        `progress` is called after each page with the number of subscriptions read.
        """
        sources = self._sources
        customer = (EXPANDED_CUSTOMER,) if sources.options.audit_names_customers else ()
        expand = (*EXPANDED, *customer, EXPANDED_SCHEDULE)
        reader = WindowReader(sources.client, sources.limit, windows, streams=sources.streams, expand=expand)
        for page in reader.pages(more):
            self._see(page)
            progress(self.checks.subscriptions_read)
        return reader.left

    def compare_mirror(
        self, start: Mapping[str, Any] | None, more: Callable[[], bool] = lambda: True
    ) -> Mapping[str, Any] | None:
        """Look up at Stripe what the mirror has and Stripe's list had not; return where to continue, `None` at the end.

        Starts at `start`; stops when `more` returns false, or once `MOST_ASKED` items were looked up, which the drift
        then says.
        """

        def read(comparison: Comparison) -> Mapping[str, Any] | None:
            page = comparison.retries.of(partial(self._sources.table.page, start))
            for held in page.items:
                if self._asked >= MOST_ASKED and comparison.is_stray(held):
                    self._given_up = True
                    return None
                if comparison.compare_mirrored(held):
                    self._asked += 1
                    if not more():
                        return item_key(held.subscription.customer_id, held.subscription.id)
            return page.next_start

        while (start := self._compare(read)) and more():
            pass
        return start

    def check_account(self, webhook_url: str | None, access_list: AccessListFacts | None = None) -> None:
        """Read what an account has only once or a few of, and show it to the checks, with the drift.

        A list that cannot be read, or not within `LIST_SECONDS`, is a finding.
        """
        client, checks = self._sources.client, self.checks
        kept: list[StripeJson] = []

        def configurations() -> list[StripeJson]:
            """Show each as it comes; keep only the default ones."""
            for raw in all_configurations(client, self._retries):
                checks.check_configuration(raw)
                if raw.get("is_default"):
                    kept.append(raw)
            return kept

        day, options = self._day, self._sources.options
        if options.audit_skips:
            checks.add_own_finding(skipped(options.audit_skips, self._all_checks))
        endpoints = partial(webhook_endpoints, client, self._retries)
        destinations = partial(event_destinations, client, self._retries)
        unpaid = partial(unpaid_invoices, client, self._retries, day.now, options)
        undelivered = partial(undelivered_events, client, self._retries, self._day.now)
        events = self._read_list(undelivered, "Events")
        checks.check_account(
            AccountFacts(
                checks.subscriptions_read,
                self._read_list(configurations, "Customer portal"),
                self._read_list(endpoints, "Webhook Endpoints"),
                None if events is None else events[:MOST_EVENTS],
                undelivered_whole=events is None or len(events) <= MOST_EVENTS,
                webhook_url=webhook_url,
                drift=self.drift(),
                lags=self.lags,
                uncertainty=self._sources.uncertainty,
                unpaid_invoices=self._read_list(unpaid, "Invoices"),
                event_destinations=self._read_list(destinations, "Event Destinations"),
                dead_letters=self._read_list(self._sources.dead_letters, "dead-letter queues"),
                access_list=access_list,
                pauses=self.pauses,
            )
        )

    def _add_own_finding(self, finding: Finding) -> None:
        self.checks.add_own_finding(finding)

    def _read_list(self, read: Callable[[], _Result], permission: str) -> _Result | None:
        """Read a list for `LIST_SECONDS` at most; one that cannot be read is a finding, and one to skip is not."""
        if permission in self._sources.options.audit_skips:
            return None
        self._list_until = self._sources.limit.seconds() + LIST_SECONDS
        return read_optional(read, permission, self.checks.add_own_finding)

    def _time_is_left(self) -> bool:
        return self._sources.limit.seconds() < self._list_until

    def drift(self) -> DriftTotals:
        """Return the drift seen so far; the youngest differences are waited for."""
        self._compare(lambda comparison: comparison.confirm(wait=True))
        seen = self._drift.plus(self._comparison.counts.result())
        return replace(seen, asked=self._asked, given_up=self._given_up)

    def report(self, paused: PausedFindings) -> Report:
        """Return what was found."""
        day, checks = self._day, self.checks
        return Report(
            day.now,
            day.timezone,
            day.phase,
            day.days_left,
            checks.livemode,
            checks.subscriptions_read,
            checks.findings(),
            paused,
            day.button_removed_on,
            self._sources.options.service_honors_pauses,
            self.lags,
            self._sources.uncertainty,
            self._sources.options.audit_skips,
            self.pauses.until if self.pauses else None,
        )

    def _see(self, page: ListPage) -> None:
        if self._sources.options.audit_names_customers and any(
            isinstance(raw.get("customer"), str) for raw in page.data
        ):
            self.checks.add_own_finding(_NAMELESS)
        every = read_subscriptions(page)
        read = [each for each in every if isinstance(each, SubscriptionRead)]
        table = self._sources.table
        held = self._compare(lambda comparison: comparison.retries.of(lambda: table.get_many(map(key_of, read)))) or {}
        self.lags = self.lags.plus(held.values())
        beginnings = {each.subscription.id: each.beginnings for each in held.values()}
        listed = {str(raw.get("id")): raw for raw in page.data}
        self.checks.check_subscriptions(every, beginnings, listed, self._pauses_of(read, listed), self.pauses)
        self._compare(lambda comparison: comparison.compare(read, held))
        if not self._compares:
            self._seen.add(map(key_of, read))

    def _pauses_of(
        self, read: Iterable[SubscriptionRead], listed: Mapping[str, StripeJson]
    ) -> Mapping[str, PauseRecord]:
        """Return the records of a page's paused subscriptions, and note the customers' names that are wanted.

        It takes no request where no pause was ever set, or none of them is paused; one that fails is a finding, and the
        last.
        """
        table, known = self._sources.pauses, self.pauses
        if table is None or known is None or known.is_empty:
            return {}
        if wanted := known.named & listed.keys():
            self.pauses = known.with_names({each: customer_of(listed[each]) for each in wanted})
        paused = [each.subscription.id for each in read if each.subscription.pause_kind is not None]
        if not paused:
            return {}
        found = read_optional(lambda: table.get_many(paused), PAUSES, self._add_own_finding)
        if found is None:
            self.pauses = None
        return found or {}

    def _compare(self, act: Callable[[Comparison], _Result]) -> _Result | None:
        """Act, unless the mirror has failed. That is a finding; what Stripe says is worth a mail by itself."""
        if not self._compares:
            return None
        try:
            return act(self._comparison)
        except Unavailable as error:
            if error.code != "mirror_unavailable":
                raise
            logger.warning("The audit goes on without the mirror: %s", error.message)
            self.checks.add_own_finding(_UNREADABLE)
            self._compares = False
            return None


def run_audit(  # noqa: PLR0913 - what an audit of an account depends on
    sources: Sources,
    day: AuditDay,
    *,
    checks: tuple[Check, ...] = CHECKS,
    webhook_url: str | None = None,
    access_list: AccessListFacts | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Audit the account that the client's key belongs to.

    `webhook_url` is the deployment's own endpoint, if known, and `access_list` the comparison with the company's own
    list, if there is one. `progress` is called with the number of subscriptions
    read.
    Reads all subscriptions that are not canceled, what the mirror has of them, and the few other lists that the checks
    need. Raises `OperatorError` when Stripe refuses the key or its reading of subscriptions, and `Unavailable` when it
    does not answer there: half an audit is none. Any other list that cannot be read is a finding, and so is a mirror
    that does not answer.
    """
    paused = PausedFindings()
    scan = Scan(sources, day, checks, paused.add, SeenSubscriptions(), DriftTotals())
    progress(0)
    scan.read_pauses()
    scan.read_subscriptions((Window(),), progress=progress)
    scan.compare_mirror(None)
    scan.check_account(webhook_url, access_list)
    return scan.report(paused)
