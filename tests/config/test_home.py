from pathlib import Path

import pytest

from hitchpost.config import state_home


@pytest.mark.parametrize(
    ("value", "home"),
    [
        ("/srv/hitchpost", "/srv/hitchpost"),
        ("~/mine", "{home}/mine"),
        ("", "{home}/.hitchpost"),
        (None, "{home}/.hitchpost"),
    ],
)
def test_state_is_kept_where_the_environment_says(
    value: str | None, home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HITCHPOST_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("HITCHPOST_HOME", value)

    assert state_home() == Path(home.format(home=tmp_path))
