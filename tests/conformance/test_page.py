"""`docs/conformance.md` has every check, and everything that an author can say."""

import re
import runpy

import pytest

from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.inference.subject import InferenceSubject
from hitchpost.conformance.memory.subject import MemorySubject
from hitchpost.conformance.safety.subject import SafetySubject
from tests.house.sources import ROOT

pytest_plugins = ["pytester"]


def test_page_is_what_the_checks_say() -> None:
    written = runpy.run_path(str(ROOT / "docs/conformance_reference.py"))

    assert written["PAGE"].read_text(encoding="utf-8") == written["page"](), "run: python docs/conformance_reference.py"


@pytest.mark.parametrize("kit", [ConformanceBase, InferenceSubject, SafetySubject, MemorySubject])
def test_page_has_what_an_author_can_say(kit: type) -> None:
    page = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")

    assert not [name for name in kit.__annotations__ if f"`{name}`" not in page]


def test_parrot_of_the_plugin_page_fails_what_that_page_says(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    for name in ("parrot", "tests/test_conformance"):
        source = re.search(rf"```python\n# {name}\.py\n(.*?)```", page, re.DOTALL)
        assert source is not None
        pytester.makepyfile(**{name: source[1]})
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    result = pytester.runpytest_subprocess("-p", "hitchpost.conformance.plugin", "tests")

    result.assert_outcomes(failed=2, passed=40, skipped=23)
    result.stdout.re_match_lines(["^sampling.max-tokens$", "^models.unknown$"])
