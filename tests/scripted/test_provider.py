"""What `inline::scripted` answers, through the methods that the host calls."""

import math
import tracemalloc
from typing import Any

import pytest

from hitchpost.api import (
    Finish,
    FinishReason,
    Model,
    ReasoningDelta,
    RequestContext,
    TextDelta,
    Usage,
)
from hitchpost.errors import (
    BadRequestError,
)
from hitchpost.plugin import collect_chat
from hitchpost.plugin.discovery import PluginSelection, PluginState, discover_plugins
from tests.scripted.conftest import MakeProvider
from tests.scripted.requests import CALL_RULE, WEATHER, chat, collected, completion, figures, texts, tool_result

# --- rules ---


async def test_without_a_script_the_last_message_is_echoed(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    answer = await scripted_provider().chat_completion(chat("first", "say it again"), context)

    assert answer.choices[0].text == "say it again"
    assert answer.choices[0].finish_reason is FinishReason.stop


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("I am Ada", "Hello Ada, that is $5."),
        ("anything else", "What?"),
    ],
)
async def test_first_rule_that_fits_answers_with_the_groups_of_its_match(
    asked: str, answered: str, scripted_provider: MakeProvider, context: RequestContext
) -> None:
    script = [{"when": r"I am (?P<name>\w+)", "text": "Hello $name, that is $5."}, {"text": "What?"}]

    answer = await scripted_provider(script=script).chat_completion(chat(asked), context)

    assert answer.choices[0].text == answered


async def test_rule_with_times_is_passed_over_once_it_was_used_up(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"text": "once", "times": 1}, {"text": "ever after"}])

    answers = [(await provider.chat_completion(chat("go"), context)).choices[0].text for _ in range(3)]

    assert answers == ["once", "ever after", "ever after"]


async def test_result_of_a_tool_is_answered_by_rules_for_tools_only(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    script = [CALL_RULE, {"when": "(?P<degrees>[0-9]+)", "to": "tool", "text": "It has $degrees degrees."}]
    request = chat("weather in Oslo", tool_result("12 degrees"), tools=[WEATHER])

    answer = await scripted_provider(script=script).chat_completion(request, context)

    assert answer.choices[0].text == "It has 12 degrees."
    assert answer.choices[0].tool_calls == []


async def test_retrieved_context_of_the_user_counts_as_said(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    message = {"role": "user", "content": "who?", "context": "It was Ada."}

    answer = await scripted_provider().chat_completion(chat(message), context)

    assert answer.choices[0].text == "who?\nIt was Ada."


async def test_reasoning_comes_before_text_and_refusal_is_told_apart(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(
        script=[{"when": "bad", "refusal": "I won't."}, {"reasoning": "Let me think.", "text": "Yes."}]
    )

    reasoned = await collected(provider.stream_chat_completion(chat("good"), context))
    refused = await provider.chat_completion(chat("bad"), context)

    assert [type(event) for event in reasoned] == [ReasoningDelta] * 3 + [TextDelta, Usage, Finish]
    assert (refused.choices[0].refusal, refused.choices[0].text) == ("I won't.", "")


async def test_finish_of_a_rule_is_the_reason_of_a_whole_answer(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"text": "cut by a filter", "finish": "content_filter"}])

    answer = await provider.chat_completion(chat("go"), context)

    assert answer.choices[0].finish_reason is FinishReason.content_filter


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"text": "a", "echo": True}, "text and echo exclude each other"),
        ({"when": "x"}, "the rule answers nothing"),
        ({"when": "(", "text": "a"}, "script.0.when"),
        ({"text": "a", "colour": "red"}, "script.0.colour"),
        ({"fault": {"kind": "error", "code": "meteor"}}, "no error has the code 'meteor'"),
        ({"text": "a", "pace": {"token_s": -1}}, "script.0.pace.token_s"),
        ({"text": "a", "repeat": 10**9}, "script.0.repeat"),
    ],
)
def test_rule_that_makes_no_sense_is_refused_by_name(
    rule: dict[str, Any], named: str, scripted_provider: MakeProvider
) -> None:
    with pytest.raises(ValueError) as refused:
        scripted_provider(script=[rule])

    assert named in str(refused.value)


