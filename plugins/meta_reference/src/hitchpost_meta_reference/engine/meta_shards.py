"""The weights of a checkpoint in Meta's format: `consolidated.00.pth` and further shards, read as one set of tensors.

Source: the released checkpoints of Llama 2 and 3. Models that were trained on several GPUs come in as many shards, each with its part of every
matrix: of the rows, or of the columns where a matrix takes what the one before it gives.
"""

import pickle
from pathlib import Path

import torch
from torch import Tensor

from hitchpost_meta_reference.engine.decoder_config import meta_config
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import own_file

_NAMES = {
    "model.embed_tokens": "tok_embeddings",
    "model.norm": "norm",
    "lm_head": "output",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
}
_SPLIT_BY_COLUMN = ("attention.wo.weight", "feed_forward.w2.weight")
_EMBEDDING = "tok_embeddings.weight"


class MetaTensors:
    """The tensors under Hugging Face's names and in its layout; see `checkpoint.Tensors`."""

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("consolidated.*.pth"))
        if not files:
            raise CheckpointError("the checkpoint has no consolidated.*.pth")
        self._shards = [_load_pth(file) for file in files]
        first = self._shards[0]
        for file, shard in zip(files, self._shards, strict=True):
            if shard.keys() != first.keys():
                odd = min(shard.keys() ^ first.keys())
                raise CheckpointError(
                    f"{file.name} and {files[0].name} don't hold the same tensors: {odd} is in one only"
                )
        for name in (_EMBEDDING, "norm.weight"):
            if name not in first:
                raise CheckpointError(f"the checkpoint lacks a tensor: {name}")
        self.dtype = first[_EMBEDDING].dtype
        self._width = first["norm.weight"].numel()
        rows = self._joined_shape(_EMBEDDING)[0]
        self.config = meta_config(folder / "params.json", vocab_size=rows, has_output="output.weight" in first)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """See `checkpoint.Tensors`."""
        name = _meta_name(name)
        if name not in self._shards[0]:
            return None
        rows, *columns = self._joined_shape(name)
        return (rows // self._copies(name, rows), *columns)

    def get(self, name: str) -> Tensor:
        """See `checkpoint.Tensors`."""
        name = _meta_name(name)
        parts = [shard[name] for shard in self._shards]
        parts = parts[:: self._copies(name, self._joined_shape(name)[0])]
        tensor = parts[0] if parts[0].dim() == 1 or len(parts) == 1 else torch.cat(parts, dim=self._axis(name))
        heads = {"wq": self.config.n_heads, "wk": self.config.n_kv_heads}.get(name.split(".")[-2])
        return tensor if heads is None else _halves_from_pairs(tensor, heads)

    def label(self, name: str) -> str:
        """See `checkpoint.Tensors`."""
        return f"consolidated.*.pth: {_meta_name(name)}"

    def others(self, names: set[str]) -> list[str]:
        """See `checkpoint.Tensors`; the frequencies of old files follow from the config."""
        return sorted(self._shards[0].keys() - {_meta_name(name) for name in names} - {"rope.freqs"})

    def _joined_shape(self, name: str) -> tuple[int, ...]:
        shapes = {tuple(shard[name].shape) for shard in self._shards}
        shape = list(shapes.pop())
        if shapes or len(shape) not in (1, 2):
            raise CheckpointError(
                f"consolidated.*.pth: {name} isn't a vector or matrix of the same shape in every shard"
            )
        if len(shape) == 2:
            shape[self._axis(name)] *= len(self._shards)
        return tuple(shape)

    def _axis(self, name: str) -> int:
        if name == _EMBEDDING:
            # Llama 2 split the embedding by columns, Llama 3 by rows.
            return 0 if self._shards[0][name].shape[-1] == self._width else 1
        return 1 if name.endswith(_SPLIT_BY_COLUMN) else 0

    def _copies(self, name: str, rows: int) -> int:
        """With more shards than key-value heads, so many neighbouring shards hold the same head."""
        wanted = self.config.n_kv_heads * self.config.head_dim
        shared = name.endswith(("attention.wk.weight", "attention.wv.weight")) and rows % wanted == 0
        return rows // wanted if shared and len(self._shards) % (rows // wanted) == 0 else 1


def _meta_name(name: str) -> str:
    layer, stem = "", name
    if name.startswith("model.layers."):
        _, _, index, stem = name.split(".", 3)
        layer = f"layers.{index}."
    module, _, ending = stem.rpartition(".")
    return f"{layer}{_NAMES[module]}.{ending}"


def _halves_from_pairs(tensor: Tensor, heads: int) -> Tensor:
    """Meta rotates channels 2i and 2i + 1 of a head together, Hugging Face i and i + head_dim / 2."""
    rows, columns = tensor.shape
    return tensor.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _load_pth(file: Path) -> dict[str, Tensor]:
    path = own_file(file)
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OSError,
        EOFError,
    ) as error:
        raise CheckpointError(f"{file.name} can't be read as a file of plain tensors") from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise CheckpointError(f"{file.name} holds something other than named tensors")
    # A tensor may be a view that repeats few numbers without end; tied weights are the one honest case of a number that stands for two.
    if sum(tensor.numel() * tensor.itemsize for tensor in content.values()) > 2 * path.stat().st_size:
        raise CheckpointError(f"{file.name} claims to hold more numbers than it does")
    return content


__all__ = ["MetaTensors"]
