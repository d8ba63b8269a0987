"""What the kit does around its checks: what an author may say, what is refused, and what is reported."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hitchpost import PLUGIN_API, __version__
from tests.conformance.right.inference import RightInferenceKit

pytest_plugins = ["pytester"]

OF_ONE_CHECK = "-k", "test_type_is_described"


def test_check_can_not_be_overridden() -> None:
    with pytest.raises(TypeError, match=r"Cheat overrides test_type_is_described, which checks 'plugin\.described'"):

        class Cheat(RightInferenceKit):
            def test_type_is_described(self) -> None:  # type: ignore[override]
                """Passes."""


def test_check_can_not_be_taken_out() -> None:
    with pytest.raises(TypeError, match="no check can be replaced"):

        class Cheat(RightInferenceKit):
            test_type_is_described = None  # type: ignore[assignment]


def test_check_can_not_be_hidden_by_a_class_beside_the_kits() -> None:
    class Passes:
        def test_type_is_described(self) -> None:
            """Passes."""

    with pytest.raises(TypeError, match="no check can be replaced"):

        class Cheat(Passes, RightInferenceKit):  # type: ignore[misc]
            """Inherits a test of the same name first."""


@pytest.mark.parametrize("xfails", [{"no.such-check": "reason"}, {"plugin.described": ""}])
def test_expected_failure_names_a_check_and_a_reason(xfails: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="is no check of this class, or has no reason"):
        type("Doubtful", (RightInferenceKit,), {"__module__": __name__, "xfail_checks": xfails})


def test_expected_failure_is_reported_with_its_reason(run_kit: Any) -> None:
    result = run_kit(
        "class TestAcme(RightInferenceKit):\n"
        "    provider_type = spec_of(description='')\n"
        "    xfail_checks = {'plugin.described': 'we are shy'}\n",
        *OF_ONE_CHECK,
    )

    result.assert_outcomes(xfailed=1, deselected=65)
    result.stdout.fnmatch_lines(["inline::test (inference, tests): 1 xfailed", "*plugin.described: we are shy*"])


def test_expected_failure_that_passes_is_a_failure(run_kit: Any) -> None:
    result = run_kit(
        "class TestAcme(RightInferenceKit):\n    xfail_checks = {'plugin.described': 'we are shy'}\n", *OF_ONE_CHECK
    )

    result.assert_outcomes(failed=1, deselected=65)
    result.stdout.fnmatch_lines(["*it passes, although xfail_checks expects it to fail (we are shy)"])


def test_check_that_does_not_apply_says_why(run_kit: Any) -> None:
    result = run_kit(
        "from hitchpost.api import Capability\n"
        "class TestAcme(RightInferenceKit):\n"
        "    provider_type = spec_of(capabilities=frozenset({Capability.chat, Capability.tools}))\n"
        "    model_metadata = {'capabilities': ['chat']}\n",
        "-k",
        "test_completion_echoes_the_prompt or test_offered_tool_is_called",
    )

    result.assert_outcomes(skipped=2, deselected=64)
    result.stdout.fnmatch_lines(
        [
            "*completion.echo is not applicable: the capability completion is not declared",
            "*tools.call is not applicable: the test class says that its model lacks the capability tools",
        ],
        consecutive=False,
    )


@pytest.mark.parametrize(
    "config",
    [
        pytest.param("    config = {'api_key': 'k'}\n", id="attribute"),
        pytest.param(
            "    @pytest.fixture(scope='class')\n"
            "    @classmethod\n"
            "    def provider_config(cls):\n"
            "        return {'api_key': 'k'}\n",
            id="fixture",
        ),
        pytest.param(
            "    @contextlib.asynccontextmanager\n"
            "    async def backend(self):\n"
            "        self.running = asyncio.get_running_loop()\n"
            "        yield {'api_key': 'k'}\n"
            "    async def is_busy(self):\n"
            "        return self.running is not asyncio.get_running_loop()\n",
            id="backend in the loop of the checks",
        ),
    ],
)
def test_config_reaches_the_provider(config: str, run_kit: Any) -> None:
    result = run_kit(
        "import asyncio, contextlib, pytest\n"
        "class Picky(RightInference):\n"
        "    async def start(self):\n"
        "        assert self.config.api_key.get_secret_value() == 'k'\n"
        "        await super().start()\n"
        "class TestAcme(RightInferenceKit):\n"
        f"    provider_type = spec_of('test_author:Picky')\n{config}",
        "-k",
        "test_closing_a_stream_ends_its_work or test_health_of",
    )

    result.assert_outcomes(passed=2, deselected=64)


def test_backend_that_stays_busy_after_a_cancellation_is_named(run_kit: Any) -> None:
    result = run_kit(
        "class TestAcme(RightInferenceKit):\n    async def is_busy(self):\n        return True\n",
        "-k",
        "test_closing_a_stream_ends_its_work",
    )

    result.assert_outcomes(failed=1, deselected=65)
    result.stdout.fnmatch_lines(["*the backend was still busy 1.5 s after a stream was closed"])


def test_code_outside_of_the_provider_is_not_blamed_for_blocking(run_kit: Any) -> None:
    result = run_kit(
        "import contextlib, time\n"
        "class TestAcme(RightInferenceKit):\n"
        "    provider_type = spec_of('tests.conformance.right.inference:RightInference')\n"
        "    def chat(self, *arguments, **fields):\n"
        "        exec('time.sleep(0.6)', {'__name__': 'somebody_else', 'time': time})\n"
        "        return super().chat(*arguments, **fields)\n",
        "-k",
        "test_provider_never_blocks_the_event_loop",
    )

    result.assert_outcomes(passed=1, deselected=65)


def test_provider_that_blocks_for_ever_holds_up_one_check_and_is_named(
    run_kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hitchpost.conformance.harness.CHECK_LIMIT_S", 0.1)
    gate = threading.Event()
    monkeypatch.setattr("tests.conformance.test_kit.GATE", gate, raising=False)

    result = run_kit(
        "from tests.conformance import test_kit\n"
        "class Blocked(RightInference):\n"
        "    async def health(self):\n"
        "        test_kit.GATE.wait()\n"
        "class TestAcme(RightInferenceKit):\n"
        "    provider_type = spec_of('test_author:Blocked')\n"
        "    patience_s = 0.1\n",
        "-k",
        "test_type_is_described or test_health_of or test_metrics_are_well_formed",
    )
    gate.set()

    result.assert_outcomes(passed=1, failed=2, errors=1, deselected=63)
    where = r"the event loop is blocked at .*test_author.py:5$"
    result.stdout.re_match_lines([rf".*it had not ended after .*{where}", rf".*an earlier check never ended; {where}"])


def test_report_tells_of_each_check_what_became_of_it(run_kit: Any, tmp_path: Path) -> None:
    run_kit(
        "class TestAcme(RightInferenceKit):\n"
        "    provider_type = spec_of(description='', provider_data=None)\n"
        "    xfail_checks = {'plugin.config-strict': 'not yet'}\n"
        "class TestNone(RightInferenceKit):\n"
        "    provider_type = 'remote::acme'\n",
        "-k",
        "test_type_is_described or test_provider_data_may_carry or test_factory or test_config_refuses",
        f"--conformance-report={tmp_path}/new/report.json",
    )

    report = json.loads((tmp_path / "new/report.json").read_text())
    acme, nobody = report["providers"]
    assert (report["format"], report["hitchpost"], report["contract"]) == (1, __version__, PLUGIN_API)
    assert (acme["provider_type"], acme["api"], acme["distribution"]) == ("inline::test", "inference", "tests")
    assert acme["counts"] == {"failed": 2, "not-applicable": 1, "passed": 1}
    checks = {check.pop("id"): check for check in acme["checks"]}
    assert checks["lifecycle.build"] == {"outcome": "passed"}
    assert checks["plugin.described"]["seen"] == "description is ''"
    assert checks["plugin.described"]["advice"].startswith("give the ProviderSpec a description")
    assert checks["provider-data.shared"]["reason"] == "the provider type takes no provider data"
    assert nobody["counts"] == {"failed": 1, "not-checked": 3}


def test_what_a_check_reports_can_cross_to_another_process(run_kit: Any) -> None:
    result = run_kit(
        "import pytest\n"
        "@pytest.fixture(autouse=True)\n"
        "def plain(request):\n"
        "    yield\n"
        "    kept = dict(request.node.user_properties)['hitchpost_conformance']\n"
        "    assert {type(value) for value in kept.values()} == {str}\n"
        "class TestAcme(RightInferenceKit):\n    pass\n",
        *OF_ONE_CHECK,
    )

    result.assert_outcomes(passed=1, deselected=65)


def test_suite_without_checks_says_nothing_of_conformance(run_kit: Any) -> None:
    result = run_kit("def test_something():\n    pass\n")

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*Hitchpost*")


def test_plugin_loads_no_library_into_other_test_suites() -> None:
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport hitchpost.conformance.plugin\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)

    assert set(result.stdout.split()) <= {"hitchpost", "platform", "json", "_json", "dataclasses"}
