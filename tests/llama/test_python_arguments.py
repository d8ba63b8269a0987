import ast
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.llama.python_arguments import MAX_NESTING, find_arguments_json, find_python_arguments
from tests.llama.json_values import argument_objects


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        ("  ", {}),
        ("a=1", {"a": 1}),
        ("a = 1 , b = 'x' ,", {"a": 1, "b": "x"}),
        ("a=-1.5e3, b=.5, c=2., d=+1", {"a": -1500.0, "b": 0.5, "c": 2.0, "d": 1.0}),
        ("a=True, b=False, c=None", {"a": True, "b": False, "c": None}),
        ("a=true, b=false, c=null", {"a": True, "b": False, "c": None}),
        ("a=[1, [2, {'b': (3, 4,)}],]", {"a": [1, [2, {"b": [3, 4]}]]}),
        ("a=[], b={}, c=()", {"a": [], "b": {}, "c": []}),
        ("city='L\\'Aquila', b=\"it's\"", {"city": "L'Aquila", "b": "it's"}),
        (r"a='\n\t\\\x41\u00e9\U0001F600\101\q'", {"a": "\n\t\\A\u00e9\U0001f600A\\q"}),
        (r"a='\ud83d\ude00'", {"a": "\U0001f600"}),
        ("a='''he said \"hi\" and 'bye' '''", {"a": "he said \"hi\" and 'bye' "}),
        ('a="""two\nlines"""', {"a": "two\nlines"}),
        ("a=''", {"a": ""}),
        ("a='[(,=)]'", {"a": "[(,=)]"}),
        ("my-arg=1, $top=2", {"my-arg": 1, "$top": 2}),
    ],
)
def test_keyword_arguments_become_json(text: str, arguments: dict[str, Any]) -> None:
    found = find_arguments_json(text)

    assert found is not None
    assert json.loads(found) == arguments


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "'x'",
        "a",
        "a=",
        "a=b",
        "a=b()",
        "a=1 b=2",
        "a=1,,b=2",
        "a=1,,",
        "a=[,]",
        ",",
        "a=[1",
        "a=1]",
        "a={1: 2}",
        "a={'b'}",
        "a='x",
        "a='x' 'y'",
        "a=1+2",
        "a=nan",
        "a=NaN",
        "a=inf",
        "a=[b=1]",
        "**{'a': 1}",
        "a==1",
        'a="x}, "b":1',
        "a=" + "9" * 5000,
        "a=" + "[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1),
        "a=" + "[" * 100_000,
    ],
)
def test_what_is_no_literal_keyword_argument_is_refused(text: str) -> None:
    assert find_arguments_json(text) is None


@given(argument_objects)
def test_arguments_survive_the_way_to_python_and_back(arguments: dict[str, Any]) -> None:
    text = find_python_arguments(arguments)

    assert text is not None
    found = find_arguments_json(text)
    assert found is not None
    assert json.loads(found) == arguments


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}_", fullmatch=True), argument_objects, max_size=3))
def test_arguments_are_written_as_literals_that_python_reads(arguments: dict[str, Any]) -> None:
    text = find_python_arguments(arguments)

    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    assert {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords} == arguments


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = find_arguments_json(text)

    assert found is None or isinstance(json.loads(found), dict)


@pytest.mark.parametrize("arguments", [{"two words": 1}, {"": 1}, {"a": float("nan")}])
def test_what_python_can_t_say_is_refused(arguments: dict[str, Any]) -> None:
    assert find_python_arguments(arguments) is None
