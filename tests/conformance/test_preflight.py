"""What the kit does where nothing can be seen of a provider: one check tells why and what to do, and the others point there."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]

NEIGHBOUR = "{'providers': {'telemetry': [{'provider_id': 'spans', 'provider_type': 'inline::nope'}]}}"

BROKEN = [
    pytest.param(
        "    provider_type = 'remote::acme'\n",
        "no installed plugin offers provider type remote::acme for inference",
        "correct provider_type, api or plugin_paths of the test class",
        id="unknown provider type",
    ),
    pytest.param(
        "    provider_type = 'remote::acme'\n    plugin_paths = ['broken_plugin.py']\n",
        "plugin broken_plugin: ZeroDivisionError",
        "mend the plugin that failed",
        id="plugin that can't be loaded",
    ),
    pytest.param(
        "    provider_type = spec_of(requires_modules=('no_such_module',), extra='acme[all]')\n",
        r"needs no_such_module, which is not installed; install it with: pip install 'acme\[all\]'",
        "correct config, factory or provider_data of the ProviderSpec",
        id="module that isn't installed",
    ),
    pytest.param(
        "    provider_type = spec_of('test_author:NoSuchClass')\n",
        "factory 'test_author:NoSuchClass' can't be loaded",
        "correct config, factory or provider_data of the ProviderSpec",
        id="factory that isn't there",
    ),
    pytest.param(
        "    config = {'api_kye': 'k'}\n",
        "config.api_kye: unknown key",
        "correct the provider's config where the test class says it",
        id="wrong config",
    ),
    pytest.param(
        "    def backend(self):\n        1 / 0\n",
        "ZeroDivisionError",
        r"mend backend\(\) of the test class",
        id="backend that fails",
    ),
    pytest.param(
        f"    provider_type = spec_of(needs=('telemetry',))\n    run_config = {NEIGHBOUR}\n",
        "provider spans of telemetry failed: no installed plugin offers provider type inline::nope",
        "correct run_config of the test class",
        id="provider that it needs",
    ),
    pytest.param(
        f"    run_config = {NEIGHBOUR}\n",
        "provider spans of telemetry failed: no installed plugin offers provider type inline::nope",
        "correct run_config of the test class",
        id="provider beside it",
    ),
    pytest.param(
        "    run_config = {'shields': [{'shield_id': 's', 'provider_id': 'nobody'}]}\n",
        r"shields\[0\]\.provider_id: no safety provider is called 'nobody'",
        "correct run_config of the test class",
        id="run config with a contradiction",
    ),
    pytest.param(
        "    provider_type = spec_of('test_author:Unbuilt')\n",
        "ZeroDivisionError",
        "only store config and deps in __init__",
        id="factory that fails",
    ),
    pytest.param(
        "    provider_type = spec_of('test_author:Unstarted')\n",
        "BackendUnavailableError: Acme is away",
        "start what the provider calls, or correct the config that leads to it",
        id="start that fails",
    ),
    pytest.param(
        "    provider_type = spec_of('test_author:Hanging')\n    patience_s = 0.1\n",
        r"start\(\) had not ended after 0\.1 s",
        "start what the provider calls, or correct the config that leads to it",
        id="start that never ends",
    ),
    pytest.param(
        "    model = 'wrong'\n",
        "BadRequestError: there is no 'wrong'; there is: right",
        "correct what the test class names, such as `model`",
        id="model that isn't there",
    ),
]

AUTHOR = """
import asyncio
from hitchpost.errors import BackendUnavailableError

class Unbuilt(RightInference):
    def __init__(self, config, deps):
        1 / 0

class Unstarted(RightInference):
    async def start(self):
        raise BackendUnavailableError("Acme is away")

class Hanging(RightInference):
    async def start(self):
        await asyncio.Event().wait()

