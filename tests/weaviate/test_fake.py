"""The fake behaves as the real server does, seen through weaviate-client itself."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import weaviate
from weaviate.classes.config import Configure, DataType, Property, Tokenization
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter, HybridFusion, MetadataQuery
from weaviate.exceptions import (
    UnexpectedStatusCodeError,
    WeaviateInsertManyAllFailedError,
    WeaviateQueryError,
)

from tests.fakes.weaviate.server import FakeWeaviate

ALL = MetadataQuery(distance=True, certainty=True, score=True, creation_time=True)


@pytest.fixture
async def client(fake: FakeWeaviate) -> AsyncIterator[Any]:
    """weaviate-client, connected to the fake."""
    connecting = weaviate.use_async_with_custom(
        http_host="127.0.0.1",
        http_port=fake.port,
        http_secure=False,
        grpc_host="127.0.0.1",
        grpc_port=fake.grpc_port,
        grpc_secure=False,
        skip_init_checks=True,
    )
    async with connecting as connected:
        yield connected


@pytest.fixture
async def things(client: Any) -> Any:
    """A collection with three objects."""
    collection = await client.collections.create(
        "things",
        vector_config=Configure.Vectors.self_provided(),
        properties=[
            Property(name="Title", data_type=DataType.TEXT),
            Property(name="code", data_type=DataType.TEXT, tokenization=Tokenization.FIELD),
            Property(name="pages", data_type=DataType.INT),
        ],
    )
    await collection.data.insert_many(
        [
            DataObject(properties={"Title": "The red House", "code": "A-1", "pages": 3}, vector=[1.0, 0.0]),
            DataObject(properties={"title": "a blue house", "code": "a 1", "pages": 5}, vector=[0.0, 1.0]),
            DataObject(properties={"title": "the sea"}, vector=[-1.0, 0.0]),
        ]
    )
    return collection


def titles(answer: Any) -> list[str]:
    return [one.properties["title"] for one in answer.objects]


async def test_names_begin_as_the_server_wants_them(client: Any, things: Any) -> None:
    config = await client.collections.use("Things").config.get()

    assert config.name == "Things"
    assert [one.name for one in config.properties] == ["title", "code", "pages"]
    assert config.vector_config["default"].vector_index_config.distance_metric == "cosine"


async def test_distance_and_certainty_come_when_they_are_asked_for(things: Any) -> None:
    asked = (await things.query.near_vector([1.0, 0.0], return_metadata=ALL)).objects
    unasked = (await things.query.near_vector([1.0, 0.0])).objects

    assert [one.metadata.distance for one in asked] == [0.0, 1.0, 2.0]
    assert [one.metadata.certainty for one in asked] == [1.0, 0.5, 0.0]
    assert asked[0].metadata.score is None or asked[0].metadata.score == 0.0
    assert unasked[0].metadata.distance is None
    assert asked[0].uuid.int != 0


async def test_distance_bounds_a_search(things: Any) -> None:
    assert titles(await things.query.near_vector([1.0, 0.0], distance=1.5)) == ["The red House", "a blue house"]


async def test_first_vector_fixes_the_dimension(things: Any) -> None:
    outcome = await things.data.insert_many(
        [DataObject(properties={"title": "x"}, vector=[1.0]), DataObject(properties={"title": "y"}, vector=[0.5, 0.5])]
    )

    assert list(outcome.errors) == [0]
    assert "vector with length 1" in outcome.errors[0].message
    with pytest.raises(WeaviateInsertManyAllFailedError):
        await things.data.insert_many([DataObject(properties={"title": "x"}, vector=[1.0])])
    with pytest.raises(WeaviateQueryError, match="vector lengths don't match"):
        await things.query.near_vector([1.0])


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (Filter.by_property("title").equal("HOUSE"), ["The red House", "a blue house"]),
        (Filter.by_property("code").equal("A-1"), ["The red House"]),
        (Filter.by_property("pages").greater_than(3), ["a blue house"]),
        (Filter.by_property("code").contains_any(["a 1", "x"]), ["a blue house"]),
        (
            Filter.by_property("title").equal("sea") | Filter.by_property("pages").less_or_equal(3),
            ["The red House", "the sea"],
        ),
    ],
)
async def test_filters_match_tokens(where: Any, found: list[str], things: Any) -> None:
    assert sorted(titles(await things.query.fetch_objects(filters=where))) == found


async def test_words_are_scored_and_stop_words_refused(things: Any) -> None:
    answer = await things.query.bm25("red house", return_metadata=ALL)

    assert titles(answer) == ["The red House", "a blue house"]
    assert answer.objects[0].metadata.score > answer.objects[1].metadata.score > 0
    with pytest.raises(WeaviateQueryError, match="only stopwords"):
        await things.query.bm25("the")


@pytest.mark.parametrize(("fusion", "best"), [(HybridFusion.RANKED, 1 / 60), (HybridFusion.RELATIVE_SCORE, 1.0)])
async def test_hybrid_fuses_two_rankings(fusion: Any, best: float, things: Any) -> None:
    answer = await things.query.hybrid("red", vector=[1.0, 0.0], alpha=0.5, fusion_type=fusion, return_metadata=ALL)

    assert titles(answer)[0] == "The red House"
    assert answer.objects[0].metadata.score == pytest.approx(best)


async def test_ten_results_unless_asked_and_never_too_many(things: Any) -> None:
    await things.data.insert_many([DataObject(properties={"title": str(number)}) for number in range(20)])

    assert len((await things.query.fetch_objects()).objects) == 10
    assert len((await things.query.fetch_objects(limit=15)).objects) == 15
    with pytest.raises(WeaviateQueryError, match="maximum results"):
        await things.query.fetch_objects(limit=10_000, offset=1)


async def test_deletion_is_capped_and_can_be_tried_first(things: Any, fake: FakeWeaviate) -> None:
    fake.service.max_results = 1
    where = Filter.by_property("title").equal("house")

    tried = await things.data.delete_many(where=where, dry_run=True)
    done = await things.data.delete_many(where=where)

    assert (tried.matches, done.matches, done.successful) == (2, 2, 1)
    assert len(fake.objects("Things")) == 2


async def test_missing_collection_is_an_error_to_search_and_fine_to_delete(client: Any) -> None:
    with pytest.raises(WeaviateQueryError, match="could not find class Gone in schema"):
        await client.collections.use("Gone").query.fetch_objects()

    assert await client.collections.delete("Gone") is None
    assert not await client.collections.exists("Gone")


async def test_writing_to_a_missing_collection_guesses_one(client: Any, fake: FakeWeaviate) -> None:
    await client.collections.use("Guessed").data.insert_many([DataObject(properties={"size": 1, "tags": ["x"]})])

    declared = fake.schema.get("Guessed").definition["properties"]
    assert {one["name"]: one["dataType"] for one in declared} == {"size": ["number"], "tags": ["text[]"]}


async def test_tenants_must_be_there_be_named_and_be_active(client: Any) -> None:
    created = await client.collections.create("Shared", multi_tenancy_config=Configure.multi_tenancy(enabled=True))
    await created.tenants.create(["ann", "bea"])
    await created.tenants.deactivate("bea")

    assert await created.tenants.exists("ann")
    assert not await created.tenants.exists("cleo")
    for tenant, words in (("bea", "tenant not active"), ("cleo", "tenant not found")):
        with pytest.raises(WeaviateQueryError, match=words):
            await created.with_tenant(tenant).query.fetch_objects()
    with pytest.raises(WeaviateQueryError, match="request was without tenant"):
        await created.query.fetch_objects()


async def test_wrong_types_are_errors_of_the_object(things: Any) -> None:
    outcome = await things.data.insert_many(
        [DataObject(properties={"pages": "many"}), DataObject(properties={"title": "fine"})]
    )

    assert "not a int, but str" in outcome.errors[0].message


async def test_collection_that_is_there_in_another_spelling_is_refused(client: Any, things: Any) -> None:
    with pytest.raises(UnexpectedStatusCodeError, match="similar class"):
        await client.collections.create("THINGS")
