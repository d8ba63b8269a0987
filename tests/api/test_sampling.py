from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hitchpost.api import LogProbConfig, ResponseFormat, SamplingParams, SamplingStrategy


def sampling(**fields: Any) -> SamplingParams:
    return SamplingParams.model_validate(fields)


def test_defaults_are_the_wires() -> None:
    params = sampling()

    assert (params.strategy, params.temperature, params.top_p, params.top_k) == (None, 0.0, 0.95, 0)
    assert (params.max_tokens, params.repetition_penalty, params.n, params.stop, params.seed) == (0, 1.0, 1, None, None)


@pytest.mark.parametrize(
    "field", ["strategy", "temperature", "top_p", "top_k", "max_tokens", "repetition_penalty", "stop", "seed"]
)
def test_null_means_not_said(field: str) -> None:
    params = sampling(**{field: None})

    assert getattr(params, field) is None
    assert params.said(field) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [({}, None), ({"temperature": 0.0}, 0.0), ({"temperature": None}, None), ({"temperature": "0.5"}, 0.5)],
)
def test_only_what_was_said_is_said(fields: dict[str, Any], said: float | None) -> None:
    assert sampling(**fields).said("temperature") == said


@pytest.mark.parametrize(
    ("fields", "is_greedy"),
    [
        ({}, True),
        ({"temperature": 0}, True),
        ({"temperature": 0.7}, False),
        ({"temperature": None}, False),
        ({"temperature": 0.7, "strategy": "greedy"}, True),
        ({"temperature": None, "strategy": "greedy"}, True),
        ({"strategy": "top_p", "temperature": 1}, False),
    ],
)
def test_greedy_is_asked_for_by_strategy_or_by_temperature(fields: dict[str, Any], is_greedy: bool) -> None:
    assert sampling(**fields).is_greedy is is_greedy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strategy", "random"),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_p", 1.1),
        ("top_p", -1),
        ("top_k", -1),
        ("top_k", 1.5),
        ("max_tokens", -1),
        ("repetition_penalty", -1),
        ("repetition_penalty", float("inf")),
        ("repetition_penalty", float("nan")),
        ("n", 0),
        ("n", 129),
        ("presence_penalty", 2.1),
        ("frequency_penalty", float("nan")),
        ("seed", 2**63),
        ("seed", -(2**63) - 1),
        ("seed", 10**500),
        ("top_k", 2**31),
        ("repetition_penalty", 0.009),
        ("repetition_penalty", 100.1),
        ("stop", [""]),
        ("stop", "text"),
        ("stop", [7]),
        ("logit_bias", {"a": 1}),
        ("logit_bias", {"1": 101}),
        ("logit_bias", {"1": float("nan")}),
    ],
)
def test_value_out_of_range_is_refused_at_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        sampling(**{field: value})

    assert refused.value.errors()[0]["loc"][0] == field


def test_token_ids_of_a_bias_come_as_json_keys() -> None:
    assert sampling(logit_bias={"15": -100}).logit_bias == {15: -100}


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63), "7"])
def test_seed_of_64_bits_is_taken(seed: Any) -> None:
    assert sampling(seed=seed).seed == int(seed)


@pytest.mark.parametrize("top_k", [0, 20, None])
def test_log_probabilities_of_up_to_twenty_tokens_can_be_asked(top_k: int | None) -> None:
    assert LogProbConfig(top_k=top_k).top_k == top_k


@pytest.mark.parametrize("top_k", [-1, 21])
def test_more_log_probabilities_are_refused(top_k: int) -> None:
    with pytest.raises(ValidationError):
        LogProbConfig(top_k=top_k)


FORMAT: TypeAdapter[Any] = TypeAdapter(ResponseFormat)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "json_schema", "json_schema": {"type": "object"}},
        {"type": "grammar", "bnf": {}},
        {"type": "json_object"},
    ],
)
def test_type_tells_the_response_format(data: dict[str, Any]) -> None:
    assert FORMAT.validate_python(data).model_dump() == data


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"json_schema": {}}, "union_tag_not_found"),
        ({"type": "xml"}, "union_tag_invalid"),
        ({"type": "json_schema"}, "missing"),
        ({"type": "json_schema", "json_schema": []}, "dict_type"),
        ({"type": "grammar"}, "missing"),
    ],
)
def test_wrong_response_format_is_told_by_kind(data: dict[str, Any], kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        FORMAT.validate_python(data)

    assert [error["type"] for error in refused.value.errors()] == [kind]


def test_all_that_was_said_comes_in_one_piece_and_in_order() -> None:
    params = sampling(top_k=0, temperature=0.5, seed=None, strategy="greedy")

    assert list(params.all_said().items()) == [
        ("strategy", SamplingStrategy.greedy),
        ("temperature", 0.5),
        ("top_k", 0),
    ]


def test_what_is_not_said_in_other_words_than_the_native_wires_is_left_to_the_model() -> None:
    params = SamplingParams.of_said({"temperature": 0.5, "n": 2})

    assert params.all_said() == {"temperature": 0.5, "n": 2}
    assert (params.top_p, params.top_k, params.max_tokens, params.repetition_penalty) == (None, None, None, None)
    assert not SamplingParams.of_said({}).is_greedy
