"""What may be read, from where, and how much of it: the field `ingest` of a memory provider's config."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MIB = 1024 * 1024
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


def _host_pattern(text: str) -> str:
    name = text.strip().rstrip(".").lower()
    bare = name.removeprefix("*.")
    if not bare or any(mark in bare for mark in "*/:@ ") or not bare.isprintable():
        raise ValueError("must be a host's name such as docs.example.org, or *.example.org for all below one")
    return name


HostPattern = Annotated[str, AfterValidator(_host_pattern)]


def _root(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


FileRoot = Annotated[Path, AfterValidator(_root)]


class IngestConfig(BaseModel):
    """Limits of reading documents; the defaults let public web pages be fetched and no file be read."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    file_roots: list[FileRoot] = Field(default_factory=list)
    """Folders under which `file://` URLs may be read; by default none. Links that lead out of them are refused."""
    allowed_hosts: list[HostPattern] | None = None
    """Hosts that documents may be fetched from, `*.example.org` for all below one; absent: every public host. An empty list: none."""
    allowed_networks: list[IPv4Network | IPv6Network] = Field(default_factory=list)
    """Addresses or networks that are not public, such as `10.1.2.0/24`, from which documents may be fetched all the same."""
    max_document_bytes: Annotated[int, Field(ge=1, le=1024 * MIB)] = 32 * MIB
    """Size of a document, as it comes and inflated."""
    max_inflated_bytes: Annotated[int, Field(ge=1, le=4096 * MIB)] = 128 * MIB
    """What is packed into a document that is an archive, such as a DOCX, altogether."""
    max_text_characters: Annotated[int, Field(ge=1, le=100_000_000)] = 5_000_000
    """Characters of a document's text."""
    max_chunks: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Pieces of a document."""
    max_redirects: Annotated[int, Field(ge=0, le=20)] = 5
    """How often a server may send a fetch elsewhere; each place is checked like the first."""
    connect_timeout_s: Seconds = 10.0
    """How long finding and reaching a server may take, TLS included."""
    fetch_timeout_s: Seconds = 60.0
    """How long a whole fetch may take, redirects included."""
    parse_timeout_s: Seconds = 60.0
    """How long a document may be parsed; then the process that does it is killed."""
    parse_memory_mib: Annotated[int, Field(ge=256, le=65_536)] = 1024
    """Address space of a process that parses."""
    max_concurrent: Annotated[int, Field(ge=1, le=64)] = 4
    """Documents that are fetched or parsed at the same time, each by a process of its own; further ones wait."""


__all__ = ["MIB", "IngestConfig"]
