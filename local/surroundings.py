"""Keeps the developer's own surroundings out of the stack: AWS accounts and proxies."""

import os

from local.places import HOST


def leave_surroundings() -> None:
    """Change this process's environment, and so its children's, before anything is started."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, [direct, HOST, "localhost"]))
