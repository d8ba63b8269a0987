"""From a checkpoint folder to a decoder: Hugging Face's safetensors or Meta's `consolidated.*.pth`, brought to one layout.

| ours | Hugging Face | Meta |
|---|---|---|
| embedding | model.embed_tokens | tok_embeddings |
| blocks.N.qkv | self_attn.q_proj, k_proj, v_proj | attention.wq, wk, wv (rotary pairs side by side) |
| blocks.N.attention_output | self_attn.o_proj | attention.wo |
| blocks.N.gate_up | mlp.gate_proj, up_proj | feed_forward.w1, w3 |
| blocks.N.down | mlp.down_proj | feed_forward.w2 |
| norms, output | input_layernorm, post_attention_layernorm, model.norm, lm_head | attention_norm, ffn_norm, norm, output |

A checkpoint may come from anywhere: nothing in it is executed, and nothing outside of its folder is read.
"""

import pickle
import re
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hitchpost_meta_reference.engine.decoder_config import DecoderConfig, hugging_face_config, meta_config, read_json
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.model import Decoder


class CheckpointFormat(StrEnum):
    """Whose layout a folder has."""

    hugging_face = "hugging_face"
    meta = "meta"


def find_format(folder: Path) -> CheckpointFormat:
    """Which format a folder is in. Raises CheckpointError where it is none, or has no folder."""
    if (folder / "config.json").is_file():
        return CheckpointFormat.hugging_face
    if (folder / "params.json").is_file():
        return CheckpointFormat.meta
    if not folder.is_dir():
        raise CheckpointError("checkpoint_dir is no folder")
    raise CheckpointError("checkpoint_dir has neither a config.json (Hugging Face) nor a params.json (Meta)")


def load_decoder(folder: Path, dtype: torch.dtype | None, device: torch.device) -> Decoder:
    """Load a checkpoint, tensor by tensor, so that the peak is little more than the model.

    Args:
        folder: the checkpoint.
        dtype: of the weights; None: as they were saved.
        device: where they go.

    Raises:
        CheckpointError: a file or tensor is missing, has the wrong shape, or can't be read; the message names it.
    """
    with ExitStack() as files:
        if find_format(folder) is CheckpointFormat.hugging_face:
            tensors: _Tensors = _HuggingFaceTensors(folder, files)
        else:
            tensors = _MetaTensors(folder)
        config = tensors.config
        decoder = Decoder(config, dtype or tensors.find("model.norm.weight").dtype, device)
        _fill(decoder, tensors)
        unexpected = tensors.unused()
        if unexpected:
            raise CheckpointError(f"the checkpoint has tensors that no Llama has: {', '.join(sorted(unexpected)[:5])}")
    return decoder.eval()


class _Tensors(Protocol):
    """The tensors of a checkpoint under Hugging Face's names."""

    config: DecoderConfig

    def find(self, name: str) -> Tensor:
        """The tensor. Raises CheckpointError where it is missing."""
        ...

    def unused(self) -> set[str]:
        """Names of tensors that nobody asked for."""
        ...


def _fill(decoder: Decoder, tensors: _Tensors) -> None:
    config = decoder.config

    def copy(target: Tensor | None, *names: str) -> None:
        """Stack the named tensors into the target."""
        if target is None:
            return
        at = 0
        for name in names:
            source = tensors.find(name)
            rows = source.shape[0] if source.dim() else 0
            part = target[at : at + rows]
            if part.shape != source.shape or rows == 0:
                wanted = (target.shape[0] - at, *target.shape[1:])
                raise CheckpointError(
                    f"tensor {name} has the shape {tuple(source.shape)}, which does not fit into {wanted}"
                )
            part.copy_(source)
            at += rows
        if at != target.shape[0]:
            raise CheckpointError(f"tensors {', '.join(names)} have {at} rows together; {target.shape[0]} are needed")

    with torch.inference_mode(False), torch.no_grad():
        copy(decoder.embedding, "model.embed_tokens.weight")
        copy(decoder.norm, "model.norm.weight")
        for index, block in enumerate(decoder.blocks):
            prefix = f"model.layers.{index}."
            attention, mlp = prefix + "self_attn.", prefix + "mlp."
            copy(block.attention_norm, prefix + "input_layernorm.weight")
            copy(block.feed_forward_norm, prefix + "post_attention_layernorm.weight")
            for ending, qkv, output, gate_up, down in (
                ("weight", block.qkv, block.attention_output, block.gate_up, block.down),
                ("bias", block.qkv_bias, block.attention_output_bias, block.gate_up_bias, block.down_bias),
            ):
                copy(qkv, *(f"{attention}{part}_proj.{ending}" for part in "qkv"))
                copy(output, f"{attention}o_proj.{ending}")
                copy(gate_up, f"{mlp}gate_proj.{ending}", f"{mlp}up_proj.{ending}")
                copy(down, f"{mlp}down_proj.{ending}")
        if config.tied_embeddings:
            decoder.output = decoder.embedding
        else:
            copy(decoder.output, "lm_head.weight")


