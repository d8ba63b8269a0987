import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.config.placeholders import fill_placeholders, join_path

ENVIRON = {"SET": "value", "EMPTY": "", "HOME_PATH": "~/models", "NESTED": "${env.SET}"}


def filled(text: str, environ: dict[str, str] = ENVIRON) -> Any:
    problems: list[str] = []
    result = fill_placeholders(text, environ, problems, "path")
    return problems or result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${env.SET}", "value"),
        ("a${env.SET}b${env.SET}", "avaluebvalue"),
        ("${env.SET:other}", "value"),
        ("${env.UNSET:other}", "other"),
        ("${env.UNSET:}", ""),
        ("${env.UNSET:=other}", "other"),
        ("${env.UNSET:=}", ""),
        ("${env.SET:=other}", "value"),
        ("${env.EMPTY:other}", "other"),
        ("${env.SET:+other}", "other"),
        ("${env.UNSET:+other}", ""),
        ("${env.EMPTY:+other}", ""),
        ("${env.SET:+}", ""),
        ("${env.UNSET:http://localhost:11434}", "http://localhost:11434"),
        ("${env.UNSET:a b\nc}", "a b\nc"),
        ("${env.UNSET:null}", "null"),
        ("${env.UNSET:${env.SET}", "${env.SET"),
        ("${env.NESTED}", "${env.SET}"),
        ("${env.UNSET:a}}", "a}"),
    ],
)
def test_each_form_has_its_value(text: str, result: str) -> None:
    assert filled(text) == result


@pytest.mark.parametrize(
    "text", ["${env.lower}", "${env.}", "${SET}", "$SET", "${env.SET", "${env.A-B}", "${env.SET }", "${env.SET?x}", ""]
)
def test_anything_else_stays_as_it_is(text: str) -> None:
    assert filled(text) == text


@pytest.mark.parametrize("text", ["${env.UNSET}", "${env.EMPTY}", "a${env.UNSET}${env.SET}"])
def test_missing_variable_is_a_problem_with_its_path(text: str) -> None:
    name = "EMPTY" if "EMPTY" in text else "UNSET"

    assert filled(text) == [f"path: environment variable {name} is not set and has no default"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${env.HOME_PATH}", "{home}/models"),
        ("${env.UNSET:~/other}/file", "{home}/other/file"),
        ("${env.SET:+~/other}", "{home}/other"),
        ("~/literal", "~/literal"),
        ("${env.UNSET:a~b}", "a~b"),
    ],
)
def test_home_directory_is_filled_in_where_a_substituted_value_begins_with_it(
    text: str, result: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert filled(text) == result.format(home=tmp_path)


def test_strings_of_any_depth_are_filled_and_keys_and_scalars_are_not() -> None:
    data = {"${env.SET}": ["${env.SET}", {"a": "${env.SET}"}, 1, True, None, 1.5]}

    assert fill_placeholders(data, ENVIRON, []) == {"${env.SET}": ["value", {"a": "value"}, 1, True, None, 1.5]}


def test_all_missing_variables_are_reported_with_their_paths() -> None:
    problems: list[str] = []

    fill_placeholders({"a": [{"b": "${env.X}"}, "${env.Y}${env.Z}"]}, {}, problems)

    assert [problem.partition(" is not")[0] for problem in problems] == [
        "a[0].b: environment variable X",
        "a[1]: environment variable Y",
        "a[1]: environment variable Z",
    ]


def test_the_given_data_stays_as_it_was() -> None:
    data = {"a": ["${env.SET}"]}

    fill_placeholders(data, ENVIRON, [])

    assert data == {"a": ["${env.SET}"]}


@pytest.mark.parametrize(
    ("path", "key", "joined"), [("", "a", "a"), ("a", "b", "a.b"), ("a", 0, "a[0]"), ("", 3, "[3]")]
)
def test_path_grows_by_keys_and_positions(path: str, key: str | int, joined: str) -> None:
    assert join_path(path, key) == joined


NAMES = st.text(string.ascii_uppercase + string.digits + "_", min_size=1, max_size=5)
OPERANDS = st.text(st.characters(exclude_characters="}~", exclude_categories=["Cs"]), max_size=8)
VALUES = st.text(st.characters(exclude_characters="~\0", exclude_categories=["Cs"]), max_size=8)


@st.composite
def pieces(draw: st.DrawFn) -> tuple[str, str, str | None, str | None]:
    """Literal text, then a placeholder as (name, operator, operand)."""
    literal = draw(st.text(st.characters(exclude_characters="${}", exclude_categories=["Cs"]), max_size=5))
    operator = draw(st.sampled_from([None, ":", ":=", ":+"]))
    operand = None if operator is None else draw(OPERANDS)
    if operator == ":" and operand is not None and operand[:1] in ("=", "+"):
        operand = "." + operand
    return literal, draw(NAMES), operator, operand


@given(st.lists(pieces(), max_size=5), st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_mix_of_placeholders_means_what_its_parts_mean(parts: list[Any], environ: dict[str, str]) -> None:
    expected, missing = "", []
    for literal, name, operator, operand in parts:
        value = environ.get(name, "")
        expected += literal
        if operator == ":+":
            expected += operand if value else ""
        elif value or operator:
            expected += value or operand
        else:
            missing.append(f"path: environment variable {name} is not set and has no default")
    text = "".join(
        f"{literal}${{env.{name}{operator or ''}{operand or ''}}}" for literal, name, operator, operand in parts
    )

    assert filled(text, environ) == (missing or expected)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_data_breaks_the_filling(data: Any) -> None:
    fill_placeholders(data, {}, [])
