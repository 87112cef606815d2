"""Writes to Stripe with the operator's key, which is asked for where no other key may do it, and never stored."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from stripe import StripeClient

from cli.deployment import KEY_VARIABLE
from cli.setup.dialog import Dialog, read_key
from cli.setup.stripe_key import check_same_mode
from shared.errors import OperatorError, sentence
from shared.i18n import _

if TYPE_CHECKING:
    from cli.deployment import Deployment

_Written = TypeVar("_Written")


class Operator:
    """Uses the key in the environment, else the deployment's, else one that is typed."""

    def __init__(self, deployment: "Deployment", dialog: Dialog) -> None:
        self._deployment = deployment
        self._dialog = dialog
        self._typed: StripeClient | None = None

    def write(self, permission: str, do: Callable[[StripeClient], _Written]) -> _Written:
        """Call `do` with a client. Raises `OperatorError` where no key has the permission and nobody can be asked."""
        try:
            return do(self._typed or self._deployment.operator_stripe)
        except OperatorError as error:
            if error.code != "stripe_key_lacks_permission":
                raise
            if not self._dialog.is_interactive:
                raise OperatorError(
                    "no_write_permission",
                    sentence(
                        "The key may not do this: set {variable} to a key with {permission}, and run again",
                        variable=KEY_VARIABLE,
                        permission=permission,
                    ),
                ) from error
        self._dialog.note(
            _("Stripe key"),
            _("the next step needs a key with {permission}; it is used once, and not stored", permission=permission),
        )
        prompt = _("Stripe key with {permission}", permission=permission)
        key = read_key(None, prompt, self._dialog.language)
        check_same_mode(key, self._deployment.stored_key.parsed().api_key)
        self._typed = self._deployment.stripe_with(key)
        return do(self._typed)
