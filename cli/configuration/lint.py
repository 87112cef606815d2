"""What `portal lint` knows of pausing: the form of before 2024, its date, and today's with its version and limits."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from cli.configuration.file import Loaded
from cli.configuration.model import Entry, Portal
from cli.configuration.plan import groups
from shared.audit.checks.configurations import MOST_PRODUCTS
from shared.i18n import count, format_date
from shared.portal.configuration import (
    SINCE,
    Features,
    OfferedPrice,
    OfferedProduct,
    Part,
    PauseDuration,
    PauseOption,
    SubscriptionUpdate,
)
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON, Phase, days_until, phase_on
from shared.portal.rules import Path, Problem, Severity

PriceOf = Callable[[str], Mapping[str, Any] | None]


RETURNED_IN = SINCE["features.subscription_pause"]
# Three years, in each unit.
LONGEST = {"day": 3 * 365, "week": 3 * 52, "month": 3 * 12, "year": 3}


def pause_problems(features: Features, version: str, path: Path, today: date) -> Iterator[Problem]:
    """Return what is wrong with `features.subscription_pause`, if the file says it."""
    pause, path = features.subscription_pause, (*path, "subscription_pause")
    if "subscription_pause" not in features.model_fields_set:
        return
    if version < RETURNED_IN:
        yield Problem(
            "pause_version", path, _not_yet(version, today), f"Take it out, or raise api_version to {RETURNED_IN}."
        )
    elif pause.enabled and pause.duration is None:
        mend = (
            "Say how long: `duration: {type: interval_options, interval_options: [{interval: month}]}`, or take it out."
        )
        yield Problem("old_pause_form", path, f"This is the old form. {what_it_means(today)}", mend)
    if pause.duration:
        yield from _durations(pause.duration, (*path, "duration"))


def what_it_means(today: date) -> str:
    """Say what Stripe's calendar of the old portal button makes of the old form on a day."""
    cutoff = format_date(PAUSE_CUTOFF_ON)
    match phase_on(today, button_removed_on=PAUSE_BUTTON_REMOVED_ON, cutoff_on=PAUSE_CUTOFF_ON):
        case Phase.BUTTON_AVAILABLE:
            removed = format_date(PAUSE_BUTTON_REMOVED_ON)
            return f"Its button goes on {removed}, and from {cutoff} sending it is an error: update this before then."
        case Phase.RESUME_ONLY:
            left = count(days_until(PAUSE_CUTOFF_ON, today), "day")
            return f"It only lets customers resume, until {cutoff} ({left} left); then sending it is an error."
        case Phase.STRANDED:
            return f"Since {cutoff} it neither pauses nor resumes, and sending it may be an error."


def _not_yet(version: str, today: date) -> str:
    return f"API {version} does not know subscription_pause; it came back with {RETURNED_IN}. {what_it_means(today)}"


def _durations(duration: PauseDuration, path: Path) -> Iterator[Problem]:
    at = (*path, "interval_options")
    if duration.type == "interval_options" and not duration.interval_options:
        yield Problem("no_pause_options", path, "There is no span to choose.", "List some: `- {interval: month}`.")
    if duration.type == "indefinite" and duration.interval_options:
        yield Problem("indefinite_options", at, "An indefinite pause has no spans to choose.", "Take them out.")
    seen: set[PauseOption] = set()
    for position, option in enumerate(duration.interval_options):
        if option.interval_count > LONGEST[option.interval]:
            message = f"{option.interval_count} {option.interval}s are more than three years, Stripe's longest pause."
            mend = f"At most {LONGEST[option.interval]} {option.interval}s."
            yield Problem("pause_too_long", (*at, position), message, mend)
        if option in seen:
            message = "This span stands here twice."
            yield Problem("span_twice", (*at, position), message, "Keep one.", Severity.WARNING)
        seen.add(option)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What no two prices of a product may share; `currency` is Stripe's page's rule, its API's message has none."""

    interval: str
    interval_count: int
    currency: str | None

    def __str__(self) -> str:
        every = self.interval if self.interval_count == 1 else f"{self.interval_count} {self.interval}s"
        return f"every {every}{f' in {self.currency}' if self.currency else ''}"


