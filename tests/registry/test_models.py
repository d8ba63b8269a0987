from collections.abc import AsyncIterator
from typing import Any

import pytest

from hitchpost.api import GetModelRequest, Model, NoArguments, RegisterModelRequest, UnregisterModelRequest
from hitchpost.errors import BadRequestError, NotFoundError
from hitchpost.registry import check_metadata
from tests.plugged import CONTEXT, Plugged, inference, one


@pytest.fixture
async def models(plugged: Plugged) -> AsyncIterator[Any]:
    plugged.add()
    async with plugged.running(one()) as stack:
        yield stack.models


async def test_registered_model_can_be_listed_got_and_unregistered(models: Any) -> None:
    request = RegisterModelRequest(model_id="m", provider_model_id="inner", metadata={"context_length": 7})

    registered = await models.register_model(request, CONTEXT)
    listed = await models.list_models(NoArguments(), CONTEXT)
    got = await models.get_model(GetModelRequest(identifier="m"), CONTEXT)
    await models.unregister_model(UnregisterModelRequest(model_id="m"), CONTEXT)

    expected = Model(identifier="m", provider_resource_id="inner", provider_id="p", metadata={"context_length": 7})
    assert registered == got == expected
    assert listed == [expected]
    assert await models.get_model(GetModelRequest(identifier="m"), CONTEXT) is None


async def test_same_model_again_answers_the_stored_one(models: Any) -> None:
    first = await models.register_model(RegisterModelRequest(model_id="m", metadata={"a": 1}), CONTEXT)

    assert await models.register_model(RegisterModelRequest(model_id="m", metadata={"a": 2}), CONTEXT) is first


async def test_unregistering_an_unknown_model_names_it(models: Any) -> None:
    with pytest.raises(NotFoundError, match="Model x not found"):
        await models.unregister_model(UnregisterModelRequest(model_id="x"), CONTEXT)


@pytest.mark.parametrize(
    ("providers", "wanted", "message"),
    [
        (("a", "b"), None, r"no provider was named and several are available \(a, b\)"),
        (("a", "b"), "c", "Provider `c` not found; inference providers: a, b"),
        ((), None, "no inference provider is configured"),
        ((), "c", "Provider `c` not found; inference providers: none"),
    ],
)
async def test_provider_that_can_not_be_told_is_refused(
    providers: tuple[str, ...], wanted: str | None, message: str, plugged: Plugged
) -> None:
    plugged.add()
    entries = [{"provider_id": name, "provider_type": "inline::test"} for name in providers]

    async with plugged.running(inference(*entries)) as stack:
        with pytest.raises(BadRequestError, match=message) as refused:
            await stack.models.register_model(RegisterModelRequest(model_id="m", provider_id=wanted), CONTEXT)

    assert refused.value.param == "provider_id"


@pytest.mark.parametrize("llama_model", ["no-such-model", 7, ["meta-llama/Llama-3.1-8B-Instruct"]])
async def test_unknown_llama_model_is_refused(llama_model: Any, models: Any) -> None:
    with pytest.raises(BadRequestError, match=r"metadata\.llama_model .* is no known Llama model") as refused:
        await models.register_model(RegisterModelRequest(model_id="m", metadata={"llama_model": llama_model}), CONTEXT)

    assert refused.value.param == "metadata.llama_model"
    assert await models.list_models(NoArguments(), CONTEXT) == []


@pytest.mark.parametrize("capabilities", ["chat", ["fly"], [{}], {"chat": True}])
def test_capabilities_that_are_none_are_refused(capabilities: Any) -> None:
    with pytest.raises(
        BadRequestError, match=r"metadata\.capabilities must be a list of some of: chat, completion"
    ) as refused:
        check_metadata(RegisterModelRequest(model_id="m", metadata={"capabilities": capabilities}))

    assert refused.value.param == "metadata.capabilities"


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"llama_model": None},
        {"llama_model": "meta-llama/Llama-3.1-8B-Instruct"},
        {"capabilities": ["chat"]},
        {"capabilities": []},
        {"capabilities": None},
    ],
)
def test_sound_metadata_passes(metadata: Any) -> None:
    check_metadata(RegisterModelRequest(model_id="m", metadata=metadata))
