"""How a connection to a server is made: names, TLS and proxies, and what it means where that fails."""

import asyncio
import base64
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from aiohappyeyeballs import start_connection
from yarl import URL

from hitchpost import __version__
from hitchpost.errors import BackendUnavailableError, HitchpostError
from hitchpost.remote.config import RemoteConfig
from hitchpost.remote.connection import Connection
from hitchpost.remote.retries import NotTakenError

_NEXT_ADDRESS_AFTER_S = 0.25
"""Between two tries of a name's addresses (RFC 8305)."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; `authorization` is the value of its header, and a secret."""

    url: URL
    authorization: str = field(repr=False)

    @property
    def header(self) -> str:
        """The line of a request's head that it wants to see, if any."""
        return f"Proxy-Authorization: {self.authorization}\r\n" if self.authorization else ""


class Transport:
    """The way to one server.

    Args:
        config: where the server is, and what vouches for it.
        name: what messages call it.

    Raises:
        BackendUnavailableError: `tls_ca_file` can't be read. Reads files: made in a thread.
    """

    def __init__(self, config: RemoteConfig, name: str) -> None:
        self._name = name
        self._base = config.url
        self._url = URL(config.url)
        self._proxy = find_proxy(self._url)
        # Made also where it is not used yet: what it needs must not be missing on the day that it is.
        tls = tls_context(config)
        self._tls = tls if self._url.scheme == "https" else None
        self._proxy_tls = ssl.create_default_context() if self._proxy and self._proxy.url.scheme == "https" else None
        # A proxy forwards what is asked in the clear, and else sees nothing of it.
        self._is_forwarded = self._proxy is not None and self._tls is None
        self._prefix = str(self._url.origin()) if self._is_forwarded else ""
        # An answer that is inflated on the way in can be a thousand times what came over the wire.
        self.headers = f"Host: {self._url.host_port_subcomponent}\r\nUser-Agent: hitchpost/{__version__}\r\nAccept-Encoding: identity\r\n"
        """Lines of each request's head."""
        if self._is_forwarded and self._proxy is not None:
            self.headers += self._proxy.header

    def target(self, path: str) -> str:
        """What a request for `path` below the server's url names in its first line."""
        return self._prefix + _raw_path(f"{self._base}{path}")

    async def connect(self, lost: Callable[[Connection], None]) -> Connection:
        """A connection, which tells `lost` when it has ended.

        Raises:
            NotTakenError: nobody is there at present.
            BackendUnavailableError: the certificate is not trusted, or the proxy refuses.
        """
        try:
            if self._proxy is None:
                return await self._open(self._url, self._tls, lost)
            if self._is_forwarded:
                return await self._open(self._proxy.url, self._proxy_tls, lost)
            return await self._open_through(self._proxy, lost)
        except ssl.SSLError:
            message = f"the certificate of {self._name} is not trusted, or its url is no https one; tls_ca_file names authorities of your own"
            raise BackendUnavailableError(message) from None
        except TimeoutError:
            raise
        except (OSError, UnicodeError) as error:
            raise NotTakenError(self._unreachable(error)) from None

    async def _open(self, to: URL, tls: ssl.SSLContext | None, lost: Callable[[Connection], None]) -> Connection:
        loop = asyncio.get_running_loop()
        assert to.raw_host is not None
        addresses = await loop.getaddrinfo(to.raw_host, to.port, type=socket.SOCK_STREAM)
        connected = await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S)
        bare_lost = lost if tls is None else _nobody
        _, connection = await loop.create_connection(lambda: Connection(self._name, bare_lost), sock=connected)
        return connection if tls is None else await self._secure(connection, tls, to, lost)

    async def _open_through(self, proxy: Proxy, lost: Callable[[Connection], None]) -> Connection:
        """A tunnel through the proxy, with TLS to the server inside it."""
        outer = await self._open(proxy.url, self._proxy_tls, _nobody)
        try:
            there = f"{self._url.host_subcomponent}:{self._url.port}"
            with suppress(HitchpostError, NotTakenError):
                await outer.ask(f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n{proxy.header}\r\n".encode())
            if outer.status != 200:
                raise self._refused_by_proxy()
        except BaseException:
            outer.abort()
            raise
        assert self._tls is not None
        return await self._secure(outer, self._tls, self._url, lost)

    async def _secure(
        self, outer: Connection, tls: ssl.SSLContext, to: URL, lost: Callable[[Connection], None]
    ) -> Connection:
        """A connection inside another one.

        asyncio can make both at once, but cancelled at the end of the handshake it leaves the outer one to a server that may never say goodbye.
        """
        try:
            way = outer.transport
            if way is None:
                raise ConnectionResetError
            inner = Connection(self._name, lost)
            over = await asyncio.get_running_loop().start_tls(way, inner, tls, server_hostname=to.raw_host)
            assert over is not None
            inner.connection_made(over)
        except BaseException:
            outer.abort()
            raise
        return inner

    def _unreachable(self, error: OSError | UnicodeError) -> BackendUnavailableError:
        if self._proxy is not None:
            return self._refused_by_proxy()
        # No name may hold what can't be encoded.
        is_nameless = isinstance(error, socket.gaierror | UnicodeError)
        because = ": nobody knows its host's name" if is_nameless else _REASONS.get(getattr(error, "errno", 0), "")
        return BackendUnavailableError(f"{self._name} can't be reached at its configured url{because}")

    def _refused_by_proxy(self) -> BackendUnavailableError:
        message = f"the proxy that the environment names for {self._name} does not let it be reached"
        return BackendUnavailableError(message)


def _nobody(connection: Connection) -> None:
    """Is told of the end of a connection that only carries another one."""


@lru_cache(maxsize=64)
def _raw_path(url: str) -> str:
    return URL(url).raw_path_qs


_REASONS = {
    errno.ECONNREFUSED: ": nobody listens there",
    errno.EHOSTUNREACH: ": there is no way to its host",
    errno.ENETUNREACH: ": there is no way to its network",
}


def tls_context(config: RemoteConfig) -> ssl.SSLContext:
    """How the server's certificate is checked.

    Raises:
        BackendUnavailableError: `tls_ca_file` can't be read.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if not config.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.tls_ca_file is not None:
        try:
            context.load_verify_locations(cafile=config.tls_ca_file)
        except (OSError, ssl.SSLError) as error:
            message = "tls_ca_file holds no certificates that can be read"
            raise BackendUnavailableError(message, is_permanent=True) from error
    return context


def find_proxy(url: URL) -> Proxy | None:
    """The proxy that the environment names for `url`, by `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.

    Raises:
        BackendUnavailableError: it is of a kind that is not spoken, such as SOCKS.
    """
    proxies = getproxies()
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text or proxy_bypass(url.host_port_subcomponent or ""):
        return None
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.raw_host:
        message = "the environment names a proxy that is no HTTP proxy; no_proxy excepts servers from it"
        raise BackendUnavailableError(message, is_permanent=True)
    if proxy.raw_user is None and proxy.raw_password is None:
        return Proxy(proxy, "")
    pair = f"{unquote(proxy.raw_user or '')}:{unquote(proxy.raw_password or '')}"
    return Proxy(proxy.with_user(None), f"Basic {base64.b64encode(pair.encode()).decode()}")


__all__ = ["Proxy", "Transport", "find_proxy", "tls_context"]
