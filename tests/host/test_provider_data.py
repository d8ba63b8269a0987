"""What a caller sends for a provider per request: typed, seen by that provider alone, for as long as the request lasts."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from tests.host.served import ServedHost, odd_config, served

CHAT = "/v1/chat/completions"
NATIVE_CHAT = "/alpha/inference/chat-completion"
HEADERS = (
    "X-LlamaStack-ProviderData",
    "X-LlamaStack-Provider-Data",
    "X-OGX-Provider-Data",
    "x-llamastack-providerdata",
)


@pytest.fixture
async def keyed() -> AsyncIterator[ServedHost]:
    """A host over a provider that says which `acme_key` it was sent, beside one that takes nothing."""
    config = odd_config()
    config["providers"]["inference"].append({"provider_id": "keyed", "provider_type": "inline::keyed"})
    async with served(config) as running:
        yield running


def native(stream: bool = False) -> dict[str, object]:
    return {"model_id": "keyed", "messages": [{"role": "user", "content": "hello"}], "stream": stream}


def openai(stream: bool = False) -> dict[str, object]:
    return {"model": "keyed", "messages": [{"role": "user", "content": "hello"}], "stream": stream}


def sent(**data: object) -> dict[str, str]:
    return {HEADERS[0]: json.dumps(data)}


async def said(host: ServedHost, **headers: str) -> str:
    """What a stream said of the key it was sent."""
    events = (await host.post(NATIVE_CHAT, native(stream=True), **headers)).events
    return "".join(event["event"]["delta"] for event in events).strip()


@pytest.mark.parametrize("header", HEADERS)
async def test_provider_data_reaches_the_provider_under_each_name_of_the_header(header: str, keyed: ServedHost) -> None:
    assert await said(keyed, **{header: json.dumps({"acme_key": "k"})}) == "k k k k k"


async def test_hundreds_of_streams_at_once_see_their_own_data_and_no_other(keyed: ServedHost) -> None:
    answers = await asyncio.gather(*(said(keyed, **sent(acme_key=f"key-{number}")) for number in range(300)))
    afterwards = await said(keyed)

    assert answers == [" ".join([f"key-{number}"] * 5) for number in range(300)]
    assert afterwards == " ".join(["nothing"] * 5)


@pytest.mark.parametrize(("path", "body"), [(CHAT, openai()), (NATIVE_CHAT, native())])
async def test_wrong_provider_data_is_a_400_that_names_each_field_and_no_value(
    path: str, body: dict[str, object], keyed: ServedHost
) -> None:
    answer = await keyed.post(path, body, **sent(acme_key=12345, acme_retries="sk-secret"))

    assert answer.status == 400
    assert "acme_key" in answer.text
    assert "acme_retries" in answer.text
    assert "sk-secret" not in answer.text
    assert "12345" not in answer.text


@pytest.mark.parametrize("text", ["{", "[1]", '"text"', "\xff"])
async def test_header_that_is_no_json_object_is_a_400(text: str, keyed: ServedHost) -> None:
    answer = await keyed.post(CHAT, openai(), **{HEADERS[0]: text})

    assert answer.status == 400
    assert HEADERS[0] in answer.text


async def test_data_of_other_providers_in_the_same_header_does_not_matter(keyed: ServedHost) -> None:
    assert await said(keyed, **sent(acme_key="k", weaviate_api_key=3)) == "k k k k k"


async def test_provider_data_is_never_logged(keyed: ServedHost, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    await said(keyed, **sent(acme_key="sk-very-secret"))
    await keyed.post(CHAT, openai(), **sent(acme_key=["sk-very-secret"]))

    assert "sk-very-secret" not in caplog.text


async def test_schema_of_provider_data_is_shown(keyed: ServedHost) -> None:
    providers = (await keyed.get("/hitchpost/v1/providers")).json["data"]
    header = (await keyed.get("/openapi.json")).json["components"]["parameters"]["ProviderData"]

    by_id = {provider["provider_id"]: provider["provider_data"] for provider in providers}
    assert by_id["odd"] is None
    assert set(by_id["keyed"]["properties"]) == {"acme_key", "acme_retries"}
    assert [schema["title"] for schema in header["content"]["application/json"]["schema"]["anyOf"]] == ["keyed"]


@pytest.mark.parametrize("header", HEADERS)
async def test_header_that_is_no_utf_8_is_a_400(header: str, keyed: ServedHost) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(keyed.url.rpartition(":")[2]))

    writer.write(b"GET /alpha/models/list HTTP/1.1\r\nHost: 127.0.0.1\r\n" + header.encode() + b": \xff\r\n\r\n")
    status = await reader.readline()
    writer.close()

    assert status.split()[1] == b"400"
