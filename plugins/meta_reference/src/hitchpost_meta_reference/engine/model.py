"""The Llama decoder: embedding, blocks of attention and feed-forward, output.

Source: Touvron et al., "LLaMA" (2023) and "Llama 2" (2023); Grattafiori et al., "The Llama 3 Herd of Models" (2024). Weights may be bfloat16;
the residual stream, the norms and the logits are float32, since rounding them flips near ties.

A step computes the tokens of many sequences at once, all in one row of N tokens; only attention knows where one sequence ends:

    tokens   [ d0 d1 d2 | p p p p p | p p p ]      decoding sequences give one token each, then come chunks of prompts
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitchpost_meta_reference.engine.cache import SlotCache
from hitchpost_meta_reference.engine.decoder_config import DecoderConfig, RopeScaling
from hitchpost_meta_reference.engine.linear import linear, packed

COPIES_PER_CALL = 3
"""A further call of the attention, per layer, costs about as much as copying the keys and values of so many sequences of some hundred tokens."""


@dataclass(frozen=True, slots=True)
class Span:
    """`length` consecutive tokens of the sequence in `slot`, from position `start` on."""

    slot: int
    start: int
    length: int


class Decoder(nn.Module):
    """A Llama model without its tokenizer.

    Args:
        config: its shape.
        dtype: of the weights.
        device: where the weights live; `meta` for weights that are assigned later.
    """

    def __init__(self, config: DecoderConfig, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.dim, dtype=dtype, device=device), False)
        self.blocks = nn.ModuleList(Block(config, dtype, device) for _ in range(config.n_layers))
        self.norm = nn.Parameter(torch.empty(config.dim, dtype=torch.float32, device=device), False)
        self.output = nn.Parameter(torch.empty(config.vocab_size, config.dim, dtype=dtype, device=device), False)
        self._rotations: tuple[Tensor, Tensor] | None = None
        self._head = self.output.data

    def prepare(self, max_seq_len: int) -> None:
        """Get ready to compute: rotary tables for positions below `max_seq_len`, and weights laid out as the processor likes them."""
        self._prepare_rotations(max_seq_len)
        for block in self.blocks:
            block.pack()
        self._head = self.output.data
        if self._head.device.type == "cpu":
            # The CPU has no product of bfloat16 matrices with a float32 result, and rounded logits flip near ties.
            self._head = packed(self._head.float())
            if self.output is not self.embedding:
                self.output = nn.Parameter(self._head, False)

    def _prepare_rotations(self, max_seq_len: int) -> None:
        frequencies = rotary_frequencies(self.config)
        angles = torch.outer(torch.arange(max_seq_len, dtype=torch.float32), frequencies)
        device = self.norm.device
        self._rotations = (angles.cos().to(device), angles.sin().to(device))

    @torch.inference_mode()
    def forward(self, tokens: Tensor, spans: Sequence[Span], cache: SlotCache, wanted: Tensor) -> Tensor:
        """Compute one step and write its keys and values into the cache.

        Args:
            tokens: ids, shape (N,): those of the spans, one span after the other, spans of length 1 first.
            spans: whose tokens they are.
            cache: what was computed before, up to each span's start.
            wanted: indices into the N tokens whose logits are wanted, shape (M,).
        Returns: logits, float32, shape (M, vocab_size).
        """
        hidden = self._computed(tokens, spans, cache)
        if not wanted.numel():
            return hidden.new_empty(0, self.config.vocab_size)
        hidden = rms_norm(hidden[wanted], self.norm, self.config.norm_eps)
        return self._logits(hidden)

    @torch.inference_mode()
    def hidden_states(self, tokens: Tensor, spans: Sequence[Span], cache: SlotCache) -> Tensor:
        """Compute one step as `forward` does, and return what the output matrix would be given: float32, shape (N, dim)."""
        return rms_norm(self._computed(tokens, spans, cache), self.norm, self.config.norm_eps)

    def _computed(self, tokens: Tensor, spans: Sequence[Span], cache: SlotCache) -> Tensor:
        layout = Layout(spans, cache.keys.dtype, tokens.device)
        if self._rotations is None:
            raise RuntimeError("prepare() makes the rotary tables and comes first")
        cosines, sines = (table[layout.positions].unsqueeze(1) for table in self._rotations)
        hidden = F.embedding(tokens, self.embedding).float()
        for index, block in enumerate(self.blocks):
            hidden = block(hidden, cosines, sines, layout, cache, index)
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        if self._head.dtype is torch.float32:
            return linear(hidden, self._head)
        return torch.mm(hidden.to(self._head.dtype), self._head.t(), out_dtype=torch.float32)


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to the residual stream."""

    def __init__(self, config: DecoderConfig, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.n_heads, self.n_kv_heads, self.head_dim = config.n_heads, config.n_kv_heads, config.head_dim

        def matrix(rows: int, columns: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(rows, columns, dtype=dtype, device=device), False)

        def vector(size: int, there: bool = True, kind: torch.dtype = dtype) -> nn.Parameter | None:
            return nn.Parameter(torch.empty(size, dtype=kind, device=device), False) if there else None

        heads = (self.n_heads + 2 * self.n_kv_heads) * self.head_dim
        self.attention_norm = vector(config.dim, kind=torch.float32)
        self.qkv = matrix(heads, config.dim)
        self.qkv_bias = vector(heads, config.attention_bias)
        self.attention_output = matrix(config.dim, self.n_heads * self.head_dim)
        self.attention_output_bias = vector(config.dim, config.attention_bias)
        self.feed_forward_norm = vector(config.dim, kind=torch.float32)
        self.gate_up = matrix(2 * config.hidden_dim, config.dim)
        self.gate_up_bias = vector(2 * config.hidden_dim, config.mlp_bias)
        self.down = matrix(config.dim, config.hidden_dim)
        self.down_bias = vector(config.dim, config.mlp_bias)

    def pack(self) -> None:
        """Lay the matrices out for this processor."""
        for name in ("qkv", "attention_output", "gate_up", "down"):
            setattr(self, name, nn.Parameter(packed(getattr(self, name).data), False))

    def forward(
        self, hidden: Tensor, cosines: Tensor, sines: Tensor, layout: "Layout", cache: SlotCache, layer: int
    ) -> Tensor:
        """`hidden` is (N, dim), float32."""
        dtype = self.qkv.dtype
        x = rms_norm(hidden, self.attention_norm, self.eps).to(dtype)
        kv_heads = self.n_kv_heads
        heads = linear(x, self.qkv, self.qkv_bias).view(x.shape[0], -1, self.head_dim)
        rotated = rotate(heads[:, : self.n_heads + kv_heads], cosines, sines)
        queries, keys, values = rotated[:, : self.n_heads], rotated[:, self.n_heads :], heads[:, -kv_heads:]
        cache.write(layer, layout.slots, layout.positions, keys, values)
        attended = attend(queries, cache, layer, layout).reshape(x.shape[0], -1)
        hidden = hidden + linear(attended, self.attention_output, self.attention_output_bias)
        x = rms_norm(hidden, self.feed_forward_norm, self.eps).to(dtype)
        gate, up = linear(x, self.gate_up, self.gate_up_bias).chunk(2, dim=-1)
        return hidden + linear(F.silu(gate) * up, self.down, self.down_bias)


@dataclass(frozen=True, slots=True)
class Run:
    """Decoding sequences that are attended to in one call: `count` of them, of at most `length` tokens."""

    slots: slice | Tensor
    count: int
    length: int
    mask: Tensor


def _neighbours(decoding: Sequence[Span]) -> list[Sequence[Span]]:
    """Runs of neighbouring slots, in order; all as one, to be copied, where there would be too many."""
    if not decoding:
        return []
    breaks = [at for at in range(1, len(decoding)) if decoding[at].slot != decoding[at - 1].slot + 1]
    if len(breaks) * COPIES_PER_CALL > len(decoding):
        return [decoding]
    return [decoding[begin:end] for begin, end in pairwise([0, *breaks, len(decoding)])]


class Layout:
    """Where the tokens of a step belong: computed once, used by every block. Masks are added to the scores of keys.

    The decoding sequences are attended to in runs of neighbouring slots, as a range of slots is a view of the cache and any other choice copies
    keys and values.
    """

    def __init__(self, spans: Sequence[Span], dtype: torch.dtype, device: torch.device) -> None:
        starts = torch.tensor([span.start for span in spans])
        lengths = torch.tensor([span.length for span in spans])
        before = lengths.cumsum(0) - lengths
        positions = torch.arange(int(lengths.sum())) + torch.repeat_interleave(starts - before, lengths)
        slots = torch.repeat_interleave(torch.tensor([span.slot for span in spans]), lengths)
        self.positions, self.slots = positions.to(device), slots.to(device)
        decoding = [span for span in spans if span.length == 1]
        self.prompts = [span for span in spans if span.length > 1]
        self.prompt_masks = [self._mask_of(span, dtype, device) for span in self.prompts]
        self.runs = [self._run_of(run, dtype, device) for run in _neighbours(decoding)]

    def _run_of(self, spans: Sequence[Span], dtype: torch.dtype, device: torch.device) -> Run:
        starts = torch.tensor([span.start for span in spans])
        first, last = spans[0].slot, spans[-1].slot
        neighbours = last - first + 1 == len(spans)
        slots = slice(first, last + 1) if neighbours else torch.tensor([span.slot for span in spans], device=device)
        length = int(starts.max()) + 1
        return Run(slots, len(spans), length, _mask(starts, length, dtype, device).view(len(spans), 1, 1, -1))

    def _mask_of(self, prompt: Span, dtype: torch.dtype, device: torch.device) -> Tensor | None:
        """None for a prompt's beginning, whose tokens see all that stands before them in the span itself."""
        if prompt.start == 0:
            return None
        end = prompt.start + prompt.length
        return _mask(torch.arange(prompt.start, end), end, dtype, device)


def _mask(positions: Tensor, length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 for keys at or before each position, -inf for later ones; shape (len(positions), length)."""
    later = torch.arange(length) > positions.unsqueeze(1)
    return torch.zeros(later.shape, dtype=dtype).masked_fill_(later, -math.inf).to(device)


def attend(queries: Tensor, cache: SlotCache, layer: int, layout: Layout) -> Tensor:
    """Causal attention of each token to its own sequence. `queries` and the result are (N, heads, head_dim)."""
    n_heads, head_dim = queries.shape[1:]
    results = []
    at = 0
    for run in layout.runs:
        keys, values = cache.read(layer, run.slots, run.length)
        # The heads that share keys stand as rows of one small matrix, so that nothing is repeated.
        grouped = queries[at : at + run.count].view(run.count, keys.shape[1], -1, head_dim)
        mixed = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=run.mask)
        results.append(mixed.reshape(run.count, n_heads, head_dim))
        at += run.count
    for span, mask in zip(layout.prompts, layout.prompt_masks, strict=True):
        keys, values = cache.read(layer, slice(span.slot, span.slot + 1), span.start + span.length)
        mine = queries[at : at + span.length].transpose(0, 1).unsqueeze(0)
        if mask is not None and mine.is_cuda:
            # CUDA's fused kernels take a mask or shared heads, not both; the other kernel makes all scores at once.
            keys, values = (shared.repeat_interleave(n_heads // shared.shape[1], dim=1) for shared in (keys, values))
        mixed = F.scaled_dot_product_attention(
            mine, keys, values, attn_mask=mask, is_causal=mask is None, enable_gqa=keys.shape[1] != n_heads
        )
        results.append(mixed[0].transpose(0, 1))
        at += span.length
    return torch.cat(results) if len(results) > 1 else results[0]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm in float32. Source: Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019)."""
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn pairs of channels by their position's angles; channel i is paired with i + head_dim / 2.

    Args:
        x: shape (N, heads, head_dim).
        cosines, sines: float32, shape (N, 1, head_dim / 2).
    Source: Su et al., "RoFormer" (2021); the pairing is that of Hugging Face's checkpoints.
    """
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1).to(x.dtype)


def rotary_frequencies(config: DecoderConfig) -> Tensor:
    """Angular frequencies of the rotary embedding, shape (head_dim / 2,), radians per position, float32."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponents)
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    return rescale_rotary_frequencies(frequencies, scaling)


def rescale_rotary_frequencies(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Stretch the long wavelengths, as Llama 3.1 does to reach 128k tokens.

    Args:
        frequencies: shape (head_dim / 2,), radians per position, float32.
        scaling: factor, and the bounds as fractions of the context that the model was trained on first.
    Returns: the same shape; short wavelengths unchanged, long ones divided by the factor, blended linearly between the bounds.
    Source: `rope_scaling` of type llama3 in the released Llama 3.1 checkpoints; no paper gives it.
    """
    wavelengths = 2 * math.pi / frequencies
    turns = scaling.original_max_position / wavelengths
    blend = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    blend = blend.clamp(0.0, 1.0)
    return (1 - blend) * frequencies / scaling.factor + blend * frequencies


__all__ = ["Decoder", "Span", "rescale_rotary_frequencies", "rotary_frequencies"]
