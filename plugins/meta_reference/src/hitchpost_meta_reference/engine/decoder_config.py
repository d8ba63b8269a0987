"""What a checkpoint says of its shape, read from Hugging Face's `config.json` or Meta's `params.json`.

What the decoder doesn't compute (sliding windows, other rope types, quantized weights ...) is refused by name here: a setting that is
silently ignored gives wrong text instead of an error.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.json_settings import JsonSettings

# No released model comes near; beyond them a config is a mistake, or an attack on memory.
MAX_LAYERS = 1024
MAX_WIDTH = 2**20
MAX_VOCABULARY = 2**22
MAX_POSITIONS = 2**27


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How rotary frequencies are stretched; see `model.rotary_frequencies`.

    `original_max_position` is in tokens, the two factors are fractions of it; only `llama3` has the three.
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position: int = 8192


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """The shape of a Llama decoder. `head_dim` needn't be `dim / n_heads`; `max_position` is in tokens."""

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


def hugging_face_config(file: Path) -> DecoderConfig:
    """The shape that a Hugging Face `config.json` describes.

    Raises:
        CheckpointError: a key is missing, out of range, or asks for what can't be served; the message names it.
    """
    settings = JsonSettings.read(file)
    _refuse_other_models(settings)
    dim, n_heads = settings.whole("hidden_size", MAX_WIDTH), settings.whole("num_attention_heads", MAX_WIDTH)
    theta, scaling = _hugging_face_rope(settings)
    config = DecoderConfig(
        dim=dim,
        n_layers=settings.whole("num_hidden_layers", MAX_LAYERS),
        n_heads=n_heads,
        n_kv_heads=settings.whole("num_key_value_heads", MAX_WIDTH, default=n_heads),
        head_dim=settings.whole("head_dim", MAX_WIDTH, default=max(1, dim // n_heads)),
        hidden_dim=settings.whole("intermediate_size", MAX_WIDTH),
        vocab_size=settings.whole("vocab_size", MAX_VOCABULARY),
        norm_eps=settings.number("rms_norm_eps", default=1e-6),
        rope_theta=theta,
        rope_scaling=scaling,
        attention_bias=settings.flag("attention_bias"),
        mlp_bias=settings.flag("mlp_bias"),
        tied_embeddings=settings.flag("tie_word_embeddings"),
        max_position=settings.whole("max_position_embeddings", MAX_POSITIONS, default=2048),
    )
    return _consistent(file.name, config)


def meta_config(file: Path, *, vocab_size: int, has_output: bool) -> DecoderConfig:
    """The shape that Meta's `params.json` describes.

    Args:
        file: the file.
        vocab_size: rows of the embedding, for older files that say -1.
        has_output: whether there is an output matrix of its own.

    Raises:
        CheckpointError: as of `hugging_face_config`.
    """
    settings = JsonSettings.read(file)
    for key in ("moe_args", "quantization_args", "lora_args", "vision_chunk_size"):
        settings.refuse(key)
    dim, n_heads = settings.whole("dim", MAX_WIDTH), settings.whole("n_heads", MAX_WIDTH)
    theta, scaled = settings.number("rope_theta", default=10_000.0), settings.flag("use_scaled_rope")
    if settings.get("vocab_size", -1) != -1:
        vocab_size = settings.whole("vocab_size", MAX_VOCABULARY)
    config = DecoderConfig(
        dim=dim,
        n_layers=settings.whole("n_layers", MAX_LAYERS),
        n_heads=n_heads,
        n_kv_heads=settings.whole("n_kv_heads", MAX_WIDTH, default=n_heads),
        head_dim=settings.whole("head_dim", MAX_WIDTH, default=max(1, dim // n_heads)),
        hidden_dim=_meta_hidden_dim(settings, dim),
        vocab_size=vocab_size,
        norm_eps=settings.number("norm_eps", default=1e-5),
        rope_theta=theta,
        rope_scaling=_meta_rope_scaling(settings, dim) if scaled else None,
        attention_bias=False,
        mlp_bias=False,
        tied_embeddings=not has_output,
        # What Llama 3.1 and later, Llama 3 and Llama 2 were released with; the file doesn't say.
        max_position=131_072 if scaled else 8192 if theta >= 500_000 else 4096,
    )
    return _consistent(file.name, config)


def _refuse_other_models(settings: JsonSettings) -> None:
    model_type = settings.get("model_type")
    if model_type == "mistral":
        # Without its window a Mistral computes what a Llama does; a config that doesn't mention the window has one.
        if not settings.has("sliding_window") or settings.get("sliding_window") is not None:
            raise settings.error(
                "sliding_window", "is in use; only a Mistral whose sliding_window is null can be served"
            )
    elif model_type != "llama":
        raise settings.error("model_type", f"is {model_type!r}; only 'llama' can be served")
    architectures = settings.get("architectures", [])
    if architectures not in ([], ["LlamaForCausalLM"], ["MistralForCausalLM"]):
        raise settings.error("architectures", f"is {architectures!r}; only LlamaForCausalLM can be served")
    if settings.get("hidden_act", "silu") != "silu":
        raise settings.error("hidden_act", f"is {settings.get('hidden_act')!r}; only 'silu' can be served")
    for key in ("quantization_config", "compression_config", "sliding_window"):
        settings.refuse(key)


def _hugging_face_rope(settings: JsonSettings) -> tuple[float, RopeScaling | None]:
    """Theta and scaling, from `rope_parameters` (transformers 5) or from `rope_theta` and `rope_scaling` (before)."""
    theta = settings.number("rope_theta", default=10_000.0)
    rope = settings.section("rope_parameters") or settings.section("rope_scaling")
    if rope is None:
        return theta, None
    theta = rope.number("rope_theta", default=theta)
    if rope.number("partial_rotary_factor", default=settings.number("partial_rotary_factor", default=1.0)) != 1.0:
        raise rope.error("partial_rotary_factor", "isn't 1; such checkpoints can't be served")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling("linear", rope.number("factor"))
    if kind != "llama3":
        raise rope.error("rope_type", f"is {kind!r}; only 'default', 'linear' and 'llama3' can be served")
    scaling = RopeScaling(
        "llama3",
        rope.number("factor"),
        rope.number("low_freq_factor"),
        rope.number("high_freq_factor"),
        rope.whole("original_max_position_embeddings", MAX_POSITIONS),
    )
    if scaling.high_freq_factor <= scaling.low_freq_factor:
        raise rope.error("high_freq_factor", "must be larger than low_freq_factor")
    return theta, scaling


def _meta_rope_scaling(settings: JsonSettings, dim: int) -> RopeScaling:
    # The file seldom says by how much. The converted twins of the releases do: Llama 3.2 1B and 3B by 32, all others by 8.
    usual = 32.0 if dim < 4096 else 8.0
    return RopeScaling("llama3", settings.number("rope_scaling_factor", default=usual))


def _meta_hidden_dim(settings: JsonSettings, dim: int) -> int:
    """Two thirds of four times the width, times `ffn_dim_multiplier`, up to a whole number of `multiple_of`."""
    wanted = int(int(8 * dim / 3) * settings.number("ffn_dim_multiplier", default=1.0))
    multiple_of = settings.whole("multiple_of", MAX_WIDTH, default=256)
    hidden_dim = -(-wanted // multiple_of) * multiple_of
    if not 1 <= hidden_dim <= MAX_WIDTH:
        raise settings.error("ffn_dim_multiplier", f"makes feed-forward layers {hidden_dim} wide; at most {MAX_WIDTH}")
    return hidden_dim


def _consistent(file: str, config: DecoderConfig) -> DecoderConfig:
    if config.n_heads % config.n_kv_heads:
        raise CheckpointError(f"{file}: {config.n_heads} heads can't share {config.n_kv_heads} key-value heads evenly")
    if config.head_dim % 2:
        raise CheckpointError(f"{file}: a head size of {config.head_dim} can't be rotated in pairs")
    return config


__all__ = ["DecoderConfig", "RopeScaling", "hugging_face_config", "meta_config"]
