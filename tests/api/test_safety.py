from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import RunShieldRequest, RunShieldResponse, Safety, SafetyViolation, ViolationLevel, routes_of

SAID = [{"role": "user", "content": "hi"}]


def test_declared_route_is_the_published_one() -> None:
    assert [(route.verb, route.path) for route in routes_of(Safety)] == [("POST", "/safety/run-shield")]


def test_params_may_be_absent_or_null() -> None:
    absent = RunShieldRequest.model_validate({"shield_id": "s", "messages": SAID})
    null = RunShieldRequest.model_validate({"shield_id": "s", "messages": SAID, "params": None})

    assert absent == null
    assert absent.params is None


@pytest.mark.parametrize(
    "fields", [{"messages": []}, {"messages": [{"role": "x"}]}, {"params": []}, {"shield_id": None}, {"shield_id": 7}]
)
def test_request_without_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunShieldRequest.model_validate({"shield_id": "s", "messages": SAID, **fields})


def test_answer_has_every_field() -> None:
    violation = SafetyViolation(violation_level=ViolationLevel.warn)

    assert RunShieldResponse().model_dump(mode="json") == {"violation": None}
    assert RunShieldResponse(violation=violation).model_dump(mode="json") == {
        "violation": {"violation_level": "warn", "user_message": None, "metadata": {}}
    }


def test_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        SafetyViolation.model_validate({"violation_level": "fatal"})
