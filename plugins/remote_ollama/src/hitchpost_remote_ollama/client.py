"""Talking to one Ollama server: JSON in, checked objects out, and every failure an error of ours."""

import asyncio
import contextlib
import json
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError
from hitchpost_remote_ollama.config import OllamaConfig
from hitchpost_remote_ollama.failures import error_text, failure, refusal
from hitchpost_remote_ollama.wire import WireObject

MAX_LINE_BYTES = 4 * 2**20
MAX_ANSWER_BYTES = 64 * 2**20
MAX_ERROR_BYTES = 16 * 2**10
QUICK_S = 8.0
"""How long an answer about models or health may take to begin."""

END_S = 0.5
"""How long the end of an answer is waited for once all of it is there."""
RETRY_AFTER_S = (0.05, 0.2)

AnswerT = TypeVar("AnswerT", bound=WireObject)


class OllamaClient:
    """One pool of connections to one server.

    Args:
        config: where it is, and how long it may take.
    """

    def __init__(self, config: OllamaConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Opens the pool; again is once.

        Raises:
            BackendUnavailableError: `ca_file` can't be read.
        """
        if self._session is not None:
            return
        key = self._config.api_key
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_tls(self._config)),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=aiohttp.ClientTimeout(total=None, connect=self._config.connect_timeout_s),
            trust_env=True,
        )

    async def close(self) -> None:
        """Ends every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, path: str, kind: type[AnswerT]) -> AnswerT:
        """What a GET answers."""
        return await self._whole("GET", path, None, kind, QUICK_S)

    async def ask(self, path: str, body: Mapping[str, Any], kind: type[AnswerT]) -> AnswerT:
        """What a POST answers that is quickly said."""
        return await self._whole("POST", path, body, kind, QUICK_S)

    async def post(self, path: str, body: Mapping[str, Any], kind: type[AnswerT]) -> AnswerT:
        """What a POST answers when all of it is there."""
        return await self._whole("POST", path, body, kind, self._config.total_timeout_s)

    async def _whole(
        self, verb: str, path: str, body: Mapping[str, Any] | None, kind: type[AnswerT], silence_s: float
    ) -> AnswerT:
        async with self._answer(verb, path, body, silence_s) as answer:
            data = await answer.read(MAX_ANSWER_BYTES)
        return _read_object(data, kind)

    async def lines(self, path: str, body: Mapping[str, Any], kind: type[AnswerT]) -> AsyncGenerator[AnswerT, None]:
        """The objects of a stream, one from each line. It ends where the server ends it; whether that is its end, the caller knows.

        Raises:
            HitchpostError: what the server says in place of a line, or that it says nothing, or nonsense.
        """
        async with self._answer("POST", path, body, self._config.first_byte_timeout_s) as answer:
            rest = b""
            while chunk := await answer.next():
                *lines, rest = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
                for line in lines:
                    if line and not line.isspace():
                        said = _read_object(line, kind)
                        yield said
                        if said.is_last:
                            await answer.read_end()
                            return
                if len(rest) > MAX_LINE_BYTES:
                    raise BadBackendAnswerError(f"Ollama sent a line of more than {MAX_LINE_BYTES} bytes")
            if rest:
                yield _read_object(rest, kind)

    # --- one exchange ---

    @asynccontextmanager
    async def _answer(
        self, verb: str, path: str, body: Mapping[str, Any] | None, silence_s: float
    ) -> AsyncIterator["_Answer"]:
        """The answer once its header is there, refused ones excepted; the connection is let go of at the end, however that comes."""
        deadline = asyncio.get_running_loop().time() + self._config.total_timeout_s
        response = await self._send(verb, path, None if body is None else _json_text(body), silence_s)
        answer = _Answer(response, self._config, deadline)
        try:
            if response.status != 200:
                raise refusal(response.status, await answer.read(MAX_ERROR_BYTES), path)
            yield answer
        finally:
            # Ends the connection unless the answer was read to its end: what is left of it must not be computed.
            response.close()

    async def _send(self, verb: str, path: str, data: bytes | None, silence_s: float) -> aiohttp.ClientResponse:
        session = self._session
        if session is None:
            raise BackendUnavailableError("the provider is not started")
        headers = {"Content-Type": "application/json"} if data else {}
        url = f"{self._config.url}{path}"
        try:
            async with asyncio.timeout(silence_s):
                try:
                    return await session.request(verb, url, data=data, headers=headers, allow_redirects=False)
                except aiohttp.ServerDisconnectedError:
                    # A kept connection that the server had given up, most often: nothing has been answered, so nothing is said twice.
                    await asyncio.sleep(random.uniform(*RETRY_AFTER_S))  # noqa: S311
                    return await session.request(verb, url, data=data, headers=headers, allow_redirects=False)
        except TimeoutError as error:
            raise BackendUnavailableError(f"Ollama did not answer {path} within {silence_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BackendUnavailableError(_unreachable(error)) from error
        except (AssertionError, RuntimeError) as error:
            # So aiohttp tells that a session was closed under a request that had no connection yet.
            if not session.closed:
                raise
            raise BackendUnavailableError("the provider was stopped") from error


class _Answer:
    """The body of an answer, read within the time limits.

    Args:
        deadline: when it must be whole, on the clock of the event loop.
    """

    def __init__(self, response: aiohttp.ClientResponse, config: OllamaConfig, deadline: float) -> None:
        self._content = response.content
        self._config = config
        self._deadline = deadline

    async def next(self) -> bytes:
        """What has come, at least a byte; empty at the end."""
        silence_ends = asyncio.get_running_loop().time() + self._config.between_chunks_timeout_s
        try:
            async with asyncio.timeout_at(min(silence_ends, self._deadline)):
                return await self._content.readany()
        except TimeoutError as error:
            raise BackendUnavailableError(self._late(is_silent=silence_ends < self._deadline)) from error
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            # aiohttp raises RuntimeError where the connection is gone before it is waited for, as when the pool is closed.
            raise BadBackendAnswerError("the connection to Ollama broke in the middle of an answer") from error

    def _late(self, *, is_silent: bool) -> str:
        if is_silent:
            return f"Ollama fell silent in the middle of an answer, for {self._config.between_chunks_timeout_s:g} s"
        return f"Ollama's answer was not whole within {self._config.total_timeout_s:g} s"

    async def read(self, limit: int) -> bytes:
        """All of it, at most `limit` bytes."""
        pieces, size = [], 0
        while chunk := await self.next():
            pieces.append(chunk)
            size += len(chunk)
            if size > limit:
                raise BadBackendAnswerError(f"Ollama sent an answer of more than {limit} bytes")
        return b"".join(pieces)

    async def read_end(self) -> None:
        """Waits a moment for the end of an answer that is whole, as only then its connection can serve again."""
        with contextlib.suppress(HitchpostError, TimeoutError):
            async with asyncio.timeout(END_S):
                await self.next()


def _read_object(data: bytes, kind: type[AnswerT]) -> AnswerT:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        text = error_text(data)
        if text is not None:
            raise failure(text) from None
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}: {first['msg']}" if where else "it is no JSON object"
        raise BadBackendAnswerError(f"Ollama's answer can't be read: {what[:200]}") from None


def _json_text(body: Mapping[str, Any]) -> bytes:
    try:
        return to_json(body)
    except PydanticSerializationError:
        # Half a surrogate pair has no UTF-8; as an escape it is what the caller sent.
        return json.dumps(body).encode()


def _unreachable(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return (
            "the certificate of the server at the configured url is not trusted; ca_file names authorities of your own"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no Ollama answers at the configured url; start it with `ollama serve`, or correct url"
    return "the connection to Ollama ended before its answer"


def _tls(config: OllamaConfig) -> ssl.SSLContext | bool:
    if config.ca_file is None:
        return True
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=config.ca_file.expanduser())
    except (OSError, ssl.SSLError) as error:
        raise BackendUnavailableError("ca_file holds no certificates that can be read", is_permanent=True) from error
    return context


__all__ = ["OllamaClient"]
