"""The cookie by which a visitor who was sent to Checkout is known again on the way back.

No address carries the proof: Stripe tells every webhook endpoint a Checkout session's addresses, and whoever pays sees
the last one. The cookie stays in the one browser that followed the link.
"""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.shared.cookies import Cookie, SameSite

# `__Host-`: no other host can set it, and it goes to this host alone (RFC 6265bis, 4.1.3.2).
_NAME = "__Host-portal-return"
_MAX_AGE_SECONDS = 3600


def return_cookie(token: str | None) -> Cookie:
    """Keep the token in the browser, or with `None` forget it. `Lax`: Stripe's page leads back with a plain GET."""
    return Cookie(
        _NAME,
        token or "",
        path="/",
        http_only=True,
        max_age=_MAX_AGE_SECONDS if token else 0,
        same_site=SameSite.LAX_MODE,
    )


def return_token_of(event: Mapping[str, Any]) -> str | None:
    """Answer the token that the browser kept; `event` is API Gateway's, payload format 2.0.

    Only ASCII's spaces are no part of a name: a sibling host may set a cookie whose name begins with another kind,
    which the prefix does not cover. Of two different ones neither counts.
    """
    pairs = (cookie.partition("=") for cookie in event.get("cookies") or [])
    tokens = {value for name, _, value in pairs if name.strip(" \t") == _NAME}
    return tokens.pop() if len(tokens) == 1 else None
