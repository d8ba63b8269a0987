"""Text that arrives in pieces, read by a generator as if it were all there.

The generator asks for characters with `yield from`; where none is left, it is suspended until the next piece arrives. What it has read stays
held until `take`, which also returns the log probabilities of the tokens that begin in the text taken. Everything is linear in the text.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Generator, Mapping
from operator import itemgetter
from re import Pattern
from typing import Generic, TypeVar

from hitchpost.api import TokenLogprob

T = TypeVar("T")
Reading = Generator[None, None, T]
"""What a function that reads is: it yields when it needs more text, and returns its result."""


class Words(Generic[T]):
    """Words to look for, and what each stands for. A word that another one begins with hides that one."""

    def __init__(self, meanings: Mapping[str, T]) -> None:
        self.meanings = meanings
        self.ordered = sorted(meanings)


class IncrementalText:
    """A text of which the end isn't known yet.

    Args:
        max_held_chars: at most this many characters are read without being taken, while `is_bounded`.
        on_overflow: called before more would be read; it raises, or takes the text.
    """

    def __init__(self, max_held_chars: int, on_overflow: Callable[[], None]) -> None:
        self.position = 0
        """How many characters have been read."""
        self.taken = 0
        """How many of those have been taken."""
        self.is_bounded = True
        self._max_held_chars = max_held_chars
        self._on_overflow = on_overflow
        self._pieces: deque[str] = deque()  # from the one that holds the character `taken` on
        self._pieces_start = 0
        self._current = ""  # the last piece, in which reading goes on
        self._current_start = 0
        self._length = 0
        self._logprobs: deque[tuple[int, TokenLogprob]] = deque()
        self._has_ended = False

    def add(self, text: str, logprobs: list[TokenLogprob] | None) -> None:
        """Append a piece; call it only when all the text before has been read."""
        start = self._length
        # Where the tokens' texts don't add up to the piece, all of them count as beginning with it.
        fits = sum(len(logprob.token) for logprob in logprobs or ()) == len(text)
        for logprob in logprobs or ():
            self._logprobs.append((start, logprob))
            start += len(logprob.token) if fits else 0
        if text:
            self._pieces.append(text)
            self._current, self._current_start = text, self._length
            self._length += len(text)

    def end(self) -> None:
        """No more text will come."""
        self._has_ended = True

    @property
    def is_at_end(self) -> bool:
        """Whether all the text has come and has been read."""
        return self._has_ended and self.position == self._length

    def peek(self) -> Reading[str]:
        """The next character, not yet read; "" at the end."""
        while self.position == self._length:
            if self._has_ended:
                return ""
            yield
        if self.is_bounded and self.position - self.taken >= self._max_held_chars:
            self._on_overflow()
        return self._current[self.position - self._current_start]

    def advance(self) -> None:
        """Read the character that was peeked."""
        self.position += 1

    def run(self, pattern: Pattern[str]) -> Reading[None]:
        """Read all the characters that come and match; the pattern is one character class, repeated."""
        while (yield from self.peek()):
            start = self.position - self._current_start
            stop = len(self._current)
            if self.is_bounded:
                stop = min(stop, self.taken + self._max_held_chars - self._current_start)
            found = pattern.match(self._current, start, stop)
            end = found.end() if found else start
            self.position += end - start
            if end < stop:
                return

    def match(self, words: Words[T]) -> Reading[T | None]:
        """Read one of the words and return what it stands for, or read what is the beginning of some and return None."""
        ordered, index = words.ordered, 0
        low, high = 0, len(ordered)  # of those that begin with what has been read
        while low < high:
            char = yield from self.peek()
            next_of = itemgetter(slice(index, index + 1))
            low = bisect_left(ordered, char, low, high, key=next_of)
            high = bisect_right(ordered, char, low, high, key=next_of)
            if low < high:
                self.advance()
                index += 1
                if len(ordered[low]) == index:
                    return words.meanings[ordered[low]]
        return None

    def take(self, until: int | None = None) -> tuple[str, list[TokenLogprob]]:
        """The text read and not yet taken, up to a position, and the log probabilities of the tokens that begin in it."""
        until = self.position if until is None else until
        parts: list[str] = []
        while self.taken < until:
            piece = self._pieces[0]
            stop = min(until, self._pieces_start + len(piece))
            parts.append(piece[self.taken - self._pieces_start : stop - self._pieces_start])
            self.taken = stop
            if stop == self._pieces_start + len(piece):
                self._pieces.popleft()
                self._pieces_start = stop
        logprobs: list[TokenLogprob] = []
        # A token without text that comes last belongs to what is before it.
        limit = until + 1 if until == self._length else until
        while self._logprobs and self._logprobs[0][0] < limit:
            logprobs.append(self._logprobs.popleft()[1])
        return "".join(parts), logprobs


__all__ = ["IncrementalText", "Reading", "Words"]
