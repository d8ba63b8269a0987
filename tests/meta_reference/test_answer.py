"""Tokens of a request become its events, whatever the vocabulary does with spaces and special tokens."""

from dataclasses import dataclass, field

import pytest

from hitchpost.llama import SpecialToken
from hitchpost_meta_reference.engine.answer import Answer
from hitchpost_meta_reference.engine.protocol import Prompt, SegmentsPrompt, Submit, Text, TextPrompt
from hitchpost_meta_reference.engine.vocabulary import Vocabulary

WORDS = [b" Hello", b" there", b"Hi", b"<|python_tag|>"]
PYTHON_TAG = 3


@dataclass
class Token:
    token: int
    logprob: float = -1.0
    top: list[tuple[int, float]] = field(default_factory=list)


def vocabulary(*, has_space_prefix: bool = False) -> Vocabulary:
    return Vocabulary(lambda token: WORDS[token], {"<|python_tag|>": PYTHON_TAG}, has_space_prefix=has_space_prefix)


def texts(answer: Answer, *tokens: int) -> list[Text]:
    events = [event for token in tokens for event in answer.take(0, Token(token), None)]
    return [event for event in events if isinstance(event, Text)]


@pytest.mark.parametrize(
    ("prompt", "has_space_prefix", "text"),
    [
        pytest.param(SegmentsPrompt([SpecialToken("<s>"), "Hi"]), True, "Hello there", id="chat"),
        pytest.param(TextPrompt("Hi"), True, " Hello there", id="a text that goes on"),
        pytest.param(SegmentsPrompt(["Hi"]), False, " Hello there", id="a vocabulary without such spaces"),
    ],
)
def test_space_that_the_vocabulary_puts_before_a_first_word_is_not_part_of_an_answer(
    prompt: Prompt, has_space_prefix: bool, text: str
) -> None:
    answer = Answer(Submit(1, prompt), 1, vocabulary(has_space_prefix=has_space_prefix))

    assert "".join(event.text for event in texts(answer, 0, 1)) == text


def test_log_probability_keeps_the_exact_bytes_of_a_token_whose_space_is_dropped() -> None:
    answer = Answer(Submit(1, SegmentsPrompt(["Hi"]), top_logprobs=0), 1, vocabulary(has_space_prefix=True))

    [event] = texts(answer, 0)

    assert event.text == "Hello"
    assert event.logprobs is not None
    assert event.logprobs[0].bytes == list(b" Hello")


def test_special_token_has_a_log_probability_under_its_name_but_no_text() -> None:
    answer = Answer(Submit(1, TextPrompt("Hi"), top_logprobs=0), 1, vocabulary())

    [event] = texts(answer, PYTHON_TAG)

    assert event.text == ""
    assert event.logprobs is not None
    assert event.logprobs[0].token == "<|python_tag|>"


def test_special_token_that_is_to_be_seen_is_text() -> None:
    answer = Answer(Submit(1, TextPrompt("Hi"), visible_tokens=["<|python_tag|>", "<|unknown|>"]), 1, vocabulary())

    assert [event.text for event in texts(answer, PYTHON_TAG, 2)] == ["<|python_tag|>", "Hi"]
