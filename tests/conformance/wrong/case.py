"""Wrong providers by the check that each of them fails: right in all but one thing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hitchpost.conformance.base import ConformanceBase
from tests.conformance.right.inference import RightInferenceKit, spec_of
from tests.conformance.right.memory import RightMemoryKit, memory_spec_of
from tests.conformance.right.safety import RightSafetyKit, safety_spec_of


@dataclass(frozen=True, slots=True)
class Case:
    """A test class of the kit, and what its check is to see."""

    kit: type[ConformanceBase]
    seen: str
    """Regular expression."""


WRONG: dict[str, Case] = {}
"""By check id."""


def wrong_inference(check_id: str, seen: str, /, spec: dict[str, Any] | None = None, **said: Any) -> Callable[..., Any]:
    """Registers an inference provider, made by the decorated class or function, that fails a check."""

    def register(factory: Any) -> Any:
        add(check_id, seen, RightInferenceKit, provider_type=spec_of(factory, **(spec or {})), **said)
        return factory

    return register


def wrong_safety(check_id: str, seen: str, /, **said: Any) -> Callable[..., Any]:
    """The same for a safety provider."""

    def register(factory: Any) -> Any:
        add(check_id, seen, RightSafetyKit, provider_type=safety_spec_of(factory), **said)
        return factory

    return register


def wrong_memory(check_id: str, seen: str, /, **said: Any) -> Callable[..., Any]:
    """The same for a memory provider."""

    def register(factory: Any) -> Any:
        add(check_id, seen, RightMemoryKit, provider_type=memory_spec_of(factory), **said)
        return factory

    return register


def add(check_id: str, seen: str, base: type[ConformanceBase] = RightInferenceKit, /, **said: Any) -> None:
    """Register what an author would write."""
    assert check_id not in WRONG, check_id
    WRONG[check_id] = Case(type("TestWrong", (base,), {"__module__": __name__, **said}), seen)


__all__ = ["WRONG", "Case", "add", "wrong_inference", "wrong_memory", "wrong_safety"]
