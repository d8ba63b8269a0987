"""Clients of an engine over its socket: requests, events, cancellation and failures, with a model that repeats its prompt."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from hitchpost.errors import (
    BackendUnavailableError,
    BadBackendAnswerError,
    BadRequestError,
    HitchpostError,
    UnsupportedError,
)
from hitchpost_meta_reference.engine.connection import EngineConnection, RequestEvent
from hitchpost_meta_reference.engine.process import EngineServer
from hitchpost_meta_reference.engine.protocol import (
    Done,
    Embed,
    End,
    Failed,
    Ready,
    Submit,
    Text,
    TextPrompt,
    read_from_engine,
)
from hitchpost_meta_reference.engine.step_thread import MAX_FAILED_STEPS, StepFailedForGoodError
from tests.meta_reference.parrot import CONTEXT, ParrotEngine, until

Connect = Callable[[], Awaitable[EngineConnection]]


@pytest.fixture
def parrot() -> ParrotEngine:
    return ParrotEngine()


@pytest.fixture
async def address(parrot: ParrotEngine, tmp_path: Path) -> AsyncIterator[Path]:
    """Where the engine listens."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        server = EngineServer(parrot.build)
        await server.serve(listener.dup())
        yield tmp_path / "s"
        await parrot.end()
        server._server.close()


@pytest.fixture
async def connect(address: Path) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect() -> EngineConnection:
            reader, writer = await asyncio.open_unix_connection(address)
            stack.callback(writer.close)
            ready = await read_from_engine(reader)
            assert isinstance(ready, Ready)
            connection = EngineConnection(reader, writer, ready)
            receiving = asyncio.create_task(connection.receive())

            async def end() -> None:
                receiving.cancel()
                await asyncio.wait([receiving])

            stack.push_async_callback(end)
            return connection

        yield connect


@pytest.fixture
async def engine(connect: Connect) -> EngineConnection:
    """A client's connection."""
    return await connect()


def ask(text: str, **options: object) -> Submit:
    return Submit(0, TextPrompt(text), **options)  # type: ignore[arg-type]


async def events_of(engine: EngineConnection, submit: Submit) -> list[RequestEvent]:
    return [event async for event in engine.stream(submit)]


def text_of(events: list[RequestEvent], choice: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Text) and event.choice == choice)


async def test_request_streams_its_text_and_ends(engine: EngineConnection) -> None:
    events = await events_of(engine, ask("hello#"))

    assert events == [*(Text(1, 0, letter) for letter in "hello"), End(1, 0, "stopped"), Done(1, 6, 6)]


async def test_every_choice_has_its_own_text_and_end(engine: EngineConnection) -> None:
    events = await events_of(engine, ask("hi#", n=3))

    assert [text_of(events, choice) for choice in range(3)] == ["hi", "hi", "hi"]
    assert sorted(event.choice for event in events if isinstance(event, End)) == [0, 1, 2]
    assert events[-1] == Done(1, 3, 9)


@pytest.mark.parametrize(
    ("submit", "text", "end"),
    [
        pytest.param(ask("hello", max_tokens=7), "hellohe", End(1, 0, "length"), id="limit of the request"),
        pytest.param(ask("x" * 997), "xxx", End(1, 0, "length"), id="end of the context"),
        pytest.param(ask("hi%"), "hi", End(1, 0, "end_of_message"), id="end of the message"),
        pytest.param(ask("one two", stop=["e t"]), "on", End(1, 0, "stop_string", "e t"), id="stop string over tokens"),
        pytest.param(ask("one tw#", stop=["two"]), "one tw", End(1, 0, "stopped"), id="stop string that did not come"),
        pytest.param(ask("ü", max_tokens=3), "ü\ufffd", End(1, 0, "length"), id="character that is cut off"),
        pytest.param(ask("a@b#"), "ab", End(1, 0, "stopped"), id="special token"),
        pytest.param(
            ask("a@b#", visible_tokens=["<|python_tag|>"]),
            "a<|python_tag|>b",
            End(1, 0, "stopped"),
            id="visible special token",
        ),
    ],
)
async def test_answer_ends(engine: EngineConnection, submit: Submit, text: str, end: End) -> None:
    events = await events_of(engine, submit)

    assert text_of(events) == text
    assert [event for event in events if isinstance(event, End)] == [end]


async def test_split_character_is_shown_whole(engine: EngineConnection) -> None:
    events = await events_of(engine, ask("aü🙂#"))

    assert [event.text for event in events if isinstance(event, Text)] == ["a", "ü", "🙂"]


async def test_each_token_has_its_log_probability_even_while_its_text_is_held_back(engine: EngineConnection) -> None:
    events = await events_of(engine, ask("ü?#", top_logprobs=2))

    texts = [event for event in events if isinstance(event, Text)]
    assert [event.text for event in texts] == ["", "ü", "?"]
    logprobs = [event.logprobs[0] for event in texts if event.logprobs]
    assert [logprob.bytes for logprob in logprobs] == [[0xC3], [0xBC], [0x3F]]
    assert logprobs[2].token == "?"
    assert logprobs[2].top is not None
    assert [(top.token, top.logprob) for top in logprobs[2].top] == [("a", -0.5), ("b", -9999.0)]


