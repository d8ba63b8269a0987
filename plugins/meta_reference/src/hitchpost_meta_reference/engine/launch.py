"""Starts an engine process and ends it again; the host's side, without torch.

The host makes the socket and hands it over, so it can connect at once and an engine that dies early is an end of the connection like any
other. The engine's standard input is its lifeline: nothing is ever written, and its end, for whatever reason, ends the engine.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Awaitable
from pathlib import Path
from typing import Self

from hitchpost_meta_reference.engine.settings import EngineSettings

ENGINE_MODULE = "hitchpost_meta_reference.engine.process"
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Unless the operator says otherwise. Threads that spin while they wait for each other stop an engine almost dead when it shares its cores."""
_MAX_LOG_LINE = 8192
_LEVELS = {name: logging.getLevelNamesMapping()[name] for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}


class EngineProcess:
    """A running engine process, from `launch` to `end`."""

    def __init__(
        self, process: Process, folder: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._folder = folder
        self.reader = reader
        self.writer = writer
        self._log_task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @classmethod
    async def launch(cls, settings: EngineSettings, log: logging.Logger) -> Self:
        """Starts a process and connects to it; it may still be loading.

        Args:
            log: gets what the process writes, line by line.
        """
        folder = Path(tempfile.mkdtemp(prefix="hitchpost-engine-"))
        process: Process | None = None
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / "socket"))
                listener.listen()
                process = await asyncio.create_subprocess_exec(
                    # -P: a module in the current folder must not take the place of one of ours.
                    *(sys.executable, "-P", "-m", ENGINE_MODULE, str(listener.fileno()), settings.to_argument()),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=STDOUT,
                    pass_fds=[listener.fileno()],
                    env=ENVIRONMENT | os.environ,
                    # Ctrl-C in the host's terminal is the host's to handle.
                    start_new_session=True,
                )
                reader, writer = await asyncio.open_unix_connection(folder / "socket")
        except BaseException:
            if process is not None:
                process.kill()
                await process.wait()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        engine = cls(process, folder, reader, writer)
        engine._log_task = asyncio.create_task(_forward_log(process, log), name=f"log of engine {process.pid}")
        return engine

    async def end(self, within_s: float) -> str:
        """Ends the process, by force if it takes longer; returns how it ended. It may have ended before."""
        self.writer.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await _wait(self._process.wait(), within_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            shutil.rmtree(self._folder, ignore_errors=True)
        status = await self._process.wait()
        if self._log_task is not None:
            await self._log_task
        return describe_status(status)


def describe_status(status: int) -> str:
    """A process's return code in words."""
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


async def _wait(ending: Awaitable[object], within_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ending, within_s)


async def _forward_log(process: Process, log: logging.Logger) -> None:
    """Lines that begin with a level keep it; the lines of a traceback have that of the line before."""
    output = process.stdout
    if output is None:
        return
    level, rest = logging.INFO, b""
    while chunk := await output.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MAX_LOG_LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            level = _log_line(log, line, level)
    if rest:
        _log_line(log, rest, level)


def _log_line(log: logging.Logger, line: bytes, level: int) -> int:
    text = line[:_MAX_LOG_LINE].decode("utf-8", "replace").rstrip()
    name, _, message = text.partition(" ")
    if name in _LEVELS:
        level, text = _LEVELS[name], message
    if text:
        log.log(level, "engine: %s", text)
    return level


__all__ = ["ENGINE_MODULE", "EngineProcess", "describe_status"]
