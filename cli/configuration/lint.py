"""What is wrong with a portal.yaml: the rules of every configuration, and those of a file and of its API version.

`shared.portal.rules` holds the rules that also apply to a configuration of the account. Here are those that only a
file can break: entries that contradict each other, parameters that its API version lacks, prices the account refuses.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from cli.configuration.file import FileProblem, Loaded
from cli.configuration.model import Entry, Portal
from cli.configuration.plan import groups
from shared.errors import Sentence, sentence
from shared.i18n import as_sentence
from shared.portal.configuration import SINCE, OfferedPrice, OfferedProduct, Part
from shared.portal.pause import pause_day
from shared.portal.rules import Path, Severity, find_problems
from shared.stripe.gateway import StripeJson

# Reads a price of the account, `None` if there is no such price.
PriceOf = Callable[[str], StripeJson | None]

# A Lambda function's variables have 4 KB in all, and the parameter is one of them.
MOST_OF_PARAMETER = 3000
_AN_ID = "bpc_" + "x" * 24


@dataclass(frozen=True, slots=True)
class _Unplaced:
    """A problem before its line is looked up."""

    code: str
    path: Path
    message: Sentence
    fix: Sentence
    severity: Severity = Severity.ERROR


def lint_portal(
    loaded: Loaded, today: date, price_of: PriceOf | None = None, *, allow_verified_email: bool = False
) -> list[FileProblem]:
    """Return everything that is wrong with a file, in its order.

    With `price_of`, which reads a price of the account, the products and prices on offer are checked too.
    `allow_verified_email` is the setting of the deployment that opens these portals; `False` if it is not known.
    """
    portal = loaded.portal
    found: list[_Unplaced] = []
    if portal:
        found += _of_file(portal)
        for name, entry in portal.configurations.items():
            at = ("configurations", name)
            found += (*_of_entry(entry, at), *_of_version(entry, portal.api_version, at))
            checked = price_of is not None and entry.active and entry.features.subscription_update.enabled
            if price_of and checked:
                found += _of_prices(entry, price_of, at)
            whole = entry.with_prices(price_of) if price_of and checked else entry
            found += (
                _Unplaced(each.code, (*at, *each.path), as_sentence(each.message), as_sentence(each.fix), each.severity)
                for each in find_problems(whole, pause_day(today), allow_verified_email=allow_verified_email)
            )
    placed = (
        FileProblem(each.code, each.severity, each.path, each.message, each.fix, loaded.document.line(each.path))
        for each in found
    )
    return sorted((*loaded.problems, *placed), key=lambda each: each.line)


def errors(problems: Iterable[FileProblem]) -> list[FileProblem]:
    """Return the problems that are errors."""
    return [each for each in problems if each.severity is Severity.ERROR]


def _of_file(portal: Portal) -> Iterator[_Unplaced]:
    defaults = [name for name, entry in portal.configurations.items() if entry.default]
    for name in defaults[1:]:
        message = sentence(
            "The account has one default configuration, and {name} is it already.", name=repr(defaults[0])
        )
        yield _Unplaced(
            "two_defaults", ("configurations", name, "default"), message, sentence("Keep one `default: true`.")
        )
    parameter = len(json.dumps(groups(portal, dict.fromkeys(portal.configurations, _AN_ID))))
    if parameter > MOST_OF_PARAMETER:
        message = sentence(
            "The groups make a PortalConfigurations of about {number} characters: too many for Lambda.",
            number=parameter,
        )
        fix = sentence("Stay below {most}: fewer groups.", most=MOST_OF_PARAMETER)
        yield _Unplaced("too_many_groups", ("configurations",), message, fix)
    yield from _owned_once(portal, "group", "groups")
    yield from _owned_once(portal, "configuration", "id")


def _owned_once(portal: Portal, what: str, key: str) -> Iterator[_Unplaced]:
    owners: dict[str, str] = {}
    for name, entry in portal.configurations.items():
        for each in entry.groups if key == "groups" else filter(None, [entry.id]):
            if each in owners:
                named = {"name": repr(each), "owner": repr(owners[each])}
                message = (
                    sentence("The group {name} belongs to {owner} already.", **named)
                    if key == "groups"
                    else sentence("The configuration {name} belongs to {owner} already.", **named)
                )
                fix = sentence("It can belong to one entry only: remove it from the other.")
                yield _Unplaced(f"{what}_twice", ("configurations", name, key), message, fix)
            owners.setdefault(each, name)


def _of_entry(entry: Entry, path: Path) -> Iterator[_Unplaced]:
    if entry.default and entry.id:
        message = sentence("The default configuration needs no id: the account has only one.")
        yield _Unplaced("default_with_id", (*path, "id"), message, sentence("Remove `id`."))
    if entry.groups and not entry.active:
        message = sentence("Stripe opens no portal with an inactive configuration, and groups use this one.")
        fix = sentence("Remove the groups, or `active: false`.")
        yield _Unplaced("inactive_with_groups", (*path, "groups"), message, fix)
    if entry.default and "login_page" not in entry.model_fields_set:
        message = sentence("Without `login_page` it would be switched off, and its address stops working for good.")
        fix = sentence("Write `login_page: {{enabled: true}}` (or false, if nobody uses the link).")
        yield _Unplaced("login_page_unsaid", path, message, fix)


def _of_version(entry: Entry, version: str, path: Path) -> Iterator[_Unplaced]:
    """Find parameters that the API version of the file does not know."""
    for name, since in SINCE.items():
        keys = name.replace("[]", "").split(".")
        if version < since and _is_written(entry, keys):
            pause = keys[-1] == "subscription_pause"
            named = {"version": version, "name": keys[-1], "since": since}
            message = (
                sentence("API {version} does not know {name}; it came back with {since}.", **named)
                if pause
                else sentence("API {version} does not know {name}; it came with {since}.", **named)
            )
            fix = sentence("Remove it, or raise api_version to {since}.", since=since)
            code = "pause_version" if pause else "not_in_this_version"
            yield _Unplaced(code, (*path, *keys), message, fix)


def _is_written(part: object, keys: list[str]) -> bool:
    """Whether the file itself has the key at the end of a path."""
    if isinstance(part, tuple):
        return any(_is_written(each, keys) for each in part)
    if not isinstance(part, Part) or keys[0] not in part.model_fields_set:
        return False
    return len(keys) == 1 or _is_written(getattr(part, keys[0]), keys[1:])


def _of_prices(entry: Entry, price_of: PriceOf, path: Path) -> Iterator[_Unplaced]:
    """Compare the products and prices on offer with the account's."""
    for position, product in enumerate(entry.features.subscription_update.offered_products):
        at = (*path, "features", "subscription_update", "products", position, "prices")
        for place, price in enumerate(product.prices):
            yield from _of_price(product, price, price_of(price.price), (*at, place))


