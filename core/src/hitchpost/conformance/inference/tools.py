"""Checks of tool calls: their events, and the way there and back."""

from typing import Any

from hitchpost.api import (
    Capability,
    ChatChoice,
    FinishReason,
    ToolCallDelta,
    ToolCallStart,
)
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.inference.subject import InferenceSubject
from hitchpost.plugin import chat_of

TOOL = "get_weather"
WEATHER = {
    "tool_name": TOOL,
    "description": "The weather of a place.",
    "parameters": {"location": {"param_type": "string", "description": "Name of the place.", "required": True}},
}
ENDS_WITH_CALLS = (FinishReason.tool_calls, FinishReason.end_of_message)


class ToolChecks(InferenceSubject):
    """The model is offered `get_weather`, whose argument is a `location`."""

    @check(
        "tools.call",
        why="an application runs what the call names, with the arguments that it spells",
        advice="offer the tools to the backend with their schemas, and turn its calls into ToolCallStart and ToolCallDelta; "
        "or set tool_prompt to one at which the model calls",
        needs=(Capability.chat, Capability.tools),
    )
    async def test_offered_tool_is_called(self, harness: Harness) -> None:
        """`tool_prompt` is answered by a call of `get_weather` with a text as `location`, and ends for the reason `tool_calls`."""
        _check_call(await self._called(harness))

    @check(
        "tools.start-first",
        why="clients open a call by its start, and add fragments to the call of that index",
        advice="yield ToolCallStart as soon as the name is known, count `index` from 0 in each choice, and give each call an id of its own",
        needs=(Capability.chat, Capability.tools),
    )
    async def test_call_starts_before_its_arguments(self, harness: Harness) -> None:
        """Every `ToolCallDelta` follows the `ToolCallStart` of its index; indexes count from 0, ids are there and differ."""
        starts: list[ToolCallStart] = []
        for event in await self.events(harness, self.chat(self.tool_prompt, tools=[WEATHER])):
            if isinstance(event, ToolCallStart):
                if event.index != len(starts) or not event.call_id or not event.name:
                    raise CheckFailed(f"call number {len(starts)} starts as {event!r}")
                starts.append(event)
            elif isinstance(event, ToolCallDelta) and event.index >= len(starts):
                raise CheckFailed(f"{event!r} comes before the start of its call")
        if not starts:
            raise CheckFailed("no call was started")
        if len({start.call_id for start in starts}) < len(starts):
            raise CheckFailed(f"calls share an id: {[start.call_id for start in starts]}")

    @check(
        "tools.round-trip",
        why="the result of a tool goes back to the model, which then answers the question",
        advice="translate assistant messages with tool_calls and `ipython` messages, with their call_id",
        needs=(Capability.chat, Capability.tools),
    )
    async def test_result_of_a_call_is_answered(self, harness: Harness) -> None:
        """A conversation with the call and its result is answered in words."""
        choice = await self._called(harness)
        _check_call(choice)
        call = choice.tool_calls[0]
        asked = {"call_id": call.call_id, "tool_name": call.tool_name, "arguments": call.arguments_json}
        messages = [
            {"role": "user", "content": self.tool_prompt},
            {"role": "assistant", "content": choice.text, "stop_reason": "end_of_turn", "tool_calls": [asked]},
            {"role": "ipython", "call_id": call.call_id, "tool_name": TOOL, "content": "Sunny, 21 degrees."},
        ]
        [answer] = (await self.whole(harness, self.chat(messages=messages, tools=[WEATHER]))).choices
        if not answer.text.strip():
            raise CheckFailed(f"after the tool's result the answer is {answer!r}")

    @check(
        "tools.required",
        why="a caller that demands a call has no use for words",
        advice="pass tool_choice to the backend, or take `tool_choice` out of the capabilities",
        needs=(Capability.chat, Capability.tools, Capability.tool_choice),
    )
    async def test_demanded_call_is_made(self, harness: Harness) -> None:
        """With `tool_choice` `required`, or naming the tool, any prompt is answered by a call of it."""
        choices: tuple[Any, ...] = ("required", {"tool_name": TOOL})
        for choice in choices:
            answer = await self._called(harness, self.chat_prompt, tool_choice=choice)
            if [call.tool_name for call in answer.tool_calls[:1]] != [TOOL]:
                raise CheckFailed(f"tool_choice {choice!r} is answered by {answer.text!r} without a call")

    @check(
        "tools.forbidden",
        why="a caller that forbids calls can't run them",
        advice="offer no tools to the backend when tool_choice is `none`",
        needs=(Capability.chat, Capability.tools),
    )
    async def test_forbidden_call_is_not_made(self, harness: Harness) -> None:
        """With `tool_choice` `none`, `tool_prompt` is answered without a call."""
        answer = await self._called(harness, self.tool_prompt, tool_choice="none")
        if answer.tool_calls:
            raise CheckFailed(f"although calls are forbidden it called {answer.tool_calls[0].tool_name}")

    async def _called(self, harness: Harness, prompt: str | None = None, **fields: Any) -> ChatChoice:
        request = self.chat(prompt or self.tool_prompt, tools=[WEATHER], **fields)
        [choice] = chat_of(await self.events(harness, request), 1).choices
        return choice


def _check_call(choice: ChatChoice) -> None:
    if not choice.tool_calls:
        raise CheckFailed(f"it said {choice.text[:200]!r} and called nothing")
    call = choice.tool_calls[0]
    arguments = call.find_arguments()
    if call.tool_name != TOOL or arguments is None or not isinstance(arguments.get("location"), str):
        raise CheckFailed(f"it called {call.tool_name} with {call.arguments_json!r}")
    if choice.finish_reason not in ENDS_WITH_CALLS:
        raise CheckFailed(f"with a call the answer ended for the reason {choice.finish_reason}")


__all__ = ["ToolChecks"]
