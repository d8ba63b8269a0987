"""What a run config says of a server behind a provider: where it is, how long it may take, and what vouches for it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hitchpost.api.config_path import ConfigPath


def _server_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
        parts = urlsplit("")
    if not is_good:
        raise ValueError("must be a URL such as http://localhost:8000")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or a password; there are fields for keys")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, without ? or #")
    return text.rstrip("/")


ServerUrl = Annotated[str, AfterValidator(_server_url)]
"""`http` or `https`, a host, and perhaps a port and a path; kept without a slash at its end."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RemoteConfig(BaseModel):
    """Base of the config of a provider in front of an HTTP server; subclasses add the fields of their own and may give `url` a default."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    url: ServerUrl
    """Where the server listens."""
    connect_timeout_s: Seconds = 10.0
    """How long connecting may take, TLS included."""
    first_byte_timeout_s: Seconds = 300.0
    """How long the server may be silent before its answer begins; it is while it loads a model or others are before us."""
    between_chunks_timeout_s: Seconds = 60.0
    """How long it may be silent in the middle of an answer."""
    total_timeout_s: Seconds = 3600.0
    """How long a whole answer may take."""
    max_connections: Annotated[int, Field(ge=1)] = 512
    """Connections to the server at a time; more requests wait for one of them, as long as connecting may take."""
    max_retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How often a request is sent again that the server did not take: before the first byte of an answer, never after it."""
    tls_ca_file: ConfigPath | None = None
    """Certificates of authorities, in PEM, that vouch for an `https` server, beside those that the system knows."""
    tls_verify: bool = True
    """Whether the certificate of an `https` server is checked; without that, anybody on the way can read and change everything."""


__all__ = ["RemoteConfig", "Seconds", "ServerUrl"]
