"""One HTTP server behind a provider: a pool of connections, and every failure an error of ours."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from pydantic_core import PydanticSerializationError, to_json

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError, UnauthenticatedError
from hitchpost.remote.answer import Answer
from hitchpost.remote.config import RemoteConfig
from hitchpost.remote.patience import Patience, too_late
from hitchpost.remote.refusals import ServerError, error_in_body, refusal, retry_after_s
from hitchpost.remote.retries import RETRIED_STATUSES, NotTakenError, retry_delay_s

if TYPE_CHECKING:
    from hitchpost.remote.pool import Pool
    from hitchpost.remote.transport import Transport

MAX_ERROR_BYTES = 64 * 2**10

ReadError = Callable[[int, ServerError], HitchpostError | None]
"""From a status and what the server says is wrong to the error of ours; None: what the status usually means."""


class RemoteServer:
    """One pool of connections to one server. `open` it in the provider's `start`, `close` it in its `stop`.

    Args:
        config: where the server is, and how long it may take.
        name: what messages call it, such as `Ollama`.
        key: sent as bearer token with each request that brings none of its own.
        read_error: what this kind of server means by its errors, where that isn't what the status says.
    """

    def __init__(
        self,
        config: RemoteConfig,
        name: str,
        *,
        key: SecretStr | None = None,
        read_error: ReadError = lambda status, error: None,
    ) -> None:
        self.name = name
        self._config = config
        self._key = key
        self._read_error = read_error
        self._pool: Pool | None = None
        self._transport: Transport | None = None

    async def open(self) -> None:
        """Opens the pool; again is once.

        Raises:
            BackendUnavailableError: `tls_ca_file` can't be read, the environment names a proxy that is not spoken with, or
                `hitchpost[remote]` is not installed.
        """
        if self._pool is None:
            # What opens connections is imported where there is a server to connect with.
            try:
                from hitchpost.remote.pool import Pool
                from hitchpost.remote.transport import Transport
            except ModuleNotFoundError as error:
                message = f"{error.name} is missing; install it with: pip install 'hitchpost[remote]'"
                raise BackendUnavailableError(message, is_permanent=True) from error

            config = self._config
            self._transport = await asyncio.to_thread(Transport, config, self.name)
            self._pool = Pool(self.name, self._transport.connect, config.max_connections, config.connect_timeout_s)

    async def close(self) -> None:
        """Ends every connection."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def fetch_json(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: SecretStr | None = None,
        deadline: float | None = None,
        first_byte_timeout_s: float | None = None,
    ) -> Any:
        """What a request answers, as JSON. Arguments and errors as for `send`."""
        call = self._call(method, path, body, key, "application/json", deadline, first_byte_timeout_s)
        answer = await self._begin(call)
        try:
            return await answer.json()
        finally:
            answer.close()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: SecretStr | None = None,
        accept: str = "application/json",
        deadline: float | None = None,
        first_byte_timeout_s: float | None = None,
    ) -> AbstractAsyncContextManager[Answer]:
        """The answer to a request, from the moment that its status is known to be 200.

        What the server did not take is sent again, as the config says. Leaving the block ends the connection unless the answer was read
        to its end, so that the server stops working for nobody.

        Args:
            method: the HTTP verb.
            path: is appended to the configured url.
            body: sent as JSON; absent: none.
            key: the bearer token in place of the server's own.
            accept: the media type that the answer is to have.
            deadline: when the answer must be whole, on the clock of `time.monotonic()`; `total_timeout_s` holds besides.
            first_byte_timeout_s: in place of the configured one.

        Raises, at the block's begin:
            HitchpostError: the server can't be reached, refuses, or is silent for too long; what its status means by `refusal`.
        """
        call = self._call(method, path, body, key, accept, deadline, first_byte_timeout_s)
        return _Sending(self._begin, call)

    def _call(
        self,
        method: str,
        path: str,
        body: Any,
        key: SecretStr | None,
        accept: str,
        deadline: float | None,
        first_byte_timeout_s: float | None,
    ) -> "_Call":
        ends_at = time.monotonic() + self._config.total_timeout_s
        return _Call(
            method,
            path,
            None if body is None else json_bytes(body),
            accept,
            _bearer_token(key or self._key),
            first_byte_timeout_s or self._config.first_byte_timeout_s,
            ends_at if deadline is None else min(ends_at, deadline),
        )

    async def _begin(self, call: "_Call") -> Answer:
        """Send a call until it is taken."""
        failed = 0
        while True:
            try:
                return await self._attempt(call)
            except NotTakenError as not_taken:
                failed += 1
                left_s = call.ends_at - time.monotonic()
                delay_s = retry_delay_s(failed, not_taken.error.retry_after_s, left_s)
                if failed > self._config.max_retries or delay_s is None:
                    # Without the cause, which may hold the request's headers.
                    raise not_taken.error from None
            await asyncio.sleep(delay_s)

    async def _attempt(self, call: "_Call") -> Answer:
        pool, transport = self._pool, self._transport
        if pool is None or transport is None:
            raise BackendUnavailableError(f"the connections to {self.name} are closed")
        within_s = min(call.silence_s, call.ends_at - time.monotonic())
        connection = pool.find_idle()
        if connection is None:
            try:
                connection = await pool.acquire(within_s)
            except TimeoutError:
                raise too_late(self.name, max(0.0, within_s), has_begun=False) from None
        patience = Patience(
            self.name, call.silence_s, self._config.between_chunks_timeout_s, call.ends_at, connection.fail
        )
        answer = Answer(connection, pool.release, patience, self.name, call.path, self.refusal)
        try:
            patience.begin_wait()
            await connection.ask(call.head(transport), call.data)
            patience.end_wait()
            status = connection.status
            if status == 200 and connection.headers.get(b"content-encoding", b"identity") == b"identity":
                return answer
            raise await self._bad_answer(status, answer, call)
        except BaseException:
            answer.close()
            raise

    async def _bad_answer(self, status: int, answer: Answer, call: "_Call") -> Exception:
        """What an answer means that is no good."""
        if status == 200:
            return BadBackendAnswerError(f"{self.name} answered compressed, which it was asked not to do")
        said = None
        # The status says enough where the words are too many or break off.
        with contextlib.suppress(HitchpostError):
            said = error_in_body(await answer.read(MAX_ERROR_BYTES))
        if said is not None and call.token:
            # Some servers quote the key that they refuse.
            said = replace(said, message=said.message.replace(call.token, "…"))
        meant = self.refusal(status, said, call.path, retry_after_s(answer.headers))
        return NotTakenError(meant) if status in RETRIED_STATUSES and meant.is_retryable else meant

    def refusal(
        self, status: int, error: ServerError | None, what: str = "", wait_s: float | None = None
    ) -> HitchpostError:
        """The error of ours that an error of the server's means, also of one inside a stream or an answer with the status 200.

        Args:
            status: the HTTP status, or what it would be.
            error: what the server says.
            what: what was asked for, such as its path.
            wait_s: when the server wants to be asked again.
        """
        meant = self._read_error(status, error) if error is not None else None
        if meant is None:
            return refusal(self.name, status, error, what=what, retry_after_s=wait_s)
        meant.retry_after_s = wait_s if meant.retry_after_s is None else meant.retry_after_s
        return meant


