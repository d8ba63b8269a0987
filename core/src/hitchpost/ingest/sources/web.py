"""`http` and `https` URLs, fetched so that nobody reaches through us what only we can reach.

Names are resolved here, once for each connection: every address is checked, and the connection goes to one of those that were. A redirect is a new
fetch with the same checks. There are no cookies, no credentials, no proxy, and only encodings that are inflated with a bound. A caller isn't told
whether a name is unknown or has an address that is not public, else the names inside a network could be tried out; the log says which it was.
"""

import asyncio
import logging
import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from hitchpost import __version__
from hitchpost.errors import BackendUnavailableError, BadRequestError, DeadlineExceededError, HitchpostError, quoted
from hitchpost.ingest.config import IngestConfig
from hitchpost.ingest.media_types import check_readable, plain_type
from hitchpost.ingest.sources import SourceBytes
from hitchpost.ingest.sources.addresses import find_address, is_allowed_host, may_connect
from hitchpost.ingest.sources.inflating import Inflater

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_URL_CHARACTERS = 8192
MAX_HEADER_BYTES = 8190
PIECE_BYTES = 64 * 1024
HEADERS = {
    "Accept": "text/*, application/pdf, application/json, application/*;q=0.8, */*;q=0.1",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": f"hitchpost/{__version__}",
}

_CONFIG_HINT = "ingest.allowed_networks of the config can allow it"


class WebReader:
    """Fetches documents; one object per ingestor, closed with it.

    Args:
        config: what may be fetched, and within which limits.
        log: where it is told why a host was refused.
    """

    def __init__(self, config: IngestConfig, log: logging.Logger) -> None:
        self._config = config
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_CheckedResolver(config, log),
                use_dns_cache=False,
                force_close=True,
                limit=config.max_concurrent,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=config.connect_timeout_s),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def close(self) -> None:
        """End the connections, also those in use."""
        await self._session.close()

    async def fetch(self, address: str, *, has_given_type: bool) -> SourceBytes:
        """The document at a URL.

        Args:
            address: the URL.
            has_given_type: whether it is known what the document is; else what the server says must be readable.

        Raises:
            BadRequestError: the URL or a place it leads to is malformed, forbidden or without a document, or the document is too large.
            UnsupportedError: the server says that the document is of a type that can't be read.
            BackendUnavailableError, DeadlineExceededError: it could not be fetched, or not in time.
        """
        try:
            async with asyncio.timeout(self._config.fetch_timeout_s):
                return await self._follow(_parsed(address), has_given_type)
        except TimeoutError as error:
            message = f"the document could not be fetched within {self._config.fetch_timeout_s:g} s"
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                message = f"the document's server could not be reached within {self._config.connect_timeout_s:g} s"
            raise DeadlineExceededError(message) from error
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise _lost(error) from error

    async def _follow(self, url: URL, has_given_type: bool) -> SourceBytes:
        for _ in range(self._config.max_redirects + 1):
            self._check(url)
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status not in REDIRECTS:
                    return await self._body(answer, url, has_given_type)
                url = _redirected(url, answer.headers.get("Location"))
        raise BadRequestError(
            f"the document's URL leads on more than {self._config.max_redirects} times", param="content"
        )

    def _check(self, url: URL) -> None:
        host = url.raw_host or ""
        try:
            address = find_address(host)
        except ValueError:
            raise BadRequestError(f"the host {quoted(host)} is no address that can be read", param="content") from None
        if not is_allowed_host(host, self._config.allowed_hosts):
            raise BadRequestError(f"documents may not be fetched from the host {quoted(host)}", param="content")
        # aiohttp asks the resolver for names only.
        if address is not None and not may_connect(address, self._config.allowed_networks):
            raise BadRequestError(f"the address {quoted(host)} is not public; {_CONFIG_HINT}", param="content")

    async def _body(self, answer: aiohttp.ClientResponse, url: URL, has_given_type: bool) -> SourceBytes:
        _check_status(answer.status)
        media_type = answer.headers.get("Content-Type")
        if not has_given_type:
            check_readable(plain_type(media_type), param="content")
        inflater = Inflater(answer.headers.get("Content-Encoding", ""))
        max_bytes = self._config.max_document_bytes
        too_large = BadRequestError(f"the document is larger than {max_bytes:,} bytes", param="content")
        if (answer.content_length or 0) > max_bytes:
            raise too_large
        body = bytearray()
        async for piece in answer.content.iter_chunked(PIECE_BYTES):
            for inflated in inflater.steps(piece):
                body += inflated
                if len(body) > max_bytes:
                    raise too_large
                await asyncio.sleep(0)
        if not inflater.is_whole:
            raise BackendUnavailableError("the document's server ended it in the middle")
        return SourceBytes(bytes(body), media_type, url.path)