def update_problems(features: Features, path: Path) -> Iterator[Problem]:
    """Return what is wrong with `features.subscription_update`, as far as the file tells."""
    update, at = features.subscription_update, (*path, "subscription_update")
    if not update.enabled:
        return
    if not features.payment_method_update.enabled:
        yield Problem(
            "update_without_payment_method",
            at,
            "Stripe refuses plan changes while customers cannot change their payment method.",
            "Write `payment_method_update: {enabled: true}` beside it.",
        )
    if not update.default_allowed_updates or (
        "price" in update.default_allowed_updates and not update.offered_products
    ):
        what = "products" if update.default_allowed_updates else "default_allowed_updates"
        message = f"Plan changes are on, and {what} is empty: customers can change nothing."
        yield Problem("nothing_to_update", at, message, f"List {what}.", Severity.WARNING)
    yield from _products(update, (*at, "products"))
    yield from _conditions(update, (*at, "schedule_at_period_end"))


def _products(update: SubscriptionUpdate, path: Path) -> Iterator[Problem]:
    if len(update.offered_products) > MOST_PRODUCTS:
        yield Problem(
            "too_many_products",
            path,
            f"{len(update.offered_products)} products are offered; the portal takes {MOST_PRODUCTS}.",
            "Offer fewer, or split them over configurations for groups.",
        )
    seen: set[str] = set()
    for position, product in enumerate(update.offered_products):
        at = (*path, position)
        if product.product in seen:
            message = f"The product {product.product} stands here twice."
            yield Problem("product_twice", at, message, "List its prices in one place.")
        seen.add(product.product)
        yield from _prices(product, {each.price: _said(each) for each in product.prices}, at)
        quantity = product.adjustable_quantity
        if quantity.minimum is not None and quantity.maximum is not None and quantity.minimum > quantity.maximum:
            message = "The minimum is above the maximum."
            yield Problem("quantity_range", (*at, "adjustable_quantity"), message, "Turn them round.")


def _prices(product: OfferedProduct, kinds: Mapping[str, _Kind | None], path: Path) -> Iterator[Problem]:
    """Compare each price with those before it."""
    seen: dict[str, _Kind | None] = {}
    for position, each in enumerate(product.prices):
        at, kind = (*path, "prices", position), kinds[each.price]
        if each.price in seen:
            yield Problem("price_twice", at, f"The price {each.price} stands here twice.", "Keep one.")
            continue
        for other, before in seen.items():
            if kind and before and (kind.interval, kind.interval_count) == (before.interval, before.interval_count):
                yield _same_kind(product.product, (other, before), (each.price, kind), at)
        seen[each.price] = kind


def _same_kind(product: str, first: tuple[str, _Kind], second: tuple[str, _Kind], path: Path) -> Problem:
    (other, before), (price, kind) = first, second
    both = f"{other} and {price} of the product {product} are both billed {kind}"
    if kind.currency and kind.currency == before.currency:
        mend = "Keep one of the two; the other can become a product of its own."
        return Problem("same_interval", path, f"{both}: Stripe refuses that.", mend)
    other_currency = f" ({other} in {before.currency})" if kind.currency and before.currency else ""
    message = (
        f"{both}{other_currency}. Stripe's page allows one price for each interval and currency; the message of its "
        "API names intervals alone."
    )
    return Problem("same_interval_other_currency", path, message, "Try it in test mode.", Severity.WARNING)


def _said(price: OfferedPrice) -> _Kind | None:
    return _Kind(price.interval, price.interval_count, price.currency) if price.interval else None


def _conditions(update: SubscriptionUpdate, path: Path) -> Iterator[Problem]:
    kinds = [each.type for each in update.schedule_at_period_end.conditions]
    at = (*path, "conditions")
    if len(kinds) != len(set(kinds)):
        yield Problem("condition_twice", at, "A condition stands here twice.", "Keep one of each.")
    if kinds and "price" not in update.default_allowed_updates and kinds != ["decreasing_item_amount"]:
        message = "Intervals only become shorter when customers can change the price."
        yield Problem("condition_never", at, message, "Add price to default_allowed_updates.", Severity.WARNING)
    if kinds and all(len(each.prices) == 1 for each in update.offered_products):
        message = (
            "Stripe documents waiting for the period's end between prices of one product, and each has one price here."
        )
        yield Problem("condition_never", at, message, "Try it in test mode.", Severity.WARNING)


def price_problems(portal: Portal, price_of: PriceOf) -> Iterator[Problem]:
    """Return what the account says against the products and prices of a file; `price_of` reads a price."""
    for name, entry in portal.configurations.items():
        update = entry.features.subscription_update
        for position, product in enumerate(update.offered_products if update.enabled and entry.active else ()):
            at = ("configurations", name, "features", "subscription_update", "products", position)
            found = {each.price: price_of(each.price) for each in product.prices}
            for place, each in enumerate(product.prices):
                yield from _against(product, each, found[each.price], (*at, "prices", place))
            yield from _prices(product, {price: _kind(raw) for price, raw in found.items()}, at)


