"""Stop strings in a text that comes piece by piece.

TGI leaves a stop string in the text, looks for it only where a token ends, and has sent what it spans when it notices. So they are looked for
here as well: text that may become one is held back.
"""

from collections.abc import Sequence

from hitchpost.api import TokenLogprob


class StopText:
    """Holds back what may be the beginning of a stop string.

    Args:
        stops: the stop strings.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self._logprobs: list[TokenLogprob] = []
        self._token_start = 0  # where, in what is held, the first of these tokens begins
        self.found: str | None = None
        """The stop string that ended the text; nothing may be fed after it."""

    def feed(self, text: str, logprobs: list[TokenLogprob] | None = None) -> tuple[str, list[TokenLogprob]]:
        """The text that is certain after `text`, and the tokens that begin in it."""
        if not self._stops:
            return text, logprobs or []
        before = len(self._held)
        self._held += text
        self._logprobs += logprobs or []
        start = max(0, before - self._longest + 1)
        hits = [(at, -len(stop), stop) for stop in self._stops if (at := self._held.find(stop, start)) >= 0]
        if hits:
            at, _, self.found = min(hits)
            return self._take(at)
        return self._take(len(self._held) - self._undecided())

    def rest(self) -> tuple[str, list[TokenLogprob]]:
        """What was held back, when the text has ended without a stop string."""
        return self._take(len(self._held), all_tokens=True)

    def _undecided(self) -> int:
        for length in range(min(self._longest - 1, len(self._held)), 0, -1):
            tail = self._held[-length:]
            if any(len(stop) > length and stop.startswith(tail) for stop in self._stops):
                return length
        return 0

    def _take(self, length: int, *, all_tokens: bool = False) -> tuple[str, list[TokenLogprob]]:
        text, self._held = self._held[:length], self._held[length:]
        takes_all = all_tokens or (not self._held and self.found is None)
        count, start = 0, self._token_start
        while count < len(self._logprobs) and (takes_all or start < length):
            start += len(self._logprobs[count].token)
            count += 1
        self._token_start = max(0, start - length)
        tokens, self._logprobs = self._logprobs[:count], self._logprobs[count:]
        return text, tokens


__all__ = ["StopText"]
