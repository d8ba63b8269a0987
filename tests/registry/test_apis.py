from collections.abc import AsyncIterator
from typing import Any

import pytest

from hitchpost.api import (
    Api,
    Capability,
    GetMemoryBankRequest,
    GetModelRequest,
    GetShieldRequest,
    KeywordMemoryBank,
    MemoryBank,
    Model,
    NoArguments,
    RegisterMemoryBankRequest,
    RegisterModelRequest,
    RegisterShieldRequest,
    RequestContext,
    Resource,
    Shield,
    UnregisterMemoryBankRequest,
    UnregisterModelRequest,
    UnregisterShieldRequest,
)
from hitchpost.errors import BackendUnavailableError, BadRequestError, ConflictError, NotFoundError, UnsupportedError
from hitchpost.registry import check_metadata
from tests.plugged import CONTEXT, Idle, Plugged, inference, one


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


async def test_embedding_models_are_listed_last(models: Any) -> None:
    for name, metadata in (("vectors", {"model_type": "embedding"}), ("talker", {}), ("other", {"model_type": "llm"})):
        await models.register_model(RegisterModelRequest(model_id=name, metadata=metadata), CONTEXT)

    listed = await models.list_models(NoArguments(), CONTEXT)

    assert [model.identifier for model in listed] == ["talker", "other", "vectors"]


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


# --- every kind alike ---

KEYWORD = {"memory_bank_type": "keyword"}
VECTOR = {"memory_bank_type": "vector", "embedding_model": "e", "chunk_size_in_tokens": 5}
MEMORY_A = [{"provider_id": "a", "provider_type": "inline::strict"}]


class Strict(Idle):
    """Knows every shield and bank but the unknown one."""

    def __init__(self, config: Any, deps: Any) -> None:
        super().__init__(config, deps)
        self.ended: list[str] = []

    async def register_shield(self, shield: Shield, context: RequestContext | None) -> Shield:
        self._check(shield)
        return shield.copy_with(params={**(shield.params or {}), "completed": True})

    async def unregister_shield(self, shield: Shield) -> None:
        self.ended.append(shield.identifier)

    async def register_memory_bank(self, memory_bank: MemoryBank) -> None:
        self._check(memory_bank)

    async def unregister_memory_bank(self, memory_bank: MemoryBank) -> None:
        self.ended.append(memory_bank.identifier)

    def _check(self, resource: Resource) -> None:
        if resource.provider_resource_id == "unknown":
            raise BadRequestError("there is nothing like that")


class Shields:
    """The API shields, called like every other."""

    api = Api.shields
    noun = "Shield"

    def __init__(self, stack: Any) -> None:
        self.router = stack.get_router(Api.shields)

    async def register(self, identifier: str, provider_id: str | None = None, name: str | None = None) -> Any:
        request = RegisterShieldRequest(shield_id=identifier, provider_id=provider_id, provider_shield_id=name)
        return await self.router.register_shield(request, CONTEXT)

    async def unregister(self, identifier: str) -> None:
        await self.router.unregister_shield(UnregisterShieldRequest(shield_id=identifier), CONTEXT)

    async def get(self, identifier: str) -> Any:
        return await self.router.get_shield(GetShieldRequest(identifier=identifier), CONTEXT)

    async def list(self) -> Any:
        return await self.router.list_shields(NoArguments(), CONTEXT)


class Banks:
    """The API memory_banks, called like every other."""

    api = Api.memory_banks
    noun = "Memory bank"

    def __init__(self, stack: Any) -> None:
        self.router = stack.get_router(Api.memory_banks)

    async def register(
        self, identifier: str, provider_id: str | None = None, name: str | None = None, params: Any = KEYWORD
    ) -> Any:
        request = RegisterMemoryBankRequest.model_validate(
            {
                "memory_bank_id": identifier,
                "provider_id": provider_id,
                "provider_memory_bank_id": name,
                "params": params,
            }
        )
        return await self.router.register_memory_bank(request, CONTEXT)

    async def unregister(self, identifier: str) -> None:
        await self.router.unregister_memory_bank(UnregisterMemoryBankRequest(memory_bank_id=identifier), CONTEXT)

    async def get(self, identifier: str) -> Any:
        return await self.router.get_memory_bank(GetMemoryBankRequest(memory_bank_id=identifier), CONTEXT)

    async def list(self) -> Any:
        return await self.router.list_memory_banks(NoArguments(), CONTEXT)


