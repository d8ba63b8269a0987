"""JSON for answers: fast on the hot path, and valid whatever text a provider produced."""

from json.encoder import encode_basestring
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

# Legal in JSON, but readers that split lines the way `str.splitlines` does would cut an event in two there.
_LINE_BREAKS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def json_string(text: str) -> str:
    """`text` as a JSON string, quotes included, that no reader takes for more than one line."""
    quoted = encode_basestring(text)
    return quoted if quoted.isascii() else _one_line(quoted)


def json_value(value: Any) -> str:
    """A value as JSON that no reader takes for more than one line; numbers that JSON can't say become null."""
    return _one_line(json_bytes(value).decode())


def _one_line(text: str) -> str:
    for character, escape in _LINE_BREAKS.items():
        text = text.replace(character, escape)
    return text


def json_bytes(value: Any) -> bytes:
    """A value as JSON in UTF-8; numbers that JSON can't say become null, halves of surrogate pairs question marks."""
    try:
        return to_json(value, inf_nan_mode="null")
    except PydanticSerializationError:
        return to_json(_repaired(value), inf_nan_mode="null")


def _repaired(value: Any) -> Any:
    match value:
        case str():
            return encoded(value).decode()
        case dict():
            return {_repaired(key): _repaired(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_repaired(inner) for inner in value]
        case BaseModel():
            return _repaired(value.model_dump())
    return value


def encoded(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which has none, becomes a question mark."""
    return text.encode("utf-8", "replace")


def json_response(value: Any, *, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=json_bytes(value), status=status, content_type="application/json")


__all__ = ["encoded", "json_bytes", "json_response", "json_string", "json_value"]
