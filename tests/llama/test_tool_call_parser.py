import json
from uuid import UUID

import pytest

from hitchpost.api import (
    Finish,
    FinishReason,
    InferenceEvent,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
)
from hitchpost.llama import MAX_HELD_CHARS, ToolCallParser, parse_tool_calls
from tests.llama.parsed_streams import BUILTIN_TOOLS, TOOLS, events_of, new_parser, parse


def tokens(*texts: str) -> list[TokenLogprob]:
    return [TokenLogprob(text, -0.5) for text in texts]


# --- the forms of a call ---


@pytest.mark.parametrize("before", ["", "<|python_tag|>", "\n ", " <|python_tag|>\n"])
@pytest.mark.parametrize(
    "call",
    [
        '{"type": "function", "name": "get_weather", "parameters": {"city": "L\'Aquila"}}',
        '{"name": "get_weather", "parameters": {"city": "L\'Aquila"}}',
        '{"name":"get_weather","arguments":{"city": "L\'Aquila"}}',
        '{"parameters": {"city": "L\'Aquila"}, "name": "get_weather"}',
        '{"name": "get_weather", "id": [1, {"a": "}"}], "parameters": {"city": "L\'Aquila"}, "more": null}',
        '{"name": "get_weather", "parameters": "{\\"city\\": \\"L\'Aquila\\"}"}',
        '{\n  "type" : "function",\n  "name" : "get_weather",\n  "parameters" : {"city": "L\'Aquila"}\n}\n',
        '[get_weather(city="L\'Aquila")]',
        "[ get_weather( city = 'L\\'Aquila' , ) , ]\n",
        '<function=get_weather>{"city": "L\'Aquila"}</function>',
        '<function=get_weather>\n{"city": "L\'Aquila"}\n</function>\n',
        '<function=get_weather>{"city": "L\'Aquila"}',
    ],
)
def test_each_form_of_a_call_is_recognised(before: str, call: str) -> None:
    parsed = parse(before + call)

    assert parsed.text.strip() == ""
    assert [(name, json.loads(arguments)) for name, arguments in parsed.calls] == [
        ("get_weather", {"city": "L'Aquila"})
    ]


@pytest.mark.parametrize(
    "call",
    [
        '{"name": "f"}',
        '{"type": "function", "name": "f", "parameters": null}',
        '{"name": "f", "parameters": ""}',
        "[f()]",
        "[f( )]",
        "<function=f></function>",
        "<|python_tag|><function=f>\n</function>",
    ],
)
def test_a_call_without_arguments_has_no_delta(call: str) -> None:
    events = events_of([call])

    assert events == [ToolCallStart(0, "call-0", "f"), Finish(FinishReason.tool_calls)]


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ('brave_search.call(query="who\'s (who)")', "brave_search", {"query": "who's (who)"}),
        (' wolfram_alpha.call(query="1+1")\n', "wolfram_alpha", {"query": "1+1"}),
        ('<|python_tag|>brave_search.call(query="x")', "brave_search", {"query": "x"}),
        ('<|python_tag|>\nprint("a\\n")\n', "code_interpreter", {"code": '\nprint("a\\n")\n'}),
        ("<|python_tag|>[x for x in y]", "code_interpreter", {"code": "[x for x in y]"}),
        ('<|python_tag|>{"a": 1}', "code_interpreter", {"code": '{"a": 1}'}),
        ('{"name": "brave_search", "parameters": {"query": "x"}}', "brave_search", {"query": "x"}),
    ],
)
def test_built_in_tools_are_called_in_their_own_forms(text: str, name: str, arguments: dict[str, str]) -> None:
    parsed = parse(text, BUILTIN_TOOLS)

    assert parsed.text == ""
    assert [(called, json.loads(given)) for called, given in parsed.calls] == [(name, arguments)]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "f"}{"name": "get_weather", "parameters": {"a": 1}}',
        '{"name": "f"}; {"name": "get_weather", "parameters": {"a": 1}}',
        '<|python_tag|>{"name": "f"}\n{"name": "get_weather", "parameters": {"a": 1}}',
        "[f(), get_weather(a=1)]",
        "<|python_tag|>[f(),get_weather(a=1)]",
        '<function=f></function>\n<function=get_weather>{"a": 1}</function>',
        '<function=f>{}<function=get_weather>{"a": 1}',
        '<|python_tag|>{"name": "f"}<|python_tag|>{"name": "get_weather", "parameters": {"a": 1}}',
        "<function=f>{}</function> [get_weather(a=1)]",
    ],
)
def test_all_calls_of_an_answer_are_found(text: str) -> None:
    parsed = parse(text)

    assert parsed.text == ""
    assert [(name, json.loads(arguments or "{}")) for name, arguments in parsed.calls] == [
        ("f", {}),
        ("get_weather", {"a": 1}),
    ]


