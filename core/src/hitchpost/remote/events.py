"""What a stream's bytes spell: lines, and the events of server-sent events. Pure, and bounded whatever the server sends.

Lines end with LF or CRLF. Bytes may come in any pieces; nothing is decoded here, so a piece may end inside a character.
"""

from dataclasses import dataclass

from hitchpost.errors import BadBackendAnswerError

MAX_LINE_BYTES = 4 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineSplitter:
    """Bytes in, whole lines out.

    Args:
        max_bytes: the longest line that is taken.
        name: what messages call the server.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES, name: str = "the server") -> None:
        self._name = name
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def is_in_line(self) -> bool:
        """Whether a line has begun that has not ended yet."""
        return bool(self._pieces)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends.

        Raises:
            BadBackendAnswerError: a line is longer than `max_bytes`.
        """
        lines = data.split(b"\n")
        if self._pieces or len(lines) == 1:
            self._keep(lines[0])
            if len(lines) == 1:
                return []
            lines[0] = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
        if rest := lines.pop():
            self._keep(rest)
        if len(data) > self._max_bytes and any(len(line) > self._max_bytes for line in lines):
            raise self._too_long()
        return [line.removesuffix(b"\r") for line in lines]

    def end(self) -> list[bytes]:
        """What came after the last line's end, where there is any."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return [rest.removesuffix(b"\r")] if rest else []

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise self._too_long()

    def _too_long(self) -> BadBackendAnswerError:
        return BadBackendAnswerError(f"{self._name} sent a line of more than {self._max_bytes} bytes")


@dataclass(slots=True)
class ServerEvent:
    """One of server-sent events. `name` is empty where the server gives none; `data` are the bytes as they came."""

    data: bytes
    name: str = ""


class EventParser:
    """Bytes in, whole events out; comments, ids and retry hints are dropped.

    A line with the field `error`, which older servers write in place of an event, is an event of the name `error`.

    Args:
        max_bytes: the largest event, and the longest line, that is taken.
        name: what messages call the server.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES, name: str = "the server") -> None:
        self._lines = LineSplitter(max_bytes, name)
        self._max_bytes = max_bytes
        self._server = name
        self._data: list[bytes] = []
        self._size = 0
        self._name = ""
        self._is_first = True

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that `data` completes.

        Raises:
            BadBackendAnswerError: an event or a line is larger than `max_bytes`.
        """
        if data.startswith(b"data: ") and data.endswith(b"\n\n") and self._is_between_events():
            # What nearly every read of nearly every server brings: whole events of one line each.
            lines = data[6:-2].split(b"\n\ndata: ")
            if data.count(b"\n") == 2 * len(lines) and len(data) <= self._max_bytes and b"\r" not in data:
                self._is_first = False
                return [ServerEvent(line) for line in lines]
        return self._events(self._lines.feed(data))

    def _is_between_events(self) -> bool:
        return not (self._data or self._name or self._lines.is_in_line)

    def end(self) -> list[ServerEvent]:
        """The event that the stream ended in, which may be half of one: whoever reads its data sees that."""
        return self._events([*self._lines.end(), b""])

    def _events(self, lines: list[bytes]) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._event())
                self._name = ""
            elif line.startswith(b"data:"):
                self._add(line[6:] if line[5:6] == b" " else line[5:])
            else:
                self._other(line)
        return events

    def _add(self, value: bytes) -> None:
        self._is_first = False
        self._data.append(value)
        self._size += len(value)
        if self._size > self._max_bytes:
            raise BadBackendAnswerError(f"{self._server} sent an event of more than {self._max_bytes} bytes")

    def _other(self, line: bytes) -> None:
        if self._is_first:
            self._is_first = False
            if line.startswith(_BYTE_ORDER_MARK):
                self._events([line.removeprefix(_BYTE_ORDER_MARK)])
                return
        field, _, value = line.partition(b":")
        if field == b"event":
            self._name = value.strip().decode("utf-8", "replace")
        elif field == b"error":
            self._name = "error"
            self._add(value.strip())
        elif field == b"data":
            self._add(b"")

    def _event(self) -> ServerEvent:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        return ServerEvent(data, self._name)


__all__ = ["MAX_LINE_BYTES", "EventParser", "LineSplitter", "ServerEvent"]