def _kind(raw: Mapping[str, Any] | None) -> _Kind | None:
    recurring = (raw or {}).get("recurring") or {}
    if not raw or not recurring:
        return None
    return _Kind(recurring["interval"], int(recurring.get("interval_count") or 1), raw.get("currency"))


def _against(
    product: OfferedProduct, price: OfferedPrice, raw: Mapping[str, Any] | None, path: Path
) -> Iterator[Problem]:
    if raw is None:
        mend = "Look it up in the Dashboard, in the mode of the key."
        yield Problem("no_such_price", path, f"The account has no price {price.price}.", mend)
        return
    owner = raw["product"] if isinstance(raw["product"], Mapping) else {"id": raw["product"]}
    said, kind = _said(price), _kind(raw)
    for code, wrong, message, mend in (
        ("price_of_another", owner["id"] != product.product, f"belongs to {owner['id']}", "List it there."),
        ("inactive_price", not raw.get("active"), "is archived", "Choose another, or activate it."),
        ("inactive_product", owner.get("active") is False, "is of an archived product", "Activate the product."),
        ("not_recurring", kind is None, "is not recurring", "Choose a price with an interval."),
        ("price_differs", said and kind and _differ(said, kind), f"is billed {kind}", "Correct what the file says."),
    ):
        if wrong:
            yield Problem(code, path, f"The price {price.price} {message}.", mend)
    if raw.get("tax_behavior") == "unspecified":
        message = f"The price {price.price} has no tax_behavior: the portal changes no subscription to or from it."
        yield Problem("no_tax_behavior", path, message, "Set it to inclusive or exclusive.", Severity.WARNING)


def _differ(said: _Kind, kind: _Kind) -> bool:
    same = (said.interval, said.interval_count) == (kind.interval, kind.interval_count)
    return not same or said.currency not in (None, kind.currency)


# docs.stripe.com/api/customer_portal/configurations/update
LONGEST_HEADLINE = 60
# The variables of a function have 4 KB in all, and the parameter is one of them.
MOST_OF_PARAMETER = 3000
_AN_ID = "bpc_" + "x" * 24


def lint_portal(loaded: Loaded, today: date) -> list[Problem]:
    """Return everything that is wrong with a file, as far as can be told without the account, in its order."""
    found = list(loaded.problems)
    if loaded.portal:
        found += _of_file(loaded.portal)
        for name, entry in loaded.portal.configurations.items():
            found += _of_entry(entry, loaded.portal.api_version, ("configurations", name), today)
    return placed(loaded, found)


def placed(loaded: Loaded, problems: Iterable[Problem]) -> list[Problem]:
    """Return problems with their lines, in the order of the file."""
    found = (each if each.line else replace(each, line=loaded.document.line(each.path)) for each in problems)
    return sorted(found, key=lambda each: each.line)


def _of_file(portal: Portal) -> Iterator[Problem]:
    defaults = [name for name, entry in portal.configurations.items() if entry.default]
    for name in defaults[1:]:
        message = f"The account has one default configuration, and {defaults[0]!r} is it already."
        yield Problem("two_defaults", ("configurations", name, "default"), message, "Keep one `default: true`.")
    parameter = len(json.dumps(groups(portal, dict.fromkeys(portal.configurations, _AN_ID))))
    if parameter > MOST_OF_PARAMETER:
        message = f"The groups make a PortalConfigurations of about {parameter} characters: too many for Lambda."
        yield Problem("too_many_groups", ("configurations",), message, f"Stay below {MOST_OF_PARAMETER}: fewer groups.")
    yield from _owned_once(portal, "group", "groups")
    yield from _owned_once(portal, "configuration", "id")


def _owned_once(portal: Portal, what: str, key: str) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, entry in portal.configurations.items():
        for each in entry.groups if key == "groups" else filter(None, [entry.id]):
            if each in owners:
                message = f"The {what} {each!r} belongs to {owners[each]!r} already."
                path = ("configurations", name, key)
                yield Problem(
                    f"{what}_twice", path, message, f"A {what} can belong to one entry: take it out of the other."
                )
            owners.setdefault(each, name)


def _of_entry(entry: Entry, version: str, path: Path, today: date) -> Iterator[Problem]:
    yield from _headline(entry, path)
    yield from _identity(entry, path)
    yield from _links(entry, path)
    yield from _cancellation(entry.features, (*path, "features"))
    yield from _empty_features(entry.features, (*path, "features"))
    yield from _versions(entry.features, version, path)
    yield from pause_problems(entry.features, version, (*path, "features"), today)
    yield from update_problems(entry.features, (*path, "features"))


