"""Serving: listen, start the stack, wait for a signal, and go without dropping anybody."""

import asyncio
import contextlib
import errno
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

from aiohttp import web

from hitchpost.errors import ConfigError
from hitchpost.host.app import make_app, make_runner
from hitchpost.host.keys import LIFECYCLE
from hitchpost.stack import Stack

log = logging.getLogger("hitchpost.host")

GARBAGE_AT_LEAST = 20_000
"""Objects that are alive beyond those at the last look, before the collector looks again; some megabytes."""


async def serve(
    stack: Stack,
    *,
    host: str | None = None,
    port: int | None = None,
    on_listening: Callable[[str, int], None] | None = None,
    on_ready: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Serve a stack until SIGTERM or SIGINT.

    The host listens before the providers are up. After the signal it takes no more work, lets what is under way finish within
    `server.shutdown_timeout_s` and ends the rest with an error; a second signal ends the rest at once.

    Args:
        stack: what is served; it is started and stopped here.
        host: the address to listen on; None: as the run config says.
        port: the port; 0: any free one; None: as the run config says.
        on_listening: called with address and port once connections are taken.
        on_ready: awaited once each provider was tried, unless the signal comes before.

    Returns: the exit status of the process: 0 after a signal, 1 where the stack could not be started.

    Raises:
        ConfigError: the address can't be listened on, or the store of registrations can't be used as it is.
    """
    host = stack.server.host if host is None else host
    port = stack.server.port if port is None else port
    app = make_app(stack, listen_host=host)
    runner = make_runner(app)
    with _signals() as stopped:
        try:
            bound = await _listen(runner, host, port)
            if on_listening is not None:
                on_listening(host, bound)
            status = await _run_until(stopped, stack, on_ready)
            await _drain(app, stack, stopped)
        finally:
            await runner.cleanup()
            await stack.stop()
    return status


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        # Newer interpreters say that an address isn't there without a number.
        why = {
            errno.EADDRINUSE: "the port is in use; choose another one with --port",
            errno.EACCES: "ports below 1024 need permission; choose another one with --port",
            errno.EADDRNOTAVAIL: "this machine has no such address; choose another one with --host",
        }.get(error.errno or errno.EADDRNOTAVAIL, error.strerror or "the address can't be used")
        raise ConfigError(f"can't listen on {host}:{port}: {why}") from error
    return cast("int", runner.addresses[0][1])


async def _run_until(stopped: "_Stopped", stack: Stack, on_ready: Callable[[], Awaitable[None]] | None) -> int:
    async def start() -> None:
        await stack.start()
        if on_ready is not None:
            await on_ready()

    starting = asyncio.create_task(start(), name="start of the stack")
    waiting = asyncio.create_task(stopped.first.wait(), name="wait for a signal")
    try:
        await asyncio.wait([starting, waiting], return_when=asyncio.FIRST_COMPLETED)
        failure = starting.exception() if starting.done() else None
        if isinstance(failure, ConfigError):
            raise failure
        if failure is not None:
            log.error("the stack could not be started", exc_info=failure)
            return 1
        if starting.done():
            # What is alive now stays alive: the collector need not look at it again. And what requests leave behind is nearly all freed
            # without it, so it need not come by after every few of them, which costs a tenth of all the time.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GARBAGE_AT_LEAST, 20, 20)
        await waiting
        return 0
    finally:
        for task in (starting, waiting):
            task.cancel()
        await asyncio.wait([starting, waiting])


async def _drain(app: web.Application, stack: Stack, stopped: "_Stopped") -> None:
    lifecycle = app[LIFECYCLE]
    log.info("stopping: %d requests are under way", lifecycle.running)
    stack.drain()
    draining = asyncio.create_task(lifecycle.drain(stack.server.shutdown_timeout_s), name="drain")
    impatient = asyncio.create_task(stopped.second.wait(), name="wait for a second signal")
    await asyncio.wait([draining, impatient], return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, impatient):
        task.cancel()
    await asyncio.wait([draining, impatient])
    await lifecycle.abort()


class _Stopped:
    """Set by the first and by the second signal to stop."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def signal(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


@contextlib.contextmanager
def _signals() -> Iterator[_Stopped]:
    loop = asyncio.get_running_loop()
    stopped = _Stopped()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stopped.signal)
    try:
        yield stopped
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


__all__ = ["serve"]
