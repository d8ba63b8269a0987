"""The pool of connections to one server: TLS, proxies, limits, and what its failures mean. aiohttp is imported when a pool is opened."""

import errno
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError, HitchpostError
from hitchpost.remote.config import RemoteConfig

if TYPE_CHECKING:
    import aiohttp


def open_session(config: RemoteConfig, tls: ssl.SSLContext | bool) -> "aiohttp.ClientSession":
    """A session that sends no cookies, follows nothing, inflates nothing, and takes no time limits but that of connecting."""
    import aiohttp

    from hitchpost import __version__

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=config.max_connections, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        # An answer that is inflated on the way in can be a thousand times what came over the wire.
        headers={"Accept-Encoding": "identity", "User-Agent": f"hitchpost/{__version__}"},
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=config.connect_timeout_s),
    )


def tls_context(config: RemoteConfig) -> ssl.SSLContext | bool:
    """How the server's certificate is checked; reads files.

    Raises:
        BackendUnavailableError: `tls_ca_file` can't be read.
    """
    if not config.tls_verify:
        return False
    if config.tls_ca_file is None:
        return True
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=config.tls_ca_file.expanduser())
    except (OSError, ssl.SSLError) as error:
        message = "tls_ca_file holds no certificates that can be read"
        raise BackendUnavailableError(message, is_permanent=True) from error
    return context


def find_proxy(url: str) -> str | None:
    """The proxy that the environment names for `url`, by `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`; may hold a password.

    Asked once and not at each request, unlike by aiohttp's `trust_env`, which besides takes passwords from `~/.netrc`.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


_CONNECT_ERRORS = {
    errno.ECONNREFUSED: ": nobody listens there",
    errno.EHOSTUNREACH: ": there is no way to its host",
    errno.ENETUNREACH: ": there is no way to its network",
}


def lost_before_answer(name: str, error: Exception) -> HitchpostError:
    """The error that a request without an answer means."""
    import aiohttp

    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return BackendUnavailableError(f"{name} could not be connected with in time, at its configured url")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return BackendUnavailableError(
            f"the certificate of {name} is not trusted, or its url is no https one; tls_ca_file names authorities of your own"
        )
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return BackendUnavailableError(f"the proxy that the environment names for {name} does not let it be reached")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return BackendUnavailableError(f"{name} can't be reached at its configured url: nobody knows its host's name")
    if isinstance(error, aiohttp.ClientConnectorError):
        because = _CONNECT_ERRORS.get(error.os_error.errno or 0, "")
        return BackendUnavailableError(f"{name} can't be reached at its configured url{because}")
    if isinstance(error, aiohttp.ClientResponseError):
        return BadBackendAnswerError(f"{name} answered something that is no HTTP")
    return BackendUnavailableError(f"{name} ended the connection before its answer")


def never_taken(error: Exception) -> bool:
    """Whether the server can't have begun an answer: there was no connection, or it ended before the first byte."""
    import aiohttp

    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ConnectionTimeoutError):
        return False
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerDisconnectedError | ConnectionResetError)


def is_lost(error: Exception) -> bool:
    """Whether the connection broke in the middle of an answer."""
    import aiohttp

    # aiohttp raises RuntimeError where the connection was gone before anybody waited for it, as when the pool is closed.
    return isinstance(error, aiohttp.ClientError | OSError | RuntimeError)


def lost_in_answer(name: str) -> HitchpostError:
    """The error that an answer without an end means."""
    return BadBackendAnswerError(f"the connection to {name} broke in the middle of an answer")


__all__ = [
    "find_proxy",
    "is_lost",
    "lost_before_answer",
    "lost_in_answer",
    "never_taken",
    "open_session",
    "tls_context",
]
