"""`portal link`: mints a link that opens one customer's portal, and prints it or mails it to the customer."""

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import parseaddr
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args
from urllib.parse import urlencode

import boto3
import stripe
import typer
from botocore.exceptions import BotoCoreError, ClientError
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic import ValidationError

from cli.terminal import Format, duration, language_option, print_json
from shared import ses
from shared.errors import InvalidRequest, OperatorError, Sentence, Unavailable, sentence
from shared.i18n import ENGLISH, Message, _, as_sentence, best_language, listed
from shared.link_token import AfterCompletion, Flow, LinkClaims
from shared.portal.which_configuration import configuration_of_group
from shared.return_url import is_allowed
from shared.ses import MailText, write_mail
from shared.stripe.gateway import stripe_errors

if TYPE_CHECKING:
    from cli.deployment import Deployment


app = typer.Typer()

# One plain address. Stripe accepts other forms too, which must not reach a mail header.
_ADDRESS = re.compile(r"[^@\s,;<>()\"\\:]+@[^@\s,;<>()\"\\:]+", re.ASCII)
_SES_FIX = sentence(
    "Verify the stack's PortalEmailFrom in SES in this region. While SES is in its sandbox, verify the customer's "
    "address too."
)


@dataclass(frozen=True, slots=True)
class _MailText:
    """What the mail says about the page behind the link: a sentence, and the label of the button."""

    opens: Message
    button: Message


_PAUSE = _MailText(
    _("This link opens the page where you can pause your subscription."),
    _("Pause my subscription"),
)
_PAGES: dict[Flow | None, _MailText] = {
    None: _MailText(
        _("This link opens your billing page: your subscription, payment methods and invoices."),
        _("Manage my subscription"),
    ),
    "customer_update": _MailText(
        _("This link opens the page where you change your billing details."),
        _("Update my details"),
    ),
    "pause": _PAUSE,
    "payment_method_update": _MailText(
        _("This link opens the page where you change your payment method."),
        _("Update my payment method"),
    ),
    "subscription_cancel": _MailText(
        _("This link opens the page where you can cancel your subscription. Nothing ends until you confirm it there."),
        _("Go to the cancellation"),
    ),
    "subscription_pause": _PAUSE,
    "subscription_update": _MailText(
        _("This link opens the page where you can change your plan."),
        _("Change my plan"),
    ),
    "subscription_update_confirm": _MailText(
        _("This link shows a change of your plan with its price. Nothing changes before you confirm it there."),
        _("See the change"),
    ),
}
_SUBJECT = _("Your link to manage your subscription")
_SECRET = _("It is for you alone: whoever has it can open the page, so please do not pass this mail on.")
_AFTERWARDS = _("After that, sign in with your e-mail address instead:")
_COPY = _("If the button does not work, copy this address into your browser:")


@dataclass(frozen=True, slots=True)
class MintedLink:
    """A link that opens the portal: `url` carries the token, `login_url` is the login page; `expires_at` is aware."""

    url: str
    login_url: str
    flow: Flow | None
    expires_at: datetime


def compose(link: MintedLink, *, sender: str, recipient: str, language: str) -> EmailMessage:
    """Return the mail as text and HTML. `sender` is an address, or `Name <address>`."""
    name, address = parseaddr(sender)
    subject = _("{name}: {subject}", name=name, subject=_SUBJECT) if name else _SUBJECT
    values = _template_values(link, name or address.rpartition("@")[2], address, language)
    text = _templates().get_template("link_mail.txt.j2").render(values)
    html = _templates().get_template("link_mail.html.j2").render(values)
    mail = MailText(subject.say(language), text, html, language)
    return write_mail(mail, sender=sender, recipients=[recipient])


def _template_values(link: MintedLink, business: str, address: str, language: str) -> dict[str, str]:
    page = _PAGES[link.flow]
    why = _(
        "{business} has sent you this mail, from {address}. You did not expect it? Delete it: nothing has changed.",
        business=business,
        address=address,
    )
    texts = {
        "title": _SUBJECT,
        "opens": page.opens,
        "button": page.button,
        "until": _until(link.expires_at),
        "secret": _SECRET,
        "afterwards": _AFTERWARDS,
        "copy": _COPY,
        "why": why,
    }
    translated = {name: text.say(language) for name, text in texts.items()}
    return translated | {"language": language, "business": business, "url": link.url, "login_url": link.login_url}