def _headline(entry: Entry, path: Path) -> Iterator[Problem]:
    headline = entry.business_profile.headline or ""
    if len(headline) > LONGEST_HEADLINE:
        yield Problem(
            "headline_too_long",
            (*path, "business_profile", "headline"),
            f"The headline has {len(headline)} characters; Stripe takes {LONGEST_HEADLINE}.",
            f"Take out {len(headline) - LONGEST_HEADLINE}.",
        )


def _identity(entry: Entry, path: Path) -> Iterator[Problem]:
    if entry.default and entry.id:
        yield Problem(
            "default_with_id", (*path, "id"), "The default configuration is found by itself.", "Take out `id`."
        )
    if entry.default and not entry.active:
        message = "Without an active default configuration the login page and every link without a group are shut."
        yield Problem("inactive_default", (*path, "active"), message, "Take out `active: false`.")
    if entry.groups and not entry.active:
        message = "Stripe opens no portal with an inactive configuration, and groups use this one."
        yield Problem("inactive_with_groups", (*path, "groups"), message, "Take out the groups, or `active: false`.")
    if entry.default and "login_page" not in entry.model_fields_set:
        yield Problem(
            "login_page_unsaid",
            path,
            "What is not said is off, and a login page that is switched off loses its address for good.",
            "Say `login_page: {enabled: true}` (or false, if nobody uses the link).",
        )


def _links(entry: Entry, path: Path) -> Iterator[Problem]:
    profile, features = entry.business_profile, entry.features
    present = {
        "default_return_url": entry.default_return_url,
        "business_profile.terms_of_service_url": profile.terms_of_service_url,
        "business_profile.privacy_policy_url": profile.privacy_policy_url,
    }
    missing = ", ".join(name for name, value in present.items() if not value)
    if not missing or not entry.active:
        return
    cancel_only = features.subscription_cancel.enabled and not features.subscription_update.enabled
    what = "Customers can cancel and not change their plan" if cancel_only else "The portal lacks links"
    yield Problem(
        "links_missing",
        path,
        f"{what}; Stripe's page on the portal then asks for {missing}, though its API does not."
        if cancel_only
        else f"{what} that Stripe's page on it asks for, though its API does not: {missing}.",
        "Give the addresses.",
        Severity.ERROR if cancel_only else Severity.WARNING,
    )


def _cancellation(features: Features, path: Path) -> Iterator[Problem]:
    cancel, at = features.subscription_cancel, (*path, "subscription_cancel")
    if cancel.proration_behavior == "always_invoice":
        message = "Stripe refuses always_invoice for cancellations."
        yield Problem("always_invoice", (*at, "proration_behavior"), message, "Write none or create_prorations.")
    if cancel.proration_behavior == "create_prorations" and cancel.mode != "immediately":
        message = "Prorations are only made when a subscription is cancelled immediately."
        yield Problem("proration_mode", (*at, "proration_behavior"), message, "Write none, or `mode: immediately`.")
    reason = cancel.cancellation_reason
    if cancel.enabled and reason.enabled and not (reason.options or reason.feedback_options):
        message = "Customers are asked for a reason, and have none to choose."
        yield Problem("no_reasons", (*at, "cancellation_reason"), message, "List options, or write `enabled: false`.")


def _empty_features(features: Features, path: Path) -> Iterator[Problem]:
    if features.customer_update.enabled and not features.customer_update.allowed_updates:
        yield Problem(
            "nothing_to_update",
            (*path, "customer_update"),
            "It is on, and allowed_updates is empty: customers can change nothing.",
            "List what they can change, such as email and address.",
            Severity.WARNING,
        )


def _versions(features: Features, version: str, path: Path) -> Iterator[Problem]:
    """Find what is said at a version of the API that does not know it; the pause has a rule of its own."""
    for name, since in SINCE.items():
        _, *keys = name.replace("[]", "").split(".")
        if version < since and keys != ["subscription_pause"] and _says(features, keys):
            yield Problem(
                "not_in_this_version",
                (*path, "features", *keys),
                f"API {version} does not know {name.rpartition('.')[2]}; it came with {since}.",
                f"Take it out, or raise api_version to {since}.",
            )


def _says(part: object, keys: list[str]) -> bool:
    if isinstance(part, tuple):
        return any(_says(each, keys) for each in part)
    if not isinstance(part, Part) or keys[0] not in part.model_fields_set:
        return False
    return len(keys) == 1 or _says(getattr(part, keys[0]), keys[1:])
