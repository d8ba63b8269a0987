"""The keys and values of the sequences in work, one slot per sequence."""

from dataclasses import replace

import torch
from torch import Tensor

from hitchpost_meta_reference.engine.decoder_config import DecoderConfig


class SlotCache:
    """Keys and values, shape (layers, slots, kv_heads, max_seq_len, head_dim).

    A slot holds one sequence from position 0 on; what lies behind its end is zeros. Keys there are masked, but a value that isn't a number
    would spoil the result even at weight 0.

    Args:
        config: of the decoder.
        slots: how many sequences have a place.
        max_seq_len: positions per slot.
        dtype: of keys and values.
        device: where they live.
    """

    def __init__(
        self, config: DecoderConfig, slots: int, max_seq_len: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (config.n_layers, slots, config.n_kv_heads, max_seq_len, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.max_seq_len = max_seq_len

    def write(self, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor) -> None:
        """Keep what a step computed: `keys` and `values` are (tokens, kv_heads, head_dim), for `slots` and `positions` (tokens,)."""
        self.keys[layer, slots, :, positions] = keys
        self.values[layer, slots, :, positions] = values

    def read(self, layer: int, slots: slice | Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the first `length` positions, each (len(slots), kv_heads, length, head_dim)."""
        return self.keys[layer, slots, :, :length], self.values[layer, slots, :, :length]

    def clear(self, slot: int, length: int) -> None:
        """Forget the first `length` positions of a slot."""
        self.keys[:, slot, :, :length] = 0
        self.values[:, slot, :, :length] = 0


class PassingCache(SlotCache):
    """For sequences that are computed once and from their beginning: each layer's keys and values take the place of those before it."""

    def __init__(
        self, config: DecoderConfig, slots: int, max_seq_len: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(replace(config, n_layers=1), slots, max_seq_len, dtype, device)

    def write(self, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor) -> None:
        """See `SlotCache`."""
        super().write(0, slots, positions, keys, values)

    def read(self, layer: int, slots: slice | Tensor, length: int) -> tuple[Tensor, Tensor]:
        """See `SlotCache`."""
        return super().read(0, slots, length)


__all__ = ["PassingCache", "SlotCache"]
