"""`python -m local`: runs the whole product on this machine until it is interrupted."""

import os
import sys

from local.stop_signals import Interrupted, StopSignals


def main() -> int:
    """Run the stack and return the exit code."""
    signals = StopSignals()
    try:
        signals.install()
        return _run(signals)
    except Interrupted:
        print("Stopped.")  # noqa: T201 - a program for a terminal
        return 0


def _run(signals: StopSignals) -> int:
    # Imported here, because this takes a moment in which Ctrl-C must work too.
    from local import stack  # noqa: PLC0415
    from local.aws.intrinsics import TemplateError  # noqa: PLC0415
    from local.options import read_options  # noqa: PLC0415
    from local.processes import NotRunning  # noqa: PLC0415
    from shared.aws import isolate_environment  # noqa: PLC0415

    options = read_options()
    isolate_environment()
    try:
        stack.run(options, signals)
    except (NotRunning, TemplateError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program for a terminal
    return 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is stopped. The interpreter's own end can wait for threads of the server, so it is left out.
    os._exit(code)
