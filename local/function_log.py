"""Where the functions' output goes: on AWS to CloudWatch Logs, here to a file, so that the terminal stays readable.

Functions write their logs and metrics (CloudWatch's embedded metric format) to standard output.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "build"


@contextmanager
def function_log(port: int) -> Iterator[Path]:
    """Send standard output and log records to a file while the `with` block runs, and delete it afterwards.

    Each stack has its own, by the port of its site.
    """
    path = _FOLDER / f"functions-{port}.log"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", buffering=1, encoding="utf-8") as file:
        # Loggers that have no handler of their own would write to standard error.
        handler = logging.StreamHandler(file)
        logging.root.addHandler(handler)
        try:
            with redirect_stdout(file):
                yield path
        finally:
            logging.root.removeHandler(handler)
            path.unlink(missing_ok=True)
