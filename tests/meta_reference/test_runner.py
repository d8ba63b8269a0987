"""Steps of the runner under the real scheduler: whatever shares a step, each sequence gets the tokens that it would get alone."""

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hitchpost_meta_reference.engine.cache import SlotCache
from hitchpost_meta_reference.engine.checkpoint import load_decoder
from hitchpost_meta_reference.engine.model import Decoder
from hitchpost_meta_reference.engine.runner import Runner
from hitchpost_meta_reference.engine.sampling import SamplingState
from hitchpost_meta_reference.engine.sampling_options import SamplingOptions
from hitchpost_meta_reference.engine.scheduler import FixedSlots, Row, Scheduler, Sequence, StepBudget
from tests.meta_reference.checkpoints import reference_model, write_hugging_face

CONTEXT = 128
VOCABULARY = 300


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Such small matrices are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    folder = write_hugging_face(tmp_path_factory.mktemp("runner"), reference_model(vocab_size=VOCABULARY))
    decoder = load_decoder(folder, torch.float32, torch.device("cpu"))
    decoder.prepare(CONTEXT)
    return decoder


def new_runner(decoder: Decoder, slots: int) -> Runner:
    return Runner(decoder, SlotCache(decoder.config, slots, CONTEXT, torch.float32, torch.device("cpu")))


def sequence_of(sequence_id: int, prompt: list[int], tokens: int, **options: Any) -> Sequence:
    state = SamplingState(SamplingOptions(**options), prompt)
    return Sequence(sequence_id, tuple(prompt), tokens, payload=state)


def answers(
    runner: Runner, sequences: list[Sequence], *, slots: int, budget: StepBudget, chance: random.Random | None = None
) -> dict[int, list[int]]:
    """Runs sequences to their ends; with `chance` they arrive at random times."""
    scheduler = Scheduler(FixedSlots(slots), budget)
    waiting = list(sequences)
    found: dict[int, list[int]] = defaultdict(list)
    while waiting or scheduler.running or scheduler.waiting:
        while waiting and (chance is None or not scheduler.running or chance.random() < 0.3):
            scheduler.submit(waiting.pop(0))
        rows = scheduler.plan()
        sampled = runner.step(rows)
        advances, freed = scheduler.complete(rows, [one.token for one in sampled if one is not None])
        for advance in advances:
            found[advance.sequence.sequence_id].append(advance.token)
        for slot in freed:
            runner.forget(slot)
    return found


OPTIONS: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 1.0, "seed": 1},
    {"temperature": 0.8, "top_p": 0.9, "seed": 2},
    {"temperature": 1.2, "top_k": 10, "seed": 3, "presence_penalty": 0.5},
    {"temperature": 0.0, "repetition_penalty": 1.2},
    {"temperature": 1.0, "seed": 4, "logit_bias": {7: 2.0}, "top_logprobs": 3},
]


@pytest.mark.parametrize("seed", range(3))
def test_answers_in_a_busy_batch_are_those_of_the_sequence_alone(decoder: Decoder, seed: int) -> None:
    chance = random.Random(seed)
    wishes = [
        ([chance.randrange(VOCABULARY) for _ in range(chance.randint(1, 60))], chance.randint(1, 40), options)
        for options in OPTIONS * 2
    ]

    def fresh() -> list[Sequence]:
        return [sequence_of(i, prompt, tokens, **options) for i, (prompt, tokens, options) in enumerate(wishes)]

    together = answers(
        new_runner(decoder, 4), fresh(), slots=4, budget=StepBudget(beside_decoding=12, alone=24), chance=chance
    )
    alone: dict[int, list[int]] = {}
    for sequence in fresh():
        alone |= answers(new_runner(decoder, 1), [sequence], slots=1, budget=StepBudget(512, 512))

    assert together == alone


def test_step_that_samples_nothing_returns_nothing(decoder: Decoder) -> None:
    sequence = sequence_of(0, list(range(20)), 4)
    sequence.slot = 0

    assert new_runner(decoder, 1).step([Row(sequence, tuple(range(10)), 0, samples=False)]) == []


def test_results_come_in_the_order_of_the_rows(decoder: Decoder) -> None:
    runner = new_runner(decoder, 3)
    prompts = [[5] * 12, [9], [2] * 7]
    rows = []
    for slot, prompt in zip((2, 0, 1), prompts, strict=True):
        sequence = sequence_of(slot, prompt, 4, temperature=0.0)
        sequence.slot = slot
        rows.append(Row(sequence, tuple(prompt), 0, samples=True))

    sampled = runner.step(rows)

    alone = [
        answers(new_runner(decoder, 1), [sequence_of(0, p, 1, temperature=0.0)], slots=1, budget=StepBudget(99, 99))[0]
        for p in prompts
    ]
    assert [[one.token] for one in sampled if one] == alone


