"""A check: what it is called, why it is made, what to change when it fails, and how it ended."""

import functools
import inspect
import textwrap
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pytest

from hitchpost.api import Capability
from hitchpost.conformance.preflight import WHY, Unusable
from hitchpost.conformance.report import RESULT
from hitchpost.errors import HitchpostError
from hitchpost.plugin.foreign import describe

if TYPE_CHECKING:
    from hitchpost.conformance.harness import Harness

REASON_CHARS = 160
"""How much of a failure's text the checks repeat that were not made for it."""

CheckMethod = Callable[..., Coroutine[Any, Any, None]]


class Outcome(StrEnum):
    """How a check ended."""

    passed = "passed"
    failed = "failed"
    not_applicable = "not-applicable"
    not_checked = "not-checked"
    xfailed = "xfailed"


class CheckFailed(Exception):  # noqa: N818 - it is what is said of a check
    """What a check saw that must not be; one sentence."""


class NotApplicable(Exception):  # noqa: N818 - as above
    """Why a check says nothing about this provider."""


@dataclass(frozen=True, slots=True)
class Check:
    """What does not change from provider to provider."""

    id: str
    what: str
    """What holds where it passes: the first line of the method's docstring."""
    why: str
    advice: str
    needs: tuple[Capability, ...]
    """It applies only where the provider type, and the model, declare all of these."""

    def report_of(self, seen: str) -> str:
        """What an author reads where it failed."""
        return (
            f"{self.id}\n  expected: {self.what}\n  seen:     {seen}\n  why:      {self.why}\n  change:   {self.advice}"
        )


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check of one provider ended. `reason`: why it doesn't apply, was not made, or is expected to fail."""

    id: str
    outcome: Outcome
    reason: str = ""
    seen: str = ""
    advice: str = ""


def check(
    check_id: str, *, why: str, advice: str, needs: Capability | tuple[Capability, ...] = ()
) -> Callable[[CheckMethod], Callable[..., None]]:
    """Make a coroutine method `(self, harness, ...)` a check; further arguments are pytest's parameters.

    The method raises `CheckFailed` or `NotApplicable`, or returns. What else it raises counts as failed.
    """

    def decorate(method: CheckMethod) -> Callable[..., None]:
        what = (inspect.getdoc(method) or "").partition("\n")[0]
        described = Check(check_id, what, why, advice, needs if isinstance(needs, tuple) else (needs,))

        @functools.wraps(method)
        def run(self: Any, harness: "Harness", record_property: Callable[[str, Any], None], **parameters: Any) -> None:
            label = check_id + "".join(f"[{value}]" for value in parameters.values())
            xfails: Mapping[str, str] = harness.kit.xfail_checks
            expected = xfails.get(label) or xfails.get(check_id)
            told = described
            try:
                result = _expecting(_conduct(described, label, method, harness, parameters), expected)
            except Unusable as error:
                told = replace(described, what=error.step.expected, why=WHY, advice=error.step.advice)
                result = _unusable(error, label, harness)
            record_property(RESULT, {**asdict(result), "outcome": result.outcome.value, **harness.identity()})
            _tell_pytest(told, result)

        parameters = list(inspect.signature(method).parameters.values())
        parameters.insert(2, inspect.Parameter("record_property", inspect.Parameter.POSITIONAL_OR_KEYWORD))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.check = described  # type: ignore[attr-defined]
        return run

    return decorate


def _conduct(
    described: Check, label: str, method: CheckMethod, harness: "Harness", parameters: Mapping[str, Any]
) -> CheckResult:
    try:
        harness.check_applies(described)
        harness.run(method(harness.kit, harness, **parameters))
    except NotApplicable as error:
        return CheckResult(label, Outcome.not_applicable, reason=str(error))
    except CheckFailed as error:
        return CheckResult(label, Outcome.failed, seen=str(error), advice=described.advice)
    except Unusable:
        raise
    except Exception as error:  # noqa: BLE001 - recorded as what was seen
        return CheckResult(label, Outcome.failed, seen=seen_error(error), advice=described.advice)
    return CheckResult(label, Outcome.passed)


def _unusable(error: Unusable, label: str, harness: "Harness") -> CheckResult:
    """Failed, whatever is expected of the check, where it is the first to tell of it: one of a run is always red."""
    seen = " ".join(str(error.cause).split()) if isinstance(error.cause, CheckFailed) else seen_error(error.cause)
    teller = harness.preflight.teller(error.step, label)
    if teller == label:
        return CheckResult(label, Outcome.failed, seen=seen, advice=error.step.advice)
    short = textwrap.shorten(seen, REASON_CHARS, placeholder=" …")
    return CheckResult(label, Outcome.not_checked, reason=f"{short} ({teller} tells what to change)")


def _expecting(result: CheckResult, expected: str | None) -> CheckResult:
    if expected is None or result.outcome is Outcome.not_applicable:
        return result
    if result.outcome is Outcome.failed:
        return CheckResult(result.id, Outcome.xfailed, reason=expected, seen=result.seen)
    seen = f"it passes, although xfail_checks expects it to fail ({expected})"
    return CheckResult(result.id, Outcome.failed, seen=seen, advice=f"take {result.id!r} out of xfail_checks")


def _tell_pytest(described: Check, result: CheckResult) -> None:
    match result.outcome:
        case Outcome.failed:
            pytest.fail(described.report_of(result.seen), pytrace=False)
        case Outcome.not_applicable:
            pytest.skip(f"{result.id} is not applicable: {result.reason}")
        case Outcome.not_checked:
            pytest.skip(f"not checked: {result.reason}")
        case Outcome.xfailed:
            pytest.xfail(f"{result.id}: {result.reason}")


def seen_error(error: BaseException) -> str:
    """An exception in one line; where the host put an error of its own in place of the provider's, that one too, with its place."""
    cause = error.__cause__ if isinstance(error, HitchpostError) and error.__cause__ is not None else None
    return describe(error) if cause is None else f"{describe(error)}, from {describe(cause)}{_place(cause)}"


def _place(error: BaseException) -> str:
    traceback = error.__traceback__
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f" at {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"


def checks_of(cls: type) -> Iterator[tuple[str, Check]]:
    """Every check of a kit class or of an author's subclass, as method name and description, in the order in which pytest runs them."""
    seen = set()
    for owner in reversed(cls.__mro__):
        for name, value in vars(owner).items():
            if isinstance(getattr(value, "check", None), Check) and name not in seen:
                seen.add(name)
                yield name, value.check


__all__ = [
    "Check",
    "CheckFailed",
    "CheckResult",
    "NotApplicable",
    "Outcome",
    "check",
    "checks_of",
    "seen_error",
]
