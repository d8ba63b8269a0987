"""`hitchpost plugins`, `providers` and `models`: as tables for people, as JSON for programs."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.processes import HostProcess, free_port


def columns(output: str) -> list[list[str]]:
    """The cells of a table, row by row; columns stand two spaces apart."""
    return [re.split(r"  +", line.strip()) for line in output.splitlines()]


# --- plugins ---


def test_plugins_are_listed_with_what_they_offer(hitchpost: Run, acme_plugin: Path) -> None:
    rows = {row[0]: row for row in columns(hitchpost("plugins").output)}

    assert rows["NAME"] == ["NAME", "DISTRIBUTION", "VERSION", "STATE", "OFFERS", "REASON"]
    assert rows["scripted"][1] == "hitchpost"
    offers = [f"{api} inline::scripted" for api in ("inference", "safety", "memory", "agents")]
    assert rows["scripted"][3:] == ["loaded", ", ".join(offers)]
    assert rows["acme"][:4] == ["acme", "acme-tools", "1.5", "loaded"]
    assert "command models pull" in rows["acme"][4]


def test_command_that_nobody_can_call_is_listed_with_the_reason(hitchpost: Run, acme_plugin: Path) -> None:
    (acme_plugin / "late.py").write_text("""
from hitchpost import hookimpl
from hitchpost.plugin import CommandSpec

@hookimpl
def commands():
    return [CommandSpec(parent="models", name="pull", target="late:pull", help="The second of its name.")]
""")
    info = acme_plugin / "late-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hitchpost]\nlate = late\n")

    reports = {report["name"]: report for report in json.loads(hitchpost("plugins", "--json").output)}

    assert reports["acme"]["warnings"] == [
        "command run is not used: Hitchpost has one of this name",
        "command chat loudly is not used: chat takes no commands",
    ]
    assert reports["late"]["warnings"] == ["command models pull is not used: plugin acme has one of this name"]


def test_broken_plugin_is_listed_with_its_stage_and_reason(
    hitchpost: Run, broken_plugins_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(broken_plugins_path))

    result = hitchpost("plugins")
    reports = {report["name"]: report for report in json.loads(hitchpost("plugins", "--json").output)}

    assert result.exit_code == 0
    assert re.search(r"^import_error .*failed .*import: ModuleNotFoundError", result.output, re.MULTILINE)
    assert (reports["import_error"]["state"], reports["import_error"]["stage"]) == ("failed", "import")
    assert "duplicate-type-plugin" in reports["scripted"]["warnings"][0]


def test_plugins_section_of_a_run_config_is_applied(hitchpost: Run, tmp_path: Path) -> None:
    (tmp_path / "local_plugin.py").write_text("raise RuntimeError('half written')")
    config = tmp_path / "run.yaml"
    config.write_text("plugins: {deny: [scripted], paths: [local_plugin.py]}")

    reports = {report["name"]: report for report in json.loads(hitchpost("plugins", str(config), "--json").output)}

    assert reports["scripted"]["reason"] == "in plugins.deny of the run config"
    assert reports["local_plugin"]["reason"] == "RuntimeError: half written"


def test_run_config_that_can_not_be_read_ends_with_status_2(hitchpost: Run, tmp_path: Path) -> None:
    result = hitchpost("plugins", str(tmp_path / "missing.yaml"))

    assert result.exit_code == 2
    assert result.output.startswith("Error: run config ")


# --- providers ---


def test_provider_types_are_listed_with_their_distribution(hitchpost: Run) -> None:
    rows = columns(hitchpost("providers").output)

    assert rows[0] == ["API", "PROVIDER_TYPE", "DISTRIBUTION", "USABLE", "DESCRIPTION"]
    assert ["inference", "inline::scripted", "hitchpost", "yes"] in [row[:4] for row in rows]


def test_type_that_nobody_offers_here_says_what_to_install(hitchpost: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITCHPOST_PLUGINS", "scripted")

    rows = json.loads(hitchpost("providers", "--json").output)
    listed = {row["provider_type"]: row for row in rows if row["api"] == "inference"}

    assert listed["inline::meta-reference"]["usable"] == "no: pip install 'hitchpost-meta-reference[inference]'"


def test_type_that_lacks_a_module_says_what_to_install(
    hitchpost: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking.py").write_text("""
from hitchpost import hookimpl
from hitchpost.plugin import ProviderSpec

@hookimpl
def provider_specs():
    common = dict(api="inference", config="lacking:C", factory="lacking:F", requires_modules=["a_module_that_nobody_has"])
    return [ProviderSpec(provider_type="remote::a", extra="lacking[all]", **common),
            ProviderSpec(provider_type="remote::b", deprecated="slow", replaced_by="remote::a", description="Old.", **common)]
""")
    info = tmp_path / "lacking-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lacking\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hitchpost]\nlacking = lacking\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    listed = {row["provider_type"]: row for row in json.loads(hitchpost("providers", "--json").output)}

    assert listed["remote::a"]["usable"] == "no: pip install 'lacking[all]'"
    assert listed["remote::b"]["usable"] == "no: a_module_that_nobody_has is not installed"
    assert listed["remote::b"]["description"] == "deprecated: slow; use remote::a. Old."


def test_type_that_two_distributions_declare_names_both(
    hitchpost: Run, broken_plugins_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(broken_plugins_path))

    listed = {row["provider_type"]: row for row in json.loads(hitchpost("providers", "--json").output)}

    assert listed["inline::scripted"]["usable"] == "no: declared twice"
    assert "duplicate-type-plugin" in listed["inline::scripted"]["distribution"]
    assert "hitchpost (plugin scripted)" in listed["inline::scripted"]["distribution"]


# --- models ---


@pytest.mark.parametrize("suffix", ["", "/", "/v1"])
def test_models_of_a_running_host_are_listed(suffix: str, hitchpost: Run, scripted_host: HostProcess) -> None:
    result = hitchpost("models", "--url", scripted_host.url + suffix)

    assert columns(result.output) == [
        ["MODEL", "PROVIDER", "PROVIDER_MODEL", "TYPE"],
        ["scripted/scripted", "scripted", "scripted", "llm"],
        ["scripted/scripted-two", "scripted", "scripted-two", "llm"],
    ]


def test_models_are_listed_as_the_host_answers_them(
    hitchpost: Run, scripted_host: HostProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HITCHPOST_URL", scripted_host.url)

    found = json.loads(hitchpost("models", "--json").output)

    assert found == json.loads(scripted_host.get("/alpha/models/list"))


@pytest.mark.parametrize("command", ["models", "chat"])
def test_host_that_does_not_run_is_named_with_how_to_start_it(command: str, hitchpost: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    result = hitchpost(command, "--url", url)

    assert (result.output, result.exit_code) == (f"Error: no host answers at {url}; start one with: hitchpost run\n", 1)


@pytest.mark.parametrize("url", ["localhost:8321", "ftp://localhost", "http://", "http://[::1", "http://host:99999"])
def test_address_of_a_wrong_form_is_refused(url: str, hitchpost: Run) -> None:
    result = hitchpost("models", "--url", url)

    assert result.exit_code == 2
    assert "is not of the form http://127.0.0.1:8321" in result.output
