"""Which portal configuration a customer gets: that of the customer's group, else the account's default one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import stripe
from stripe import StripeClient

from shared.errors import InvalidRequest, OperatorError, sentence, without_addresses
from shared.stripe.gateway import StripeJson, stripe_errors

_PRODUCTS = "features.subscription_update.products"


@dataclass(frozen=True, slots=True)
class ConfigurationChoice:
    """Which configuration to read: the one named, else the group's, else the default one.

    `groups` is PORTAL_CONFIGURATIONS; `group` overrides the customer's own, `metadata.portal_group`. `country` is the
    Stripe account's (two letters), which is read from Stripe when it is `None`.
    """

    groups: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    configuration_id: str | None = None
    country: str | None = None


def read_configuration(
    client: StripeClient, choice: ConfigurationChoice, group: str | None, *, with_products: bool = True
) -> StripeJson:
    """Read it as it is now; the products on offer need another permission.

    Raises `InvalidRequest` for one that does not exist, `OperatorError` without a default.
    """
    configuration_id = choice.configuration_id or configuration_of_group(group, choice.groups)
    configurations = client.v1.billing_portal.configurations
    with stripe_errors():
        if configuration_id is None:
            expand = [f"data.{_PRODUCTS}"] if with_products else []
            found = configurations.list({"is_default": True, "limit": 1, "expand": expand}).data
            if not found:
                raise no_default_configuration()
            default: StripeJson = found[0].to_dict(for_json=True)
            return default
        try:
            expand = [_PRODUCTS] if with_products else []
            raw: StripeJson = configurations.retrieve(configuration_id, {"expand": expand}).to_dict(for_json=True)
        except stripe.InvalidRequestError as error:
            raise InvalidRequest(
                "no_configuration",
                sentence("Stripe has no portal configuration {configuration_id}", configuration_id=configuration_id),
            ) from error
    return raw


def no_default_configuration() -> OperatorError:
    """Return the error for an account whose portal settings have never been saved."""
    return OperatorError(
        "no_default_configuration",
        sentence(
            "Save the portal's settings once in Stripe's Dashboard (Settings > Billing > Customer portal), in the "
            "mode of the API key"
        ),
    )


def group_in(metadata: Mapping[str, str] | None) -> str | None:
    """Return the group that a customer's metadata names."""
    return (metadata or {}).get("portal_group")


def configuration_of_group(group: str | None, groups: Mapping[str, str]) -> str | None:
    """Return the id of a group's configuration, `None` for the default one; `groups` is PORTAL_CONFIGURATIONS.

    Raises `OperatorError` for a group that is not in it. Where there are no groups, every group has the default one.
    """
    if group is None or not groups:
        return None
    if group not in groups:
        named = without_addresses(group)
        raise OperatorError(
            "unknown_group",
            sentence(
                "PORTAL_CONFIGURATIONS has no group {named}, only {groups}", named=repr(named), groups=sorted(groups)
            ),
        )
    return groups[group]
