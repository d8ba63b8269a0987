from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.config.annotated_yaml import annotated_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


def test_each_value_has_its_remark_behind_it() -> None:
    data = {"a": {"b": [1, {"c": "x", "d": []}], "e": {}}, "f": None}

    assert annotated_yaml(data, lambda path: path if path != "f" else "") == (
        "a:\n  b:\n  - 1  # a.b[0]\n  - c: x  # a.b[1].c\n    d: []  # a.b[1].d\n  e: {}  # a.e\nf: null\n"
    )


@given(VALUES)
def test_any_data_is_read_back_as_it_was(data: Any) -> None:
    assert yaml.safe_load(annotated_yaml(data, lambda path: "line 7")) == data


@pytest.mark.parametrize("text", ["a\nb", "# no", "a: b", "x" * 500, "\x07", "on", "2024-01-01", "ä ö"])
def test_each_value_is_on_one_line(text: str) -> None:
    written = annotated_yaml({"key": text}, lambda path: "here")

    assert written.count("\n") == 1
    assert yaml.safe_load(written) == {"key": text}
