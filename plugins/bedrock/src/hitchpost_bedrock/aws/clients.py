"""The clients of boto3, one for each service and set of credentials, made in threads and kept while they are of use."""

import os
import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import get_environ_proxies

from hitchpost.errors import BackendUnavailableError
from hitchpost_bedrock.aws.config import AwsConfig
from hitchpost_bedrock.aws.credentials import Identity, identity_of
from hitchpost_bedrock.aws.transport import InterruptibleSession
from hitchpost_bedrock.aws.workers import Workers

Service = Literal["bedrock", "bedrock-runtime"]
MAX_KEPT_CLIENTS = 64
"""Under credentials that callers brought; the one that was asked for longest ago goes first."""
_SOCKET_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # Whole answers have no read timeout: so a peer that is gone is noticed, after two minutes of silence.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


class AwsClients:
    """Makes clients and keeps them: the provider's own until it stops, others for `session_ttl`.

    Args:
        workers: threads in which they are made: it reads files, and may ask the machine for its role.
    """

    def __init__(self, config: AwsConfig, workers: Workers) -> None:
        self._config = config
        self._workers = workers
        self._factory = _ClientFactory(config)
        self._own: dict[Service, Any] = {}
        self._brought: OrderedDict[tuple[Service, Identity], _Kept] = OrderedDict()

    async def get(self, service: Service, identity: Identity | None) -> Any:
        """A client of the service.

        Args:
            identity: None for the provider's own credentials.

        Raises:
            BackendUnavailableError: none can be made: there is no region, or no such profile.
        """
        if identity is None:
            if service not in self._own:
                self._own[service] = await self._make(service, None)
            return self._own[service]
        self._drop_old()
        key = (service, identity)
        kept = self._brought.get(key)
        if kept is None:
            client = await self._make(service, identity)
            # Another request may have been quicker; one of the two is enough.
            kept = self._brought.setdefault(key, _Kept(client, time.monotonic() + self._config.session_ttl))
            self._drop_old()
        if key in self._brought:
            self._brought.move_to_end(key)
        return kept.client

    async def close(self) -> None:
        """Close all of them; calls that run may end."""
        clients = [*self._own.values(), *(kept.client for kept in self._brought.values())]
        self._own.clear()
        self._brought.clear()
        for client in clients:
            client.close()

    async def _make(self, service: Service, identity: Identity | None) -> Any:
        return await self._workers.run(lambda: self._factory.make(service, identity))

    def _drop_old(self) -> None:
        now = time.monotonic()
        old = [key for key, kept in self._brought.items() if kept.until < now]
        old += list(self._brought)[: max(0, len(self._brought) - len(old) - MAX_KEPT_CLIENTS)]
        for key in old:
            # Connections in use stay open until their call ends.
            if (kept := self._brought.pop(key, None)) is not None:
                kept.client.close()


@dataclass(frozen=True, slots=True)
class _Kept:
    client: Any
    until: float


class _ClientFactory:
    """Makes clients, in threads, one at a time as boto3 wants it."""

    def __init__(self, config: AwsConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None

    def make(self, service: Service, identity: Identity | None) -> Any:
        try:
            with self._lock:
                return self._made(service, identity or identity_of(self._config, None))
        except (BotoCoreError, ValueError) as error:
            message = f"no client for {service} can be made: {error}; see region_name, profile_name and endpoint_url"
            raise BackendUnavailableError(message, is_permanent=True) from error

    def _made(self, service: Service, identity: Identity | None) -> Any:
        if self._session is None:
            self._session = boto3.Session(profile_name=self._config.profile_name)
        region = (identity and identity.region) or self._config.region_name or self._session.region_name
        client = self._session.client(
            service,
            region_name=region or os.environ.get("AWS_REGION"),
            endpoint_url=self._config.endpoint_url,
            config=self._sdk_config(identity),
            aws_access_key_id=identity and identity.access_key_id,
            aws_secret_access_key=identity and identity.secret_access_key,
            aws_session_token=identity and identity.session_token,
        )
        transport = InterruptibleSession(
            verify=self._certificates(self._session),
            proxies=get_environ_proxies(client.meta.endpoint_url),
            timeout=(self._config.connect_timeout, self._config.read_timeout),
            max_pool_connections=self._config.max_connections,
            socket_options=list(_SOCKET_OPTIONS),
        )
        client.meta.events.register("before-send", transport.answer)
        return _Client(client, transport)

    def _sdk_config(self, identity: Identity | None) -> Config:
        retries = {"mode": self._config.retry_mode, "total_max_attempts": self._config.total_max_attempts}
        said = {name: value for name, value in retries.items() if value is not None}
        return Config(
            retries=said or None,
            # Else a bearer token in the environment would win over these keys, and a caller's request would be made as the host.
            signature_version=None if identity is None else "v4",
        )

    def _certificates(self, session: boto3.Session) -> Any:
        if self._config.ca_bundle is not None:
            return str(self._config.ca_bundle)
        # As botocore looks for them; an empty variable is none.
        return os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or True


class _Client:
    """A client of boto3 and the connections under it."""

    def __init__(self, client: Any, transport: InterruptibleSession) -> None:
        self._client = client
        self._transport = transport

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    def close(self) -> None:
        """Let go of idle connections; those in use are closed when their call ends."""
        self._client.close()
        self._transport.close()


__all__ = ["MAX_KEPT_CLIENTS", "AwsClients", "Service"]
