"""Which tokens the next step computes. Pure Python: it knows sequences, slots and counts, and no tensor.

Batching is per iteration (Yu et al., "Orca", OSDI 2022): a sequence joins and leaves between any two steps. Long prompts are computed in chunks
beside the decoding sequences (Agrawal et al., "Sarathi-Serve", OSDI 2024), so that nobody's next token waits for somebody's whole prompt:

    step = one token of each decoding sequence + chunks of prompts, oldest first, until the step is full

A request may have many sequences, and no request may keep the others waiting: a slot that is free goes to the request that has the fewest, among
equals to the one that has waited longest, and there to its oldest sequence. One thread uses a scheduler.
"""

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

Tokens = tuple[int, ...]


class EndReason(StrEnum):
    """Why a sequence got no more tokens: it chose a token that ends an answer, or reached its limit."""

    stopped = "stopped"
    length = "length"


@dataclass(frozen=True, slots=True)
class StepBudget:
    """How many tokens a step may compute.

    A step of few tokens costs as much as reading the weights once; from some number of tokens on its time grows with them.
    """

    beside_decoding: int
    """While other sequences wait for their next token: all tokens of the step, theirs included."""
    alone: int
    """While there are only prompts to compute."""


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice on its way from prompt to end.

    Args:
        sequence_id: unique among the sequences that haven't ended.
        prompt: token ids, at least one.
        max_new_tokens: at least 1; the cache has room for the prompt and all of them.
        stop_ids: tokens that end the answer.
        payload: what the step function wants to know of it; the scheduler doesn't look at it.
        request: whose choice it is; those of one request share its turns.
    """

    sequence_id: int
    prompt: Tokens
    max_new_tokens: int
    stop_ids: Collection[int] = frozenset()
    payload: Any = None
    request: Hashable = None

    slot: int | None = None
    computed: int = 0
    """Tokens whose keys and values are in the cache."""
    generated: int = 0
    last_token: int = -1
    """The newest token; it isn't in the cache yet."""

    @property
    def is_decoding(self) -> bool:
        """Whether the whole prompt is computed."""
        return self.generated > 0


@dataclass(slots=True, eq=False)
class Row:
    """What a step computes of one sequence: `tokens` at the positions from `start` on."""

    sequence: Sequence
    tokens: Tokens
    start: int
    samples: bool
    """Whether the last of these tokens is followed by a new one."""


@dataclass(slots=True)
class Advance:
    """A new token of a sequence; with `end` it was the last."""

    sequence: Sequence
    token: int
    end: EndReason | None = None


class CacheSpace(Protocol):
    """Room in the cache for sequences."""

    def find_slot(self, tokens: int) -> int | None:
        """Takes room for a sequence of at most `tokens` tokens; None while there is none."""
        ...

    def release(self, slot: int) -> None:
        """Gives the room back."""
        ...

    @property
    def in_use(self) -> int:
        """How many sequences have room."""
        ...