@dataclass(slots=True)
class _Call:
    """A request as it goes out, as often as it must."""

    method: str
    path: str
    data: bytes | None
    accept: str
    token: str = field(repr=False)
    silence_s: float
    ends_at: float

    def head(self, transport: "Transport") -> bytes:
        """The request without its body."""
        token = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        form = "" if self.data is None else f"Content-Type: application/json\r\nContent-Length: {len(self.data)}\r\n"
        return (
            f"{self.method} {transport.target(self.path)} HTTP/1.1\r\n{transport.headers}"
            f"Accept: {self.accept}\r\n{token}{form}\r\n"
        ).encode()


class _Sending:
    """The block in which an answer is read; see `RemoteServer.send`."""

    __slots__ = ("_answer", "_begin", "_call")

    def __init__(self, begin: Callable[[_Call], Awaitable[Answer]], call: _Call) -> None:
        self._begin = begin
        self._call = call
        self._answer: Answer | None = None

    async def __aenter__(self) -> Answer:
        self._answer = await self._begin(self._call)
        return self._answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._answer is not None:
            self._answer.close()


def json_bytes(body: Any) -> bytes:
    """A body as JSON; half a surrogate pair, which has no UTF-8, stays what the caller sent, as an escape."""
    try:
        return to_json(body)
    except PydanticSerializationError:
        return json.dumps(body).encode()


def _bearer_token(key: SecretStr | None) -> str:
    text = key.get_secret_value().strip() if key is not None else ""
    if not (text.isascii() and text.isprintable()):
        raise UnauthenticatedError("the key holds characters that no header may hold")
    return text


__all__ = ["ReadError", "RemoteServer", "json_bytes"]
