"""`remote::bedrock` through boto3 and the wire: what Bedrock is asked, and what callers get."""

import asyncio
import base64
import json
import math
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hitchpost.api import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingsRequest,
    Finish,
    FinishReason,
    Model,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from hitchpost.errors import BadRequestError, NotFoundError, UnauthenticatedError, UnsupportedError
from hitchpost_bedrock.aws.credentials import AwsProviderData
from hitchpost_bedrock.inference.provider import BedrockInference
from tests.bedrock.conftest import LLAMA, MakeProvider, asking, keys_of
from tests.fakes.bedrock.server import FakeBedrock
from tests.plugged import chat, until

pytestmark = pytest.mark.timeout(30)
WEATHER = {
    "tool_name": "get_weather",
    "description": "The weather of a place.",
    "parameters": {"location": {"param_type": "string", "required": True}},
}
PROFILE = "us.meta.llama3-2-11b-instruct-v1:0"
SILENT = "ai21.jamba-silent-v1:0"


async def events_of(stream: Any) -> list[Any]:
    async with aclosing(stream) as events:
        return [event async for event in events]


# --- chat ---


async def test_parallel_calls_are_streamed_in_fragments(provider: BedrockInference) -> None:
    request = chat(text="weather of both in Oslo and in Rome", tools=[WEATHER])

    events = await events_of(provider.stream_chat_completion(request, asking()))

    starts = [(event.index, event.name) for event in events if isinstance(event, ToolCallStart)]
    texts = ["".join(e.arguments for e in events if isinstance(e, ToolCallDelta) and e.index == i) for i in (0, 1)]
    assert starts == [(0, "get_weather"), (1, "get_weather")]
    assert [json.loads(text) for text in texts] == [{"location": "Oslo"}, {"location": "Rome"}]
    assert isinstance(events[-2], Usage)
    assert events[-1] == Finish(FinishReason.tool_calls)


@pytest.mark.parametrize("text", ["weather of both in Oslo and in Rome", "think", "Count from one", "say nothing"])
async def test_whole_answer_is_what_the_stream_spells(provider: BedrockInference, text: str) -> None:
    request = chat(text=text, tools=[WEATHER])
    streamed = await events_of(provider.stream_chat_completion(request, asking()))

    [choice] = (await provider.chat_completion(request, asking())).choices

    assert choice.text == "".join(event.text for event in streamed if isinstance(event, TextDelta))
    assert choice.reasoning == "".join(event.text for event in streamed if isinstance(event, ReasoningDelta))
    assert choice.finish_reason == streamed[-1].reason
    assert len(choice.tool_calls) == sum(isinstance(event, ToolCallStart) for event in streamed)


async def test_only_one_call_is_told_where_more_are_forbidden(provider: BedrockInference) -> None:
    request = chat(text="weather of both in Oslo and in Rome", tools=[WEATHER], parallel_tool_calls=False)

    [choice] = (await provider.chat_completion(request, asking())).choices

    assert [call.find_arguments() for call in choice.tool_calls] == [{"location": "Oslo"}]


async def test_images_reach_bedrock_as_bytes(provider: BedrockInference, fake: FakeBedrock) -> None:
    data = base64.b64encode(b"\x89PNG pixels").decode()
    image = {"image": {"uri": f"data:image/png;base64,{data}"}}
    request = ChatCompletionRequest.model_validate(
        {"model_id": "m", "messages": [{"role": "user", "content": ["see", image]}]}
    )

    await provider.chat_completion(request, asking(PROFILE))

    assert fake.requests[-1][1]["messages"][0]["content"][1] == {"image": {"format": "png", "source": {"bytes": data}}}


