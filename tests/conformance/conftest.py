"""A test file of the kit, run as its author would."""

from typing import Any

import pytest

# Loaded before pytest runs within pytest, since importlib_metadata takes over from the standard library only once in a process.
from tests.conformance.right import inference

RIGHT = f"from {inference.__name__} import RightInferenceKit, RightInference, spec_of\n"


@pytest.fixture
def run_kit(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a test file as its author would, with nothing installed but pytest and Hitchpost."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_author=RIGHT + source)
        return pytester.runpytest_inprocess("-p", "hitchpost.conformance.plugin", "-rsx", *arguments)

    return run
