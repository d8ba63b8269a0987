"""Sampling: options and their ranges, penalties, truncation, seeds, log probabilities."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from hitchpost_meta_reference.engine.sampling import Sampled, SamplingState, sample
from hitchpost_meta_reference.engine.sampling_options import SamplingOptions

VOCABULARY = 600
"""More than the likeliest tokens that are tried before the whole vocabulary is sorted."""


def random_logits(rows: int = 1, size: int = VOCABULARY, seed: int = 0, spread: float = 3.0) -> Tensor:
    return spread * torch.randn(rows, size, generator=torch.Generator().manual_seed(seed))


def draw_one(logits: Tensor, *, prompt: tuple[int, ...] = (), **options: Any) -> Sampled:
    return sample(logits, [SamplingState(SamplingOptions(**options), prompt)])[0]


def draw_many(logits: Tensor, count: int, **options: Any) -> list[int]:
    """`count` draws of one sequence whose logits stay the same."""
    state = SamplingState(SamplingOptions(**options))
    return [sample(logits, [state])[0].token for _ in range(count)]


def kept_by_transformers(logits: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    """The distribution that the transformers library samples from."""
    ids = torch.zeros(1, 1, dtype=torch.long)
    scores = TemperatureLogitsWarper(temperature)(ids, logits.double())
    if top_k:
        scores = TopKLogitsWarper(top_k)(ids, scores)
    if top_p < 1.0:
        scores = TopPLogitsWarper(top_p)(ids, scores)
    return scores.softmax(dim=-1)[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_p", -0.1),
        ("top_p", 1.1),
        ("top_p", math.nan),
        ("top_k", -1),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", -1.0),
        ("repetition_penalty", math.inf),
        ("presence_penalty", 2.1),
        ("frequency_penalty", -2.1),
        ("top_logprobs", -1),
        ("top_logprobs", 21),
        ("logit_bias", {3: 101.0}),
        ("logit_bias", {3: math.nan}),
        ("logit_bias", {-1: 1.0}),
    ],
)
def test_option_out_of_its_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        SamplingOptions(**{field: value})


def test_temperature_zero_takes_the_likeliest_token_whatever_else_is_set() -> None:
    logits = random_logits(seed=1)

    tokens = draw_many(logits, 20, temperature=0.0, top_p=0.5, top_k=7, seed=3)

    assert set(tokens) == {int(logits.argmax())}


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 0.0}, {"temperature": 1e-6}], ids=str)
def test_tightest_truncation_takes_the_likeliest_token(options: dict[str, Any]) -> None:
    logits = random_logits(seed=2)

    assert set(draw_many(logits, 20, **options)) == {int(logits.argmax())}


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        (1.0, 0, 1.0),
        (0.7, 0, 1.0),
        (1.0, 5, 1.0),
        (1.0, 0, 0.9),
        (1.3, 0, 0.5),
        (1.0, 20, 0.8),
        (3.0, 400, 0.9),
        (5.0, 0, 0.99),
    ],
)
def test_draws_follow_the_distribution_of_transformers(temperature: float, top_k: int, top_p: float) -> None:
    logits = random_logits(seed=4, spread=2.0)
    expected = kept_by_transformers(logits, temperature, top_k, top_p)
    draws = 6000

    counts = Counter(draw_many(logits, draws, temperature=temperature, top_k=top_k, top_p=top_p, seed=11))

    assert all(expected[token] > 0 for token in counts)
    # Half the sum of differences; its expectation for a right sampler is about the sum of the cells' deviations.
    distance = sum(abs(counts[token] / draws - float(p)) for token, p in enumerate(expected)) / 2
    deviation = float((expected * (1 - expected) / draws).sqrt().sum()) / 2
    assert distance < deviation + 0.02


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    temperature=st.floats(0.05, 5.0),
    top_k=st.integers(0, 700),
    top_p=st.floats(0.0, 1.0),
)
def test_drawn_token_is_one_that_transformers_would_keep(
    seed: int, temperature: float, top_k: int, top_p: float
) -> None:
    logits = random_logits(seed=seed)
    expected = kept_by_transformers(logits, temperature, top_k, min(1.0, top_p + 1e-6))

    token = draw_one(logits, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed).token

    assert expected[token] > 0


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "seed": st.integers(0, 2**63 - 1),
                "temperature": st.sampled_from([0.0, 0.5, 1.0]),
                "top_p": st.sampled_from([0.3, 0.9, 1.0]),
                "top_k": st.sampled_from([0, 3, 50]),
                "repetition_penalty": st.sampled_from([1.0, 1.3]),
                "presence_penalty": st.sampled_from([0.0, 1.5]),
                "logit_bias": st.sampled_from([{}, {4: 5.0}]),
                "top_logprobs": st.sampled_from([None, 0, 3]),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_tokens_of_a_sequence_do_not_depend_on_its_neighbours(rows: list[dict[str, Any]]) -> None:
    logits = [random_logits(rows=len(rows), size=40, seed=step) for step in range(4)]
    together = [SamplingState(SamplingOptions(**row), (1, 2)) for row in rows]
    alone = [SamplingState(SamplingOptions(**row), (1, 2)) for row in rows]

    in_batch = [sample(step, together) for step in logits]
    one_by_one = [[sample(step[index : index + 1], [state])[0] for index, state in enumerate(alone)] for step in logits]

    assert [[one.token for one in step] for step in in_batch] == [[one.token for one in step] for step in one_by_one]


def test_same_seed_gives_the_same_tokens_and_another_seed_others() -> None:
    logits = random_logits(seed=5)

    first, again, other = (draw_many(logits, 30, seed=seed) for seed in (7, 7, 8))

    assert first == again
    assert first != other


@pytest.mark.parametrize("penalty", [0.7, 1.3])
def test_repetition_penalty_is_that_of_transformers_over_prompt_and_answer(penalty: float) -> None:
    logits = random_logits(size=50, seed=6)
    state = SamplingState(SamplingOptions(repetition_penalty=penalty), (3, 3, 9))
    state.accept(20)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([[3, 3, 9, 20]]), logits.clone())

    assert torch.allclose(state.adjust(logits[0]), expected[0])


def test_presence_and_frequency_penalties_count_the_answer_only() -> None:
    logits = random_logits(size=50, seed=7)[0]
    state = SamplingState(SamplingOptions(presence_penalty=0.5, frequency_penalty=0.25), (1, 2, 3))
    for token in (4, 4, 4, 5):
        state.accept(token)
    expected = logits.clone()
    expected[4] -= 0.5 + 3 * 0.25
    expected[5] -= 0.5 + 0.25

    assert torch.allclose(state.adjust(logits), expected)


def test_logit_bias_can_force_and_forbid_a_token() -> None:
    logits = random_logits(seed=8)
    likeliest = int(logits.argmax())

    forced = draw_many(logits, 10, logit_bias={3: 100.0})
    forbidden = draw_one(logits, temperature=0.0, logit_bias={likeliest: -100.0}).token

    assert set(forced) == {3}
    assert forbidden != likeliest


def test_logits_are_left_as_they_were() -> None:
    logits = random_logits(seed=9)
    before = logits.clone()

    draw_one(logits, prompt=(1, 2), repetition_penalty=1.5, logit_bias={1: 3.0}, top_logprobs=2)

    assert torch.equal(logits, before)


def test_log_probabilities_are_those_of_the_raw_distribution() -> None:
    logits = random_logits(seed=10)
    raw = logits[0].log_softmax(dim=-1)

    sampled = draw_one(
        logits, prompt=(1, 2), temperature=0.3, top_k=4, repetition_penalty=1.8, logit_bias={5: 9.0}, top_logprobs=6
    )

    values, tokens = raw.topk(6)
    assert sampled.logprob == pytest.approx(float(raw[sampled.token]), abs=1e-5)
    assert [token for token, _ in sampled.top] == tokens.tolist()
    assert [value for _, value in sampled.top] == pytest.approx(values.tolist(), abs=1e-5)


def test_each_sequence_gets_as_many_alternatives_as_it_asked_for() -> None:
    logits = random_logits(rows=4, seed=11)
    counts = [None, 0, 1, 5]
    states = [SamplingState(SamplingOptions(top_logprobs=count)) for count in counts]

    sampled = sample(logits, states)

    assert [len(one.top) for one in sampled] == [0, 0, 1, 5]
    assert [one.logprob < 0 for one in sampled] == [False, True, True, True]


def test_more_alternatives_than_tokens_are_all_of_them() -> None:
    assert len(draw_one(random_logits(size=5), top_logprobs=20).top) == 5


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {}, {"top_p": 0.5}, {"top_k": 3}], ids=str)
def test_forbidden_tokens_are_never_drawn(options: dict[str, Any]) -> None:
    logits = torch.full((1, VOCABULARY), -math.inf)
    logits[0, [17, 300]] = torch.tensor([1.0, 2.0])

    tokens = draw_many(logits, 50, **options)

    assert set(tokens) <= {17, 300}
