"""The host's side of the processes that parse: started when needed, used again, killed when late, left or broken."""

import asyncio
import logging
import math
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from pydantic import ValidationError

from hitchpost.errors import BackendUnavailableError, BadRequestError, HitchpostError, UnsupportedError
from hitchpost.ingest.config import MIB, IngestConfig
from hitchpost.ingest.parsing.frames import LENGTHS, ParseAnswer, ParseRequest, pack

WORKER = "hitchpost.ingest.parsing.worker"
START_TIMEOUT_S = 60.0
WRITTEN_BYTES = 256 * 1024
MAX_HEADER_BYTES = 64 * 1024
MAX_SPAN_BYTES = 1024
BYTES_PER_CHARACTER = 4
REFUSALS: dict[str, type[HitchpostError]] = {"bad_request": BadRequestError, "unsupported": UnsupportedError}


class ParserPool:
    """Processes that parse one document at a time each; as many as the caller lets parse at the same time.

    Args:
        config: limits of memory and time.
        log: told when a process died or was killed.
    """

    def __init__(self, config: IngestConfig, log: logging.Logger) -> None:
        self._config = config
        self._log = log
        self._idle: list[Process] = []
        self._all: set[Process] = set()

    async def parse(self, request: ParseRequest, data: bytes) -> tuple[ParseAnswer, str]:
        """The answer for a document, and its text. When the caller is cancelled, the process is killed.

        Raises:
            BadRequestError, UnsupportedError: the document can't be parsed, or not within the limits.
            BackendUnavailableError: no process could be started.
        """
        process = await self._take()
        is_reusable = False
        try:
            async with asyncio.timeout(self._config.parse_timeout_s):
                await _write(process, request, data)
                answer, text = await self._read(process)
            is_reusable = not answer.is_worn
        except TimeoutError:
            message = f"parsing the document takes longer than {self._config.parse_timeout_s:g} s"
            raise BadRequestError(message) from None
        except (asyncio.IncompleteReadError, OSError, ValidationError, UnicodeError) as error:
            if process not in self._all:
                raise BackendUnavailableError("documents are read no more, as the provider is being stopped") from error
            self._log.warning("a process that parsed a document ended in the middle of it")
            message = "the process that parsed the document broke down over it; the document is damaged or too large"
            raise BadRequestError(message) from error
        finally:
            if is_reusable and process in self._all:
                self._idle.append(process)
            else:
                await self._end(process)
        if answer.refusal is not None:
            raise REFUSALS[answer.refusal](answer.message, param="content")
        return answer, text

    async def stop(self) -> None:
        """End all processes, also those that are parsing."""
        self._idle.clear()
        await asyncio.gather(*(self._end(process) for process in list(self._all)))

    async def _take(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if not _has_ended(process):
                return process
            await self._end(process)
        return await self._start()

    async def _start(self) -> Process:
        command = (sys.executable, "-s", "-P", "-m", WORKER, str(self._config.parse_memory_mib * MIB))
        # Nothing of the host's environment, which holds keys.
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, cwd="/", start_new_session=True
            )
        except OSError as error:
            raise BackendUnavailableError("a process that parses documents can't be started") from error
        self._all.add(process)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._read(process)
        except BaseException as error:
            await self._end(process)
            if isinstance(error, TimeoutError | asyncio.IncompleteReadError | OSError | ValidationError):
                message = "the process that parses documents does not start; parse_memory_mib may be too low"
                raise BackendUnavailableError(message) from error
            raise
        return process

    async def _read(self, process: Process) -> tuple[ParseAnswer, str]:
        assert process.stdout is not None
        header_bytes, text_bytes = LENGTHS.unpack(await process.stdout.readexactly(LENGTHS.size))
        max_header_bytes = MAX_HEADER_BYTES + MAX_SPAN_BYTES * self._config.max_chunks
        if header_bytes > max_header_bytes or text_bytes > BYTES_PER_CHARACTER * self._config.max_text_characters:
            raise UnicodeError("an answer that is too long")
        answer = ParseAnswer.model_validate_json(await process.stdout.readexactly(header_bytes))
        return answer, (await process.stdout.readexactly(text_bytes)).decode()

    async def _end(self, process: Process) -> None:
        self._all.discard(process)
        if not _has_ended(process):
            # Not by asyncio, whose kill() may collect a process that ends by itself before the loop's own watcher does.
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()


def _has_ended(process: Process) -> bool:
    """Whether a process is gone, though asyncio may not know yet."""
    if process.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


async def _write(process: Process, request: ParseRequest, data: bytes) -> None:
    assert process.stdin is not None
    head, body = pack(request, data)
    process.stdin.write(head)
    view = memoryview(body)
    for start in range(0, len(view), WRITTEN_BYTES):
        process.stdin.write(view[start : start + WRITTEN_BYTES])
        await process.stdin.drain()


def cpu_seconds(config: IngestConfig) -> int:
    """Of processor time for a document: as much as there is time at all."""
    return math.ceil(config.parse_timeout_s) + 1


__all__ = ["ParserPool", "cpu_seconds"]