async def test_model_ids_travel_whole(provider: BedrockInference, fake: FakeBedrock) -> None:
    arn = f"arn:aws:bedrock:us-east-1::foundation-model/{LLAMA}"

    await provider.chat_completion(chat(), asking(arn))

    assert fake.requests[-1][0] == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fmeta.llama3-1-8b-instruct-v1%3A0/converse"
    )


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_guardrail_of_the_config_holds_whatever_the_metadata_says(
    make_provider: MakeProvider, fake: FakeBedrock, is_streamed: bool
) -> None:
    guard = {"guardrail_identifier": "g1", "guardrail_version": "2", "guardrail_trace": "enabled"}
    provider = await make_provider(**guard, guardrail_stream_mode="async")
    context = asking(guardrail_identifier="weak", guardrail_version="1")
    request = chat(text="something forbidden")

    if is_streamed:
        end = (await events_of(provider.stream_chat_completion(request, context)))[-1]
        reason, extra = end.reason, end.extra
    else:
        answer = await provider.chat_completion(request, context)
        reason, extra = answer.choices[0].finish_reason, answer.extra

    sent = fake.requests[-1][1]["guardrailConfig"]
    assert (sent["guardrailIdentifier"], sent["guardrailVersion"]) == ("g1", "2")
    assert sent.get("streamProcessingMode") == ("async" if is_streamed else None)
    assert reason is FinishReason.content_filter
    assert extra == {"amazon_bedrock_trace": {"guardrail": {"actionReason": "Guardrail blocked."}}}


async def test_guardrail_of_a_model_holds_where_the_config_has_none(
    provider: BedrockInference, fake: FakeBedrock
) -> None:
    await provider.chat_completion(chat(), asking(guardrail_identifier="g2", guardrail_version="DRAFT"))

    assert fake.requests[-1][1]["guardrailConfig"] == {"guardrailIdentifier": "g2", "guardrailVersion": "DRAFT"}


async def test_model_that_can_not_stream_is_asked_at_once(provider: BedrockInference, fake: FakeBedrock) -> None:
    model = await provider.register_model(Model(provider_resource_id=SILENT), None)

    events = await events_of(provider.stream_chat_completion(chat(), asking(SILENT, **model.metadata)))

    assert fake.requests[-1][0].endswith("/converse")
    assert isinstance(events[0], TextDelta)
    assert events[-1] == Finish(FinishReason.stop)


async def test_base_model_that_needs_a_profile_is_told_so(provider: BedrockInference) -> None:
    with pytest.raises(BadRequestError, match="inference profile"):
        await provider.chat_completion(chat(), asking("anthropic.claude-sonnet-4-v1:0"))


async def test_unknown_model_is_not_found(provider: BedrockInference) -> None:
    with pytest.raises(NotFoundError):
        await provider.chat_completion(chat(), asking("meta.nothing-v1:0"))


# --- credentials ---


async def test_concurrent_callers_are_answered_under_their_own_keys(open_provider: BedrockInference) -> None:
    names = [f"AKIA{number}" for number in range(40)]

    async def ask(name: str) -> str:
        context = asking(data=keys_of(name))
        events = await events_of(open_provider.stream_chat_completion(chat(text=name), context))
        return "".join(event.text for event in events if isinstance(event, TextDelta))

    answers = await asyncio.gather(*(ask(name) for name in names))

    assert answers == [f"You said: {name} [{name}]" for name in names]


async def test_callers_keys_win_over_a_token_in_the_hosts_environment(
    make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "host-token")
    provider = await make_provider(aws_access_key_id=None, aws_secret_access_key=None)

    brought = await provider.chat_completion(chat(text="hi"), asking(data=keys_of("AKIAANN")))

    assert brought.choices[0].text == "You said: hi [AKIAANN]"


async def test_keys_of_the_config_come_before_those_of_a_caller(provider: BedrockInference) -> None:
    answer = await provider.chat_completion(chat(text="hi"), asking(data=keys_of("AKIAANN")))

    assert answer.choices[0].text == "You said: hi [AKIAHOST]"


