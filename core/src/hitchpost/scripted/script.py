"""The config of `inline::scripted`: which models it serves, and the rules by which it answers."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hitchpost.api import FinishReason
from hitchpost.scripted import faults
from hitchpost.scripted.faults import Settings


class Pace(Settings):
    """How fast an answer comes. Without any pause the provider still lets others run after every burst."""

    first_token_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Seconds before the first token."""
    token_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Seconds before each further burst."""
    burst_tokens: Annotated[int, Field(ge=1)] = 1
    """How many tokens come at once, as when one read from a server brings several."""


class _Fault(Settings):
    after_events: Annotated[int, Field(ge=0)] = 0
    """How many events the answer sends first; a shorter answer sends all but its last `Finish`."""


class ErrorFault(_Fault, faults.ErrorFault):
    """Raises an error of Hitchpost's tree."""


class DefectFault(_Fault, faults.DefectFault):
    """Raises what no provider should: a `RuntimeError`."""


class StallFault(_Fault, faults.StallFault):
    """Sends nothing more until the request is cancelled."""


class CutFault(_Fault):
    """Ends the stream without a `Finish`."""

    kind: Literal["cut"]


Fault = Annotated[ErrorFault | DefectFault | StallFault | CutFault, Field(discriminator="kind")]


class ScriptedCall(Settings):
    """A tool call to make."""

    name: str
    arguments: dict[str, Any] | str | None = None
    """An object; or the verbatim text, which need not be JSON; or nothing: values that satisfy the tool's schema."""


class Rule(Settings):
    """When to answer what.

    In `text`, `reasoning`, `refusal` and in the strings of call arguments, `$name` stands for the group `name` of the match, and `$$` for a dollar.
    """

    when: re.Pattern[str] | None = None
    """Searched in what was said last: the text of the last message, or the prompt. Absent: always."""
    to: Literal["user", "tool"] = "user"
    """Whose words the rule answers: the user's (and a completion's prompt), or a tool's result."""
    times: Annotated[int, Field(ge=1)] | None = None
    """For how many requests the rule holds, counted from the provider's start; afterwards it is passed over. Absent: all."""

    text: str | None = None
    echo: bool = False
    """Whether to answer what was said last."""
    refusal: str | None = None
    reasoning: str | None = None
    tool_calls: Annotated[tuple[ScriptedCall, ...], Field(max_length=128)] = ()
    """The rule is passed over for requests that don't offer all of these tools."""
    repeat: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How often text or echo comes in a row."""
    finish: FinishReason | None = None
    """Why a whole answer ends; absent: `tool_calls` where there are any, else `stop`."""
    pace: Pace | None = None
    """In place of the config's."""
    fault: Fault | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        contents = {"text": self.text is not None, "echo": self.echo, "refusal": self.refusal is not None}
        said = [name for name, is_there in contents.items() if is_there]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} exclude each other; a rule answers with one of them")
        if not (said or self.reasoning or self.tool_calls or self.fault):
            raise ValueError("the rule answers nothing; give it text, echo, refusal, reasoning, tool_calls or fault")
        return self


class ScriptedConfig(Settings):
    """Config of `inline::scripted`. Without a script it answers with what was said last."""

    models: Annotated[tuple[str, ...], Field(min_length=1)] = ("scripted",)
    """The models that it serves; other names can't be registered."""
    accept_any_model: bool = False
    """Whether every name can be registered."""
    pace: Pace = Pace()
    script: tuple[Rule, ...] = ()
    """The first rule that fits answers; where none does, the answer is what was said last."""


__all__ = [
    "CutFault",
    "DefectFault",
    "ErrorFault",
    "Fault",
    "Pace",
    "Rule",
    "ScriptedCall",
    "ScriptedConfig",
    "StallFault",
]
