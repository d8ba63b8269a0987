"""The committed files: what they are, how big, and that nobody changed the weights unseen."""

import hashlib
import json

import pytest
import torch
from safetensors import safe_open
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from hitchpost_tiny_llama.plugin import CHECKPOINT_DIR

MAX_CHECKPOINT_BYTES = 10_000_000
SPECIAL_TOKENS = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
]


def test_the_weights_are_those_that_the_hash_was_made_of() -> None:
    digest, name = (CHECKPOINT_DIR / "SHA256").read_text().split()

    assert hashlib.sha256((CHECKPOINT_DIR / name).read_bytes()).hexdigest() == digest


def test_the_checkpoint_takes_at_most_ten_megabytes() -> None:
    assert sum(path.stat().st_size for path in CHECKPOINT_DIR.iterdir()) <= MAX_CHECKPOINT_BYTES


def test_all_weights_are_bfloat16() -> None:
    with safe_open(CHECKPOINT_DIR / "model.safetensors", "pt") as weights:
        dtypes = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118, it is no mapping

    assert dtypes == {"BF16"}


def test_it_is_a_llama_with_shared_key_value_heads_and_a_tied_head(model: LlamaForCausalLM) -> None:
    config = json.loads((CHECKPOINT_DIR / "config.json").read_text())

    assert (config["model_type"], config["architectures"]) == ("llama", ["LlamaForCausalLM"])
    assert config["num_key_value_heads"] < config["num_attention_heads"]
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_transformers_loads_it_with_its_own_dtype() -> None:
    assert LlamaForCausalLM.from_pretrained(CHECKPOINT_DIR).dtype == torch.bfloat16


def test_greedy_is_the_default_and_a_turn_ends_at_any_of_the_three_end_tokens(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    ends = tokenizer.convert_tokens_to_ids(["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"])

    assert model.generation_config.do_sample is False
    assert model.generation_config.eos_token_id == ends
    assert model.config.eos_token_id == ends


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_the_special_tokens_are_those_of_llama_3(token: str, tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenizer(token, add_special_tokens=False).input_ids

    assert len(ids) == 1
    assert tokenizer.decode(ids) == token
    assert tokenizer.decode(ids, skip_special_tokens=True) == ""


def test_plain_text_begins_with_the_begin_token(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer("Hitchpost").input_ids[0] == tokenizer.bos_token_id


@pytest.mark.parametrize("text", ["héllo wörld", "a  b\n\n\tc ", "日本語 🦙", "x" * 300, "1234567", "'s 'LL"])
def test_any_text_survives_the_tokenizer(text: str, tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text
