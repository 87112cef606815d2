"""The language of Stripe's pages for one visitor: the first wish that Stripe can grant."""

from collections.abc import Iterable

from shared.accept_language import preferred

# `locale` of a portal session (API 2026-10-28.endive). `auto` is the first, because it is what `*` means.
_LOCALES = (
    "auto bg cs da de el en en-AU en-CA en-GB en-IE en-IN en-NZ en-SG es es-419 et fi fil fr fr-CA hr hu id it ja ko "
    "lt lv ms mt nb nl pl pt pt-BR ro ru sk sl sv th tr vi zh zh-HK zh-TW"
)
PORTAL_LOCALES = tuple(_LOCALES.split())
# Checkout has fewer kinds of English.
CHECKOUT_LOCALES = tuple(each for each in PORTAL_LOCALES if not each.startswith("en-") or each == "en-GB")


def granted(wishes: Iterable[str | None], available: tuple[str, ...] = PORTAL_LOCALES) -> str | None:
    """Answer the first of the wishes that is available, or `None` to leave it to Stripe.

    A wish is a language tag, of which the nearest is taken (`fr-BE` is `fr`), or a whole `Accept-Language` header.
    Stripe then takes the customer's `preferred_locales`, else the browser's language; `auto` asks for just that.
    """
    found = next(filter(None, (preferred(wish, available) for wish in wishes)), None)
    return None if found == "auto" else found
