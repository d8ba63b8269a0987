import os
import stat
from pathlib import Path

import pytest

from hitchpost.config.save import save_backup, save_text
from hitchpost.errors import ConfigError


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o640])
def test_file_is_replaced_whole_and_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("old")
    path.chmod(mode)

    backup = save_backup(path)
    save_text(path, "new: ä\n")

    assert path.read_text(encoding="utf-8") == "new: ä\n"
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path, backup)] == [mode, mode]
    assert sorted(os.listdir(tmp_path)) == ["run.yaml", "run.yaml.bak"]


@pytest.mark.parametrize(
    ("old", "written"),
    [(b"a: 1\r\nb: 2\r\n", b"a: 2\r\nb: 2\r\n"), (b"a: 1\nb: 2\r\n", b"a: 2\nb: 2\n"), (b"", b"a: 2\nb: 2\n")],
    ids=["CRLF", "LF first", "empty"],
)
def test_file_keeps_the_line_ends_of_its_first_line(old: bytes, written: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(old)

    backup = save_backup(path)
    save_text(path, "a: 2\nb: 2\n")
    save_text(tmp_path / "new.yaml", "a: 2\nb: 2\n", like=path)

    assert path.read_bytes() == written
    assert (tmp_path / "new.yaml").read_bytes() == written
    assert backup.read_bytes() == old


def test_only_its_owner_can_read_a_new_file(tmp_path: Path) -> None:
    save_text(tmp_path / "run.yaml", "new")

    assert stat.S_IMODE((tmp_path / "run.yaml").stat().st_mode) == 0o600


def test_link_stays_a_link_to_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("old")
    (tmp_path / "run.yaml").symlink_to("real.yaml")

    save_text(tmp_path / "run.yaml", "new")

    assert (tmp_path / "run.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_text() == "new"


def test_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("old")

    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)

    with pytest.raises(ConfigError, match=r"run\.yaml can't be written: No space left on device"):
        save_text(path, "new")

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["run.yaml"]


def test_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        save_text(tmp_path / "no" / "run.yaml", "x")


def test_backups_take_names_that_are_free(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("1")
    path.chmod(0o600)

    first = save_backup(path)
    path.write_text("2")
    second = save_backup(path)

    assert (first.name, second.name) == ("run.yaml.bak", "run.yaml.bak2")
    assert (first.read_text(), second.read_text()) == ("1", "2")
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
