"""What `portal lint` knows of a whole file, and of each configuration but its plan changes and its pause."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date

from cli.configuration.features import Features, Part
from cli.configuration.loading import Loaded
from cli.configuration.model import Entry, Portal
from cli.configuration.normal import SINCE
from cli.configuration.planning import groups
from cli.configuration.problems import Path, Problem, Severity
from cli.configuration.rules_pause import pause_problems
from cli.configuration.rules_updates import update_problems

# docs.stripe.com/api/customer_portal/configurations/update
LONGEST_HEADLINE = 60
# The variables of a function have 4 KB in all, and the parameter is one of them.
MOST_OF_PARAMETER = 3000
_AN_ID = "bpc_" + "x" * 24


def lint(loaded: Loaded, today: date) -> list[Problem]:
    """Answer everything that is wrong with a file, as far as can be told without the account, in its order."""
    found = list(loaded.problems)
    if loaded.portal:
        found += _of_file(loaded.portal)
        for name, entry in loaded.portal.configurations.items():
            found += _of_entry(entry, loaded.portal.api_version, ("configurations", name), today)
    return placed(loaded, found)


def placed(loaded: Loaded, problems: Iterable[Problem]) -> list[Problem]:
    """Answer problems with their lines, in the order of the file."""
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
