"""What the server answers, as events: on both wires, streamed and whole, of present and of older versions."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import ChatChoice, Finish, FinishReason, TextDelta, ToolCallStart, Usage
from hitchpost.errors import BadBackendAnswerError, HitchpostError
from hitchpost.plugin import collect_chat
from hitchpost_remote_tgi.chat_events import ChatEvents
from hitchpost_remote_tgi.generate_events import GenerateEvents
from hitchpost_remote_tgi.provider import TgiInference
from tests.fakes.tgi.server import FakeTgi
from tests.remote_tgi.conftest import LLAMA, PLAIN, WEATHER, StartedProvider, chat, completion, streamed

MODELS = [LLAMA, "acme/seer"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = [
    "token", "text", "logprob", "special", "generated_text", "details", "finish_reason", "tokens", "choices", "delta", "message",
    "content", "tool_calls", "function", "name", "arguments", "usage", "logprobs", "error", "index", "top_tokens",
]  # fmt: skip
ANSWERS = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


async def both(provider: TgiInference, request: Any) -> list[ChatChoice]:
    """The answer as a stream spells it, and as a whole."""
    streamed_answer = await collect_chat(provider.stream_chat_completion(request, PLAIN), 1)
    whole_answer = await provider.chat_completion(request, PLAIN)
    return [streamed_answer.choices[0], whole_answer.choices[0]]


@pytest.mark.parametrize("model_id", MODELS)
@pytest.mark.parametrize("version", ["1.4.0", "2.0.1", "2.4.0", "3.3.6-dev0"])
async def test_text_is_the_same_streamed_and_whole_of_any_version(
    model_id: str, version: str, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id, version=version) as fake:
        provider = await started_provider(fake)

        choices = await both(provider, chat("good morning", sampling_params={"max_tokens": 50}))

        assert [choice.text for choice in choices] == ["You said: good morning"] * 2
        assert [choice.finish_reason for choice in choices] == [FinishReason.stop] * 2


@pytest.mark.parametrize("model_id", MODELS)
@pytest.mark.parametrize("pieces", [1, 2, 7])
async def test_characters_and_events_may_be_split_anywhere(
    model_id: str, pieces: int, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)
        fake.pieces = pieces

        choices = await both(provider, chat("grün 😀 月"))

        assert [choice.text for choice in choices] == ["You said: grün 😀 月"] * 2


@pytest.mark.parametrize("model_id", MODELS)
@pytest.mark.parametrize("version", ["2.0.1", "3.0.0", "3.1.0", "3.3.6-dev0"])
@pytest.mark.parametrize("tool_choice", ["auto", "required"])
async def test_call_is_the_same_streamed_and_whole_of_any_version(
    model_id: str, version: str, tool_choice: str, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id, version=version) as fake:
        provider = await started_provider(fake)
        request = chat("the weather?", tools=[WEATHER], tool_choice=tool_choice, sampling_params={"max_tokens": 99})

        choices = await both(provider, request)

        calls = [(call.tool_name, call.find_arguments()) for choice in choices for call in choice.tool_calls]
        assert calls == [("get_weather", {"location": "Oslo"})] * 2
        assert {choice.finish_reason for choice in choices} <= {FinishReason.tool_calls, FinishReason.end_of_message}
        assert [choice.text for choice in choices] == ["", ""]


async def test_calls_of_one_conversation_have_ids_of_their_own(started_provider: StartedProvider) -> None:
    async with FakeTgi("acme/seer") as fake:
        provider = await started_provider(fake)

        choices = await both(provider, chat("the weather?", tools=[WEATHER]))

        assert len({call.call_id for choice in choices for call in choice.tool_calls}) == 2


@pytest.mark.parametrize("model_id", MODELS)
async def test_stop_string_across_tokens_ends_the_answer_before_it(
    model_id: str, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)

        choices = await both(provider, chat("alpha beta gamma delta", sampling_params={"stop": ["ta gam", "zz"]}))

        assert [choice.text for choice in choices] == ["You said: alpha be"] * 2
        assert [choice.stop_text for choice in choices] == ["ta gam"] * 2
        assert [choice.finish_reason for choice in choices] == [FinishReason.stop] * 2


@pytest.mark.parametrize("model_id", MODELS)
async def test_log_probabilities_spell_the_text_with_the_likeliest_first(
    model_id: str, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)

        choices = await both(provider, chat("alpha beta", logprobs={"top_k": 3}, sampling_params={"stop": ["eta"]}))

        for choice in choices:
            tokens = choice.logprobs or []
            assert "".join(token.token for token in tokens).startswith(choice.text)
            assert all(len(token.top or ()) == 3 for token in tokens)
            assert all((token.top or [])[0].token == token.token for token in tokens)
        assert choices[0].logprobs == choices[1].logprobs


@pytest.mark.parametrize("model_id", MODELS)
async def test_usage_is_the_servers_streamed_and_whole(model_id: str, started_provider: StartedProvider) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)

        [streamed_usage] = [event for event in await streamed(provider, chat()) if isinstance(event, Usage)]
        whole = await provider.chat_completion(chat(), PLAIN)

        assert streamed_usage == whole.usage
        assert streamed_usage.prompt_tokens > 10 > streamed_usage.completion_tokens > 3


@pytest.mark.parametrize("model_id", MODELS)
@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        (
            {"type": "json_schema", "json_schema": {"properties": {"born": {"type": "integer"}}, "type": "object"}},
            {"born": 1815},
        ),
        ({"type": "json_object"}, {"answer": 42, "why": ["it", "is"]}),
        ({"type": "grammar", "bnf": {"type": "regex", "value": "[0-9]{4}"}}, 1815),
    ],
)
async def test_form_of_the_answer_is_kept(
    model_id: str, response_format: dict[str, Any], expected: Any, started_provider: StartedProvider
) -> None:
    async with FakeTgi(model_id) as fake:
        provider = await started_provider(fake)

        choices = await both(provider, chat(response_format=response_format))

        assert [json.loads(choice.text) for choice in choices] == [expected] * 2


async def test_completion_continues_a_text_behind_its_echo(provider: TgiInference, fake_tgi: FakeTgi) -> None:
    request = completion("Once", echo=True, sampling_params={"max_tokens": 2})

    events = [event async for event in provider.stream_completion(request, PLAIN)]
    whole = await provider.completion(request, PLAIN)

    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert text == whole.choices[0].text == "OnceYou said"
    assert [event.reason for event in events if isinstance(event, Finish)] == [FinishReason.length]
    assert fake_tgi.requests[0][1]["inputs"] == "Once"


def token(text: str, *, special: bool = False) -> bytes:
    """An event of `/generate_stream`."""
    return json.dumps({"index": 1, "token": {"id": 1, "text": text, "logprob": -1.0, "special": special}}).encode()


def test_server_that_goes_on_after_the_end_of_a_turn_is_not_listened_to() -> None:
    reader = GenerateEvents()
    events = [*reader.feed(token("Hi")), *reader.feed(token("<|eom_id|>", special=True)), *reader.feed(token("more"))]

    assert events == [TextDelta("Hi"), Finish(FinishReason.end_of_message)]
    assert reader.is_over
    assert not reader.is_whole


def test_further_calls_are_left_out_where_one_was_asked_for() -> None:
    reader = GenerateEvents(tools=["f"], only_one_call=True)
    two = '<function=f>{"a": 1}</function><function=f>{"a": 2}</function>'
    last = {"token": {"text": two, "special": False}, "generated_text": two, "details": {"finish_reason": "eos_token"}}

    events = reader.feed(json.dumps(last).encode())

    assert [event.index for event in events if isinstance(event, ToolCallStart)] == [0]


def test_call_whose_arguments_break_off_is_no_answer() -> None:
    reader = ChatEvents()
    function = {"name": "f", "arguments": '{"a": '}
    call = {"index": 0, "id": "0", "type": "function", "function": function}
    reader.feed(
        json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}).encode()
    )

    with pytest.raises(BadBackendAnswerError, match="before the answer's end"):
        reader.end()


@pytest.mark.parametrize(
    "reader_of", [lambda: GenerateEvents(top=2, tools=["f"]), lambda: ChatEvents(top=2, stops=["ab"])]
)
@pytest.mark.parametrize("is_whole", [True, False])
@given(answer=ANSWERS)
def test_any_json_is_an_answer_or_an_error_of_the_public_tree(reader_of: Any, is_whole: bool, answer: Any) -> None:
    reader = reader_of()

    with contextlib.suppress(HitchpostError):
        if is_whole:
            reader.whole(answer, 3)
            assert reader.is_over or reader.is_whole
        else:
            reader.feed(json.dumps(answer).encode())
