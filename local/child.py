"""Runs a module as a child process that never outlives its parent, even if the parent is killed."""

import os
import runpy
import sys
import threading


def _end_with_the_parent() -> None:
    """The parent holds the other end of standard input, which closes when the parent ends."""
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
