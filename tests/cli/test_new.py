"""`hitchpost new provider`: what it says and how it ends."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["inference", "inference --remote", "safety", "memory"])
def test_new_provider_is_written_and_the_next_steps_are_said(kind: str, hitchpost: Run, empty_folder: Path) -> None:
    result = hitchpost("new", "provider", "my-backend", "--api", *kind.split())

    assert result.exit_code == 0, result.output
    assert (empty_folder / "hitchpost-my-backend/src/hitchpost_my_backend/provider.py").is_file()
    assert (
        "  cd hitchpost-my-backend\n  pip install -e '.[test]'\n  pytest\n  hitchpost run run.yaml\n" in result.output
    )


def test_output_names_the_folder(hitchpost: Run, empty_folder: Path) -> None:
    result = hitchpost("new", "provider", "acme", "--api", "memory", "--output", "mine")

    assert result.exit_code == 0, result.output
    assert [path.name for path in empty_folder.iterdir()] == ["mine"]
    assert "  cd mine\n" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Acme", "--api", "safety"], "can't be the name of a package"),
        (["scripted", "--api", "safety"], "choose another name than 'scripted'"),
        (["acme"], "Missing option '--api'"),
        (["acme", "--api", "memory", "--remote"], "write it without --remote"),
        (["acme", "--api", "agents"], "'agents' is not one of"),
        (["acme", "--api", "safety", "--output", "."], "exists already"),
        (["acme", "--api", "safety", "--output", "absent/acme"], "can't be made"),
    ],
)
def test_what_cannot_be_ends_with_status_2_and_writes_nothing(
    arguments: list[str], said: str, hitchpost: Run, empty_folder: Path
) -> None:
    result = hitchpost("new", "provider", *arguments)

    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
    assert list(empty_folder.iterdir()) == []
