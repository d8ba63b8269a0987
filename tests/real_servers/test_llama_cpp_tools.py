"""Calls of tools that llama.cpp's server reads out of a model's text, behind a real host."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from llama_stack_client import LlamaStackClient

from tests.processes import HostProcess
from tests.real_servers.servers import LlamaCppServer, host_before

PIECES = (
    "<tool_call>\n", '{"name": "get_weather", "arguments": ', '{"city": "', "Oslo", '"}', "}\n</tool_call>",
    '\n<tool_call>\n{"name": "get_time", "arguments": ', "{}}\n</tool_call>",
)  # fmt: skip
QUESTION: Any = [{"role": "user", "content": "How is Oslo?"}]
WEATHER: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
]
NATIVE_TOOLS: Any = [
    {"tool_name": "get_weather", "parameters": {"city": {"param_type": "string", "required": True}}},
    {"tool_name": "get_time", "parameters": {}},
]
CALLS = [("get_weather", {"city": "Oslo"}), ("get_time", {})]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = tmp_path_factory.mktemp("front")
    with (
        LlamaCppServer(*PIECES) as server,
        host_before(folder, "remote::openai", server.url, model_id="tiny") as host,
    ):
        yield host


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_parallel_calls_of_a_whole_answer(sdk: openai.OpenAI, choice: Any) -> None:
    answer = sdk.chat.completions.create(
        model="tiny", messages=QUESTION, tools=TOOLS, tool_choice=choice, parallel_tool_calls=True, temperature=0
    )

    [told] = answer.choices
    calls = told.message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == CALLS
    assert len({call.id for call in calls}) == 2
    assert told.finish_reason == "tool_calls"
    assert not told.message.content


def test_parallel_calls_are_streamed_in_pieces(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.stream(
        model="tiny", messages=QUESTION, tools=TOOLS, parallel_tool_calls=True, temperature=0
    ) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_completion()

    calls = answer.choices[0].message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == CALLS
    assert kinds.count("tool_calls.function.arguments.delta") > 2
    assert answer.choices[0].finish_reason == "tool_calls"


def test_native_client_gets_the_calls_and_answers_with_their_results(native: LlamaStackClient) -> None:
    asked: Any = {"model_id": "tiny", "tools": NATIVE_TOOLS, "sampling_params": {"strategy": "greedy"}}

    called = native.inference.chat_completion(messages=QUESTION, **asked).completion_message
    said = {"role": "assistant", "content": "", "stop_reason": called.stop_reason}
    results = [
        {"role": "ipython", "call_id": call.call_id, "tool_name": call.tool_name, "content": "fine"}
        for call in called.tool_calls
    ]
    conversation: Any = [
        *QUESTION,
        {**said, "tool_calls": [call.model_dump() for call in called.tool_calls]},
        *results,
    ]
    again = native.inference.chat_completion(messages=conversation, **asked).completion_message

    assert [(call.tool_name, call.arguments) for call in called.tool_calls] == CALLS
    assert called.stop_reason == "end_of_turn"
    assert [call.tool_name for call in again.tool_calls] == ["get_weather", "get_time"]


def test_native_stream_of_the_calls(native: LlamaStackClient) -> None:
    stream = native.inference.chat_completion(
        model_id="tiny", messages=QUESTION, tools=NATIVE_TOOLS, sampling_params={"strategy": "greedy"}, stream=True
    )

    deltas = [chunk.event.delta for chunk in stream if chunk.event.event_type == "progress"]
    done = [delta.content for delta in deltas if delta.parse_status == "success"]
    assert [(call.tool_name, call.arguments) for call in done] == CALLS
    assert any(delta.parse_status == "in_progress" for delta in deltas)
