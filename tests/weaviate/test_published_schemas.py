"""What the fake answers and what the provider sends by REST, held against what Weaviate publishes of its REST API."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from hitchpost.api import RequestContext
from tests.fakes.weaviate import server as fake_server
from tests.fakes.weaviate.server import FakeWeaviate
from tests.weaviate.conftest import MakeBank, MakeProvider

PUBLISHED = json.loads((Path(fake_server.__file__).parent / "published_schemas.json").read_text("utf-8"))
CLIENT_NOISE = {"skip_vectorization", "vectorize_property_name"}
"""What weaviate-client sends with a property beyond what is published; the server ignores it."""
TENANTS = {"type": "array", "items": {"$ref": "#/$defs/Tenant"}}
NAMES = {"type": "array", "items": {"type": "string"}}


def check(value: Any, schema: str | dict[str, Any]) -> None:
    wanted = {"$ref": f"#/$defs/{schema}"} if isinstance(schema, str) else schema
    Draft202012Validator({**wanted, **PUBLISHED}).validate(value)


@pytest.fixture
async def caller(fake: FakeWeaviate) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client, which reads answers without the provider's help."""
    async with aiohttp.ClientSession(fake.url) as session:
        yield session


CLASS = {
    "class": "Thing",
    "properties": [{"name": "Title", "dataType": ["text"]}],
    "multiTenancyConfig": {"enabled": True},
}


@pytest.mark.parametrize(
    ("method", "path", "body", "schema"),
    [
        ("GET", "/v1/meta", None, "Meta"),
        ("GET", "/v1/schema", None, "Schema"),
        ("GET", "/v1/schema/Thing", None, "Class"),
        ("POST", "/v1/schema", {"class": "other"}, "Class"),
        ("POST", "/v1/schema/Thing/properties", {"name": "Body", "dataType": ["text"]}, "Property"),
        ("POST", "/v1/schema/Thing/tenants", [{"name": "bea"}], TENANTS),
        ("PUT", "/v1/schema/Thing/tenants", [{"name": "ann", "activityStatus": "COLD"}], TENANTS),
        ("GET", "/v1/schema/Thing/tenants/ann", None, "Tenant"),
    ],
)
async def test_fake_answers_what_is_published(
    method: str, path: str, body: Any, schema: Any, caller: aiohttp.ClientSession, fake: FakeWeaviate
) -> None:
    fake.schema.create(CLASS).tenants["ann"] = "HOT"

    async with caller.request(method, path, json=body) as response:
        answer = await response.json()

    assert response.status == 200
    check(answer, schema)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"class": "Thing"}, "class name Thing already exists"),
        ({"class": "thing"}, "class name Thing already exists"),
        ({"class": "THING"}, 'found similar class "Thing"'),
        ({"class": "a-b"}, "not a valid class name"),
        ({"class": "Other", "properties": [{"name": "id", "dataType": ["text"]}]}, "not a valid property name"),
    ],
)
async def test_fake_refuses_in_the_published_form(
    body: Any, words: str, caller: aiohttp.ClientSession, fake: FakeWeaviate
) -> None:
    fake.schema.create(CLASS)

    async with caller.post("/v1/schema", json=body) as response:
        answer = await response.json()

    assert response.status == 422
    check(answer, "ErrorResponse")
    assert words in answer["error"][0]["message"]


async def test_provider_sends_what_is_published(
    make_provider: MakeProvider, make_bank: MakeBank, fake: FakeWeaviate
) -> None:
    provider = await make_provider(tenant="ann")
    banks = [await make_bank(kind, kind, at=provider) for kind in ("vector", "keyword", "keyvalue")]
    await banks[0].insert({"d": "text"})
    await provider.unregister_memory_bank(banks[0].resource, RequestContext(request_id="req_test"))

    sent = [
        (f"{method} {path.rpartition('/')[2]}", body) for method, path, _, body in fake.requests if body is not None
    ]

    schemas: dict[str, Any] = {"POST schema": "Class", "POST tenants": TENANTS, "DELETE tenants": NAMES}
    assert {what for what, _ in sent} == set(schemas)
    for what, body in sent:
        check(body, schemas[what])
    classes = [body for what, body in sent if what == "POST schema"]
    for body in classes:
        assert body.keys() <= PUBLISHED["$defs"]["Class"]["properties"].keys()
        for one in body["properties"]:
            assert one.keys() <= PUBLISHED["$defs"]["Property"]["properties"].keys() | CLIENT_NOISE
