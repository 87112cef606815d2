"""What can be wrong with a portal configuration: each rule has one code and one severity, whoever asks.

`portal lint`, `plan` and `apply` ask about the entries of portal.yaml, the audit and `portal explain` about the
configurations of the account. Sources: docs.stripe.com/customer-management and docs.stripe.com/api/customer_portal.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from shared.i18n import Text, count, format_date, joined, same
from shared.portal.configuration import Configuration, OfferedPrice, OfferedProduct, PauseOption
from shared.portal.pause import PauseDay, Phase

LONGEST_HEADLINE = 60
MOST_PRODUCTS = 10
# Three years, in each unit.
LONGEST_PAUSE = {"day": 3 * 365, "week": 3 * 52, "month": 3 * 12, "year": 3}

Path = tuple[str | int, ...]


class Severity(StrEnum):
    """How much a problem matters.

    error: Stripe refuses the configuration, or the portal cannot work with it. warning: it works, but not as its owner
    will expect. info: advice. What Stripe accepts and the portal does is never an error.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def label(self) -> Text:
        """The word for people."""
        return _LABELS[self]


_LABELS = {
    Severity.ERROR: Text("error", "erreur"),
    Severity.WARNING: Text("warning", "avertissement"),
    Severity.INFO: Text("info", "information"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `path` leads to it within the configuration, `fix` says what to do."""

    code: str
    severity: Severity
    path: Path
    message: Text
    fix: Text


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a configuration breaks a rule; `severity` is given only where it depends on the day."""

    path: Path
    message: Text
    fix: Text
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. It has several `severities`, the worst first, only if the day decides.

    `compares_prices`: it needs the interval and the currency of each price (`Configuration.with_prices`).
    """

    code: str
    severities: tuple[Severity, ...]
    title: Text
    find: Callable[[Configuration, PauseDay], Iterable[Fault]]
    compares_prices: bool = False

    def problems(self, configuration: Configuration, day: PauseDay) -> Iterator[Problem]:
        """Return every place where a configuration breaks the rule."""
        for fault in self.find(configuration, day):
            severity = fault.severity or self.severities[0]
            yield Problem(self.code, severity, fault.path, fault.message, fault.fix)


def find_problems(configuration: Configuration, day: PauseDay) -> list[Problem]:
    """Return everything that is wrong with a configuration on a day."""
    return [problem for rule in RULES for problem in rule.problems(configuration, day)]


_CANCEL: Path = ("features", "subscription_cancel")
_PAUSE: Path = ("features", "subscription_pause")
_UPDATE: Path = ("features", "subscription_update")

_OLD_PAUSE_SEVERITY = {
    Phase.BUTTON_AVAILABLE: Severity.INFO,
    Phase.RESUME_ONLY: Severity.WARNING,
    Phase.STRANDED: Severity.ERROR,
}
_OLD_PAUSE = Text(
    "features.subscription_pause has no duration: this is the old pause button.",
    "features.subscription_pause n'a pas de durée : c'est l'ancien bouton de pause.",
)
_NOBODY_SEES_IT = Text(
    "The configuration is inactive, so no customer sees it.",
    "La configuration est inactive : aucun client ne le voit.",
)
_OLD_PAUSE_FIX = {
    Phase.BUTTON_AVAILABLE: Text("Plan for the end of the button.", "Préparez la fin du bouton."),
    Phase.RESUME_ONLY: Text(
        "Ask paused customers to resume while they can.",
        "Invitez les clients concernés à reprendre leurs paiements tant qu'ils le peuvent.",
    ),
    Phase.STRANDED: Text("Stop sending the old form.", "Cessez de transmettre l'ancienne forme."),
}
_ADD_DURATION = Text(
    "Add a `duration: {type: interval_options, interval_options: [{interval: month}]}` (API 2026-10-28.endive or "
    "later), or remove subscription_pause.",
    "Ajoutez une durée, `duration: {type: interval_options, interval_options: [{interval: month}]}` (API "
    "2026-10-28.endive ou plus récente), ou supprimez subscription_pause.",
)


def old_pause_meaning(day: PauseDay) -> Text:
    """Say what `features.subscription_pause` in its old form, without a duration, does on a day."""
    cutoff = Text(format_date(day.cutoff_on), format_date(day.cutoff_on, "fr"))
    match day.phase:
        case Phase.BUTTON_AVAILABLE:
            return Text(
                f"Customers can suspend their own payments, and the status stays active. From {cutoff.en} they cannot "
                "resume by themselves, and sending the parameter is an error.",
                "Les clients peuvent suspendre eux-mêmes leurs paiements, et le statut reste active. À partir du "
                f"{cutoff.fr}, ils ne pourront plus les reprendre eux-mêmes, et transmettre ce paramètre sera une "
                "erreur.",
            )
        case Phase.RESUME_ONLY:
            left = Text(count(day.days_left, "day"), count(day.days_left, "jour", "fr"))
            return Text(
                f"Customers can no longer pause, only resume, until {cutoff.en} ({left.en} left). After that, sending "
                "the parameter is an error.",
                "Les clients ne peuvent plus suspendre leurs paiements, seulement les reprendre, jusqu'au "
                f"{cutoff.fr} (encore {left.fr}). Ensuite, transmettre ce paramètre sera une erreur.",
            )
        case Phase.STRANDED:
            return Text(
                f"Since {cutoff.en} it neither pauses nor resumes, and code that sends it may get an error.",
                f"Depuis le {cutoff.fr}, il ne permet ni de suspendre ni de reprendre, et le code qui le transmet peut "
                "recevoir une erreur.",
            )


def _old_pause_form(configuration: Configuration, day: PauseDay) -> Iterator[Fault]:
    if configuration.features.subscription_pause.is_old_form:
        severity = _OLD_PAUSE_SEVERITY[day.phase] if configuration.active else Severity.INFO
        message = joined((_OLD_PAUSE, old_pause_meaning(day) if configuration.active else _NOBODY_SEES_IT))
        yield Fault(_PAUSE, message, joined((_OLD_PAUSE_FIX[day.phase], _ADD_DURATION)), severity)


_UNITS = {
    "day": (Text("day", "jour"), Text("days", "jours")),
    "week": (Text("week", "semaine"), Text("weeks", "semaines")),
    "month": (Text("month", "mois"), Text("months", "mois")),
    "year": (Text("year", "an"), Text("years", "ans")),
}


def interval_text(number: int, interval: str) -> Text:
    """Write a length of time in Stripe's units: `3 months`, `3 mois`."""
    one, several = _UNITS.get(interval, (same(interval), same(interval)))
    return joined((same(str(number)), one if number == 1 else several))


def _no_pause_options(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    duration = configuration.features.subscription_pause.duration
    if duration and duration.type == "interval_options" and not duration.interval_options:
        yield Fault(
            (*_PAUSE, "duration"),
            Text("The pause has no length to choose from.", "Aucune durée de pause n'est proposée."),
            Text("List some: `- {interval: month}`.", "Proposez-en : `- {interval: month}`."),
        )


def _indefinite_options(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    duration = configuration.features.subscription_pause.duration
    if duration and duration.type == "indefinite" and duration.interval_options:
        yield Fault(
            (*_PAUSE, "duration", "interval_options"),
            Text(
                "An indefinite pause has no lengths to choose from: interval_options has no effect.",
                "Une pause sans limite n'a pas de durée à choisir : interval_options est sans effet.",
            ),
            Text("Remove interval_options.", "Supprimez interval_options."),
        )


def _pause_too_long(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    duration = configuration.features.subscription_pause.duration
    for position, option in enumerate(duration.interval_options if duration else ()):
        longest = LONGEST_PAUSE.get(option.interval)
        if longest is not None and option.interval_count > longest:
            yield Fault(
                (*_PAUSE, "duration", "interval_options", position),
                Text(
                    f"{_length(option).en} are more than three years, Stripe's longest pause.",
                    f"{_length(option).fr}, c'est plus de trois ans, la plus longue pause de Stripe.",
                ),
                Text(
                    f"At most {interval_text(longest, option.interval).en}.",
                    f"Au plus {interval_text(longest, option.interval).fr}.",
                ),
            )


def _span_twice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    duration = configuration.features.subscription_pause.duration
    options = duration.interval_options if duration else ()
    for position, option in enumerate(options):
        if option in options[:position]:
            yield Fault(
                (*_PAUSE, "duration", "interval_options", position),
                Text(
                    f"The pause of {_length(option).en} is listed twice.",
                    f"La pause de {_length(option).fr} est proposée deux fois.",
                ),
                Text("Keep one.", "Gardez-en une."),
            )


def _length(option: PauseOption) -> Text:
    return interval_text(option.interval_count, option.interval)


def _inactive_default(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    if configuration.default and not configuration.active:
        yield Fault(
            ("active",),
            Text(
                "The default configuration is inactive: the login page and every link without a configuration of its "
                "own are shut.",
                "La configuration par défaut est inactive : la page de connexion et tous les liens sans configuration "
                "propre sont fermés.",
            ),
            Text("Activate it (active: true).", "Activez-la (active: true)."),
        )


def _headline_too_long(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    length = len(configuration.business_profile.headline or "")
    if length > LONGEST_HEADLINE:
        yield Fault(
            ("business_profile", "headline"),
            Text(
                f"The headline has {length} characters; Stripe takes {LONGEST_HEADLINE}.",
                f"Le titre compte {length} caractères ; Stripe en accepte {LONGEST_HEADLINE}.",
            ),
            Text(
                f"Remove {length - LONGEST_HEADLINE}.",
                f"Supprimez-en {length - LONGEST_HEADLINE}.",
            ),
        )


_RETURN_URL = Text("a return URL (default_return_url)", "l'URL de retour (default_return_url)")
_TERMS = Text(
    "the terms of service (business_profile.terms_of_service_url)",
    "les conditions d'utilisation (business_profile.terms_of_service_url)",
)
_PRIVACY = Text(
    "the privacy policy (business_profile.privacy_policy_url)",
    "la politique de confidentialité (business_profile.privacy_policy_url)",
)


def _links_missing(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    profile = configuration.business_profile
    links = (
        (_RETURN_URL, configuration.default_return_url),
        (_TERMS, profile.terms_of_service_url),
        (_PRIVACY, profile.privacy_policy_url),
    )
    missing = joined((name for name, value in links if not value), between=", ")
    if missing.en and configuration.active:
        yield Fault(
            (),
            Text(
                f"This portal configuration lacks: {missing.en}. Stripe's page on the portal asks for these links, its "
                "API does not.",
                f"Il manque à cette configuration du portail : {missing.fr}. La page de Stripe sur le portail demande "
                "ces liens, son API non.",
            ),
            Text("Add these addresses to the configuration.", "Ajoutez ces adresses à la configuration."),
        )


def _always_invoice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    if configuration.features.subscription_cancel.proration_behavior == "always_invoice":
        yield Fault(
            (*_CANCEL, "proration_behavior"),
            Text(
                "Stripe refuses always_invoice for cancellations.",
                "Stripe refuse always_invoice pour les résiliations.",
            ),
            Text("Set none or create_prorations.", "Choisissez none ou create_prorations."),
        )


def _proration_mode(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    cancel = configuration.features.subscription_cancel
    if cancel.proration_behavior == "create_prorations" and cancel.mode != "immediately":
        yield Fault(
            (*_CANCEL, "proration_behavior"),
            Text(
                "create_prorations has no effect: Stripe prorates only when a subscription is canceled immediately.",
                "create_prorations est sans effet : Stripe ne calcule un prorata que pour une résiliation immédiate.",
            ),
            Text("Set none, or `mode: immediately`.", "Choisissez none, ou `mode: immediately`."),
        )


def _no_reasons(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    cancel = configuration.features.subscription_cancel
    reason = cancel.cancellation_reason
    if cancel.enabled and reason.enabled and not (reason.options or reason.feedback_options):
        yield Fault(
            (*_CANCEL, "cancellation_reason"),
            Text(
                "Customers are asked why they cancel, and have no reason to choose.",
                "On demande aux clients pourquoi ils résilient, sans leur proposer de motif.",
            ),
            Text(
                "List options, or switch cancellation_reason off.",
                "Proposez des options, ou désactivez cancellation_reason.",
            ),
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
        Text(
            f"{feature} is on, and {name} is empty: customers can change nothing.",
            f"{feature} est activé et {name} est vide : les clients ne peuvent rien modifier.",
        ),
        Text(f"List what they can change in {name}.", f"Indiquez dans {name} ce qu'ils peuvent modifier."),
    )


def _update_without_payment_method(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    features = configuration.features
    if features.subscription_update.enabled and not features.payment_method_update.enabled:
        yield Fault(
            _UPDATE,
            Text(
                "Plan changes are on and payment method updates are off: Stripe does not save that any more.",
                "Le changement d'offre est activé sans la mise à jour du moyen de paiement : Stripe n'enregistre plus "
                "cela.",
            ),
            Text(
                "Switch payment method updates on (`payment_method_update: {enabled: true}`).",
                "Activez la mise à jour du moyen de paiement (`payment_method_update: {enabled: true}`).",
            ),
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
            Text(
                f"{number} products are offered for plan changes; the portal takes {MOST_PRODUCTS}.",
                f"{number} produits sont proposés au changement d'offre ; le portail en accepte {MOST_PRODUCTS}.",
            ),
            Text(
                "Offer fewer products, or split them over configurations for groups of customers.",
                "Proposez moins de produits, ou répartissez-les entre des configurations par groupe de clients.",
            ),
        )


def _product_twice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for place in _places(configuration):
        if any(each.product == place.product.product for each in place.before):
            yield Fault(
                place.path,
                Text(
                    f"The product {place.product.product} is listed twice.",
                    f"Le produit {place.product.product} figure deux fois.",
                ),
                Text("List its prices in one place.", "Regroupez ses tarifs."),
            )


def _price_twice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for place in _places(configuration):
        ids = [each.price for each in place.product.prices]
        for position, price in enumerate(ids):
            if price in ids[:position]:
                yield Fault(
                    (*place.path, "prices", position),
                    Text(f"The price {price} is listed twice.", f"Le tarif {price} figure deux fois."),
                    Text("Keep one.", "Gardez-en un."),
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
                Text(
                    f"{_both(twins).en} in {twins.second.currency}: Stripe refuses that.",
                    f"{_both(twins).fr} en {twins.second.currency} : Stripe le refuse.",
                ),
                Text(
                    "Keep one price per interval and currency; make a second product of the other.",
                    "Gardez un seul tarif par période et par devise ; faites de l'autre un second produit.",
                ),
            )


def _same_interval_other_currency(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for twins in _twins(configuration):
        both_stated = twins.first.currency and twins.second.currency
        if not twins.are_of_one_currency:
            yield Fault(twins.path, *(_other_currency if both_stated else _unstated_currency)(twins))


def _other_currency(twins: _Twins) -> tuple[Text, Text]:
    first, second = twins.first.currency, twins.second.currency
    return (
        Text(
            f"{_both(twins).en}, in {first} and {second}. Stripe's page allows one price for each interval and "
            "currency; the message of its API names intervals alone.",
            f"{_both(twins).fr}, en {first} et en {second}. La page de Stripe admet un tarif par période et par "
            "devise ; le message de son API ne parle que de la période.",
        ),
        Text("Try it in test mode.", "Essayez en mode test."),
    )


def _unstated_currency(twins: _Twins) -> tuple[Text, Text]:
    return (
        Text(
            f"{_both(twins).en}. If they are in one currency, Stripe refuses that.",
            f"{_both(twins).fr}. S'ils ont la même devise, Stripe le refuse.",
        ),
        Text(
            "State the currency of both, or look the prices up (--account).",
            "Précisez leurs devises, ou consultez les tarifs du compte (--account).",
        ),
    )


def _both(twins: _Twins) -> Text:
    price = twins.second
    every = interval_text(price.interval_count, str(price.interval))
    return Text(
        f"{twins.first.price} and {price.price} of the product {twins.product} are both billed {price.billed}",
        f"{twins.first.price} et {price.price} du produit {twins.product} ont la même période ({every.fr})",
    )


def _quantity_range(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    for place in _places(configuration):
        least, most = place.product.adjustable_quantity.minimum, place.product.adjustable_quantity.maximum
        if least is not None and most is not None and least > most:
            yield Fault(
                (*place.path, "adjustable_quantity"),
                Text(
                    f"The minimum of {place.product.product} ({least}) is above its maximum ({most}).",
                    f"Le minimum de {place.product.product} ({least}) dépasse son maximum ({most}).",
                ),
                Text("Swap them.", "Échangez-les."),
            )


def _condition_twice(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    kinds = _conditions(configuration)
    if len(kinds) != len(set(kinds)):
        yield Fault(
            (*_UPDATE, "schedule_at_period_end", "conditions"),
            Text(
                "A condition of schedule_at_period_end is listed twice.",
                "Une condition de schedule_at_period_end figure deux fois.",
            ),
            Text("Keep one of each.", "Gardez-en une de chaque."),
        )


def _condition_never(configuration: Configuration, _day: PauseDay) -> Iterator[Fault]:
    update, path = configuration.features.subscription_update, (*_UPDATE, "schedule_at_period_end", "conditions")
    kinds = set(_conditions(configuration))
    if "shortening_interval" in kinds and "price" not in update.default_allowed_updates:
        yield Fault(
            path,
            Text(
                "shortening_interval never applies: customers cannot change the price, and with it the interval.",
                "shortening_interval ne s'applique jamais : les clients ne peuvent pas changer de tarif, ni donc de "
                "période.",
            ),
            Text("Add price to default_allowed_updates.", "Ajoutez price à default_allowed_updates."),
        )
    if kinds and update.offered_products and all(len(each.prices) == 1 for each in update.offered_products):
        yield Fault(
            path,
            Text(
                "Stripe documents schedule_at_period_end for changes between prices of one product, and each product "
                "has one price here.",
                "Stripe décrit schedule_at_period_end pour un changement entre les tarifs d'un même produit, et chaque "
                "produit n'a ici qu'un tarif.",
            ),
            Text("Try it in test mode.", "Essayez en mode test."),
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
        Text("Old pause button in a portal configuration", "Ancien bouton de pause dans une configuration du portail"),
        _old_pause_form,
    ),
    Rule(
        "no_pause_options",
        _ERROR,
        Text("A pause without a length to choose", "Une pause sans durée à choisir"),
        _no_pause_options,
    ),
    Rule(
        "pause_too_long",
        _ERROR,
        Text("A pause longer than three years", "Une pause de plus de trois ans"),
        _pause_too_long,
    ),
    Rule(
        "span_twice",
        _WARNING,
        Text("A length of pause listed twice", "Une durée de pause proposée deux fois"),
        _span_twice,
    ),
    Rule(
        "indefinite_options",
        _INFO,
        Text("Lengths of an indefinite pause", "Des durées pour une pause sans limite"),
        _indefinite_options,
    ),
    Rule(
        "inactive_default",
        _ERROR,
        Text("The default portal configuration is inactive", "La configuration par défaut du portail est inactive"),
        _inactive_default,
    ),
    Rule("headline_too_long", _ERROR, Text("A headline that is too long", "Un titre trop long"), _headline_too_long),
    Rule(
        "links_missing",
        _INFO,
        Text("Links missing in a portal configuration", "Liens manquants dans une configuration du portail"),
        _links_missing,
    ),
    Rule(
        "always_invoice",
        _ERROR,
        Text("Cancellations with always_invoice", "Résiliations avec always_invoice"),
        _always_invoice,
    ),
    Rule(
        "proration_mode",
        _WARNING,
        Text("Prorations without immediate cancellation", "Prorata sans résiliation immédiate"),
        _proration_mode,
    ),
    Rule(
        "no_reasons",
        _WARNING,
        Text("No cancellation reason to choose", "Aucun motif de résiliation proposé"),
        _no_reasons,
    ),
    Rule(
        "nothing_to_update",
        _WARNING,
        Text("A feature that changes nothing", "Une fonction qui ne permet rien"),
        _nothing_to_update,
    ),
    Rule(
        "update_without_payment_method",
        _WARNING,
        Text("Plan changes without payment method updates", "Changement d'offre sans mise à jour du moyen de paiement"),
        _update_without_payment_method,
    ),
    Rule(
        "too_many_products",
        _ERROR,
        Text("Too many products for plan changes", "Trop de produits au changement d'offre"),
        _too_many_products,
    ),
    Rule("product_twice", _ERROR, Text("A product listed twice", "Un produit listé deux fois"), _product_twice),
    Rule("price_twice", _ERROR, Text("A price listed twice", "Un tarif listé deux fois"), _price_twice),
    Rule(
        "same_interval",
        _ERROR,
        Text("Two prices of one interval", "Deux tarifs pour une même période"),
        _same_interval,
        compares_prices=True,
    ),
    Rule(
        "same_interval_other_currency",
        _INFO,
        Text("One interval in two currencies", "Une même période en deux devises"),
        _same_interval_other_currency,
        compares_prices=True,
    ),
    Rule(
        "quantity_range",
        _ERROR,
        Text("A minimum above its maximum", "Un minimum supérieur au maximum"),
        _quantity_range,
    ),
    Rule(
        "condition_twice",
        _WARNING,
        Text("A condition listed twice", "Une condition listée deux fois"),
        _condition_twice,
    ),
    Rule(
        "condition_never",
        _WARNING,
        Text("A condition that never applies", "Une condition qui ne s'applique jamais"),
        _condition_never,
    ),
)
