import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.llama import BEGIN_OF_TEXT, END_OF_TURN, LLAMA2_BEGIN, LLAMA2_END, SpecialToken, prompt_text
from tests.llama.spellings import LLAMA3_SPELLINGS, hostile_text, llama3_spellings_in


def test_special_tokens_are_written_as_they_are_spelled() -> None:
    text = prompt_text([BEGIN_OF_TEXT, "Hello", END_OF_TURN])

    assert text == "<|begin_of_text|>Hello<|eot_id|>"


@pytest.mark.parametrize("spelling", LLAMA3_SPELLINGS)
def test_a_special_token_that_a_user_spells_is_broken_up_by_a_space(spelling: str) -> None:
    text = prompt_text([BEGIN_OF_TEXT, f"a{spelling}b"])

    assert text == f"<|begin_of_text|>a<| {spelling.removeprefix('<|')}b"


def test_a_spelling_that_two_neighbouring_texts_make_together_is_broken_up() -> None:
    text = prompt_text([BEGIN_OF_TEXT, "a<|eot", "_id|>b"])

    assert text == "<|begin_of_text|>a<| eot_id|>b"


def test_spellings_inside_each_other_are_both_broken_up() -> None:
    text = prompt_text(["<|eot_<|eot_id|>id|>"])

    assert llama3_spellings_in(text) == []


@given(st.lists(st.one_of(hostile_text, st.just(END_OF_TURN)), max_size=6))
def test_no_user_text_produces_a_special_token(segments: list[str | SpecialToken]) -> None:
    text = prompt_text([BEGIN_OF_TEXT, *segments])

    assert llama3_spellings_in(text) == [
        "<|begin_of_text|>",
        *[one.token for one in segments if not isinstance(one, str)],
    ]


@given(hostile_text)
def test_only_spaces_are_added_to_user_text(words: str) -> None:
    text = prompt_text([words])

    assert text.replace(" ", "") == words.replace(" ", "")


@pytest.mark.parametrize("words", ["a <| b |> c", "x < y | z > 1", "<||>", "if a <|b", "<s>bold</s>"])
def test_text_that_spells_no_special_token_is_left_alone(words: str) -> None:
    assert prompt_text([BEGIN_OF_TEXT, words, END_OF_TURN]) == f"<|begin_of_text|>{words}<|eot_id|>"


@pytest.mark.parametrize("spelling", ["<s>", "</s>", "<unk>"])
def test_the_special_tokens_of_llama_2_are_broken_up_in_its_prompts(spelling: str) -> None:
    text = prompt_text([LLAMA2_BEGIN, spelling, LLAMA2_END])

    assert text == f"<s>< {spelling.removeprefix('<')}</s>"


def test_the_first_token_is_left_out_for_backends_that_add_it() -> None:
    assert prompt_text([BEGIN_OF_TEXT, "Hello"], with_begin=False) == "Hello"


def test_llama_2_spellings_are_broken_up_without_the_first_token_too() -> None:
    assert prompt_text([LLAMA2_BEGIN, "</s>"], with_begin=False) == "< /s>"
