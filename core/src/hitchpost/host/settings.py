"""What a host can be told about its manners at the edge; everything else is in the run config."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """Time limits of the HTTP side, in seconds."""

    body_timeout_s: float = 60.0
    """How long a request's body may take to arrive."""
    first_event_s: float = 15.0
    """How long an OpenAI stream's status waits for the first event; from then on a silent stream sends heartbeats this often."""
    stalled_reader_s: float = 60.0
    """How long a client may take nothing of a stream before its connection is cut."""
    idle_connection_s: float = 75.0
    """How long a connection without a request stays open."""


__all__ = ["HostSettings"]
