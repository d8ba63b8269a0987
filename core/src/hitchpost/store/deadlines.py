"""Calls of client libraries that end when they have to.

A library may need long for its own tidying up when it is cancelled, as psycopg does before a server that answers nothing, or overlook a
cancellation that comes at the same moment as an answer, as redis-py does. So a call gets a task of its own, which is cancelled until it ends.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

CANCEL_S = 0.2
"""How long a call may tidy up before it is cancelled again."""

T = TypeVar("T")


async def within(timeout_s: float, call: Coroutine[Any, Any, T]) -> T:
    """What the call answers.

    Raises:
        TimeoutError: it didn't in time.
    """
    task = asyncio.create_task(call)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        await end(task)


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_S)


__all__ = ["end", "within"]
