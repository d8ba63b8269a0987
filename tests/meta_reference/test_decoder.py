"""The decoder computes what transformers computes, in whichever pieces and company a sequence comes."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from hitchpost_meta_reference.engine.cache import SlotCache
from hitchpost_meta_reference.engine.checkpoint import load_decoder
from hitchpost_meta_reference.engine.decoder_config import RopeScaling
from hitchpost_meta_reference.engine.model import Decoder, Span, rescale_rotary_frequencies
from hitchpost_meta_reference.engine.runner import Runner
from hitchpost_meta_reference.engine.sampling import SamplingState
from hitchpost_meta_reference.engine.sampling_options import SamplingOptions
from hitchpost_meta_reference.engine.scheduler import FixedSlots, Scheduler, Sequence, StepBudget
from tests.meta_reference.checkpoints import (
    LLAMA3_ROPE,
    SHAPES,
    reference_model,
    write_hugging_face,
    write_meta,
    write_old_config,
)

MAX_DIFFERENCE = 1e-4
MAX_SEQ_LEN = 256
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shape:
    """A kind of checkpoint: how its model is shaped and how it is written."""

    changes: dict[str, Any] = field(default_factory=dict)
    write: Callable[[Path, LlamaForCausalLM], object] = write_hugging_face


def sharded(folder: Path, model: LlamaForCausalLM) -> None:
    write_hugging_face(folder, model, max_shard_size="50KB")
    assert len(list(folder.glob("*.safetensors"))) > 3


def in_the_old_style(folder: Path, model: LlamaForCausalLM) -> None:
    write_hugging_face(folder, model)
    scaling = {key: value for key, value in LLAMA3_ROPE.items() if key != "rope_theta"}
    write_old_config(folder, scaling, LLAMA3_ROPE["rope_theta"])  # type: ignore[arg-type]


def meta(shards: int, **settings: Any) -> Callable[[Path, LlamaForCausalLM], object]:
    return lambda folder, model: write_meta(folder, model, shards=shards, **settings)


META_LLAMA3 = {
    "rms_norm_eps": 1e-5,
    "rope_parameters": LLAMA3_ROPE | {"factor": 32.0, "original_max_position_embeddings": 8192},
}
META_LLAMA2 = {"num_key_value_heads": 4, "rms_norm_eps": 1e-5}

CASES = {
    **{name: Shape(changes) for name, changes in SHAPES.items()},
    "llama3-rope-scaling-as-transformers-4-wrote-it": Shape({"rope_parameters": LLAMA3_ROPE}, in_the_old_style),
    "tied-embeddings-and-rope-scaling": Shape({"tie_word_embeddings": True, "rope_parameters": LLAMA3_ROPE}),
    "several-safetensors-files": Shape({"tie_word_embeddings": True}, sharded),
    "meta-llama2-one-file": Shape(META_LLAMA2, meta(1)),
    "meta-llama2-two-files": Shape(META_LLAMA2, meta(2, embedding_axis=1, vocab_size=-1)),
    "meta-llama3-one-file": Shape(META_LLAMA3, meta(1, use_scaled_rope=True)),
    "meta-llama3-two-files": Shape(META_LLAMA3, meta(2, use_scaled_rope=True)),
    "meta-llama3-four-files-that-repeat-key-value-heads": Shape(META_LLAMA3, meta(4, use_scaled_rope=True)),
    "meta-llama3-tied": Shape(META_LLAMA3 | {"tie_word_embeddings": True}, meta(1, use_scaled_rope=True)),
}


@dataclass(frozen=True)
class Pair:
    """Our decoder and the model whose checkpoint it was loaded from."""

    decoder: Decoder
    reference: LlamaForCausalLM

    def prompt(self, length: int, seed: int = 1) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, self.decoder.config.vocab_size, (length,), generator=generator).tolist()

    @torch.inference_mode()
    def reference_logits(self, tokens: list[int]) -> Tensor:
        return self.reference(torch.tensor([tokens])).logits[0]

    def cache(self, slots: int = 1) -> SlotCache:
        return SlotCache(self.decoder.config, slots, MAX_SEQ_LEN, self.decoder.embedding.dtype, CPU)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # Threads make matrices this small slower, by far where other tests keep the cores busy.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A decoder and its reference, in float32."""
    shape = CASES[request.param]
    folder = tmp_path_factory.mktemp("checkpoint")
    reference = reference_model(**shape.changes)
    shape.write(folder, reference)
    decoder = load_decoder(folder, torch.float32, CPU)
    decoder.prepare(MAX_SEQ_LEN)
    return Pair(decoder, reference)


