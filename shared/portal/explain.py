"""Explains one subscription: reads it from Stripe, and says everything its customer can do in the portal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import stripe
from stripe import StripeClient

from shared.errors import InvalidRequest, OperatorError
from shared.i18n import Text
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
    (True, True): Text(
        "In the portal the customer can change and cancel this subscription.",
        "Dans le portail, le client peut modifier et résilier cet abonnement.",
    ),
    (False, True): Text(
        "In the portal the customer can only cancel this subscription.",
        "Dans le portail, le client peut seulement résilier cet abonnement.",
    ),
    (True, False): Text(
        "In the portal the customer can change this subscription, not cancel it.",
        "Dans le portail, le client peut modifier cet abonnement, mais non le résilier.",
    ),
    (False, False): Text(
        "In the portal the customer can neither change nor cancel this subscription.",
        "Dans le portail, le client ne peut ni modifier ni résilier cet abonnement.",
    ),
}
_OR_PAUSE = Text(
    "In the portal the customer can cancel or pause this subscription, but not change its plan.",
    "Dans le portail, le client peut résilier ou mettre en pause cet abonnement, mais pas changer d'offre.",
)
_OR_RESUME = Text(
    "In the portal the customer can cancel or resume this subscription, but not change its plan.",
    "Dans le portail, le client peut résilier ou reprendre cet abonnement, mais pas changer d'offre.",
)
_ENDED = Text("It has ended: no access.", "Il est terminé : plus d'accès.")
_REALLY_PAUSED = Text(
    "It is really paused (status=paused): no invoices, and the service should stop. Entitlements are withdrawn.",
    "Il est réellement en pause (status=paused) : aucune facture, et le service doit cesser. Les droits "
    "(entitlements) sont retirés.",
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
    def summary(self) -> Text:
        """The most important answers in one sentence."""
        change, cancel, pause, resume, _ = self.answers
        if cancel.possible and not change.possible and (pause.possible or resume.possible):
            return _OR_PAUSE if pause.possible else _OR_RESUME
        return _SUMMARIES[change.possible, cancel.possible]

    @property
    def access(self) -> Text:
        """What a service that decides by the subscription should do."""
        subscription = self.facts.subscription
        status = subscription.status
        if subscription.ended:
            return _ENDED
        if status == "paused":
            return _REALLY_PAUSED
        if is_paused(subscription, self.facts.now):
            return Text(
                f"Its collection is suspended, and its status is still {status}: a service that goes by the status "
                "alone serves it for free. Decide by pause_collection.",
                f"Sa collecte est suspendue, et son statut est toujours {status} : un service qui ne regarde que le "
                "statut le sert sans être payé. Décidez selon pause_collection.",
            )
        if status in _UNPAID:
            return Text(
                f"Its status is {status}: not paid, no access.", f"Son statut est {status} : impayé, pas d'accès."
            )
        return Text(
            f"Its status is {status}: a service that goes by the status serves it.",
            f"Son statut est {status} : un service qui s'en tient au statut le sert.",
        )

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
    client: StripeClient, subscription_id: str, now: datetime, choice: ConfigurationChoice
) -> ExplainedSubscription:
    """Explain what the portal does with a subscription at `now` (aware), in six requests and one for each product.

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
    problems = find_problems(priced, pause_day(now.astimezone(UTC).date()))
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
            raise InvalidRequest("no_subscription", f"Stripe has no subscription {subscription_id}") from error
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
        listed = client.v1.customers.payment_methods.list(customer, {"limit": _PAGE}).data
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        return {}
    return {each.id: each.type for each in listed}


def _has_live_subscription(client: StripeClient, customer: str) -> bool:
    with stripe_errors():
        listed = client.v1.subscriptions.list({"customer": customer, "limit": _PAGE}).data
    return any(each.status not in {"canceled", "incomplete_expired"} for each in listed)


YES, NO = Text("yes", "oui"), Text("no", "non")
PORTAL_LABEL = Text("the portal", "le portail")
LIFTED_BY_LABEL = Text("What would lift it:", "Ce qui le permettrait :")
AGE_LABELS = Text("Pausing in the portal, through the years", "La pause dans le portail, au fil des ans")
DAY, PAUSE, RESUME = Text("Day", "Jour"), Text("Can pause", "Peut suspendre"), Text("Can resume", "Peut reprendre")
TERMINAL_LABELS = Text("The same from a terminal", "La même chose depuis un terminal")
ACCESS_LABEL = Text("Access", "Accès")
PROBLEMS_LABEL = Text("To check in this configuration", "À vérifier dans cette configuration")
SUPPORT_LABELS = {
    Support.YES: YES,
    Support.NO: Text("not in this country", "pas dans ce pays"),
    Support.UNKNOWN: Text("see Stripe's table", "voir le tableau de Stripe"),
}
METHODS_SOURCE = Text(f"Stripe's table: {TABLE}", f"Le tableau de Stripe : {TABLE}")


def verdict(answer: Answer) -> Text:
    """The question, answered by yes or no."""
    word = YES if answer.possible else NO
    return Text(f"{answer.title.en}: {word.en}", f"{answer.title.fr} : {word.fr}")


def problem_line(problem: Problem) -> Text:
    """The severity of a problem of the configuration, and its message."""
    label, message = problem.severity.label, problem.message
    return Text(f"{label.en}: {message.en}", f"{label.fr} : {message.fr}")


def methods_title(country: str | None) -> Text:
    """The title of the payment methods; the country is the Stripe account's, not the customer's."""
    if country is None:
        return Text("Payment methods in the portal", "Moyens de paiement dans le portail")
    return Text(
        f"Payment methods in the portal of a Stripe account in {country.upper()}",
        f"Moyens de paiement dans le portail d'un compte Stripe du pays {country.upper()}",
    )


def unread_text(permission: str) -> Text:
    """The permission that the key lacks."""
    return Text(
        f"The API key may not read: {permission}. What depends on it is not known (docs/how-to/deploy.md).",
        f"La clé API n'a pas le droit de lire : {permission}. Ce qui en dépend est inconnu (docs/how-to/deploy.md).",
    )
