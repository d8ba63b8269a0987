import json

from hitchpost.api import ToolDefinition, ToolPromptFormat
from hitchpost.llama import custom_tools_prompt
from tests.llama.conversations import WEATHER, WEATHER_BY_SCHEMA

BARE = ToolDefinition(tool_name="now")


def test_the_json_format_is_the_published_one() -> None:
    assert (
        custom_tools_prompt([WEATHER, BARE], ToolPromptFormat.json)
        == """\
Answer the user's question by making use of the following functions if needed.
If none of the function can be used, please say so.
Here is a list of functions in JSON format:
{
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get weather info for places",
        "parameters": {
            "type": "object",
            "properties": [
                {
                    "city": {
                        "type": "object",
                        "description": "The name of the city"
                    }
                },
                {
                    "metric": {
                        "type": "object",
                        "description": "The metric"
                    }
                }
            ],
            "required": [
                "city"
            ]
        }
    }
}
{
    "type": "function",
    "function": {
        "name": "now",
        "description": "",
        "parameters": {
            "type": "object",
            "properties": [],
            "required": []
        }
    }
}

Return function calls in JSON format."""
    )


def test_the_function_tag_format_is_the_published_one() -> None:
    assert (
        custom_tools_prompt([WEATHER, BARE], ToolPromptFormat.function_tag)
        == """\
You have access to the following functions:

Use the function 'get_weather' to 'Get weather info for places':
{"name": "get_weather", "description": "Get weather info for places", "parameters": \
{"city": {"description": "The name of the city", "param_type": "string", "required": true}, \
"metric": {"description": "The metric", "param_type": "string", "required": false}}}

Use the function 'now':
{"name": "now", "description": "", "parameters": {}}

Think very carefully before calling functions.
If you choose to call a function ONLY reply in the following format with no prefix or suffix:

<function=example_function_name>{"example_name": "example_value"}</function>

Reminder:
- If looking for real time information use relevant functions before falling back to brave_search
- Function calls MUST follow the specified format, start with <function= and end with </function>
- Required parameters MUST be specified
- Only call one function at a time
- Put the entire function call reply on one line"""
    )


def test_the_python_list_format_is_the_published_one() -> None:
    assert (
        custom_tools_prompt([WEATHER], ToolPromptFormat.python_list)
        == """\
You are an expert in composing functions. You are given a question and a set of possible functions.
Based on the question, you will need to make one or more function/tool calls to achieve the purpose.
If none of the function can be used, point it out. If the given question lacks the parameters required by the function,
also point it out. You should only return the function call in tools call sections.

If you decide to invoke any of the function(s), you MUST put it in the format of \
[func_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)]
You SHOULD NOT include any other text in the response.

Here is a list of functions in JSON format that you can invoke.

[
    {
        "name": "get_weather",
        "description": "Get weather info for places",
        "parameters": {
            "type": "dict",
            "required": [
                "city"
            ],
            "properties": {
                "city": {
                    "type": "string",
                    "description": "The name of the city"
                },
                "metric": {
                    "type": "string",
                    "description": "The metric",
                    "default": "celsius"
                }
            }
        }
    }
]"""
    )


def test_a_whole_schema_is_shown_as_it_is_in_the_json_format() -> None:
    prompt = custom_tools_prompt([WEATHER_BY_SCHEMA], ToolPromptFormat.json)

    assert (
        json.loads(prompt[prompt.index("{") : prompt.rindex("}") + 1])["function"]["parameters"]
        == WEATHER_BY_SCHEMA.json_schema
    )


def test_a_whole_schema_keeps_its_constraints_in_the_function_tag_format() -> None:
    prompt = custom_tools_prompt([WEATHER_BY_SCHEMA], ToolPromptFormat.function_tag)

    assert (
        '{"any": {"required": false}, "city": {"enum": ["Paris", "Rome"], "param_type": "string", "required": true}}'
        in prompt
    )


def test_a_whole_schema_keeps_its_constraints_and_definitions_in_the_python_list_format() -> None:
    tool = ToolDefinition(
        tool_name="f",
        json_schema={
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/A"}},
            "required": ["a"],
            "$defs": {"A": {"enum": [1, 2]}},
        },
    )

    prompt = custom_tools_prompt([tool], ToolPromptFormat.python_list)

    assert json.loads(prompt[prompt.rindex("\n[\n") :])[0]["parameters"] == {
        "type": "dict",
        "required": ["a"],
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"enum": [1, 2]}},
    }


def test_a_schema_that_says_little_shows_no_parameters() -> None:
    tool = ToolDefinition(tool_name="f", json_schema={"properties": None, "required": True})

    assert '"f", "description": "", "parameters": {}}' in custom_tools_prompt([tool], ToolPromptFormat.function_tag)