class FixedSlots:
    """A cache of `count` slots, each as long as the context. The lowest free one is taken first: neighbours are computed without a copy."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count))
        self._taken: set[int] = set()

    def find_slot(self, tokens: int) -> int | None:
        """See `CacheSpace`; every slot is long enough."""
        if not self._free:
            return None
        slot = heappop(self._free)
        self._taken.add(slot)
        return slot

    def release(self, slot: int) -> None:
        """See `CacheSpace`. Raises KeyError where nobody has the slot."""
        self._taken.remove(slot)
        heappush(self._free, slot)

    @property
    def in_use(self) -> int:
        """See `CacheSpace`."""
        return len(self._taken)


@dataclass(slots=True, eq=False)
class _Share:
    """What one request has, and what it waits for."""

    since: int
    """When it came, or last got or gave back a slot; smaller is earlier."""
    waiting: dict[int, Sequence] = field(default_factory=dict)
    running: int = 0


class Scheduler:
    """Waiting and running sequences.

    `plan` says what to compute, `complete` takes what came out. Between the two nothing else may be called.

    Args:
        space: where the running sequences have their cache.
        budget: `beside_decoding` must exceed the number of sequences that run at once, else prompts would starve.
    """

    def __init__(self, space: CacheSpace, budget: StepBudget) -> None:
        self._space = space
        self._budget = budget
        self._waiting: dict[int, Sequence] = {}
        self._running: dict[int, Sequence] = {}
        self._shares: dict[Hashable, _Share] = {}
        """Of the requests with a sequence that waits or runs."""
        self._clock = count()

    @property
    def waiting(self) -> int:
        """Sequences without a slot."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sequences with a slot."""
        return len(self._running)

    @property
    def slots_in_use(self) -> int:
        """Slots that aren't free."""
        return self._space.in_use

    def submit(self, sequence: Sequence) -> None:
        """Lets a sequence wait for its turn."""
        self._waiting[sequence.sequence_id] = sequence
        share = self._shares.get(sequence.request)
        if share is None:
            share = self._shares[sequence.request] = _Share(next(self._clock))
        share.waiting[sequence.sequence_id] = sequence

    def cancel(self, sequence_ids: Collection[int]) -> list[int]:
        """Ends sequences, and returns the slots that became free; ids that have ended already are fine."""
        for sequence in [self._waiting[key] for key in sequence_ids if key in self._waiting]:
            self._stop_waiting(sequence)
            self._forget_share(sequence.request)
        return [self._end(self._running[key]) for key in sequence_ids if key in self._running]

    def plan(self) -> list[Row]:
        """The rows of the next step, decoding ones first; empty when there is nothing to do."""
        self._admit()
        rows = [Row(s, (s.last_token,), s.computed, samples=True) for s in self._running.values() if s.is_decoding]
        room = self._budget.beside_decoding - len(rows) if rows else self._budget.alone
        for sequence in self._running.values():
            if not sequence.is_decoding and room > 0:
                start = sequence.computed
                chunk = sequence.prompt[start : start + room]
                rows.append(Row(sequence, chunk, start, samples=start + len(chunk) == len(sequence.prompt)))
                room -= len(chunk)
        return rows

    def complete(self, rows: Iterable[Row], tokens: Iterable[int]) -> tuple[list[Advance], list[int]]:
        """Notes that `rows` are computed.

        Args:
            rows: as planned.
            tokens: the new token of each row that samples, in the order of the rows.

        Returns:
            what to tell of each new token, and the slots that became free.
        """
        advances: list[Advance] = []
        freed: list[int] = []
        sampled = iter(tokens)
        for row in rows:
            sequence = row.sequence
            sequence.computed += len(row.tokens)
            if row.samples:
                advance = _advance(sequence, next(sampled))
                advances.append(advance)
                if advance.end is not None:
                    freed.append(self._end(sequence))
        return advances, freed

    def _admit(self) -> None:
        while self._waiting:
            share = min(
                (share for share in self._shares.values() if share.waiting),
                key=lambda share: (share.running, share.since),
            )
            sequence = next(iter(share.waiting.values()))
            slot = self._space.find_slot(len(sequence.prompt) + sequence.max_new_tokens)
            if slot is None:
                return
            self._stop_waiting(sequence)
            sequence.slot = slot
            self._running[sequence.sequence_id] = sequence
            share.running += 1
            share.since = next(self._clock)

    def _stop_waiting(self, sequence: Sequence) -> None:
        del self._waiting[sequence.sequence_id]
        del self._shares[sequence.request].waiting[sequence.sequence_id]

    def _forget_share(self, request: Hashable) -> None:
        share = self._shares[request]
        if not share.waiting and not share.running:
            del self._shares[request]

    def _end(self, sequence: Sequence) -> int:
        slot = sequence.slot
        if slot is None:
            raise RuntimeError(f"sequence {sequence.sequence_id} ends without having run")
        del self._running[sequence.sequence_id]
        self._space.release(slot)
        sequence.slot = None
        share = self._shares[sequence.request]
        share.running -= 1
        # Whoever came in the meantime is first now, also where there is one slot alone.
        share.since = next(self._clock)
        self._forget_share(sequence.request)
        return slot


def _advance(sequence: Sequence, token: int) -> Advance:
    sequence.generated += 1
    sequence.last_token = token
    if token in sequence.stop_ids:
        return Advance(sequence, token, EndReason.stopped)
    return Advance(sequence, token, EndReason.length if sequence.generated == sequence.max_new_tokens else None)


__all__ = [
    "Advance",
    "CacheSpace",
    "EndReason",
    "FixedSlots",
    "Row",
    "Scheduler",
    "Sequence",
    "StepBudget",
]