class TestAcme(RightInferenceKit):
"""


@pytest.fixture
def run_broken(run_kit: Any, tmp_path: Path) -> Any:
    """Runs all checks of a class that can't be checked, and reads the report too."""
    Path("broken_plugin.py").write_text("1 / 0\n", encoding="utf-8")

    def run(said: str, *arguments: str) -> tuple[pytest.RunResult, Any]:
        result = run_kit(AUTHOR + said, f"--conformance-report={tmp_path}/report.json", *arguments)
        (provider,) = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["providers"]
        return result, provider

    return run


@pytest.mark.parametrize(("said", "seen", "change"), BROKEN)
def test_cause_is_told_once_with_what_to_do(said: str, seen: str, change: str, run_broken: Any) -> None:
    result, provider = run_broken(said)

    assert result.ret is pytest.ExitCode.TESTS_FAILED
    (failed,) = [check for check in provider["checks"] if check["outcome"] == "failed"]
    result.stdout.re_match_lines([f"  seen:     .*{seen}", f"  change:   .*{change}"])
    skipped = [check for check in provider["checks"] if check["outcome"] == "not-checked"]
    assert len(skipped) >= 10
    assert {check["reason"].rpartition(" (")[2] for check in skipped} == {f"{failed['id']} tells what to change)"}


def test_what_the_test_class_must_say_is_named_once(run_kit: Any) -> None:
    result = run_kit(
        "from hitchpost.conformance import SafetyConformance\n"
        "class TestAcme(SafetyConformance):\n    provider_type = 'inline::acme'\n"
    )

    assert result.parseoutcomes().keys() == {"failed", "skipped"}
    result.assert_outcomes(failed=1, skipped=result.parseoutcomes()["skipped"])
    result.stdout.fnmatch_lines(
        ["  seen:     TestAcme does not say shield, forbidden", "  change:   set it in the test class*"]
    )


def test_last_lines_tell_how_many_checks_were_not_made_and_why(run_broken: Any) -> None:
    result, _ = run_broken("    config = {'api_kye': 'k'}\n")

    result.stdout.re_match_lines(
        [
            r"inline::test \(inference, tests\): 1 failed, 4? ?.*not-checked, \d+ passed",
            r"  \d+ not checked: config.api_kye: unknown key \(plugin.config-strict tells what to change\)",
        ]
    )


def test_checks_that_need_no_running_provider_are_made(run_broken: Any) -> None:
    _, provider = run_broken("    provider_type = spec_of('test_author:Unstarted', description='')\n")

    outcomes = {check["id"]: check["outcome"] for check in provider["checks"]}
    assert outcomes["plugin.described"] == "failed"
    assert outcomes["lifecycle.build"] == outcomes["hooks.coroutines"] == "passed"
    assert outcomes["chat.answers"] == "not-checked"


def test_one_check_that_runs_alone_tells_the_cause(run_broken: Any) -> None:
    result, provider = run_broken("    config = {'api_kye': 'k'}\n", "-k", "test_chat_answers_what_is_expected")

    result.assert_outcomes(failed=1, deselected=65)
    assert provider["checks"][0]["seen"] == "config.api_kye: unknown key"


def test_expected_failure_does_not_hide_the_cause(run_broken: Any) -> None:
    result, _ = run_broken(
        "    config = {'api_kye': 'k'}\n    xfail_checks = {'chat.answers': 'it is shy'}\n",
        "-k",
        "test_chat_answers_what_is_expected",
    )

    result.assert_outcomes(failed=1, deselected=65)


def test_failure_after_a_good_start_is_told_by_the_check_that_meets_it(run_kit: Any) -> None:
    result = run_kit(
        "class Once(RightInference):\n"
        "    has_started = False\n"
        "    async def start(self):\n"
        "        if Once.has_started:\n"
        "            raise RuntimeError('the port is taken')\n"
        "        Once.has_started = True\n"
        "        await super().start()\n"
        "class TestAcme(RightInferenceKit):\n"
        "    provider_type = spec_of('test_author:Once')\n",
        "-k",
        "test_starting_twice or test_stopping_twice or test_health_of",
    )

    result.assert_outcomes(failed=3, deselected=63)
    result.stdout.fnmatch_lines(["health.answers", "  expected: After start(), health() returns in time*"])
