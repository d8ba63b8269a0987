"""`hitchpost config`: check, show, upgrade, schema."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from hitchpost.config.secrets import MASK
from tests.cli.conftest import Run

PUBLISHED = Path(__file__).parents[1] / "config" / "published"
SOUND = """\
version: '2'
colour: red
providers:
  inference:
  - {provider_id: p, provider_type: "inline::scripted", config: {models: ["${env.MODEL}"]}}
  - {provider_id: away, provider_type: "remote::nothing", config: {api_key: "${env.AWAY_KEY:sk-secret}"}}
models:
- {model_id: m, provider_id: p, provider_model_id: x}
"""


@pytest.fixture
def run_yaml(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(SOUND)
    return path


@pytest.fixture(autouse=True)
def _only_our_own_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HITCHPOST_PLUGINS", "scripted")


# --- check ---


def test_sound_file_is_checked_with_what_is_to_be_said(hitchpost: Run, run_yaml: Path) -> None:
    result = hitchpost("config", "check", str(run_yaml), "--env", "MODEL=x")

    assert result.exit_code == 0
    assert "note: colour (line 2): unknown key, ignored\n" in result.output
    assert "note: providers.inference[1] (line 6): will be failed: no installed plugin offers" in result.output
    assert result.output.endswith("run.yaml is sound: 1 of 2 providers can be built, 1 resource\n")


def test_every_problem_and_note_of_a_file_is_printed(hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.write_text(SOUND.replace("models: [", "modles: [").replace("'2'", "'3'"))

    result = hitchpost("config", "check", str(run_yaml))

    assert result.exit_code == 2
    assert result.stdout.startswith("note: colour (line 2)")
    assert [line.strip(" -").partition(": ")[0] for line in result.stderr.splitlines()[1:]] == [
        "version (line 1)",
        "providers.inference[0].config.modles[0] (line 5)",
        "providers.inference[0].config.modles (line 5)",
    ]


def test_changes_of_an_older_file_are_printed(hitchpost: Run) -> None:
    result = hitchpost("config", "check", str(PUBLISHED / "august.yaml"))

    assert result.exit_code == 0
    assert "upgraded: provider_map.inference.config (line 14): host and port are now url\n" in result.output


@pytest.mark.parametrize("command", ["check", "show", "upgrade"])
def test_file_that_is_not_there_ends_with_status_2(command: str, hitchpost: Run, tmp_path: Path) -> None:
    result = hitchpost("config", command, str(tmp_path / "absent.yaml"))

    assert result.exit_code == 2
    assert "absent.yaml can't be read: No such file or directory" in result.output


def test_variable_without_a_value_is_wrong_usage(hitchpost: Run, run_yaml: Path) -> None:
    result = hitchpost("config", "check", str(run_yaml), "--env", "sk-secret")

    assert result.exit_code == 2
    assert "is not of the form KEY=VALUE" in result.output


# --- show ---


def test_effective_config_is_yaml_without_secrets(hitchpost: Run, run_yaml: Path) -> None:
    result = hitchpost("config", "show", str(run_yaml), "--env", "MODEL=x")

    shown = yaml.safe_load(result.stdout)
    assert result.exit_code == 0
    assert shown["providers"]["inference"][0]["config"]["models"] == ["x"]
    assert shown["providers"]["inference"][1]["config"] == {"api_key": MASK}
    assert "- x  # line 5, environment variable MODEL\n" in result.stdout


def test_file_with_problems_is_not_shown_but_reported(hitchpost: Run, run_yaml: Path) -> None:
    result = hitchpost("config", "show", str(run_yaml))

    assert (result.exit_code, result.stdout) == (2, "")
    assert "environment variable MODEL is not set" in result.stderr


# --- upgrade ---


@pytest.mark.parametrize("era", ["august", "september", "october"])
def test_upgraded_file_is_printed_and_changes_are_told_beside_it(era: str, hitchpost: Run) -> None:
    result = hitchpost("config", "upgrade", str(PUBLISHED / f"{era}.yaml"))

    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout) == yaml.safe_load((PUBLISHED / f"{era}.upgraded.yaml").read_text())
    assert result.stdout.startswith("# As files were")
    assert "is now" in result.stderr


def test_present_form_comes_back_as_it_is(hitchpost: Run, run_yaml: Path) -> None:
    result = hitchpost("config", "upgrade", str(run_yaml))

    assert result.stdout == SOUND
    assert "has the present form" in result.stderr


def test_new_file_is_written_and_an_old_one_is_not_overwritten(hitchpost: Run, tmp_path: Path) -> None:
    source, output = PUBLISHED / "october.yaml", tmp_path / "new.yaml"
    before = source.read_text()

    first = hitchpost("config", "upgrade", str(source), "--output", str(output))
    written = output.read_text()
    second = hitchpost("config", "upgrade", str(source), "--output", str(output))

    assert (first.exit_code, first.stdout, second.exit_code) == (0, "", 2)
    assert "is there already" in second.output
    assert yaml.safe_load(written)["version"] == "2"
    assert (output.read_text(), source.read_text()) == (written, before)


def test_file_is_replaced_only_when_asked_and_kept_beside(hitchpost: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    before = (PUBLISHED / "october.yaml").read_text()
    path.write_text(before)
    path.chmod(0o644)

    result = hitchpost("config", "upgrade", str(path), "--in-place")

    assert result.exit_code == 0
    assert path.with_name("run.yaml.bak").read_text() == before
    assert "inline::faiss" in path.read_text()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o644}


def test_alias_that_is_written_out_is_told(hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.write_text(
        "provider_map:\n"
        "  inference: {provider_type: 'inline::scripted', config: &script {models: [m]}}\n"
        "  memory: {provider_type: 'inline::scripted', config: *script}\n"
    )

    result = hitchpost("config", "upgrade", str(run_yaml))

    assert "Warning: aliases of the file are gone" in result.stderr
    assert result.stdout.count("models: [m]") == 2


def test_file_in_its_present_form_is_not_replaced(hitchpost: Run, run_yaml: Path) -> None:
    hitchpost("config", "upgrade", str(run_yaml), "--in-place")

    assert [file.name for file in run_yaml.parent.iterdir()] == ["run.yaml"]


def test_two_places_to_write_to_are_wrong_usage(hitchpost: Run, run_yaml: Path) -> None:
    result = hitchpost("config", "upgrade", str(run_yaml), "--in-place", "--output", "x")

    assert result.exit_code == 2
    assert "exclude each other" in result.output


def test_without_ruamel_the_comments_are_lost_and_that_is_said(hitchpost: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)

    result = hitchpost("config", "upgrade", str(PUBLISHED / "october.yaml"))

    assert result.exit_code == 0
    assert "pip install 'hitchpost[configure]'" in result.stderr
    assert "#" not in result.stdout
    assert yaml.safe_load(result.stdout) == yaml.safe_load((PUBLISHED / "october.upgraded.yaml").read_text())


def test_file_that_can_not_be_upgraded_says_where(hitchpost: Run, run_yaml: Path) -> None:
    run_yaml.write_text("routing_table: 7\n")

    result = hitchpost("config", "upgrade", str(run_yaml))

    assert result.exit_code == 2
    assert "routing_table: should be a mapping" in result.output


# --- schema ---


def test_schema_knows_the_installed_types(hitchpost: Run) -> None:
    schema = json.loads(hitchpost("config", "schema").stdout)

    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid(yaml.safe_load(SOUND))
    assert not validator.is_valid(yaml.safe_load(SOUND.replace("models: [", "modles: [")))


# --- run ---


def test_run_says_what_it_upgraded_and_reports_everything_at_once(run_yaml: Path) -> None:
    run_yaml.write_text(
        "colour: red\n"
        "server: {port: x}\n"
        "provider_map:\n"
        "  inference: {provider_type: 'inline::scripted', config: {modles: 1}}\n"
    )

    result = subprocess.run(
        [sys.executable, "-m", "hitchpost", "run", str(run_yaml)], capture_output=True, text=True, timeout=60
    )

    said = result.stderr.splitlines()
    assert result.returncode == 2
    assert "Upgraded: provider_map.inference (line 4): is now providers.inference[0], called inline::scripted" in said
    assert "Warning: colour (line 1): unknown key, ignored" in said
    assert "  - server.port (line 2): input should be a valid integer, unable to parse string as an integer" in said
    assert "  - providers.inference[0].config.modles (line 4): unknown key" in said