def compute(decoder: Decoder, cache: SlotCache, tokens: list[int], lengths: list[int], slot: int = 0) -> Tensor:
    """Logits of all tokens, computed in steps of so many."""
    results, start = [], 0
    for length in lengths:
        part = torch.tensor(tokens[start : start + length])
        results.append(decoder(part, [Span(slot, start, length)], cache, torch.arange(length)))
        start += length
    assert start == len(tokens)
    return torch.cat(results)


@pytest.mark.parametrize(
    "lengths",
    [
        pytest.param([120], id="at once"),
        pytest.param([50, 1, 7, 62], id="in chunks"),
        pytest.param([*[1] * 20, 70, *[1] * 30], id="token by token"),
    ],
)
def test_logits_equal_those_of_transformers(pair: Pair, lengths: list[int]) -> None:
    tokens = pair.prompt(120)

    logits = compute(pair.decoder, pair.cache(), tokens, lengths)

    assert logits.dtype is torch.float32
    torch.testing.assert_close(logits, pair.reference_logits(tokens), rtol=0, atol=MAX_DIFFERENCE)


class Recorder:
    """Passes calls on to a decoder and keeps the logits."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.norm = decoder.norm
        self.logits = torch.empty(0)

    def __call__(self, *arguments: Any) -> Tensor:
        self.logits = self._decoder(*arguments)
        return self.logits


@dataclass
class Outcome:
    """What became of the sequences: by id, all tokens and the logits from which each new one was chosen."""

    tokens: dict[int, list[int]] = field(default_factory=dict)
    logits: dict[int, list[Tensor]] = field(default_factory=dict)


def serve(
    pair: Pair, sequences: list[Sequence], arrivals: list[int], slots: int, budget: StepBudget, cancelled_at: int = -1
) -> Outcome:
    """Runs the sequences, each submitted before the step that `arrivals` says; one that runs may be cancelled on the way."""
    recorder = Recorder(pair.decoder)
    runner = Runner(recorder, pair.cache(slots))  # type: ignore[arg-type]
    scheduler = Scheduler(FixedSlots(slots), budget)
    outcome = Outcome({s.sequence_id: list(s.prompt) for s in sequences}, {s.sequence_id: [] for s in sequences})
    step = 0
    while step <= max(arrivals) or scheduler.waiting or scheduler.running:
        for sequence, arrival in zip(sequences, arrivals, strict=True):
            if arrival == step:
                scheduler.submit(sequence)
        rows = scheduler.plan()
        sampled = runner.step(rows) if rows else []
        logits = iter(recorder.logits)
        for row in rows:
            if row.samples:
                outcome.logits[row.sequence.sequence_id].append(next(logits).clone())
        advances, freed = scheduler.complete(rows, [one.token for one in sampled if one is not None])
        for advance in advances:
            outcome.tokens[advance.sequence.sequence_id].append(advance.token)
        if step == cancelled_at and rows:
            freed += scheduler.cancel([rows[0].sequence.sequence_id])
        for slot in freed:
            runner.forget(slot)
        step += 1
    return outcome


@pytest.mark.parametrize(
    "slots",
    [
        pytest.param([0, 1, 2, 3], id="neighbours"),
        pytest.param([0, 1, 3, 4, 5, 6], id="one hole"),
        pytest.param([1, 2, 3, 5, 7, 8], id="two holes"),
        pytest.param([0, 2, 4, 6, 8], id="holes everywhere"),
        pytest.param([8], id="alone"),
    ],
)
def test_logits_of_sequences_that_decode_in_any_slots_equal_those_of_transformers(pair: Pair, slots: list[int]) -> None:
    cache = pair.cache(9)
    prompts = [pair.prompt(5 + 7 * slot, seed=slot) for slot in slots]
    for slot, prompt in zip(slots, prompts, strict=True):
        compute(pair.decoder, cache, prompt[:-1], [len(prompt) - 1], slot)

    spans = [Span(slot, len(prompt) - 1, 1) for slot, prompt in zip(slots, prompts, strict=True)]
    newest = torch.tensor([prompt[-1] for prompt in prompts])
    logits = pair.decoder(newest, spans, cache, torch.arange(len(slots)))

    expected = torch.stack([pair.reference_logits(prompt)[-1] for prompt in prompts])
    torch.testing.assert_close(logits, expected, rtol=0, atol=MAX_DIFFERENCE)


def greedy(sequence_id: int, prompt: list[int], new_tokens: int) -> Sequence:
    return Sequence(
        sequence_id, tuple(prompt), new_tokens, payload=SamplingState(SamplingOptions(temperature=0.0), prompt)
    )


def test_greedy_continuation_over_64_tokens_equals_that_of_transformers(pair: Pair) -> None:
    prompt = pair.prompt(40)

    outcome = serve(pair, [greedy(1, prompt, 64)], [0], slots=1, budget=StepBudget(32, 32))

    generated = pair.reference.generate(
        torch.tensor([prompt]), max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    assert outcome.tokens[1] == generated[0].tolist()


@pytest.mark.parametrize("seed", range(2))
def test_logits_in_a_batch_with_random_arrivals_equal_those_alone(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    sequences = [
        greedy(key, pair.prompt(chance.randint(1, 90), seed=100 * seed + key), chance.randint(1, 20))
        for key in range(1, 11)
    ]
    arrivals = [chance.randint(0, 25) for _ in sequences]
    budget = StepBudget(beside_decoding=chance.randint(6, 30), alone=chance.randint(8, 60))

    outcome = serve(pair, sequences, arrivals, slots=5, budget=budget, cancelled_at=chance.randint(2, 12))

    expected, actual = [], []
    for sequence in sequences:
        key, start = sequence.sequence_id, len(sequence.prompt) - 1
        reference = pair.reference_logits(outcome.tokens[key])
        actual += outcome.logits[key]
        expected += list(reference[start : start + len(outcome.logits[key])])
    torch.testing.assert_close(torch.stack(actual), torch.stack(expected), rtol=0, atol=MAX_DIFFERENCE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_agrees_with_float32_but_for_rounding(tmp_path: Path, dtype: torch.dtype) -> None:
    reference = reference_model(rope_parameters=LLAMA3_ROPE).to(dtype).float()
    pair = Pair(load_decoder(write_hugging_face(tmp_path, reference), dtype, CPU), reference)
    pair.decoder.prepare(MAX_SEQ_LEN)
    tokens = pair.prompt(200)

    logits = compute(pair.decoder, pair.cache(), tokens, [150, *[1] * 50])

    expected = pair.reference_logits(tokens)
    assert logits.dtype is torch.float32
    assert logits.isfinite().all()
    assert (logits.argmax(-1) == expected.argmax(-1)).float().mean() > 0.9
    assert (logits - expected).abs().mean() < 0.02 * expected.std()


def test_what_an_earlier_sequence_left_in_a_slot_changes_nothing(tmp_path: Path) -> None:
    reference = reference_model()
    pair = Pair(load_decoder(write_hugging_face(tmp_path, reference), torch.float32, CPU), reference)
    pair.decoder.prepare(MAX_SEQ_LEN)
    first = greedy(1, pair.prompt(100, seed=1), 30)
    second = greedy(2, pair.prompt(20, seed=2), 30)
    companion = greedy(3, pair.prompt(120, seed=3), 90)

    outcome = serve(pair, [first, companion, second], [0, 0, 1], slots=2, budget=StepBudget(16, 64))

    alone = serve(pair, [greedy(2, pair.prompt(20, seed=2), 30)], [0], slots=1, budget=StepBudget(16, 64))
    torch.testing.assert_close(torch.stack(outcome.logits[2]), torch.stack(alone.logits[2]), rtol=0, atol=1e-5)


def test_rotary_frequencies_of_llama_3_equal_those_of_transformers() -> None:
    config = LlamaConfig(
        head_dim=128, rope_parameters=LLAMA3_ROPE | {"factor": 32.0, "original_max_position_embeddings": 8192}
    )
    scaling = RopeScaling("llama3", 32.0, 1.0, 4.0, 8192)
    plain = 1.0 / (500_000.0 ** (torch.arange(0, 128, 2).float() / 128))

    frequencies = rescale_rotary_frequencies(plain, scaling)

    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, CPU)
    torch.testing.assert_close(frequencies, expected, rtol=1e-6, atol=0)


def test_tied_output_shares_the_memory_of_the_embedding(tmp_path: Path) -> None:
    folder = write_hugging_face(tmp_path, reference_model(tie_word_embeddings=True))

    decoder = load_decoder(folder, None, CPU)

    assert decoder.output.data_ptr() == decoder.embedding.data_ptr()


def test_weights_keep_the_precision_that_they_were_saved_in_unless_told_otherwise(tmp_path: Path) -> None:
    write_hugging_face(tmp_path, reference_model().bfloat16())

    decoder = load_decoder(tmp_path, None, CPU)

    assert decoder.blocks[0].qkv.dtype is torch.bfloat16


def test_step_before_the_rotary_tables_are_made_says_what_is_missing(tmp_path: Path) -> None:
    decoder = load_decoder(write_hugging_face(tmp_path, reference_model()), None, CPU)
    cache = SlotCache(decoder.config, 1, MAX_SEQ_LEN, torch.float32, CPU)

    with pytest.raises(RuntimeError, match="prepare"):
        decoder(torch.tensor([1]), [Span(0, 0, 1)], cache, torch.tensor([0]))
