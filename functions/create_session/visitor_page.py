"""What the visitor's page says in each of its languages, by the error's code."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from shared.errors import OperatorError, PortalError, Unavailable
from shared.i18n import Language, Text, preferred

# The first is for visitors who ask for none of them.
LANGUAGES = ("en", "fr")


class PageText(NamedTuple):
    """A heading and a paragraph."""

    title: Text
    text: Text


SIGN_IN = Text("Sign in with your e-mail address instead", "Se connecter plutôt avec une adresse e-mail")
AGAIN = Text("Try again", "Réessayer")
REFERENCE = Text("If you write to us about it, give this number:", "Si vous nous écrivez, indiquez ce numéro :")

_EXPIRED = PageText(
    Text("This link has expired", "Ce lien a expiré"),
    Text(
        "Links to your account only work for a while, so that nobody else can use them later. Please ask for a new "
        "one where you found this one.",
        "Les liens vers votre compte ne fonctionnent qu'un certain temps, pour que personne d'autre ne puisse s'en "
        "servir plus tard. Merci d'en demander un nouveau là où vous avez trouvé celui-ci.",
    ),
)
_BROKEN = PageText(
    Text("This link does not work", "Ce lien ne fonctionne pas"),
    Text(
        "Perhaps a part of it was lost when it was copied. Please open it again from where you found it.",
        "Une partie a peut-être été perdue lors de la copie. Merci de l'ouvrir à nouveau là où vous l'avez trouvé.",
    ),
)
_NOT_OFFERED = PageText(
    Text("This page cannot be opened", "Cette page ne peut pas être ouverte"),
    Text(
        "It is not on offer for your subscription at the moment. Your subscription may have changed since this link "
        "was made.",
        "Elle n'est pas proposée pour votre abonnement en ce moment. Votre abonnement a peut-être changé depuis la "
        "création de ce lien.",
    ),
)
_OUR_FAULT = PageText(
    Text("Your account cannot be opened just now", "Votre compte ne peut pas être ouvert pour le moment"),
    Text(
        "This is our fault, not yours: something is not set up right on our side. It has been noted. Nothing has "
        "changed in your account. Please try again later.",
        "La faute est de notre côté, pas du vôtre : un de nos réglages doit être corrigé. C'est noté. Rien n'a changé "
        "dans votre compte. Merci de réessayer plus tard.",
    ),
)
_A_MOMENT = PageText(
    Text("Please try again in a moment", "Merci de réessayer dans un instant"),
    Text(
        "A service that we rely on did not answer in time. Nothing has changed in your account.",
        "Un service dont nous dépendons n'a pas répondu à temps. Rien n'a changé dans votre compte.",
    ),
)
_BY_CODE: Mapping[str, PageText] = {
    "expired_token": _EXPIRED,
    "change_refused": _NOT_OFFERED,
    "change_required": _NOT_OFFERED,
    "discount_refused": _NOT_OFFERED,
    "flow_disabled": _NOT_OFFERED,
    "flow_refused": _NOT_OFFERED,
    "nothing_to_confirm": _NOT_OFFERED,
    "several_items": _NOT_OFFERED,
    "not_your_item": _NOT_OFFERED,
    "not_your_subscription": _NOT_OFFERED,
    "subscription_required": _NOT_OFFERED,
}


def page_text(error: PortalError) -> PageText:
    """Choose by code; else by whose fault it is."""
    if isinstance(error, Unavailable):
        return _A_MOMENT
    return _OUR_FAULT if isinstance(error, OperatorError) else _BY_CODE.get(error.code, _BROKEN)


_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; --ground: #fff; --ink: #1c1b22; --quiet: #5a5866; --link: #4b3fd1 }}
  @media (prefers-color-scheme: dark) {{
    :root {{ --ground: #16161d; --ink: #ededf2; --quiet: #a9a7b5; --link: #a9a2ff }}
  }}
  body {{ font: 1.125rem/1.6 system-ui, sans-serif; background: var(--ground); color: var(--ink); margin: 0 }}
  main {{ max-width: 34rem; margin: 0 auto; padding: 14vh 1.5rem 3rem }}
  h1 {{ font-size: 1.75rem; line-height: 1.25; margin: 0 0 1rem; text-wrap: balance }}
  a {{ color: var(--link); text-underline-offset: .2em }}
  a:focus-visible {{ outline: 3px solid var(--link); outline-offset: 3px }}
  small {{ color: var(--quiet); overflow-wrap: anywhere }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
{rest}
</main>
</body>
</html>
"""
# With these the login page does not open either, or is the very page that does not.
_LOGIN_IS_NO_WAY_OUT = frozenset(
    {
        "bad_secret",
        "bad_settings",
        "billing_not_available",
        "internal_error",
        "login_page_off",
        "no_default_configuration",
        "stripe_key_invalid",
        "stripe_key_lacks_permission",
    }
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """What the page depends on beside the error; `reference` finds the log line."""

    accept_language: str | None
    has_token: bool
    reference: str

    @property
    def language(self) -> Language:
        """The page's language: English where the visitor asks for none that there is."""
        return "fr" if preferred(self.accept_language, LANGUAGES) == "fr" else "en"


def visitor_page(error: PortalError, visitor: Visitor) -> str:
    """Render the page; its ways out are the same address once more, or without a token, which is the login page."""
    language = visitor.language
    title, text = page_text(error)
    rest = []
    if isinstance(error, Unavailable):
        rest.append(f'<p><a href="">{escape(AGAIN.say(language))}</a></p>')
    elif visitor.has_token and error.code not in _LOGIN_IS_NO_WAY_OUT:
        rest.append(f'<p><a href="?">{escape(SIGN_IN.say(language))}</a></p>')
    if isinstance(error, OperatorError | Unavailable):
        rest.append(f"<p><small>{escape(REFERENCE.say(language))}<br>{escape(visitor.reference)}</small></p>")
    return _PAGE.format(
        language=language,
        title=escape(title.say(language)),
        text=escape(text.say(language)),
        rest="\n".join(rest),
    )
