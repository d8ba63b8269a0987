"""A small checkpoint with random weights, and providers that serve it through a real engine process."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hitchpost.plugin import ProviderDeps
from hitchpost_meta_reference.inference.config import MetaReferenceInferenceConfig
from hitchpost_meta_reference.inference.provider import MetaReferenceInference

CONTEXT = 512
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
SPECIAL_TOKENS = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
]


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in Hugging Face's format: random weights, and a tokenizer whose tokens are bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny-checkpoint")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": SPECIAL_TOKENS[0], "add_bos_token": True, "eos_token": "<|eot_id|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": CHAT_TEMPLATE}))
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=tokenizer.get_vocab_size(),
            max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.token_to_id("<|begin_of_text|>"),
            eos_token_id=tokenizer.token_to_id("<|end_of_text|>"),
            tie_word_embeddings=True,
            initializer_range=0.3,
        )
    )
    model.save_pretrained(folder)
    return folder


MakeProvider = Callable[..., MetaReferenceInference]


@pytest.fixture(scope="session")
def make_provider(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeProvider:
    """Makes a provider of the tiny checkpoint that isn't started; its arguments are fields of the config."""

    def make(**config: Any) -> MetaReferenceInference:
        fields = {"model": "tiny", "checkpoint_dir": tiny_checkpoint, "device": "cpu", **config}
        deps = ProviderDeps(
            provider_id="engine", state_dir=tmp_path_factory.getbasetemp() / "state", log=logging.getLogger("test")
        )
        return MetaReferenceInference(MetaReferenceInferenceConfig(**fields), deps)

    return make


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(make_provider: MakeProvider) -> AsyncIterator[MetaReferenceInference]:
    """A provider that serves the tiny checkpoint, shared by the tests of a module."""
    provider = make_provider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
def checkpoint_without_template(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint as a base model has it: without a chat template."""
    for file in tiny_checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path
