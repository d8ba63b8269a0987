"""Rules for calls that are answered whole: when one is delayed, or fails."""

import asyncio
from collections.abc import Callable, Sequence
from re import Pattern
from typing import Annotated, ClassVar, Generic, Self, TypeVar

from pydantic import Field, model_validator

from hitchpost.scripted.faults import DefectFault, ErrorFault, Settings, StallFault


class CallRule(Settings):
    """When to do what with a call."""

    effects: ClassVar[tuple[str, ...]] = ("delay_s", "fault")
    """Fields of which a rule needs one, as it would do nothing otherwise."""

    when: Pattern[str] | None = None
    """Searched in the text of the call. Absent: always."""
    times: Annotated[int, Field(ge=1)] | None = None
    """For how many calls the rule holds, counted from the provider's start; afterwards it is passed over. Absent: all."""
    delay_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Seconds before the answer or the fault."""
    fault: Annotated[ErrorFault | DefectFault | StallFault, Field(discriminator="kind")] | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not any(getattr(self, name) for name in self.effects):
            raise ValueError(f"the rule does nothing; give it one of {', '.join(self.effects)}")
        return self

    def finds(self, text: str) -> bool:
        """Whether the rule holds for a text."""
        return self.when is None or self.when.search(text) is not None

    async def play(self) -> None:
        """Wait as long as the rule says, then fail as it says; a stall comes back only by being cancelled."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        match self.fault:
            case ErrorFault():
                raise self.fault.error()
            case DefectFault():
                raise RuntimeError(self.fault.message)
            case StallFault():
                await asyncio.Event().wait()


RuleT = TypeVar("RuleT", bound=CallRule)


class CallScript(Generic[RuleT]):
    """Rules in their order, and how often each was used.

    Args:
        rules: as the config lists them.
    """

    def __init__(self, rules: Sequence[RuleT]) -> None:
        self._rules = rules
        self._uses = [0] * len(rules)

    def find(self, fits: Callable[[RuleT], bool]) -> RuleT | None:
        """The first rule that fits and isn't used up, or None; the use counts."""
        for number, rule in enumerate(self._rules):
            if (rule.times is None or self._uses[number] < rule.times) and fits(rule):
                self._uses[number] += 1
                return rule
        return None


__all__ = ["CallRule", "CallScript"]
