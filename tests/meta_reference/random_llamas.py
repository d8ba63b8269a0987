"""Small Llama checkpoints with random weights, in both formats, and what transformers computes with them."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    # Small, so that a prompt of a test reaches positions where the scaling matters.
    "original_max_position_embeddings": 32,
}


def llama_config(**changes: Any) -> LlamaConfig:
    """Two layers of width 64; `changes` as of `LlamaConfig`."""
    values: dict[str, Any] = {
        "vocab_size": 160,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
    }
    return LlamaConfig(**(values | changes))


def random_llama(config: LlamaConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    """A model in which every weight matters: biases aren't 0 and norms aren't 1, as they would be in a fresh one."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(mean=1.0 if "norm" in name else 0.0, std=0.2 if "norm" in name else 0.15)
    return model.to(dtype).eval()


def write_hugging_face(folder: Path, model: LlamaForCausalLM, max_shard_size: str = "1GB") -> Path:
    """The folder, with the model as transformers saves it."""
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


def write_old_config(folder: Path, rope_scaling: dict[str, Any] | None, rope_theta: float) -> None:
    """Puts the rotary settings where transformers before 5 wrote them."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    del config["rope_parameters"]
    file.write_text(json.dumps(config | {"rope_theta": rope_theta, "rope_scaling": rope_scaling}))


def write_meta(folder: Path, model: LlamaForCausalLM, shards: int = 1, *, embedding_by_channel: bool = False) -> Path:
    """The folder, with the model as Meta releases one: split for model parallelism, rotary pairs side by side.

    Args:
        embedding_by_channel: as Llama 2 was split; Llama 3 was by vocabulary.
    """
    config = model.config
    folder.mkdir(exist_ok=True)
    params = {
        "dim": config.hidden_size,
        "n_layers": config.num_hidden_layers,
        "n_heads": config.num_attention_heads,
        "vocab_size": -1 if embedding_by_channel else config.vocab_size,
        "multiple_of": 32,
        "norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_parameters["rope_theta"],
    }
    if config.num_key_value_heads != config.num_attention_heads:
        params["n_kv_heads"] = config.num_key_value_heads
    if config.rope_parameters["rope_type"] == "llama3":
        params["use_scaled_rope"] = True
    (folder / "params.json").write_text(json.dumps(params))
    for shard in range(shards):
        torch.save(
            dict(_meta_shard(model, shard, shards, embedding_by_channel)), folder / f"consolidated.{shard:02}.pth"
        )
    return folder


def _meta_shard(
    model: LlamaForCausalLM, shard: int, shards: int, embedding_by_channel: bool
) -> list[tuple[str, Tensor]]:
    config, weights = model.config, model.state_dict()

    def part(weight: Tensor, dim: int) -> Tensor:
        return weight.chunk(shards, dim)[shard].clone()

    def key_value_part(weight: Tensor) -> Tensor:
        heads = weight.view(config.num_key_value_heads, config.head_dim, -1)
        copies = max(1, shards // config.num_key_value_heads)
        return part(heads.repeat_interleave(copies, dim=0), 0).flatten(0, 1)

    named = [
        ("tok_embeddings.weight", part(weights["model.embed_tokens.weight"], 1 if embedding_by_channel else 0)),
        ("norm.weight", weights["model.norm.weight"].clone()),
        ("rope.freqs", torch.zeros(config.head_dim // 2)),
    ]
    if not config.tie_word_embeddings:
        named.append(("output.weight", part(weights["lm_head.weight"], 0)))
    for layer in range(config.num_hidden_layers):
        ours = f"layers.{layer}."
        theirs = {
            name.removeprefix(f"model.layers.{layer}.").removesuffix(".weight"): weight
            for name, weight in weights.items()
            if name.startswith(f"model.layers.{layer}.")
        }
        queries = _pairs_from_halves(theirs["self_attn.q_proj"], config.num_attention_heads)
        keys = _pairs_from_halves(theirs["self_attn.k_proj"], config.num_key_value_heads)
        named += [
            (f"{ours}attention_norm.weight", theirs["input_layernorm"].clone()),
            (f"{ours}ffn_norm.weight", theirs["post_attention_layernorm"].clone()),
            (f"{ours}attention.wq.weight", part(queries, 0)),
            (f"{ours}attention.wk.weight", key_value_part(keys)),
            (f"{ours}attention.wv.weight", key_value_part(theirs["self_attn.v_proj"])),
            (f"{ours}attention.wo.weight", part(theirs["self_attn.o_proj"], 1)),
            (f"{ours}feed_forward.w1.weight", part(theirs["mlp.gate_proj"], 0)),
            (f"{ours}feed_forward.w3.weight", part(theirs["mlp.up_proj"], 0)),
            (f"{ours}feed_forward.w2.weight", part(theirs["mlp.down_proj"], 1)),
        ]
    return named


def _pairs_from_halves(weight: Tensor, heads: int) -> Tensor:
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)
