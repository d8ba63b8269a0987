"""From a BERT checkpoint's folder to an encoder.

| ours | Hugging Face |
|---|---|
| embedding, positions, token_types, norm | embeddings.word_embeddings, position_embeddings, token_type_embeddings, LayerNorm |
| blocks.N.qkv | attention.self.query, key, value |
| blocks.N.output, attention_norm | attention.output.dense, LayerNorm |
| blocks.N.up | intermediate.dense |
| blocks.N.down, feed_forward_norm | output.dense, LayerNorm |

Names may begin with `bert.`.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import torch

from hitchpost_meta_reference.engine.checkpoint import Shape, check_tensors, stacked
from hitchpost_meta_reference.engine.encoder import Encoder
from hitchpost_meta_reference.engine.encoder_config import EncoderConfig, encoder_config
from hitchpost_meta_reference.engine.safetensors_files import SafetensorsFiles

# The pooler, heads of other tasks, and positions as numbers: a text's vector needs none of them.
_UNUSED = re.compile(r"(bert\.)?(pooler\..*|embeddings\.position_ids)|cls\..*|classifier\..*|qa_outputs\..*")


def load_encoder(folder: Path, dtype: torch.dtype | None, device: torch.device) -> Encoder:
    """Load a checkpoint, tensor by tensor.

    Args:
        folder: the checkpoint, in Hugging Face's format.
        dtype: of the weights; None: as they were saved.
        device: where they go.

    Raises:
        CheckpointError: a file or tensor is missing, unexpected or can't be read, or has the wrong shape; the message names it.
    """
    config = encoder_config(folder)
    with ExitStack() as files, torch.inference_mode(False), torch.no_grad():
        tensors = _EncoderTensors(folder, files)
        parts = dict(_parts(config, tensors.prefix))
        check_tensors(tensors, parts)
        encoder = Encoder(config, dtype or tensors.dtype, torch.device("meta"))
        targets = dict(encoder.named_parameters())
        weights = {name: stacked(tensors, list(sources), targets[name], device) for name, sources in parts.items()}
        encoder.load_state_dict(weights, assign=True)
    return encoder.eval()


class _EncoderTensors(SafetensorsFiles):
    def __init__(self, folder: Path, files: ExitStack) -> None:
        super().__init__(folder, files)
        self.prefix = "bert." if any(name.startswith("bert.") for name in self.names) else ""
        self.dtype = self.dtype_of(f"{self.prefix}embeddings.word_embeddings.weight")

    def others(self, names: set[str]) -> list[str]:
        """See `NamedTensors`."""
        return sorted(self.label(name) for name in self.names - names if not _UNUSED.fullmatch(name))


def _parts(config: EncoderConfig, prefix: str) -> Iterator[tuple[str, dict[str, Shape]]]:
    """Each parameter of the encoder with the tensors, and their shapes, that it is stacked from."""
    dim, wide = config.dim, config.hidden_dim
    embeddings = f"{prefix}embeddings."
    yield "embedding", {f"{embeddings}word_embeddings.weight": (config.vocab_size, dim)}
    yield "positions", {f"{embeddings}position_embeddings.weight": (config.max_position, dim)}
    yield "token_types", {f"{embeddings}token_type_embeddings.weight": (config.token_types, dim)}
    yield from _norm("norm", f"{embeddings}LayerNorm", dim)
    for layer in range(config.n_layers):
        ours, theirs = f"blocks.{layer}.", f"{prefix}encoder.layer.{layer}."
        heads = [f"{theirs}attention.self.{name}" for name in ("query", "key", "value")]
        yield from _linear(f"{ours}qkv", heads, dim, dim)
        yield from _linear(f"{ours}output", [f"{theirs}attention.output.dense"], dim, dim)
        yield from _norm(f"{ours}attention_norm", f"{theirs}attention.output.LayerNorm", dim)
        yield from _linear(f"{ours}up", [f"{theirs}intermediate.dense"], wide, dim)
        yield from _linear(f"{ours}down", [f"{theirs}output.dense"], dim, wide)
        yield from _norm(f"{ours}feed_forward_norm", f"{theirs}output.LayerNorm", dim)


def _linear(ours: str, theirs: list[str], rows: int, columns: int) -> Iterator[tuple[str, dict[str, Shape]]]:
    yield ours, {f"{name}.weight": (rows, columns) for name in theirs}
    yield f"{ours}_bias", {f"{name}.bias": (rows,) for name in theirs}


def _norm(ours: str, theirs: str, size: int) -> Iterator[tuple[str, dict[str, Shape]]]:
    yield ours, {f"{theirs}.weight": (size,)}
    yield f"{ours}_bias", {f"{theirs}.bias": (size,)}


__all__ = ["load_encoder"]