def _of_price(product: OfferedProduct, price: OfferedPrice, raw: StripeJson | None, path: Path) -> Iterator[_Unplaced]:
    if raw is None:
        fix = sentence("Look it up in the Dashboard, in the mode of the key.")
        message = sentence("The account has no price {price}.", price=price.price)
        yield _Unplaced("no_such_price", path, message, fix)
        return
    owner: Mapping[str, Any] = raw["product"] if isinstance(raw["product"], Mapping) else {"id": raw["product"]}
    actual = price.read(raw) if raw.get("recurring") else None
    name = price.price
    if owner["id"] != product.product:
        message = sentence("The price {price} belongs to {owner}.", price=name, owner=owner["id"])
        yield _Unplaced("price_of_another", path, message, sentence("List it there."))
    if not raw.get("active"):
        message = sentence("The price {price} is archived.", price=name)
        yield _Unplaced("inactive_price", path, message, sentence("Choose another, or activate it."))
    if owner.get("active") is False:
        message = sentence("The price {price} is of an archived product.", price=name)
        yield _Unplaced("inactive_product", path, message, sentence("Activate the product."))
    if actual is None:
        message = sentence("The price {price} is not recurring.", price=name)
        yield _Unplaced("not_recurring", path, message, sentence("Choose a price with an interval."))
    elif price.interval is not None and _differ(price, actual):
        billed = {"interval": actual.billed, "currency": actual.currency}
        message = sentence("The price {price} is billed {interval} in {currency}.", price=name, **billed)
        yield _Unplaced("price_differs", path, message, sentence("Correct its interval or currency in the file."))
    if raw.get("tax_behavior") == "unspecified":
        message = sentence(
            "The price {price} has no tax_behavior: the portal changes no subscription to or from it.", price=name
        )
        fix = sentence("Set it to inclusive or exclusive.")
        yield _Unplaced("no_tax_behavior", path, message, fix, Severity.WARNING)


def _differ(written: OfferedPrice, actual: OfferedPrice) -> bool:
    same = (written.interval, written.interval_count) == (actual.interval, actual.interval_count)
    return not same or written.currency not in (None, actual.currency)
