"""The engine process: `python -m hitchpost_meta_reference.engine.process SOCKET_FD SETTINGS`.

    main thread   event loop: clients, prompts, text            (front.py)
    step thread   loads the model, then computes the steps      (step_thread.py)

SOCKET_FD is a listening socket that the process inherits, SETTINGS is JSON. The process ends when its standard input does, and when the model
can't be loaded or trusted any more; a request never ends it. What it logs goes to standard error, each line with its level in front.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from hitchpost.errors import BackendUnavailableError, HitchpostError
from hitchpost_meta_reference.engine.front import Front
from hitchpost_meta_reference.engine.lifeline import watch_lifeline
from hitchpost_meta_reference.engine.protocol import Failed, ProtocolError, encode
from hitchpost_meta_reference.engine.settings import EngineSettings
from hitchpost_meta_reference.engine.step_thread import StepReport, StepThread, start_thread

LAST_WORDS_S = 1.0
"""How long the reason for an end may take to reach the clients."""

log = logging.getLogger("hitchpost.engine")

BuildEngine = Callable[[Callable[[StepReport], None], Callable[[str], None]], tuple[Front, StepThread]]
"""Loads the model, in the step thread; is given where to report steps and where to say that nothing can be computed any more."""


class EngineServer:
    """Clients of one engine, from before its model is loaded.

    Args:
        build: loads the model. A HitchpostError that it raises is the clients' answer; for anything else they are sent to the log.
    """

    def __init__(self, build: BuildEngine) -> None:
        self._build = build
        self._loop = asyncio.get_running_loop()
        self._loading: asyncio.Future[Front] = self._loop.create_future()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Set, with the reason, when the engine is of no use any more."""

    async def serve(self, listener: socket.socket) -> None:
        """Begins to load and to accept clients."""
        self._server = await asyncio.start_unix_server(self._serve_client, sock=listener)
        start_thread(self._step_thread)

    def _step_thread(self) -> None:
        try:
            front, steps = self._build(self._report, self._fail)
        except HitchpostError as error:
            log.error("the model can't be loaded: %s", error, exc_info=error)
            self._fail(error.message)
        except BaseException as error:
            log.exception("the model can't be loaded")
            self._fail(f"the model can't be loaded ({type(error).__name__}); the log says more")
        else:
            self._loop.call_soon_threadsafe(self._loading.set_result, front)
            steps.run()

    def _report(self, report: StepReport) -> None:
        self._loop.call_soon_threadsafe(lambda: self._loading.result().report(report))

    def _fail(self, message: str) -> None:
        self._loop.call_soon_threadsafe(self._end, message)

    def _end(self, message: str) -> None:
        if self._loading.done():
            self._loading.result().give_up(message)
        else:
            self._loading.set_exception(BackendUnavailableError(message))
        self.ended.set_result(message)

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            front = await asyncio.shield(self._loading)
            await front.serve(reader, writer)
        except HitchpostError as error:
            writer.write(encode(Failed(error.message)))
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        except (ProtocolError, ConnectionError) as error:
            log.warning("a client's connection is cut: %s", error)
        finally:
            writer.close()


async def _run(listener: socket.socket, build: BuildEngine) -> int:
    """Serves until there is a reason to end; returns the exit status."""
    lifeline = asyncio.get_running_loop().create_future()
    watch_lifeline(asyncio.get_running_loop(), lambda: lifeline.set_result(None))
    server = EngineServer(build)
    await server.serve(listener)
    await asyncio.wait([lifeline, server.ended], return_when=asyncio.FIRST_COMPLETED)
    if lifeline.done():
        return 0
    # The owner reads the reason, lets go of the lifeline, and that's the end; the limit is for one that doesn't.
    await asyncio.wait([lifeline], timeout=LAST_WORDS_S)
    return 1


def main(arguments: list[str]) -> None:
    """Runs the engine; never returns."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    listener = socket.socket(fileno=int(arguments[0]))
    settings = EngineSettings.from_argument(arguments[1])
    folder = Path(listener.getsockname()).parent

    def build(report: Callable[[StepReport], None], fail: Callable[[str], None]) -> tuple[Front, StepThread]:
        # Here and not above, so that clients are accepted while torch is being imported.
        from hitchpost_meta_reference.engine.loading import load_engine

        return load_engine(settings, report, fail)

    status = 1
    try:
        status = asyncio.run(_run(listener, build))
    finally:
        # The owner does it too, unless it was killed.
        shutil.rmtree(folder, ignore_errors=True)
        sys.stderr.flush()
        # Not through the interpreter's own end: that would wait for a step, and tensors need no farewell.
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])

__all__ = ["EngineServer", "main"]
