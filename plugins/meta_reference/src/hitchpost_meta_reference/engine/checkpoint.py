"""From a checkpoint folder to a decoder: Hugging Face's safetensors or Meta's `consolidated.*.pth`, brought to one layout.

| ours | Hugging Face | Meta |
|---|---|---|
| embedding | model.embed_tokens | tok_embeddings |
| blocks.N.qkv | self_attn.q_proj, k_proj, v_proj | attention.wq, wk, wv (rotary pairs side by side) |
| blocks.N.attention_output | self_attn.o_proj | attention.wo |
| blocks.N.gate_up | mlp.gate_proj, up_proj | feed_forward.w1, w3 |
| blocks.N.down | mlp.down_proj | feed_forward.w2 |
| norms, output | input_layernorm, post_attention_layernorm, model.norm, lm_head | attention_norm, ffn_norm, norm, output |

A checkpoint may come from anywhere: nothing in it is executed, nothing outside of its folder is read, and no memory is taken before every
tensor's shape is known to be right.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hitchpost_meta_reference.engine.decoder_config import DecoderConfig, hugging_face_config
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import own_file, read_json
from hitchpost_meta_reference.engine.meta_shards import MetaTensors
from hitchpost_meta_reference.engine.model import Decoder

Shape = tuple[int, ...]


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
        CheckpointError: a file or tensor is missing, unexpected or can't be read, or has the wrong shape; the message names it.
    """
    with ExitStack() as files, torch.inference_mode(False), torch.no_grad():
        if find_format(folder) is CheckpointFormat.hugging_face:
            tensors: Tensors = HuggingFaceTensors(folder, files)
        else:
            tensors = MetaTensors(folder)
        parts = dict(_parts(tensors.config))
        _check(tensors, parts)
        decoder = Decoder(tensors.config, dtype or tensors.dtype, torch.device("meta"))
        targets = dict(decoder.named_parameters())
        weights = {name: _stacked(tensors, list(sources), targets[name], device) for name, sources in parts.items()}
        if tensors.config.tied_embeddings:
            weights["output"] = weights["embedding"]
        decoder.load_state_dict(weights, assign=True)
    if tensors.config.tied_embeddings:
        decoder.output = decoder.embedding
    return decoder.eval()


class Tensors(Protocol):
    """The tensors of a checkpoint under Hugging Face's names, in its layout."""

    config: DecoderConfig
    dtype: torch.dtype
    """What the embedding was saved in."""

    def shape(self, name: str) -> Shape | None:
        """The tensor's shape, without reading it; None where it is missing."""
        ...

    def get(self, name: str) -> Tensor:
        """The tensor. Raises CheckpointError where it can't be read."""
        ...

    def label(self, name: str) -> str:
        """The file that the tensor is in, and its name there."""
        ...

    def others(self, names: set[str]) -> list[str]:
        """Labels of the tensors beside these that mean something."""
        ...


def _parts(config: DecoderConfig) -> Iterator[tuple[str, dict[str, Shape]]]:
    """Each parameter of the decoder with the tensors, and their shapes, that it is stacked from."""
    dim, wide = config.dim, config.hidden_dim
    heads, kv_heads = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    yield "embedding", {"model.embed_tokens.weight": (config.vocab_size, dim)}
    yield "norm", {"model.norm.weight": (dim,)}
    if not config.tied_embeddings:
        yield "output", {"lm_head.weight": (config.vocab_size, dim)}
    for layer in range(config.n_layers):
        ours, theirs = f"blocks.{layer}.", f"model.layers.{layer}."
        attention, mlp = theirs + "self_attn.", theirs + "mlp."
        yield ours + "attention_norm", {theirs + "input_layernorm.weight": (dim,)}
        yield ours + "feed_forward_norm", {theirs + "post_attention_layernorm.weight": (dim,)}
        rows = {f"{attention}q_proj": heads, f"{attention}k_proj": kv_heads, f"{attention}v_proj": kv_heads}
        yield from _linear(ours + "qkv", rows, dim, config.attention_bias)
        yield from _linear(ours + "attention_output", {f"{attention}o_proj": dim}, heads, config.attention_bias)
        yield from _linear(ours + "gate_up", {f"{mlp}gate_proj": wide, f"{mlp}up_proj": wide}, dim, config.mlp_bias)
        yield from _linear(ours + "down", {f"{mlp}down_proj": dim}, wide, config.mlp_bias)


