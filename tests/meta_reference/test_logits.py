"""Logits and greedy continuations equal those of the transformers library, however the tokens are cut into steps."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from hitchpost_meta_reference.engine.cache import SlotCache
from hitchpost_meta_reference.engine.checkpoint import load_decoder
from hitchpost_meta_reference.engine.model import Decoder, Span
from tests.meta_reference.checkpoints import SHAPES, reference_model, write_hugging_face, write_meta

CPU = torch.device("cpu")
TOLERANCE = 1e-4
CONTEXT = 200
SLOTS = 4


@dataclass
class Twins:
    """One set of weights: in the transformers library and in the engine."""

    reference: LlamaForCausalLM
    decoder: Decoder

    def empty_cache(self, slots: int = SLOTS) -> SlotCache:
        return SlotCache(self.decoder.config, slots, CONTEXT, torch.float32, CPU)

    def random_tokens(self, count: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, self.decoder.config.vocab_size, (count,), generator=generator)

    def reference_logits(self, tokens: Tensor) -> Tensor:
        with torch.no_grad():
            return self.reference(tokens.unsqueeze(0)).logits[0]


def _hugging_face(folder: Path, model: LlamaForCausalLM) -> Path:
    return write_hugging_face(folder, model)


def _sharded_hugging_face(folder: Path, model: LlamaForCausalLM) -> Path:
    write_hugging_face(folder, model, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def _meta_two_shards(folder: Path, model: LlamaForCausalLM) -> Path:
    return write_meta(folder, model, shards=2)


def _meta_llama2_two_shards(folder: Path, model: LlamaForCausalLM) -> Path:
    return write_meta(folder, model, shards=2, embedding_axis=1, vocab_size=-1)


def _meta_one_shard(folder: Path, model: LlamaForCausalLM) -> Path:
    return write_meta(folder, model, shards=1)


Write = Callable[[Path, LlamaForCausalLM], Path]
CHECKPOINTS: dict[str, tuple[dict[str, object], Write]] = {
    **{name: (shape, _hugging_face) for name, shape in SHAPES.items()},
    "sharded-safetensors": ({}, _sharded_hugging_face),
    "meta-one-shard": ({}, _meta_one_shard),
    "meta-two-shards": ({}, _meta_two_shards),
    "meta-two-shards-llama2": ({"num_key_value_heads": 4}, _meta_llama2_two_shards),
    "meta-tied": ({"tie_word_embeddings": True}, _meta_two_shards),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Such small matrices are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def get_twins(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Twins]:
    @cache
    def get(name: str) -> Twins:
        shape, write = CHECKPOINTS[name]
        reference = reference_model(**shape)
        folder = write(tmp_path_factory.mktemp("checkpoint") / name, reference)
        decoder = load_decoder(folder, torch.float32, CPU)
        decoder.prepare(CONTEXT)
        return Twins(reference, decoder)

    return get


@pytest.fixture(params=CHECKPOINTS)
def twins(request: pytest.FixtureRequest, get_twins: Callable[[str], Twins]) -> Twins:
    return get_twins(request.param)


@dataclass
class Replay:
    """A given text on its way through the engine; compares each piece's logits with the whole text's."""

    slot: int
    tokens: Tensor
    expected: Tensor
    computed: int = 0
    errors: list[float] = field(default_factory=list)

    def next_span(self, length: int) -> Span:
        return Span(self.slot, self.computed, min(length, len(self.tokens) - self.computed))

    @property
    def is_done(self) -> bool:
        return self.computed == len(self.tokens)


def compute(twins: Twins, cache: SlotCache, replays: Sequence[Replay], lengths: Sequence[int]) -> None:
    """One step: `lengths[i]` more tokens of `replays[i]`; every token's logits are compared."""
    work = [(replay, replay.next_span(length)) for replay, length in zip(replays, lengths, strict=True)]
    work.sort(key=lambda item: item[1].length > 1)
    tokens = torch.cat([replay.tokens[span.start : span.start + span.length] for replay, span in work])
    logits = twins.decoder(tokens, [span for _, span in work], cache, torch.arange(len(tokens)))
    for replay, span in work:
        mine, logits = logits[: span.length], logits[span.length :]
        error = (mine - replay.expected[span.start : span.start + span.length]).abs().max()
        replay.errors.append(float(error))
        replay.computed += span.length


