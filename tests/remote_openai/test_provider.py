"""The provider in front of a fake with each service's habits."""

import asyncio
import logging
import traceback
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from hitchpost.api import (
    EmbeddingsRequest,
    Finish,
    FinishReason,
    Model,
    Usage,
)
from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    DeadlineExceededError,
    HitchpostError,
    UnauthenticatedError,
    UnsupportedError,
)
from hitchpost_remote_openai.config import TogetherKeys
from tests.remote_openai.conftest import context, keys, request

Start = Callable[..., Any]
OWN, WRONG = "right" * 3, "sk-wrong-" * 3
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORM = {"type": "json_schema", "json_schema": SCHEMA}


# --- what is sent ---


async def test_only_what_was_asked_for_is_sent(behind: Start) -> None:
    served = await behind()

    await served.chat()

    assert served.fake.asked == [{"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}]


@pytest.mark.parametrize(
    ("kind", "personality", "field"),
    [("openai", "openai", "max_completion_tokens"), ("vllm", "vllm", "max_tokens"), ("together", "together", "max_tokens")],
)  # fmt: skip
async def test_bound_of_answers_has_the_services_name(behind: Start, kind: str, personality: str, field: str) -> None:
    served = await behind(kind, personality, max_tokens=2, api_key="k")

    answer = await served.chat()
    await served.chat(sampling_params={"max_tokens": 3})

    assert [asked[field] for asked in served.fake.asked] == [2, 3]
    assert answer.choices[0].finish_reason is FinishReason.length


@pytest.mark.parametrize(
    ("schema_form", "sent"),
    [
        ("json_schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}}),
        ("json_object", {"response_format": {"type": "json_object", "schema": SCHEMA}}),
        ("guided_json", {"guided_json": SCHEMA}),
        ("structured_outputs", {"structured_outputs": {"json": SCHEMA}}),
    ],
)  # fmt: skip
async def test_schema_is_sent_in_each_dialect(behind: Start, schema_form: str, sent: dict[str, Any]) -> None:
    served = await behind("vllm", "vllm", schema_form=schema_form)

    answer = await served.chat(response_format=FORM)

    assert sent.items() <= served.fake.asked[0].items()
    assert answer.choices[0].text == '{"a": "x"}'


async def test_builtin_tool_is_offered_with_its_argument(behind: Start) -> None:
    served = await behind()

    await served.chat("Use the tool", tools=[{"tool_name": "brave_search"}])

    function = served.fake.asked[0]["tools"][0]["function"]
    assert (function["name"], function["parameters"]["required"]) == ("brave_search", ["query"])


async def test_retrieved_text_follows_the_users(behind: Start) -> None:
    served = await behind()

    await served.chat(messages=[{"role": "user", "content": "why?", "context": "because"}])

    assert served.fake.asked[0]["messages"] == [{"role": "user", "content": "why?\n\nbecause"}]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"role": "user", "content": {"image": {"uri": "file:///etc/passwd"}}}, BadRequestError),
        ({"role": "system", "content": {"image": {"uri": "http://h/a.png"}}}, UnsupportedError),
    ],
)
async def test_image_that_the_form_can_not_say_is_refused(
    behind: Start, message: dict[str, Any], error: type[HitchpostError]
) -> None:
    served = await behind()

    with pytest.raises(error):
        await served.chat(messages=[message])

    assert served.fake.asked == []


async def test_many_texts_are_embedded_in_batches(behind: Start) -> None:
    served = await behind()
    texts = [f"text {number}" for number in range(2049)]

    answer = await served.provider.embeddings(
        EmbeddingsRequest(model_id="e", contents=texts), context(model="org/embed")
    )

    assert [len(asked["input"]) for asked in served.fake.asked] == [2048, 1]
    assert len(answer.embeddings) == 2049
    assert answer.usage == Usage(2049, 0)


# --- keys ---


async def test_key_of_the_config_comes_first(behind: Start) -> None:
    served = await behind(api_key="caller-config")

    assert (await served.chat(data=keys("caller-a"))).choices[0].text == "caller-config: You said: hello"