class _HuggingFaceTensors:
    """`model.safetensors`, or the files that `model.safetensors.index.json` names."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self.config = hugging_face_config(folder / "config.json")
        self._opened: dict[str, Any] = {}
        self._used: set[str] = set()
        for name in _safetensors_files(folder):
            try:
                opened = files.enter_context(safe_open(folder / name, framework="pt", device="cpu"))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{name} can't be read as safetensors: {error}") from error
            for tensor in opened.keys():  # noqa: SIM118 - it is no mapping
                if tensor in self._opened:
                    raise CheckpointError(f"{name}: tensor {tensor} stands in another file too")
                self._opened[tensor] = opened

    def find(self, name: str) -> Tensor:
        """The tensor. Raises CheckpointError where it is missing."""
        opened = self._opened.get(name)
        if opened is None:
            raise CheckpointError(f"the checkpoint lacks tensor {name}")
        self._used.add(name)
        tensor: Tensor = opened.get_tensor(name)
        return tensor

    def unused(self) -> set[str]:
        """Names of tensors that nobody asked for, but for those that some tools save beside them."""
        harmless = re.compile(r".*rotary_emb\.inv_freq|lm_head\.weight")
        return {name for name in self._opened.keys() - self._used if not harmless.fullmatch(name)}


def _safetensors_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        if not (folder / "model.safetensors").is_file():
            raise CheckpointError("the checkpoint has neither model.safetensors nor model.safetensors.index.json")
        return ["model.safetensors"]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index.name} has no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors") or not (folder / name).is_file():
            raise CheckpointError(f"{index.name} names {name!r}, which is no safetensors file of this folder")
    return names


_META_NAMES = {
    "model.embed_tokens.weight": "tok_embeddings.weight",
    "model.norm.weight": "norm.weight",
    "lm_head.weight": "output.weight",
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
_SPLIT_BY_COLUMN = ("attention.wo", "feed_forward.w2")


class _MetaTensors:
    """`consolidated.00.pth` and further shards, each with its part of every split matrix."""

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("consolidated.*.pth"))
        if not files:
            raise CheckpointError("the checkpoint has no consolidated.*.pth")
        self._shards: Sequence[dict[str, Tensor]] = [_load_pth(file) for file in files]
        self._used: set[str] = set()
        first = self._shards[0]
        embedding = self._joined("tok_embeddings.weight")
        width = sum(
            shard["layers.0.feed_forward.w1.weight"].shape[0]
            for shard in self._shards
            if "layers.0.feed_forward.w1.weight" in shard
        )
        self.config = meta_config(folder / "params.json", embedding.shape[0], width, "output.weight" in first)

    def find(self, name: str) -> Tensor:
        """The tensor under its Hugging Face name, joined and with its rotary pairs reordered."""
        meta_name = _meta_name(name)
        tensor = self._joined(meta_name)
        self._used.add(meta_name)
        if meta_name.endswith(("attention.wk.weight", "attention.wv.weight")):
            tensor = self._once_each(tensor)
        if meta_name.endswith("attention.wq.weight"):
            return _halves_from_pairs(tensor, self.config.n_heads)
        if meta_name.endswith("attention.wk.weight"):
            return _halves_from_pairs(tensor, self.config.n_kv_heads)
        return tensor

    def unused(self) -> set[str]:
        """Names of tensors that nobody asked for; the frequencies of old files follow from the config."""
        return set(self._shards[0]) - self._used - {"rope.freqs"}

    def _joined(self, name: str) -> Tensor:
        parts = [shard[name] for shard in self._shards if name in shard]
        if len(parts) != len(self._shards):
            raise CheckpointError(
                f"tensor {name} is missing in {len(self._shards) - len(parts)} of {len(self._shards)} shards"
            )
        if len(parts) == 1 or parts[0].dim() == 1:
            return parts[0]
        if name == "tok_embeddings.weight":
            # Llama 2 split the embedding by channels, Llama 3 by vocabulary.
            width = self._shards[0]["norm.weight"].shape[0] if "norm.weight" in self._shards[0] else 0
            return torch.cat(parts, dim=0 if parts[0].shape[1] == width else 1)
        return torch.cat(parts, dim=1 if any(part in name for part in _SPLIT_BY_COLUMN) else 0)

    def _once_each(self, tensor: Tensor) -> Tensor:
        """With more shards than key-value heads, neighbouring shards hold the same head."""
        rows = self.config.n_kv_heads * self.config.head_dim
        copies = tensor.shape[0] // rows if rows and tensor.shape[0] % rows == 0 else 1
        if copies == 1:
            return tensor
        return tensor.view(len(self._shards), -1, tensor.shape[1])[::copies].reshape(rows, -1)


def _meta_name(name: str) -> str:
    if name in _META_NAMES:
        return _META_NAMES[name]
    _, _, index, rest = name.split(".", 3)
    part, _, ending = rest.rpartition(".")
    return f"layers.{index}.{_META_NAMES[part]}.{ending}"


def _halves_from_pairs(tensor: Tensor, n_heads: int) -> Tensor:
    """Meta pairs channels 2i and 2i+1 for the rotation, Hugging Face i and i + head_dim/2."""
    rows, columns = tensor.shape
    if rows % (2 * n_heads):
        raise CheckpointError(f"a projection of {rows} rows can't belong to {n_heads} heads")
    return tensor.view(n_heads, rows // n_heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _load_pth(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, OSError, EOFError) as error:
        raise CheckpointError(f"{file.name} can't be read as a file of plain tensors") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{file.name} holds something other than named tensors")
    return content


__all__ = ["CheckpointFormat", "find_format", "load_decoder"]
