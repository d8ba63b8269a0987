"""Models made of values that were validated before."""

import copy
import pickle

import pytest

from hitchpost import api
from hitchpost.api.wire_model import WireModel, of_valid

MADE = (
    (of_valid(api.UserMessage, content="hi"), api.UserMessage(content="hi")),
    (
        of_valid(api.CompletionMessage, content="hi", stop_reason=api.StopReason.end_of_turn),
        api.CompletionMessage(content="hi", stop_reason=api.StopReason.end_of_turn),
    ),
    (of_valid(api.SamplingParams), api.SamplingParams()),
    (of_valid(api.SamplingParams, temperature=None, n=2), api.SamplingParams(temperature=None, n=2)),
)


@pytest.mark.parametrize(("made", "validated"), MADE)
def test_model_of_valid_values_is_the_one_that_its_constructor_makes(made: WireModel, validated: WireModel) -> None:
    assert made == validated
    assert made.model_fields_set == validated.model_fields_set
    assert made.model_dump() == validated.model_dump()


@pytest.mark.parametrize(("made", "validated"), MADE)
def test_model_of_valid_values_can_be_copied(made: WireModel, validated: WireModel) -> None:
    assert made.model_copy(deep=True) == copy.copy(made) == pickle.loads(pickle.dumps(made)) == validated


def test_models_of_valid_values_share_no_list() -> None:
    first, second = (
        of_valid(api.CompletionMessage, content="", stop_reason=api.StopReason.end_of_turn) for _ in range(2)
    )

    first.tool_calls.append(api.ToolCall(call_id="1", tool_name="f", arguments_json="{}"))

    assert second.tool_calls == []
