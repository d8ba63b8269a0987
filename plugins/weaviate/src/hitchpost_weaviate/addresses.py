"""Where a Weaviate server is, by REST and by gRPC, and which servers a caller may name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

DEFAULT_GRPC_PORT = 50051
CLOUD_DOMAINS = (".weaviate.cloud", ".weaviate.network", ".semi.technology")
"""Of the hosted service, which has a host of its own for gRPC, and no port to choose."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.\-]*[a-z0-9])?|[0-9a-f:.]+:[0-9a-f:.]*")
_PATTERN = re.compile(r"https?://(\*\.)?[a-z0-9][a-z0-9\-]*(\.[a-z0-9\-]+)*(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server: two hosts and ports, which may not both be the same."""

    host: str
    port: int
    grpc_host: str
    grpc_port: int
    is_secure: bool

    @property
    def url(self) -> str:
        """Its REST address, for messages."""
        return f"{'https' if self.is_secure else 'http'}://{self.host}:{self.port}"

    @property
    def grpc_target(self) -> str:
        """Its gRPC address."""
        host = f"[{self.grpc_host}]" if ":" in self.grpc_host else self.grpc_host
        return f"{host}:{self.grpc_port}"


def parse_endpoint(url: str, grpc_host: str | None = None, grpc_port: int | None = None) -> Endpoint:
    """The endpoint at a URL; a host without a scheme is one of the hosted service, so `https`.

    Raises:
        ValueError: it is no URL of a server, or both addresses are the same.
    """
    # Whoever takes the message may show it, so the URL isn't in it: it may hold a password.
    message = "must be a URL such as https://my-cluster.weaviate.cloud, with neither user nor path"
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise ValueError(message) from None
    # Parsing drops line ends, so what was checked would not be what was said.
    if not url.isprintable() or parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host) or port == 0:
        raise ValueError(message)
    if parts.username or parts.password or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(message)
    is_cloud = host.endswith(CLOUD_DOMAINS) and grpc_host is None
    endpoint = Endpoint(
        host,
        port or _DEFAULT_PORTS[parts.scheme],
        grpc_host or (_cloud_grpc_host(host) if is_cloud else host),
        grpc_port or (443 if is_cloud else DEFAULT_GRPC_PORT),
        parts.scheme == "https",
    )
    if (endpoint.host, endpoint.port) == (endpoint.grpc_host, endpoint.grpc_port):
        raise ValueError("REST and gRPC need addresses of their own; set grpc_port, or grpc_host")
    return endpoint


def _cloud_grpc_host(host: str) -> str:
    name, _, domain = host.partition(".")
    return f"{name}.grpc.{domain}" if host.endswith(".weaviate.network") else f"grpc-{host}"


def _cluster_pattern(text: str) -> str:
    if not _PATTERN.fullmatch(text) or (text.partition("://*.")[2] and text.count(".") < 2):
        raise ValueError("must be like https://*.weaviate.cloud or http://localhost:8080")
    return text


ClusterPattern = Annotated[str, AfterValidator(_cluster_pattern)]
"""Scheme, host and perhaps port of servers; the host may begin with `*.`, before a domain of at least two parts."""


def is_allowed(endpoint: Endpoint, patterns: Sequence[str]) -> bool:
    """Whether an endpoint fits one of the patterns: scheme and port exactly, the host by its pattern."""
    for pattern in patterns:
        parts = urlsplit(pattern)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        same = (parts.scheme == "https", port) == (endpoint.is_secure, endpoint.port)
        if same and fnmatchcase(endpoint.host, (parts.hostname or "").lower()):
            return True
    return False


__all__ = ["CLOUD_DOMAINS", "DEFAULT_GRPC_PORT", "ClusterPattern", "Endpoint", "is_allowed", "parse_endpoint"]