def _until(moment: datetime) -> Message:
    """In UTC, and labelled so, because the customer's time zone is not known."""
    utc = moment.astimezone(UTC)
    return _("It works until {day}, {time} UTC.", day=utc.date(), time=utc.time().replace(second=0, microsecond=0))


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@app.command()
def link(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="The Stripe customer, cus_...")],
    *,
    expires: Annotated[
        str | None,
        typer.Option(help="How long the link works: 15m, 2h, at most 7d.", show_default="15m, or 1d with --email"),
    ] = None,
    flow: Annotated[
        Flow | None,
        typer.Option(metavar="PAGE", help=f"Open only this page of the portal: {', '.join(get_args(Flow))}."),
    ] = None,
    subscription: Annotated[str | None, typer.Option(help="The subscription that the flow changes, sub_...")] = None,
    item: Annotated[str | None, typer.Option(help="The subscription item to change, si_... (optional).")] = None,
    price: Annotated[str | None, typer.Option(help="The price to confirm.")] = None,
    quantity: Annotated[int | None, typer.Option(help="The quantity to confirm.")] = None,
    coupon: Annotated[
        str | None, typer.Option(help="A coupon: offered before a cancellation, or a discount on the change.")
    ] = None,
    promotion_code: Annotated[
        str | None, typer.Option(help="A promotion code as a discount on the change, promo_...")
    ] = None,
    after_completion: Annotated[
        AfterCompletion | None,
        typer.Option(metavar="WHAT", help=f"What happens after the flow: {', '.join(get_args(AfterCompletion))}."),
    ] = None,
    custom_message: Annotated[str | None, typer.Option(help="Message on the hosted confirmation page.")] = None,
    group: Annotated[
        str | None, typer.Option(help="A group of PORTAL_CONFIGURATIONS, which chooses the portal configuration.")
    ] = None,
    locale: Annotated[str | None, typer.Option(help="The portal's language, such as fr or fr-CA.")] = None,
    checkout: Annotated[
        bool, typer.Option(help="Send a customer without a subscription to Checkout, if CHECKOUT_PRICE is set.")
    ] = True,
    return_url: Annotated[str | None, typer.Option(help="Where the portal's link back to your site leads.")] = None,
    email: Annotated[
        bool, typer.Option("--email", help="Mail the link to the customer's e-mail address at Stripe.")
    ] = False,
    language: Annotated[
        str | None,
        language_option("Language of the mail and of the output (default: of the mail --locale, or the customer's)."),
    ] = None,
    form: Format = "text",
) -> None:
    """Mint a link that opens one customer's portal.

    Anyone who has the link can open the portal: send it to that customer only.
    """
    given = {name: value for name, value in locals().items() if name in LinkClaims.model_fields}
    claims = _claims(given | {"sub": customer})
    deployment: Deployment = context.obj()
    if not email:
        _check_known(deployment, customer)
    made = _mint(deployment, claims, duration(expires or ("1d" if email else "15m")), return_url)
    recipient = _mail(deployment, customer, made, locale=locale, language=language) if email else None
    if form == "json":
        # A mailed link is the customer's alone, so it is not printed.
        print_json(url=None if email else made.url, expires_at=int(made.expires_at.timestamp()), mailed_to=recipient)
    elif recipient:
        sent = _("Sent to {recipient}. The link works until {until} UTC.", recipient=recipient, until=made.expires_at)
        sys.stdout.write(f"{sent.say(language or ENGLISH)}\n")
    else:
        sys.stdout.write(f"{made.url}\n")


