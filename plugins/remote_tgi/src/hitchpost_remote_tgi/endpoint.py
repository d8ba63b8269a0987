"""A Hugging Face Inference Endpoint: where it is, whether it sleeps, and how it is woken.

The service that knows the endpoints answers `GET /v2/endpoint/NAMESPACE/NAME` with `status.state`, `status.url` and `model.repository`. An endpoint
that is scaled to zero gets up when anybody asks it anything, which its proxy answers with 502 or 503 until it is there.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, TypeAdapter, ValidationError

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError
from hitchpost.remote import RemoteConfig, RemoteServer, ServerUrl, server_words
from hitchpost_remote_tgi.config import EndpointConfig

SERVICE = "Hugging Face Inference Endpoints"
ASLEEP = "scaledToZero"
ON_ITS_WAY = frozenset({ASLEEP, "pending", "initializing", "updating", "running"})
_URL: TypeAdapter[str] = TypeAdapter(ServerUrl)


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """What the service says of an endpoint. `url` is empty while it has none."""

    state: str
    url: str = ""
    message: str = ""
    repository: str = ""


def read_status(answer: Any) -> EndpointStatus:
    """The status in an answer of the service.

    Raises:
        BadBackendAnswerError: it says none.
    """
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict) or not isinstance(status.get("state"), str):
        raise BadBackendAnswerError(f"{SERVICE} did not say in which state the endpoint is")
    model = answer.get("model")
    repository = model.get("repository") if isinstance(model, dict) else None
    try:
        url = _URL.validate_python(status["url"]) if status.get("url") else ""
    except ValidationError:
        raise BadBackendAnswerError(f"{SERVICE} did not say where the endpoint is") from None
    message = status.get("message")
    return EndpointStatus(
        state=status["state"],
        url=url,
        message=server_words(message) if isinstance(message, str) else "",
        repository=repository if isinstance(repository, str) else "",
    )


class Endpoint:
    """Finds one endpoint, and wakes it at most once at a time however many wait for it.

    Args:
        config: which endpoint, and how long it may take.
        log: is told how it gets on.
        health_changed: is called when `check` would answer otherwise than before.
        make_server: makes the server that the endpoint is, of a config and a key.
    """

    def __init__(
        self,
        config: EndpointConfig,
        log: logging.Logger,
        health_changed: Callable[[], None],
        make_server: Callable[[RemoteConfig, SecretStr | None], RemoteServer],
    ) -> None:
        self._config = config
        self._log = log
        self._health_changed = health_changed
        self._make_server = make_server
        self._service = RemoteServer(config, SERVICE, key=config.api_token)
        self._server: RemoteServer | None = None
        self._server_url = ""
        self._waking: asyncio.Task[None] | None = None
        self._progress = ""
        self._arrived_at = 0.0
        self.repository = ""
        """Of the model that it serves, as far as it is known."""
        self.is_awake = False

    async def open(self) -> None:
        """Looks the endpoint up, and begins to wake it where it sleeps.

        Raises:
            HitchpostError: there is no such endpoint, the token may not read it, or it can't get up by itself.
        """
        await self._service.open()
        status = await self._look()
        if status.state == "running" and status.url:
            await self._arrive(status)
        else:
            self._begin_to_wake(status)

    async def close(self) -> None:
        """Ends what waits for it, and every connection."""
        task, self._waking = self._waking, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, HitchpostError):
                await task
        if self._server is not None:
            await self._server.close()
        await self._service.close()
        self._server, self._server_url, self.is_awake = None, "", False

    async def check(self) -> None:
        """Raises the reason when the endpoint can't be asked now. One that is asleep can: the next request wakes it."""
        if self._is_waking:
            raise BackendUnavailableError(self._progress)
        status = await self._look()
        if status.state not in ON_ITS_WAY:
            raise self._cannot(status)

    async def awake(self, deadline: float | None) -> RemoteServer:
        """The endpoint, once it is there.

        Args:
            deadline: until when to wait, on the clock of `time.monotonic()`.

        Raises:
            BackendUnavailableError: it did not get up in time, or can't.
        """
        if not self.is_awake:
            if not self._is_waking:
                status = await self._look()
                # Meanwhile another request may have begun it.
                if not (self._is_waking or self.is_awake):
                    self._begin_to_wake(status)
            if self._waking is not None and not self.is_awake:
                await self._wait(self._waking, deadline)
        if self._server is None:
            raise BackendUnavailableError(f"{self._name} is not there")
        return self._server

    async def has_slept(self, since: float) -> bool:
        """Whether it was asleep at some time after `since`, on the clock of `time.monotonic()`; where it still is, `awake` wakes it."""
        status = await self._look()
        if status.state != "running":
            self.is_awake = False
        return status.state in ON_ITS_WAY and (not self.is_awake or self._arrived_at >= since)

    @property
    def _is_waking(self) -> bool:
        return self._waking is not None and not self._waking.done()

    @property
    def _name(self) -> str:
        return f"endpoint {self._config.endpoint_name}"

    async def _look(self) -> EndpointStatus:
        status = read_status(await self._service.fetch_json("GET", f"/v2/endpoint/{self._config.endpoint_name}"))
        self.repository = status.repository or self.repository
        return status

    async def _wait(self, waking: "asyncio.Task[None]", deadline: float | None) -> None:
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        # Others wait for the same; whoever leaves must not end it for them.
        done, _ = await asyncio.wait({waking}, timeout=left_s)
        if not done:
            raise BackendUnavailableError(self._progress)
        if waking.cancelled():
            raise BackendUnavailableError(f"{self._name} is not waited for any more: its provider was stopped")
        await waking

    def _begin_to_wake(self, status: EndpointStatus) -> None:
        if status.state not in ON_ITS_WAY:
            raise self._cannot(status)
        self._tell(status, 0)
        self._waking = asyncio.create_task(self._wake(status))
        # Whoever waits gets the failure; where nobody does, `check` tells it.
        self._waking.add_done_callback(lambda task: None if task.cancelled() else task.exception())

    async def _wake(self, status: EndpointStatus) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._config.wake_timeout_s):
                while not (status.state == "running" and status.url and await self._answers(status)):
                    if status.state == ASLEEP and status.url:
                        await self._answers(status)
                    await asyncio.sleep(self._config.wake_poll_s)
                    status = await self._look()
                    if status.state not in ON_ITS_WAY:
                        raise self._cannot(status)
                    self._tell(status, time.monotonic() - began)
        except TimeoutError:
            raise BackendUnavailableError(
                f"{self._name} did not get up within {self._config.wake_timeout_s:g} s: it is {status.state}"
            ) from None
        finally:
            self._health_changed()
        await self._arrive(status)
        self._log.info("%s is there after %.0f s", self._name, time.monotonic() - began)

    async def _answers(self, status: EndpointStatus) -> bool:
        """Whether the endpoint answers; to be asked is what wakes it."""
        server = await self._server_at(status.url)
        try:
            async with server.send("GET", "/health") as answer:
                await answer.read()
        except HitchpostError:
            return False
        return True

    async def _arrive(self, status: EndpointStatus) -> None:
        await self._server_at(status.url)
        self.is_awake, self._arrived_at = True, time.monotonic()
        self._health_changed()

    async def _server_at(self, url: str) -> RemoteServer:
        if self._server is None or url != self._server_url:
            if self._server is not None:
                await self._server.close()
            config = self._config.model_copy(update={"url": url})
            self._server, self._server_url = self._make_server(config, self._config.api_token), url
            await self._server.open()
        return self._server

    def _tell(self, status: EndpointStatus, seconds: float) -> None:
        because = f": {status.message}" if status.message else ""
        progress = f"{self._name} is {status.state}, for {seconds:.0f} s{because}"
        if progress != self._progress:
            self._progress = progress
            self._log.info("%s", progress)
            self._health_changed()

    def _cannot(self, status: EndpointStatus) -> BackendUnavailableError:
        advice = "; resume it on Hugging Face" if status.state == "paused" else ""
        because = f": {status.message}" if status.message else ""
        return BackendUnavailableError(f"{self._name} is {server_words(status.state)}{because}{advice}")


__all__ = ["Endpoint", "EndpointStatus", "read_status"]
