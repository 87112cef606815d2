"""Python 3.10 or newer, with PyJWT."""

import time

import jwt


def portal_token(
    link_secret: str, customer: str, claims: dict[str, str | int] | None = None, seconds: int = 900
) -> str:
    """A token for one customer ("cus_..."). `claims`: the optional ones, such as flow and locale."""
    fixed = {"aud": "portal", "sub": customer, "exp": int(time.time()) + seconds}
    return jwt.encode((claims or {}) | fixed, link_secret, algorithm="HS256")
