"""`docs/conformance.md` has every check, and everything that an author can say."""

import runpy

import pytest

from hitchpost.conformance.base import ConformanceBase
from hitchpost.conformance.inference.subject import InferenceSubject
from hitchpost.conformance.memory.subject import MemorySubject
from hitchpost.conformance.safety.subject import SafetySubject
from tests.house.sources import ROOT


def test_page_is_what_the_checks_say() -> None:
    written = runpy.run_path(str(ROOT / "docs/conformance_reference.py"))

    assert written["PAGE"].read_text(encoding="utf-8") == written["page"](), "run: python docs/conformance_reference.py"


@pytest.mark.parametrize("kit", [ConformanceBase, InferenceSubject, SafetySubject, MemorySubject])
def test_page_has_what_an_author_can_say(kit: type) -> None:
    page = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")

    assert not [name for name in kit.__annotations__ if f"`{name}`" not in page]
