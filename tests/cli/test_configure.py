"""`hitchpost configure`, by keyboard and by script."""

import stat
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run
from tests.cli.terminal import Terminal

# One scripted provider, its models given, everything else by itself.
ANSWERS = ["y", "inline::scripted", "small", '["a", "b"]', *[""] * 30]
EXISTING = """\
# my own words
version: '2'
mine: kept   # and why
providers:
  inference:
  - provider_id: small   # the small one
    provider_type: inline::scripted
    config:
      models: [old]   # to be changed
"""


@pytest.fixture(autouse=True)
def _only_our_own_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITCHPOST_PLUGINS", "scripted")


@pytest.fixture
def run_yaml(tmp_path: Path) -> Path:
    return tmp_path / "run.yaml"


def script(*answers: str) -> str:
    return "".join(f"{answer}\n" for answer in answers)


def test_script_writes_a_file_that_is_checked(hitchpost: Run, run_yaml: Path) -> None:
    result = hitchpost("configure", "--output", str(run_yaml), stdin=script(*ANSWERS))

    assert result.exit_code == 0, result.output
    assert yaml.safe_load(run_yaml.read_text())["providers"]["inference"] == [
        {"provider_id": "small", "provider_type": "inline::scripted", "config": {"models": ["a", "b"]}}
    ]
    assert stat.S_IMODE(run_yaml.stat().st_mode) == 0o600
    assert "run.yaml is sound: 1 of 1 provider can be built" in result.output


def test_answers_that_end_early_write_nothing(hitchpost: Run, run_yaml: Path) -> None:
    result = hitchpost("configure", "--output", str(run_yaml), stdin=script("y", "inline::scripted"))

    assert result.exit_code == 1
    assert "Error: the answers ended before the last question; nothing is written" in result.output
    assert list(run_yaml.parent.iterdir()) == []


def test_existing_file_is_changed_with_its_comments_and_keys(hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.write_text(EXISTING)

    result = hitchpost("configure", "--output", str(run_yaml), stdin=script("change", '["new"]', *[""] * 30))

    assert result.exit_code == 0, result.output
    assert run_yaml.read_text() == EXISTING.replace("[old]", "[new]")
    assert run_yaml.with_name("run.yaml.bak").read_text() == EXISTING
    assert "run.yaml is written; " in result.output


def test_existing_file_that_is_left_as_it_is_stays_as_it_is(hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.write_text(EXISTING)

    result = hitchpost("configure", "--output", str(run_yaml), stdin=script(*[""] * 30))

    assert run_yaml.read_text() == EXISTING
    assert [file.name for file in run_yaml.parent.iterdir()] == ["run.yaml"]
    assert "run.yaml stays as it is" in result.output


def test_older_file_is_upgraded_on_the_way(hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.write_text(
        "# old\nprovider_map:\n  inference: {provider_type: 'inline::scripted', config: {models: [m]}}\n"
    )

    result = hitchpost("configure", "--output", str(run_yaml), stdin=script(*[""] * 30))

    assert result.exit_code == 0, result.output
    assert "Upgraded: provider_map.inference" in result.output
    assert run_yaml.read_text().startswith("# old\nversion:")


def test_existing_file_needs_ruamel_and_says_so_before_it_asks(
    hitchpost: Run, run_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_yaml.write_text(EXISTING)
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)

    result = hitchpost("configure", "--output", str(run_yaml))

    assert result.exit_code == 2
    assert "pip install 'hitchpost[configure]'" in result.output
    assert "Nothing is written before" not in result.output


def test_new_file_needs_no_ruamel(hitchpost: Run, run_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)

    assert hitchpost("configure", "--output", str(run_yaml), stdin=script(*ANSWERS)).exit_code == 0


@pytest.mark.parametrize("text", ["[]", "a: [", "routing_table: 7"])
def test_file_that_is_no_run_config_is_left_alone(text: str, hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.write_text(text)

    result = hitchpost("configure", "--output", str(run_yaml), stdin=script(*ANSWERS))

    assert result.exit_code == 2
    assert run_yaml.read_text() == text


def test_folder_that_is_not_there_is_said_before_anything_is_asked(hitchpost: Run, tmp_path: Path) -> None:
    result = hitchpost("configure", "--output", str(tmp_path / "no" / "run.yaml"))

    assert result.exit_code == 2
    assert "is no folder" in result.output


def test_file_that_will_not_start_is_written_and_its_problems_end_the_command(hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.write_text("models: [{model_id: m, provider_id: gone}]\n")

    result = hitchpost("configure", "--output", str(run_yaml), stdin=script(*ANSWERS))

    assert result.exit_code == 2
    assert "no inference provider is called 'gone'" in result.output


def test_variables_that_are_not_set_yet_are_left_to_do(hitchpost: Run, run_yaml: Path) -> None:
    answers = ["y", "inline::scripted", "small", '["${env.MODEL_NAME}"]', *[""] * 30]

    result = hitchpost("configure", "--output", str(run_yaml), stdin=script(*answers))

    assert result.exit_code == 0, result.output
    assert (
        "to do: providers.inference[0].config.models[0] (line 8): environment variable MODEL_NAME is not set"
        in result.output
    )


def test_without_any_provider_type_there_is_nothing_to_ask(
    hitchpost: Run, run_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HITCHPOST_PLUGINS", "")

    result = hitchpost("configure", "--output", str(run_yaml))

    assert result.exit_code == 1
    assert "no installed plugin offers a provider type" in result.output


def test_types_of_the_plugins_that_the_file_names_by_path_can_be_configured(hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.with_name("mine.py").write_text("""
from hitchpost import hookimpl
from hitchpost.plugin import ProviderSpec

@hookimpl
def provider_specs():
    return [ProviderSpec(api="inference", provider_type="inline::mine", config="mine:Config", factory="mine:Config")]

from pydantic import BaseModel

class Config(BaseModel, extra="forbid"):
    size: int
""")
    run_yaml.write_text("plugins: {paths: [mine.py]}\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HITCHPOST_PLUGINS", "mine")
        result = hitchpost("configure", "--output", str(run_yaml), stdin=script("y", "", "", "7", *[""] * 20))

    assert result.exit_code == 0, result.output
    assert yaml.safe_load(run_yaml.read_text())["providers"]["inference"][0]["config"] == {"size": 7}


# --- at a terminal ---


def test_person_at_a_terminal_is_asked_one_thing_after_the_other(run_yaml: Path) -> None:
    with Terminal("configure", "--output", str(run_yaml)) as terminal:
        terminal.wait_for("Add a provider of inference? (y/n) [y]: ")
        terminal.type("y\n")
        terminal.wait_for("provider_type")
        terminal.type("inline::scripted\n")
        terminal.wait_for("provider_id [scripted]: ")
        terminal.interrupt()
        status = terminal.process.wait(timeout=20)

    assert status == 1
    assert not run_yaml.exists()
