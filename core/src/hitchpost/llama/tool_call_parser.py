"""Tool calls in what a Llama model writes, recognised while it is being written.

Forms, each only for tools that were offered:

- `{"type": "function", "name": NAME, "parameters": {...}}`, with `arguments` for `parameters` and without `type` too; at the start;
- `[NAME(a=1, b="x"), NAME()]`, Python's keyword arguments with literal values; at the start;
- `<function=NAME>{...}</function>`; anywhere, and the closing tag may be missing;
- `NAME.call(query="...")` for Llama's built-in search tools; as the whole text;
- all of these after `<|python_tag|>`, anywhere; there, what is none of them is code if `code_interpreter` was offered.

Several calls may follow each other, on lines of their own or with `;` or `,` between them. What isn't a call stays text, character by character,
a `<|python_tag|>` in front of it included.

A call is announced when its name is certain, and from then on its text is never a `TextDelta`. Where the arguments turn out broken or are cut
off, they are passed on as they came, so that they aren't JSON: the receiver reports the call as failed instead of making it without them.
"""

import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from uuid import uuid4

from hitchpost.api import (
    BuiltinTool,
    Finish,
    FinishReason,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
)
from hitchpost.llama.bracket_scanner import scan_json_value, scan_mark, scan_python_arguments, scan_quoted
from hitchpost.llama.call_events import CallEvents, Destination, ParsedEvent
from hitchpost.llama.incremental_text import IncrementalText, Reading, Words
from hitchpost.llama.python_arguments import find_arguments_json
from hitchpost.llama.special_tokens import END_HEADER, END_OF_MESSAGE, END_OF_TURN, PYTHON_TAG, START_HEADER

MAX_HELD_CHARS = 262_144
"""More undecided text than this is text, and more undecided arguments are passed on as they came."""

QUERY_TOOLS = frozenset({BuiltinTool.brave_search, BuiltinTool.wolfram_alpha, BuiltinTool.photogen})
"""The built-in tools that Llama calls as `NAME.call(query="...")`."""

_PYTHON_TAG = PYTHON_TAG.token
_CLOSE = "</function>"
_ANYTHING = re.compile(r"(?s:.)*")
_NO_TAG = re.compile(r"[^<]*")
_SPACE = re.compile(r"\s*")
_BETWEEN_CALLS = re.compile(r"[\s;,]*")
_NAME = re.compile(r"""[^\s=(),:\[\]{}"'\\]*""")
_CALL_KEYS = Words({f'"{key}"': key for key in ("type", "name", "parameters", "arguments")})
_ARGUMENT_KEYS = Words({'parameters"': True, 'arguments"': True})
_FUNCTION = Words({'"function"': True})


class _HeldTooLongError(Exception):
    """More text than `MAX_HELD_CHARS` is undecided."""


