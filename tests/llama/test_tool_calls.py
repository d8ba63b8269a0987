from typing import Any

import pytest

from hitchpost.api import ToolPromptFormat
from hitchpost.llama import encode_tool_calls
from tests.llama.conversations import call

DEEP = '{"a": ' * 400 + "1" + "}" * 400


@pytest.mark.parametrize(
    ("tool_prompt_format", "text"),
    [
        (
            "json",
            '{"type": "function", "name": "f", "parameters": {"a":1, "b": "it\'s"}}\n{"type": "function", "name": "g", "parameters": {}}',
        ),
        ("function_tag", '<function=f>{"a":1, "b": "it\'s"}</function>\n<function=g>{}</function>'),
        ("python_list", '[f(a=1, b="it\'s"), g()]'),
    ],
)
def test_custom_calls_are_written_in_the_format(tool_prompt_format: str, text: str) -> None:
    calls = [call("f", '{"a":1, "b": "it\'s"}'), call("g", "")]

    assert encode_tool_calls(calls, ToolPromptFormat(tool_prompt_format)) == text


@pytest.mark.parametrize("tool_prompt_format", ToolPromptFormat)
@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("brave_search", {"query": 'the "best" caf\u00e9'}, 'brave_search.call(query="the \\"best\\" caf\u00e9")'),
        ("wolfram_alpha", {"query": "1+1"}, 'wolfram_alpha.call(query="1+1")'),
        ("photogen", {"query": "a dog"}, 'photogen.call(query="a dog")'),
        ("code_interpreter", {"code": "print(1)\n"}, "print(1)\n"),
    ],
)
def test_built_in_calls_are_written_in_their_own_form(
    name: str, arguments: dict[str, Any], text: str, tool_prompt_format: ToolPromptFormat
) -> None:
    assert encode_tool_calls([call(name, arguments)], tool_prompt_format) == text


def test_literals_of_a_python_call_are_python_s() -> None:
    text = encode_tool_calls([call("f", {"a": None, "b": [True, {"c": "null, true"}]})], ToolPromptFormat.python_list)

    assert text == '[f(a=None, b=[True, {"c": "null, true"}])]'


def test_custom_and_built_in_calls_of_one_message_stand_on_lines_of_their_own() -> None:
    calls = [call("brave_search", {"query": "x"}), call("f", {"a": 1})]

    assert encode_tool_calls(calls, ToolPromptFormat.python_list) == 'brave_search.call(query="x")\n[f(a=1)]'


@pytest.mark.parametrize("arguments", ['{"two words": 1}', '{"a": NaN}', "{broken"])
def test_arguments_that_python_can_t_say_are_written_as_json(arguments: str) -> None:
    text = encode_tool_calls([call("f", arguments), call("g", "{}")], ToolPromptFormat.python_list)

    assert text == f'{{"type": "function", "name": "f", "parameters": {arguments}}}\n[g()]'


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("brave_search", '{"q": "x"}'), ("brave_search", '{"query": 1}'), ("code_interpreter", '{"code": null}')],
)
def test_built_in_calls_with_other_arguments_are_written_as_custom_ones(name: str, arguments: str) -> None:
    text = encode_tool_calls([call(name, arguments)], ToolPromptFormat.json)

    assert text == f'{{"type": "function", "name": "{name}", "parameters": {arguments}}}'


def test_a_name_that_would_end_the_tag_is_written_as_json() -> None:
    text = encode_tool_calls([call("a>b", "{}")], ToolPromptFormat.function_tag)

    assert text == '{"type": "function", "name": "a>b", "parameters": {}}'


@pytest.mark.parametrize("tool_prompt_format", ToolPromptFormat)
def test_deeply_nested_arguments_are_written(tool_prompt_format: ToolPromptFormat) -> None:
    assert "f" in encode_tool_calls([call("f", DEEP)], tool_prompt_format)
