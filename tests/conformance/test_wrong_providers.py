"""Every check of the kit can fail: a provider that is wrong in one thing fails it, and its author reads what to change."""

import re

import pytest

from hitchpost.conformance import InferenceConformance, MemoryConformance, SafetyConformance
from hitchpost.conformance.check import Check, checks_of
from tests.conformance.wrong import WRONG

pytest_plugins = ["pytester"]

CHECKS: dict[str, tuple[str, Check]] = {
    described.id: (name, described)
    for kit in (InferenceConformance, SafetyConformance, MemoryConformance)
    for name, described in checks_of(kit)
}


def test_every_check_has_a_provider_that_fails_it() -> None:
    assert sorted(WRONG) == sorted(CHECKS), "write a wrong provider for it into tests/conformance/wrong"


@pytest.mark.parametrize("check_id", sorted(CHECKS))
def test_wrong_provider_fails_its_check_with_advice(
    check_id: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, described = CHECKS[check_id]
    pytester.makepyfile(test_wrong=f"from tests.conformance.wrong import WRONG\nTestWrong = WRONG[{check_id!r}].kit\n")

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    result = pytester.runpytest_inprocess("-p", "hitchpost.conformance.plugin", f"test_wrong.py::TestWrong::{name}")

    printed = result.stdout.str()
    assert result.ret is pytest.ExitCode.TESTS_FAILED, printed
    assert re.search(f"^{re.escape(check_id)}\n  expected: ", printed, re.MULTILINE), printed
    assert re.search(f"^  seen:     .*({WRONG[check_id].seen})", printed, re.MULTILINE), printed
    assert f"  change:   {described.advice}" in printed
