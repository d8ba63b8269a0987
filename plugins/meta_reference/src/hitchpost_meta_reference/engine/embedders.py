"""What computes a batch of vectors: a BERT with its pooling, or the mean over a Llama's hidden states."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hitchpost_meta_reference.engine.cache import PassingCache
from hitchpost_meta_reference.engine.encoder import Encoder
from hitchpost_meta_reference.engine.encoder_config import SentenceConfig
from hitchpost_meta_reference.engine.model import Decoder, Span

Tokens = Sequence[int]


class EncoderEmbedder:
    """Vectors as sentence-transformers makes them.

    Args:
        encoder: loaded and prepared.
        config: pooling and normalisation.
    """

    def __init__(self, encoder: Encoder, config: SentenceConfig) -> None:
        self._encoder = encoder
        self._config = config

    @torch.inference_mode()
    def embed(self, texts: Sequence[Tokens]) -> list[bytes | None]:
        """See `Embedder`."""
        lengths = [len(text) for text in texts]
        hidden = self._encoder(texts).float()
        if self._config.pooling == "cls":
            ends = torch.tensor(lengths, device=hidden.device).cumsum(0)
            vectors = hidden[F.pad(ends[:-1], (1, 0))]
        elif self._config.pooling == "max":
            vectors = torch.stack([own.amax(0) for own in hidden.split(lengths)])
        else:
            vectors = mean_of_texts(hidden, lengths)
        return as_bytes(F.normalize(vectors, dim=-1) if self._config.normalizes else vectors)


class DecoderEmbedder:
    """The mean over the last hidden states of a text's tokens, normalised to length 1; the token that begins a text counts too.

    Args:
        decoder: loaded and prepared.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    @torch.inference_mode()
    def embed(self, texts: Sequence[Tokens]) -> list[bytes | None]:
        """See `Embedder`."""
        device = self._decoder.norm.device
        # The decoder wants single tokens first, which are the shortest.
        backwards = list(reversed(texts))
        lengths = [len(text) for text in backwards]
        spans = [Span(slot, 0, length) for slot, length in enumerate(lengths)]
        tokens = torch.tensor([token for text in backwards for token in text], device=device)
        cache = PassingCache(self._decoder.config, len(texts), max(lengths), self._decoder.embedding.dtype, device)
        hidden = self._decoder.hidden_states(tokens, spans, cache)
        return as_bytes(F.normalize(mean_of_texts(hidden, lengths), dim=-1))[::-1]


def mean_of_texts(hidden: Tensor, lengths: Sequence[int]) -> Tensor:
    """The mean of each text's rows.

    Args:
        hidden: float32, shape (N, dim), text behind text.
        lengths: of the texts, N together.
    Returns: shape (len(lengths), dim).
    """
    sizes = torch.tensor(lengths, device=hidden.device)
    owners = torch.repeat_interleave(torch.arange(len(lengths), device=hidden.device), sizes)
    return hidden.new_zeros(len(lengths), hidden.shape[1]).index_add_(0, owners, hidden) / sizes.unsqueeze(1)


def as_bytes(vectors: Tensor) -> list[bytes | None]:
    """Each row as float32 in this machine's byte order; None for one that isn't numbers."""
    is_finite: list[bool] = vectors.isfinite().all(dim=-1).tolist()
    rows = vectors.cpu().numpy()
    return [row.tobytes() if finite else None for row, finite in zip(rows, is_finite, strict=True)]


__all__ = ["DecoderEmbedder", "EncoderEmbedder", "as_bytes", "mean_of_texts"]
