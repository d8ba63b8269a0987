"""A host in front of another, both real processes: native clients with an OpenAI server behind them, and a backend that dies and comes back."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from llama_stack_client import LlamaStackClient

from tests.processes import HostProcess, wait_until

BEHIND = """version: '2'
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models: [m]
      script:
      - {when: weather, tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}
      - {to: tool, text: It rains.}
      - {when: think, reasoning: Hm., text: 'Yes.'}
      - {echo: true}
"""
FRONT = """version: '2'
providers:
  inference:
  - provider_id: behind
    provider_type: remote::openai
    config: {{url: "{url}", max_retries: 0}}
models:
- {{model_id: far, provider_id: behind, provider_model_id: scripted/m}}
"""
TOOL = {"tool_name": "get_weather", "parameters": {"city": {"param_type": "str", "required": True}}}


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[HostProcess]:
    folder = tmp_path / "behind"
    folder.mkdir()
    with HostProcess(folder, BEHIND) as host:
        yield host


@pytest.fixture
def front(behind: HostProcess, tmp_path: Path) -> Iterator[HostProcess]:
    folder = tmp_path / "front"
    folder.mkdir()
    with HostProcess(folder, FRONT.format(url=behind.url)) as host:
        yield host


@pytest.fixture
def native(front: HostProcess) -> Iterator[LlamaStackClient]:
    with LlamaStackClient(base_url=front.url, max_retries=0, timeout=60) as client:
        yield client


def ask(front: HostProcess, text: str) -> str:
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="unused", max_retries=0) as client:
        answer = client.chat.completions.create(model="far", messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content or ""


def test_native_client_calls_tools_through_an_openai_server(native: LlamaStackClient) -> None:
    question = {"role": "user", "content": "What is the weather?"}

    called = native.inference.chat_completion(model_id="far", messages=[question], tools=[TOOL]).completion_message
    [call] = called.tool_calls
    said = {"role": "assistant", "content": "", "stop_reason": called.stop_reason, "tool_calls": [call.model_dump()]}
    result = {"role": "ipython", "call_id": call.call_id, "tool_name": call.tool_name, "content": "rain"}
    answer = native.inference.chat_completion(model_id="far", messages=[question, said, result], tools=[TOOL])

    assert (call.tool_name, call.arguments) == ("get_weather", {"city": "Oslo"})
    assert answer.completion_message.content == "It rains."


def test_native_stream_arrives_piece_by_piece(native: LlamaStackClient) -> None:
    stream = native.inference.chat_completion(
        model_id="far", messages=[{"role": "user", "content": "one two three"}], stream=True
    )
    pieces = [chunk.event.delta for chunk in stream if chunk.event.event_type == "progress"]

    assert len(pieces) > 1
    assert "one two three" in "".join(map(str, pieces))


def test_reasoning_survives_two_hosts(front: HostProcess) -> None:
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="unused", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="far", messages=[{"role": "user", "content": "think"}], stream=True
        )
        deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]

    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm."
    assert "".join(delta.content or "" for delta in deltas) == "Yes."


def test_backend_that_died_comes_back_by_itself(behind: HostProcess, front: HostProcess) -> None:
    assert "before" in ask(front, "before")

    behind.__exit__(None, None, None)
    with pytest.raises(openai.InternalServerError, match="can't be reached"):
        ask(front, "meanwhile")
    behind.__enter__()

    def is_back() -> bool:
        try:
            return "after" in ask(front, "after")
        except openai.InternalServerError:
            return False

    wait_until(is_back, "the backend serves again", timeout_s=60)