def test_several_searches_behind_the_python_tag_are_all_found() -> None:
    parsed = parse('<|python_tag|>brave_search.call(query="a")\nwolfram_alpha.call(query="b")', BUILTIN_TOOLS)

    assert parsed.calls == [("brave_search", '{"query":"a"}'), ("wolfram_alpha", '{"query":"b"}')]


def test_nested_values_of_a_python_call_become_json() -> None:
    parsed = parse("[f(a={'b': [1, (2.5, None)], 'c': \"it's\"}, d=True)]")

    assert parsed.calls == [("f", '{"a":{"b":[1,[2.5,null]],"c":"it\'s"},"d":true}')]


@pytest.mark.parametrize("arguments", ['{"a":1,  "b" : "\\u00e9"}', "{'a': 1}", '{"a": [1}', '{"a": NaN}'])
def test_json_arguments_are_passed_on_verbatim(arguments: str) -> None:
    parsed = parse(f'{{"name": "f", "parameters": {arguments}}}')

    assert parsed.calls[0][1].startswith(arguments)


@pytest.mark.parametrize("name", ["m\u00e9t\u00e9o", "m\\u00e9t\\u00e9o"])
def test_a_name_may_be_written_with_json_escapes(name: str) -> None:
    assert parse(f'{{"name": "{name}"}}').calls == [("m\u00e9t\u00e9o", "")]


def test_text_around_a_function_tag_stays_text() -> None:
    parsed = parse('I look it up.\n<function=f>{"a": 1}</function>\nDone.')

    assert parsed.parts == ["I look it up.\n", ("call-0", "f", '{"a": 1}'), "\nDone."]


def test_calls_may_follow_a_python_tag_in_the_middle_of_the_text() -> None:
    parsed = parse('Let me see.<|python_tag|>{"name": "f", "parameters": {}}')

    assert parsed.parts == ["Let me see.", ("call-0", "f", "{}")]


# --- what is no call ---


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Hello!",
        "\n\nHello {world} [1]",
        "{",
        "{}",
        "[]",
        "[1, 2]",
        '["f()"]',
        '{"answer": 42}',
        '{"name": "unknown", "parameters": {}}',
        '{"name": "F"}',
        '{"name": 1}',
        '{"type": "object", "name": "f"}',
        '{"type": "function", "parameters": {}}',
        '{"parameters": {}, "arguments": {}}',
        '{"name" "f"}',
        '{"name',
        '{"parameters": {"a": 1',
        "[unknown(a=1)]",
        "[f](https://example.org)",
        "[f(x)](https://example.org)",
        "[f(",
        "[f(a",
        "f(a=1)",
        "<function=unknown>{}</function>",
        "<function=f>a=1</function>",
        "Write <function=f> in front.",
        "<function=f",
        "</function>",
        "a < b <| c <|python",
        "<|python_tag|>",
        "<|python_tag|>print(1)",
        '<|python_tag|>{"name": "unknown"}',
        "<|python_tag|>[unknown(a=1)]",
        'brave_search.call(query="x")',
    ],
)
def test_text_that_is_no_call_comes_out_unchanged(text: str) -> None:
    parsed = parse(text)

    assert (parsed.text, parsed.calls, parsed.finish) == (text, [], Finish(FinishReason.stop))


