"""The BERT encoder: embedding, then blocks of attention and feed-forward, each followed by a norm.

Source: Devlin et al., "BERT" (2019). The texts of a batch stand behind each other in one row of N tokens, so that nothing is computed for padding;
only attention knows where one text ends. Texts of about one length are attended to in one call:

    tokens   [ a a a a | b b b b | c c c | d ]      groups: a and b, c, d
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hitchpost_meta_reference.engine.encoder_config import EncoderConfig
from hitchpost_meta_reference.engine.linear import linear, linear_gelu, packed

LEAST_FILL = 0.75
"""A text shorter than this part of its group's longest is the first of another group."""
SHORT = 64
"""Up to so many tokens, plain matrix products take half as long on a processor as the fused kernel, which is made for long texts."""


@dataclass(frozen=True, slots=True)
class Group:
    """Texts that are attended to in one call: the tokens from `begin` to `end`, of `count` texts of at most `length` tokens each."""

    begin: int
    end: int
    count: int
    length: int
    places: Tensor | None
    """Where tokens stand, shape (count, length), bool; None where all texts have `length` tokens."""
    mask: Tensor | None
    """Added to the scores of keys, shape (count, 1, 1, length): 0, and -inf where none stands."""


class Encoder(nn.Module):
    """A BERT without its tokenizer.

    Args:
        config: its shape.
        dtype: of the weights and of what is computed between them.
        device: where the weights live; `meta` for weights that are assigned later.
    """

    def __init__(self, config: EncoderConfig, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.config = config
        self.embedding = _parameter((config.vocab_size, config.dim), dtype, device)
        self.positions = _parameter((config.max_position, config.dim), dtype, device)
        self.token_types = _parameter((config.token_types, config.dim), dtype, device)
        self.norm = _parameter((config.dim,), dtype, device)
        self.norm_bias = _parameter((config.dim,), dtype, device)
        self.blocks = nn.ModuleList(Block(config, dtype, device) for _ in range(config.n_layers))

    def prepare(self) -> None:
        """Lay the matrices out as the processor likes them."""
        for block in self.blocks:
            block.pack()

    @torch.inference_mode()
    def forward(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """The hidden states of all tokens, shape (N, dim), text behind text.

        Args:
            texts: token ids of each, longest first; at least one token and at most `max_position`.
        """
        device = self.norm.device
        tokens = torch.tensor([token for text in texts for token in text], device=device)
        positions = torch.cat([torch.arange(len(text)) for text in texts]).to(device)
        hidden = F.embedding(tokens, self.embedding) + F.embedding(positions, self.positions) + self.token_types[0]
        hidden = F.layer_norm(hidden, (self.config.dim,), self.norm, self.norm_bias, self.config.norm_eps)
        groups = group_by_length([len(text) for text in texts], hidden.dtype, device)
        for block in self.blocks:
            hidden = block(hidden, groups)
        return hidden


class Block(nn.Module):
    """Attention and feed-forward; each is added to what went in, and the sum is normalised."""

    def __init__(self, config: EncoderConfig, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        dim, wide = config.dim, config.hidden_dim
        self.eps, self.n_heads, self.activation = config.norm_eps, config.n_heads, config.activation
        for name, rows, columns in (
            ("qkv", 3 * dim, dim),
            ("output", dim, dim),
            ("up", wide, dim),
            ("down", dim, wide),
        ):
            self.register_parameter(name, _parameter((rows, columns), dtype, device))
            self.register_parameter(f"{name}_bias", _parameter((rows,), dtype, device))
        for name in ("attention_norm", "attention_norm_bias", "feed_forward_norm", "feed_forward_norm_bias"):
            self.register_parameter(name, _parameter((dim,), dtype, device))

    def pack(self) -> None:
        """Lay the matrices out for this processor."""
        for name in ("qkv", "output", "up", "down"):
            setattr(self, name, nn.Parameter(packed(getattr(self, name).data), False))

    def forward(self, hidden: Tensor, groups: Sequence[Group]) -> Tensor:
        """`hidden` and the result are (N, dim)."""
        width = hidden.shape[-1:]
        attended = attend(linear(hidden, self.qkv, self.qkv_bias), groups, self.n_heads)
        hidden = hidden + linear(attended, self.output, self.output_bias)
        hidden = F.layer_norm(hidden, width, self.attention_norm, self.attention_norm_bias, self.eps)
        hidden = hidden + linear(self._widened(hidden), self.down, self.down_bias)
        return F.layer_norm(hidden, width, self.feed_forward_norm, self.feed_forward_norm_bias, self.eps)

    def _widened(self, hidden: Tensor) -> Tensor:
        if self.activation == "gelu":
            return linear_gelu(hidden, self.up, self.up_bias)
        return F.relu(linear(hidden, self.up, self.up_bias))


def _parameter(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, dtype=dtype, device=device), False)


def group_by_length(lengths: Sequence[int], dtype: torch.dtype, device: torch.device) -> list[Group]:
    """Groups of texts of about one length. `lengths` begin with the longest; `dtype` is that of the scores."""
    groups: list[Group] = []
    first = begin = 0
    for at in range(1, len(lengths) + 1):
        if at == len(lengths) or lengths[at] < LEAST_FILL * lengths[first]:
            group = _group(begin, lengths[first:at], dtype, device)
            groups.append(group)
            first, begin = at, group.end
    return groups


def _group(begin: int, lengths: Sequence[int], dtype: torch.dtype, device: torch.device) -> Group:
    end, count, longest = begin + sum(lengths), len(lengths), lengths[0]
    if lengths[-1] == longest:
        return Group(begin, end, count, longest, None, None)
    places = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    mask = torch.zeros(places.shape, dtype=dtype).masked_fill_(~places, -torch.inf)
    return Group(begin, end, count, longest, places.to(device), mask.view(count, 1, 1, longest).to(device))


def attend(qkv: Tensor, groups: Sequence[Group], n_heads: int) -> Tensor:
    """Attention of each token to all of its own text.

    Args:
        qkv: queries, keys and values side by side, shape (N, 3 * dim).
    Returns: shape (N, dim).
    """
    results = []
    for group in groups:
        rows = qkv[group.begin : group.end]
        if group.places is not None:
            padded = rows.new_zeros(group.count, group.length, rows.shape[1])
            padded[group.places] = rows
            rows = padded
        heads = rows.view(group.count, group.length, 3, n_heads, -1)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        mixed = mix(queries, keys, values, group.mask).transpose(1, 2).flatten(2)
        results.append(mixed.flatten(0, 1) if group.places is None else mixed[group.places])
    return torch.cat(results) if len(results) > 1 else results[0]


def mix(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention. All are (texts, heads, length, head_dim); `mask` is added to the scores."""
    if queries.device.type != "cpu" or queries.shape[2] > SHORT:
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    scores = (queries @ keys.transpose(-1, -2)).mul_(queries.shape[-1] ** -0.5)
    if mask is not None:
        scores += mask
    return scores.softmax(-1) @ values


__all__ = ["Encoder", "Group", "attend", "group_by_length"]
