"""What computes a step: decoder, cache and sampling behind an interface of plain Python values."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from hitchpost_meta_reference.engine.cache import SlotCache
from hitchpost_meta_reference.engine.model import Decoder, Span
from hitchpost_meta_reference.engine.sampling import Sampled, SamplingState, sample

log = logging.getLogger("hitchpost.engine")


class StepRow(Protocol):
    """Consecutive tokens of one sequence; `payload` of its sequence is a `SamplingState`."""

    @property
    def sequence(self) -> "StepSequence": ...
    @property
    def tokens(self) -> Sequence[int]: ...
    @property
    def start(self) -> int: ...
    @property
    def samples(self) -> bool: ...


class StepSequence(Protocol):
    """What the runner looks at of a sequence."""

    @property
    def slot(self) -> int | None: ...
    @property
    def payload(self) -> SamplingState: ...


class Runner:
    """Computes steps on one device; used by one thread.

    Args:
        decoder: loaded and prepared.
        cache: with a slot for each sequence that may be in work.
    """

    def __init__(self, decoder: Decoder, cache: SlotCache) -> None:
        self._decoder = decoder
        self._cache = cache
        self._device = decoder.norm.device

    @torch.inference_mode()
    def step(self, rows: Sequence[StepRow]) -> list[Sampled]:
        """Compute the rows, and a new token for each that `samples`, in their order."""
        # Single tokens first: they are computed together.
        ordered = sorted(range(len(rows)), key=lambda index: len(rows[index].tokens) > 1)
        spans: list[Span] = []
        tokens: list[int] = []
        ends: dict[int, int] = {}
        for index in ordered:
            row = rows[index]
            slot = row.sequence.slot
            if slot is None:
                raise ValueError("a sequence without a slot can't be computed")
            spans.append(Span(slot, row.start, len(row.tokens)))
            tokens.extend(row.tokens)
            ends[index] = len(tokens) - 1
        sampling = [index for index, row in enumerate(rows) if row.samples]
        wanted = torch.tensor([ends[index] for index in sampling], dtype=torch.long, device=self._device)
        logits = self._decoder(torch.tensor(tokens, device=self._device), spans, self._cache, wanted)
        return sample(logits, [rows[index].sequence.payload for index in sampling]) if sampling else []

    def forget(self, slot: int) -> None:
        """A slot's sequence has ended; what it left in the cache is masked until it is overwritten."""


def use_available_threads() -> int:
    """Let PyTorch use as many threads as this process has cores, by affinity and by the control group's quota; returns their number."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        log.debug("no control group limits the cores")
    torch.set_num_threads(cores)
    return cores


__all__ = ["Runner", "use_available_threads"]