@pytest.mark.parametrize(
    "text",
    [
        'brave_search.call(query="x") is how to search.',
        'Use brave_search.call(query="x")',
        'brave_search.call(query="x"',
        "brave_search.call(x)",
        "brave_search",
        "photogen.call(query='x')",
        "<|python_tag|> \n",
        "print(1)",
    ],
)
def test_text_that_only_quotes_a_built_in_call_comes_out_unchanged(text: str) -> None:
    parsed = parse(text, BUILTIN_TOOLS)

    assert (parsed.text, parsed.calls) == (text, [])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"name": "f", "parameters": {}} I called it.', " I called it."),
        ('{"name": "f", "parameters": {}}}', "}"),
        ('{"name": "f", "parameters": {}}; {"a": 1}', '; {"a": 1}'),
        ("[f(), unknown(a=1)]", ", unknown(a=1)]"),
        ("<function=f>{}</fun", "</fun"),
        ('<function=f>{}</function> {"name": "unknown"}', ' {"name": "unknown"}'),
    ],
)
def test_text_after_a_call_stays_text(text: str, left: str) -> None:
    parsed = parse(text)

    assert [name for name, _ in parsed.calls] == ["f"]
    assert parsed.text == left


@pytest.mark.parametrize("after", [" ", "\n\n", ";", ";\n"])
def test_separators_after_the_last_call_are_dropped(after: str) -> None:
    assert parse('{"name": "f"}' + after).text == ""


# --- broken and cut-off calls ---


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"name": "f"', "{"),
        ('{"name": "f", "para', "{"),
        ('{"name": "f", "parameters"', "{"),
        ('{"name": "f", "parameters": {"a": "b', '{"a": "b'),
        ('{"name": "f", "parameters": "{\\"a\\": ', '"{\\"a\\": '),
        ('{"name": "f", parameters: {"a": 1}}', '{parameters: {"a": 1}}'),
        ('{"name": "f", "parameters": [1]}', "[1]"),
        ('<function=f>{"a": ', '{"a": '),
        ("[f(a=", "a="),
        ("[f(a='it's')]", "a='it's')]"),
        ("[f(a=g())]", "a=g()"),
        ("[f(a=1]", "a=1"),
    ],
)
def test_arguments_that_are_broken_or_cut_off_come_out_as_no_json(text: str, arguments: str) -> None:
    parsed = parse(text)

    assert parsed.calls == [("f", arguments)]
    assert ToolCall(call_id="", tool_name="f", arguments_json=arguments).find_arguments() is None


def test_a_missing_last_brace_does_not_break_a_call() -> None:
    assert parse('{"name": "f", "parameters": {"a": 1}').calls == [("f", '{"a": 1}')]


def test_a_broken_search_behind_the_python_tag_comes_out_as_no_json() -> None:
    assert parse('<|python_tag|>brave_search.call("x")', BUILTIN_TOOLS).calls == [("brave_search", '"x"')]


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        (FinishReason.stop, '{"code": "print("}'),
        (FinishReason.end_of_message, '{"code": "print("}'),
        (FinishReason.length, '{"code": "print('),
        (FinishReason.content_filter, '{"code": "print('),
    ],
)
def test_code_that_was_cut_off_comes_out_as_no_json(reason: FinishReason, arguments: str) -> None:
    assert parse("<|python_tag|>print(", BUILTIN_TOOLS, reason).calls == [("code_interpreter", arguments)]


