"""The page that a person sees who followed a portal link that did not open, in the person's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from shared.errors import PortalError, VisitorPage
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

_TEXTS: Mapping[VisitorPage, PageText] = {
    VisitorPage.LINK_EXPIRED: PageText(
        Text("This link has expired", "Ce lien a expiré"),
        Text(
            "Links to your account only work for a while, so that nobody else can use them later. Please ask for a new "
            "one where you found this one.",
            "Les liens vers votre compte ne fonctionnent qu'un certain temps, pour que personne d'autre ne puisse s'en "
            "servir plus tard. Merci d'en demander un nouveau là où vous avez trouvé celui-ci.",
        ),
    ),
    VisitorPage.LINK_BROKEN: PageText(
        Text("This link does not work", "Ce lien ne fonctionne pas"),
        Text(
            "Perhaps a part of it was lost when it was copied. Please open it again from where you found it.",
            "Une partie a peut-être été perdue lors de la copie. Merci de l'ouvrir à nouveau là où vous l'avez trouvé.",
        ),
    ),
    VisitorPage.NOT_OFFERED: PageText(
        Text("This page cannot be opened", "Cette page ne peut pas être ouverte"),
        Text(
            "It is not on offer for your subscription at the moment. Your subscription may have changed since this "
            "link was made.",
            "Elle n'est pas proposée pour votre abonnement en ce moment. Votre abonnement a peut-être changé depuis la "
            "création de ce lien.",
        ),
    ),
    VisitorPage.OUR_FAULT: PageText(
        Text("Your account cannot be opened just now", "Votre compte ne peut pas être ouvert pour le moment"),
        Text(
            "This is our fault, not yours: something is not set up right on our side. It has been noted. Nothing has "
            "changed in your account. Please try again later.",
            "La faute est de notre côté, pas du vôtre : un de nos réglages doit être corrigé. C'est noté. Rien n'a "
            "changé dans votre compte. Merci de réessayer plus tard.",
        ),
    ),
    VisitorPage.TRY_AGAIN: PageText(
        Text("Please try again in a moment", "Merci de réessayer dans un instant"),
        Text(
            "A service that we rely on did not answer in time. Nothing has changed in your account.",
            "Un service dont nous dépendons n'a pas répondu à temps. Rien n'a changé dans votre compte.",
        ),
    ),
}

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


@dataclass(frozen=True, slots=True)
class Visitor:
    """What the page depends on besides the error; `reference` is the request's id, which finds the log line."""

    accept_language: str | None
    has_token: bool
    reference: str

    @property
    def language(self) -> Language:
        """The page's language: English unless the visitor prefers another that the page has."""
        return "fr" if preferred(self.accept_language, LANGUAGES) == "fr" else "en"


def visitor_page(error: PortalError, visitor: Visitor) -> str:
    """Render the page. It links to the same address again, or without the token, which is the login page."""
    language = visitor.language
    page = error.entry.page
    title, text = _TEXTS[page]
    rest = []
    if page is VisitorPage.TRY_AGAIN:
        rest.append(f'<p><a href="">{escape(AGAIN.say(language))}</a></p>')
    elif visitor.has_token and error.entry.login_page_helps:
        rest.append(f'<p><a href="?">{escape(SIGN_IN.say(language))}</a></p>')
    if page in {VisitorPage.OUR_FAULT, VisitorPage.TRY_AGAIN}:
        rest.append(f"<p><small>{escape(REFERENCE.say(language))}<br>{escape(visitor.reference)}</small></p>")
    return _PAGE.format(
        language=language,
        title=escape(title.say(language)),
        text=escape(text.say(language)),
        rest="\n".join(rest),
    )
