"""Runs the tool-call parser over text in pieces and puts its events together again."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count, pairwise

from hitchpost.api import Finish, FinishReason, InferenceEvent, TextDelta, ToolCallDelta, ToolCallStart
from hitchpost.llama import ToolCallParser

TOOLS = ("f", "get_weather", "it's <a> tool", "m\u00e9t\u00e9o")
BUILTIN_TOOLS = ("brave_search", "wolfram_alpha", "code_interpreter")


@dataclass
class Parsed:
    """An answer: its texts and calls in their order, each text whole, each call as (call id, name, arguments)."""

    parts: list[str | tuple[str, str, str]] = field(default_factory=list)
    finish: Finish | None = None

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def calls(self) -> list[tuple[str, str]]:
        return [part[1:] for part in self.parts if not isinstance(part, str)]


def new_parser(tools: Iterable[str]) -> ToolCallParser:
    """A parser that numbers its calls."""
    numbers = count()
    return ToolCallParser(tools, new_call_id=lambda: f"call-{next(numbers)}")


def events_of(
    pieces: Iterable[str], tools: Iterable[str] = TOOLS, reason: FinishReason = FinishReason.stop
) -> list[InferenceEvent]:
    """All events of an answer that comes in these pieces."""
    parser = new_parser(tools)
    events: list[InferenceEvent] = [event for piece in pieces for event in parser.feed(piece)]
    return [*events, *parser.finish(reason)]


def put_together(events: Iterable[InferenceEvent]) -> Parsed:
    """The answer that the events make; refuses events that no stream may have in this order."""
    parsed = Parsed()
    indexes = count()
    for event in events:
        assert parsed.finish is None, "an event after Finish"
        match event:
            case TextDelta(text=text):
                if parsed.parts and isinstance(parsed.parts[-1], str):
                    parsed.parts[-1] += text
                else:
                    parsed.parts.append(text)
            case ToolCallStart(index=index, call_id=call_id, name=name):
                assert index == next(indexes)
                parsed.parts.append((call_id, name, ""))
            case ToolCallDelta(arguments=arguments):
                assert arguments
                call_id, name, before = parsed.parts[-1]
                parsed.parts[-1] = (call_id, name, before + arguments)
            case Finish():
                parsed.finish = event
    return parsed


def parse(text: str, tools: Iterable[str] = TOOLS, reason: FinishReason = FinishReason.stop) -> Parsed:
    """The answer, fed at once."""
    return put_together(events_of([text], tools, reason))


def split(text: str, cuts: Iterable[int]) -> list[str]:
    """The text, cut before these characters; a cut may come twice, which makes an empty piece."""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:stop] for start, stop in pairwise(edges)]
