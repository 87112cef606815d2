"""What `portal lint` knows of plan changes: products, prices, and what has to be on beside them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.configuration.features import Features, Price, Product, SubscriptionUpdate
from cli.configuration.model import Portal
from cli.configuration.problems import Path, Problem, Severity
from shared.audit.configuration_updates import MOST_PRODUCTS

PriceOf = Callable[[str], Mapping[str, Any] | None]


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
    """Answer what is wrong with `features.subscription_update`, as far as the file tells."""
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
    if not update.default_allowed_updates or ("price" in update.default_allowed_updates and not update.products):
        what = "products" if update.default_allowed_updates else "default_allowed_updates"
        message = f"Plan changes are on, and {what} is empty: customers can change nothing."
        yield Problem("nothing_to_update", at, message, f"List {what}.", Severity.WARNING)
    yield from _products(update, (*at, "products"))
    yield from _conditions(update, (*at, "schedule_at_period_end"))


def _products(update: SubscriptionUpdate, path: Path) -> Iterator[Problem]:
    if len(update.products) > MOST_PRODUCTS:
        yield Problem(
            "too_many_products",
            path,
            f"{len(update.products)} products are offered; the portal takes {MOST_PRODUCTS}.",
            "Offer fewer, or split them over configurations for groups.",
        )
    seen: set[str] = set()
    for position, product in enumerate(update.products):
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


def _prices(product: Product, kinds: Mapping[str, _Kind | None], path: Path) -> Iterator[Problem]:
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


def _said(price: Price) -> _Kind | None:
    return _Kind(price.interval, price.interval_count, price.currency) if price.interval else None


def _conditions(update: SubscriptionUpdate, path: Path) -> Iterator[Problem]:
    kinds = [each.type for each in update.schedule_at_period_end.conditions]
    at = (*path, "conditions")
    if len(kinds) != len(set(kinds)):
        yield Problem("condition_twice", at, "A condition stands here twice.", "Keep one of each.")
    if kinds and "price" not in update.default_allowed_updates and kinds != ["decreasing_item_amount"]:
        message = "Intervals only become shorter when customers can change the price."
        yield Problem("condition_never", at, message, "Add price to default_allowed_updates.", Severity.WARNING)
    if kinds and all(len(each.prices) == 1 for each in update.products):
        message = (
            "Stripe documents waiting for the period's end between prices of one product, and each has one price here."
        )
        yield Problem("condition_never", at, message, "Try it in test mode.", Severity.WARNING)


def price_problems(portal: Portal, price_of: PriceOf) -> Iterator[Problem]:
    """Answer what the account says against the products and prices of a file; `price_of` reads a price."""
    for name, entry in portal.configurations.items():
        update = entry.features.subscription_update
        for position, product in enumerate(update.products if update.enabled and entry.active else ()):
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


def _against(product: Product, price: Price, raw: Mapping[str, Any] | None, path: Path) -> Iterator[Problem]:
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
