"""Explains one subscription: reads it from Stripe, and says everything its customer can do in the portal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import stripe
from stripe import StripeClient

from shared.errors import InvalidRequest, OperatorError, sentence
from shared.i18n import Message, _, sentences
from shared.portal.changes import cancellation, plan_change
from shared.portal.configuration import Configuration, Features
from shared.portal.facts import Answer, PortalFacts, Price
from shared.portal.pause import pause_day, pausing, resuming
from shared.portal.payment_methods import TABLE, Support, Supported, removal, support_in
from shared.portal.rules import Problem, find_problems
from shared.portal.which_configuration import ConfigurationChoice, group_in, read_configuration
from shared.stripe.gateway import StripeJson, stripe_errors
from shared.stripe.subscription import Subscription, is_paused, read_subscription

_SUMMARIES = {
    (True, True): _("In the portal the customer can change and cancel this subscription."),
    (False, True): _("In the portal the customer can only cancel this subscription."),
    (True, False): _("In the portal the customer can change this subscription, but not cancel it."),
    (False, False): _("In the portal the customer can neither change nor cancel this subscription."),
}
_OR_PAUSE = _("In the portal the customer can cancel or pause this subscription, but not change its plan.")
_OR_RESUME = _("In the portal the customer can cancel or resume this subscription, but not change its plan.")
_ENDED = _("It has ended: no access.")
_REALLY_PAUSED = sentences(
    _("It is really paused (status=paused): no invoices, and the service should stop."),
    _("Entitlements are withdrawn."),
)
_UNPAID = frozenset({"incomplete", "unpaid"})


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the portal does with one subscription at one moment; `country` is the Stripe account's, if known."""

    facts: PortalFacts
    country: str | None = None

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Every question about the portal, with its answer."""
        facts = self.facts
        return plan_change(facts), cancellation(facts), pausing(facts), resuming(facts), removal(facts)

    @property
    def summary(self) -> Message:
        """The most important answers in one sentence."""
        change, cancel, pause, resume, _ = self.answers
        if cancel.possible and not change.possible and (pause.possible or resume.possible):
            return _OR_PAUSE if pause.possible else _OR_RESUME
        return _SUMMARIES[change.possible, cancel.possible]

    @property
    def access(self) -> Message:
        """What a service that decides by the subscription should do."""
        subscription = self.facts.subscription
        status = subscription.status
        if subscription.ended:
            return _ENDED
        if status == "paused":
            return _REALLY_PAUSED
        if is_paused(subscription, self.facts.now):
            return sentences(
                _(
                    "Its collection is paused, and its status is still {status}: a service that looks only at the "
                    "status serves it for free.",
                    status=status,
                ),
                _("Decide about access by pause_collection, not by status."),
            )
        if status in _UNPAID:
            return _("Its status is {status}: not paid, no access.", status=status)
        return _("Its status is {status}: a service that looks only at the status grants access.", status=status)

    @property
    def payment_methods(self) -> tuple[tuple[Supported, Support], ...]:
        """Every type that the portal supports, and whether it does in the account's country."""
        return support_in(self.country)


_Result = TypeVar("_Result")
_PAGE = 100


@dataclass(frozen=True, slots=True)
class ExplainedSubscription:
    """A subscription explained, with the configuration that its customer gets and what is wrong with that one.

    `unread`: the permissions that the key lacks, in the Dashboard's words; what depends on them is not known.
    """

    explanation: Explanation
    configuration_id: str
    problems: tuple[Problem, ...]
    group: str | None
    unread: tuple[str, ...]


@dataclass(slots=True)
class _Reader:
    client: StripeClient
    unread: list[str] = field(default_factory=list)

    def permitted(self, permission: str, read: Callable[[], _Result]) -> _Result | None:
        """Read something, or note the permission that the key lacks."""
        try:
            with stripe_errors():
                return read()
        except OperatorError as error:
            if not isinstance(error.__cause__, stripe.PermissionError):
                raise
            self.unread.append(permission)
            return None


def explain(
    client: StripeClient,
    subscription_id: str,
    now: datetime,
    choice: ConfigurationChoice,
    *,
    allow_verified_email: bool = False,
) -> ExplainedSubscription:
    """Explain what the portal does with a subscription at `now` (aware), in six requests and one for each product.

    `allow_verified_email` is the deployment's setting, for the problems of the configuration.

    Raises `InvalidRequest` for what does not exist, and `OperatorError` without a default configuration.
    """
    reader = _Reader(client)
    raw = _subscription(client, subscription_id)
    customer: StripeJson = raw["customer"] if isinstance(raw.get("customer"), Mapping) else {}
    subscription = read_subscription(raw)
    group = choice.group or group_in(customer.get("metadata"))
    raw_configuration = read_configuration(client, choice, group)
    configuration = Configuration.from_stripe(raw_configuration)
    methods = reader.permitted("Payment Methods", lambda: _payment_methods(client, subscription.customer_id))
    update_is_planned = _planned(reader, subscription, now)
    prices = _offered(reader, configuration.features)
    facts = PortalFacts(
        subscription,
        configuration.features,
        now,
        update_is_planned=update_is_planned,
        current=_current(raw),
        offered=None if prices is None else tuple(_price(each) for each in prices),
        charged=(methods or {}).get(_charged(raw, customer)),
        payment_methods=None if methods is None else len(methods),
        has_live_subscription=not subscription.ended or _has_live_subscription(client, subscription.customer_id),
    )
    country = choice.country or reader.permitted("Account", lambda: client.v1.accounts.retrieve_current().country)
    priced = configuration.with_prices({str(each["id"]): each for each in prices or ()}.get)
    problems = find_problems(priced, pause_day(now.astimezone(UTC).date()), allow_verified_email=allow_verified_email)
    return ExplainedSubscription(
        Explanation(facts, country), str(raw_configuration["id"]), tuple(problems), group, tuple(reader.unread)
    )


