"""What becomes of text that a tool-call parser has read: text, the arguments of a call, or nothing."""

import json
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto

from hitchpost.api import TextDelta, TokenLogprob, ToolCallDelta, ToolCallStart
from hitchpost.llama.incremental_text import IncrementalText

ParsedEvent = TextDelta | ToolCallStart | ToolCallDelta


class Destination(Enum):
    """Where text goes that has been read: it waits (`held`), or becomes events as it comes."""

    held = auto()
    text = auto()
    arguments = auto()
    code = auto()
    nowhere = auto()


class CallEvents:
    """Takes text that was read from `source`, and makes the events of one choice of it."""

    def __init__(self, source: IncrementalText, choice: int, new_call_id: Callable[[], str]) -> None:
        self.destination = Destination.held
        self.calls = 0
        """How many calls have been announced."""
        self._source = source
        self._choice = choice
        self._new_call_id = new_call_id
        self._events: list[ParsedEvent] = []
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def send_to(self, destination: Destination) -> None:
        """Send what is read from now on elsewhere; what was held until now goes there too."""
        self.give(destination if self.destination is Destination.held else self.destination)
        self.destination = destination
        self._source.is_bounded = destination is Destination.held

    def give(self, destination: Destination) -> None:
        """Take what has been read."""
        if destination is Destination.held:
            return
        text, logprobs = self._source.take()
        if destination is Destination.text:
            self.add_text(text, logprobs)
        elif destination is Destination.arguments:
            self.add_arguments(text)
        elif destination is Destination.code:
            self.add_code(text)

    def start_call(self, name: str, *, until: int | None = None) -> str:
        """Announce a call. What was read of it, up to a position, is taken and returned."""
        text, _ = self._source.take(until)
        self._add(ToolCallStart(self.calls, self._new_call_id(), name, self._choice))
        self.calls += 1
        return text

    def add_arguments(self, text: str) -> None:
        """A fragment of the JSON text of the last call's arguments."""
        if text:
            self._add(ToolCallDelta(self.calls - 1, text, self._choice))

    def add_json_value(self, value: str) -> None:
        """All the last call's arguments, by a JSON value: an object, null for none, or a string that holds an object's JSON."""
        if value.startswith('"'):
            with suppress(ValueError):  # passed on as it is: the receiver reports arguments that aren't JSON
                value = json.loads(value)
        if value != "null":
            self.add_arguments(value)

    def add_code(self, text: str) -> None:
        """A fragment of code, which stands in a JSON string."""
        self.add_arguments(json.dumps(text, ensure_ascii=False)[1:-1])

    def add_text(self, text: str, logprobs: list[TokenLogprob]) -> None:
        """A fragment of text. It is joined with its neighbours: a piece with a thousand `<` is one delta."""
        self._text.append(text)
        self._logprobs.extend(logprobs)

    def collect(self) -> list[ParsedEvent]:
        """The events since the last time."""
        self._flush_text()
        events, self._events = self._events, []
        return events

    def _add(self, event: ParsedEvent) -> None:
        self._flush_text()
        self._events.append(event)

    def _flush_text(self) -> None:
        text, logprobs = "".join(self._text), self._logprobs
        if text or logprobs:
            self._events.append(TextDelta(text, self._choice, logprobs or None))
        self._text, self._logprobs = [], []


__all__ = ["CallEvents", "Destination", "ParsedEvent"]