def two_of_each() -> dict[str, Any]:
    entries = [{"provider_id": name, "provider_type": "inline::strict"} for name in ("a", "b")]
    return {"providers": {"safety": entries, "memory": entries}}


@pytest.fixture(params=[Shields, Banks])
async def resources(request: pytest.FixtureRequest, plugged: Plugged) -> AsyncIterator[Any]:
    plugged.add(Strict, "inline::strict", api="safety")
    plugged.add(Strict, "inline::strict", api="memory")
    async with plugged.running(two_of_each()) as stack:
        yield request.param(stack)


async def test_shields_and_banks_are_registered_listed_got_and_unregistered(resources: Any) -> None:
    registered = await resources.register("x", "b", "inner")
    listed, got = await resources.list(), await resources.get("x")
    await resources.unregister("x")

    assert listed == [registered] == [got]
    assert (registered.identifier, registered.provider_id, registered.provider_resource_id) == ("x", "b", "inner")
    assert await resources.list() == []
    assert await resources.get("x") is None


async def test_repeated_registration_of_a_shield_or_bank_answers_the_stored_one(resources: Any) -> None:
    first = await resources.register("x", "a", "inner")

    assert await resources.register("x", "a", "other") == first
    with pytest.raises(ConflictError, match="is registered at provider a"):
        await resources.register("x", "b")


async def test_refused_shield_or_bank_is_not_kept(resources: Any) -> None:
    with pytest.raises(BadRequestError, match="there is nothing like that"):
        await resources.register("x", "a", "unknown")

    assert await resources.list() == []


async def test_unknown_shield_or_bank_can_not_be_unregistered(resources: Any) -> None:
    with pytest.raises(NotFoundError, match=f"{resources.noun} x not found"):
        await resources.unregister("x")


async def test_owner_of_a_shield_or_bank_must_be_told_where_there_are_several(resources: Any) -> None:
    with pytest.raises(BadRequestError, match=r"no provider was named and several are available \(a, b\)"):
        await resources.register("x")
    with pytest.raises(BadRequestError, match="Provider `c` not found"):
        await resources.register("x", "c")


async def test_bank_keeps_the_class_of_its_type(plugged: Plugged) -> None:
    plugged.add(Strict, "inline::strict", api="memory")
    async with plugged.running({"providers": {"memory": MEMORY_A}}) as stack:
        bank = await Banks(stack).register("x")

    assert bank == KeywordMemoryBank(identifier="x", provider_resource_id="x", provider_id="a")


async def test_repeated_registration_of_a_bank_with_other_params_answers_the_stored_one(plugged: Plugged) -> None:
    plugged.add(Strict, "inline::strict", api="memory")
    async with plugged.running({"providers": {"memory": MEMORY_A}}) as stack:
        first = await Banks(stack).register("x", params=VECTOR)

        assert await Banks(stack).register("x", params={**VECTOR, "chunk_size_in_tokens": 7}) == first


async def test_bank_of_another_type_under_the_same_id_is_a_conflict_that_names_both(plugged: Plugged) -> None:
    plugged.add(Strict, "inline::strict", api="memory")
    async with plugged.running({"providers": {"memory": MEMORY_A}}) as stack:
        first = await Banks(stack).register("x", params=VECTOR)
        with pytest.raises(ConflictError, match="as a vector bank of provider a; for a keyword bank") as refused:
            await Banks(stack).register("x")

        assert refused.value.param == "params.memory_bank_type"
        assert await Banks(stack).list() == [first]


async def test_bank_of_a_type_that_its_provider_does_not_have_is_unsupported(plugged: Plugged) -> None:
    plugged.add(Strict, "inline::strict", api="memory", capabilities=frozenset({Capability.vector_bank}))
    async with plugged.running({"providers": {"memory": MEMORY_A}}) as stack:
        with pytest.raises(UnsupportedError, match="has no banks of type 'keyword'; it has: vector"):
            await Banks(stack).register("x")


async def test_nothing_can_be_registered_at_a_provider_that_does_not_serve(plugged: Plugged) -> None:
    async with plugged.running(one(provider_type="inline::absent")) as stack:
        with pytest.raises(BackendUnavailableError, match="no installed plugin offers"):
            await stack.models.register_model(RegisterModelRequest(model_id="m"), CONTEXT)


async def test_kinds_without_a_provider_are_listed_empty(plugged: Plugged) -> None:
    async with plugged.running({}) as stack:
        assert await Shields(stack).list() == await Banks(stack).list() == []
        with pytest.raises(BadRequestError, match="no memory provider is configured"):
            await Banks(stack).register("x")
