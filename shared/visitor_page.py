"""The page that a person sees for whom the portal did not open, in the person's language."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from shared.errors import PortalError, VisitorPage
from shared.i18n import Message, _, best_language


@dataclass(frozen=True, slots=True)
class _PageText:
    title: Message
    text: Message


_SIGN_IN = _("Sign in with your e-mail address instead")
_AGAIN = _("Try again")
_REFERENCE = _("If you write to us about it, give this number:")

_TEXTS: Mapping[VisitorPage, _PageText] = {
    VisitorPage.LINK_EXPIRED: _PageText(
        _("This link has expired"),
        _(
            "Links to your account only work for a while, so that nobody else can use them later. Please ask for a new "
            "one where you found this one."
        ),
    ),
    VisitorPage.LINK_BROKEN: _PageText(
        _("This link does not work"),
        _("Perhaps a part of it was lost when it was copied. Please open it again from where you found it."),
    ),
    VisitorPage.NOT_OFFERED: _PageText(
        _("This page cannot be opened"),
        _(
            "It is not on offer for your subscription at the moment. Your subscription may have changed since this "
            "link was made."
        ),
    ),
    VisitorPage.SEVERAL_CUSTOMERS: _PageText(
        _("We cannot tell which account is yours"),
        _(
            "Several accounts have your e-mail address. Please write to us: we can connect the right one to your "
            "sign-in. Until then none of them opens."
        ),
    ),
    VisitorPage.OUR_FAULT: _PageText(
        _("Your account cannot be opened just now"),
        _(
            "This is our fault, not yours: something is not set up right on our side. It has been noted. Nothing has "
            "changed in your account. Please try again later."
        ),
    ),
    VisitorPage.TRY_AGAIN: _PageText(
        _("Please try again in a moment"),
        _("A service that we rely on did not answer in time. Nothing has changed in your account."),
    ),
}

_WITH_REFERENCE = {VisitorPage.OUR_FAULT, VisitorPage.SEVERAL_CUSTOMERS, VisitorPage.TRY_AGAIN}

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
    """What the page depends on besides the error.

    `reference` is API Gateway's id of the request, by which its access log and the function's log have it.
    `followed_link`: the page's address can be opened again.
    """

    accept_language: str | None
    has_token: bool
    reference: str
    followed_link: bool = True

    @property
    def language(self) -> str:
        """The page's language: the best for the visitor, else English."""
        return best_language(self.accept_language)


def visitor_page(error: PortalError, visitor: Visitor) -> str:
    """Render the page. It links to the same address again, or without the token, which is the login page."""
    language = visitor.language
    page = error.entry.page
    said = _TEXTS[page]
    rest = []
    if page is VisitorPage.TRY_AGAIN and visitor.followed_link:
        rest.append(f'<p><a href="">{escape(_AGAIN.say(language))}</a></p>')
    elif visitor.has_token and error.entry.login_page_helps:
        rest.append(f'<p><a href="?">{escape(_SIGN_IN.say(language))}</a></p>')
    if page in _WITH_REFERENCE:
        rest.append(f"<p><small>{escape(_REFERENCE.say(language))}<br>{escape(visitor.reference)}</small></p>")
    return _PAGE.format(
        language=language,
        title=escape(said.title.say(language)),
        text=escape(said.text.say(language)),
        rest="\n".join(rest),
    )
