"""How the checkpoint's template lays out a conversation."""

import random
from typing import Any

import pytest
from corpus import Corpus
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase
from vocabulary import Encoder

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}


def laid_out(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]], **options: Any) -> str:
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    assert isinstance(text, str)
    return text


def test_a_conversation_is_laid_out_as_llama_3_does(tokenizer: PreTrainedTokenizerBase) -> None:
    messages = [
        {"role": "system", "content": " Be brief. "},
        {"role": "user", "content": "Hi\n"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Bye"},
    ]

    assert laid_out(tokenizer, messages, add_generation_prompt=True) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_no_system_message_is_made_up(tokenizer: PreTrainedTokenizerBase) -> None:
    assert "system" not in laid_out(tokenizer, [{"role": "user", "content": "Hi"}])


def test_tools_stand_before_the_system_text(tokenizer: PreTrainedTokenizerBase) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]

    text = laid_out(tokenizer, messages, tools=[TOOL])

    system = text.split("<|eot_id|>")[0]
    assert system.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\n")
    assert '"name": "weather"' in system
    assert system.endswith("\nBe brief.")


@pytest.mark.parametrize("arguments", [{"city": "Rome"}, '{"city": "Rome"}'])
@pytest.mark.parametrize("content", ["", None])
def test_a_tool_call_ends_a_message_and_not_the_turn(
    content: str | None, arguments: Any, tokenizer: PreTrainedTokenizerBase
) -> None:
    call = {"function": {"name": "weather", "arguments": arguments}}

    text = laid_out(tokenizer, [{"role": "assistant", "content": content, "tool_calls": [call]}])

    expected = '<|python_tag|>{"type": "function", "name": "weather", "parameters": {"city": "Rome"}}<|eom_id|>'
    assert text.split("\n\n")[1] == expected


@pytest.mark.parametrize("role", ["tool", "ipython"])
def test_a_tool_result_has_the_role_ipython(role: str, tokenizer: PreTrainedTokenizerBase) -> None:
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": role, "content": "sunny", "tool_call_id": "call-1"},
    ]

    assert laid_out(tokenizer, messages).endswith("<|start_header_id|>ipython<|end_header_id|>\n\nsunny<|eot_id|>")


def test_text_parts_are_joined_by_newlines(tokenizer: PreTrainedTokenizerBase) -> None:
    parts = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Bye"}]

    assert "\n\nHi\nBye<|eot_id|>" in laid_out(tokenizer, [{"role": "user", "content": parts}])


@pytest.mark.parametrize("seed", range(8))
def test_the_training_sees_conversations_as_the_template_lays_them_out(
    seed: int, tokenizer: PreTrainedTokenizerBase, plain_tokenizer: Tokenizer
) -> None:
    messages = Corpus(seed).conversation()

    ids, _ = Encoder(plain_tokenizer).conversation(messages)

    assert ids == tokenizer.apply_chat_template(messages, return_dict=False)


def test_the_noise_of_the_training_leaves_answers_and_frame_alone(plain_tokenizer: Tokenizer) -> None:
    messages = Corpus(3).conversation()
    noise = random.Random(3)

    clean_ids, clean_labels = Encoder(plain_tokenizer).conversation(messages)
    ids, labels = Encoder(plain_tokenizer, noise=noise).conversation(messages)

    assert labels == clean_labels
    assert [a for a, label in zip(ids, labels, strict=True) if label >= 0] == [
        a for a, label in zip(clean_ids, labels, strict=True) if label >= 0
    ]