async def test_keys_of_the_config_win_over_the_environment(
    make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "host-token")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    provider = await make_provider()

    assert (await provider.chat_completion(chat(text="hi"), asking())).choices[0].text == "You said: hi [AKIAHOST]"


async def test_keys_are_found_in_the_environment(make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    provider = await make_provider(aws_access_key_id="", aws_secret_access_key="", region_name="")

    assert (await provider.chat_completion(chat(text="hi"), asking())).choices[0].text == "You said: hi [AKIAENV]"


async def test_keys_are_found_in_a_profile_and_come_before_those_of_a_caller(
    make_provider: MakeProvider, tmp_path: Path
) -> None:
    lines = ["[team]", "aws_access_key_id=AKIATEAM", "aws_secret_access_key=of the team"]
    (tmp_path / "credentials").write_text("\n".join(lines))
    provider = await make_provider(aws_access_key_id=None, aws_secret_access_key=None, profile_name="team")

    own = await provider.chat_completion(chat(text="hi"), asking())
    of_a_caller = await provider.chat_completion(chat(text="hi"), asking(data=keys_of("AKIAANN")))

    assert [own.choices[0].text, of_a_caller.choices[0].text] == ["You said: hi [AKIATEAM]"] * 2


async def test_session_token_and_region_of_a_caller_are_signed_with(
    open_provider: BedrockInference, fake: FakeBedrock
) -> None:
    data = {**keys_of("ASIAANN"), "aws_session_token": "a-token", "aws_region": "eu-west-1"}

    await open_provider.chat_completion(chat(), asking(data=data))

    assert fake.headers[-1]["X-Amz-Security-Token"] == "a-token"
    assert "/eu-west-1/bedrock/aws4_request" in fake.headers[-1]["Authorization"]


async def test_caller_after_another_with_the_same_key_and_a_wrong_secret_shares_no_client(
    open_provider: BedrockInference, fake: FakeBedrock
) -> None:
    await open_provider.chat_completion(chat(), asking(data=keys_of("AKIAANN")))
    await open_provider.chat_completion(chat(), asking(data={**keys_of("AKIAANN"), "aws_secret_access_key": "other"}))

    signatures = {headers["Authorization"].partition("Signature=")[2] for headers in fake.headers}
    assert len(signatures) == 2


# --- models ---


async def test_models_and_profiles_of_all_pages_are_listed(provider: BedrockInference) -> None:
    models = {model.provider_resource_id: model.metadata for model in await provider.list_models()}

    assert {name for name in models if name.startswith(("us.", "global.", "arn:"))} == {
        "us.meta.llama3-1-8b-instruct-v1:0",
        PROFILE,
        "global.anthropic.claude-sonnet-4-v1:0",
        "us.anthropic.claude-sonnet-4-v1:0",
        "us.amazon.nova-lite-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/k9x2f7ab1c3d",
    }
    assert models[LLAMA]["llama_model"] == "meta-llama/Llama-3.1-8B-Instruct"
    assert "vision" in models[PROFILE]["capabilities"]
    assert "vision" not in models[LLAMA]["capabilities"]
    assert models["amazon.titan-embed-text-v1"]["embedding_dimension"] == 1536


@pytest.mark.parametrize(
    "name", ["anthropic.claude-sonnet-4-v1:0", "stability.image-core-v1:0", "meta.llama3-1-8b-instruct-v1:0:128k"]
)
async def test_models_that_can_not_be_called_so_are_not_listed(provider: BedrockInference, name: str) -> None:
    assert name not in {model.provider_resource_id for model in await provider.list_models()}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", LLAMA),
        ("Llama3.1-8B-Instruct", LLAMA),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", PROFILE),
        ("anthropic.claude-sonnet-4-v1:0", "us.anthropic.claude-sonnet-4-v1:0"),
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
    ],
)
async def test_model_is_registered_by_any_name_of_it(provider: BedrockInference, asked: str, found: str) -> None:
    registered = await provider.register_model(Model(provider_resource_id=asked), None)

    assert registered.provider_resource_id == found


