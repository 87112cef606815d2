"""What all AWS clients share: time-outs that fit into a request, and what a refusal is."""

from botocore.config import Config
from botocore.exceptions import ClientError

# botocore's own time-outs are 60 seconds each.
AWS_CONFIG = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})

# What no later try mends: a missing permission, a table or bucket that was deleted. A `HEAD` has only the status.
_REFUSALS = frozenset({"AccessDenied", "AccessDeniedException", "403", "NoSuchBucket", "ResourceNotFoundException"})


def code_of(error: Exception) -> str:
    """Answer what AWS calls the error, or else what Python does."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def is_refusal(error: Exception) -> bool:
    """Whether only the team can mend it."""
    return code_of(error) in _REFUSALS
