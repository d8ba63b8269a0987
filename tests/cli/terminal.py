"""A pseudo-terminal with a program in it, as a person sees it."""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self


class Terminal:
    """`python -m hitchpost ARGUMENTS` on a terminal of its own; a context manager."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.screen = ""

    def __enter__(self) -> Self:
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hitchpost", *self._arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(slave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def interrupt_until(self, text: str) -> None:
        """Presses Ctrl-C until the text appears: Python's line editor misses a signal that comes while it echoes a key."""
        for _ in range(10):
            self.interrupt()
            with suppress(AssertionError):
                self.wait_for(text, timeout_s=2)
                return
        raise AssertionError(f"Ctrl-C does not lead to {text!r}: {self.screen!r}")

    def type_until(self, keys: str, text: str) -> None:
        """Types the keys again until the text appears: a Ctrl-C that is still on its way drops what was typed before it."""
        for _ in range(5):
            self.type(keys)
            with suppress(AssertionError):
                self.wait_for(text, timeout_s=3)
                return
        raise AssertionError(f"typing {keys!r} does not lead to {text!r}: {self.screen!r}")

    def wait_for(self, text: str, timeout_s: float = 20.0) -> str:
        """What appeared up to and with the text; it is taken off `screen`."""
        give_up = time.monotonic() + timeout_s
        while text not in self.screen:
            readable, _, _ = select.select([self._master], [], [], max(0.0, give_up - time.monotonic()))
            if not readable:
                raise AssertionError(f"after {timeout_s:g} s no {text!r} in {self.screen!r}")
            try:
                self.screen += os.read(self._master, 4096).decode(errors="replace")
            except OSError:
                raise AssertionError(f"the program ended without {text!r}: {self.screen!r}") from None
        before, _, self.screen = self.screen.partition(text)
        return before + text
