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
        self._written: dict[int, int] = {}
        """How many positions of a slot are in use."""

    @torch.inference_mode()
    def step(self, rows: Sequence[StepRow]) -> list[Sampled | None]:
        """Compute the rows, and a new token for each that `samples`, in their order; None where the model's answer isn't numbers.

        Raises:
            ValueError: a row has no slot, or doesn't fit into it.
        """
        # Single tokens are computed together and come first; by slot, as neighbouring slots needn't be copied.
        spanned = [(_span(row, self._cache.max_seq_len), index) for index, row in enumerate(rows)]
        spanned.sort(key=lambda item: (item[0].length > 1, item[0].slot))
        spans: list[Span] = []
        tokens: list[int] = []
        ends: dict[int, int] = {}
        for span, index in spanned:
            row = rows[index]
            spans.append(span)
            self._written[span.slot] = span.start + span.length
            tokens.extend(row.tokens)
            ends[index] = len(tokens) - 1
        sampling = [index for index, row in enumerate(rows) if row.samples]
        wanted = torch.tensor([ends[index] for index in sampling], dtype=torch.long, device=self._device)
        logits = self._decoder(torch.tensor(tokens, device=self._device), spans, self._cache, wanted)
        if not sampling:
            return []
        # Not afterwards: what was drawn from something else than numbers must not become part of an answer.
        is_finite: list[bool] = logits.isfinite().all(dim=-1).tolist()
        if not all(is_finite):
            logits = logits[torch.tensor(is_finite, device=self._device)]
        states = [rows[index].sequence.payload for index, finite in zip(sampling, is_finite, strict=True) if finite]
        sampled = iter(sample(logits, states) if states else [])
        return [next(sampled) if finite else None for finite in is_finite]

    def forget(self, slot: int) -> None:
        """A slot's sequence has ended. Nothing of it stays in the cache."""
        self._cache.clear(slot, self._written.pop(slot, 0))


def _span(row: StepRow, max_seq_len: int) -> Span:
    slot, end = row.sequence.slot, row.start + len(row.tokens)
    if slot is None:
        raise ValueError("a sequence without a slot can't be computed")
    if not row.tokens or end > max_seq_len:
        raise ValueError(f"a row of {len(row.tokens)} tokens from position {row.start} on doesn't fit into the cache")
    return Span(slot, row.start, len(row.tokens))


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
