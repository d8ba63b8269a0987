"""Banks as collections of a server."""

import json

import pytest

from hitchpost.api import GraphMemoryBank, KeywordMemoryBank, RequestContext, VectorMemoryBank
from hitchpost.errors import BadRequestError, ConflictError, NotFoundError, UnsupportedError
from hitchpost_weaviate.provider import WeaviateMemory
from tests.fakes.weaviate.server import FakeWeaviate
from tests.weaviate.conftest import MakeBank, MakeProvider, WordInference, kept

CALLER = RequestContext(request_id="req_test")
ODD_NAMES = ["a-b", "a_b", "A-B", "a b", " a b ", "ü/¿", "", "x" * 500, "bank", "Bank", "\u202e'; drop", "1", "日本"]


async def test_any_two_ids_have_banks_of_their_own(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    banks = [await make_bank("keyvalue", name) for name in ODD_NAMES]
    for bank in banks:
        await bank.insert({"who": bank.resource.identifier or "empty"})

    said = [(await bank.query("who")).chunks[0].content for bank in banks]

    assert [str(text).strip() for text in said] == [name.strip() or "empty" for name in ODD_NAMES]
    assert len({name.lower() for name in fake.schema.collections}) == len(ODD_NAMES)


async def test_collection_has_properties_of_its_own(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    await make_bank("vector", "b")

    [collection] = fake.schema.collections.values()
    declared = {one["name"]: one for one in collection.definition["properties"]}
    assert declared["document_id"]["tokenization"] == "field"
    assert declared["text"]["indexSearchable"]
    assert not declared["metadata"]["indexFilterable"]
    assert collection.definition["vectorConfig"]["default"]["vectorizer"] == {"none": {}}
    assert collection.definition["invertedIndexConfig"]["stopwords"]["preset"] == "none"
    assert json.loads(collection.definition["description"])["bank_id"] == "b"


async def test_banks_are_listed_from_the_server(
    make_provider: MakeProvider, make_bank: MakeBank, provider: WeaviateMemory, fake: FakeWeaviate
) -> None:
    await make_bank("vector", "meaning")
    await make_bank("keyword", "words")
    fake.schema.create({"class": "SomebodyElses", "description": "not ours"})
    fake.schema.create(
        {"class": "Odd", "description": '{"hitchpost": 1, "bank_id": "x", "memory_bank_type": "keyword"}'}
    )

    listed = {bank.provider_resource_id: bank for bank in await (await make_provider()).list_memory_banks()}

    assert listed == {
        "meaning": VectorMemoryBank(
            provider_resource_id="meaning", embedding_model="words", chunk_size_in_tokens=64, overlap_size_in_tokens=0
        ),
        "words": KeywordMemoryBank(provider_resource_id="words"),
    }


async def test_hosts_with_other_prefixes_see_nothing_of_each_other(
    make_provider: MakeProvider, make_bank: MakeBank
) -> None:
    other = await make_provider(collection_prefix="Other")
    bank = await make_bank("keyvalue", "b")
    same_name = await make_bank("keyvalue", "b", at=other)
    await bank.insert({"d": "text"})

    assert await same_name.found("d") == []
    assert len(await other.list_memory_banks()) == 1


async def test_graph_bank_is_unsupported_and_says_what_to_use(provider: WeaviateMemory) -> None:
    bank = GraphMemoryBank(identifier="g", provider_resource_id="g")

    with pytest.raises(UnsupportedError, match="mode hybrid"):
        await provider.register_memory_bank(bank, CALLER)


async def test_overlap_of_a_whole_chunk_is_refused(provider: WeaviateMemory) -> None:
    bank = VectorMemoryBank(
        provider_resource_id="b", embedding_model="words", chunk_size_in_tokens=8, overlap_size_in_tokens=8
    )

    with pytest.raises(BadRequestError, match="overlap_size_in_tokens"):
        await provider.register_memory_bank(bank, CALLER)


@pytest.mark.parametrize("model", ["small", "gone"])
async def test_bank_with_another_model_is_refused(model: str, provider: WeaviateMemory, make_bank: MakeBank) -> None:
    bank = await make_bank("vector", "b")

    with pytest.raises((ConflictError, BadRequestError)):
        await provider.register_memory_bank(bank.resource.copy_with(embedding_model=model), CALLER)


async def test_model_whose_dimension_changed_is_refused_before_any_insert(
    provider: WeaviateMemory, make_bank: MakeBank, inference: WordInference
) -> None:
    bank = await make_bank("vector", "b")
    inference.dimensions["words"] = 64

    with pytest.raises(ConflictError, match="256 dimensions"):
        await provider.register_memory_bank(bank.resource, CALLER)


async def test_bank_of_another_type_is_refused(make_bank: MakeBank) -> None:
    await make_bank("vector", "b")

    with pytest.raises(ConflictError, match="of the type vector"):
        await make_bank("keyword", "b")


async def test_collection_of_somebody_else_is_left_alone(make_bank: MakeBank, fake: FakeWeaviate) -> None:
    await make_bank("keyword", "b")
    [name] = fake.schema.collections
    fake.schema.get(name).definition["description"] = "mine"

    with pytest.raises(ConflictError, match=name):
        await make_bank("keyword", "b")


async def test_bank_is_announced_again_while_its_model_is_away(
    provider: WeaviateMemory, make_bank: MakeBank, inference: WordInference
) -> None:
    bank = await make_bank("vector", "b")
    await bank.insert({"d": "text"})
    inference.dimensions.clear()

    await provider.register_memory_bank(bank.resource, None)

    assert await bank.found("text", mode="keyword") == ["d"]


async def test_caller_who_ends_the_last_registration_ends_the_collection(
    provider: WeaviateMemory, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank("keyvalue", "b")
    other_name = bank.resource.copy_with(identifier="b2")
    await provider.register_memory_bank(other_name, CALLER)

    await provider.unregister_memory_bank(bank.resource, CALLER)
    there_with_one_left = len(fake.schema.collections)
    await provider.unregister_memory_bank(other_name, CALLER)

    assert (there_with_one_left, len(fake.schema.collections)) == (1, 0)


async def test_bank_that_left_the_run_config_keeps_its_documents(
    provider: WeaviateMemory, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank("keyvalue", "b")
    await bank.insert({"d": "text"})

    await provider.unregister_memory_bank(bank.resource, None)

    assert len(kept(fake)) == 1


async def test_bank_that_the_server_lost_is_made_by_the_next_insertion_not_guessed(
    make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    bank = await make_bank("vector", "b")
    fake.schema.collections.clear()

    with pytest.raises(NotFoundError, match="'b'"):
        await bank.query("text")
    await bank.insert({"d": "text"})

    [collection] = fake.schema.collections.values()
    assert collection.definition["description"]
    assert await bank.found("text") == ["d"]


async def test_tenants_of_one_collection_see_nothing_of_each_other(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    ann, bea = await make_provider(tenant="ann"), await make_provider(tenant="bea")
    of_ann, of_bea = await make_bank("vector", "b", at=ann), await make_bank("vector", "b", at=bea)
    await of_ann.insert({"d": "text of ann"})

    found = await of_ann.found("text"), await of_bea.found("text")
    await ann.unregister_memory_bank(of_ann.resource, CALLER)

    assert found == (["d"], [])
    assert list(fake.schema.get(next(iter(fake.schema.collections))).tenants) == ["bea"]
    assert ([*await ann.list_memory_banks()], len(await bea.list_memory_banks())) == ([], 1)


async def test_bank_made_without_tenants_is_refused_with_one(make_provider: MakeProvider, make_bank: MakeBank) -> None:
    await make_bank("keyword", "b")

    with pytest.raises(ConflictError, match="without multi-tenancy"):
        await make_bank("keyword", "b", at=await make_provider(tenant="ann"))