@pytest.mark.parametrize(
    ("reason", "with_calls", "without"),
    [
        ("stop", "tool_calls", "stop"),
        ("length", "length", "length"),
        ("end_of_message", "end_of_message", "end_of_message"),
        ("content_filter", "content_filter", "content_filter"),
        ("tool_calls", "tool_calls", "tool_calls"),
    ],
)
def test_only_stop_becomes_tool_calls(reason: str, with_calls: str, without: str) -> None:
    assert parse('{"name": "f"}', reason=FinishReason(reason)).finish == Finish(FinishReason(with_calls))
    assert parse("Hello", reason=FinishReason(reason)).finish == Finish(FinishReason(without))


# --- when things come ---


def test_the_name_is_announced_before_the_arguments_come() -> None:
    parser = new_parser(TOOLS)

    events: list[list[InferenceEvent]] = [
        [*parser.feed(piece)]
        for piece in ('{"na', 'me": "get_w', 'eather"', ', "parameters": {"ci', 'ty": "Pa', 'ris"}', "}")
    ]

    assert events == [
        [],
        [],
        [ToolCallStart(0, "call-0", "get_weather")],
        [ToolCallDelta(0, '{"ci')],
        [ToolCallDelta(0, 'ty": "Pa')],
        [ToolCallDelta(0, 'ris"}')],
        [],
    ]


def test_code_is_streamed_as_it_comes() -> None:
    parser = new_parser(BUILTIN_TOOLS)

    events = [parser.feed(piece) for piece in ("<|python_tag|>", "pri", 'nt("', '\n")')]

    assert events == [
        [],
        [ToolCallStart(0, "call-0", "code_interpreter"), ToolCallDelta(0, '{"code": "'), ToolCallDelta(0, "pri")],
        [ToolCallDelta(0, 'nt(\\"')],
        [ToolCallDelta(0, '\\n\\")')],
    ]


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        (["Hel", "lo {", '"name": "f"}'], ["Hel", "lo {", '"name": "f"}']),
        (["{", '"an', "swer", '": 1'], ["", '{"an', "swer", '": 1']),
        (['{"name": "', "get_", "x", "y"], ["", "", '{"name": "get_x', "y"]),
        (["[", "1"], ["", "[1"]),
        (["a <", "fun", "ny>"], ["a ", "", "<funny>"]),
        (["a <", "b"], ["a ", "<b"]),
        ([" ", "\n", "a"], ["", "", " \na"]),
        (["f", "oo"], ["f", "oo"]),
    ],
)
def test_text_is_held_back_only_while_it_may_become_a_call(pieces: list[str], texts: list[str]) -> None:
    parser = new_parser(TOOLS)

    released = ["".join(event.text for event in parser.feed(piece) if isinstance(event, TextDelta)) for piece in pieces]

    assert released == texts


@pytest.mark.parametrize("piece", ["{", "[", "<", " ", "<|python_tag|>", '{"name": "f"}', '<function=f>{"a": 1}'])
def test_without_tools_nothing_is_held_back(piece: str) -> None:
    assert ToolCallParser([]).feed(piece) == [TextDelta(piece)]


def test_an_empty_piece_makes_no_event() -> None:
    assert ToolCallParser(TOOLS).feed("") == []


@pytest.mark.parametrize(
    ("begin", "filler"),
    [("", " "), ('{"parameters": "', "x"), ('{"arguments": {"a": [', "1,"), ("brave_search.call(a='", "x")],
)
def test_more_undecided_text_than_the_limit_is_text(begin: str, filler: str) -> None:
    parser = new_parser(BUILTIN_TOOLS)
    text = begin + filler * (MAX_HELD_CHARS + 1)

    released = "".join(event.text for event in parser.feed(text) if isinstance(event, TextDelta))

    assert released == text


def test_longer_python_arguments_than_the_limit_come_out_as_no_json() -> None:
    arguments = f"a='{'x' * MAX_HELD_CHARS}'"

    parsed = parse(f"[f({arguments}), f(a=1)]")

    assert parsed.calls == [("f", arguments), ("f", '{"a":1}')]


