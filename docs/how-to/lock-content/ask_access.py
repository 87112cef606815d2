"""Python 3.10 or newer, with PyJWT and requests."""

import time
from typing import Any

import jwt
import requests


def access_token(link_secret: str, customer: str, seconds: int = 300) -> str:
    """A token that reads whether one customer ("cus_...") has service, and opens nothing."""
    claims = {"aud": "access", "sub": customer, "exp": int(time.time()) + seconds}
    return jwt.encode(claims, link_secret, algorithm="HS256")


def access_of(customer: str, link_secret: str, product: str | None = None) -> Any:
    """The answer about a customer; None while nothing is known (503), when you decide whether to serve."""
    response = requests.get(
        f"https://api.example.com/access/{customer}",
        params={"product": product} if product else {},
        headers={"Authorization": f"Bearer {access_token(link_secret, customer)}"},
        timeout=10,
    )
    if response.status_code == 503:
        return None
    response.raise_for_status()
    return response.json()
