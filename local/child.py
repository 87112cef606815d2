"""Runs a module as a child that never outlives its parent, even where the parent was killed outright."""

import os
import runpy
import sys
import threading


def _end_with_the_parent() -> None:
    """The parent holds the other end of our standard input: it closes when the parent is gone."""
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
