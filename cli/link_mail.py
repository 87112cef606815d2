"""The mail that brings a customer one link to the portal, in the customer's language."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parseaddr
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from shared.audit.text import NO_BREAK_SPACE, Language, Text, format_date
from shared.portal_flow import Flow
from shared.ses import SEVEN_BITS


@dataclass(frozen=True, slots=True)
class _Page:
    """What a link opens: a sentence, and the words of its button."""

    opens: Text
    button: Text


_PAGES: dict[Flow | None, _Page] = {
    None: _Page(
        Text(
            "This link opens your billing page: your subscription, payment methods and invoices.",
            "Ce lien ouvre votre espace de facturation : abonnement, moyens de paiement et factures.",
        ),
        Text("Manage my subscription", "Gérer mon abonnement"),
    ),
    "customer_update": _Page(
        Text(
            "This link opens the page where you change your billing details.",
            "Ce lien ouvre la page où modifier vos coordonnées de facturation.",
        ),
        Text("Update my details", "Modifier mes coordonnées"),
    ),
    "payment_method_update": _Page(
        Text(
            "This link opens the page where you change your payment method.",
            "Ce lien ouvre la page où changer de moyen de paiement.",
        ),
        Text("Update my payment method", "Changer mon moyen de paiement"),
    ),
    "subscription_cancel": _Page(
        Text(
            "This link opens the page where you can cancel your subscription. Nothing ends until you confirm it there.",
            "Ce lien ouvre la page où résilier votre abonnement. Rien ne prend fin avant votre confirmation.",
        ),
        Text("Go to the cancellation", "Aller à la résiliation"),
    ),
    "subscription_pause": _Page(
        Text(
            "This link opens the page where you can pause your subscription.",
            "Ce lien ouvre la page où mettre votre abonnement en pause.",
        ),
        Text("Pause my subscription", "Mettre en pause"),
    ),
    "subscription_update": _Page(
        Text(
            "This link opens the page where you can change your plan.",
            "Ce lien ouvre la page où changer d'offre.",
        ),
        Text("Change my plan", "Changer d'offre"),
    ),
    "subscription_update_confirm": _Page(
        Text(
            "This link shows a change of your plan with its price. Nothing changes before you confirm it there.",
            "Ce lien présente un changement d'offre et son prix. Rien ne change avant votre confirmation.",
        ),
        Text("See the change", "Voir le changement"),
    ),
}
_SUBJECT = Text("Your link to manage your subscription", "Votre lien pour gérer votre abonnement")
_SECRET = Text(
    "It is for you alone: whoever has it can open the page, so please do not pass this mail on.",
    "Il n'est que pour vous : quiconque le possède peut ouvrir la page, merci de ne pas transférer ce message.",
)
_AFTERWARDS = Text(
    "After that, sign in with your e-mail address instead:", "Ensuite, connectez-vous avec votre adresse e-mail :"
)
_COPY = Text(
    "If the button does not work, copy this address into your browser:",
    "Si le bouton ne fonctionne pas, copiez cette adresse dans votre navigateur :",
)


@dataclass(frozen=True, slots=True)
class Link:
    """What is sent: the address with its token, the one without, what it opens, and until when (aware)."""

    url: str
    login_url: str
    flow: Flow | None
    expires_at: datetime


def compose(link: Link, *, sender: str, recipient: str, language: Language) -> EmailMessage:
    """Write the mail as text and HTML. `sender` is an address, or `Name <address>`: the name says who writes."""
    name, address = parseaddr(sender)
    subject = Text(f"{name}: {_SUBJECT.en}", f"{name} : {_SUBJECT.fr}") if name else _SUBJECT
    message = EmailMessage(policy=SEVEN_BITS)
    message["Subject"] = subject.say(language)
    message["From"] = sender
    message["To"] = recipient
    message["Auto-Submitted"] = "auto-generated"
    words = _words(link, name or address.rpartition("@")[2], address, language)
    message.set_content(_templates().get_template("link_mail.txt.j2").render(words))
    message.add_alternative(_templates().get_template("link_mail.html.j2").render(words), subtype="html")
    return message


def _words(link: Link, business: str, address: str, language: Language) -> dict[str, str]:
    page = _PAGES[link.flow]
    why = Text(
        f"{business} has sent you this mail, from {address}. You did not expect it? Delete it: nothing has changed.",
        f"{business} vous envoie ce message, depuis {address}. Vous n'attendiez rien ? Supprimez-le : rien n'a changé.",
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
    said = {name: text.say(language) for name, text in texts.items()}
    return said | {"language": language, "business": business, "url": link.url, "login_url": link.login_url}


def _until(moment: datetime) -> Text:
    """The customer's time zone is not known, so it is UTC and says so."""
    utc = moment.astimezone(UTC)
    french_time = f"{utc.hour}{NO_BREAK_SPACE}h{NO_BREAK_SPACE}{utc:%M}"
    return Text(
        f"It works until {format_date(utc.date())}, {utc:%H:%M} UTC.",
        f"Il est valable jusqu'au {format_date(utc.date(), 'fr')} à {french_time} (UTC).",
    )


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
