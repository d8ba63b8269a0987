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
from typing import Protocol

import torch
from torch import Tensor

from hitchpost_meta_reference.engine.decoder_config import DecoderConfig, hugging_face_config
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.meta_shards import MetaTensors
from hitchpost_meta_reference.engine.model import Decoder
from hitchpost_meta_reference.engine.safetensors_files import SafetensorsFiles

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
        check_tensors(tensors, parts)
        decoder = Decoder(tensors.config, dtype or tensors.dtype, torch.device("meta"))
        targets = dict(decoder.named_parameters())
        weights = {name: stacked(tensors, list(sources), targets[name], device) for name, sources in parts.items()}
        if tensors.config.tied_embeddings:
            weights["output"] = weights["embedding"]
        decoder.load_state_dict(weights, assign=True)
    if tensors.config.tied_embeddings:
        decoder.output = decoder.embedding
    return decoder.eval()


class NamedTensors(Protocol):
    """The tensors of a checkpoint under Hugging Face's names, in its layout."""

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


class Tensors(NamedTensors, Protocol):
    """Those of a decoder."""

    config: DecoderConfig
    dtype: torch.dtype
    """What the embedding was saved in."""


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


def check_tensors(tensors: NamedTensors, parts: dict[str, dict[str, Shape]]) -> None:
    """Raises CheckpointError unless each parameter's tensors are there in their shapes, and no others."""
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


def stacked(tensors: NamedTensors, names: list[str], target: Tensor, device: torch.device) -> Tensor:
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


class HuggingFaceTensors(SafetensorsFiles):
    """The tensors of a decoder in Hugging Face's format."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self.config = hugging_face_config(folder / "config.json")
        super().__init__(folder, files)
        self.dtype = self.dtype_of("model.embed_tokens.weight")

    def others(self, names: set[str]) -> list[str]:
        """See `Tensors`; some tools save frequencies, or a tied output matrix again."""
        harmless = re.compile(r".*rotary_emb\.inv_freq" + (r"|lm_head\.weight" if self.config.tied_embeddings else ""))
        return sorted(self.label(name) for name in self.names - names if not harmless.fullmatch(name))


__all__ = ["CheckpointFormat", "NamedTensors", "Shape", "check_tensors", "find_format", "load_decoder", "stacked"]
