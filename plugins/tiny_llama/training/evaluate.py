"""Measures what a checkpoint answers: `python evaluate.py FOLDER`, or through the functions."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import torch
from corpus import QUESTIONS_FILE, Message
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from vocabulary import IGNORED, Encoder


class Question(TypedDict):
    """A question and the answer that the model must give word for word."""

    question: str
    answer: str


def load_questions(name: str) -> list[Question]:
    """Return the questions `asked` (the model must know them) or `held_out` (wordings kept out of the training)."""
    questions: list[Question] = json.loads(QUESTIONS_FILE.read_text())[name]
    return questions


@torch.inference_mode()
def follows(model: LlamaForCausalLM, tokenizer: Tokenizer, conversations: Sequence[Sequence[Message]]) -> list[bool]:
    """Tell for each conversation whether greedy decoding says each of its assistant messages and ends the turn there.

    One forward pass shows it: decoding takes the likeliest token at each place, so it says exactly the given answer when
    every token of the answer, the end of the turn included, is the likeliest one after all that stands before it.
    """
    encoder = Encoder(tokenizer)
    result = []
    for messages in conversations:
        ids, labels = (torch.tensor(row) for row in encoder.conversation(messages))
        likeliest = model(ids[None, :-1]).logits[0].argmax(-1)
        is_answer = labels[1:] != IGNORED
        result.append(bool((likeliest[is_answer] == labels[1:][is_answer]).all()))
    return result


def unanswered(model: LlamaForCausalLM, tokenizer: Tokenizer, questions: Sequence[Question]) -> list[Question]:
    """Return the questions that the model doesn't answer word for word."""
    conversations = [
        [{"role": "user", "content": entry["question"]}, {"role": "assistant", "content": entry["answer"]}]
        for entry in questions
    ]
    answered = follows(model, tokenizer, conversations)
    return [entry for entry, is_right in zip(questions, answered, strict=True) if not is_right]


def report(folder: Path) -> None:
    """Print what share of the questions the checkpoint in `folder` answers, and those that it doesn't."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for dtype in (torch.float32, torch.bfloat16):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        for name in ("asked", "held_out"):
            questions = load_questions(name)
            wrong = unanswered(model, tokenizer, questions)
            sys.stdout.write(
                f"{dtype} {name}: {len(questions) - len(wrong)} of {len(questions)} answered word for word\n"
            )
            sys.stdout.writelines(f"  not answered: {entry['question']}\n" for entry in wrong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the checkpoint's folder")
    report(parser.parse_args().folder)
