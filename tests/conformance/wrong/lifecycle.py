"""What a provider can do wrong in its life."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from hitchpost.api import ChatCompletionRequest, RequestContext
from hitchpost.errors import ConflictError
from hitchpost.plugin import Metric, ProviderDeps
from tests.conformance.right.inference import RightConfig, RightInference
from tests.conformance.wrong.case import wrong_inference


@wrong_inference("lifecycle.build", "RuntimeError: no running event loop")
class NeedsALoop(RightInference):
    def __init__(self, config: RightConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.loop = asyncio.get_running_loop()


@wrong_inference("lifecycle.start-twice", "2 tasks in place of 1")
class StartsTwice(RightInference):
    async def start(self) -> None:
        self.others = [*getattr(self, "others", ()), asyncio.create_task(self.tick())]

    async def stop(self) -> None:
        others, self.others = getattr(self, "others", []), []
        for task in others:
            task.cancel()

    async def health(self) -> None:
        return None


@wrong_inference("lifecycle.stop-releases", r"tasks: .*Forgetful|tasks: Task-\d+ \(RightInference.tick\)")
class Forgetful(RightInference):
    async def stop(self) -> None:
        self.ticker = None


@wrong_inference("lifecycle.stop-twice", "AttributeError: 'NoneType' object has no attribute 'cancel'")
class StopsOnce(RightInference):
    async def stop(self) -> None:
        self.ticker.cancel()  # type: ignore[union-attr]
        self.ticker = None


@wrong_inference("lifecycle.stop-half-started", "AttributeError: .* has no attribute 'opened'")
class NeedsAWholeStart(RightInference):
    async def start(self) -> None:
        await asyncio.sleep(0)
        self.opened = True

    async def stop(self) -> None:
        if self.opened:
            await super().stop()

    async def health(self) -> None:
        return None


IN_USE: set[str] = set()


@wrong_inference("lifecycle.restart", "ConflictError: the port is in use")
class KeepsItsPort(RightInference):
    async def start(self) -> None:
        if "port" in IN_USE:
            raise ConflictError("the port is in use")
        IN_USE.add("port")
        await super().start()


@wrong_inference("lifecycle.stop-while-busy", r"stop\(\) with requests under way had not ended")
class WaitsForItsRequests(RightInference):
    def __init__(self, config: RightConfig, deps: ProviderDeps) -> None:
        super().__init__(config, deps)
        self.busy = asyncio.Event()
        self.is_stopping = False

    async def stream_chat_completion(
        self, request: ChatCompletionRequest, context: RequestContext
    ) -> AsyncIterator[Any]:
        self.busy.set()
        async for event in super().stream_chat_completion(request, context):
            yield event
            await asyncio.Event().wait()

    async def stop(self) -> None:
        while self.busy.is_set():
            await asyncio.sleep(0.01)


@wrong_inference("health.answers", r"health\(\) had not ended after 1.5 s")
class SilentAboutItsHealth(RightInference):
    async def health(self) -> None:
        await asyncio.Event().wait()


@wrong_inference("health.errors", r"health\(\) before start\(\) raised AttributeError")
class CrashesWhenAsked(RightInference):
    async def health(self) -> None:
        self.ticker.get_name()  # type: ignore[union-attr]


@wrong_inference("metrics.well-formed", "metric 'Requests Total' is not named in snake case")
class MisnamedMetric(RightInference):
    def metrics(self) -> list[Metric]:
        return [Metric(name="Requests Total", kind="counter", help="Requests.", value=1)]


@wrong_inference("metrics.quick", r"metrics\(\) waits: .*lifecycle.py:\d+ \(in SlowMetrics.metrics\)")
class SlowMetrics(RightInference):
    def metrics(self) -> list[Metric]:
        time.sleep(0.5)
        return []


@wrong_inference("event-loop.free", r"lifecycle.py:\d+ \(in Blocking.think\) kept the event loop")
class Blocking(RightInference):
    has_blocked = False

    async def think(self) -> None:
        if not self.has_blocked:
            self.has_blocked = True
            time.sleep(0.5)  # noqa: ASYNC251 - that is what is wrong