class ToolCallParser:
    """Turns the text of one choice, piece by piece, into text and tool calls.

    Args:
        tools: names of the offered tools; where there is none, everything is text and nothing is held back.
        choice: index of the choice, put into each event.
        new_call_id: makes the `call_id` of a call.
    """

    def __init__(
        self, tools: Iterable[str], *, choice: int = 0, new_call_id: Callable[[], str] = lambda: str(uuid4())
    ) -> None:
        names = [str(name) for name in dict.fromkeys(tools) if name]
        queries = [name for name in names if name in QUERY_TOOLS]
        tagged = [name for name in names if not {"<", ">"} & set(name)]
        tags = {_PYTHON_TAG: _PYTHON_TAG} | {f"<function={name}>": name for name in tagged}
        self._json_names = Words({spelling: name for name in names for spelling in _json_spellings(name)})
        self._python_names = Words({f"{name}(": name for name in names})
        self._query_names = Words({f"{name}.call(": name for name in queries})
        self._tags = Words(tags)
        self._closing_tags = Words(tags | {_CLOSE: _CLOSE})
        self._has_tools = bool(names)
        self._has_code_interpreter = BuiltinTool.code_interpreter in names
        self._choice = choice
        self._input = IncrementalText(MAX_HELD_CHARS, self._overflow)
        self._output = CallEvents(self._input, choice, new_call_id)
        self._tag_end: int | None = None  # where the python tag ends that the calls being read stand behind
        self._has_open_arguments = False
        self._is_cut_off = False
        self._reading = self._read()
        next(self._reading)

    # --- public ---

    def feed(self, text: str, logprobs: list[TokenLogprob] | None = None) -> list[ParsedEvent]:
        """What is certain after `text`, the next piece of the answer.

        Args:
            logprobs: of the tokens of `text`. They come out with the `TextDelta` that their token begins in; those of a call are dropped.
        """
        if self._output.destination is Destination.text and "<" not in text:
            # Prose, the common case: nothing is held back, and nothing here can begin a call.
            return [TextDelta(text, self._choice, logprobs or None)] if text or logprobs else []
        self._input.add(text, logprobs)
        self._reading.send(None)
        self._output.give(self._output.destination)
        return self._output.collect()

    def finish(self, reason: FinishReason, stop_text: str | None = None) -> list[ParsedEvent | Finish]:
        """What is left when the answer has ended, and its `Finish`. Nothing can be fed afterwards.

        Args:
            reason: why the model ended; `stop` becomes `tool_calls` when there were calls, the others stay.
            stop_text: the stop string that ended it.
        """
        self._input.end()
        self._is_cut_off = reason in {FinishReason.length, FinishReason.content_filter}
        with suppress(StopIteration):
            self._reading.send(None)
        if self._output.calls and reason is FinishReason.stop:
            reason = FinishReason.tool_calls
        return [*self._output.collect(), Finish(reason, self._choice, stop_text)]

    # --- the grammar ---

    def _read(self) -> Reading[None]:
        if not self._has_tools:
            self._output.send_to(Destination.text)
            yield from self._input.run(_ANYTHING)
        while (yield from self._input.peek()):
            yield from self._calls_or_text()
            self._output.send_to(Destination.text)
            yield from self._input.run(_NO_TAG)
            self._output.send_to(Destination.held)
        self._output.give(Destination.text)  # tokens without text may be left

    def _calls_or_text(self) -> Reading[None]:
        """Read calls until something is none, and decide what that is."""
        calls_before, self._tag_end = self._output.calls, None
        try:
            while True:
                yield from self._input.run(_BETWEEN_CALLS if self._output.calls > calls_before else _SPACE)
                if not (yield from self._call_or_tag()):
                    break
        except _HeldTooLongError:
            pass
        start = self._input.taken
        text, logprobs = self._input.take()
        if self._tag_end is not None and self._tag_end >= start and self._has_code_interpreter:
            code = text[self._tag_end - start :]
            if code.strip() or not self._input.is_at_end:
                yield from self._code(code)
                return
        if not (self._input.is_at_end and self._output.calls > calls_before and not text.strip(" \t\r\n;,")):
            self._output.add_text(text, logprobs)

    def _call_or_tag(self) -> Reading[bool]:
        char = yield from self._input.peek()
        if char == "<":
            return (yield from self._tagged())
        if char == "{":
            return (yield from self._json_call())
        if char == "[":
            return (yield from self._python_list())
        return (yield from self._query_call())

    def _tagged(self) -> Reading[bool]:
        """At `<`: the python tag, or one or more `<function=NAME>{...}</function>`."""
        name = yield from self._input.match(self._tags)
        while name is not None:
            if name == _PYTHON_TAG:
                self._tag_end = self._input.position
                return True
            yield from self._input.run(_SPACE)
            has_arguments = (yield from self._input.peek()) == "{"
            if has_arguments:
                self._output.start_call(name)
                yield from self._verbatim_object()
                yield from self._input.run(_SPACE)
            before = self._input.position
            tag = yield from self._input.match(self._closing_tags)
            if tag == _CLOSE:
                if not has_arguments:
                    self._output.start_call(name)
                self._output.give(Destination.nowhere)
                return True
            if tag is not None and not has_arguments:
                self._output.add_text(*self._input.take(before))
            name = tag
        return False

    def _json_call(self) -> Reading[bool]:
        """At `{`: an object is a call as soon as its `name` is a tool's; before it, only `type` and the arguments may come."""
        self._input.advance()
        yield from self._input.run(_SPACE)
        arguments: tuple[int, int] | None = None
        while True:
            key = yield from self._input.match(_CALL_KEYS)
            if key is None or not (yield from scan_mark(self._input, ":")):
                return False
            if key == "name":
                break
            start = self._input.position
            if key == "type":
                if not (yield from self._input.match(_FUNCTION)):
                    return False
            elif (yield from scan_json_value(self._input)):
                arguments = arguments or (start, self._input.position)
            else:
                return False
            if not (yield from scan_mark(self._input, ",")):
                return False
        name = yield from self._input.match(self._json_names)
        if name is None:
            return False
        start = self._input.taken
        read = self._output.start_call(name)
        if arguments is not None:
            self._output.add_json_value(read[arguments[0] - start : arguments[1] - start])
        yield from self._rest_of_json_call(has_arguments=arguments is not None)
        return True

    def _rest_of_json_call(self, *, has_arguments: bool) -> Reading[None]:
        self._output.send_to(Destination.nowhere)
        while (yield from scan_mark(self._input, ",")):
            if (yield from self._input.peek()) != '"':
                break
            self._input.advance()
            is_arguments = (yield from self._input.match(_ARGUMENT_KEYS)) or False
            if not is_arguments and not (yield from scan_quoted(self._input, '"')):
                break
            if not (yield from scan_mark(self._input, ":")):
                break
            if is_arguments and not has_arguments:
                has_arguments = True
                yield from self._json_arguments()
            elif not (yield from scan_json_value(self._input)):
                break
        if (yield from self._input.peek()) == "}":
            self._input.advance()
        elif not has_arguments:
            self._output.add_arguments("{")  # left open, so that nobody takes the call for whole
            self._output.send_to(Destination.arguments)
            yield from self._input.run(_ANYTHING)
        self._output.send_to(Destination.held)

    def _json_arguments(self) -> Reading[None]:
        if (yield from self._input.peek()) == "{":
            yield from self._verbatim_object()
        else:
            self._output.send_to(Destination.held)
            self._has_open_arguments = True
            yield from scan_json_value(self._input)
            self._has_open_arguments = False
            if self._output.destination is Destination.held:
                self._output.add_json_value(self._input.take()[0])
        self._output.send_to(Destination.nowhere)

    def _verbatim_object(self) -> Reading[None]:
        """At `{`: arguments that are passed on as they come."""
        self._output.send_to(Destination.arguments)
        yield from scan_json_value(self._input)
        self._output.send_to(Destination.held)

    def _python_list(self) -> Reading[bool]:
        """At `[`: calls in Python's syntax; each is announced when a keyword or the closing parenthesis follows its name."""
        self._input.advance()
        yield from self._input.run(_SPACE)
        while True:
            name = yield from self._input.match(self._python_names)
            start = self._input.position
            if name is None or not (yield from self._is_keyword_or_close()):
                return False
            self._output.start_call(name, until=start)
            if not (yield from self._python_arguments()):
                return False
            has_next = yield from scan_mark(self._input, ",")
            if (yield from self._input.peek()) == "]":
                self._input.advance()
                self._output.give(Destination.nowhere)
                return True
            if not has_next:
                return False

    def _is_keyword_or_close(self) -> Reading[bool]:
        yield from self._input.run(_SPACE)
        before = self._input.position
        yield from self._input.run(_NAME)
        if self._input.position == before:
            return (yield from self._input.peek()) == ")"
        return (yield from scan_mark(self._input, "="))

    def _python_arguments(self) -> Reading[bool]:
        """The arguments of an announced call, up to and with the closing parenthesis; False where that never comes."""
        self._has_open_arguments = True
        is_closed = yield from scan_python_arguments(self._input)
        self._has_open_arguments = False
        if self._output.destination is Destination.held:
            text, _ = self._input.take()
            arguments = find_arguments_json(text) if is_closed else None
            if text.strip() or not is_closed:
                self._output.add_arguments(arguments or text or "{")
        self._output.send_to(Destination.held)
        if is_closed:
            self._input.advance()
            self._output.give(Destination.nowhere)
        return is_closed

    def _query_call(self) -> Reading[bool]:
        """`NAME.call(query="...")`: behind the python tag at once, else only when nothing follows, since prose may quote it."""
        name = yield from self._input.match(self._query_names)
        start = self._input.position
        if name is None:
            return False
        if self._tag_end is not None:
            self._output.start_call(name, until=start)
            return (yield from self._python_arguments())
        if not (yield from scan_python_arguments(self._input)):
            return False
        stop = self._input.position
        self._input.advance()
        yield from self._input.run(_SPACE)
        if (yield from self._input.peek()):
            return False
        taken = self._input.taken
        text, logprobs = self._input.take()
        arguments = find_arguments_json(text[start - taken : stop - taken])
        if arguments is None:
            self._output.add_text(text, logprobs)
            return False
        self._output.start_call(name)
        self._output.add_arguments(arguments)
        return True

    def _code(self, begun: str) -> Reading[None]:
        self._output.start_call(BuiltinTool.code_interpreter.value)
        self._output.add_arguments('{"code": "')
        self._output.add_code(begun)
        self._output.send_to(Destination.code)
        yield from self._input.run(_ANYTHING)
        self._output.send_to(Destination.held)
        if not self._is_cut_off:
            self._output.add_arguments('"}')

    def _overflow(self) -> None:
        if not self._has_open_arguments:
            raise _HeldTooLongError
        self._output.send_to(Destination.arguments)