async def test_unknown_model_is_refused_with_those_that_are_like_it(provider: BedrockInference) -> None:
    with pytest.raises(BadRequestError, match=r"meta\.llama3-1-8b-instruct-v1:0"):
        await provider.register_model(Model(provider_resource_id="meta.llama3-1-9b-instruct-v1:0"), None)


async def test_without_the_right_to_list_models_are_taken_as_they_are_named(
    provider: BedrockInference, fake: FakeBedrock
) -> None:
    fake.may_list = False

    registered = await provider.register_model(Model(provider_resource_id="Llama3.1-8B-Instruct"), None)

    assert await provider.list_models() == []
    assert registered.provider_resource_id == LLAMA


async def test_metadata_that_can_not_be_is_refused_by_name(provider: BedrockInference) -> None:
    model = Model(provider_resource_id=LLAMA, metadata={"streaming": "perhaps"})

    with pytest.raises(BadRequestError, match=r"metadata\.streaming"):
        await provider.register_model(model, None)


@pytest.mark.parametrize("may_list", [True, False])
@pytest.mark.parametrize(
    "name", ["amazon.titan-embed-text-v1", "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v1"]
)
async def test_registration_with_another_dimension_than_the_models_is_refused(
    name: str, may_list: bool, provider: BedrockInference, fake: FakeBedrock
) -> None:
    fake.may_list = may_list
    wrong = Model(provider_resource_id=name, metadata={"embedding_dimension": 384})

    with pytest.raises(BadRequestError, match=r"embedding_dimension is 384, and .* have 1536 numbers"):
        await provider.register_model(wrong, None)


async def test_listing_with_wrong_keys_fails_in_the_open(make_provider: MakeProvider) -> None:
    provider = await make_provider(aws_access_key_id="WRONG")

    with pytest.raises(UnauthenticatedError):
        await provider.list_models()


# --- completion ---


def completion(content: Any = "Count from one", **sampling: Any) -> CompletionRequest:
    return CompletionRequest.model_validate({"model_id": "m", "content": content, "sampling_params": sampling})


async def test_completion_is_streamed_with_its_usage(provider: BedrockInference, fake: FakeBedrock) -> None:
    events = await events_of(provider.stream_completion(completion("Once", max_tokens=3), asking()))

    assert "".join(event.text for event in events[:-2]) == " and so it"
    assert events[-2:] == [Usage(1, 3), Finish(FinishReason.length)]
    assert fake.requests[-1][1] == {"prompt": "<|begin_of_text|>Once", "max_gen_len": 3}


async def test_stop_string_over_two_chunks_ends_a_completion_and_its_backend(
    provider: BedrockInference, fake: FakeBedrock
) -> None:
    events = await events_of(provider.stream_completion(completion(stop=["ee fo"]), asking()))

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "one two thr"
    assert events[-1] == Finish(FinishReason.stop, stop_text="ee fo")
    await until(lambda: fake.running == 0)


async def test_whole_completion_is_what_the_stream_spells(provider: BedrockInference) -> None:
    request = completion(stop=["five"])
    streamed = await events_of(provider.stream_completion(request, asking()))

    [choice] = (await provider.completion(request, asking())).choices

    assert choice.text == "".join(event.text for event in streamed if isinstance(event, TextDelta))
    assert choice.stop_text == "five"


async def test_completion_of_another_model_than_llama_is_unsupported(provider: BedrockInference) -> None:
    with pytest.raises(UnsupportedError) as failed:
        await provider.completion(completion(), asking("amazon.nova-lite-v1:0"))

    assert failed.value.param == "model"


# --- embeddings ---


