"""The connections of a provider: one to its own server, and a bounded number under keys and addresses that callers bring."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from pydantic import BaseModel

from hitchpost.errors import (
    BackendUnavailableError,
    BadRequestError,
    OverloadedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from hitchpost_weaviate.addresses import is_allowed, parse_endpoint
from hitchpost_weaviate.config import WeaviateConfig, WeaviateProviderData
from hitchpost_weaviate.connection import Connection, Identity, connect

MAX_CONNECTIONS = 32
"""More identities than these at the same time are too many; of idle ones the longest unused goes first."""
IDLE_S = 600.0


@dataclass(slots=True)
class _Kept:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: Connection | None = None
    leases: int = 0
    used_at: float = 0.0


class Connections:
    """Connects when an identity is first needed, and keeps the connection for those who bring the same one."""

    def __init__(self, config: WeaviateConfig) -> None:
        self._config = config
        self._kept: OrderedDict[Identity, _Kept] = OrderedDict()
        self._is_open = False

    def open(self) -> None:
        """From now on connections may be made."""
        self._is_open = True

    def own_identity(self) -> Identity | None:
        """The provider's server under the provider's key; None where it has no server."""
        endpoint = self._config.endpoint
        if endpoint is None:
            return None
        key = self._config.api_key
        return Identity(endpoint, None if key is None else key.get_secret_value())

    def identity_for(self, provider_data: BaseModel | None) -> Identity:
        """The server and the key for a request. The provider's own key goes to the provider's own server only.

        Raises:
            BadRequestError: the address that the caller brought is none.
            PermissionDeniedError: it is none of `caller_clusters`.
            UnauthenticatedError: there is no address at all.
        """
        data = provider_data if isinstance(provider_data, WeaviateProviderData) else WeaviateProviderData()
        key = None if data.weaviate_api_key is None else data.weaviate_api_key.get_secret_value()
        if data.weaviate_cluster_url is None:
            own = self.own_identity()
            if own is None:
                raise UnauthenticatedError(
                    "this provider has no Weaviate server of its own; bring weaviate_cluster_url and weaviate_api_key "
                    "in the header X-LlamaStack-Provider-Data"
                )
            return own if key is None else Identity(own.endpoint, key)
        try:
            endpoint = parse_endpoint(data.weaviate_cluster_url)
        except ValueError as error:
            raise BadRequestError(f"weaviate_cluster_url {error}", param="weaviate_cluster_url") from error
        if not is_allowed(endpoint, self._config.caller_clusters):
            message = "weaviate_cluster_url is none of the servers that this provider allows in its caller_clusters"
            raise PermissionDeniedError(message, param="weaviate_cluster_url")
        return Identity(endpoint, key)

    @asynccontextmanager
    async def lease(self, identity: Identity) -> AsyncIterator[Connection]:
        """A connection that stays open inside the block.

        Raises:
            BackendUnavailableError: the provider doesn't run, or the server can't be reached.
            OverloadedError: there are too many others.
        """
        if not self._is_open:
            raise BackendUnavailableError("the provider is not running")
        dropped = self._drop_idle(identity)
        kept = self._kept.setdefault(identity, _Kept())
        self._kept.move_to_end(identity)
        kept.leases += 1
        try:
            for connection in dropped:
                await connection.close()
            async with kept.lock:
                if kept.connection is None:
                    await self._connect(identity, kept)
            yield cast("Connection", kept.connection)
        finally:
            kept.leases -= 1
            kept.used_at = time.monotonic()
            if kept.connection is None and not kept.leases and self._kept.get(identity) is kept:
                del self._kept[identity]

    async def _connect(self, identity: Identity, kept: _Kept) -> None:
        connection = await connect(identity, self._config)
        if self._kept.get(identity) is not kept:
            await connection.close()
            raise BackendUnavailableError("the provider has stopped")
        kept.connection = connection

    async def close(self) -> None:
        """Close all of them; no more are made."""
        self._is_open = False
        kept, self._kept = list(self._kept.values()), OrderedDict()
        for one in kept:
            if one.connection is not None:
                await one.connection.close()

    def _drop_idle(self, wanted: Identity) -> list[Connection]:
        """Forgets connections that make room for another one, or that nobody has used for long; they are to be closed."""
        own = self.own_identity()
        idle = [identity for identity, kept in self._kept.items() if not kept.leases and identity not in (wanted, own)]
        over = max(0, len(self._kept) + (wanted not in self._kept) - MAX_CONNECTIONS)
        if over > len(idle):
            raise OverloadedError("too many Weaviate servers or keys are in use at the same time", retry_after_s=1)
        now = time.monotonic()
        old = [identity for identity in idle[over:] if now - self._kept[identity].used_at > IDLE_S]
        dropped = [self._kept.pop(identity).connection for identity in (*idle[:over], *old)]
        return [connection for connection in dropped if connection is not None]


__all__ = ["MAX_CONNECTIONS", "Connections"]
