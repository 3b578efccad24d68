"""The log of a stack, which its worker prints."""

import contextlib
import time

from experiments.store.printable import printable


def log(message: str) -> None:
    """Print a line of the stack's log, with the time."""
    with contextlib.suppress(OSError):  # a full disk must not end the training before it saves
        print(time.strftime("%Y-%m-%d %H:%M:%S %z"), printable(message), flush=True)