def replay_of(twins: Twins, slot: int, length: int) -> Replay:
    tokens = twins.random_tokens(length, seed=slot)
    return Replay(slot, tokens, twins.reference_logits(tokens))


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([150], id="in-one-piece"),
        pytest.param([37, 64, 1, 48], id="in-chunks"),
        pytest.param([1] * 150, id="token-by-token"),
    ],
)
def test_logits_of_a_sequence_alone_equal_the_reference(twins: Twins, pieces: list[int]) -> None:
    replay, cache = replay_of(twins, slot=1, length=150), twins.empty_cache()

    for length in pieces:
        compute(twins, cache, [replay], [length])

    assert replay.is_done
    assert max(replay.errors) <= TOLERANCE


def test_logits_in_a_batch_with_random_arrivals_equal_the_reference(twins: Twins) -> None:
    chance = random.Random(5)
    cache = twins.empty_cache()
    waiting = [replay_of(twins, slot, chance.randint(20, CONTEXT)) for slot in chance.sample(range(SLOTS), SLOTS)]
    finished: list[Replay] = []
    running: list[Replay] = []

    while waiting or running:
        if waiting and (not running or chance.random() < 0.2):
            running.append(waiting.pop())
        chance.shuffle(running)
        prefills = [replay.computed == 0 or chance.random() < 0.1 for replay in running]
        compute(twins, cache, running, [chance.randint(2, 30) if prefill else 1 for prefill in prefills])
        finished += [replay for replay in running if replay.is_done]
        running = [replay for replay in running if not replay.is_done]

    assert len(finished) == SLOTS
    assert max(error for replay in finished for error in replay.errors) <= TOLERANCE


def test_greedy_continuation_equals_the_reference_for_64_tokens(twins: Twins) -> None:
    prompt = twins.random_tokens(20, seed=9)
    generated = twins.reference.generate(
        prompt.unsqueeze(0), attention_mask=torch.ones(1, 20), max_new_tokens=64, do_sample=False, eos_token_id=None
    )
    cache = twins.empty_cache()

    answer: list[int] = []
    tokens, start = prompt, 0
    for _ in range(64):
        logits = twins.decoder(tokens, [Span(2, start, len(tokens))], cache, torch.tensor([len(tokens) - 1]))
        answer.append(int(logits[0].argmax()))
        start += len(tokens)
        tokens = torch.tensor(answer[-1:])

    assert answer == generated[0, 20:].tolist()


@pytest.mark.parametrize("first_length", [3, 150])
def test_a_slot_that_had_another_sequence_gives_the_same_logits(
    get_twins: Callable[[str], Twins], first_length: int
) -> None:
    twins = get_twins("llama3-rope-scaling")
    cache = twins.empty_cache()
    compute(twins, cache, [replay_of(twins, 1, first_length)], [first_length])
    replay, longer = replay_of(twins, 1, 60), replay_of(twins, 3, 120)

    compute(twins, cache, [replay, longer], [50, 119])
    compute(twins, cache, [replay, longer], [1, 1])

    assert max(replay.errors + longer.errors) <= TOLERANCE


def test_meta_shards_give_the_logits_of_their_converted_twin(tmp_path: Path) -> None:
    model = reference_model()
    folders = [write_hugging_face(tmp_path / "hf", model), write_meta(tmp_path / "meta", model, shards=2)]
    tokens = torch.arange(50)

    logits = []
    for folder in folders:
        decoder = load_decoder(folder, torch.float32, CPU)
        decoder.prepare(CONTEXT)
        cache = SlotCache(decoder.config, 1, CONTEXT, torch.float32, CPU)
        logits.append(decoder(tokens, [Span(0, 0, 50)], cache, torch.arange(50)))

    assert torch.equal(logits[0], logits[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_logits_of_half_precision_weights_are_near_and_not_rounded_to_them(tmp_path: Path, dtype: torch.dtype) -> None:
    reference = reference_model(rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
    decoder = load_decoder(write_hugging_face(tmp_path, reference), dtype, CPU)
    decoder.prepare(CONTEXT)
    tokens = torch.arange(100)
    cache = SlotCache(decoder.config, 1, CONTEXT, dtype, CPU)

    logits = decoder(tokens, [Span(0, 0, 100)], cache, torch.arange(100))

    with torch.no_grad():
        expected = reference(tokens.unsqueeze(0)).logits[0]
    assert logits.dtype is torch.float32
    assert (logits - expected).abs().mean() < 0.05 * expected.abs().mean()
    assert not torch.equal(logits, logits.to(dtype).float())


def test_weights_keep_the_precision_that_they_were_saved_in_unless_told_otherwise(tmp_path: Path) -> None:
    write_hugging_face(tmp_path, reference_model().bfloat16())

    decoder = load_decoder(tmp_path, None, CPU)

    assert decoder.blocks[0].qkv.dtype is torch.bfloat16