def _linear(ours: str, rows: dict[str, int], columns: int, bias: bool) -> Iterator[tuple[str, dict[str, Shape]]]:
    yield ours, {f"{name}.weight": (count, columns) for name, count in rows.items()}
    if bias:
        yield f"{ours}_bias", {f"{name}.bias": (count,) for name, count in rows.items()}


def _check(tensors: Tensors, parts: dict[str, dict[str, Shape]]) -> None:
    wanted = {name: shape for sources in parts.values() for name, shape in sources.items()}
    for name, shape in wanted.items():
        found = tensors.shape(name)
        if found is None:
            raise CheckpointError(f"the checkpoint lacks a tensor: {tensors.label(name)}")
        if found != shape:
            raise CheckpointError(f"{tensors.label(name)} has the shape {found}; by the config it must be {shape}")
    others = tensors.others(set(wanted))
    if others:
        raise CheckpointError(f"the checkpoint has tensors that its config doesn't explain: {', '.join(others[:5])}")


def _stacked(tensors: Tensors, names: list[str], target: Tensor, device: torch.device) -> Tensor:
    """The named tensors below each other, in the target's shape and type. One of them at a time is in memory beside the result."""
    result = torch.empty(target.shape, dtype=target.dtype, device=device)
    at = 0
    for name in names:
        source = tensors.get(name)
        if source.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise CheckpointError(f"{tensors.label(name)} is {source.dtype}; quantized checkpoints can't be served")
        result[at : at + source.shape[0]].copy_(source)
        at += source.shape[0]
    return result


class HuggingFaceTensors:
    """`model.safetensors`, or the files that `model.safetensors.index.json` names."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self.config = hugging_face_config(folder / "config.json")
        self._files: dict[str, tuple[str, Any]] = {}
        for name in _safetensors_files(folder):
            try:
                opened = files.enter_context(safe_open(own_file(folder / name), framework="pt", device="cpu"))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{name} can't be read as safetensors: {error}") from error
            for tensor in opened.keys():  # noqa: SIM118 - it is no mapping
                if tensor in self._files:
                    raise CheckpointError(f"{name}: tensor {tensor} stands in {self._files[tensor][0]} too")
                self._files[tensor] = (name, opened)
        embedding = "model.embed_tokens.weight"
        self.dtype = self.get(embedding).dtype if embedding in self._files else torch.float32

    def shape(self, name: str) -> Shape | None:
        """See `Tensors`."""
        if name not in self._files:
            return None
        return tuple(self._files[name][1].get_slice(name).get_shape())

    def get(self, name: str) -> Tensor:
        """See `Tensors`."""
        try:
            tensor: Tensor = self._files[name][1].get_tensor(name)
        except (SafetensorError, AttributeError) as error:  # the latter for types that PyTorch hasn't got
            raise CheckpointError(f"{self.label(name)} can't be read: {error}") from error
        return tensor

    def label(self, name: str) -> str:
        """See `Tensors`."""
        return f"{self._files[name][0]}: {name}" if name in self._files else name

    def others(self, names: set[str]) -> list[str]:
        """See `Tensors`; some tools save frequencies, or a tied output matrix again."""
        harmless = re.compile(r".*rotary_emb\.inv_freq" + (r"|lm_head\.weight" if self.config.tied_embeddings else ""))
        return sorted(self.label(name) for name in self._files.keys() - names if not harmless.fullmatch(name))


def _safetensors_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        if not (folder / "model.safetensors").is_file():
            raise CheckpointError(
                "the checkpoint has neither model.safetensors nor model.safetensors.index.json; "
                "weights in other formats must be converted to safetensors first"
            )
        return ["model.safetensors"]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index.name} has no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if not re.fullmatch(r"[\w.-]+\.safetensors", name) or not (folder / name).is_file():
            raise CheckpointError(f"{index.name} names {name!r}, which is no safetensors file of this folder")
    return names


__all__ = ["CheckpointFormat", "find_format", "load_decoder"]