def _subscription(client: StripeClient, subscription_id: str) -> StripeJson:
    with stripe_errors():
        try:
            found = client.v1.subscriptions.retrieve(subscription_id, {"expand": ["customer"]})
        except stripe.InvalidRequestError as error:
            if error.http_status != HTTPStatus.NOT_FOUND:
                raise
            raise InvalidRequest(
                "no_subscription",
                sentence("Stripe has no subscription {subscription_id}", subscription_id=subscription_id),
            ) from error
    raw: StripeJson = found.to_dict(for_json=True)
    return raw


def _planned(reader: _Reader, subscription: Subscription, now: datetime) -> bool | None:
    """Whether the attached schedule has a future phase; `None` without a schedule, or if it cannot be read."""
    schedule_id = subscription.schedule_id
    if schedule_id is None:
        return None
    schedules = reader.client.v1.subscription_schedules
    schedule = reader.permitted("Subscriptions (schedules)", lambda: schedules.retrieve(schedule_id))
    if schedule is None:
        return None
    running = schedule.status in {"active", "not_started"}
    return running and any(phase.start_date > now.timestamp() for phase in schedule.phases)


def _offered(reader: _Reader, features: Features) -> list[StripeJson] | None:
    """Return the prices on offer, `None` if they cannot be read; each of at most ten products costs a request."""
    products = features.subscription_update.products
    if products is None:
        return None
    found: list[StripeJson] = []
    for each in products:
        wanted = {price.price for price in each.prices}
        listed = reader.permitted("Prices", partial(_prices, reader.client, each.product, wanted))
        if listed is None:
            return None
        found += listed
    return found


def _prices(client: StripeClient, product: str, wanted: set[str]) -> list[StripeJson]:
    """Return the wanted prices of a product; reading stops once all are found, as a product may have hundreds."""
    found: list[StripeJson] = []
    for each in client.v1.prices.list({"product": product, "active": True, "limit": _PAGE}).auto_paging_iter():
        if each.id in wanted:
            found.append(each.to_dict(for_json=True))
        if len(found) == len(wanted):
            break
    return found


def _current(raw: StripeJson) -> Price | None:
    """Return the price of the first item; of a subscription with several the portal changes nothing anyway."""
    items = (raw.get("items") or {}).get("data") or ()
    return _price(items[0]["price"]) if items and items[0].get("price") else None


def _price(raw: StripeJson) -> Price:
    product = raw.get("product")
    product_id = product["id"] if isinstance(product, Mapping) else product
    return Price(
        str(raw["id"]), str(product_id), str(raw.get("currency")), raw.get("tax_behavior"), bool(raw.get("active"))
    )


def _charged(raw: StripeJson, customer: StripeJson) -> str | None:
    """Return the id of what is charged: a payment method or source of the subscription, else the customer's default."""
    settings = customer.get("invoice_settings") or {}
    return (
        raw.get("default_payment_method")
        or raw.get("default_source")
        or settings.get("default_payment_method")
        or customer.get("default_source")
    )


def _payment_methods(client: StripeClient, customer: str) -> dict[str | None, str]:
    """Return the type of each; a deleted customer has none."""
    try:
        listed = client.v1.customers.payment_methods.list(customer, {"limit": _PAGE})
        return {each.id: each.type for each in listed.auto_paging_iter()}
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        return {}


def _has_live_subscription(client: StripeClient, customer: str) -> bool:
    with stripe_errors():
        listed = client.v1.subscriptions.list({"customer": customer, "limit": _PAGE})
        return any(each.status not in {"canceled", "incomplete_expired"} for each in listed.auto_paging_iter())


YES, NO = _("yes"), _("no")
PORTAL_LABEL = _("the portal")
LIFTED_BY_LABEL = _("What would allow it:")
AGE_LABELS = _("Pausing in the portal over the years")
DAY, PAUSE, RESUME = _("Day"), _("Can pause"), _("Can resume")
TERMINAL_LABELS = _("The same from a terminal")
ACCESS_LABEL = _("Access")
PROBLEMS_LABEL = _("To check in this configuration")
SUPPORT_LABELS = {
    Support.YES: YES,
    Support.NO: _("not in this country"),
    Support.UNKNOWN: _("see Stripe's table"),
}
METHODS_SOURCE = _("Stripe's table: {table}", table=TABLE)


def verdict(answer: Answer) -> Message:
    """The question, answered by yes or no."""
    word = YES if answer.possible else NO
    return _("{title}: {word}", title=answer.title, word=word)


def problem_line(problem: Problem) -> Message:
    """The severity of a problem of the configuration, and its message."""
    label, message = problem.severity.label, problem.message
    return _("{label}: {message}", label=label, message=message)


def methods_title(country: str | None) -> Message:
    """The title of the payment methods; the country is the Stripe account's, not the customer's."""
    if country is None:
        return _("Payment methods in the portal")
    return _("Payment methods in the portal of a Stripe account in {country}", country=country.upper())


def unread_text(permission: str) -> Message:
    """The permission that the key lacks."""
    return sentences(
        _("The API key may not read: {name}.", name=permission),
        _("What depends on it is not known (docs/how-to/deploy.md)."),
    )
