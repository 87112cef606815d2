"""Where the functions' output goes: on AWS to CloudWatch Logs, here to a file, so that the terminal stays readable.

Functions write their logs and metrics (CloudWatch's embedded metric format) to standard output.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path


@contextmanager
def function_log() -> Iterator[Path]:
    """Send standard output and log records to a new file while the `with` block runs, and delete it afterwards."""
    with tempfile.NamedTemporaryFile("w", buffering=1, encoding="utf-8", prefix="functions-", suffix=".log") as file:
        # Loggers that have no handler of their own would write to standard error.
        handler = logging.StreamHandler(file)
        logging.root.addHandler(handler)
        try:
            with redirect_stdout(file):
                yield Path(file.name)
        finally:
            logging.root.removeHandler(handler)
