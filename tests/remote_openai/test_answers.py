"""What servers of the field leave out, repeat and misspell; pure functions, no server."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import (
    ChatCompletionResponse,
    Finish,
    FinishReason,
    InferenceEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    TopLogprob,
    Usage,
)
from hitchpost.errors import BadBackendAnswerError
from hitchpost.plugin import collect_chat
from hitchpost_remote_openai.answers import ChatEvents, CompletionEvents, vectors
from hitchpost_remote_openai.models import listed_models

END = {"index": 0, "delta": {}, "finish_reason": "stop"}


def read(*choices: dict[str, Any], n: int = 1, **chunk: Any) -> list[InferenceEvent]:
    reader = ChatEvents(n, "Acme")
    events = [event for choice in choices for event in reader.chunk({"choices": [choice], **chunk})]
    return [*events, *reader.end()]


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": 0, "delta": fields, "finish_reason": finish_reason}


def piece(arguments: Any = "", **fields: Any) -> dict[str, Any]:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {**fields, "function": {**name, "arguments": arguments}}


async def collected(events: list[InferenceEvent]) -> ChatCompletionResponse:
    async def stream():  # type: ignore[no-untyped-def]
        for event in events:
            yield event

    return await collect_chat(stream(), 1)


async def calls_of(*pieces: list[dict[str, Any]]) -> list[tuple[str, str]]:
    answer = await collected(read(*(delta(tool_calls=some) for some in pieces), delta("tool_calls")))
    ids = [call.call_id for call in answer.choices[0].tool_calls]
    assert len(set(ids)) == len(ids)
    assert all(ids)
    return [(call.tool_name, call.arguments_json) for call in answer.choices[0].tool_calls]


def test_text_and_end_may_share_a_chunk() -> None:
    assert read(delta("stop", content="hi")) == [TextDelta("hi"), Finish(FinishReason.stop)]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_has_two_names(name: str) -> None:
    assert read(delta(**{name: "hm"}), END)[0] == ReasoningDelta("hm")


def test_refusal_is_told_apart_from_text() -> None:
    assert read(delta(refusal="no", content=None), END)[0] == RefusalDelta("no")


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("stop", "stop"), ("eos", "stop"), ("eos_token", "stop"), ("stop_sequence", "stop"), ("never heard of", "stop"), ("length", "length"),
        ("content_filter", "content_filter"), ("tool_calls", "tool_calls"), ("function_call", "tool_calls"),
    ],
)  # fmt: skip
def test_reasons_of_servers(reason: str, meant: str) -> None:
    assert read(delta(reason, content="hi"))[-1] == Finish(FinishReason(meant))


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_answer_that_was_given_up_is_an_error(reason: str) -> None:
    with pytest.raises(BadBackendAnswerError, match="gave the answer up"):
        read(delta(reason))


@pytest.mark.parametrize("reason", ["", None])
def test_stream_without_a_reason_is_no_success(reason: str | None) -> None:
    with pytest.raises(BadBackendAnswerError, match="before its end"):
        read(delta(reason, content="hi"))


def test_each_choice_must_come() -> None:
    with pytest.raises(BadBackendAnswerError, match="gave 1 of 2 answers"):
        read(END, n=2)


def test_each_choice_must_end() -> None:
    with pytest.raises(BadBackendAnswerError, match="before its end"):
        read(END, {**END, "index": 1, "finish_reason": None}, n=2)


@pytest.mark.parametrize("choice", [-1, 2, 10**9])
def test_choice_that_was_not_asked_for_is_an_error(choice: int) -> None:
    with pytest.raises(BadBackendAnswerError):
        read({**END, "index": choice}, n=2)


def test_usage_of_every_chunk_is_told_once() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}

    events = read(delta(content="a"), delta(content="b"), END, usage=usage)

    assert [event for event in events if isinstance(event, Usage)] == [Usage(3, 4, 2)]


def test_chunks_without_choices_are_nothing() -> None:
    reader = ChatEvents(1, "Acme")

    assert [*reader.chunk({}), *reader.chunk({"choices": None}), *reader.chunk({"choices": []})] == []


async def test_pieces_of_parallel_calls_are_told_apart_by_index() -> None:
    seen = await calls_of(
        [piece(index=0, id="a", name="f")],
        [piece(index=1, id="b", name="g")],
        [piece('{"x"', index=0), piece("{}", index=1)],
        [piece(":1}", index=0)],
    )

    assert seen == [("f", '{"x":1}'), ("g", "{}")]


@pytest.mark.parametrize("ids", [["a", "a", "a"], ["", "", ""], [None, "a", None]])
async def test_ids_and_names_may_be_repeated_empty_or_late(ids: list[str | None]) -> None:
    seen = await calls_of(*([piece(text, index=0, id=id_, name="f")] for text, id_ in zip("{ }", ids, strict=True)))

    assert seen == [("f", "{ }")]


async def test_equal_ids_of_different_calls_are_replaced() -> None:
    assert (
        await calls_of([piece("{}", index=0, id="x", name="f"), piece("{}", index=1, id="x", name="f")])
        == [("f", "{}")] * 2
    )


async def test_without_an_index_a_new_id_is_a_new_call() -> None:
    seen = await calls_of([piece("{", id="a", name="f")], [piece("}")], [piece("{}", id="b", name="g")])

    assert seen == [("f", "{}"), ("g", "{}")]


async def test_whole_calls_may_come_in_one_delta_with_one_index() -> None:
    seen = await calls_of([piece("{}", index=0, id="a", name="f"), piece('{"y":2}', index=0, id="b", name="g")])

    assert seen == [("f", "{}"), ("g", '{"y":2}')]


async def test_arguments_before_the_name_wait_for_it() -> None:
    assert await calls_of([piece('{"x"', index=0)], [piece(":1}", index=0, name="f")]) == [("f", '{"x":1}')]


async def test_arguments_may_be_an_object_or_no_json() -> None:
    assert await calls_of([piece({"x": 1}, index=0, id="a", name="f"), piece("{oops", index=1, id="b", name="f")]) == [
        ("f", '{"x":1}'),
        ("f", "{oops"),
    ]


def test_call_without_a_name_is_an_error() -> None:
    with pytest.raises(BadBackendAnswerError, match="without a name"):
        read(delta(tool_calls=[piece("{}", index=0)]), delta("tool_calls"))


def test_stop_means_tool_calls_where_tools_were_called() -> None:
    assert read(delta("stop", tool_calls=[piece("{}", index=0, name="f")]))[-1] == Finish(FinishReason.tool_calls)


def test_call_starts_as_soon_as_its_name_is_known() -> None:
    events = ChatEvents(1, "Acme").chunk({"choices": [delta(tool_calls=[piece(index=0, id="a", name="f")])]})

    assert events == [ToolCallStart(0, "a", "f")]
    assert not any(isinstance(event, ToolCallDelta) for event in events)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "index", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "id", "usage", "logprobs",
             "finish_reason", "text", "tokens", "token_logprobs", "data", "embedding", "prompt_tokens", "stop_reason", "refusal"]
        ),
        inner,
        max_size=4,
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param(lambda answer: ChatEvents(2, "Acme").chunk(answer), id="chat chunk"),
        pytest.param(lambda answer: ChatEvents(1, "Acme").whole(answer), id="whole chat"),
        pytest.param(lambda answer: CompletionEvents(1, "Acme").whole(answer), id="completion"),
        pytest.param(lambda answer: vectors(answer, "Acme"), id="embeddings"),
        pytest.param(lambda answer: listed_models(answer, "Acme"), id="models"),
    ],
)
@given(answer=json_values)
def test_whatever_a_server_answers_is_read_or_a_clear_error(reading: Callable[[Any], Any], answer: Any) -> None:
    with contextlib.suppress(BadBackendAnswerError):
        reading(answer)


@given(json_values)
def test_text_of_an_event_is_text(answer: Any) -> None:
    events: list[InferenceEvent] = []
    with contextlib.suppress(BadBackendAnswerError):
        events = ChatEvents(2, "Acme").chunk({"choices": [{"delta": answer}]})

    assert all(isinstance(getattr(event, "text", ""), str) for event in events)


@pytest.mark.parametrize(
    "logprobs",
    [
        {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5, "b": -1}], "text_offset": [0]},
        {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]}]},
    ],
    ids=["OpenAI", "llama.cpp"],
)  # fmt: skip
def test_log_probabilities_of_completions_have_two_forms(logprobs: dict[str, Any]) -> None:
    [delta_, _] = CompletionEvents(1, "Acme").whole(
        {"choices": [{"text": "a", "logprobs": logprobs, "finish_reason": "stop"}]}
    )

    likely = [TopLogprob("a", -0.5), TopLogprob("b", -1)]
    assert delta_ == TextDelta("a", logprobs=[TokenLogprob("a", -0.5, top=likely)])


@pytest.mark.parametrize(
    "fields",
    [
        {"max_model_len": 4096},
        {"context_length": 4096},
        {"meta": {"n_ctx": 4096, "n_ctx_train": 131072}},
    ],
    ids=["vLLM", "Together", "llama.cpp"],
)
def test_context_of_a_model_has_many_names(fields: dict[str, Any]) -> None:
    [model] = listed_models({"data": [{"id": "a", **fields}]}, "Acme")

    assert model.metadata["context_length"] == 4096


def test_vectors_are_sorted_by_index_and_may_be_base64() -> None:
    data = [{"index": 1, "embedding": "AACAPwAAAEA="}, {"index": 0, "embedding": [0.5, 1]}]

    assert vectors({"data": data}, "Acme") == ([[0.5, 1.0], [1.0, 2.0]], None)


@pytest.mark.parametrize("embedding", ["AAA", "!!!!", "", [], None, {"a": 1}, [None], ["x"]])
def test_vector_that_is_none_is_an_error(embedding: Any) -> None:
    answer = {"data": [{"index": 0, "embedding": embedding}]}

    with pytest.raises(BadBackendAnswerError):
        vectors(answer, "Acme")


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "org/b"}]}, ["a", "org/b"]),
        ([{"id": "a", "type": "chat"}], ["a"]),
        ({"data": None}, []),
        ({"data": [{"id": "a"}, {"id": "a"}, {"id": ""}, {"id": 5}], "models": [{"name": "z"}]}, ["a"]),
    ],
)
def test_lists_of_models_have_many_forms(answer: Any, names: list[str]) -> None:
    assert [model.provider_resource_id for model in listed_models(json.loads(json.dumps(answer)), "Acme")] == names
