"""Keeps web pages that somebody has open in a browser from using a host that listens on the same machine.

A page on any site may send POST requests to localhost, and a site whose name suddenly resolves to 127.0.0.1 (DNS rebinding) may even read
the answers. Neither needs a permission that a browser asks for, so the host looks at two headers that a page can't forge: `Origin`, which must
be the host's own, and, where the host listens on a loopback address only, the name in `Host`, which nobody on the internet may be able to own.
"""

import ipaddress
import socket
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from hitchpost.errors import PermissionDeniedError, quoted

_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


class BrowserGuard:
    """Refuses requests that a web page of somebody else sent.

    Args:
        listen_host: the address that the host listens on.
        allowed_hosts: further names under which it may be reached, as behind a proxy.
    """

    def __init__(self, listen_host: str, allowed_hosts: Collection[str] = ()) -> None:
        self._is_local_only = is_loopback(listen_host)
        self._allowed = frozenset(name.lower() for name in (*allowed_hosts, listen_host, socket.gethostname()))

        # A client sends the same two headers with every request.
        self._objection = lru_cache(maxsize=256)(self._find_objection)

    def check(self, request: web.BaseRequest) -> None:
        """Raises PermissionDeniedError where the request comes from a page that has no business here."""
        headers = request.headers
        objection = self._objection(headers.get(hdrs.HOST, ""), headers.get(hdrs.ORIGIN))
        if objection is not None:
            raise PermissionDeniedError(objection)

    def _find_objection(self, host: str, origin: str | None) -> str | None:
        name = _name_of(host)
        if name is None or (self._is_local_only and not (name in self._allowed or _is_private(name))):
            return (
                f"this host listens on a loopback address only and does not answer to the name {quoted(host)}; "
                "use localhost or an IP address"
            )
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return "requests that web pages of another origin send are refused"
        return None


def _name_of(host: str) -> str | None:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return None


def _is_private(name: str) -> bool:
    """Whether nobody can own the name in the public DNS: an address, a name of one label, or one of a reserved domain."""
    if "." not in name or name.endswith(_PRIVATE_SUFFIXES):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(listen_host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if listen_host == "localhost":
        return True
    try:
        return ipaddress.ip_address(listen_host).is_loopback
    except ValueError:
        return False


__all__ = ["BrowserGuard", "is_loopback"]
