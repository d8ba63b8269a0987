"""The way from the topic files to the weights: it can be gone again, and the evaluation is kept out of it."""

import itertools
import json
from collections import Counter

import pytest
from checkpoint import CHAT_TEMPLATE_FILE, new_model
from corpus import Corpus, load_topics, load_unrelated, plain
from evaluate import load_questions
from tokenizers import Tokenizer
from train import SEED, tokenizer_from_corpus, train

from hitchpost_tiny_llama.plugin import CHECKPOINT_DIR

FIRST_LOSSES = (
    *(7.6175, 7.5857, 7.5242, 7.4523, 7.3762, 7.3147, 7.2429, 7.1645, 7.1256, 7.0675),
    *(6.9968, 6.9269, 6.9057, 6.7303, 6.6866, 6.5951, 6.4064, 6.3934, 6.4049, 6.2287),
)
LOSS_TOLERANCE = 0.02


def test_the_first_20_steps_lose_what_they_lost_when_the_weights_were_trained(plain_tokenizer: Tokenizer) -> None:
    losses = list(train(new_model(plain_tokenizer, SEED), plain_tokenizer, steps=len(FIRST_LOSSES)))

    assert losses == pytest.approx(FIRST_LOSSES, abs=LOSS_TOLERANCE)


def test_the_corpus_gives_the_committed_tokenizer() -> None:
    committed = json.loads((CHECKPOINT_DIR / "tokenizer.json").read_text())

    assert json.loads(tokenizer_from_corpus().to_str()) == committed


def test_the_committed_template_is_that_of_the_training() -> None:
    config = json.loads((CHECKPOINT_DIR / "tokenizer_config.json").read_text())

    assert config["chat_template"] == CHAT_TEMPLATE_FILE.read_text()


def test_the_same_seed_gives_the_same_conversations() -> None:
    first, second = Corpus(1), Corpus(1)

    assert [first.conversation() for _ in range(50)] == [second.conversation() for _ in range(50)]


def test_no_wording_that_is_held_out_is_ever_in_the_corpus() -> None:
    corpus = Corpus(SEED)
    held_out = {plain(entry["question"]) for entry in load_questions("held_out")}

    conversations = itertools.chain.from_iterable(corpus.conversation() for _ in range(4000))
    asked = {plain(message["content"]) for message in conversations if message["role"] == "user"}

    assert len(asked) > 5000
    assert not asked & held_out


def test_the_listed_and_the_held_out_questions_differ() -> None:
    listed = [plain(entry["question"]) for entry in load_questions("asked") + load_questions("held_out")]

    assert not [wording for wording, count in Counter(listed).items() if count > 1]


@pytest.mark.parametrize("name", ["asked", "held_out"])
def test_every_answer_of_the_topic_files_is_asked_for(name: str) -> None:
    answers = {topic.answer for topic in load_topics()} | {load_unrelated()[0].answer}

    assert {entry["answer"] for entry in load_questions(name)} == answers


def test_every_topic_has_an_answer_of_its_own() -> None:
    answers = [topic.answer for topic in load_topics()]

    assert len(set(answers)) == len(answers)