def test_a_choice_s_events_carry_its_index() -> None:
    parser = ToolCallParser(TOOLS, choice=3)

    events = [*parser.feed("a<function=f>{}"), *parser.finish(FinishReason.stop, "###")]

    assert [event.choice for event in events] == [3, 3, 3, 3]
    assert events[-1] == Finish(FinishReason.tool_calls, 3, "###")


def test_call_ids_are_uuids_by_default() -> None:
    start = ToolCallParser(TOOLS).feed('{"name": "f"')[0]

    assert isinstance(start, ToolCallStart)
    assert UUID(start.call_id).version == 4


# --- log probabilities ---


def test_text_that_is_passed_on_keeps_its_log_probabilities() -> None:
    parser = new_parser(TOOLS)

    assert parser.feed("Hello", tokens("Hel", "lo")) == [TextDelta("Hello", logprobs=tokens("Hel", "lo"))]


def test_text_that_was_held_back_comes_with_all_its_log_probabilities() -> None:
    parser = new_parser(TOOLS)

    events = [parser.feed(piece, tokens(piece)) for piece in ('{"', "x", '": 1')]

    assert events == [[], [TextDelta('{"x', logprobs=tokens('{"', "x"))], [TextDelta('": 1', logprobs=tokens('": 1'))]]


def test_the_log_probabilities_of_a_call_are_dropped() -> None:
    parser = new_parser(TOOLS)

    events = [
        *parser.feed("Hi<function=f>{}</function>!", tokens("Hi", "<function=", "f>{}</function>", "!")),
        *parser.finish(FinishReason.stop),
    ]

    assert [event for event in events if isinstance(event, TextDelta)] == [
        TextDelta("Hi", logprobs=tokens("Hi")),
        TextDelta("!", logprobs=tokens("!")),
    ]


def test_a_token_comes_out_with_the_text_that_it_begins_in() -> None:
    parser = new_parser(TOOLS)

    events = [*parser.feed("a <", tokens("a", " <")), *parser.feed("b", tokens("b"))]

    assert events == [TextDelta("a ", logprobs=tokens("a", " <")), TextDelta("<b", logprobs=tokens("b"))]


def test_a_token_without_text_comes_out_at_once() -> None:
    parser = new_parser(TOOLS)
    parser.feed("a", tokens("a"))

    assert parser.feed("", tokens("")) == [TextDelta("", logprobs=tokens(""))]


def test_tokens_that_don_t_spell_the_piece_come_out_with_its_beginning() -> None:
    parser = new_parser(TOOLS)

    events = [*parser.feed("ab<", tokens("\u2581a", "b<"))]

    assert events == [TextDelta("ab", logprobs=tokens("\u2581a", "b<"))]


# --- whole answers ---


def test_a_whole_answer_is_parsed_at_once() -> None:
    text, calls, reason = parse_tool_calls(
        "Wait.<|python_tag|>[f(a=1), get_weather()]", TOOLS, FinishReason.stop, new_call_id=lambda: "x"
    )

    assert text == "Wait."
    assert calls == [
        ToolCall(call_id="x", tool_name="f", arguments_json='{"a":1}'),
        ToolCall(call_id="x", tool_name="get_weather", arguments_json=""),
    ]
    assert reason is FinishReason.tool_calls


@pytest.mark.parametrize(
    ("text", "rest", "reason"),
    [
        ("Hi<|eot_id|>", "Hi", "stop"),
        ("Hi<|eom_id|>", "Hi", "end_of_message"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>", "Hi", "stop"),
        ("Hi", "Hi", "length"),
        ('{"name": "f"}<|eot_id|>', "", "tool_calls"),
        ('<|python_tag|>{"name": "f"}<|eom_id|>', "", "end_of_message"),
    ],
)
def test_control_tokens_around_a_whole_answer_are_understood(text: str, rest: str, reason: str) -> None:
    found, _, said = parse_tool_calls(text, TOOLS, FinishReason.length)

    assert (found, said) == (rest, FinishReason(reason))
