"""What accompanies a request on its way to a provider."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from hitchpost.api.resources import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """Passed explicitly with every call; context variables leak between async generators.

    Nothing in it names HTTP: a provider can't tell over which surface a request came.
    """

    request_id: str
    """The id that the client sees as `x-request-id`."""
    deadline: float | None = None
    """When the answer must be whole, on the clock of `time.monotonic()`."""
    resource: Resource | None = None
    """The resource that the request names, with its metadata and params."""
    provider_data: BaseModel | None = field(default=None, repr=False)
    """What the caller sent for this provider, validated by the provider type's own schema."""
    raw_provider_data: Mapping[str, Any] | None = field(default=None, repr=False)
    """The whole provider data header; each gate on the way takes out what its provider type declares."""
    principal: str | None = None
    """Who calls, when the host knows."""
    trace_id: str | None = None
    """The trace that the request belongs to; None where nothing is traced."""
    span_id: str | None = None
    """The span inside which this call is made: the parent of whatever the callee records."""

    def remaining_s(self) -> float | None:
        """Seconds until the deadline, at least 0; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


__all__ = ["RequestContext"]
