"""What the visitor's page says in each of its languages, by the error's code."""

from collections.abc import Mapping
from typing import NamedTuple

from shared.audit.text import Text
from shared.errors import OperatorError, PortalError, Unavailable

# The first is for visitors who ask for none of them.
LANGUAGES = ("en", "fr")


class Said(NamedTuple):
    """A heading and a paragraph."""

    title: Text
    text: Text


SIGN_IN = Text("Sign in with your e-mail address instead", "Se connecter plutôt avec une adresse e-mail")
AGAIN = Text("Try again", "Réessayer")
REFERENCE = Text("If you write to us about it, give this number:", "Si vous nous écrivez, indiquez ce numéro :")

_EXPIRED = Said(
    Text("This link has expired", "Ce lien a expiré"),
    Text(
        "Links to your account only work for a while, so that nobody else can use them later. Please ask for a new "
        "one where you found this one.",
        "Les liens vers votre compte ne fonctionnent qu'un certain temps, pour que personne d'autre ne puisse s'en "
        "servir plus tard. Merci d'en demander un nouveau là où vous avez trouvé celui-ci.",
    ),
)
_BROKEN = Said(
    Text("This link does not work", "Ce lien ne fonctionne pas"),
    Text(
        "Perhaps a part of it was lost when it was copied. Please open it again from where you found it.",
        "Une partie a peut-être été perdue lors de la copie. Merci de l'ouvrir à nouveau là où vous l'avez trouvé.",
    ),
)
_NOT_OFFERED = Said(
    Text("This page cannot be opened", "Cette page ne peut pas être ouverte"),
    Text(
        "It is not on offer for your subscription at the moment. Your subscription may have changed since this link "
        "was made.",
        "Elle n'est pas proposée pour votre abonnement en ce moment. Votre abonnement a peut-être changé depuis la "
        "création de ce lien.",
    ),
)
_OUR_FAULT = Said(
    Text("Your account cannot be opened just now", "Votre compte ne peut pas être ouvert pour le moment"),
    Text(
        "This is our fault, not yours: something is not set up right on our side. It has been noted. Nothing has "
        "changed in your account. Please try again later.",
        "La faute est de notre côté, pas du vôtre : un de nos réglages doit être corrigé. C'est noté. Rien n'a changé "
        "dans votre compte. Merci de réessayer plus tard.",
    ),
)
_A_MOMENT = Said(
    Text("Please try again in a moment", "Merci de réessayer dans un instant"),
    Text(
        "A service that we rely on did not answer in time. Nothing has changed in your account.",
        "Un service dont nous dépendons n'a pas répondu à temps. Rien n'a changé dans votre compte.",
    ),
)
_BY_CODE: Mapping[str, Said] = {
    "expired_token": _EXPIRED,
    "change_refused": _NOT_OFFERED,
    "discount_refused": _NOT_OFFERED,
    "flow_disabled": _NOT_OFFERED,
    "flow_refused": _NOT_OFFERED,
    "nothing_to_confirm": _NOT_OFFERED,
    "several_items": _NOT_OFFERED,
    "not_your_subscription": _NOT_OFFERED,
    "subscription_required": _NOT_OFFERED,
}


def text_of(error: PortalError) -> Said:
    """Choose by code; else by whose fault it is."""
    if isinstance(error, Unavailable):
        return _A_MOMENT
    return _OUR_FAULT if isinstance(error, OperatorError) else _BY_CODE.get(error.code, _BROKEN)
