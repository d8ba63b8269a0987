"""A hostile chat template gets nowhere, and gets there soon."""

import threading
from typing import Any

import pytest

from hitchpost_meta_reference.engine import template_sandbox
from hitchpost_meta_reference.engine.chat_template import ChatTemplate
from hitchpost_meta_reference.engine.errors import ChatTemplateError

USER = [{"role": "user", "content": "Hi"}]


def render(source: str, content: Any = "Hi") -> str:
    return "".join(map(str, ChatTemplate({"default": source}, [], {}).render([{"role": "user", "content": content}])))


def growing(step: str, start: str = "'ab'") -> str:
    """Does `step` 60 times to `ns.x`."""
    return f"{{% set ns = namespace(x={start}) %}}{{% for i in range(60) %}}{{% set ns.x = {step} %}}{{% endfor %}}{{{{ ns.x }}}}"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ ''.__class__.__mro__ }}", id="class of a text"),
        pytest.param("{{ '{x.__class__}'.format_map({'x': ''}) }}", id="class in a format map"),
        pytest.param("{{ cycler.__init__.__globals__ }}", id="globals of a class"),
        pytest.param("{{ namespace(__class__=1) }}", id="private name in a namespace"),
        pytest.param("{% set ns = namespace() %}{% set ns.__init__ = 1 %}", id="private name set"),
        pytest.param("{{ messages.append(1) }}", id="changing the messages"),
        pytest.param("{{ messages[0].update(role='system') }}", id="changing a message"),
        pytest.param("{% include 'config.json' %}", id="including a file"),
        pytest.param("{% import 'os' as os %}", id="importing"),
        pytest.param("{% extends 'base' %}", id="extending"),
        pytest.param("{{ dict.__subclasses__() }}", id="subclasses"),
        pytest.param("{{ 'a'.encode() }}", id="bytes"),
    ],
)
def test_template_reaches_nothing_but_the_conversation(source: str) -> None:
    with pytest.raises(ChatTemplateError):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ ''['__class__'] }}", id="class as a key"),
        pytest.param("{{ '' | attr('__class__') }}", id="class by a filter"),
        pytest.param("{{ ['' ] | map(attribute='__class__') | list }}", id="class by map"),
        pytest.param("{{ '{0.__class__}'.format('') }}", id="class in a format"),
        pytest.param("{{ raise_exception.__globals__ }}", id="globals of a function"),
        pytest.param("{{ strftime_now.__code__ }}", id="code of a function"),
        pytest.param("{{ self.__init__ }}", id="the template itself"),
        pytest.param("{{ loop.__class__ }}", id="the loop"),
        pytest.param("{% set ns = namespace() %}{{ ns.__class__ }}", id="class of a namespace"),
    ],
)
def test_what_is_private_is_undefined(source: str) -> None:
    assert render(source) in ("", "[Undefined]")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ 'x' * 10**9 }}", id="a text repeated"),
        pytest.param("{{ 10**9 * 'x' }}", id="a text repeated from the left"),
        pytest.param("{{ ([0] * 10**9) | length }}", id="a list repeated"),
        pytest.param(growing("ns.x ~ ns.x"), id="a text joined to itself"),
        pytest.param(growing("ns.x + ns.x"), id="a text added to itself"),
        pytest.param(growing("ns.x + ns.x", "[1]"), id="a list added to itself"),
        pytest.param(growing("[ns.x, ns.x]"), id="a list of itself twice"),
        pytest.param(growing("(ns.x, ns.x)"), id="a tuple of itself twice"),
        pytest.param(growing("{'a': ns.x, 'b': ns.x}"), id="a table of itself twice"),
        pytest.param(growing("dict(a=ns.x, b=ns.x)"), id="a table made by a call"),
        pytest.param(growing("(ns.x + ns.x) | batch(1000) | list", "[1]"), id="batches of itself"),
        pytest.param(growing("[ns.x, ns.x] | tojson"), id="JSON of itself"),
        pytest.param(growing("'%s%s' % (ns.x, ns.x)"), id="formatted with itself"),
        pytest.param(growing("'{0}{0}'.format(ns.x)"), id="formatted with itself by a method"),
        pytest.param(growing("[ns.x, ns.x] | join"), id="joined with itself by a filter"),
        pytest.param(growing("ns.x.join([ns.x, ns.x])"), id="joined with itself by a method"),
        pytest.param(growing("ns.x | replace('a', ns.x)"), id="replaced by itself"),
        pytest.param(growing("ns.x.replace('a', ns.x)"), id="replaced by itself by a method"),
        pytest.param(growing("ns.x | e", "'&&&&' * 1000000"), id="escaped again and again"),
        pytest.param("{{ 'x' | center(10**9) }}", id="centred"),
        pytest.param("{{ 'x'.center(10**9) }}", id="centred by a method"),
        pytest.param("{{ 'x'.ljust(10**9) }}", id="filled up"),
        pytest.param("{{ '1'.zfill(10**9) }}", id="filled with zeros"),
        pytest.param("{{ '\\t'.expandtabs(10**9) }}", id="tabs"),
        pytest.param("{{ 'x'.translate({120: 'y' * 100000}) }}", id="translated"),
        pytest.param("{{ ('\\n' * 1000000) | indent(9999, true) }}", id="indented"),
        pytest.param("{{ ('\\n' * 100000) | indent('x' * 100000) }}", id="indented by a text"),
        pytest.param("{{ [1] | tojson(indent=10**9) }}", id="JSON indented"),
        pytest.param("{{ ['a'] | batch(10**9, 'x') | list }}", id="a batch filled up"),
        pytest.param("{{ ['a'] | slice(10**9) | list }}", id="slices"),
        pytest.param("{{ ('x' * 4000000).replace('x', 'y' * 4000000) }}", id="replaced"),
        pytest.param("{{ ('x' * 4000) | replace('', 'y' * 40000) }}", id="replaced between all letters"),
        pytest.param("{{ (['x'] * 100000) | join('y' * 100000) }}", id="a long separator"),
        pytest.param("{{ '%1000000000d' % 5 }}", id="a wide format"),
        pytest.param("{{ '%*d' % (10**9, 5) }}", id="a format of a given width"),
        pytest.param("{{ '%.1000000000f' % 5 }}", id="a precise format"),
        pytest.param("{{ '%(a)1000000000d' | format(a=5) }}", id="a wide format by a filter"),
        pytest.param("{{ '{:>1000000000}'.format(1) }}", id="a wide field"),
        pytest.param("{{ '{:>{}}'.format(1, 10**9) }}", id="a field of a given width"),
        pytest.param("{{ 9 ** (9 ** 9) }}", id="a power"),
        pytest.param(growing("ns.x * ns.x", "7"), id="a square of a square"),
        pytest.param("{{ 1.5 | round(10**9) }}", id="rounded to many places"),
        pytest.param("{{ (5).to_bytes(10**9, 'big') }}", id="a number's bytes"),
        pytest.param("{{ range(10**9) | list }}", id="a long range"),
        pytest.param("{{ lipsum(n=10**6) }}", id="a text made up"),
        pytest.param("{{ range(100000) | map('string') | map('center', 9999) | list | length }}", id="many long texts"),
    ],
)
def test_template_that_makes_a_giant_value_is_stopped_before_it_is_made(source: str) -> None:
    with pytest.raises(ChatTemplateError):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", id="a loop in a loop"
        ),
        pytest.param(
            "{% macro f(n) %}{% if n < 60 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(1) }}",
            id="a macro that calls itself twice",
        ),
        pytest.param(
            "{% for x in [1, 2] recursive %}{% if loop.depth < 60 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
            id="a loop that calls itself twice",
        ),
        pytest.param(
            "{% for a in range(99999) %}{{ ('x' * 1000000 + 'y') == ('x' * 1000000 + a | string) }}{% endfor %}",
            id="long comparisons",
        ),
    ],
)
def test_template_that_does_not_end_is_stopped(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_sandbox, "MAX_RENDER_CPU_S", 0.2)

    with pytest.raises(ChatTemplateError, match="what no template may"):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(1) }}", id="a macro that calls itself"),
        pytest.param("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", id="a loop that calls itself"),
    ],
)
def test_endless_recursion_is_refused(source: str) -> None:
    with pytest.raises(ChatTemplateError, match="RecursionError"):
        render(source)


