"""One HTTP server behind a provider: a pool of connections, and every failure an error of ours."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from pydantic_core import PydanticSerializationError, to_json

from hitchpost.api.deadline import Deadline
from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError, UnauthenticatedError
from hitchpost.remote.answer import Answer
from hitchpost.remote.config import RemoteConfig
from hitchpost.remote.patience import too_late
from hitchpost.remote.refusals import ServerError, error_in_body, refusal, retry_after_s
from hitchpost.remote.retries import RETRIED_STATUSES, retry_delay_s
from hitchpost.remote.transport import (
    find_proxy,
    lost_before_answer,
    never_taken,
    open_session,
    tls_context,
)

if TYPE_CHECKING:
    import aiohttp

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
        self._answers: set[Answer] = set()
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None

    async def open(self) -> None:
        """Opens the pool; again is once.

        Raises:
            BackendUnavailableError: `tls_ca_file` can't be read.
        """
        if self._session is None:
            tls = await asyncio.to_thread(tls_context, self._config)
            self._proxy = find_proxy(self._config.url)
            self._session = open_session(self._config, tls)

    async def close(self) -> None:
        """Ends every connection."""
        session, self._session = self._session, None
        for answer in self._answers:
            answer.lose()
        if session is not None:
            await session.close()

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
        sending = self.send(method, path, body, key=key, deadline=deadline, first_byte_timeout_s=first_byte_timeout_s)
        async with sending as answer:
            return await answer.json()

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
        ends_at = time.monotonic() + self._config.total_timeout_s
        ends_at = ends_at if deadline is None else min(ends_at, deadline)
        headers = {"Accept": accept, **_authorization(key or self._key)}
        data = None if body is None else json_bytes(body)
        if data is not None:
            headers["Content-Type"] = "application/json"
        silence_s = first_byte_timeout_s or self._config.first_byte_timeout_s
        return _Call(method, path, data, headers, silence_s, ends_at, self._begin, self._end)

    async def _begin(self, call: "_Call") -> Answer:
        """Send a call until it is taken."""
        failed = 0
        while True:
            try:
                return await self._attempt(call)
            except _NotTakenError as not_taken:
                failed += 1
                left_s = call.ends_at - time.monotonic()
                delay_s = retry_delay_s(failed, not_taken.error.retry_after_s, left_s)
                if failed > self._config.max_retries or delay_s is None:
                    raise not_taken.error from None
            await asyncio.sleep(delay_s)

    def _end(self, answer: Answer) -> None:
        """Nobody reads the answer any more."""
        self._answers.discard(answer)
        answer.close()

    async def _attempt(self, call: "_Call") -> Answer:
        import aiohttp

        session = self._session
        if session is None:
            raise BackendUnavailableError(f"the connections to {self.name} are closed")
        within_s = min(call.silence_s, call.ends_at - time.monotonic())
        deadline = Deadline(time.monotonic() + within_s)
        try:
            with deadline:
                response = await session.request(
                    call.method,
                    self._config.url + call.path,
                    data=call.data,
                    headers=call.headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                )
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise too_late(self.name, max(0.0, within_s), has_begun=False) from None
            lost = lost_before_answer(self.name, error)
            # Without the cause, which holds the request's headers.
            raise _NotTakenError(lost) if never_taken(error) else lost from None
        except (AssertionError, AttributeError, RuntimeError):
            # So aiohttp tells, in words that differ by version, that the pool was closed under a request that had no connection yet.
            if not session.closed:
                raise
            raise BackendUnavailableError(f"the connections to {self.name} are closed") from None
        finally:
            deadline.drop()
        answer = Answer(response, self.name, call.path, self._config, call.ends_at, call.silence_s, self.refusal)
        self._answers.add(answer)
        if response.status == 200 and response.headers.get("Content-Encoding", "identity") == "identity":
            return answer
        try:
            raise await self._bad_answer(response.status, answer, call)
        finally:
            self._end(answer)

    async def _bad_answer(self, status: int, answer: Answer, call: "_Call") -> Exception:
        """What an answer means that is no good."""
        if status == 200:
            return BadBackendAnswerError(f"{self.name} answered compressed, which it was asked not to do")
        said = None
        # The status says enough where the words are too many or break off.
        with contextlib.suppress(HitchpostError):
            said = error_in_body(await answer.read(MAX_ERROR_BYTES))
        if said is not None:
            said = _without_key(said, call.headers.get("Authorization", "").removeprefix("Bearer "))
        meant = self.refusal(status, said, call.path, retry_after_s(answer.headers))
        return _NotTakenError(meant) if status in RETRIED_STATUSES and meant.is_retryable else meant

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
    """A request as it goes out, as often as it must; its block is the time in which its answer is read."""

    method: str
    path: str
    data: bytes | None
    headers: Mapping[str, str] = field(repr=False)
    silence_s: float
    ends_at: float
    begin: Callable[["_Call"], Awaitable[Answer]]
    end: Callable[[Answer], None]
    answer: Answer | None = None

    async def __aenter__(self) -> Answer:
        self.answer = await self.begin(self)
        return self.answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.answer is not None:
            self.end(self.answer)


class _NotTakenError(Exception):
    """An attempt that the server did not take, and that may be repeated."""

    def __init__(self, error: HitchpostError) -> None:
        super().__init__(error.message)
        self.error = error


def json_bytes(body: Any) -> bytes:
    """A body as JSON; half a surrogate pair, which has no UTF-8, stays what the caller sent, as an escape."""
    try:
        return to_json(body)
    except PydanticSerializationError:
        return json.dumps(body).encode()


def _without_key(error: ServerError, key: str) -> ServerError:
    """Some servers quote the key that they refuse."""
    return replace(error, message=error.message.replace(key, "…")) if key else error


def _authorization(key: SecretStr | None) -> dict[str, str]:
    text = key.get_secret_value().strip() if key is not None else ""
    if not text:
        return {}
    if not (text.isascii() and text.isprintable()):
        raise UnauthenticatedError("the key holds characters that no header may hold")
    return {"Authorization": f"Bearer {text}"}


__all__ = ["ReadError", "RemoteServer", "json_bytes"]