# --- limits of the request ---


@pytest.mark.parametrize(
    ("sampling", "text", "reason", "stop_text"),
    [
        ({"max_tokens": 2}, "one two", FinishReason.length, None),
        ({"max_tokens": 4}, "one two three four", FinishReason.stop, None),
        ({"stop": ["o th"]}, "one tw", FinishReason.stop, "o th"),
        ({"stop": ["four", "three"]}, "one two ", FinishReason.stop, "three"),
        ({"stop": ["two three", "two"]}, "one ", FinishReason.stop, "two"),
        ({"stop": ["one"]}, "", FinishReason.stop, "one"),
        ({"stop": ["five"]}, "one two three four", FinishReason.stop, None),
        ({"stop": ["three"], "max_tokens": 2}, "one two", FinishReason.length, None),
    ],
)
async def test_answer_ends_at_the_limit_or_before_the_stop_string(
    sampling: dict[str, Any], text: str, reason: FinishReason, stop_text: str | None,
    scripted_provider: MakeProvider, context: RequestContext,
) -> None:  # fmt: skip
    provider = scripted_provider(script=[{"text": "one two three four"}])

    answer = await provider.chat_completion(chat("go", sampling_params=sampling), context)

    [choice] = answer.choices
    assert (choice.text, choice.finish_reason, choice.stop_text) == (text, reason, stop_text)


async def test_choices_differ_and_take_turns(scripted_provider: MakeProvider, context: RequestContext) -> None:
    provider = scripted_provider(script=[{"text": "one two"}])

    events = await collected(provider.stream_chat_completion(chat("go", sampling_params={"n": 3}), context))

    assert [event.choice for event in events if isinstance(event, TextDelta)][:6] == [0, 1, 2, 0, 1, 2]
    assert ["".join(texts(events, choice)) for choice in range(3)] == ["one two", "one two (2)", "one two (3)"]
    assert sorted(event.choice for event in events if isinstance(event, Finish)) == [0, 1, 2]


async def test_usage_counts_words_of_the_prompt_and_of_all_choices(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"text": "one two three"}])
    request = chat({"role": "system", "content": "be short"}, "and now go", sampling_params={"n": 2, "max_tokens": 2})

    answer = await provider.chat_completion(request, context)

    assert answer.usage == Usage(prompt_tokens=5, completion_tokens=4)


@pytest.mark.parametrize("top_k", [0, 1, 5, 20])
async def test_logprobs_have_the_chosen_token_first_and_sum_to_less_than_one(
    top_k: int, scripted_provider: MakeProvider, context: RequestContext
) -> None:
    request = chat("grüße the world", logprobs={"top_k": top_k})

    answer = await scripted_provider().chat_completion(request, context)
    again = await scripted_provider().chat_completion(request, context)

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs == again.choices[0].logprobs
    assert [bytes(token.bytes or ()).decode() for token in logprobs] == ["grüße", " the", " world"]
    tops = [token.top or [] for token in logprobs]
    assert [len(top) for top in tops] == [top_k] * 3
    assert [(top[0].token, top[0].logprob) for top in tops if top] == [
        (token.token, token.logprob) for token in logprobs if top_k
    ]
    assert all(math.fsum(math.exp(entry.logprob) for entry in top) < 1 + 1e-9 for top in tops)
    assert all(len({entry.token for entry in top}) == len(top) for top in tops)


async def test_repeat_makes_long_answers(scripted_provider: MakeProvider, context: RequestContext) -> None:
    provider = scripted_provider(script=[{"text": "tick ", "repeat": 1000}])

    answer = await provider.chat_completion(chat("go"), context)

    assert answer.choices[0].text == "tick " * 1000


