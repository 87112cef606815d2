"""Makes what a deployment makes: resources, secret, environment, webhook endpoint, and the functions themselves."""

import json
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stripe import StripeClient

from local.aws_resources import AwsClients, create_resources
from local.backend import Backend
from local.intrinsics import TemplateError
from local.lambda_function import LambdaFunction
from local.options import Options
from local.places import SENDING_DOMAIN
from local.template import Template

if TYPE_CHECKING:
    from stripe.params import WebhookEndpointCreateParams

LOCAL_KEY = "sk_test_local"
# The functions share one process here; these may differ between them.
_MAY_DIFFER = "POWERTOOLS_"


def stripe_client_for(options: Options) -> StripeClient:
    """Answer a client of Stripe, or of the simulator."""
    return StripeClient(
        options.stripe_key or LOCAL_KEY,
        base_addresses={"api": options.places.stripe_url},
        max_network_retries=1,
    )


def provision(options: Options, client: StripeClient, groups: Mapping[str, str], checkout_price: str) -> Backend:
    """Make everything that the functions need, and load them.

    `groups` maps groups to portal configurations; `checkout_price` is what customers without a subscription may buy.
    """
    places = options.places
    parameters = places.parameters | {
        "PortalConfigurations": json.dumps(dict(groups)),
        "CheckoutPrice": checkout_price,
        **(places.oidc_parameters if options.oidc else {}),
    }
    template = Template.load(parameters=parameters, names=places.names)
    os.environ.update(process_environment(template, options))
    aws = AwsClients.at(places.aws_url)
    link_secret = secrets.token_urlsafe(32)
    secret = {
        "stripe_api_key": options.stripe_key or LOCAL_KEY,
        "webhook_signing_secrets": _signing_secrets(options, client, template.outputs()["WebhookUrl"]),
        "link_secret": link_secret,
    }
    create_resources(template, aws, sender=SENDING_DOMAIN, secret=secret)
    functions = {logical_id: LambdaFunction(function) for logical_id, function in template.functions().items()}
    return Backend(places, template, client, aws, functions, link_secret, groups)


def process_environment(template: Template, options: Options) -> dict[str, str]:
    """Answer the one environment that all functions share here.

    Raises `TemplateError` when two functions want different values for one variable.
    """
    overrides = {
        "STRIPE_API_BASE": options.places.stripe_url,
        "POWERTOOLS_LOG_LEVEL": options.log_level,
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    shared: dict[str, str] = {}
    for function_id in template.functions():
        for name, value in template.environment(function_id, overrides).items():
            if shared.setdefault(name, value) != value and not name.startswith(_MAY_DIFFER):
                raise TemplateError(f"Two functions want different values for {name}; here they share one environment")
    return {**shared, **options.places.aws_environment}


def _signing_secrets(options: Options, client: StripeClient, webhook_url: str) -> list[str]:
    if options.stripe_key:
        return [options.webhook_secret] if options.webhook_secret else []
    endpoint: WebhookEndpointCreateParams = {
        "url": webhook_url,
        "enabled_events": [
            "customer.subscription.created",
            "customer.subscription.deleted",
            "customer.subscription.paused",
            "customer.subscription.resumed",
            "customer.subscription.updated",
        ],
    }
    return [str(client.v1.webhook_endpoints.create(endpoint).secret)]
