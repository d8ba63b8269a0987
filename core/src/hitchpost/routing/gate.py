"""The gate in front of each provider: its state, how many requests it works on, and how long one may take."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ValidationError

from hitchpost.api import Api, Capability, Finish, RequestContext, Resource
from hitchpost.api.problems import problem_location, problem_words
from hitchpost.config import ProviderLimits
from hitchpost.errors import (
    BackendUnavailableError,
    BadRequestError,
    ConfigError,
    DeadlineExceededError,
    HitchpostError,
    PluginError,
    ProviderDefectError,
    quoted,
)
from hitchpost.plugin import Provider
from hitchpost.plugin.collect import check_all_finished
from hitchpost.plugin.foreign import is_failure
from hitchpost.routing.deadline import Deadline, Deadlines
from hitchpost.routing.places import RETRY_AFTER_S, Places
from hitchpost.routing.tracing import Span, Tracer

log = logging.getLogger("hitchpost.routing")

CLOSE_TIMEOUT_S = 10.0
"""How long a provider may take to let go of a stream that is closed."""


class ProviderState(StrEnum):
    """`degraded` serves, but its last health check failed; `failed` and `starting` don't serve; `draining` finishes what it has."""

    starting = "starting"
    ready = "ready"
    degraded = "degraded"
    failed = "failed"
    draining = "draining"


SERVING = (ProviderState.ready, ProviderState.degraded)
"""The states in which a provider is asked. Names of an enum's members are slow to look up, and every request asks for these."""


class ProviderGate:
    """A configured provider as the host sees it, built or not.

    Args:
        api: the API that it serves.
        provider_id: its name in the run config.
        provider_type: its kind.
        limits: of concurrency, queue and time.
        capabilities: what its type can do at most.
        provider_data: schema of what a caller may send for it per request, if anything.
        tracer: takes the spans of calls of requests that are traced.
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
        tracer: Tracer | None = None,
    ) -> None:
        self.api = api
        self.provider_id = provider_id
        self.provider_type = provider_type
        self.limits = limits
        self.capabilities = capabilities
        self.provider_data = provider_data
        self.tracer = tracer
        self.provider: Provider[Any] | None = None
        self.state = ProviderState.starting
        self.reason = ""
        self.retry_after_s: float | None = RETRY_AFTER_S
        self.since = datetime.now(UTC)
        self.places = Places(provider_id, limits)
        self.deadlines = Deadlines()

    @property
    def running(self) -> int:
        """Requests that the provider works on."""
        return self.places.taken

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self.places.waiting

    def set_state(self, state: ProviderState, reason: str = "", *, retry_after_s: float | None = RETRY_AFTER_S) -> None:
        """Change the state; a provider that is draining stays so.

        Args:
            state: the new state.
            reason: why the provider doesn't serve or is degraded.
            retry_after_s: when a caller that is refused may try again; None where it failed for good.
        """
        if self.state is ProviderState.draining:
            return
        if state is not self.state:
            self.since = datetime.now(UTC)
            # One that doesn't serve has nothing to finish.
            if state is not ProviderState.draining or self.state in SERVING:
                self._log_state(state, reason)
        self.state, self.reason, self.retry_after_s = state, reason, retry_after_s

    def _log_state(self, state: ProviderState, reason: str) -> None:
        level = logging.WARNING if reason else logging.INFO
        log.log(level, "provider %s/%s is %s%s", self.api, self.provider_id, state, f": {reason}" if reason else "")

    def check_serving(self) -> None:
        """Raises BackendUnavailableError, with the reason, unless the provider serves."""
        if self.provider is not None and self.state in SERVING:
            return
        because = f": {self.reason}" if self.reason else ""
        raise BackendUnavailableError(
            f"provider {self.provider_id} is {self.state}{because}",
            provider_id=self.provider_id,
            retry_after_s=self.retry_after_s,
            is_permanent=self.retry_after_s is None,
        )

    async def answer(
        self, operation: str, request: object, context: RequestContext, resource: Resource | None = None
    ) -> Any:
        """Await a whole answer of the provider's method `operation`, within the provider's limits. The method gets the context with deadline,
        resource and provider data set. The call is a span.

        Raises:
            BackendUnavailableError: the provider doesn't serve.
            OverloadedError: the queue is full, or the request waited in it for too long.
            BadRequestError: the provider data does not fit the provider type's schema.
            DeadlineExceededError: it took too long.
            ProviderDefectError: the provider raised what is no HitchpostError.
        """
        call = Call(self, operation, context, resource)
        try:
            admitted, deadline = await call.enter()
            with deadline:
                return await getattr(self.provider, operation)(request, admitted)
        except BaseException as error:
            call.raise_translated(error)
            raise
        finally:
            call.leave()

    async def events(
        self,
        operation: str,
        request: object,
        context: RequestContext,
        resource: Resource | None = None,
        *,
        choices: int = 0,
    ) -> AsyncGenerator[Any, None]:
        """Pass on the events of the provider's method `operation`; else as `answer`. Closing this closes the stream.

        Args:
            operation, request, context, resource: as of `answer`.
            choices: how many choices the stream must finish.

        Raises:
            BadBackendAnswerError: the stream ended without a `Finish` for each choice.
            HitchpostError: as `answer`.
        """
        call = Call(self, operation, context, resource)
        stream: Any = None
        finished: set[int] = set()
        try:
            admitted, deadline = await call.enter()
            stream = getattr(self.provider, operation)(request, admitted)
            while True:
                try:
                    with deadline:
                        event = await anext(stream)
                except StopAsyncIteration:
                    stream = None
                    break
                if type(event) is Finish:
                    finished.add(event.choice)
                yield event
            check_all_finished(finished, range(choices), provider_id=self.provider_id)
        except BaseException as error:
            call.raise_translated(error)
            raise
        finally:
            try:
                if stream is not None:
                    await self._close(stream, context)
            finally:
                call.leave()

    async def _close(self, stream: Any, context: RequestContext) -> None:
        close = getattr(stream, "aclose", None)
        if close is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await close()
        except BaseException as error:
            if not is_failure(error):
                raise
            message = "provider %s failed to close a stream (request %s)"
            log.error(message, self.provider_id, context.request_id, exc_info=error)

    def translate(self, error: BaseException, context: RequestContext, *, timed_out: bool) -> HitchpostError:
        """The error that a caller gets for what came out of the provider's code."""
        if timed_out:
            return DeadlineExceededError(
                f"provider {self.provider_id} had no whole answer in time (limits.timeout_s is {self.limits.timeout_s:g})",
                provider_id=self.provider_id,
            )
        if isinstance(error, HitchpostError) and not isinstance(error, ConfigError | PluginError):
            error.provider_id = error.provider_id or self.provider_id
            return error
        log.error("provider %s failed (request %s)", self.provider_id, context.request_id, exc_info=error)
        return ProviderDefectError("An unexpected error occurred.", provider_id=self.provider_id)

    def provider_data_of(self, context: RequestContext) -> BaseModel | None:
        """What the caller sent for this provider type, validated; raises BadRequestError where it doesn't fit."""
        if self.provider_data is None or context.raw_provider_data is None:
            return None
        try:
            return self.provider_data.model_validate(context.raw_provider_data)
        except ValidationError as error:
            wrong = "; ".join(
                f"{quoted('.'.join(map(str, problem_location(detail))), '')} {problem_words(detail)}".lstrip()
                for detail in error.errors(include_url=False, include_input=False)
            )
            raise BadRequestError(
                f"provider data for provider {self.provider_id} is wrong: {wrong}", provider_id=self.provider_id
            ) from error
        except BaseException as error:
            if not is_failure(error):
                raise
            raise self.translate(error, context, timed_out=False) from error


