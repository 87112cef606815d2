"""What can be wrong with a portal configuration: each rule has one code and one severity, whoever asks.

`portal lint`, `plan` and `apply` ask about the entries of portal.yaml, the audit and `portal explain` about the
configurations of the account. Sources: docs.stripe.com/customer-management and docs.stripe.com/api/customer_portal.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from shared.i18n import Message, _, _n, interval_text, listed, sentences
from shared.portal.configuration import Configuration, OfferedPrice, OfferedProduct, PauseOption
from shared.portal.pause import PauseDay, Phase

LONGEST_HEADLINE = 60
MOST_PRODUCTS = 10
# Three years, in each unit.
LONGEST_PAUSE = {"day": 3 * 365, "week": 3 * 52, "month": 3 * 12, "year": 3}

Path = tuple[str | int, ...]


class Severity(StrEnum):
    """How much a problem matters.

    error: Stripe refuses the configuration, the portal cannot work with it, or a customer can get at another's account
    with it. warning: it works, but not as its owner will expect. info: advice. Nothing else that Stripe accepts is an
    error.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def label(self) -> Message:
        """The word for people."""
        return _LABELS[self]


_LABELS = {
    Severity.ERROR: _("error"),
    Severity.WARNING: _("warning"),
    Severity.INFO: _("info"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `path` leads to it within the configuration, `fix` says what to do."""

    code: str
    severity: Severity
    path: Path
    message: Message
    fix: Message


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a configuration breaks a rule; `severity` is given only where it depends on the day."""

    path: Path
    message: Message
    fix: Message
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. It has several `severities`, the worst first, only if the day decides.

    `compares_prices`: it needs the interval and the currency of each price (`Configuration.with_prices`).
    `about_verified_email`: it applies only to a deployment with `AllowVerifiedEmail`.
    """

    code: str
    severities: tuple[Severity, ...]
    title: Message
    find: Callable[[Configuration, PauseDay], Iterable[Fault]]
    compares_prices: bool = False
    about_verified_email: bool = False

    def problems(
        self, configuration: Configuration, day: PauseDay, *, allow_verified_email: bool = False
    ) -> Iterator[Problem]:
        """Return every place where a configuration breaks the rule.

        `allow_verified_email` is the setting of the deployment that opens this portal; `False` if it is not known.
        """
        if self.about_verified_email and not allow_verified_email:
            return
        for fault in self.find(configuration, day):
            severity = fault.severity or self.severities[0]
            yield Problem(self.code, severity, fault.path, fault.message, fault.fix)


def find_problems(configuration: Configuration, day: PauseDay, *, allow_verified_email: bool = False) -> list[Problem]:
    """Return everything that is wrong with a configuration on a day, in a deployment with or without the setting."""
    return [
        problem
        for rule in RULES
        for problem in rule.problems(configuration, day, allow_verified_email=allow_verified_email)
    ]


_CANCEL: Path = ("features", "subscription_cancel")
_PAUSE: Path = ("features", "subscription_pause")
_UPDATE: Path = ("features", "subscription_update")

_OLD_PAUSE_SEVERITY = {
    Phase.BUTTON_AVAILABLE: Severity.INFO,
    Phase.RESUME_ONLY: Severity.WARNING,
    Phase.STRANDED: Severity.ERROR,
}
_OLD_PAUSE = _("features.subscription_pause has no duration: this is the old pause button.")
_NOBODY_SEES_IT = _("The configuration is inactive, so no customer sees it.")
_OLD_PAUSE_FIX = {
    Phase.BUTTON_AVAILABLE: _("Plan for the end of the button."),
    Phase.RESUME_ONLY: _("Ask paused customers to resume while they can."),
    Phase.STRANDED: _("Stop sending the old form."),
}
_ADD_DURATION = _(
    "Add a `duration: {{type: interval_options, interval_options: [{{interval: month}}]}}` (API "
    "2026-10-28.endive or later), or remove subscription_pause."
)


def old_pause_meaning(day: PauseDay) -> Message:
    """Say what `features.subscription_pause` in its old form, without a duration, does on a day."""
    match day.phase:
        case Phase.BUTTON_AVAILABLE:
            return sentences(
                _("Customers can suspend their own payments, and the status stays active."),
                _(
                    "From {cutoff} they cannot resume by themselves, and sending the parameter is an error.",
                    cutoff=day.cutoff_on,
                ),
            )
        case Phase.RESUME_ONLY:
            return sentences(
                _n(
                    "Customers can no longer pause, only resume, until {cutoff} ({n} day left).",
                    "Customers can no longer pause, only resume, until {cutoff} ({n} days left).",
                    day.days_left,
                    cutoff=day.cutoff_on,
                ),
                _("After that, sending the parameter is an error."),
            )
        case Phase.STRANDED:
            return _(
                "Since {cutoff} it neither pauses nor resumes, and code that sends it may get an error.",
                cutoff=day.cutoff_on,
            )


def _old_pause_form(configuration: Configuration, day: PauseDay) -> Iterator[Fault]:
    if configuration.features.subscription_pause.is_old_form:
        severity = _OLD_PAUSE_SEVERITY[day.phase] if configuration.active else Severity.INFO
        message = sentences(_OLD_PAUSE, old_pause_meaning(day) if configuration.active else _NOBODY_SEES_IT)
        yield Fault(_PAUSE, message, sentences(_OLD_PAUSE_FIX[day.phase], _ADD_DURATION), severity)


def _no_pause_options(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    duration = configuration.features.subscription_pause.duration
    if duration and duration.type == "interval_options" and not duration.interval_options:
        yield Fault(
            (*_PAUSE, "duration"),
            _("The pause has no length to choose from."),
            _("List some: `- {{interval: month}}`."),
        )


def _indefinite_options(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    duration = configuration.features.subscription_pause.duration
    if duration and duration.type == "indefinite" and duration.interval_options:
        yield Fault(
            (*_PAUSE, "duration", "interval_options"),
            _("An indefinite pause has no lengths to choose from: interval_options has no effect."),
            _("Remove interval_options."),
        )


def _pause_too_long(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    duration = configuration.features.subscription_pause.duration
    for position, option in enumerate(duration.interval_options if duration else ()):
        longest = LONGEST_PAUSE.get(option.interval)
        if longest is not None and option.interval_count > longest:
            yield Fault(
                (*_PAUSE, "duration", "interval_options", position),
                _(
                    "A pause of {length} is longer than three years, the longest that Stripe allows.",
                    length=_length(option),
                ),
                _("At most {length}.", length=interval_text(longest, option.interval)),
            )


def _span_twice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    duration = configuration.features.subscription_pause.duration
    options = duration.interval_options if duration else ()
    for position, option in enumerate(options):
        if option in options[:position]:
            yield Fault(
                (*_PAUSE, "duration", "interval_options", position),
                _("The pause of {length} is listed twice.", length=_length(option)),
                _("Keep one length."),
            )


def _length(option: PauseOption) -> Message:
    return interval_text(option.interval_count, option.interval)


def _inactive_default(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    if configuration.default and not configuration.active:
        yield Fault(
            ("active",),
            _(
                "The default configuration is inactive: the login page does not open, nor does any link that "
                "names no other configuration."
            ),
            _("Activate it (`active: true`)."),
        )


def _headline_too_long(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    length = len(configuration.business_profile.headline or "")
    if length > LONGEST_HEADLINE:
        yield Fault(
            ("business_profile", "headline"),
            _(
                "The headline has {length} characters; Stripe takes {longest}.",
                length=length,
                longest=LONGEST_HEADLINE,
            ),
            _n("Remove {n} character.", "Remove {n} characters.", length - LONGEST_HEADLINE),
        )


_RETURN_URL = _("a return URL (default_return_url)")
_TERMS = _("the terms of service (business_profile.terms_of_service_url)")
_PRIVACY = _("the privacy policy (business_profile.privacy_policy_url)")


def _links_missing(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    profile = configuration.business_profile
    links = (
        (_RETURN_URL, configuration.default_return_url),
        (_TERMS, profile.terms_of_service_url),
        (_PRIVACY, profile.privacy_policy_url),
    )
    missing = listed(name for name, value in links if not value)
    if missing and configuration.active:
        yield Fault(
            (),
            _(
                "This portal configuration lacks: {missing}. Stripe's page about the portal asks for these "
                "links, its API does not.",
                missing=missing,
            ),
            _("Add these addresses to the configuration."),
        )


def _always_invoice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    if configuration.features.subscription_cancel.proration_behavior == "always_invoice":
        yield Fault(
            (*_CANCEL, "proration_behavior"),
            _("Stripe refuses always_invoice for cancellations."),
            _("Set none or create_prorations."),
        )


def _proration_mode(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    cancel = configuration.features.subscription_cancel
    if cancel.proration_behavior == "create_prorations" and cancel.mode != "immediately":
        yield Fault(
            (*_CANCEL, "proration_behavior"),
            _("create_prorations has no effect: Stripe prorates only when a subscription is canceled immediately."),
            _("Set none, or `mode: immediately`."),
        )


def _no_reasons(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    cancel = configuration.features.subscription_cancel
    reason = cancel.cancellation_reason
    if cancel.enabled and reason.enabled and not (reason.options or reason.feedback_options):
        yield Fault(
            (*_CANCEL, "cancellation_reason"),
            _("Customers are asked why they cancel, but have no reasons to choose from."),
            _("List options, or switch cancellation_reason off."),
        )


def _nothing_to_update(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    customer, update = configuration.features.customer_update, configuration.features.subscription_update
    if customer.enabled and not customer.allowed_updates:
        yield _empty_list(("features", "customer_update"), "allowed_updates")
    if not update.enabled:
        return
    if not update.default_allowed_updates:
        yield _empty_list(_UPDATE, "default_allowed_updates")
    elif "price" in update.default_allowed_updates and update.products == ():
        yield _empty_list(_UPDATE, "products")


def _empty_list(path: Path, name: str) -> Fault:
    feature = path[-1]
    return Fault(
        path,
        _("{feature} is on, but {name} is empty: customers can change nothing.", feature=feature, name=name),
        _("List what they can change in {name}.", name=name),
    )


def _editable_email(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    customer = configuration.features.customer_update
    if configuration.active and customer.enabled and "email" in (customer.allowed_updates or ()):
        yield Fault(
            ("features", "customer_update", "allowed_updates"),
            _(
                "Customers can change their e-mail address in the portal, and AllowVerifiedEmail finds a signed-in "
                "user's customer by that address: whoever enters another user's address there can take over that "
                "user's sign-in."
            ),
            _("Remove email from allowed_updates, or deploy with AllowVerifiedEmail=false."),
        )


def _update_without_payment_method(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    features = configuration.features
    if features.subscription_update.enabled and not features.payment_method_update.enabled:
        yield Fault(
            _UPDATE,
            _("Plan changes are on and payment method updates are off: Stripe no longer saves this."),
            _("Switch payment method updates on (`payment_method_update: {{enabled: true}}`)."),
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """A product on offer, and where it is listed."""

    product: OfferedProduct
    path: Path
    before: tuple[OfferedProduct, ...]


def _places(configuration: Configuration) -> Iterator[_Place]:
    """Return the products on offer; none while customers cannot change plans."""
    update = configuration.features.subscription_update
    products = update.offered_products if update.enabled else ()
    for position, product in enumerate(products):
        yield _Place(product, (*_UPDATE, "products", position), products[:position])


def _too_many_products(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    number = len(list(_places(configuration)))
    if number > MOST_PRODUCTS:
        yield Fault(
            (*_UPDATE, "products"),
            _(
                "{number} products are offered for plan changes; the portal takes {most}.",
                number=number,
                most=MOST_PRODUCTS,
            ),
            _("Offer fewer products, or split them over configurations for groups of customers."),
        )


def _product_twice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for place in _places(configuration):
        if any(each.product == place.product.product for each in place.before):
            yield Fault(
                place.path,
                _("The product {product} is listed twice.", product=place.product.product),
                _("List its prices in one place."),
            )


def _price_twice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for place in _places(configuration):
        ids = [each.price for each in place.product.prices]
        for position, price in enumerate(ids):
            if price in ids[:position]:
                yield Fault(
                    (*place.path, "prices", position),
                    _("The price {price} is listed twice.", price=price),
                    _("Keep one."),
                )


@dataclass(frozen=True, slots=True)
class _Twins:
    """Two prices of one product with the same interval."""

    product: str
    first: OfferedPrice
    second: OfferedPrice
    path: Path

    @property
    def are_of_one_currency(self) -> bool:
        return self.first.currency is not None and self.first.currency == self.second.currency


def _twins(configuration: Configuration) -> Iterator[_Twins]:
    for place in _places(configuration):
        prices = place.product.prices
        for position, price in enumerate(prices):
            for other in prices[:position]:
                alike = (other.interval, other.interval_count) == (price.interval, price.interval_count)
                if price.interval and alike and other.price != price.price:
                    yield _Twins(place.product.product, other, price, (*place.path, "prices", position))


def _same_interval(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for twins in _twins(configuration):
        if twins.are_of_one_currency:
            yield Fault(
                twins.path,
                _(
                    "{prices} in {currency}: Stripe refuses that.",
                    prices=_both(twins),
                    currency=str(twins.second.currency),
                ),
                _("Keep one price per interval and currency; make the other a second product."),
            )


def _same_interval_other_currency(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for twins in _twins(configuration):
        both_stated = twins.first.currency and twins.second.currency
        if not twins.are_of_one_currency:
            yield Fault(twins.path, *(_other_currency if both_stated else _unstated_currency)(twins))


def _other_currency(twins: _Twins) -> tuple[Message, Message]:
    first, second = twins.first.currency, twins.second.currency
    return (
        sentences(
            _("{prices}, in {first} and {second}.", prices=_both(twins), first=str(first), second=str(second)),
            _(
                "Stripe's page allows one price for each interval and currency; the message of its API names intervals "
                "alone."
            ),
        ),
        _("Try it in test mode."),
    )


def _unstated_currency(twins: _Twins) -> tuple[Message, Message]:
    return (
        _("{prices}. If they are in one currency, Stripe refuses that.", prices=_both(twins)),
        _("State the currency of both, or look the prices up (--account)."),
    )


def _both(twins: _Twins) -> Message:
    price = twins.second
    return _(
        "{first} and {second} of the product {product} have the same interval ({interval})",
        first=twins.first.price,
        second=price.price,
        product=twins.product,
        interval=interval_text(price.interval_count, str(price.interval)),
    )


def _quantity_range(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for place in _places(configuration):
        least, most = place.product.adjustable_quantity.minimum, place.product.adjustable_quantity.maximum
        if least is not None and most is not None and least > most:
            yield Fault(
                (*place.path, "adjustable_quantity"),
                _(
                    "The minimum of {product} ({least}) is above its maximum ({most}).",
                    product=place.product.product,
                    least=least,
                    most=most,
                ),
                _("Swap them."),
            )


def _condition_twice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    kinds = _conditions(configuration)
    if len(kinds) != len(set(kinds)):
        yield Fault(
            (*_UPDATE, "schedule_at_period_end", "conditions"),
            _("A condition of schedule_at_period_end is listed twice."),
            _("Keep one of each."),
        )


def _condition_never(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    update, path = configuration.features.subscription_update, (*_UPDATE, "schedule_at_period_end", "conditions")
    kinds = set(_conditions(configuration))
    if "shortening_interval" in kinds and "price" not in update.default_allowed_updates:
        yield Fault(
            path,
            _("shortening_interval never applies: customers cannot change the price, and with it the interval."),
            _("Add price to default_allowed_updates."),
        )
    if kinds and update.offered_products and all(len(each.prices) == 1 for each in update.offered_products):
        yield Fault(
            path,
            _(
                "Stripe documents schedule_at_period_end for changes between prices of one product, and each "
                "product has one price here."
            ),
            _("Try it in test mode."),
        )


def _conditions(configuration: Configuration) -> list[str]:
    """Return the conditions for waiting until the end of the period; none while customers cannot change plans."""
    update = configuration.features.subscription_update
    return [each.type for each in update.schedule_at_period_end.conditions] if update.enabled else []


_ERROR, _WARNING, _INFO = (Severity.ERROR,), (Severity.WARNING,), (Severity.INFO,)

# In the order in which the audit's report shows them.
RULES = (
    Rule(
        "old_pause_form",
        tuple(Severity),
        _("Old pause button in a portal configuration"),
        _old_pause_form,
    ),
    Rule(
        "no_pause_options",
        _ERROR,
        _("A pause without a length to choose"),
        _no_pause_options,
    ),
    Rule(
        "pause_too_long",
        _ERROR,
        _("A pause longer than three years"),
        _pause_too_long,
    ),
    Rule(
        "span_twice",
        _WARNING,
        _("A length of pause listed twice"),
        _span_twice,
    ),
    Rule(
        "indefinite_options",
        _INFO,
        _("Lengths for an indefinite pause"),
        _indefinite_options,
    ),
    Rule(
        "inactive_default",
        _ERROR,
        _("The default portal configuration is inactive"),
        _inactive_default,
    ),
    Rule("headline_too_long", _ERROR, _("A headline that is too long"), _headline_too_long),
    Rule(
        "links_missing",
        _INFO,
        _("Links missing in a portal configuration"),
        _links_missing,
    ),
    Rule(
        "always_invoice",
        _ERROR,
        _("Cancellations with always_invoice"),
        _always_invoice,
    ),
    Rule(
        "proration_mode",
        _WARNING,
        _("Prorations without immediate cancellation"),
        _proration_mode,
    ),
    Rule(
        "no_reasons",
        _WARNING,
        _("No cancellation reason to choose"),
        _no_reasons,
    ),
    Rule(
        "nothing_to_update",
        _WARNING,
        _("A feature that changes nothing"),
        _nothing_to_update,
    ),
    Rule(
        "editable_email",
        _ERROR,
        _("E-mail addresses that customers can change"),
        _editable_email,
        about_verified_email=True,
    ),
    Rule(
        "update_without_payment_method",
        _ERROR,
        _("Plan changes without payment method updates"),
        _update_without_payment_method,
    ),
    Rule(
        "too_many_products",
        _ERROR,
        _("Too many products for plan changes"),
        _too_many_products,
    ),
    Rule("product_twice", _ERROR, _("A product listed twice"), _product_twice),
    Rule("price_twice", _ERROR, _("A price listed twice"), _price_twice),
    Rule(
        "same_interval",
        _ERROR,
        _("Two prices of one interval"),
        _same_interval,
        compares_prices=True,
    ),
    Rule(
        "same_interval_other_currency",
        _INFO,
        _("One interval in two currencies"),
        _same_interval_other_currency,
        compares_prices=True,
    ),
    Rule(
        "quantity_range",
        _ERROR,
        _("A minimum above its maximum"),
        _quantity_range,
    ),
    Rule(
        "condition_twice",
        _WARNING,
        _("A condition listed twice"),
        _condition_twice,
    ),
    Rule(
        "condition_never",
        _WARNING,
        _("A condition that never applies"),
        _condition_never,
    ),
)
