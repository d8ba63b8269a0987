"""Calls of tools out of the pieces in which servers stream them.

By the book the first piece of a call has its index, id and name, and the others only the index. In the wild ids and names are repeated in each
piece, come late, are empty or the same for all; the index is missing, or the same for calls with ids of their own.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from hitchpost.api import ToolCallDelta, ToolCallStart
from hitchpost_remote_openai.values import Unreadable, integer, object_, optional_text


@dataclass(slots=True)
class _Call:
    index: int
    given_id: str = ""
    name: str = ""
    held: list[str] = field(default_factory=list)
    """Arguments that came before the name."""


class StreamedCalls:
    """The calls of one choice."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_key: dict[int, _Call] = {}
        self._used_ids: set[str] = set()

    def piece(self, piece: dict[str, Any], choice: int) -> Iterator[ToolCallStart | ToolCallDelta]:
        """The events of a piece. Raises Unreadable where it is none."""
        function = object_(piece.get("function") or {})
        given_id = optional_text(piece.get("id")) or ""
        name = optional_text(function.get("name")) or ""
        call = self._call_of(piece, given_id, name)
        call.given_id = call.given_id or given_id
        arguments = _arguments(function.get("arguments"))
        if name and not call.name:
            call.name = name
            yield ToolCallStart(call.index, self._own_id(call.given_id), name, choice)
            arguments = "".join([*call.held, arguments])
        if not call.name:
            call.held.append(arguments)
        elif arguments:
            yield ToolCallDelta(call.index, arguments, choice)

    def check_names(self) -> None:
        """Raises Unreadable where a call has ended without a name."""
        if any(not call.name for call in self._calls):
            raise Unreadable("a call of a tool without a name")

    def _call_of(self, piece: dict[str, Any], given_id: str, name: str) -> _Call:
        last = self._calls[-1] if self._calls else None
        if piece.get("index") is None:
            is_new = last is None or (given_id and given_id != last.given_id) or (not given_id and name and last.name)
            return self._new(None) if is_new or last is None else last
        key = integer(piece.get("index"), 0)
        known = self._by_key.get(key)
        if known is None or (given_id and known.given_id and given_id != known.given_id and name):
            return self._new(key)
        return known

    def _new(self, key: int | None) -> _Call:
        call = _Call(len(self._calls))
        self._calls.append(call)
        if key is not None:
            self._by_key[key] = call
        return call

    def _own_id(self, given_id: str) -> str:
        own = given_id if given_id and given_id not in self._used_ids else f"call_{uuid.uuid4().hex[:24]}"
        self._used_ids.add(own)
        return own


def _arguments(value: Any) -> str:
    # Old servers send the object in place of its text.
    return to_json(value).decode() if isinstance(value, dict) else optional_text(value) or ""


__all__ = ["StreamedCalls"]
