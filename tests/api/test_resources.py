from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import Api, GetModelRequest, Model, RegisterModelRequest, RegisterShieldRequest
from hitchpost.errors import BadRequestError


def test_listed_model_needs_only_its_providers_name() -> None:
    model = Model(provider_resource_id="a")

    assert model.model_dump() == {
        "identifier": "", "provider_resource_id": "a", "provider_id": "", "type": "model", "metadata": {}
    }  # fmt: skip


def test_resource_names_its_hooks_and_its_api() -> None:
    assert (Model.list_hook(), Model.register_hook(), Model.unregister_hook()) == (
        "list_models",
        "register_model",
        "unregister_model",
    )
    assert Model.served_by is Api.inference


def test_changed_copy_leaves_the_original() -> None:
    model = Model(provider_resource_id="a")

    assert model.copy_with(identifier="b").identifier == "b"
    assert model.identifier == ""


def test_completed_model_keeps_what_its_registration_says() -> None:
    model = Model(identifier="m", provider_resource_id="a", metadata={"context_length": 10, "own": 1})

    completed = model.completed("inner", {"context_length": 20, "embedding_dimension": 3})

    assert (completed.identifier, completed.provider_resource_id) == ("m", "inner")
    assert completed.metadata == {"context_length": 10, "own": 1, "embedding_dimension": 3}


@pytest.mark.parametrize(
    ("said", "known"), [({"embedding_dimension": 3}, {}), ({"embedding_dimension": None}, {"embedding_dimension": 3})]
)
def test_dimension_that_only_one_side_says_contradicts_nothing(said: dict[str, Any], known: dict[str, Any]) -> None:
    assert Model(provider_resource_id="a", metadata=said).completed("a", known).provider_resource_id == "a"


@pytest.mark.parametrize("said", [4, "3", [3]])
def test_dimension_that_contradicts_the_known_one_is_refused(said: Any) -> None:
    with pytest.raises(BadRequestError, match=r"metadata\.embedding_dimension is .* have 3 numbers; say 3, or leave"):
        Model(provider_resource_id="a", metadata={"embedding_dimension": said}).completed(
            "a", {"embedding_dimension": 3}
        )


def test_resource_can_not_be_changed() -> None:
    with pytest.raises(ValidationError):
        Model(provider_resource_id="a").identifier = "b"  # type: ignore[misc]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [lambda value: value, lambda value: {"deep": [1, value]}])
def test_number_that_json_has_no_place_for_is_refused(value: float, place: Callable[[float], Any]) -> None:
    with pytest.raises(ValidationError, match="NaN or an infinity"):
        RegisterModelRequest.model_validate({"model_id": "m", "metadata": {"a": place(value)}})
    with pytest.raises(ValidationError, match="NaN or an infinity"):
        RegisterShieldRequest.model_validate({"shield_id": "s", "params": {"a": place(value)}})


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": [-Infinity]}', '{"a": 1e999}'])
def test_text_of_metadata_with_such_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="NaN or an infinity"):
        RegisterModelRequest.model_validate({"model_id": "m", "metadata": text})


def test_null_in_metadata_is_kept() -> None:
    request = RegisterModelRequest.model_validate(
        {"model_id": "m", "metadata": {"a": None, "b": "NaN", "c": "-Infinity"}}
    )

    assert request.metadata == {"a": None, "b": "NaN", "c": "-Infinity"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"provider_resource_id": "m", "metadata": {}}),
        ({"provider_model_id": "inner", "metadata": {"a": 1}}, {"provider_resource_id": "inner", "metadata": {"a": 1}}),
        (
            {"provider_model_id": None, "provider_id": None, "metadata": None},
            {"provider_resource_id": "m", "metadata": {}},
        ),
    ],
)
def test_registration_becomes_a_model_of_its_owner(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = RegisterModelRequest.model_validate({"model_id": "m", **fields})

    assert request.resource("p") == Model(identifier="m", provider_id="p", **expected)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model_id": ""},
        {"model_id": "x" * 513},
        {"model_id": 7},
        {"model_id": "m", "provider_model_id": ""},
        {"model_id": "m", "metadata": []},
    ],
)
def test_registration_without_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RegisterModelRequest.model_validate(fields)


@pytest.mark.parametrize("name", ["identifier", "model_id"])
def test_model_is_asked_for_by_either_parameter(name: str) -> None:
    assert GetModelRequest.model_validate({name: "m"}).identifier == "m"
