"""Discovery among installed distributions that are broken on purpose (`tests/plugins`)."""

from pathlib import Path

import pytest

from hitchpost.api import Api
from hitchpost.errors import NotFoundError
from hitchpost.plugin.catalog import build_catalog
from hitchpost.plugin.discovery import PluginReport, PluginState, discover_plugins


@pytest.fixture
def reports(broken_plugins_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, PluginReport]:
    monkeypatch.syspath_prepend(str(broken_plugins_path))
    return {report.name: report for report in discover_plugins().reports}


@pytest.mark.parametrize(
    ("name", "stage", "reason"),
    [
        ("import_error", "import", "No module named 'a_library_that_nobody_has'"),
        ("system_exit", "import", "SystemExit: no licence key found"),
        ("names_nothing", "import", "has no attribute 'plugin'"),
        ("raising_hook", "validate", "the list of provider types could not be read"),
        ("newer_contract", "validate", "written for plugin contract 99, but this Hitchpost speaks contract 1"),
    ],
)
def test_broken_plugin_is_listed_with_its_stage_and_reason(
    name: str, stage: str, reason: str, reports: dict[str, PluginReport]
) -> None:
    report = reports[name]

    assert (report.state, report.stage) == (PluginState.failed, stage)
    assert reason in report.reason
    assert report.distribution == name.replace("_", "-") + "-plugin"


def test_failed_plugin_offers_nothing(reports: dict[str, PluginReport]) -> None:
    failed = [report for report in reports.values() if report.state is PluginState.failed]

    assert len(failed) >= 5
    assert not any(report.provider_specs or report.presets or report.commands for report in failed)


def test_good_plugin_is_served_beside_broken_ones(reports: dict[str, PluginReport]) -> None:
    catalog = build_catalog(reports.values())

    assert catalog.get(Api.inference, "inline::parrot").plugin.distribution == "one-good-plugin"
    assert reports["one_good"].state is PluginState.loaded
    assert reports["one_good"].warnings == []


def test_type_that_two_distributions_declare_is_refused_and_both_are_named(reports: dict[str, PluginReport]) -> None:
    catalog = build_catalog(reports.values())

    with pytest.raises(NotFoundError, match="duplicate-type-plugin") as refused:
        catalog.get(Api.inference, "inline::scripted")

    assert "hitchpost (plugin scripted)" in refused.value.message
    assert any("inline::scripted" in warning for warning in reports["duplicate_type"].warnings)
    assert any("inline::scripted" in warning for warning in reports["scripted"].warnings)
