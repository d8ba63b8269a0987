"""Route declarations: a protocol's method says under which native route it is served."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

Method = TypeVar("Method", bound=Callable[..., Any])

NATIVE_PREFIX = "/alpha"
"""In front of every native route."""


@dataclass(frozen=True, slots=True)
class Route:
    """A native route and the protocol method behind it."""

    verb: Literal["GET", "POST"]
    path: str
    """Below `NATIVE_PREFIX`."""
    request: type[BaseModel]
    """What the body (POST) or the query (GET) is parsed into."""
    operation: str
    """Name of the protocol method."""
    stream_operation: str | None
    """Name of the method that serves the request when its field `stream` is true."""
    in_query: frozenset[str] = frozenset()
    """Fields of a POST that may also come in the query; the body's win."""


def route(
    verb: Literal["GET", "POST"],
    path: str,
    request: type[BaseModel],
    *,
    streamed_by: str | None = None,
    in_query: Iterable[str] = (),
) -> Callable[[Method], Method]:
    """Declare a native route of a protocol method; a method may have several.

    Args:
        verb: HTTP method.
        path: the route below `/alpha`, such as `/inference/completion`.
        request: type of the method's first argument.
        streamed_by: name of the protocol method that answers when the request's field `stream` is true.
        in_query: names of fields of a POST that may also come in the query.
    """

    def mark(method: Method) -> Method:
        declared = Route(verb, path, request, method.__name__, streamed_by, frozenset(in_query))
        # Decorators run from the bottom up; the routes are to be in the order of reading.
        method.__dict__["hitchpost_routes"] = (declared, *method.__dict__.get("hitchpost_routes", ()))
        return method

    return mark


def routes_of(protocol: type) -> Iterator[Route]:
    """The routes that a protocol declares, in the order of its methods."""
    for member in vars(protocol).values():
        yield from getattr(member, "hitchpost_routes", ())


class NoArguments(BaseModel):
    """The request type of operations that take none."""


__all__ = ["NATIVE_PREFIX", "NoArguments", "Route", "route", "routes_of"]
