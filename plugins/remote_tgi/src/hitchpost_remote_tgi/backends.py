"""Where a model is asked: a server of one's own, Hugging Face's serverless inference, or an Inference Endpoint that may be asleep."""

import contextlib
from abc import ABC, abstractmethod
from dataclasses import replace

from pydantic import SecretStr

from hitchpost.errors import (
    BadBackendAnswerError,
    HitchpostError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from hitchpost.plugin import ProviderDeps
from hitchpost.remote import RemoteConfig, RemoteServer
from hitchpost_remote_tgi.config import EndpointConfig, ServerlessConfig, TgiConfig
from hitchpost_remote_tgi.endpoint import Endpoint
from hitchpost_remote_tgi.refusals import NAME, read_error
from hitchpost_remote_tgi.server_info import ServerInfo, read_info

INFO_TIMEOUT_S = 10.0


def tgi_server(config: RemoteConfig, key: SecretStr | None) -> RemoteServer:
    """A server that speaks TGI's wire, and whose errors are understood."""
    return RemoteServer(config, NAME, key=key, read_error=read_error)


async def fetch_info(server: RemoteServer) -> ServerInfo:
    """What the server says of itself.

    Raises:
        HitchpostError: it can't be asked, or is something else.
    """
    return read_info(await server.fetch_json("GET", "/info", first_byte_timeout_s=INFO_TIMEOUT_S))


async def check_key(server: RemoteServer) -> None:
    """Raises UnauthenticatedError or PermissionDeniedError where the key is wrong: `/info` and `/health` answer anybody."""
    try:
        async with server.send("POST", "/tokenize", {"inputs": "a"}, first_byte_timeout_s=INFO_TIMEOUT_S) as answer:
            await answer.read()
    except (UnauthenticatedError, PermissionDeniedError) as error:
        raise UnauthenticatedError(f"{NAME} refuses the configured api_token, or wants one") from error
    except HitchpostError:
        # Servers before 1.4 have no such route; what else is wrong, requests will see.
        return


class Backend(ABC):
    """One model behind a server."""

    asks_root = False
    """Whether completions go to the server's root, as the proxy in front of it passes nothing else on."""

    @abstractmethod
    async def start(self) -> ServerInfo | None:
        """Opens what is needed; what is known of the server, None where it isn't awake yet."""

    @abstractmethod
    async def stop(self) -> None:
        """Closes it."""

    @abstractmethod
    async def check(self) -> None:
        """Raises the reason when the model can't be asked now."""

    @abstractmethod
    async def server(self, deadline: float | None) -> RemoteServer:
        """The server, once it is awake."""

    @abstractmethod
    async def info(self) -> ServerInfo | None:
        """What is known of the server now; None where nobody knows yet."""

    async def may_try_again(self, since: float) -> bool:
        """Whether a request, sent at `since` on the clock of `time.monotonic()`, was not taken because the server was asleep."""
        return False


class OwnServer(Backend):
    """A server that is simply there."""

    def __init__(self, config: TgiConfig) -> None:
        self._server = tgi_server(config, config.api_token)

    async def start(self) -> ServerInfo:
        """See `Backend`."""
        await self._server.open()
        info = await fetch_info(self._server)
        await check_key(self._server)
        return info

    async def stop(self) -> None:
        """See `Backend`."""
        await self._server.close()

    async def check(self) -> None:
        """See `Backend`; the server asks its model each time, so this is not to be called often."""
        async with self._server.send("GET", "/health") as answer:
            await answer.read()

    async def server(self, deadline: float | None) -> RemoteServer:
        """See `Backend`."""
        return self._server

    async def info(self) -> ServerInfo:
        """See `Backend`."""
        return await fetch_info(self._server)


class Serverless(Backend):
    """A model of a service that many share: it is not asked anything but what callers want."""

    asks_root = True

    def __init__(self, config: ServerlessConfig) -> None:
        self._repo = config.huggingface_repo
        self._server = tgi_server(config.model_copy(update={"url": config.model_url}), config.api_token)
        self._info = ServerInfo(self._repo)

    async def start(self) -> ServerInfo:
        """See `Backend`."""
        await self._server.open()
        with contextlib.suppress(NotFoundError, BadBackendAnswerError):
            # Not every model there tells; what is asked for is in any case this one.
            info = await fetch_info(self._server)
            self._info = replace(info, model_id=self._repo)
        return self._info

    async def stop(self) -> None:
        """See `Backend`."""
        await self._server.close()

    async def check(self) -> None:
        """See `Backend`."""

    async def server(self, deadline: float | None) -> RemoteServer:
        """See `Backend`."""
        return self._server

    async def info(self) -> ServerInfo:
        """See `Backend`."""
        return self._info


class EndpointBackend(Backend):
    """An Inference Endpoint. Only callers wake it: whether it is well, the service says that knows the endpoints."""

    def __init__(self, config: EndpointConfig, deps: ProviderDeps) -> None:
        self._endpoint = Endpoint(config, deps.log, deps.health_changed, tgi_server)
        self._info: ServerInfo | None = None

    async def start(self) -> ServerInfo | None:
        """See `Backend`; an endpoint that sleeps is woken meanwhile."""
        await self._endpoint.open()
        return await self.info()

    async def stop(self) -> None:
        """See `Backend`."""
        await self._endpoint.close()

    async def check(self) -> None:
        """See `Backend`."""
        await self._endpoint.check()

    async def server(self, deadline: float | None) -> RemoteServer:
        """See `Backend`."""
        server = await self._endpoint.awake(deadline)
        if self._info is None:
            info = await fetch_info(server)
            # Endpoints mount their model, and its server knows no more than the folder.
            self._info = replace(info, model_id=self._endpoint.repository or info.model_id)
        return server

    async def info(self) -> ServerInfo | None:
        """See `Backend`; asked of the endpoint once, as each question keeps it awake."""
        if self._info is None and self._endpoint.is_awake:
            await self.server(None)
        if self._info is None and self._endpoint.repository:
            return ServerInfo(self._endpoint.repository)
        return self._info

    async def may_try_again(self, since: float) -> bool:
        """See `Backend`."""
        return await self._endpoint.has_slept(since)


__all__ = ["Backend", "EndpointBackend", "OwnServer", "Serverless", "check_key", "fetch_info", "tgi_server"]
