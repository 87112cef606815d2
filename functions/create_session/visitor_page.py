"""The page that a person sees when a portal link does not open: calm, in their language, and with a way out.

It works without scripts, in both colour schemes, and says nothing that came with the request.
"""

from dataclasses import dataclass
from html import escape

from functions.create_session.visitor_texts import AGAIN, LANGUAGES, REFERENCE, SIGN_IN, text_of
from shared.accept_language import preferred
from shared.audit.text import Language
from shared.errors import OperatorError, PortalError, Unavailable

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
    title, text = text_of(error)
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
