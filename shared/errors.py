"""Every error that the bundle raises on purpose, so that only the edge has to know status codes.

PortalError
├── InvalidRequest        the caller's input is wrong
├── Unauthenticated       the caller did not prove who they are
├── Forbidden             the caller is known, and may not do this
├── OperatorError         the deployment or the Stripe account is set up wrongly
├── Unavailable           Stripe or AWS did not answer; trying again may help
└── UnreadableEvent       a genuine event that this version cannot understand
"""


class PortalError(Exception):
    """The base of all: `code` is stable for programs, the message is for people and safe to show them."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class InvalidRequest(PortalError):
    """Raised when the caller's input cannot be accepted; the message says what to send instead."""


class Unauthenticated(PortalError):
    """Raised when a token or a signature is missing, expired or not genuine."""


class Forbidden(PortalError):
    """Raised when a known caller asks for what belongs to somebody else."""


class OperatorError(PortalError):
    """Raised when only the team can mend it: the message names the mend and goes to the log, not to visitors."""


class Unavailable(PortalError):
    """Raised when Stripe or AWS failed for now; nothing was changed and a later try may succeed."""


class UnreadableEvent(PortalError):
    """Raised for a genuine event that cannot be understood; its raw form has to be kept."""
