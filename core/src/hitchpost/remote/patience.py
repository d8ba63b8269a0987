"""How long is waited for more of an answer."""

import asyncio
from collections.abc import Callable

from hitchpost.errors import DeadlineExceededError, HitchpostError


class Patience:
    """One timer for all waits of an answer: a timeout for each would cost more than reading does.

    Args:
        name: what messages call the server.
        silence_s: how long it may be silent before its answer begins.
        later_silence_s: how long it may be after that.
        ends_at: when the answer must be whole, on the clock of `time.monotonic()`.
        give_up: ends the wait with an error.
    """

    __slots__ = (
        "_began_at",
        "_ends_at",
        "_give_up",
        "_later_silence_s",
        "_loop",
        "_name",
        "_silence_s",
        "_timer",
        "_waits_since",
        "has_begun",
    )

    def __init__(
        self,
        name: str,
        silence_s: float,
        later_silence_s: float,
        ends_at: float,
        give_up: Callable[[HitchpostError], None],
    ) -> None:
        self._name = name
        self._silence_s = silence_s
        self._later_silence_s = later_silence_s
        self._ends_at = ends_at
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._waits_since: float | None = None
        self.has_begun = False
        """Whether anything of the answer has come."""

    def begin_wait(self) -> None:
        """From now on the server is waited for."""
        self._waits_since = now = self._loop.time()
        if self._timer is None:
            self._arm(now)

    def end_wait(self) -> None:
        """It is not waited for any more, or not yet again."""
        self._waits_since = None

    def answer_began(self) -> None:
        """The first bytes of the answer have come, and more is to follow."""
        self.has_begun = True
        self._silence_s = self._later_silence_s
        self.stop()
        self._arm(self._loop.time())

    def stop(self) -> None:
        """The timer is needed no more, until the next wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, since: float) -> None:
        self._timer = self._loop.call_at(min(since + self._silence_s, self._ends_at), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        # A server that always has more is never waited for, but has to come to an end all the same.
        since = now if self._waits_since is None else self._waits_since
        if now >= self._ends_at and self.has_begun:
            self._give_up(DeadlineExceededError(f"the answer of {self._name} was not whole in time"))
        elif now >= self._ends_at:
            self._give_up(too_late(self._name, self._ends_at - self._began_at, has_begun=False))
        elif now >= since + self._silence_s:
            self._give_up(too_late(self._name, self._silence_s, has_begun=self.has_begun))
        else:
            self._arm(since)


def too_late(name: str, seconds: float, *, has_begun: bool) -> HitchpostError:
    """The error that silence means."""
    if has_begun:
        return DeadlineExceededError(f"{name} fell silent in the middle of an answer, for {seconds:g} s")
    return DeadlineExceededError(f"{name} did not begin to answer within {seconds:.4g} s")


__all__ = ["Patience", "too_late"]