async def test_many_requests_share_the_steps(engine: EngineConnection, parrot: ParrotEngine) -> None:
    answers = await asyncio.gather(*(events_of(engine, ask(f"{number:02d} again#")) for number in range(20)))

    assert [text_of(events) for events in answers] == [f"{number:02d} again" for number in range(20)]
    assert max(parrot.runner.rows_of_steps) == parrot.slots


async def test_closed_stream_frees_its_slots_within_a_step(engine: EngineConnection, parrot: ParrotEngine) -> None:
    parrot.runner.pause()
    async with aclosing(engine.stream(ask("endless ", n=2))) as events:
        parrot.runner.allow(1)
        await anext(events)
        await until(lambda: parrot.runner.is_held_after(1), "the next step has begun")
    await until(parrot.has_orders, "the engine knows of the cancel")
    parrot.runner.allow(1)

    await until(lambda: engine.stats.running == 0, "idle")
    assert (engine.stats.steps, engine.stats.slots_in_use) == (2, 0)
    assert sorted(parrot.runner.forgotten) == [0, 1]


async def test_request_that_waits_can_be_cancelled(engine: EngineConnection, parrot: ParrotEngine) -> None:
    parrot.runner.pause()
    first = asyncio.create_task(events_of(engine, ask("first#", n=4)))
    parrot.runner.allow(2)
    await until(lambda: engine.stats.running == 4, "all slots are taken")
    await until(lambda: parrot.runner.is_held_after(2), "the third step has begun")
    second = asyncio.create_task(events_of(engine, ask("second#")))
    await until(parrot.has_orders, "the engine knows of the second")
    second.cancel()
    await asyncio.wait([second])
    await until(lambda: parrot.has_orders(2), "the engine knows of the cancel")
    parrot.runner.allow(20)

    assert text_of(await first) == "first"
    await until(lambda: engine.stats.running == 0, "idle")
    assert sum(parrot.runner.rows_of_steps) == 4 * len("first#")


async def test_client_that_goes_away_leaves_nothing_running(
    connect: Connect, engine: EngineConnection, parrot: ParrotEngine
) -> None:
    parrot.runner.pause()
    other = await connect()
    asking = asyncio.create_task(events_of(other, ask("endless ")))
    parrot.runner.allow(1)
    await until(lambda: other.stats.running == 1, "runs")
    await until(lambda: parrot.runner.is_held_after(1), "the next step has begun")

    other._writer.close()
    await until(parrot.has_orders, "the engine knows of it")
    parrot.runner.allow(1)

    await until(lambda: engine.stats.steps == 2, "the step in progress has ended")
    assert (engine.stats.running, engine.stats.slots_in_use) == (0, 0)
    asking.cancel()
    await asyncio.wait([asking])


async def test_clients_see_only_their_own_requests(connect: Connect) -> None:
    clients = [await connect() for _ in range(3)]

    answers = await asyncio.gather(
        *(events_of(client, ask(f"for {name}#")) for client, name in zip(clients, "abc", strict=True))
    )

    assert [text_of(events) for events in answers] == ["for a", "for b", "for c"]


async def test_refused_request_raises_its_error_and_harms_nobody(engine: EngineConnection) -> None:
    with pytest.raises(BadRequestError, match="the prompt is too long") as refused:
        await events_of(engine, ask("x" * CONTEXT))

    assert refused.value.param == "messages"
    assert text_of(await events_of(engine, ask("fine#"))) == "fine"


async def test_request_that_meets_a_defect_gets_an_error_without_details(engine: EngineConnection) -> None:
    with pytest.raises(HitchpostError) as failed:
        await events_of(engine, ask("defect"))

    assert failed.value.message == "the engine could not read the request"
    assert text_of(await events_of(engine, ask("fine#"))) == "fine"


async def test_token_that_can_not_be_read_fails_its_request_only(engine: EngineConnection) -> None:
    with pytest.raises(BadBackendAnswerError, match="could not read the model's answer"):
        await events_of(engine, ask("ab&cd", n=2))

    assert text_of(await events_of(engine, ask("fine#"))) == "fine"
    assert engine.stats.slots_in_use == 0


async def test_model_that_makes_no_vectors_says_so(engine: EngineConnection) -> None:
    with pytest.raises(UnsupportedError, match="text, not vectors"):
        await anext(engine.stream(Embed(0, ["hello"])))

    assert text_of(await events_of(engine, ask("fine#"))) == "fine"


async def test_half_a_surrogate_pair_is_refused(engine: EngineConnection) -> None:
    with pytest.raises(BadRequestError, match="not valid Unicode"):
        await events_of(engine, ask("\ud800"))