class _CheckedResolver(AbstractResolver):
    """Finds the addresses of a name, and refuses the name where there are none or one of them may not be connected with."""

    def __init__(self, config: IngestConfig, log: logging.Logger) -> None:
        self._allowed_networks = config.allowed_networks
        self._log = log

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses, each as a number.

        Raises:
            BadRequestError: there is none, or one of them is forbidden.
        """
        loop = asyncio.get_running_loop()
        flags = socket.AI_ADDRCONFIG
        try:
            found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
        except OSError as error:
            self._log.info("no document is fetched from %s: %s", quoted(host), error)
            raise _refused(host) from error
        return [self._checked(host, *entry) for entry in found]

    def _checked(self, host: str, family: int, _type: int, protocol: int, _name: str, place: Any) -> ResolveResult:
        try:
            address = find_address(str(place[0]))
        except ValueError:
            address = None
        if address is None or not may_connect(address, self._allowed_networks):
            self._log.warning("no document is fetched from %s: its address %s is not public", quoted(host), place[0])
            raise _refused(host)
        return {
            "hostname": host,
            "host": str(address),
            "port": place[1],
            "family": family,
            "proto": protocol,
            "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        }

    async def close(self) -> None:
        """Nothing is held."""


def _parsed(address: str) -> URL:
    if len(address) > MAX_URL_CHARACTERS:
        raise BadRequestError(f"the document's URL is longer than {MAX_URL_CHARACTERS:,} characters", param="content")
    if any(character.isspace() or not character.isprintable() for character in address):
        message = "a document that begins with http:// or https:// is a URL, and this one holds white space"
        raise BadRequestError(message, param="content")
    try:
        return _sound(URL(address))
    except ValueError as error:
        raise BadRequestError("the document's URL is malformed", param="content") from error


def _redirected(url: URL, location: str | None) -> URL:
    try:
        if not location or len(location) > MAX_URL_CHARACTERS:
            raise ValueError(location)
        return _sound(url.join(URL(location)))
    except ValueError as error:
        raise BadRequestError("the document's server leads on to a URL that is malformed", param="content") from error


def _sound(url: URL) -> URL:
    if url.scheme not in ("http", "https"):
        raise BadRequestError("documents are fetched by http and https only", param="content")
    if url.user is not None or url.password is not None:
        raise BadRequestError("a document's URL must not hold a user or a password", param="content")
    if not url.raw_host or url.port == 0:
        raise BadRequestError("the document's URL names no host", param="content")
    # As the resolver will encode it: labels that are empty or too long are a ValueError here.
    url.raw_host.encode("idna")
    return url.with_fragment(None)


def _check_status(status: int) -> None:
    if status >= 500 or status == 429:
        raise BackendUnavailableError(f"the document's server answered with status {status}")
    if not 200 <= status < 300:
        raise BadRequestError(f"the document's server answered with status {status}", param="content")


def _refused(host: str) -> HitchpostError:
    message = f"the host {quoted(host)} is not known, or has an address that is not public; {_CONFIG_HINT}"
    return BadRequestError(message, param="content")


def _lost(error: Exception) -> HitchpostError:
    if isinstance(error, aiohttp.ClientSSLError):
        return BackendUnavailableError("the certificate of the document's server is not trusted")
    if isinstance(error, aiohttp.ClientConnectorError):
        return BackendUnavailableError("the document's server can't be reached")
    if isinstance(error, aiohttp.ClientPayloadError):
        return BackendUnavailableError("the document's server ended it in the middle")
    if isinstance(error, aiohttp.ClientResponseError):
        return BackendUnavailableError(
            "the document's server answered something that is no HTTP, or headers that are too long"
        )
    return BackendUnavailableError("the connection to the document's server broke")


__all__ = ["WebReader"]