def parse_tool_calls(
    text: str,
    tools: Iterable[str],
    reason: FinishReason,
    *,
    new_call_id: Callable[[], str] = lambda: str(uuid4()),
) -> tuple[str, list[ToolCall], FinishReason]:
    """The text, the tool calls and the finish reason of a whole answer, as `ToolCallParser` would stream them.

    Backends leave control tokens in the text at times: an assistant header in front is dropped, and a last `<|eot_id|>` or `<|eom_id|>` says the
    reason.
    """
    text = text.removeprefix(f"{START_HEADER.token}assistant{END_HEADER.token}\n\n")
    for token, said in ((END_OF_TURN.token, FinishReason.stop), (END_OF_MESSAGE.token, FinishReason.end_of_message)):
        if text.endswith(token):
            text, reason = text.removesuffix(token), said
    parser = ToolCallParser(tools, new_call_id=new_call_id)
    parts: list[str] = []
    calls: list[tuple[ToolCallStart, list[str]]] = []
    for event in [*parser.feed(text), *parser.finish(reason)]:
        if isinstance(event, TextDelta):
            parts.append(event.text)
        elif isinstance(event, ToolCallStart):
            calls.append((event, []))
        elif isinstance(event, ToolCallDelta):
            calls[event.index][1].append(event.arguments)
        else:
            reason = event.reason
    tool_calls = [
        ToolCall(call_id=start.call_id, tool_name=start.name, arguments_json="".join(fragments))
        for start, fragments in calls
    ]
    return "".join(parts), tool_calls, reason


def _json_spellings(name: str) -> set[str]:
    return {json.dumps(name)} if name.isascii() else {json.dumps(name), json.dumps(name, ensure_ascii=False)}


__all__ = ["MAX_HELD_CHARS", "QUERY_TOOLS", "ParsedEvent", "ToolCallParser", "parse_tool_calls"]
