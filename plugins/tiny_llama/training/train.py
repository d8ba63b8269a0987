"""Trains tiny-llama from nothing: `python train.py --output FOLDER` writes the checkpoint, the same one each time."""

import argparse
import itertools
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from checkpoint import new_model, write_checkpoint
from corpus import Corpus
from evaluate import report
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM
from vocabulary import IGNORED, Encoder, learn_tokenizer

SEED = 8321
STEPS = 5500
WARMUP_STEPS = 100
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.05
BATCH_TOKENS = 2048
LONGEST_ROW_TOKENS = 1024
POOL_BATCHES = 64  # rows are drawn ahead for so many batches and sorted by length, so that little is padded
PLAIN_TEXT_SHARE = 0.1

Row = tuple[list[int], list[int]]
Batch = tuple[torch.Tensor, torch.Tensor]


def tokenizer_from_corpus() -> Tokenizer:
    """Return the tokenizer that belongs to the seed."""
    return learn_tokenizer(Corpus(SEED).tokenizer_text())


def train(model: LlamaForCausalLM, tokenizer: Tokenizer, steps: int = STEPS) -> Iterator[float]:
    """Train the model in place for the first `steps` of all steps, and yield each step's loss (mean over labels)."""
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY)
    for step, (ids, labels) in enumerate(itertools.islice(_batches(tokenizer), steps)):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step)
        is_label = labels != IGNORED
        hidden = model.model(ids, use_cache=False).last_hidden_state  # the head only sees the places that count
        loss = cross_entropy(model.lm_head(hidden[is_label]), labels[is_label])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def _learning_rate(step: int) -> float:
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    return LEARNING_RATE * warmup * 0.5 * (1 + math.cos(math.pi * step / STEPS))


def _batches(tokenizer: Tokenizer) -> Iterator[Batch]:
    order = random.Random(SEED)  # noqa: S311, it keeps no secrets
    rows = _rows(tokenizer)
    while True:
        pool: list[Row] = []
        while sum(len(ids) for ids, _ in pool) < POOL_BATCHES * BATCH_TOKENS:
            pool.extend(itertools.islice(rows, 64))
        pool.sort(key=lambda row: len(row[0]))
        batches = list(_cut(pool))
        order.shuffle(batches)
        yield from map(_padded, batches)


def _rows(tokenizer: Tokenizer) -> Iterator[Row]:
    corpus = Corpus(SEED)
    rng = random.Random(SEED)  # noqa: S311, it keeps no secrets
    encoder = Encoder(tokenizer, noise=rng)
    while True:
        is_plain = rng.random() < PLAIN_TEXT_SHARE
        row = encoder.plain_text(corpus.plain_text()) if is_plain else encoder.conversation(corpus.conversation())
        ids, labels = (part[:LONGEST_ROW_TOKENS] for part in row)
        yield ids, labels


def _cut(rows: list[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:  # sorted: the newest row is the longest
        if (len(batch) + 1) * len(row[0]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def _padded(rows: list[Row]) -> Batch:
    """Return ids and the labels that follow them, filled up at the right, where a causal model never looks back from."""
    width = max(len(ids) for ids, _ in rows) - 1
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED)
    for index, (row_ids, row_labels) in enumerate(rows):
        ids[index, : len(row_ids) - 1] = torch.tensor(row_ids[:-1])
        labels[index, : len(row_labels) - 1] = torch.tensor(row_labels[1:])
    return ids, labels


def main() -> None:
    """Train, write the checkpoint and print what it answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the folder that the checkpoint is written into")
    output = parser.parse_args().output
    started_at = time.monotonic()
    tokenizer = tokenizer_from_corpus()
    model = new_model(tokenizer, SEED)
    for step, loss in enumerate(train(model, tokenizer), start=1):
        if step % 50 == 0 or step <= 20:
            sys.stdout.write(f"step {step} of {STEPS}, loss {loss:.4f}, {time.monotonic() - started_at:.0f} s\n")
            sys.stdout.flush()
    write_checkpoint(output, model.eval(), tokenizer)
    sys.stdout.write(
        f"{sum(p.numel() for p in model.parameters())} parameters, {time.process_time():.0f} CPU-seconds\n"
    )
    report(output)


if __name__ == "__main__":
    main()