async def test_step_that_fails_ends_its_requests_and_the_next_ones_work(
    engine: EngineConnection, parrot: ParrotEngine
) -> None:
    parrot.runner.error = RuntimeError("secret")
    with pytest.raises(BackendUnavailableError) as failed:
        await events_of(engine, ask("hello#", n=2))
    parrot.runner.error = None

    assert "secret" not in failed.value.message
    assert text_of(await events_of(engine, ask("fine#"))) == "fine"
    assert engine.stats.slots_in_use == 0


async def test_row_without_numbers_fails_its_request_and_the_others_in_the_step_go_on(
    engine: EngineConnection, parrot: ParrotEngine
) -> None:
    parrot.runner.pause()
    good = asyncio.create_task(events_of(engine, ask("hello#")))
    bad = asyncio.create_task(events_of(engine, ask("he!", n=2)))
    parrot.runner.allow(1)
    await until(lambda: engine.stats.running == 3, "they share their steps")
    parrot.runner.allow(20)

    with pytest.raises(BadBackendAnswerError, match="something that isn't numbers for this request"):
        await bad
    assert text_of(await good) == "hello"
    assert (engine.stats.slots_in_use, sorted(parrot.runner.forgotten)) == (0, [0, 1, 2])


async def test_requests_without_numbers_never_end_the_engine(engine: EngineConnection) -> None:
    for _ in range(MAX_FAILED_STEPS + 1):
        with pytest.raises(BadBackendAnswerError):
            await events_of(engine, ask("!"))

    assert text_of(await events_of(engine, ask("fine#"))) == "fine"


@pytest.mark.parametrize("group", ["", "many prompts"])
async def test_request_gets_the_next_free_slot_though_another_caller_waits_with_many(
    group: str, engine: EngineConnection, parrot: ParrotEngine
) -> None:
    parrot.runner.pause()
    requests = [ask("x" * 5, max_tokens=5, n=8)] if not group else [ask("x" * 5, max_tokens=5, group=group)] * 8
    many = [asyncio.create_task(events_of(engine, replace(request))) for request in requests]
    parrot.runner.allow(1)
    await until(lambda: engine.stats.waiting == 4, "all slots are taken and some wait")
    await until(lambda: parrot.runner.is_held_after(1), "the next step has begun")
    single = asyncio.create_task(events_of(engine, ask("one#")))
    await until(parrot.has_orders, "the engine knows of the single one")
    parrot.runner.allow(4 + len("one#"))

    assert text_of(await single) == "one"
    assert engine.stats.waiting == 1
    parrot.runner.allow(100)
    await asyncio.gather(*many)


async def test_device_that_is_lost_is_told_to_every_client(parrot: ParrotEngine, address: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(address)
    connection = EngineConnection(reader, writer, await _ready(reader))
    asking = asyncio.create_task(events_of(connection, ask("hello#")))
    parrot.runner.error = StepFailedForGoodError("the device is lost")

    assert await connection.receive() == "the device is lost"
    connection.fail(BackendUnavailableError("over"))
    with pytest.raises(BackendUnavailableError, match="over"):
        await asking
    writer.close()


async def _ready(reader: asyncio.StreamReader) -> Ready:
    ready = await read_from_engine(reader)
    assert isinstance(ready, Ready)
    return ready


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(BadRequestError("no config.json here"), "no config.json here", id="a reason for people"),
        pytest.param(OSError("/secret/path"), "the model can't be loaded (OSError); the log says more", id="a defect"),
    ],
)
async def test_model_that_cannot_be_loaded_is_told_to_who_connects(
    tmp_path: Path, parrot: ParrotEngine, error: Exception, message: str
) -> None:
    parrot.loading_error = error
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        server = EngineServer(parrot.build)
        await server.serve(listener.dup())
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")

        assert await read_from_engine(reader) == Failed(message)
        assert await server.ended == message
        writer.close()
        server._server.close()


async def test_frame_that_is_no_message_ends_only_its_connection(address: Path, engine: EngineConnection) -> None:
    reader, writer = await asyncio.open_unix_connection(address)
    await _ready(reader)

    writer.write(b"\x00\x00\x00\x02{}")

    assert await read_from_engine(reader) is None
    assert text_of(await events_of(engine, ask("fine#"))) == "fine"
    writer.close()


async def test_busy_engine_answers_pings_and_tells_how_long_its_step_takes(
    engine: EngineConnection, parrot: ParrotEngine
) -> None:
    parrot.runner.pause()
    asking = asyncio.create_task(events_of(engine, ask("hello#")))

    reason = await engine.watch(heartbeat_timeout_s=4.0 * 0.05, step_timeout_s=0.1)

    assert reason == "was busy with one step for more than 0.1 s"
    parrot.runner.allow(20)
    assert text_of(await asking) == "hello"
