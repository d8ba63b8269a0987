import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.config.edit import edited_yaml, plain_yaml
from hitchpost.config.upgrade import upgrade_run_config
from hitchpost.errors import ConfigError

TEXT = """\
# head
version: '2'   # two
mine: {a: 1}   # not theirs
providers:
  # the good one
  inference:
    - provider_id: a   # first
      provider_type: "inline::x"
      config: {port: 1}   # flow
    # about b
    - provider_id: b   # second
      provider_type: inline::y
# tail
"""


def edited(change: Any, text: str = TEXT) -> str:
    data = yaml.safe_load(text)
    change(data)
    result = edited_yaml(text, data)
    assert result is not None
    assert yaml.safe_load(result) == data
    return result


def test_nothing_to_change_leaves_the_text_as_it_is() -> None:
    assert edited(lambda data: None) == TEXT


def test_changed_value_leaves_all_else_as_it_is() -> None:
    def change(data: Any) -> None:
        data["providers"]["inference"][0]["config"]["port"] = 2

    assert edited(change) == TEXT.replace("port: 1", "port: 2")


MERGED = """\
base: &base
  limits: {max_queued: 1}   # shared
providers:
  inference:
  - <<: *base
    provider_id: a
  - <<: *base
    provider_id: b
"""


def test_merge_keys_stay_where_what_they_bring_does() -> None:
    def change(data: Any) -> None:
        data["providers"]["inference"][0]["config"] = {}

    assert edited(change, MERGED) == MERGED.replace("provider_id: a\n", "provider_id: a\n    config: {}\n")


def test_merge_key_is_written_out_where_what_it_brings_changes() -> None:
    def change(data: Any) -> None:
        data["providers"]["inference"][0]["limits"] = 7

    result = edited(change, MERGED)

    assert "limits: 7" in result
    assert "limits: {max_queued: 1}   # shared" in result


def test_removed_entry_takes_its_own_comment_with_it() -> None:
    def change(data: Any) -> None:
        del data["providers"]["inference"][0]

    result = edited(change)

    assert "# first" not in result
    assert "provider_id: b   # second" in result
    assert "mine: {a: 1}   # not theirs" in result


def test_added_entry_comes_in_the_files_own_indentation() -> None:
    def change(data: Any) -> None:
        data["providers"]["inference"].append(
            {"provider_id": "c", "provider_type": "t", "config": {"x": ["on", "1_0", None]}}
        )

    result = edited(change)

    assert "\n    - provider_id: c\n      provider_type: t\n" in result
    assert result.startswith(TEXT.partition("# tail")[0].rstrip())


@pytest.mark.parametrize("era", ["august", "september", "october"])
def test_upgrade_keeps_the_comments_of_what_moved(era: str) -> None:
    text = (Path(__file__).parent / "published" / f"{era}.yaml").read_text()
    upgraded = upgrade_run_config(yaml.safe_load(text))

    result = edited_yaml(text, upgraded.data, upgraded.moved)

    assert result is not None
    assert yaml.safe_load(result) == upgraded.data
    assert result.startswith(text.partition("\n")[0])
    assert "# the type, as it was written then" in result or era != "august"


def test_without_ruamel_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)

    with pytest.raises(ConfigError, match=r"pip install 'hitchpost\[configure\]'"):
        edited_yaml(TEXT, {})


KEYS = st.sampled_from(["a", "b", "provider_id", "on", "1"])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.sampled_from(["on", "1_000", "x", "", "a: b", "0x1F", "${env.X}"])
)
DATA = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
    ),
    max_size=4,
)


@given(DATA, DATA)
def test_any_text_becomes_any_data_or_nothing(old: Any, new: Any) -> None:
    before = deepcopy(new)

    result = edited_yaml(plain_yaml(old), new)

    assert new == before
    assert result is None or yaml.safe_load(result) == new
