"""From the bytes of a request to a validated type, within limits of size, time and depth."""

import asyncio
import gc
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from hitchpost.api.problems import problem_location, problem_words
from hitchpost.errors import BadRequestError, RequestTooLargeError, quoted
from hitchpost.host.keys import LIFECYCLE

ModelT = TypeVar("ModelT", bound=BaseModel)

_JSON_TYPE = re.compile(r"application/(?:json|[a-z0-9!#$&^_.-]+\+json)", re.IGNORECASE)
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 47}
_LARGE_BYTES = 256 * 1024
_INFLATE_STEP_BYTES = 256 * 1024
_PROBLEMS_SHOWN = 100
_ABSENT = ("missing", "union_tag_not_found")


class InvalidRequestError(BadRequestError):
    """A body or query that doesn't validate.

    Args:
        problems: each with `loc` (the first step is `body` or `query`), `msg` and `type`.
        param: the path of the first problem, as the caller wrote it.
    """

    code = "invalid_request"

    def __init__(self, problems: Sequence[Mapping[str, Any]], message: str, param: str | None) -> None:
        super().__init__(message, param=param)
        self.problems = problems


async def read_body(request: web.Request, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body, inflated.

    Raises:
        RequestTooLargeError: it is larger than `max_bytes`, as it came or inflated.
        BadRequestError: it breaks off, or its compression is damaged.
        BackendUnavailableError: the host is told to stop before the body is whole.
        web.HTTPException: 408 it came too slowly; 415 it is compressed in a way that the host doesn't know.
    """
    content = request.content
    try:
        if content.is_eof():
            raw = content.read_nowait()
        elif (request.content_length or 0) > max_bytes:
            raise _too_large(max_bytes)
        else:
            async with request.app[LIFECYCLE].reading(timeout_s):
                raw = await _read_all(request, max_bytes)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"the request's body did not arrive within {timeout_s:g} s") from error
    except web.RequestPayloadError as error:
        raise BadRequestError("the request's body breaks off or is framed wrongly") from error
    if len(raw) > max_bytes:
        raise _too_large(max_bytes)
    encoding = request.headers.get(hdrs.CONTENT_ENCODING)
    return raw if encoding is None else await _inflate(raw, encoding.strip().lower(), max_bytes)


async def _read_all(request: web.Request, max_bytes: int) -> bytes:
    body = bytearray()
    while part := await request.content.readany():
        body += part
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


async def _inflate(raw: bytes, encoding: str, max_bytes: int) -> bytes:
    """aiohttp would inflate while it parses, on the event loop and by megabytes; this does it in steps, and stops at the limit."""
    if encoding == "identity":
        return raw
    window_bits = _WINDOW_BITS.get(encoding)
    if window_bits is None:
        raise web.HTTPUnsupportedMediaType(
            text=f"Content-Encoding {quoted(encoding)} is not known; use gzip, deflate or none"
        )
    inflater = zlib.decompressobj(window_bits)
    body = bytearray()
    rest = raw
    try:
        while not inflater.eof:
            part = inflater.decompress(rest, _INFLATE_STEP_BYTES)
            rest = inflater.unconsumed_tail
            body += part
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
            if not part and not rest:
                raise BadRequestError(f"the request's body is not whole: its {encoding} compression breaks off")
            await asyncio.sleep(0)
    except zlib.error as error:
        raise BadRequestError(f"the request's body is not {encoding}: {error}") from error
    if inflater.unused_data:
        raise BadRequestError(f"something follows the {encoding} data in the request's body")
    return bytes(body)


def _too_large(max_bytes: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"the request's body is larger than the {max_bytes} bytes that this host reads")


def is_json(request: web.Request) -> bool:
    """Whether the body says that it is JSON, or says nothing of its type."""
    content_type = request.headers.get(hdrs.CONTENT_TYPE)
    if content_type is None or content_type == "application/json":
        return True
    return _JSON_TYPE.fullmatch(content_type.partition(";")[0].strip()) is not None


def parse_json_body(model: type[ModelT], raw: bytes) -> ModelT:
    """A JSON body as `model`.

    Raises:
        InvalidRequestError: it isn't JSON, is nested too deeply, or doesn't validate.
    """
    if len(raw) > _LARGE_BYTES and gc.isenabled():
        # Of millions of small values a few seconds become half of one: none of them is garbage yet.
        gc.disable()
        try:
            return _validated(model, raw)
        finally:
            gc.enable()
    return _validated(model, raw)


def _validated(model: type[ModelT], raw: bytes) -> ModelT:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _refusal(error, "body", raw) from None


def parse_query(model: type[ModelT], query: Mapping[str, str]) -> ModelT:
    """The query's parameters as `model`.

    Raises:
        InvalidRequestError: it doesn't validate.
    """
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise _refusal(error, "query", dict(query)) from None


def _refusal(error: ValidationError, place: str, sent: bytes | dict[str, str]) -> InvalidRequestError:
    """What to raise; not raised here, since its traceback would keep the whole of what was sent."""
    details = error.errors(include_url=False, include_input=False)[:_PROBLEMS_SHOWN]
    problems = [
        {
            "loc": [place, *(step if isinstance(step, int) else _shown(step) for step in detail["loc"])],
            "msg": problem_words(detail),
            "type": detail["type"],
        }
        for detail in details
    ]
    if details[0]["type"] == "json_invalid":
        return InvalidRequestError(problems, f"the request's {place} {problems[0]['msg']}", None)
    value = from_json(sent) if isinstance(sent, bytes) else sent
    by_path: dict[str, list[str]] = {}
    for detail in details:
        words = problem_words(detail)
        said = by_path.setdefault(_path_in(value, problem_location(detail), detail["type"]), [])
        if words not in said:
            said.append(words)
    param = _deepest(by_path)
    subject = param or f"the request's {place}"
    message = f"{subject} {', or '.join(by_path[param])}"
    # Of a union each member has a problem of its own, at the same place or above it.
    more = sum(not param.startswith(path) for path in by_path)
    if more:
        message += f" (and {more} more problem{'s' if more > 1 else ''})"
    return InvalidRequestError(problems, message, param or None)


def _deepest(said: Mapping[str, Sequence[str]]) -> str:
    """The first path, or the longest below it: of a union's members, the one that fits furthest tells most.

    What was sent and is wrong tells more than what another member would have had.
    """
    first = next(iter(said))
    below = [path for path in said if path == first or path.startswith(f"{first}.")]
    return max(below, key=lambda path: (path.count("."), said[path] != ["is missing"]))


def _path_in(value: Any, loc: Sequence[int | str], kind: str) -> str:
    """The steps of `loc` that the caller wrote: pydantic puts the names of union members between them."""
    path: list[str] = []
    for position, step in enumerate(loc):
        steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if step in steps:
            value = value[step]
        elif not (kind in _ABSENT and position == len(loc) - 1):
            continue
        path.append(_shown(step))
    return ".".join(path)


def _shown(step: int | str) -> str:
    """A step of a path; the caller may have chosen it, as the key of a mapping."""
    return quoted(str(step), mark="")


__all__ = ["InvalidRequestError", "is_json", "parse_json_body", "parse_query", "read_body"]
