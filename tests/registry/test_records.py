import logging

import pytest

from hitchpost.api import GraphMemoryBank, MemoryBank, Model, Resource, Shield, VectorMemoryBank
from hitchpost.errors import BadRequestError
from hitchpost.registry import ResourceRecords
from hitchpost.registry.records import MAX_IDENTIFIER_BYTES
from hitchpost.store.memory import MemoryStore

MODEL = Model(identifier="m", provider_resource_id="inner", provider_id="p", metadata={"context_length": 7})
SHIELD = Shield(identifier="s", provider_resource_id="guard", provider_id="p", params={"categories": ["S1"]})
BANK = VectorMemoryBank(
    identifier="b", provider_resource_id="b", provider_id="p", embedding_model="e", chunk_size_in_tokens=512
)
GRAPH = GraphMemoryBank(identifier="g", provider_resource_id="g", provider_id="p")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def records_of(kind: type[Resource], store: MemoryStore, host: str = "host") -> ResourceRecords[Resource]:
    return ResourceRecords(kind, lambda: store, host)


@pytest.mark.parametrize(
    ("kind", "resource"), [(Model, MODEL), (Shield, SHIELD), (MemoryBank, BANK), (MemoryBank, GRAPH)]
)
async def test_registration_comes_back_with_all_its_fields_and_class(
    kind: type[Resource], resource: Resource, store: MemoryStore
) -> None:
    await records_of(kind, store).add(resource)

    found = await records_of(kind, store).find(resource.identifier)

    assert found == resource
    assert type(found) is type(resource)
    assert await records_of(kind, store).registered() == {resource.identifier: resource}


async def test_registration_is_the_resource_as_json_under_the_published_key(store: MemoryStore) -> None:
    await records_of(Model, store).add(MODEL)

    assert await store.get("distributions:registry:v2::model:m") == (
        '{"identifier":"m","provider_resource_id":"inner","provider_id":"p","type":"model","metadata":{"context_length":7}}'
    )


async def test_registration_that_llama_stack_wrote_is_read(store: MemoryStore) -> None:
    await store.set(
        "distributions:registry:v2::memory_bank:b",
        '{"identifier": "b", "provider_resource_id": "b", "provider_id": "p", "type": "memory_bank", "memory_bank_type": "vector", '
        '"embedding_model": "e", "chunk_size_in_tokens": 512, "overlap_size_in_tokens": null}',
    )

    assert await records_of(MemoryBank, store).find("b") == BANK


async def test_first_registration_of_an_identifier_stays(store: MemoryStore) -> None:
    first = await records_of(Model, store).add(MODEL)

    second = await records_of(Model, store).add(MODEL.copy_with(provider_id="q"))

    assert (first, second) == (True, False)
    assert await records_of(Model, store).find("m") == MODEL


async def test_kinds_have_identifiers_of_their_own(store: MemoryStore) -> None:
    await records_of(Model, store).add(MODEL)
    await records_of(Shield, store).add(SHIELD.copy_with(identifier="m"))

    await records_of(Model, store).remove("m")

    assert await records_of(Model, store).registered() == {}
    assert list(await records_of(Shield, store).registered()) == ["m"]


@pytest.mark.parametrize(
    "value",
    ["", "{", "[]", '{"identifier": "m"}', MODEL.copy_with(identifier="other").model_dump_json(), '{"identifier": 1}'],
)
async def test_value_that_is_no_registration_is_reported_passed_over_and_left_alone(
    value: str, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.set("distributions:registry:v2::model:m", value)
    records = records_of(Model, store)

    with caplog.at_level(logging.ERROR):
        found = await records.find("m")

    assert found is None
    assert await records.registered() == {}
    assert not await records.add(MODEL)
    assert await store.get("distributions:registry:v2::model:m") == value
    assert "distributions:registry:v2::model:m" in caplog.text


async def test_value_under_a_key_that_merely_ends_like_its_identifier_is_passed_over(store: MemoryStore) -> None:
    await store.set("distributions:registry:v2::model:a:m", MODEL.model_dump_json())

    assert await records_of(Model, store).registered() == {}


async def test_each_host_remembers_its_own_config(store: MemoryStore) -> None:
    await records_of(Model, store, "a").keep_configured(MODEL)
    await records_of(Model, store, "b").keep_configured(MODEL.copy_with(provider_id="q"))

    await records_of(Model, store, "b").forget_configured("m")

    assert await records_of(Model, store, "a").configured() == {"m": MODEL}
    assert await records_of(Model, store, "b").configured() == {}


async def test_endings_are_those_of_the_provider_though_ids_hold_colons(store: MemoryStore) -> None:
    records = records_of(Model, store)
    other = MODEL.copy_with(provider_id="p:q", identifier="q:m")
    await records.keep_ending(MODEL)
    await records.keep_ending(other)

    assert await records.endings("p") == [MODEL]
    assert await records.endings("p:q") == [other]
    await records.forget_ending(MODEL)
    assert await records.endings("p") == []


@pytest.mark.parametrize("identifier", ["é" * (MAX_IDENTIFIER_BYTES // 2 + 1), "m" * (MAX_IDENTIFIER_BYTES + 1)])
def test_identifier_that_fits_no_key_is_refused(identifier: str, store: MemoryStore) -> None:
    with pytest.raises(BadRequestError, match="bytes long; at most 700") as refused:
        records_of(Shield, store).check_identifier(identifier)

    assert refused.value.param == "shield_id"


async def test_longest_identifier_fits_every_key(store: MemoryStore) -> None:
    records = records_of(MemoryBank, store, "h" * 128)
    bank = BANK.copy_with(identifier="b" * MAX_IDENTIFIER_BYTES, provider_id="p" * 128)
    records.check_identifier(bank.identifier)

    await records.add(bank)
    await records.keep_configured(bank)
    await records.keep_ending(bank)

    assert await records.registered() == await records.configured() == {bank.identifier: bank}
    assert await records.endings(bank.provider_id) == [bank]