def _mint(deployment: "Deployment", claims: LinkClaims, life: timedelta, return_url: str | None) -> MintedLink:
    """Return a link, after a look at what would only be refused once the customer follows it."""
    configuration_of_group(claims.group, deployment.portal_configurations)
    _check_return(return_url, deployment.allowed_return_origins)
    now = deployment.clock or time.time()
    token = deployment.link_tokens.mint(claims, expires_in=life, now=now)
    query = {"token": token} | ({"return_url": return_url} if return_url else {})
    page = f"{deployment.api_url}/portal"
    return MintedLink(f"{page}?{urlencode(query)}", page, claims.flow, datetime.fromtimestamp(now, UTC) + life)


def _check_known(deployment: "Deployment", customer: str) -> None:
    """Raise `InvalidRequest` for a customer whom Stripe does not know; say nothing where Stripe cannot be asked.

    A link takes the link secret alone, so whoever may not read Stripe's key can still mint one.
    """
    try:
        found = _customer(deployment, customer)
    except (OperatorError, Unavailable, BotoCoreError, ClientError):
        return
    if getattr(found, "deleted", False):
        raise InvalidRequest(
            "no_such_customer", sentence("The customer {customer} was deleted at Stripe", customer=customer)
        )


def _customer(deployment: "Deployment", customer: str) -> stripe.Customer:
    with stripe_errors():
        try:
            found = deployment.stripe.v1.customers.retrieve(customer)
        except stripe.InvalidRequestError as error:
            raise InvalidRequest(
                "no_such_customer",
                sentence("Stripe has no customer {customer} in the mode of the key", customer=customer),
            ) from error
    return found


def _check_return(return_url: str | None, origins: Sequence[str]) -> None:
    """Raise `InvalidRequest` now for a return URL that the portal link would refuse later."""
    if return_url and origins and not is_allowed(return_url, origins):
        raise InvalidRequest(
            "bad_return_url",
            sentence("--return-url must have one of the AllowedReturnOrigins: {origins}", origins=", ".join(origins)),
        )


def _claims(given: dict[str, Any]) -> LinkClaims:
    try:
        claims = LinkClaims(**given)
    except ValidationError as error:
        messages = sorted({_option_error(dict(each)) for each in error.errors()})
        raise InvalidRequest("bad_link", as_sentence(listed(messages, "; "))) from None
    if claims.flow and claims.flow.startswith("subscription_") and not claims.subscription:
        raise InvalidRequest(
            "subscription_required", sentence("The flow {flow} needs --subscription sub_...", flow=claims.flow)
        )
    if claims.flow == "subscription_update_confirm" and claims.price is None and claims.quantity is None:
        raise InvalidRequest(
            "change_required", sentence("The flow {flow} needs --price or --quantity", flow=claims.flow)
        )
    return claims


def _option_error(error: dict[str, Any]) -> Sentence:
    """Say what is wrong with an option and what to write."""
    if not error["loc"]:
        return sentence("These options cannot be used: {why}", why=error["msg"])
    name, given = str(error["loc"][0]), error["input"]
    if name == "sub":
        return sentence("{text} is not a Stripe customer id: write one like cus_123", text=repr(given))
    option = f"--{name.replace('_', '-')} {given!r}"
    if error["type"] == "string_pattern_mismatch":
        return sentence("{option}: not in Stripe's format", option=option)
    return sentence("{option}: {why}", option=option, why=error["msg"])


def _mail(
    deployment: "Deployment", customer: str, link: MintedLink, *, locale: str | None, language: str | None
) -> str:
    """Send the link to the customer's address at Stripe and nowhere else: it is as good as a password.

    Return the address.
    """
    found = _customer(deployment, customer)
    recipient = getattr(found, "email", None) or ""
    # Stripe takes more: an ESC, a character that turns the writing direction, a line separator.
    if not _ADDRESS.fullmatch(recipient) or not recipient.isprintable():
        raise InvalidRequest(
            "no_email", sentence("Stripe has no usable e-mail address for {customer}", customer=customer)
        )
    locales = getattr(found, "preferred_locales", None) or []
    chosen = language or best_language(locale, ",".join(locales))
    sender = deployment.email_sender
    message = compose(link, sender=sender, recipient=recipient, language=chosen)
    ses.send(boto3.client("sesv2"), message, sender, [recipient], fix=_SES_FIX)
    return recipient