EMBEDDERS = [
    ("amazon.titan-embed-text-v1", None, 1536, 3),
    ("amazon.titan-embed-text-v2:0", None, 1024, 3),
    ("amazon.titan-embed-text-v2:0", 256, 256, 3),
    ("cohere.embed-english-v3", None, 1024, 1),
    ("cohere.embed-v4:0", None, 1536, 1),
    ("cohere.embed-v4:0", 512, 512, 1),
    ("amazon.nova-2-multimodal-embeddings-v1:0", 384, 384, 3),
]


@pytest.mark.parametrize(("model", "dimensions", "length", "calls"), EMBEDDERS)
async def test_each_family_embeds_in_order(
    provider: BedrockInference, fake: FakeBedrock, model: str, dimensions: int | None, length: int, calls: int
) -> None:
    texts = ["one", "two words", "three little words"]
    request = EmbeddingsRequest(model_id="m", contents=texts, dimensions=dimensions)

    answer = await provider.embeddings(request, asking(model))

    assert [len(vector) for vector in answer.embeddings] == [length] * 3
    assert all(math.isclose(math.hypot(*vector), 1) for vector in answer.embeddings)
    assert answer.usage == Usage(6, 0)
    assert len(fake.requests) == calls
    [alone] = (await provider.embeddings(request.model_copy(update={"contents": texts[1:2]}), asking(model))).embeddings
    assert alone == answer.embeddings[1]


async def test_many_texts_go_to_cohere_by_96(provider: BedrockInference, fake: FakeBedrock) -> None:
    request = EmbeddingsRequest(model_id="m", contents=[str(number) for number in range(200)])

    answer = await provider.embeddings(request, asking("cohere.embed-english-v3", input_type="search_query"))

    assert sorted(len(body["texts"]) for _, body in fake.requests) == [8, 96, 96]
    assert {body["input_type"] for _, body in fake.requests} == {"search_query"}
    assert len(answer.embeddings) == 200


@pytest.mark.parametrize(
    ("fields", "model", "expected", "param"),
    [
        ({"contents": [" "]}, "amazon.titan-embed-text-v1", BadRequestError, "contents.0"),
        ({"contents": ["x"], "dimensions": 100}, "amazon.titan-embed-text-v2:0", UnsupportedError, "dimensions"),
        ({"contents": ["x"], "dimensions": 256}, "amazon.titan-embed-text-v1", UnsupportedError, "dimensions"),
        ({"contents": ["x"], "dimensions": 3072}, "cohere.embed-v4:0", UnsupportedError, "dimensions"),
        ({"contents": ["x"]}, LLAMA, UnsupportedError, "model"),
    ],
)
async def test_embeddings_that_can_not_be_are_refused_by_name(
    provider: BedrockInference, fields: dict[str, Any], model: str, expected: type[Exception], param: str
) -> None:
    with pytest.raises(expected) as failed:
        await provider.embeddings(EmbeddingsRequest(model_id="m", **fields), asking(model))

    assert failed.value.param == param  # type: ignore[attr-defined]


async def test_model_is_registered_without_credentials_for_callers_who_bring_theirs(
    open_provider: BedrockInference,
) -> None:
    asked = Model(identifier="m", provider_id="bedrock", provider_resource_id="Llama3.1-8B-Instruct")

    registered = await open_provider.register_model(asked, None)

    context = asking(registered.provider_resource_id, data=keys_of("AKIAANN"))
    answer = await open_provider.chat_completion(chat(text="hi"), context)
    assert (await open_provider.list_models(), answer.choices[0].text) == ([], "You said: hi [AKIAANN]")


@pytest.mark.parametrize("field", ["aws_access_key_id", "aws_session_token"])
def test_credentials_that_no_header_can_hold_are_refused_by_their_field(field: str) -> None:
    with pytest.raises(ValidationError, match=f"{field}\n.*without spaces and line breaks"):
        AwsProviderData.model_validate({**keys_of("AKIAANN"), field: "AKIA\r\nX-Other: 1"})
