"""`portal link`: one link that opens one customer's portal, printed or mailed to that customer."""

import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, get_args
from urllib.parse import urlencode

import boto3
import stripe
import typer
from pydantic import ValidationError

from cli import link_mail
from cli.durations import duration
from shared import ses
from shared.accept_language import preferred
from shared.audit.text import Language
from shared.errors import InvalidRequest
from shared.link_token import LinkClaims
from shared.portal_flow import AfterCompletion, Flow
from shared.portal_rules.which_configuration import configuration_of_group
from shared.return_url import is_allowed
from shared.stripe_gateway import stripe_errors

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()

_LANGUAGES: Sequence[Language] = get_args(Language)
# One plain address: what else Stripe may have taken for one is not written into a mail's header.
_ADDRESS = re.compile(r"[^@\s,;<>()\"\\:]+@[^@\s,;<>()\"\\:]+", re.ASCII)
_MEND = "Verify the stack's PortalEmailFrom in SES in this region, and the customer too while SES is in its sandbox."


@app.command()
def link(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="The Stripe customer, cus_...")],
    *,
    expires: Annotated[
        str | None,
        typer.Option(help="How long the link opens anything: 15m, 2h, at most 7d.", show_default="15m; 1d mailed"),
    ] = None,
    flow: Annotated[Flow | None, typer.Option(help="Open this page of the portal only.")] = None,
    subscription: Annotated[str | None, typer.Option(help="The subscription that the flow is about, sub_...")] = None,
    item: Annotated[str | None, typer.Option(help="Its item to change, si_...; not needed.")] = None,
    price: Annotated[str | None, typer.Option(help="The price to confirm.")] = None,
    quantity: Annotated[int | None, typer.Option(help="The quantity to confirm.")] = None,
    coupon: Annotated[str | None, typer.Option(help="Offered to who cancels, or a discount on the change.")] = None,
    promotion_code: Annotated[str | None, typer.Option(help="A discount on the change, promo_...")] = None,
    after_completion: Annotated[AfterCompletion | None, typer.Option(help="What follows the flow.")] = None,
    custom_message: Annotated[str | None, typer.Option(help="What the hosted confirmation says.")] = None,
    group: Annotated[str | None, typer.Option(help="The group of PORTAL_CONFIGURATIONS.")] = None,
    locale: Annotated[str | None, typer.Option(help="The portal's language, such as fr or fr-CA.")] = None,
    checkout: Annotated[bool, typer.Option(help="May lead a customer without a subscription to Checkout.")] = True,
    return_url: Annotated[str | None, typer.Option(help="Where the portal leads back to.")] = None,
    email: Annotated[
        bool, typer.Option("--email", help="Mail it to the customer, to the address that Stripe has.")
    ] = False,
    language: Annotated[Language | None, typer.Option(help="Of the mail; the customer's own by default.")] = None,
) -> None:
    """Mint a link that opens one customer's portal. Whoever has it opens it: send it to that customer only."""
    given = {name: value for name, value in locals().items() if name in LinkClaims.model_fields}
    claims = _claims(given | {"sub": customer})
    deployment: Deployment = context.obj()
    configuration_of_group(group, deployment.portal_configurations)
    _check_return(return_url, deployment.allowed_return_origins)
    now, life = deployment.clock or time.time(), duration(expires or ("1d" if email else "15m"))
    token = deployment.link_tokens.mint(claims, expires_in=life, now=now)
    query = {"token": token} | ({"return_url": return_url} if return_url else {})
    url = f"{deployment.api_url}/portal?{urlencode(query)}"
    if email:
        until = datetime.fromtimestamp(now, UTC) + life
        _mail(deployment, customer, link_mail.Link(url, f"{deployment.api_url}/portal", flow, until), language)
    else:
        sys.stdout.write(f"{url}\n")


def _check_return(return_url: str | None, origins: Sequence[str]) -> None:
    """Refuse what the link would refuse when somebody follows it."""
    if return_url and origins and not is_allowed(return_url, origins):
        raise InvalidRequest(
            "bad_return_url", f"--return-url must be of one of AllowedReturnOrigins: {', '.join(origins)}"
        )


def _claims(given: dict[str, Any]) -> LinkClaims:
    try:
        claims = LinkClaims(**given)
    except ValidationError as error:
        said = sorted({_wrong(dict(each)) for each in error.errors()})
        raise InvalidRequest("bad_link", "; ".join(said)) from None
    if claims.flow and claims.flow.startswith("subscription_") and not claims.subscription:
        raise InvalidRequest("subscription_required", f"The flow {claims.flow} needs --subscription sub_...")
    if claims.flow == "subscription_update_confirm" and claims.price is None and claims.quantity is None:
        raise InvalidRequest("change_required", f"The flow {claims.flow} needs --price or --quantity")
    return claims


def _wrong(error: dict[str, Any]) -> str:
    """What is wrong with an option, and what is wanted instead."""
    if not error["loc"]:
        return f"These options cannot be used: {error['msg']}"
    name, given = str(error["loc"][0]), error["input"]
    if name == "sub":
        return f"{given!r} is no customer of Stripe: an id such as cus_123 is wanted"
    said = "this is not how Stripe writes it" if error["type"] == "string_pattern_mismatch" else error["msg"]
    return f"--{name.replace('_', '-')} {given!r}: {said}"


def _mail(deployment: "Deployment", customer: str, link: link_mail.Link, language: Language | None) -> None:
    """Send it to the address that Stripe has, and to no other: a link is as good as a password."""
    with stripe_errors():
        try:
            found = deployment.stripe.v1.customers.retrieve(customer)
        except stripe.InvalidRequestError as error:
            raise InvalidRequest("no_such_customer", f"Stripe has no customer {customer} in the key's mode") from error
    recipient = getattr(found, "email", None) or ""
    if not _ADDRESS.fullmatch(recipient):
        raise InvalidRequest("no_email", f"Stripe has no e-mail address of {customer} that a mail can be sent to")
    wishes = getattr(found, "preferred_locales", None) or []
    chosen = language or preferred(",".join(wishes), _LANGUAGES) or "en"
    sender = deployment.email_sender
    message = link_mail.compose(link, sender=sender, recipient=recipient, language="fr" if chosen == "fr" else "en")
    ses.send(boto3.client("sesv2"), message, sender, [recipient], mend=_MEND)
    sys.stdout.write(f"Sent to {recipient}; it opens until {link.expires_at:%Y-%m-%d %H:%M} UTC.\n")
