"""What a BERT checkpoint says of its shape and, in the files of sentence-transformers, of how a text's vector is made.

| file | what it says |
|---|---|
| `config.json` | the encoder's shape |
| `modules.json` | the steps after the encoder: pooling, normalisation |
| `1_Pooling/config.json` | what is made of the tokens' hidden states |
| `sentence_bert_config.json` | how long texts may be, whether they are lower-cased |
| `config_sentence_transformers.json` | a prompt in front of each text |

As in `decoder_config`, what isn't computed is refused by name. Without `modules.json` it is what sentence-transformers does then: the mean, not
normalised.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from hitchpost_meta_reference.engine.decoder_config import MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY, MAX_WIDTH
from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import MAX_JSON_BYTES, own_file, read_json
from hitchpost_meta_reference.engine.json_settings import JsonSettings

Pooling = Literal["mean", "cls", "max"]
"""What becomes the text's vector: the mean of its tokens', the first one's, or the largest of each number."""

_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ENDLESS = 10**9
"""Tokenizers without a limit of their own say a number beyond this."""


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The shape of a BERT encoder."""

    dim: int
    n_layers: int
    n_heads: int
    hidden_dim: int
    vocab_size: int
    norm_eps: float
    max_position: int
    token_types: int
    activation: Literal["gelu", "relu"]


@dataclass(frozen=True, slots=True)
class SentenceConfig:
    """How a text becomes a vector."""

    pooling: Pooling
    normalizes: bool
    max_tokens: int
    """Of a text, special tokens included; what lies behind is cut off."""
    lowercases: bool


def is_encoder(folder: Path) -> bool:
    """Whether a Hugging Face folder holds a BERT. Raises CheckpointError where `config.json` can't be read."""
    return read_json(folder / "config.json").get("model_type") == "bert"


def encoder_config(folder: Path) -> EncoderConfig:
    """The shape that a `config.json` describes.

    Raises:
        CheckpointError: a key is missing, out of range, or asks for what can't be served; the message names it.
    """
    settings = JsonSettings.read(folder / "config.json")
    if settings.get("position_embedding_type", "absolute") != "absolute":
        raise settings.error("position_embedding_type", "isn't 'absolute'; such checkpoints can't be served")
    for key in ("is_decoder", "add_cross_attention", "quantization_config"):
        settings.refuse(key)
    activation = settings.get("hidden_act", "gelu")
    if activation not in ("gelu", "relu"):
        raise settings.error("hidden_act", f"is {activation!r}; only 'gelu' and 'relu' can be served")
    config = EncoderConfig(
        dim=settings.whole("hidden_size", MAX_WIDTH),
        n_layers=settings.whole("num_hidden_layers", MAX_LAYERS),
        n_heads=settings.whole("num_attention_heads", MAX_WIDTH),
        hidden_dim=settings.whole("intermediate_size", MAX_WIDTH),
        vocab_size=settings.whole("vocab_size", MAX_VOCABULARY),
        norm_eps=settings.number("layer_norm_eps", default=1e-12),
        max_position=settings.whole("max_position_embeddings", MAX_POSITIONS, default=512),
        token_types=settings.whole("type_vocab_size", MAX_WIDTH, default=2),
        activation=activation,
    )
    if config.dim % config.n_heads:
        raise settings.error("num_attention_heads", f"is {config.n_heads}, which {config.dim} can't be divided by")
    return config


def sentence_config(folder: Path, max_position: int) -> SentenceConfig:
    """How the checkpoint makes a vector of a text.

    Args:
        folder: the checkpoint.
        max_position: of its encoder, in tokens.

    Raises:
        CheckpointError: a step that can't be computed, or a file that can't be read.
    """
    pooling, normalizes = _modules(folder)
    file = folder / "sentence_bert_config.json"
    settings = JsonSettings.read(file) if file.is_file() else JsonSettings(file.name, {})
    if settings.has("max_seq_length") and settings.get("max_seq_length") is not None:
        max_tokens = settings.whole("max_seq_length", MAX_POSITIONS)
    else:
        max_tokens = _tokenizer_limit(folder, max_position)
    _refuse_prompt(folder)
    return SentenceConfig(pooling, normalizes, min(max_tokens, max_position), settings.flag("do_lower_case"))


def _modules(folder: Path) -> tuple[Pooling, bool]:
    file = folder / "modules.json"
    if not file.is_file():
        return "mean", False
    kinds = [(str(step.get("type", "")).rpartition(".")[2], str(step.get("path", ""))) for step in _steps(file)]
    names = [kind for kind, _ in kinds]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise CheckpointError(
            f"{file.name}: the steps are {', '.join(names) or 'none'}; "
            "only Transformer, Pooling and, after them, Normalize can be served"
        )
    if kinds[0][1]:
        raise CheckpointError(f"{file.name}: the Transformer must lie in the checkpoint's folder itself")
    return _pooling(folder, kinds[1][1]), len(names) == 3


def _steps(file: Path) -> list[dict[str, Any]]:
    path = own_file(file)
    try:
        steps = json.loads(path.read_bytes()) if path.stat().st_size <= MAX_JSON_BYTES else None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file.name} can't be read as JSON") from error
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise CheckpointError(f"{file.name} holds no list of objects")
    return steps


def _pooling(folder: Path, path: str) -> Pooling:
    if path in ("", ".", "..") or "/" in path or "\\" in path:
        raise CheckpointError(f"modules.json: the path {path!r} is no folder of the checkpoint")
    settings = JsonSettings.read(folder / path / "config.json")
    mode = settings.get("pooling_mode") or [name for key, name in _POOLING_FLAGS.items() if settings.flag(key)]
    modes = [mode] if isinstance(mode, str) else mode
    if not isinstance(modes, list) or len(modes) != 1 or modes[0] not in get_args(Pooling):
        raise settings.error("pooling_mode", f"is {mode!r}; it must be one of {', '.join(get_args(Pooling))}")
    pooling: Pooling = modes[0]
    return pooling


def _tokenizer_limit(folder: Path, max_position: int) -> int:
    file = folder / "tokenizer_config.json"
    limit = read_json(file).get("model_max_length") if file.is_file() else None
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 1 <= limit < _ENDLESS:
        return max_position
    return math.floor(limit)


def _refuse_prompt(folder: Path) -> None:
    file = folder / "config_sentence_transformers.json"
    if file.is_file() and JsonSettings.read(file).get("default_prompt_name"):
        raise CheckpointError(f"{file.name}: default_prompt_name is set; such checkpoints can't be served")


__all__ = ["EncoderConfig", "Pooling", "SentenceConfig", "encoder_config", "is_encoder", "sentence_config"]