async def test_without_a_key_in_the_config_each_caller_brings_its_own(behind: Start) -> None:
    served = await behind()

    assert (await served.chat(data=keys("caller-a"))).choices[0].text == "caller-a: You said: hello"
    assert (await served.chat()).choices[0].text == "You said: hello"


async def test_hosted_service_is_asked_with_the_key_of_each_caller(behind: Start) -> None:
    served = await behind("together", "together")
    callers = [f"caller-{number % 2}" for number in range(8)]

    data = [TogetherKeys.model_validate({"together_api_key": caller}) for caller in callers]
    answers = await asyncio.gather(*(served.chat(data=one) for one in data))

    assert [answer.choices[0].text for answer in answers] == [f"{caller}: You said: hello" for caller in callers]


async def test_server_that_only_callers_have_keys_of_starts_and_serves_them(behind: Start) -> None:
    served = await behind(key="caller-a")
    model = Model(identifier="mine", provider_resource_id="tiny")

    registered = await served.provider.register_model(model, None)

    assert await served.provider.list_models() == []
    assert registered == model
    assert (await served.chat(data=keys("caller-a"))).choices[0].text == "caller-a: You said: hello"
    with pytest.raises(UnauthenticatedError):
        await served.chat()


async def test_wrong_key_of_the_config_is_told_at_the_start(behind: Start) -> None:
    with pytest.raises(UnauthenticatedError):
        await behind(key="right", api_key="wrong-key-of-the-config")


@pytest.mark.parametrize("data", [None, {}, {"together_api_key": None}, {"together_api_key": " "}])
async def test_service_that_needs_a_key_says_how_to_send_one(behind: Start, data: Any) -> None:
    served = await behind("together", "together")
    brought = None if data is None else TogetherKeys.model_validate(data)

    with pytest.raises(BadRequestError, match=r'X-LlamaStack-ProviderData with \{"together_api_key"'):
        await served.chat(data=brought)


@pytest.mark.parametrize("kind", ["together", "fireworks"])
async def test_without_a_key_the_known_models_are_listed(behind: Start, kind: str) -> None:
    served = await behind(kind, "together", key="secret")

    models = await served.provider.list_models()

    assert {"meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo", "fireworks/llama-v3p1-8b-instruct"} & {
        model.provider_resource_id for model in models
    }


