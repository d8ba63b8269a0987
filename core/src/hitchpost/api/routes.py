"""Route declarations: a protocol's method says under which native route it is served."""

from collections.abc import Callable, Iterator
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


def route(
    verb: Literal["GET", "POST"], path: str, request: type[BaseModel], *, streamed_by: str | None = None
) -> Callable[[Method], Method]:
    """Declare the native route of a protocol method.

    Args:
        verb: HTTP method.
        path: the route below `/alpha`, such as `/inference/completion`.
        request: type of the method's first argument.
        streamed_by: name of the protocol method that answers when the request's field `stream` is true.
    """

    def mark(method: Method) -> Method:
        method.__dict__["hitchpost_route"] = Route(verb, path, request, method.__name__, streamed_by)
        return method

    return mark


def routes_of(protocol: type) -> Iterator[Route]:
    """The routes that a protocol declares, in the order of its methods."""
    for member in vars(protocol).values():
        declared = getattr(member, "hitchpost_route", None)
        if isinstance(declared, Route):
            yield declared


class NoArguments(BaseModel):
    """The request type of operations that take none."""


__all__ = ["NATIVE_PREFIX", "NoArguments", "Route", "route", "routes_of"]
