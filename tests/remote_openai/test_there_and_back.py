"""What both forms can say survives the way to another Hitchpost and back; its surface is the other half of our translation."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost import api
from hitchpost.host.body import parse_json_body
from hitchpost.host.openai import chunks, encode, translate, wire
from hitchpost.plugin import collect_chat, collect_completion
from hitchpost.remote import EventParser
from hitchpost_remote_openai.answers import ChatEvents, CompletionEvents, vectors
from hitchpost_remote_openai.models import listed_models
from hitchpost_remote_openai.requests import chat_body, completion_body, embeddings_bodies

HEAD = encode.AnswerHead("x", "m", 0)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
said_texts = texts.filter(bool)
numbers = st.floats(-5, 5, allow_nan=False)
arguments = st.dictionaries(names, texts | numbers | st.lists(texts, max_size=2), max_size=3).map(json.dumps)
images = st.builds(
    lambda uri: api.ImageMedia(image=api.URL(uri=uri)), st.sampled_from(["http://h/a.png", "data:image/png;base64,AA"])
)
text_contents = texts | st.lists(texts, min_size=2, max_size=3)
user_contents = text_contents | images | st.lists(texts | images, min_size=2, max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> list[api.Message]:
    messages: list[api.Message] = [api.SystemMessage(content=draw(text_contents))]
    for turn in range(draw(st.integers(1, 3))):
        messages.append(api.UserMessage(content=draw(user_contents)))
        tools = draw(st.lists(names, max_size=2))
        calls = [
            api.ToolCall(call_id=f"call_{turn}_{at}", tool_name=name, arguments_json=draw(arguments))
            for at, name in enumerate(tools)
        ]
        reason = api.StopReason.end_of_message if calls else api.StopReason.end_of_turn
        messages.append(api.CompletionMessage(content=draw(texts), stop_reason=reason, tool_calls=calls))
        messages += [
            api.ToolResponseMessage(call_id=call.call_id, tool_name=call.tool_name, content=draw(text_contents))
            for call in calls
        ]
    return messages


samplings = st.builds(
    api.SamplingParams,
    strategy=st.none(),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 100),
    max_tokens=st.none() | st.integers(1, 1000),
    repetition_penalty=st.none() | st.floats(1.01, 2),
    stop=st.none() | st.lists(said_texts, min_size=1, max_size=4),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    n=st.integers(1, 4),
    presence_penalty=st.floats(-2, 2),
    frequency_penalty=st.floats(-2, 2),
    logit_bias=st.none() | st.dictionaries(st.integers(0, 9999), st.floats(-100, 100), min_size=1, max_size=3),
)
schemas = st.just({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
tools = st.lists(
    st.builds(
        api.ToolDefinition,
        tool_name=names,
        description=st.none() | texts,
        json_schema=schemas,
        strict=st.none() | st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def chat_requests(draw: st.DrawFn) -> api.ChatCompletionRequest:
    offered = draw(st.none() | tools)
    choices = [api.ToolChoiceMode.auto]
    if offered:
        choices += [*api.ToolChoiceMode, api.NamedToolChoice(tool_name=offered[0].tool_name)]
    return api.ChatCompletionRequest(
        model_id="m",
        messages=draw(conversations()),
        sampling_params=draw(samplings),
        tools=offered,
        tool_choice=draw(st.sampled_from(choices)),
        response_format=draw(
            st.none()
            | st.just(api.JsonObjectResponseFormat())
            | st.builds(api.JsonSchemaResponseFormat, json_schema=schemas)
        ),
        stream=True,
        logprobs=draw(st.none() | st.builds(api.LogProbConfig, top_k=st.integers(0, 20))),
        parallel_tool_calls=draw(st.none() | st.booleans()) if offered else None,
    )


@given(chat_requests(), st.sampled_from(["max_tokens", "max_completion_tokens"]))
def test_chat_request_arrives_as_it_was(request: api.ChatCompletionRequest, field: str) -> None:
    body = chat_body(request, "m", stream=True, max_tokens_field=field)  # type: ignore[arg-type]

    arrived = translate.to_chat_request(parse_json_body(wire.ChatCompletionRequest, json.dumps(body).encode()))

    assert arrived.model_dump() == request.model_dump()


parameters = st.dictionaries(
    names,
    st.builds(
        api.ToolParamDefinition,
        param_type=st.sampled_from(["string", "int", "float", "bool", "list", "dict"]),
        description=st.none() | texts,
        required=st.booleans(),
    ),
    max_size=3,
)


@given(st.builds(api.ToolDefinition, tool_name=names, description=st.none() | texts, parameters=parameters))
def test_tool_with_native_parameters_arrives_as_the_same_schema(tool: api.ToolDefinition) -> None:
    messages = [api.UserMessage(content="hi")]
    body = chat_body(api.ChatCompletionRequest(model_id="m", messages=messages, tools=[tool]), "m", stream=False)

    arrived = translate.to_chat_request(parse_json_body(wire.ChatCompletionRequest, json.dumps(body).encode()))

    [back] = arrived.tools or ()
    assert (back.tool_name, back.description) == (tool.tool_name, tool.description)
    assert back.arguments_schema() == tool.arguments_schema()


@given(user_contents, text_contents)
def test_retrieved_text_arrives_after_what_the_user_says(said: Any, retrieved: Any) -> None:
    message = api.UserMessage(content=said, context=retrieved)
    body = chat_body(api.ChatCompletionRequest(model_id="m", messages=[message]), "m", stream=False)

    arrived = translate.to_chat_request(parse_json_body(wire.ChatCompletionRequest, json.dumps(body).encode()))

    parts = [*api.content_items(said), "\n\n", *api.content_items(retrieved)]
    [back] = arrived.messages
    assert "".join(map(str, api.content_items(back.content))) == "".join(map(str, parts))


@given(samplings, said_texts, st.booleans(), st.none() | st.builds(api.LogProbConfig, top_k=st.integers(1, 5)))
def test_completion_request_arrives_as_it_was(
    sampling: api.SamplingParams, prompt: str, echo: bool, asked: api.LogProbConfig | None
) -> None:
    sampling.max_tokens = sampling.max_tokens or 7
    # The form can't say which token of an echoed prompt is likely.
    asked = None if echo else asked
    request = api.CompletionRequest(
        model_id="m", content=prompt, sampling_params=sampling, stream=True, echo=echo, logprobs=asked
    )
    body = completion_body(request, "m", stream=True)

    [arrived] = translate.to_completion_requests(parse_json_body(wire.CompletionRequest, json.dumps(body).encode()))

    assert arrived.model_dump() == request.model_dump()


logprobs = st.lists(
    st.builds(
        api.TokenLogprob,
        token=texts,
        logprob=st.floats(-50, 0),
        bytes=st.none() | st.lists(st.integers(0, 255), max_size=3),
        top=st.none()
        | st.lists(st.builds(api.TopLogprob, token=texts, logprob=st.floats(-50, 0)), min_size=1, max_size=2),
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip


def shuffled(draw: st.DrawFn, *streams: list[Any]) -> list[Any]:
    """Several streams as one, each in its order."""
    left = [list(stream) for stream in streams if stream]
    merged = []
    while left:
        stream = draw(st.sampled_from(left))
        merged.append(stream.pop(0))
        left = [other for other in left if other]
    return merged


@st.composite
def chat_events(draw: st.DrawFn) -> tuple[int, list[api.InferenceEvent]]:
    n = draw(st.integers(1, 3))
    choices = []
    for choice in range(n):
        events: list[api.InferenceEvent] = []
        events += [api.ReasoningDelta(text, choice) for text in draw(st.lists(said_texts, max_size=2))]
        events += [
            api.TextDelta(text, choice, draw(st.none() | logprobs)) for text in draw(st.lists(said_texts, max_size=3))
        ]
        events += [api.RefusalDelta(text, choice) for text in draw(st.lists(said_texts, max_size=1))]
        called = draw(st.lists(names, max_size=3))
        calls: list[list[api.InferenceEvent]] = []
        for index, name in enumerate(called):
            events.append(api.ToolCallStart(index, f"call_{choice}_{index}", name, choice))
            whole = draw(arguments)
            calls.append([api.ToolCallDelta(index, whole[at : at + 4], choice) for at in range(0, len(whole), 4)])
        events += shuffled(draw, *calls)
        reasons = [api.FinishReason.length, api.FinishReason.content_filter]
        reasons += [api.FinishReason.tool_calls] if called else [api.FinishReason.stop]
        events.append(api.Finish(draw(st.sampled_from(reasons)), choice))
        choices.append(events)
    usage = api.Usage(draw(st.integers(0, 99)), draw(st.integers(0, 99)), draw(st.none() | st.integers(0, 9)))
    return n, [*shuffled(draw, *choices), usage]


async def replayed(events: list[api.InferenceEvent]) -> api.ChatCompletionResponse:
    async def stream():  # type: ignore[no-untyped-def]
        for event in events:
            yield event

    return await collect_chat(stream(), max((getattr(event, "choice", 0) for event in events), default=0) + 1)


@given(chat_events())
async def test_streamed_chat_answer_comes_back_as_it_was(given_: tuple[int, list[api.InferenceEvent]]) -> None:
    n, events = given_
    encoder = chunks.ChatChunks(HEAD, include_usage=True)
    sent = "".join([*(encoder.encode(event) for event in events), encoder.end()])
    reader = ChatEvents(n, "Acme")

    parsed = [json.loads(event.data) for event in EventParser().feed(sent.encode()) if event.data != b"[DONE]"]
    back = [event for chunk in parsed for event in reader.chunk(chunk)]

    assert await replayed([*back, *reader.end()]) == await replayed(events)


@given(chat_events())
async def test_whole_chat_answer_comes_back_as_it_was(given_: tuple[int, list[api.InferenceEvent]]) -> None:
    n, events = given_
    answer = await replayed(events)

    sent = json.loads(json.dumps(encode.chat_completion(answer, HEAD)))

    assert await replayed(ChatEvents(n, "Acme").whole(sent)) == answer


plain_logprobs = st.lists(st.builds(api.TokenLogprob, token=texts, logprob=st.floats(-50, 0)), min_size=1, max_size=3)


@given(st.lists(st.tuples(said_texts, st.none() | plain_logprobs), max_size=4), st.sampled_from(["stop", "length"]))
async def test_streamed_completion_comes_back_as_it_was(
    said: list[tuple[str, list[api.TokenLogprob] | None]], reason: str
) -> None:
    events: list[api.CompletionEvent] = [api.TextDelta(text, logprobs=tokens) for text, tokens in said]
    events += [api.Finish(api.FinishReason(reason)), api.Usage(1, 2)]
    encoder = chunks.CompletionChunks(HEAD, include_usage=True)
    sent = "".join([*(encoder.encode(event) for event in events), encoder.end()])
    reader = CompletionEvents(1, "Acme")

    parsed = [json.loads(event.data) for event in EventParser().feed(sent.encode()) if event.data != b"[DONE]"]
    back = [*(event for chunk in parsed for event in reader.chunk(chunk)), *reader.end()]

    async def stream(events: list[api.CompletionEvent]):  # type: ignore[no-untyped-def]
        for event in events:
            yield event

    answer = await collect_completion(stream(back), 1)
    # The form names the chosen token among the likely ones, asked or not.
    for token in answer.choices[0].logprobs or ():
        token.top = None
    assert answer == await collect_completion(stream(events), 1)


@st.composite
def completions(draw: st.DrawFn) -> api.CompletionResponse:
    """The chosen token is among the likely ones, as the form tells those by their text."""
    choices = []
    for index in range(draw(st.integers(1, 3))):
        reason = draw(
            st.sampled_from([api.FinishReason.stop, api.FinishReason.length, api.FinishReason.content_filter])
        )
        chosen = draw(st.none() | st.lists(st.tuples(said_texts, st.floats(-50, -1)), min_size=1, max_size=3))
        tokens = None
        if chosen:
            tokens = [
                api.TokenLogprob(text, value, top=[api.TopLogprob(f"{text}+", -0.5), api.TopLogprob(text, value)])
                for text, value in chosen
            ]
        choices.append(api.CompletionChoice(reason, index, draw(texts), tokens))
    return api.CompletionResponse(choices, api.Usage(draw(st.integers(0, 99)), draw(st.integers(0, 99))))


@given(completions())
async def test_whole_completion_comes_back_as_it_was(answer: api.CompletionResponse) -> None:
    n = len(answer.choices)
    sent = json.loads(json.dumps(encode.completion([answer], n, HEAD)))

    async def stream():  # type: ignore[no-untyped-def]
        for event in CompletionEvents(n, "Acme").whole(sent):
            yield event

    assert await collect_completion(stream(), n) == answer


@given(st.lists(text_contents.filter(api.content_text), min_size=1, max_size=4), st.none() | st.integers(1, 99))
def test_embeddings_request_arrives_as_it_was(contents: list[Any], dimensions: int | None) -> None:
    request = api.EmbeddingsRequest(model_id="m", contents=contents, dimensions=dimensions)
    [body] = embeddings_bodies(request, "m")

    arrived = translate.to_embeddings_request(parse_json_body(wire.EmbeddingsRequest, json.dumps(body).encode()))

    assert list(map(api.content_text, arrived.contents)) == list(map(api.content_text, contents))
    assert arrived.dimensions == dimensions


floats32 = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize("as_base64", [False, True])
@given(st.lists(st.lists(floats32, min_size=2, max_size=4), min_size=1, max_size=3))
def test_embeddings_come_back_as_they_were(as_base64: bool, given_: list[list[float]]) -> None:
    answer = api.EmbeddingsResponse(given_, api.Usage(3, 0))

    sent = json.loads(json.dumps(encode.embeddings(answer, "m", as_base64=as_base64)))

    assert vectors(sent, "Acme") == (given_, api.Usage(3, 0))


def test_models_come_back_by_their_names() -> None:
    known = [api.Model(identifier=name, provider_resource_id="x") for name in ("a", "org/b:1")]

    sent = json.loads(json.dumps({"object": "list", "data": [encode.model(model, 1) for model in known]}))

    assert [model.provider_resource_id for model in listed_models(sent, "Acme")] == ["a", "org/b:1"]


@pytest.mark.parametrize("strategy", [None, "greedy"])
def test_greedy_stays_greedy(strategy: str | None) -> None:
    sampling = api.SamplingParams.model_validate({"strategy": strategy, "temperature": 0, "top_p": 0.5})
    request = api.ChatCompletionRequest(
        model_id="m", messages=[api.UserMessage(content="hi")], sampling_params=sampling
    )

    body = chat_body(request, "m", stream=False)

    arrived = translate.to_chat_request(parse_json_body(wire.ChatCompletionRequest, json.dumps(body).encode()))
    assert arrived.sampling_params.is_greedy
