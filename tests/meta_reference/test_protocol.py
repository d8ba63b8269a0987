"""Frames between host and engine: what is sent arrives, and what is no frame is refused."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import TokenLogprob, TopLogprob
from hitchpost.llama import SpecialToken
from hitchpost_meta_reference.engine.connection import EventQueue
from hitchpost_meta_reference.engine.protocol import (
    MAX_FRAME_BYTES,
    Cancel,
    Done,
    End,
    Failed,
    Ping,
    Pong,
    ProtocolError,
    RequestFailed,
    Sampling,
    SegmentsPrompt,
    Stats,
    Step,
    Submit,
    TemplatePrompt,
    Text,
    TextPrompt,
    Vectors,
    encode,
    read_from_engine,
    read_from_host,
)


def reader_of(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize(
    "message",
    [
        Submit(1, TextPrompt("once"), Sampling(temperature=0.5, logit_bias={7: -1.5}, seed=3), n=2, stop=["\n"]),
        Submit(2, SegmentsPrompt(["a", SpecialToken("<|eot_id|>"), "b"]), top_logprobs=0, max_tokens=9),
        Submit(3, TemplatePrompt([{"role": "user", "content": "ü🙂"}], [{"type": "function"}])),
        Cancel(4),
        Ping(),
    ],
)
async def test_message_of_the_host_arrives_as_it_was_sent(message: Submit | Cancel | Ping) -> None:
    assert await read_from_host(reader_of(encode(message))) == message


@pytest.mark.parametrize(
    "message",
    [
        Step(Stats(running=1, step_age_s=0.5), [Text(1, 0, "ü"), End(1, 0, "stop_string", "END"), Done(1, 3, 4)]),
        Step(Stats(), [Text(1, 1, "", [TokenLogprob("a", -0.25, [97], [TopLogprob("b", -9999.0, [98])])])]),
        Step(Stats(texts_waiting=2), [Vectors(1, [1, 0], "AACAPwAAAD8="), Done(1, 3, 0)]),
        Step(Stats(), [RequestFailed(9, "bad_request", "too long", "messages")]),
        Failed("no model"),
        Pong(Stats(steps=7)),
    ],
)
async def test_message_of_the_engine_arrives_as_it_was_sent(message: Step | Failed | Pong) -> None:
    assert await read_from_engine(reader_of(encode(message))) == message


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_frames_follow_each_other(texts: list[str]) -> None:
    async def read_all() -> list[Submit | Cancel | Ping]:
        reader = reader_of(b"".join(encode(Submit(1, TextPrompt(text))) for text in texts))
        return [message for _ in texts if (message := await read_from_host(reader)) is not None]

    assert [message.prompt for message in asyncio.run(read_all()) if isinstance(message, Submit)] == [
        TextPrompt(text) for text in texts
    ]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param((MAX_FRAME_BYTES + 1).to_bytes(4, "big"), id="too large"),
        pytest.param(b"\x00\x00\x00\x02{]", id="not JSON"),
        pytest.param(b"\x00\x00\x00\x02[]", id="not an object"),
        pytest.param(b'\x00\x00\x00\x10{"type": "lunch"}'[:20], id="unknown type"),
        pytest.param(b"\x00\x00\x00\x11" + b'{"type":"submit"}', id="fields missing"),
    ],
)
async def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        await read_from_host(reader_of(data))


@pytest.mark.parametrize("cut", [0, 2, 4, 9])
async def test_connection_that_ends_within_a_frame_has_ended(cut: int) -> None:
    assert await read_from_host(reader_of(encode(Ping())[:cut])) is None


def test_message_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="larger than"):
        encode(Submit(1, TextPrompt("x" * (MAX_FRAME_BYTES + 1))))


async def test_slow_reader_gets_every_character_from_a_bounded_queue() -> None:
    queue = EventQueue()
    logprob = TokenLogprob("a", -1.0, [97])
    for number in range(2000):
        queue.put(Text(1, number % 2, "ab"[number % 2], [logprob]))
    for choice in (0, 1):
        queue.put(End(1, choice, "length"))
    queue.put(Done(1, 1, 2000))

    assert len(queue) < 300
    events = [await queue.take() for _ in range(len(queue))]
    texts = [event for event in events if isinstance(event, Text)]
    assert "".join(text.text for text in texts if text.choice == 1) == "b" * 1000
    assert sum(len(text.logprobs or ()) for text in texts) == 2000
    assert events[-1] == Done(1, 1, 2000)
