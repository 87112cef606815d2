"""Finds the portal configuration that a customer gets, as the portal link does."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import stripe
from stripe import StripeClient

from shared.errors import InvalidRequest, OperatorError
from shared.stripe.gateway import StripeJson, stripe_errors

_PRODUCTS = "features.subscription_update.products"


@dataclass(frozen=True, slots=True)
class ConfigurationChoice:
    """Through which configuration to look: the one named, else the group's, else the default one.

    `groups` is PORTAL_CONFIGURATIONS; without a `group` it is that of the customer's `metadata.portal_group`. `country`
    is the Stripe account's (two letters), which is asked for when it is `None`.
    """

    groups: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    configuration_id: str | None = None
    country: str | None = None


def read_configuration(client: StripeClient, through: ConfigurationChoice, group: str | None) -> StripeJson:
    """Read it as it is now. Raises `InvalidRequest` for one that does not exist, `OperatorError` without a default."""
    configuration_id = through.configuration_id or configuration_of_group(group, through.groups)
    configurations = client.v1.billing_portal.configurations
    with stripe_errors():
        if configuration_id is None:
            found = configurations.list({"is_default": True, "limit": 1, "expand": [f"data.{_PRODUCTS}"]}).data
            if not found:
                raise OperatorError(
                    "no_default_configuration",
                    "Save the portal's settings once in Stripe's Dashboard (Settings > Billing > Customer portal), "
                    "in the mode of the API key",
                )
            default: StripeJson = found[0].to_dict(for_json=True)
            return default
        try:
            raw: StripeJson = configurations.retrieve(configuration_id, {"expand": [_PRODUCTS]}).to_dict(for_json=True)
        except stripe.InvalidRequestError as error:
            raise InvalidRequest(
                "no_configuration", f"Stripe has no portal configuration {configuration_id}"
            ) from error
    return raw


def configuration_of_group(group: str | None, groups: Mapping[str, str]) -> str | None:
    """Return the id of a group's configuration, `None` for the default one. Raises `OperatorError` for no such group.

    Without any groups the portal link asks nobody for one.
    """
    if group is None or not groups:
        return None
    if group not in groups:
        raise OperatorError("unknown_group", f"PORTAL_CONFIGURATIONS has no group {group!r}, only {sorted(groups)}")
    return groups[group]
