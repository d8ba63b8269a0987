"""A new distribution: its names, what it holds, and that it is written whole or not at all."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import hitchpost
from hitchpost.api import Api
from hitchpost.config.run_config import RunConfig
from hitchpost.errors import ConfigError
from hitchpost.scaffold import ProviderPackage

KINDS = [(Api.inference, False), (Api.inference, True), (Api.safety, False), (Api.memory, False)]
each_kind = pytest.mark.parametrize(("api", "is_remote"), KINDS)


@pytest.mark.parametrize(
    ("name", "distribution", "package"),
    [
        ("acme", "hitchpost-acme", "hitchpost_acme"),
        ("my-backend", "hitchpost-my-backend", "hitchpost_my_backend"),
        ("my_backend", "hitchpost-my-backend", "hitchpost_my_backend"),
        ("class", "hitchpost-class", "hitchpost_class"),
        ("v2-x9", "hitchpost-v2-x9", "hitchpost_v2_x9"),
    ],
)
def test_names_follow_from_one(name: str, distribution: str, package: str) -> None:
    made = ProviderPackage(name, Api.inference)

    assert (made.distribution, made.package) == (distribution, package)


@pytest.mark.parametrize(
    "name",
    ["", "Acme", "9lives", "-acme", "acme-", "a--b", "a-_b", "a b", "a.b", "../acme", "a/b", "a\n", "ümlaut", "a" * 41],
)
def test_name_that_no_package_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="can't be the name of a package"):
        ProviderPackage(name, Api.inference)


@pytest.mark.parametrize("name", ["hitchpost-acme", "hitchpost_acme"])
def test_name_with_the_prefix_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        ProviderPackage(name, Api.inference)


@pytest.mark.parametrize(
    ("name", "api", "taken"),
    [
        ("scripted", Api.memory, "the plugin scripted of hitchpost"),
        ("meta-reference", Api.agents, "the distribution hitchpost-meta-reference"),
        ("telemetry", Api.safety, "the plugin telemetry of hitchpost"),
    ],
)
def test_name_of_something_installed_is_refused(name: str, api: Api, taken: str) -> None:
    with pytest.raises(ConfigError, match=taken):
        ProviderPackage(name, api).check_is_free()


def test_name_of_a_module_that_can_be_imported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hitchpost_lonely.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigError, match="the module hitchpost_lonely"):
        ProviderPackage("lonely", Api.inference).check_is_free()


def test_name_that_nothing_has_is_free() -> None:
    ProviderPackage("nobody-has-this", Api.inference).check_is_free()


@each_kind
def test_every_file_is_filled_in(api: Api, is_remote: bool, tmp_path: Path) -> None:
    folder = tmp_path / "made"

    written = ProviderPackage("my-backend", api, is_remote).write(folder)

    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert found == set(written)
    assert {"pyproject.toml", "README.md", "LICENSE", "run.yaml"} <= {str(path) for path in found}
    # A run config's own placeholders are to stay.
    left = [path for path in found if "$" in (folder / path).read_text().replace("${env.", "")]
    assert not [*left, *(path for path in found if "template" in path.name)]
    for path in folder.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))


@each_kind
def test_package_requires_the_minor_version_that_wrote_it(api: Api, is_remote: bool, tmp_path: Path) -> None:
    ProviderPackage("my-backend", api, is_remote).write(tmp_path / "made")

    project = tomllib.loads((tmp_path / "made/pyproject.toml").read_text())["project"]
    major, minor, *_ = hitchpost.__version__.split(".")
    versions = f">={major}.{minor},<{major}.{int(minor) + 1}"
    assert project["name"] == "hitchpost-my-backend"
    assert project["dependencies"] == [f"hitchpost{'[remote]' if is_remote else ''}{versions}"]
    assert project["optional-dependencies"] == {"test": [f"hitchpost[conformance]{versions}"]}
    assert project["entry-points"] == {"hitchpost": {"my_backend": "hitchpost_my_backend.plugin"}}


@each_kind
def test_run_config_names_the_type_that_the_plugin_declares(api: Api, is_remote: bool, tmp_path: Path) -> None:
    ProviderPackage("my-backend", api, is_remote).write(tmp_path / "made")

    config = RunConfig.model_validate(yaml.safe_load((tmp_path / "made/run.yaml").read_text()))
    code = "from hitchpost_my_backend.plugin import provider_specs as s; print(s()[0].api.value, s()[0].provider_type)"
    declared = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path / "made/src",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [config.providers[api][0].provider_type] == declared[1:]
    assert declared[0] == api


def test_package_in_front_of_a_server_is_there_for_inference_only() -> None:
    with pytest.raises(ConfigError, match="without --remote"):
        ProviderPackage("acme", Api.memory, is_remote=True)


def test_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/precious").write_text("mine")

    with pytest.raises(ConfigError, match="exists already"):
        ProviderPackage("acme", Api.inference).write(tmp_path / "made")

    assert [path.name for path in tmp_path.rglob("*")] == ["made", "precious"]


def test_link_to_nowhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "made").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match="exists already"):
        ProviderPackage("acme", Api.inference).write(tmp_path / "made")

    assert not (tmp_path / "elsewhere").exists()


def test_folder_in_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        ProviderPackage("acme", Api.inference).write(tmp_path / "absent" / "made")

    assert list(tmp_path.iterdir()) == []


def test_failure_in_the_middle_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up at the fifth file."""
    written = 0
    write_text = Path.write_text

    def fill_up(path: Path, text: str, **options: str) -> int:
        nonlocal written
        written += 1
        if written == 5:
            raise OSError(28, "No space left on device")
        return write_text(path, text, **options)

    monkeypatch.setattr(Path, "write_text", fill_up)

    with pytest.raises(ConfigError, match="No space left"):
        ProviderPackage("acme", Api.inference).write(tmp_path / "made")

    assert written == 5
    assert list(tmp_path.iterdir()) == []
