"""The page that a person sees when a portal link does not open."""

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto 0; padding: 0 1.5rem }}
  a {{ color: #4b3fd1 }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #16161d; color: #eee }} a {{ color: #a9a2ff }} }}
</style>
<main>
<h1>{title}</h1>
<p>{detail}</p>
<p><a href="?">Sign in with your e-mail address instead</a></p>
</main>
</html>
"""


def visitor_page(detail: str) -> str:
    """Render the page; the way out is the same address without a token, which is the login page."""
    return _PAGE.format(title="This link does not open", detail=escape(detail))
