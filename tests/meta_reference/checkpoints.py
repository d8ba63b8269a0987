"""Small checkpoints with random weights, written as Hugging Face and as Meta write theirs."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

SHAPES: dict[str, dict[str, Any]] = {
    "llama3-rope-scaling": {"rope_parameters": LLAMA3_ROPE, "max_position_embeddings": 512},
    "linear-rope-scaling": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    "tied-embeddings": {"tie_word_embeddings": True},
    "one-kv-head": {"num_key_value_heads": 1},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "own-head-size": {"head_dim": 24},
    "llama2-every-head-its-own-keys": {"num_key_value_heads": 4, "rms_norm_eps": 1e-6},
    "tinyllama": {"hidden_size": 128, "num_attention_heads": 8, "num_key_value_heads": 1, "intermediate_size": 352},
    "smollm2": {
        "hidden_size": 72,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
        "num_hidden_layers": 4,
    },
    "large-vocabulary": {"vocab_size": 32000},
}


def reference_model(**changes: Any) -> LlamaForCausalLM:
    """A model of the transformers library with random weights (biases and norms too), float32."""
    torch.manual_seed(0)
    fields: dict[str, Any] = {
        "vocab_size": 300,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **changes,
    }
    model = LlamaForCausalLM(LlamaConfig(**fields)).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            elif "embed" in name or "lm_head" in name:
                parameter.normal_(std=0.4)
            else:
                parameter.normal_(std=0.08)
    return model


def write_hugging_face(folder: Path, model: LlamaForCausalLM, max_shard_size: str = "1GB") -> Path:
    """Saves as the library itself saves: with a small `max_shard_size` in several files with an index."""
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


def write_old_config(folder: Path, rope_scaling: dict[str, Any] | None, rope_theta: float) -> None:
    """Puts the rotary settings where transformers before 5 wrote them."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    del config["rope_parameters"]
    file.write_text(json.dumps(config | {"rope_theta": rope_theta, "rope_scaling": rope_scaling}))


def write_meta(folder: Path, model: LlamaForCausalLM, *, shards: int, embedding_axis: int = 0, **params: Any) -> Path:
    """Saves the same weights as Meta does: other names, rotary pairs side by side, split over model-parallel shards.

    Args:
        folder: where.
        model: without biases.
        shards: how many `consolidated.NN.pth` files.
        embedding_axis: how the embedding is split: 0 as Llama 3's, 1 as Llama 2's.
        params: further fields of `params.json`, or other values of them.
    """
    config = model.config
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "dim": config.hidden_size,
        "n_layers": config.num_hidden_layers,
        "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads,
        "multiple_of": 32,
        "ffn_dim_multiplier": (config.intermediate_size - 1) / int(8 * config.hidden_size / 3),
        "norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_parameters["rope_theta"],
        "vocab_size": config.vocab_size,
        **params,
    }
    (folder / "params.json").write_text(json.dumps(settings))
    tensors = dict(_meta_tensors(model))
    for name in tensors:
        if name.endswith(("wk.weight", "wv.weight")):
            # With more shards than key-value heads, neighbouring shards have the same head.
            heads = tensors[name].view(config.num_key_value_heads, config.head_dim, -1)
            copies = max(1, shards // config.num_key_value_heads)
            tensors[name] = heads.repeat_interleave(copies, dim=0).flatten(0, 1)
    for shard in range(shards):
        part = {name: _shard(name, tensor, shard, shards, embedding_axis) for name, tensor in tensors.items()}
        torch.save(part, folder / f"consolidated.{shard:02}.pth")
    return folder


def _meta_tensors(model: LlamaForCausalLM) -> list[tuple[str, Tensor]]:
    names = {
        "self_attn.q_proj": "attention.wq",
        "self_attn.k_proj": "attention.wk",
        "self_attn.v_proj": "attention.wv",
        "self_attn.o_proj": "attention.wo",
        "mlp.gate_proj": "feed_forward.w1",
        "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3",
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm",
        "model.norm": "norm",
        "model.embed_tokens": "tok_embeddings",
        "lm_head": "output",
        "model.layers": "layers",
    }
    tied = model.config.tie_word_embeddings
    found = [("rope.freqs", torch.zeros(model.config.head_dim // 2))]
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and tied:
            continue
        heads = {"q_proj": model.config.num_attention_heads, "k_proj": model.config.num_key_value_heads}.get(
            name.split(".")[-2]
        )
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        found.append((name, tensor if heads is None else _pairs_from_halves(tensor, heads)))
    return found


def _pairs_from_halves(tensor: Tensor, heads: int) -> Tensor:
    """Row i and row i + head_dim / 2 of each head become neighbours."""
    rows, columns = tensor.shape
    return tensor.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def _shard(name: str, tensor: Tensor, shard: int, shards: int, embedding_axis: int) -> Tensor:
    if tensor.dim() == 1:
        return tensor.clone()
    axis = 1 if name.endswith(("wo.weight", "w2.weight")) else 0
    if name.startswith("tok_embeddings"):
        axis = embedding_axis
    return tensor.chunk(shards, dim=axis)[shard].clone()
