"""Identifiers of Stripe's shape: a prefix that names the kind, then letters and digits."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def token(length: int) -> str:
    """Random letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_id(prefix: str) -> str:
    """A fresh identifier such as `sub_1A...`; requests have shorter ones."""
    return f"{prefix}_{token(14 if prefix == 'req' else 24)}"
