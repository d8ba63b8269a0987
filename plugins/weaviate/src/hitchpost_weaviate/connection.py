"""One connected client of weaviate-client, and what keeps its calls honest.

The client's start-up checks are skipped, since they ask the public package index for a newer version of it; health is asked here. It also repeats
a call on a dead gRPC port with growing pauses, for up to a minute: so a call that takes long makes us ask gRPC's health, and ends when that fails.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import grpc
import httpx
import weaviate
from weaviate.auth import AuthApiKey
from weaviate.classes.init import AdditionalConfig, Timeout
from weaviate.config import GrpcConfig

from hitchpost.errors import BackendUnavailableError
from hitchpost_weaviate.addresses import Endpoint
from hitchpost_weaviate.config import WeaviateConfig
from hitchpost_weaviate.failures import translated_errors

SERVER = "Weaviate"
PATIENCE_S = 1.5
"""After how long a call makes us doubt that gRPC works."""
PROBE_TIMEOUT_S = 3.0
_SERVING = b"\x08\x01"
"""A HealthCheckResponse with the status SERVING."""
_CHANNEL_OPTIONS = [
    # Or the channel is deaf for two minutes after the server has been away for a while.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
_NO_PROXY = ("grpc.enable_http_proxy", 0)
_HUNG_UP = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """A server, and the key to it."""

    endpoint: Endpoint
    api_key: str | None = field(repr=False)


class Connection:
    """A client of one server under one key; made by `connect`.

    Args:
        client: connected.
        identity: what it is connected to.
        config: how long calls may take.
    """

    def __init__(self, client: Any, identity: Identity, config: WeaviateConfig) -> None:
        self.client = client
        self.identity = identity
        self._config = config

    async def read(self, call: Callable[..., Awaitable[T]], *arguments: Any, **named: Any) -> T:
        """What a call of weaviate-client answers that changes nothing."""
        return await self._answer(partial(call, *arguments, **named), self._config.query_timeout_s)

    async def write(self, call: Callable[..., Awaitable[T]], *arguments: Any, **named: Any) -> T:
        """What a call answers that changes something; done twice, it must do no more than once."""
        return await self._answer(partial(call, *arguments, **named), self._config.write_timeout_s)

    async def check(self) -> None:
        """Raises BackendUnavailableError, saying which half is missing, unless the server answers by REST and by gRPC."""
        await self.read(self.client.get_meta)
        await check_grpc(self.identity.endpoint, uses_proxy=self._config.trust_env)

    async def close(self) -> None:
        """Let go of its connections."""
        await self.client.close()

    async def _answer(self, call: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        with translated_errors(SERVER):
            async with asyncio.timeout(timeout_s):
                try:
                    return await self._once(call)
                except _HUNG_UP:
                    # As after a while of silence; the client has only noticed when it sent something.
                    return await self._once(call)

    async def _once(self, call: Callable[[], Awaitable[T]]) -> T:
        task = asyncio.ensure_future(_called(call))
        try:
            done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
            if not done:
                await check_grpc(self.identity.endpoint, uses_proxy=self._config.trust_env)
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})


async def _called(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


async def connect(identity: Identity, config: WeaviateConfig) -> Connection:
    """A connection to a server.

    Raises:
        HitchpostError: it can't be reached, it refuses the key, or it is too old.
    """
    endpoint = identity.endpoint
    options = _CHANNEL_OPTIONS if config.trust_env else [*_CHANNEL_OPTIONS, _NO_PROXY]
    timeout = Timeout(query=config.query_timeout_s, insert=config.write_timeout_s, init=config.connect_timeout_s)
    client = weaviate.use_async_with_custom(
        http_host=endpoint.host,
        http_port=endpoint.port,
        http_secure=endpoint.is_secure,
        grpc_host=endpoint.grpc_host,
        grpc_port=endpoint.grpc_port,
        grpc_secure=endpoint.is_secure,
        auth_credentials=None if identity.api_key is None else AuthApiKey(identity.api_key),
        additional_config=AdditionalConfig(
            timeout=timeout, trust_env=config.trust_env, grpc_config=GrpcConfig(channel_options=options)
        ),
        skip_init_checks=True,
    )
    # It logs objects that were refused, with all their text.
    logging.getLogger("weaviate-client").setLevel(logging.CRITICAL)
    try:
        with translated_errors(SERVER):
            async with asyncio.timeout(config.connect_timeout_s):
                await client.connect()
    except BaseException:
        with contextlib.suppress(Exception):
            await client.close()
        raise
    return Connection(client, identity, config)


async def check_grpc(endpoint: Endpoint, *, uses_proxy: bool = False) -> None:
    """Raises BackendUnavailableError unless gRPC is being served. Needs no key."""
    options = [("grpc.default_authority", endpoint.grpc_host), ("grpc.use_local_subchannel_pool", 1)]
    if not uses_proxy:
        options.append(_NO_PROXY)
    if endpoint.is_secure:
        channel = grpc.aio.secure_channel(endpoint.grpc_target, grpc.ssl_channel_credentials(), options)
    else:
        channel = grpc.aio.insecure_channel(endpoint.grpc_target, options)
    async with channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes
        )
        try:
            answer = await check(b"", timeout=PROBE_TIMEOUT_S)
        except grpc.RpcError as error:
            message = (
                f"{SERVER} can't be reached by gRPC, which searches and insertions need; see grpc_host and grpc_port"
            )
            raise BackendUnavailableError(message) from error
    if answer != _SERVING:
        raise BackendUnavailableError(f"{SERVER} says by gRPC that it is not serving")


__all__ = ["Connection", "Identity", "check_grpc", "connect"]