def test_long_conversation_is_within_the_bounds() -> None:
    source = (
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
        "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}"
        "{{ '<' + m.role + '>' ~ m.content | trim }}{% endfor %}{{ ns.n }}"
    )
    template = ChatTemplate({"default": source}, [], {})

    prompt = "".join(map(str, template.render([{"role": "user", "content": " " + "long " * 1000}] * 300)))

    assert prompt.endswith("long300")


def test_large_text_passes() -> None:
    assert len(render("{{ messages[0].content | trim | replace('b', 'c') }}", "a" * 10_000_000)) == 10_000_000


def test_renderings_in_several_threads_have_bounds_of_their_own() -> None:
    template = ChatTemplate({"default": "{% for i in range(20000) %}{{ i }} {% endfor %}"}, [], {})
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.append(len("".join(map(str, template.render(USER)))))) for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert results == [108_890] * 4


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("{{ '%05d|%s|%.2f' % (7, 'a', 1.5) }}", "00007|a|1.50", id="formats"),
        pytest.param("{{ '{:>5}|{x}'.format('a', x=1) }}", "    a|1", id="fields"),
        pytest.param("{{ ['b', 'a'] | sort | join(', ') }}", "a, b", id="sorting and joining"),
        pytest.param(
            "{{ {'a': [1, 2.5, none]} | tojson(indent=2) }}",
            '{\n  "a": [\n    1,\n    2.5,\n    null\n  ]\n}',
            id="JSON",
        ),
        pytest.param("{{ 'x' * 3 ~ 2 ** 10 }}", "xxx1024", id="arithmetic"),
        pytest.param("{{ [1, 2, 3, 4] | batch(2) | map('join', '-') | join('+') }}", "1-2+3-4", id="batches"),
        pytest.param("{{ 'a b c'.split() | map('upper') | list }}", "['A', 'B', 'C']", id="mapping"),
        pytest.param("{{ namespace(a=1).a }}{{ dict(a=2).a }}", "12", id="namespaces and tables"),
        pytest.param("{% for a, b in {'x': 1}.items() %}{{ a }}{{ b }}{% else %}no{% endfor %}", "x1", id="items"),
        pytest.param(
            "{% for x in [1, 2, 3] if x != 2 %}{{ loop.index }}/{{ loop.length }} {% endfor %}", "1/2 2/2 ", id="loops"
        ),
        pytest.param("{{ 'one\ntwo' | indent(2, true) }}", "  one\n  two", id="indenting"),
        pytest.param("{% set j = joiner(',') %}{{ j() }}a{{ j() }}b", "a,b", id="joiners"),
        pytest.param("{{ nothing }}{{ none }}{{ true }}", "NoneTrue", id="nothing"),
    ],
)
def test_bounds_leave_what_templates_do_as_it_is(source: str, expected: str) -> None:
    assert render(source) == expected
