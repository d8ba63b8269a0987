"""`config.json` and `params.json`: what they mean, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from hitchpost_meta_reference.engine.decoder_config import DecoderConfig, RopeScaling, hugging_face_config, meta_config
from hitchpost_meta_reference.engine.errors import CheckpointError

LLAMA_31_8B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "torch_dtype": "bfloat16",
}
LLAMA_31_SHAPE = DecoderConfig(
    dim=4096,
    n_layers=32,
    n_heads=32,
    n_kv_heads=8,
    head_dim=128,
    hidden_dim=14336,
    vocab_size=128256,
    norm_eps=1e-5,
    rope_theta=500000.0,
    rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 8192),
    attention_bias=False,
    mlp_bias=False,
    tied_embeddings=False,
    max_position=131072,
)
META_31_8B = {
    "dim": 4096,
    "ffn_dim_multiplier": 1.3,
    "multiple_of": 1024,
    "n_heads": 32,
    "n_kv_heads": 8,
    "n_layers": 32,
    "norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "use_scaled_rope": True,
    "vocab_size": 128256,
}


def read_hugging_face(folder: Path, **changes: Any) -> DecoderConfig:
    (folder / "config.json").write_text(json.dumps(LLAMA_31_8B | changes))
    return hugging_face_config(folder / "config.json")


def read_meta(
    folder: Path, params: dict[str, Any], *, vocab_size: int = 128256, has_output: bool = True
) -> DecoderConfig:
    (folder / "params.json").write_text(json.dumps(params))
    return meta_config(folder / "params.json", vocab_size=vocab_size, has_output=has_output)


def test_released_hugging_face_config_is_read_in_full(tmp_path: Path) -> None:
    assert read_hugging_face(tmp_path) == LLAMA_31_SHAPE


def test_rope_parameters_of_newer_configs_mean_the_same(tmp_path: Path) -> None:
    rope = {**LLAMA_31_8B["rope_scaling"], "rope_theta": 500000.0}  # type: ignore[dict-item]

    config = read_hugging_face(tmp_path, rope_parameters=rope, rope_scaling=None, rope_theta=None)

    assert config == LLAMA_31_SHAPE


def test_released_meta_params_mean_the_same(tmp_path: Path) -> None:
    assert read_meta(tmp_path, META_31_8B) == LLAMA_31_SHAPE


@pytest.mark.parametrize(
    ("params", "hidden_dim"),
    [
        pytest.param({"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32}, 11008, id="llama-2-7b"),
        pytest.param({"dim": 5120, "multiple_of": 256, "n_heads": 40, "n_layers": 40}, 13824, id="llama-2-13b"),
        pytest.param(
            {"dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_heads": 64, "n_layers": 80},
            28672,
            id="llama-2-70b",
        ),
        pytest.param(
            {"dim": 2048, "multiple_of": 256, "ffn_dim_multiplier": 1.5, "n_heads": 32, "n_layers": 16},
            8192,
            id="llama-3.2-1b",
        ),
    ],
)
def test_width_of_metas_feed_forward_layers_is_that_of_the_release(
    tmp_path: Path, params: dict[str, Any], hidden_dim: int
) -> None:
    assert read_meta(tmp_path, {"norm_eps": 1e-5, **params}).hidden_dim == hidden_dim


@pytest.mark.parametrize(
    ("params", "context"),
    [
        pytest.param({}, 4096, id="llama-2"),
        pytest.param({"rope_theta": 500000.0}, 8192, id="llama-3"),
        pytest.param({"rope_theta": 500000.0, "use_scaled_rope": True}, 131072, id="llama-3.1"),
    ],
)
def test_context_of_metas_models_is_that_of_the_release(tmp_path: Path, params: dict[str, Any], context: int) -> None:
    assert read_meta(tmp_path, {"dim": 64, "n_heads": 4, "n_layers": 1, **params}).max_position == context


@pytest.mark.parametrize(("dim", "factor"), [(2048, 32.0), (3072, 32.0), (4096, 8.0), (8192, 8.0)])
def test_scaled_rope_of_metas_models_has_the_factor_of_the_converted_release(
    tmp_path: Path, dim: int, factor: float
) -> None:
    config = read_meta(tmp_path, {"dim": dim, "n_heads": 16, "n_layers": 1, "use_scaled_rope": True})

    assert config.rope_scaling == RopeScaling("llama3", factor)


def test_vocabulary_of_minus_one_is_that_of_the_weights(tmp_path: Path) -> None:
    params = {"dim": 64, "n_heads": 4, "n_layers": 1, "vocab_size": -1}

    assert read_meta(tmp_path, params, vocab_size=32000).vocab_size == 32000


def test_mistral_without_a_window_is_a_llama(tmp_path: Path) -> None:
    config = read_hugging_face(
        tmp_path, model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=None
    )

    assert config == LLAMA_31_SHAPE


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model_type": "mistral", "sliding_window": 4096}, "sliding_window"),
        ({"model_type": "mistral"}, "sliding_window"),
        ({"sliding_window": 4096}, "sliding_window"),
        ({"model_type": "qwen2"}, "model_type"),
        ({"model_type": None}, "model_type"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "architectures"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling.rope_type"),
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0}}, "rope_scaling.rope_type"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling.factor"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling.low_freq_factor"),
        ({"rope_scaling": "llama3"}, "rope_scaling"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"rope_theta": 0}, "rope_theta"),
        ({"rms_norm_eps": float("inf")}, "rms_norm_eps"),
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": "4096"}, "hidden_size"),
        ({"hidden_size": 2**40}, "hidden_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_key_value_heads": True}, "num_key_value_heads"),
        ({"num_key_value_heads": 5}, "key-value heads"),
        ({"head_dim": 127}, "head size"),
        ({"vocab_size": -1}, "vocab_size"),
        ({"attention_bias": "no"}, "attention_bias"),
        ({"max_position_embeddings": 1e6}, "max_position_embeddings"),
    ],
    ids=str,
)
def test_config_that_cannot_be_served_is_refused_by_file_and_key(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{key}"):
        read_hugging_face(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"moe_args": {"num_experts": 16}}, "moe_args"),
        ({"quantization_args": {"scheme": "int4"}}, "quantization_args"),
        ({"dim": 0}, "dim"),
        ({"n_kv_heads": 7}, "key-value heads"),
        ({"ffn_dim_multiplier": 1e9}, "ffn_dim_multiplier"),
        ({"norm_eps": "small"}, "norm_eps"),
    ],
    ids=str,
)
def test_params_that_cannot_be_served_are_refused_by_file_and_key(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"params\.json: .*{key}"):
        read_meta(tmp_path, META_31_8B | changes)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 100_000, b" " * (17 * 2**20)],
    ids=["empty", "list", "cut", "no-text", "deep-list", "deep-object", "huge"],
)
def test_config_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"config\.json"):
        hugging_face_config(tmp_path / "config.json")