async def test_refused_key_is_in_no_error_and_no_log(behind: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    served = await behind("openai", "openai", OWN, api_key=OWN)
    open_to_callers = await behind("openai", "openai", OWN)

    with pytest.raises(UnauthenticatedError) as caught:
        await open_to_callers.chat(data=keys(WRONG))
    await served.chat()

    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(served.provider.config)
    assert WRONG not in told
    assert OWN not in told
    assert caught.value.provider_id == "p"


# --- models ---


@pytest.mark.parametrize("personality", ["openai", "vllm", "together"])
async def test_models_are_those_that_the_server_lists(behind: Start, personality: str) -> None:
    served = await behind("openai", personality)

    models = await served.provider.list_models()

    assert [model.provider_resource_id for model in models] == ["tiny", "org/embed"]


async def test_unknown_model_is_refused_with_those_there_are(behind: Start) -> None:
    served = await behind()

    with pytest.raises(BadRequestError, match="it lists org/embed, tiny"):
        await served.provider.register_model(Model(provider_resource_id="huge"), None)


async def test_llama_model_is_found_under_the_services_name(behind: Start) -> None:
    served = await behind("together", "together")

    model = await served.provider.register_model(Model(provider_resource_id="meta-llama/Llama-3.1-8B-Instruct"), None)

    assert model.provider_resource_id == "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"


async def test_server_that_lists_nothing_may_have_the_model_all_the_same(behind: Start) -> None:
    served = await behind("openai", "transformers")
    served.fake.names = ()

    model = await served.provider.register_model(Model(provider_resource_id="/models/own"), None)

    assert model.provider_resource_id == "/models/own"


# --- bad days ---


async def test_request_that_finds_the_server_gone_or_back_has_its_health_checked(behind: Start) -> None:
    served = await behind(max_retries=0)
    await served.chat()
    assert served.checks == 0

    await served.fake.die()
    for _ in range(2):
        with pytest.raises(BackendUnavailableError):
            await served.chat()
    assert served.checks == 1

    await served.fake.__aenter__()
    await served.chat()
    assert served.checks == 2
    await served.provider.health()
    await served.chat()
    assert served.checks == 2


async def test_cancelled_caller_ends_the_servers_work(behind: Start) -> None:
    served = await behind()
    async with served.fake.stall():
        stream = served.provider.stream_chat_completion(request("a few more words"), context())
        await anext(stream)
        assert served.fake.running == 1
        await stream.aclose()
        async with asyncio.timeout(5):
            while served.fake.running:
                await asyncio.sleep(0.005)


async def test_callers_that_leave_make_room_for_those_that_stay(behind: Start) -> None:
    served = await behind(max_connections=4)
    texts = [f"{number} and some more words" for number in range(50)]

    async def hear(number: int) -> str:
        said = ""
        stream = served.provider.stream_chat_completion(request(texts[number]), context())
        async with asyncio.timeout(20), aclosing(stream) as events:
            async for event in events:
                said += getattr(event, "text", "")
                if number % 2:
                    break
        return said

    heard = await asyncio.gather(*map(hear, range(50)))

    assert heard[::2] == [f"You said: {text}" for text in texts[::2]]
    async with asyncio.timeout(5):
        while served.fake.running:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("personality", ["vllm", "llamacpp"])
async def test_error_in_mid_stream_is_an_error_with_or_without_an_end(behind: Start, personality: str) -> None:
    served = await behind("openai", personality)
    served.fake.fault = "error"

    with pytest.raises(BadBackendAnswerError, match="CUDA out of memory"):
        await served.stream("a few more words")


@pytest.mark.parametrize(
    ("events", "error", "text"),
    [
        (b"data: [DONE]\n\n", BadBackendAnswerError, "before its end"),
        (b"", BadBackendAnswerError, "before its end"),
        (b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n", BadBackendAnswerError, "before its end"),
        (b"data: {\"choices\":[{\"del", BadBackendAnswerError, "half of something"),
        (b"data: \xc3\n\n", BadBackendAnswerError, "no UTF-8"),
        (b"data: <html>\n\n", BadBackendAnswerError, "HTML"),
        (b"garbage\n\n", BadBackendAnswerError, "before its end"),
        (b"data: " + b"x" * 10_000_000, BadBackendAnswerError, "a line of more than"),
        (b"data: []\n\n", BadBackendAnswerError, "can't be read"),
        (b'error: {"code":400,"message":"too long"}\n\n', BadRequestError, "too long"),
        (b'event: error\ndata: {"message":"no"}\n\n', BadBackendAnswerError, "no"),
        (b'data: {"error":{"message":"context","type":"BadRequestError","code":400}}\n\n', BadRequestError, "context"),
        (b'data: {"error":{"message":"busy","code":503}}\n\n', BackendUnavailableError, "busy"),
    ],
)  # fmt: skip
async def test_bad_stream_is_a_clear_error(
    behind: Start, events: bytes, error: type[HitchpostError], text: str
) -> None:
    served = await behind()
    served.fake.odd_events = events

    with pytest.raises(error, match=text):
        await served.stream()


async def test_carriage_returns_comments_and_a_missing_end_do_no_harm(behind: Start) -> None:
    served = await behind()
    served.fake.odd_events = b': hi\r\n\r\ndata: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\r\n\r\n'

    assert (await served.stream())[-1] == Finish(FinishReason.stop)


async def test_silence_in_mid_stream_ends_at_its_limit(behind: Start) -> None:
    served = await behind(between_chunks_timeout_s=0.1)
    async with served.fake.stall():
        with pytest.raises(DeadlineExceededError, match="fell silent"):
            await served.stream("a few more words")


async def test_refusal_of_a_field_names_it(behind: Start) -> None:
    served = await behind()

    with pytest.raises(BadRequestError, match="top_k"):
        await served.chat(sampling_params={"top_k": 5})


async def test_health_tells_that_the_server_is_gone(behind: Start) -> None:
    served = await behind(max_retries=0)
    await served.provider.health()
    await served.fake.__aexit__(None, None, None)

    with pytest.raises(BackendUnavailableError, match="can't be reached"):
        await served.provider.health()