def test_numbers_that_are_none_do_not_outlive_their_sequence(decoder: Decoder) -> None:
    cache = SlotCache(decoder.config, 2, CONTEXT, torch.float32, torch.device("cpu"))
    runner = Runner(decoder, cache)
    spoilt = sequence_of(0, [1] * 50, 2)
    spoilt.slot = 0
    runner.step([Row(spoilt, tuple(spoilt.prompt), 0, samples=True)])
    cache.keys[:, 0, :, :50] = cache.values[:, 0, :, :50] = torch.nan

    runner.forget(0)

    sequences = [sequence_of(1, [3] * 5, 8, temperature=0.0), sequence_of(2, [4] * 40, 8, temperature=0.0)]
    found = answers(runner, sequences, slots=2, budget=StepBudget(99, 99))
    expected = answers(
        new_runner(decoder, 2),
        [sequence_of(1, [3] * 5, 8, temperature=0.0), sequence_of(2, [4] * 40, 8, temperature=0.0)],
        slots=2,
        budget=StepBudget(99, 99),
    )
    assert found == expected


@pytest.fixture(scope="module")
def poisoned_decoder(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    """A decoder that computes no numbers where a prompt has the token 7."""
    model = reference_model(vocab_size=VOCABULARY)
    with torch.no_grad():
        model.model.embed_tokens.weight[7, 0] = torch.inf
    folder = write_hugging_face(tmp_path_factory.mktemp("poisoned"), model)
    decoder = load_decoder(folder, torch.float32, torch.device("cpu"))
    decoder.prepare(CONTEXT)
    return decoder


def prompt_rows(*prompts: list[int]) -> list[Row]:
    """The rows of whole prompts, each in a slot of its own."""
    rows = []
    for slot, prompt in enumerate(prompts):
        sequence = sequence_of(slot, prompt, 4, temperature=0.0)
        sequence.slot = slot
        rows.append(Row(sequence, tuple(prompt), 0, samples=True))
    return rows


@pytest.mark.parametrize(
    "prompts",
    [
        pytest.param(([1, 2, 3], [5, 7, 6], [4]), id="prompts"),
        pytest.param(([1], [7], [4]), id="single tokens, computed together"),
        pytest.param(([7],), id="nobody else"),
    ],
)
def test_row_whose_logits_are_no_numbers_gets_no_token_and_the_others_get_theirs(
    prompts: tuple[list[int], ...], poisoned_decoder: Decoder
) -> None:
    sampled = new_runner(poisoned_decoder, 3).step(prompt_rows(*prompts))

    alone = [new_runner(poisoned_decoder, 1).step(prompt_rows(prompt))[0] for prompt in prompts]
    assert [one is None for one in sampled] == [7 in prompt for prompt in prompts]
    assert sampled == alone


@pytest.mark.parametrize(
    ("slot", "tokens", "start"),
    [(None, (1,), 0), (0, (), 0), (0, (1, 2), CONTEXT - 1)],
    ids=["slotless", "empty", "long"],
)
def test_row_that_cannot_be_computed_is_refused(
    decoder: Decoder, slot: int | None, tokens: tuple[int, ...], start: int
) -> None:
    sequence = sequence_of(0, [1], 1)
    sequence.slot = slot

    with pytest.raises(ValueError, match=r"slot|fit"):
        new_runner(decoder, 1).step([Row(sequence, tokens, start, samples=True)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_weights_in_the_processors_layout_give_the_same_logits(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = write_hugging_face(tmp_path, reference_model(attention_bias=True, mlp_bias=True))
    plain = load_decoder(folder, dtype, torch.device("cpu"))
    packed = load_decoder(folder, dtype, torch.device("cpu"))
    torch._C._set_mkldnn_enabled(False)
    try:
        plain.prepare(CONTEXT)
    finally:
        torch._C._set_mkldnn_enabled(True)
    packed.prepare(CONTEXT)
    rows = []
    for length in (30, 1):
        sequence = sequence_of(length, [length] * length, 1, temperature=0.0, top_logprobs=20)
        sequence.slot = length % 2
        rows.append(Row(sequence, tuple(sequence.prompt), 0, samples=True))

    results = []
    for decoder in (plain, packed):
        cache = SlotCache(decoder.config, 2, CONTEXT, dtype, torch.device("cpu"))
        results.append([value for one in Runner(decoder, cache).step(rows) if one for _, value in one.top])

    assert not plain.blocks[0].qkv.is_mkldnn
    assert results[0] == pytest.approx(results[1], abs=1e-4 if dtype is torch.float32 else 0.1)
