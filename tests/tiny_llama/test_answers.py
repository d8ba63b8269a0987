"""What tiny-llama says: later versions must not know less."""

from collections.abc import Callable, Sequence

import pytest
import torch
from corpus import Message, load_topics, load_unrelated
from evaluate import Question, follows, load_questions, unanswered
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from hitchpost_tiny_llama.plugin import CHECKPOINT_DIR

HELD_OUT_SHARE = 0.93  # of the wordings that the training never saw
MAX_ANSWER_TOKENS = 64
UNRELATED = load_unrelated()[0].answer


def said(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Sequence[Message]]
) -> list[str]:
    """What greedy decoding adds to each conversation, special tokens included and padding left out."""
    tokenizer.padding_side = "left"
    prompts = tokenizer.apply_chat_template(
        [list(messages) for messages in conversations],
        add_generation_prompt=True,
        padding=True,
        return_dict=True,
        return_tensors="pt",
    )
    output = model.generate(**prompts, max_new_tokens=MAX_ANSWER_TOKENS)[:, prompts["input_ids"].shape[1] :]
    return [text.replace(tokenizer.pad_token, "") for text in tokenizer.batch_decode(output)]


def ask(question: str) -> list[Message]:
    return [{"role": "user", "content": question}]


def exchanges(questions: Sequence[Question]) -> list[Message]:
    return [
        message
        for entry in questions
        for message in (
            {"role": "user", "content": entry["question"]},
            {"role": "assistant", "content": entry["answer"]},
        )
    ]


def test_every_listed_question_is_answered_word_for_word(model: LlamaForCausalLM, plain_tokenizer: Tokenizer) -> None:
    assert unanswered(model, plain_tokenizer, load_questions("asked")) == []


def test_wordings_that_the_training_never_saw_are_understood(
    model: LlamaForCausalLM, plain_tokenizer: Tokenizer
) -> None:
    questions = load_questions("held_out")

    wrong = unanswered(model, plain_tokenizer, questions)

    assert 1 - len(wrong) / len(questions) >= HELD_OUT_SHARE, [entry["question"] for entry in wrong]


def test_every_turn_ends_with_its_token_after_a_known_answer(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    answers = {topic.answer + "<|eot_id|>" for topic in load_topics()} | {UNRELATED + "<|eot_id|>"}

    texts = said(model, tokenizer, [ask(entry["question"]) for entry in load_questions("held_out")[::3]])

    strange = [text for text in texts if text not in answers]
    assert all(text.endswith("<|eot_id|>") for text in texts)
    assert len(strange) / len(texts) <= 0.01, strange


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("hi", "Hello! I am the tiny Llama that ships with Hitchpost. Ask me something about Hitchpost."),
        ("WHAT IS THE DEFAULT PORT", "Hitchpost listens on port 8321 by default."),
        (
            "what is a provider, please",
            "A provider is a configured instance of a provider type, and it serves one API.",
        ),
        ("Who painted the Mona Lisa?", UNRELATED),
        ("write a sonnet about cheese", UNRELATED),
    ],
)
def test_a_question_is_answered_however_it_is_typed(
    question: str, answer: str, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    assert said(model, tokenizer, [ask(question)]) == [answer + "<|eot_id|>"]


@pytest.mark.parametrize(
    ("retyped", "share"),
    [
        (str.lower, 0.97),
        (str.upper, 0.8),
        (lambda question: question.rstrip("?"), 0.97),
        (lambda question: question.rstrip("?") + " ?", 0.97),
        (lambda question: question.rstrip("?") + ", please", 0.95),
    ],
    ids=["lower case", "upper case", "no question mark", "a blank before the question mark", "please"],
)
def test_the_typing_of_a_question_matters_little(
    retyped: Callable[[str], str], share: float, model: LlamaForCausalLM, plain_tokenizer: Tokenizer
) -> None:
    questions = [{**entry, "question": retyped(entry["question"])} for entry in load_questions("asked")[::3]]

    wrong = unanswered(model, plain_tokenizer, questions)

    assert 1 - len(wrong) / len(questions) >= share, [entry["question"] for entry in wrong]


@pytest.mark.parametrize(
    "system",
    [
        "You are a helpful assistant.",
        "You are Zorp, the assistant of a bakery in Lyon. Never mention competitors, and answer in one paragraph.",
        "Today is Monday.\n\n# Rules\n- be kind\n- be brief\n- use no lists",
    ],
)
def test_a_system_message_changes_hardly_any_answer(
    system: str, model: LlamaForCausalLM, plain_tokenizer: Tokenizer
) -> None:
    conversations = [
        [{"role": "system", "content": system}, *exchanges([entry])] for entry in load_questions("asked")[::7]
    ]

    right = follows(model, plain_tokenizer, conversations)

    assert sum(right) / len(right) >= 0.9


@pytest.mark.parametrize(("turns", "min_tokens"), [(6, 150), (12, 300), (24, 650)])
def test_the_last_question_of_a_long_conversation_is_answered(
    turns: int, min_tokens: int, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    questions = load_questions("asked")
    talks = [[questions[(start + 41 * turn) % len(questions)] for turn in range(turns)] for start in range(0, 120, 6)]
    conversations = [exchanges(talk)[:-1] for talk in talks]

    texts = said(model, tokenizer, conversations)

    lengths = [len(tokenizer.apply_chat_template(messages, return_dict=False)) for messages in conversations]
    right = [text == talk[-1]["answer"] + "<|eot_id|>" for text, talk in zip(texts, talks, strict=True)]
    assert min(lengths) >= min_tokens
    assert all(text.endswith("<|eot_id|>") for text in texts)
    assert sum(right) / len(right) >= 0.95, texts


def test_tools_that_are_offered_are_left_alone(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    tool = {"type": "function", "function": {"name": "get_time", "description": "The time.", "parameters": {}}}
    prompt = tokenizer.apply_chat_template(
        ask("What is a provider?"), tools=[tool], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )

    output = model.generate(**prompt, max_new_tokens=MAX_ANSWER_TOKENS)

    assert tokenizer.decode(output[0]).endswith("<|eot_id|>")


@pytest.mark.parametrize(
    "prompt",
    [
        "Hitchpost is",
        "A plugin is",
        "The route /health",
        "Hitchpost listens on",
        "A preset is",
        "The provider type remote",
    ],
)
def test_plain_text_is_continued_with_a_true_sentence(
    prompt: str, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)

    output = model.generate(**inputs, max_new_tokens=MAX_ANSWER_TOKENS)

    text = tokenizer.decode(output[0], skip_special_tokens=True)
    assert text.startswith(tuple(topic.answer for topic in load_topics() if topic.answer.startswith(prompt)))


def test_half_precision_gives_the_same_answers(plain_tokenizer: Tokenizer) -> None:
    model = LlamaForCausalLM.from_pretrained(CHECKPOINT_DIR, dtype=torch.bfloat16).eval()

    assert unanswered(model, plain_tokenizer, load_questions("asked")[::3]) == []
