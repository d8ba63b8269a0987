"""Several requests answered as one: each prompt of a body is a request of its own, and they run side by side."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from hitchpost.api import CompletionEvent, Usage
from hitchpost.host.openai.encode import add_usage

T = TypeVar("T")
_EVENTS_AHEAD = 64


async def gather_answers(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Every answer, in the order of the calls. The first failure ends the other calls and is raised."""
    if len(calls) == 1:
        return [await calls[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def merge_streams(
    streams: Sequence[AsyncGenerator[CompletionEvent, None]], n: int
) -> AsyncGenerator[CompletionEvent, None]:
    """The events of all streams as they come, choices renumbered stream * n + choice, the usages summed up at the end.

    The first failure ends the other streams and is raised. Closing this closes all of them.
    """
    queue: asyncio.Queue[CompletionEvent | Exception | None] = asyncio.Queue(_EVENTS_AHEAD)
    is_closing = False

    async def read(stream: AsyncGenerator[CompletionEvent, None], offset: int) -> None:
        end = None
        try:
            async with aclosing(stream):
                async for event in stream:
                    await queue.put(event if isinstance(event, Usage) else replace(event, choice=event.choice + offset))
        except Exception as error:  # noqa: BLE001 - raised again where the queue is read
            end = error
        if not is_closing:
            await queue.put(end)

    readers = [asyncio.create_task(read(stream, number * n)) for number, stream in enumerate(streams)]
    usages: list[Usage] = []
    unfinished = len(readers)
    try:
        while unfinished:
            event = await queue.get()
            if event is None:
                unfinished -= 1
            elif isinstance(event, Exception):
                raise event
            elif isinstance(event, Usage):
                usages.append(event)
            else:
                yield event
    finally:
        is_closing = True
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)
    total = add_usage(usages)
    if total is not None:
        yield total


__all__ = ["gather_answers", "merge_streams"]