async def test_long_answer_is_made_one_event_at_a_time(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"text": "tick ", "repeat": 100_000}])
    stream = provider.stream_chat_completion(chat("go"), context)
    tracemalloc.start()

    events = [await anext(stream) for _ in range(100)]
    _, most_bytes = tracemalloc.get_traced_memory()

    tracemalloc.stop()
    await stream.aclose()
    assert texts(events) == ["tick", *[" tick"] * 99]
    assert most_bytes < 10 * len("tick ") * 100_000


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ({"text": "one two three"}, {}),
        ({"text": "one two three"}, {"sampling_params": {"n": 3, "max_tokens": 2}}),
        ({"text": "one two three"}, {"sampling_params": {"stop": ["two"]}, "logprobs": {"top_k": 2}}),
        ({"reasoning": "Let me think.", "text": "Yes."}, {}),
        ({"refusal": "I won't."}, {}),
        ({"tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]}, {"tools": [WEATHER]}),
        ({"echo": True}, {"response_format": {"type": "json_object"}}),
    ],
)
@pytest.mark.parametrize("burst_tokens", [1, 3, 100])
async def test_whole_answer_is_what_the_stream_spells_however_it_is_paced(
    burst_tokens: int, rule: dict[str, Any], fields: dict[str, Any],
    scripted_provider: MakeProvider, context: RequestContext,
) -> None:  # fmt: skip
    provider = scripted_provider(script=[rule | {"pace": {"burst_tokens": burst_tokens}}])
    request = chat("go", **fields)

    whole = await provider.chat_completion(request, context)
    streamed = await collect_chat(provider.stream_chat_completion(request, context), request.sampling_params.n)

    assert whole == streamed
    counted = figures(provider)
    assert (counted["requests_total"], counted["streams_running"], counted["cancelled_total"]) == (2, 0, 0)
    assert counted["events_total"] % 2 == 0


# --- completion ---


async def test_completion_continues_the_prompt_and_may_repeat_it(
    scripted_provider: MakeProvider, context: RequestContext
) -> None:
    provider = scripted_provider(script=[{"when": "roses", "text": " are red"}])

    answer = await provider.completion(completion("roses", echo=True, sampling_params={"n": 2}), context)

    assert [choice.text for choice in answer.choices] == ["roses are red", "roses are red (2)"]


async def test_completion_says_a_refusal_as_text(scripted_provider: MakeProvider, context: RequestContext) -> None:
    provider = scripted_provider(script=[{"reasoning": "Hm.", "refusal": "No."}])

    events = [event async for event in provider.stream_completion(completion("go"), context)]

    assert events == [TextDelta("No."), Usage(1, 1), Finish(FinishReason.stop)]


# --- models and the plugin ---


async def test_models_of_the_config_are_listed(scripted_provider: MakeProvider) -> None:
    models = await scripted_provider(models=["a", "b"]).list_models()

    assert [model.provider_resource_id for model in models] == ["a", "b"]


async def test_unknown_model_is_refused_with_what_is_served(scripted_provider: MakeProvider) -> None:
    provider = scripted_provider(models=["a", "b"])

    with pytest.raises(BadRequestError, match="does not serve 'c'; it serves a, b"):
        await provider.register_model(Model(identifier="mine", provider_resource_id="c"), None)

    assert figures(provider)["registered_models"] == 0


async def test_registrations_are_remembered_until_they_end(scripted_provider: MakeProvider) -> None:
    provider = scripted_provider(accept_any_model=True)
    model = Model(identifier="mine", provider_resource_id="whatever")

    await provider.register_model(model, None)
    while_registered = figures(provider)["registered_models"]
    await provider.unregister_model(model, None)

    assert (while_registered, figures(provider)["registered_models"]) == (1, 0)


def test_plugin_is_found_by_its_entry_point() -> None:
    plugins = discover_plugins(PluginSelection(allow=["scripted"]))

    [report] = [report for report in plugins.reports if report.name == "scripted"]
    assert (report.state, report.warnings, report.distribution) == (PluginState.loaded, [], "hitchpost")
    assert {(spec.api, spec.provider_type) for spec in report.provider_specs} == {
        (api, "inline::scripted") for api in ("inference", "safety", "memory", "agents")
    }
    assert report.presets == ()