class Call:
    """One call on its way through a gate: its place, its deadline and its span."""

    __slots__ = ("_context", "_deadline", "_gate", "_outcome", "_resource", "_span")

    def __init__(self, gate: ProviderGate, operation: str, context: RequestContext, resource: Resource | None) -> None:
        self._gate = gate
        self._context = context
        self._resource = resource
        self._outcome = "ok"
        self._span: Span | None = None
        self._deadline: Deadline | None = None
        if context.trace_id is not None and gate.tracer is not None:
            self._span = gate.tracer.begin(
                context.trace_id,
                context.span_id,
                f"{gate.api.value}.{operation}",
                provider_id=gate.provider_id,
                provider_type=gate.provider_type,
                resource=None if resource is None else resource.identifier,
            )

    async def enter(self) -> tuple[RequestContext, Deadline]:
        """Take a place; errors as `ProviderGate.answer`.

        Returns: the context for the provider's method, and the deadline inside which that is awaited.
        """
        gate, context = self._gate, self._context
        gate.check_serving()
        ends_at = time.monotonic() + gate.limits.timeout_s
        if context.deadline is not None and context.deadline < ends_at:
            ends_at = context.deadline
        # Each field by its name: `dataclasses.replace` looks them all up, for twice the time.
        admitted = RequestContext(
            request_id=context.request_id,
            deadline=ends_at,
            resource=self._resource,
            provider_data=gate.provider_data_of(context),
            raw_provider_data=context.raw_provider_data,
            principal=context.principal,
            trace_id=context.trace_id,
            span_id=context.span_id if self._span is None else self._span.span_id,
        )
        if not gate.places.take_at_once():
            await gate.places.wait(ends_at)
            try:
                gate.check_serving()
            except BaseException:
                gate.places.leave()
                raise
        self._deadline = gate.deadlines.begin(ends_at)
        return admitted, self._deadline

    def raise_translated(self, error: BaseException) -> None:
        """Raise what a caller gets to see of an error; return where that is the error itself."""
        self._outcome = _outcome(error)
        if not is_failure(error):
            return
        deadline = self._deadline
        translated = self._gate.translate(error, self._context, timed_out=deadline is not None and deadline.is_over)
        self._outcome = translated.code
        if translated is not error:
            raise translated from error

    def leave(self) -> None:
        """The call is over; gives its place up, if it got one."""
        if self._deadline is not None:
            self._deadline.drop()
            self._gate.places.leave()
        if self._span is not None:
            self._span.end(self._outcome)


def _outcome(error: BaseException | None) -> str:
    """How a call ended, as its span says it."""
    match error:
        case None:
            return "ok"
        case HitchpostError():
            return error.code
        case asyncio.CancelledError() | GeneratorExit():
            return "cancelled"
    return HitchpostError.code


__all__ = ["Call", "ProviderGate", "ProviderState"]
