"""The gate in front of each provider: its state, how many requests it works on, and how long one may take."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hitchpost.api import Api, Capability, RequestContext, Resource
from hitchpost.config import ProviderLimits
from hitchpost.errors import (
    BackendUnavailableError,
    BadRequestError,
    DeadlineExceededError,
    HitchpostError,
    OverloadedError,
    ProviderDefectError,
)
from hitchpost.plugin import Provider

T = TypeVar("T")
log = logging.getLogger("hitchpost.routing")

RETRY_AFTER_S = 1.0
"""What a caller is told to wait who met a full queue or a provider that is not ready."""


class ProviderState(StrEnum):
    """`degraded` serves, but its last health check failed; `failed` and `starting` don't serve; `draining` finishes what it has."""

    starting = "starting"
    ready = "ready"
    degraded = "degraded"
    failed = "failed"
    draining = "draining"


class ProviderGate:
    """A configured provider as the host sees it, built or not.

    Args:
        api: the API that it serves.
        provider_id: its name in the run config.
        provider_type: its kind.
        limits: of concurrency, queue and time.
        capabilities: what its type can do at most.
        provider_data: schema of what a caller may send for it per request, if anything.
    """

    def __init__(
        self,
        api: Api,
        provider_id: str,
        provider_type: str,
        limits: ProviderLimits,
        *,
        capabilities: frozenset[Capability] = frozenset(),
        provider_data: type[BaseModel] | None = None,
    ) -> None:
        self.api = api
        self.provider_id = provider_id
        self.provider_type = provider_type
        self.limits = limits
        self.capabilities = capabilities
        self.provider_data = provider_data
        self.provider: Provider[Any] | None = None
        self.state = ProviderState.starting
        self.reason = ""
        self.is_permanent = False
        self.since = datetime.now(UTC)
        self.running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiting)

    def set_state(self, state: ProviderState, reason: str = "", *, is_permanent: bool = False) -> None:
        """Change the state; `reason` says why the provider doesn't serve or is degraded."""
        if state is not self.state:
            self.since = datetime.now(UTC)
            level = logging.WARNING if reason else logging.INFO
            log.log(level, "provider %s/%s is %s%s", self.api, self.provider_id, state, f": {reason}" if reason else "")
        self.state, self.reason, self.is_permanent = state, reason, is_permanent

    def check_serving(self) -> None:
        """Raises BackendUnavailableError, with the reason, unless the provider serves."""
        if self.provider is not None and self.state in (ProviderState.ready, ProviderState.degraded):
            return
        because = f": {self.reason}" if self.reason else ""
        raise BackendUnavailableError(
            f"provider {self.provider_id} is {self.state}{because}",
            provider_id=self.provider_id,
            retry_after_s=None if self.is_permanent else RETRY_AFTER_S,
            is_permanent=self.is_permanent,
        )

    @asynccontextmanager
    async def admit(self, context: RequestContext, resource: Resource) -> AsyncIterator[RequestContext]:
        """Let one request for `resource` through, for as long as the block lasts, with its deadline and provider data set.

        Raises:
            BackendUnavailableError: the provider doesn't serve.
            OverloadedError: the queue is full, or the request waited in it for too long.
            BadRequestError: the provider data does not fit the provider type's schema.
        """
        self.check_serving()
        deadline = asyncio.get_running_loop().time() + self.limits.timeout_s
        if context.deadline is not None:
            deadline = min(deadline, context.deadline)
        context = replace(context, deadline=deadline, resource=resource, provider_data=self._provider_data(context))
        await self._enter(deadline)
        try:
            self.check_serving()
            yield context
        finally:
            self._leave()

    async def answer(self, call: Awaitable[T], context: RequestContext) -> T:
        """Await a provider's whole answer within the deadline.

        Raises:
            DeadlineExceededError: it took too long.
            ProviderDefectError: the provider raised what is no HitchpostError.
        """
        try:
            async with asyncio.timeout_at(context.deadline) as limit:
                return await call
        except Exception as error:
            raise self._translate(error, context, timed_out=limit.expired()) from error

    async def events(self, stream: AsyncIterator[T], context: RequestContext) -> AsyncGenerator[T, None]:
        """Pass on a provider's events within the deadline; errors as `answer`. Closing this closes the stream.

        One timer serves the whole stream: a timer per event would cost more than the event.
        """
        loop = asyncio.get_running_loop()
        waiting: asyncio.Task[Any] | None = None
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            if waiting is not None:
                waiting.cancel()

        timer = loop.call_at(context.deadline, expire) if context.deadline is not None else None
        try:
            while True:
                waiting = asyncio.current_task()
                if expired:
                    raise TimeoutError
                try:
                    event = await anext(stream)
                except StopAsyncIteration:
                    return
                finally:
                    waiting = None
                yield event
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if expired and task is not None and task.uncancel() == 0:
                raise self._translate(TimeoutError(), context, timed_out=True) from error
            raise
        except Exception as error:
            raise self._translate(error, context, timed_out=expired) from error
        finally:
            if timer is not None:
                timer.cancel()
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    def _translate(self, error: Exception, context: RequestContext, *, timed_out: bool) -> HitchpostError:
        if timed_out:
            return DeadlineExceededError(
                f"provider {self.provider_id} had no whole answer within {self.limits.timeout_s:g} s",
                provider_id=self.provider_id,
            )
        if isinstance(error, HitchpostError):
            error.provider_id = error.provider_id or self.provider_id
            return error
        log.error("provider %s failed (request %s)", self.provider_id, context.request_id, exc_info=error)
        return ProviderDefectError("An unexpected error occurred.", provider_id=self.provider_id)

    def _provider_data(self, context: RequestContext) -> BaseModel | None:
        if self.provider_data is None or context.raw_provider_data is None:
            return None
        try:
            return self.provider_data.model_validate(context.raw_provider_data)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
                for detail in error.errors(include_url=False, include_input=False, include_context=False)
            )
            raise BadRequestError(
                f"provider data for provider {self.provider_id} is wrong: {wrong}", provider_id=self.provider_id
            ) from error

    async def _enter(self, deadline: float) -> None:
        if self.running < self.limits.max_concurrent and not self._waiting:
            self.running += 1
            return
        if len(self._waiting) >= self.limits.max_queued:
            message = f"provider {self.provider_id} works on {self.running} requests and {len(self._waiting)} wait; try again later"
            raise OverloadedError(message, provider_id=self.provider_id, retry_after_s=RETRY_AFTER_S)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self.limits.queue_timeout_s)):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # The turn came in the same moment: hand it on.
                self._leave()
            else:
                with suppress(ValueError):  # a leaving request may have skipped and dropped it already
                    self._waiting.remove(turn)
            if not isinstance(error, TimeoutError):
                raise
            message = f"provider {self.provider_id} was busy for {self.limits.queue_timeout_s:g} s; try again later"
            raise OverloadedError(message, provider_id=self.provider_id, retry_after_s=RETRY_AFTER_S) from error

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                # The place passes on; `running` stays as it is.
                turn.set_result(None)
                return
        self.running -= 1


__all__ = ["ProviderGate", "ProviderState"]
