"""What a checkpoint says of its shape, read from Hugging Face's `config.json` or Meta's `params.json`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hitchpost_meta_reference.engine.errors import CheckpointError

MAX_JSON_BYTES = 16 * 2**20
META_MAX_POSITION = 131_072


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How rotary frequencies are stretched; see `model.rotary_frequencies`.

    `kind` is `llama3` or `linear`; the bounds are in positions and only `llama3` has them.
    """

    kind: str
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position: int = 8192


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """The shape of a Llama decoder."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    vocab_size: int
    norm_eps: float
    rope_theta: float
    rope_scaling: RopeScaling | None
    attention_bias: bool
    mlp_bias: bool
    tied_embeddings: bool
    max_position: int

    def __post_init__(self) -> None:
        for name in (
            "dim",
            "n_layers",
            "n_heads",
            "n_kv_heads",
            "head_dim",
            "hidden_dim",
            "vocab_size",
            "max_position",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 2**24:
                raise CheckpointError(f"the checkpoint's {name} is {value!r}; it must be a positive whole number")
        if self.n_heads % self.n_kv_heads:
            raise CheckpointError(f"{self.n_heads} heads can't share {self.n_kv_heads} key-value heads evenly")
        if self.head_dim % 2:
            raise CheckpointError(f"a head size of {self.head_dim} can't be rotated in pairs")


def read_json(file: Path) -> dict[str, Any]:
    """A checkpoint's JSON file. Raises CheckpointError where it is too large or no JSON object."""
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointError(f"{file.name} is larger than {MAX_JSON_BYTES >> 20} MiB")
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file.name} can't be read as JSON") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file.name} holds no JSON object")
    return content


def hugging_face_config(file: Path) -> DecoderConfig:
    """The shape that a Hugging Face `config.json` describes."""
    config = read_json(file)
    _refuse(file, config)
    dim, n_heads = _whole(file, config, "hidden_size"), _whole(file, config, "num_attention_heads")
    rope = config.get("rope_parameters") or {}
    scaling = rope if config.get("rope_parameters") else config.get("rope_scaling")
    return DecoderConfig(
        dim=dim,
        n_layers=_whole(file, config, "num_hidden_layers"),
        n_heads=n_heads,
        n_kv_heads=config.get("num_key_value_heads") or n_heads,
        head_dim=config.get("head_dim") or dim // n_heads,
        hidden_dim=_whole(file, config, "intermediate_size"),
        vocab_size=_whole(file, config, "vocab_size"),
        norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        rope_scaling=_rope_scaling(file, scaling),
        attention_bias=bool(config.get("attention_bias", False)),
        mlp_bias=bool(config.get("mlp_bias", False)),
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        max_position=int(config.get("max_position_embeddings", 2048)),
    )


def meta_config(file: Path, vocab_size: int, shard_hidden_dim: int, has_output: bool) -> DecoderConfig:
    """The shape that Meta's `params.json` describes.

    Args:
        file: the file.
        vocab_size: rows of the embedding, since older files say -1.
        shard_hidden_dim: width of the feed-forward layers over all shards, which the file only implies.
        has_output: whether there is an output matrix of its own.
    """
    params = read_json(file)
    if "moe_args" in params or "quantization_args" in params or "lora_args" in params or "vision_chunk_size" in params:
        raise CheckpointError(f"{file.name} describes a model that is not a plain text Llama")
    dim, n_heads = _whole(file, params, "dim"), _whole(file, params, "n_heads")
    theta = float(params.get("rope_theta", 10_000.0))
    scaling = None
    if params.get("use_scaled_rope"):
        scaling = RopeScaling("llama3", float(params.get("rope_scale_factor", 32.0 if dim < 4096 else 8.0)))
    return DecoderConfig(
        dim=dim,
        n_layers=_whole(file, params, "n_layers"),
        n_heads=n_heads,
        n_kv_heads=params.get("n_kv_heads") or n_heads,
        head_dim=params.get("head_dim") or dim // n_heads,
        hidden_dim=shard_hidden_dim,
        vocab_size=vocab_size,
        norm_eps=float(params.get("norm_eps", 1e-5)),
        rope_theta=theta,
        rope_scaling=scaling,
        attention_bias=False,
        mlp_bias=False,
        tied_embeddings=not has_output,
        max_position=META_MAX_POSITION if scaling else (8192 if theta > 10_000 else 4096),
    )


def _refuse(file: Path, config: dict[str, Any]) -> None:
    model_type = config.get("model_type")
    if model_type != "llama":
        raise CheckpointError(f"{file.name}: model_type is {model_type!r}; only 'llama' can be served")
    if config.get("quantization_config"):
        raise CheckpointError(f"{file.name}: quantization_config is set; quantized checkpoints can't be served")
    if config.get("hidden_act", "silu") != "silu":
        raise CheckpointError(f"{file.name}: hidden_act is {config['hidden_act']!r}; only 'silu' can be served")
    if config.get("sliding_window"):
        raise CheckpointError(f"{file.name}: sliding_window is set; it can't be served")


def _whole(file: Path, config: dict[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CheckpointError(f"{file.name}: {key} is {value!r}; it must be a whole number")
    return value


def _rope_scaling(file: Path, scaling: Any) -> RopeScaling | None:
    if not scaling:
        return None
    kind = scaling.get("rope_type") or scaling.get("type") if isinstance(scaling, dict) else scaling
    if kind in (None, "default"):
        return None
    if kind not in ("llama3", "linear"):
        raise CheckpointError(f"{file.name}: rope scaling {kind!r} can't be served; only 'llama3' and 'linear' can")
    if kind == "linear":
        return RopeScaling("linear", float(scaling["factor"]))
    try:
        return RopeScaling(
            "llama3",
            float(scaling["factor"]),
            float(scaling["low_freq_factor"]),
            float(scaling["high_freq_factor"]),
            int(scaling["original_max_position_embeddings"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file.name}: rope scaling lacks or garbles {error}") from error


__all__ = ["DecoderConfig", "RopeScaling", "hugging_face_config", "meta_config", "read_json"]
