"""Ends the engine with its owner, however the owner ends."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def watch_lifeline(loop: asyncio.AbstractEventLoop, on_end: Callable[[], None]) -> None:
    """Calls `on_end` in the loop when standard input ends, which is when the owner closes it or is gone.

    A stopped process can't notice. So the kernel is asked to continue it (SIGCONT, which a running process ignores) when its parent dies.
    """
    descriptor = sys.stdin.fileno()
    os.set_blocking(descriptor, False)

    def read() -> None:
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            return
        if not data:
            loop.remove_reader(descriptor)
            on_end()

    loop.add_reader(descriptor, read)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


__all__ = ["watch_lifeline"]
