"""Writes the checkpoint in Hugging Face's layout: weights, configuration, tokenizer and chat template."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM
from vocabulary import BEGIN, END, END_OF_MESSAGE, END_OF_TURN, PAD, VOCABULARY_SIZE

CHAT_TEMPLATE_FILE = Path(__file__).parent / "chat_template.jinja"
CONTEXT_TOKENS = 2048


def model_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return `config.json`: a Llama of two million parameters whose heads share key-value heads by three."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "max_position_embeddings": CONTEXT_TOKENS,
        "tie_word_embeddings": True,
        "use_cache": True,
        "torch_dtype": "bfloat16",
        **_token_ids(tokenizer),
    }


def new_model(tokenizer: Tokenizer, seed: int) -> LlamaForCausalLM:
    """Return the model with random float32 weights."""
    torch.manual_seed(seed)
    config = {name: value for name, value in model_config(tokenizer).items() if name != "torch_dtype"}
    return LlamaForCausalLM(LlamaConfig(**config)).float().train()


def write_checkpoint(folder: Path, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    """Write the checkpoint into `folder`, with the weights as bfloat16 and their SHA-256 in the file `SHA256`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embedding
    }
    content = save(weights, metadata={"format": "pt"})
    (folder / "model.safetensors").write_bytes(content)
    (folder / "SHA256").write_text(f"{hashlib.sha256(content).hexdigest()}  model.safetensors\n")
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "config.json", model_config(tokenizer))
    # Greedy, said in both ways: Hitchpost's engine reads the temperature, transformers the switch.
    _write_json(folder / "generation_config.json", {"do_sample": False, "temperature": 0.0, **_token_ids(tokenizer)})
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BEGIN,
            "eos_token": END_OF_TURN,
            "pad_token": PAD,
            "model_max_length": CONTEXT_TOKENS,
            "model_input_names": ["input_ids", "attention_mask"],
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE_FILE.read_text(),
        },
    )


def _token_ids(tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "bos_token_id": tokenizer.token_to_id(BEGIN),
        "eos_token_id": [tokenizer.token_to_id(token) for token in (END, END_OF_MESSAGE, END_OF_TURN)],
        "pad_token_id": tokenizer.token_to_id(PAD),
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
