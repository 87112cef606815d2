"""Reads what an audit looks at; the terminal does it in one go, a night in steps that can each be done again."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from shared.audit import account
from shared.audit.check import Account, AuditContext, Check, Raw
from shared.audit.day import AuditDay
from shared.audit.drift_seen import DriftSeen
from shared.audit.finding import MIRROR_UNREADABLE, Finding, Severity
from shared.audit.looking import Looked, Looking
from shared.audit.paused_findings import PausedFindings
from shared.audit.report import Report
from shared.audit.sources import Sources
from shared.audit.text import Text
from shared.audit.window import Window, WindowReader
from shared.errors import Unavailable
from shared.mirror_item import item_key
from shared.recovery.bring import read_each
from shared.recovery.comparison import Comparison, key_of
from shared.recovery.pages import Page
from shared.recovery.retries import Retries
from shared.recovery.seen import Seen
from shared.stripe_gateway import SubscriptionRead

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

# What the mirror has and Stripe's list has not costs a request each. Usually that is little, of test clocks or of lost
# events; in a mirror of another account it is all.
MOST_ASKED = 5000

_UNREADABLE = Finding(
    MIRROR_UNREADABLE,
    Severity.CRITICAL,
    (),
    Text(
        "The table of subscriptions did not answer: since when collection is paused is not known, nor whether the "
        "mirror is true. What Stripe says of each subscription was read all the same.",
        "La table des abonnements n'a pas répondu : on ignore depuis quand la collecte est suspendue et si le miroir "
        "est exact. Ce que Stripe dit de chaque abonnement a été lu malgré tout.",
    ),
    Text(
        "Look into the audit's log for the error, then run `portal reconcile`.",
        "Cherchez l'erreur dans le journal de l'audit, puis lancez `portal reconcile`.",
    ),
)


class Reading:
    """One stretch of an audit's reading."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the two ways of an audit share
        self,
        sources: Sources,
        day: AuditDay,
        checks: tuple[Check, ...],
        paused: Callable[[Finding], None],
        seen: Seen,
        drift: DriftSeen,
    ) -> None:
        """Hand every finding about a paused subscription to `paused`; add to `seen` and to `drift`."""
        self._sources = sources
        self._retries = Retries(sources.limit)
        context = AuditContext(
            day.now,
            day.phase,
            day.days_left,
            day.cutoff_on,
            prices_of=account.Prices(sources.client, self._retries),
        )
        self.looking = Looking(checks, context, paused)
        self._day = day
        self._seen, self._drift = seen, drift
        self._asked, self._given_up = drift.asked, drift.given_up
        self._comparison = sources.comparison(day, seen)
        self._compares = True

    def load(self, looked: Looked) -> None:
        """Go on from where another stretch was; where it gave the mirror up, so does this one."""
        self.looking.load(looked)
        self._compares = _UNREADABLE not in looked.own

    def subscriptions(self, windows: Sequence[Window], more: Callable[[], bool] = lambda: True) -> tuple[Window, ...]:
        """Read subscriptions until nothing is left or `more` says no; answer what is left."""
        reader = WindowReader(self._sources.client, self._sources.limit, windows, streams=self._sources.streams)
        for page in reader.pages(more):
            self._see(page)
        return reader.left

    def mirrored(
        self, start: Mapping[str, Any] | None, more: Callable[[], bool] = lambda: True
    ) -> Mapping[str, Any] | None:
        """Read the mirror the other way, from `start`, until its end or `more` says no; answer where to go on.

        Ends as well once `MOST_ASKED` of its items had to be asked for: the drift says so.
        """

        def read(comparison: Comparison) -> Mapping[str, Any] | None:
            items, then = comparison.retries.of(partial(self._sources.table.page, start))
            for held in items:
                if self._asked >= MOST_ASKED and comparison.is_stray(held):
                    self._given_up = True
                    return None
                if comparison.see_mirrored(held):
                    self._asked += 1
                    if not more():
                        return item_key(held.subscription.customer_id, held.subscription.id)
            return then

        while (start := self._compare(read)) and more():
            pass
        return start

    def account(self, webhook_url: str | None) -> None:
        """Read what the account has once, or few of, and show it to the checks, with the drift."""
        client, looking = self._sources.client, self.looking
        kept: list[Raw] = []

        def configurations() -> list[Raw]:
            """Show them as they come; only the default ones are kept."""
            for raw in account.all_configurations(client, self._retries):
                looking.at_configuration(raw)
                if raw.get("is_default"):
                    kept.append(raw)
            return kept

        endpoints = partial(account.webhook_endpoints, client, self._retries)
        undelivered = partial(account.undelivered_events, client, self._retries, self._day.now)
        events = account.read_if_permitted(undelivered, "Events", looking.note)
        looking.at_account(
            Account(
                looking.subscriptions_read,
                account.read_if_permitted(configurations, "Customer portal", looking.note),
                account.read_if_permitted(endpoints, "Webhook Endpoints", looking.note),
                None if events is None else events[: account.MOST_EVENTS],
                undelivered_whole=events is None or len(events) <= account.MOST_EVENTS,
                webhook_url=webhook_url,
                drift=self.drift(),
            )
        )

    def drift(self) -> DriftSeen:
        """Answer the drift seen so far; the youngest differences are waited for."""
        self._compare(lambda comparison: comparison.judge(everything=True))
        seen = self._drift.plus(self._comparison.tally.summary())
        return replace(seen, asked=self._asked, given_up=self._given_up)

    def report(self, paused: PausedFindings) -> Report:
        """Answer what was found."""
        day, looking = self._day, self.looking
        return Report(
            day.now,
            day.timezone,
            day.phase,
            day.days_left,
            looking.livemode,
            looking.subscriptions_read,
            looking.findings(),
            paused,
        )

    def _see(self, page: Page) -> None:
        every = read_each(page)
        read = [each for each in every if isinstance(each, SubscriptionRead)]
        table = self._sources.table
        held = self._compare(lambda comparison: comparison.retries.of(lambda: table.get_many(map(key_of, read)))) or {}
        since = {each.subscription.id: each.paused_since for each in held.values() if each.paused_since is not None}
        self.looking.at_subscriptions(every, since)
        self._compare(lambda comparison: comparison.see(read, held))
        if not self._compares:
            self._seen.add(map(key_of, read))

    def _compare(self, act: Callable[[Comparison], _Answer]) -> _Answer | None:
        """Act, unless the mirror did not answer before; that is a finding: what Stripe tells is worth a mail alone."""
        if not self._compares:
            return None
        try:
            return act(self._comparison)
        except Unavailable as error:
            if error.code != "mirror_unavailable":
                raise
            logger.warning("The audit goes on without the mirror: %s", error.message)
            self.looking.note(_UNREADABLE)
            self._compares = False
            return None
