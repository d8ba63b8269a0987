"""What the host knows of one request on its way: made when it comes in, filled in by the handler, written into the access log."""

import random
import re
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic_core import from_json

from hitchpost.api import RequestContext
from hitchpost.errors import BadRequestError
from hitchpost.routing import Span

REQUEST_ID_HEADER = "x-request-id"
TRACE_HEADER = "x-hitchpost-trace"
PROVIDER_DATA_HEADERS = ("X-LlamaStack-ProviderData", "X-LlamaStack-Provider-Data", "X-OGX-Provider-Data")
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


@dataclass(slots=True)
class Exchange:
    """One request and what became of it."""

    request_id: str
    started: float = field(default_factory=time.monotonic)
    model: str | None = None
    """As the caller named it."""
    provider_id: str | None = None
    is_stream: bool = False
    failure: str | None = None
    """Code of the error that a stream ended with; its status was sent long before."""
    span: Span | None = None
    """Of the whole request, where it is traced."""

    def name_in(self, headers: MutableMapping[str, str]) -> None:
        """Give the answer the names under which the request is known here."""
        headers[REQUEST_ID_HEADER] = self.request_id
        if self.span is not None:
            headers[TRACE_HEADER] = self.span.trace_id


_CURRENT: ContextVar[Exchange] = ContextVar("hitchpost_exchange")


def fresh_id(prefix: str) -> str:
    """`prefix` and 96 random bits. A name and no secret: reading the system's randomness takes ten times as long."""
    return f"{prefix}{random.getrandbits(96):024x}"


def begin_exchange(request: web.BaseRequest) -> Exchange:
    """Make the exchange of the running request task. A caller's own request id is kept when it is short and harmless."""
    given = request.headers.get(REQUEST_ID_HEADER)
    exchange = Exchange(given if given is not None and _SANE_REQUEST_ID.fullmatch(given) else fresh_id("req_"))
    _CURRENT.set(exchange)
    return exchange


def current_exchange() -> Exchange:
    """The exchange of the running request task."""
    return _CURRENT.get()


def context_of(request: web.BaseRequest) -> RequestContext:
    """The context that accompanies a call into the stack.

    Raises:
        BadRequestError: the provider data header is not one JSON object.
    """
    exchange = current_exchange()
    data = _provider_data(request)
    if exchange.span is None:
        return RequestContext(request_id=exchange.request_id, raw_provider_data=data)
    trace_id, span_id = exchange.span.trace_id, exchange.span.span_id
    return RequestContext(request_id=exchange.request_id, raw_provider_data=data, trace_id=trace_id, span_id=span_id)


def _provider_data(request: web.BaseRequest) -> Mapping[str, Any] | None:
    for header in PROVIDER_DATA_HEADERS:
        text = request.headers.get(header)
        if text is None:
            continue
        try:
            # Headers hold bytes; what of them is no UTF-8 came in as halves of surrogate pairs.
            data = from_json(text.encode("utf-8", "surrogateescape"))
        except ValueError as error:
            raise BadRequestError(f"header {header} is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise BadRequestError(f"header {header} must hold a JSON object")
        return data
    return None


__all__ = [
    "PROVIDER_DATA_HEADERS",
    "REQUEST_ID_HEADER",
    "TRACE_HEADER",
    "Exchange",
    "begin_exchange",
    "context_of",
    "current_exchange",
    "fresh_id",
]
