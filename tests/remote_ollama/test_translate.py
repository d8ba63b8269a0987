"""Requests into Ollama's form."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitchpost.api import ChatCompletionRequest, CompletionRequest, EmbeddingsRequest, SamplingParams
from hitchpost.errors import BadRequestError, HitchpostError, UnsupportedError
from hitchpost_remote_ollama.model_settings import ModelFacts, ModelSettings
from hitchpost_remote_ollama.translate import chat_body, completion_body, embeddings_body, sampling_options
from tests.fakes.ollama.refusals import check_options

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
NOTHING_KNOWN = ModelFacts()


def chat(
    *messages: dict[str, Any],
    settings: ModelSettings | None = None,
    facts: ModelFacts = NOTHING_KNOWN,
    truncate: bool = False,
    **fields: Any,
) -> dict[str, Any]:
    """The body for a conversation."""
    conversation = list(messages) or [{"role": "user", "content": "hi"}]
    request = ChatCompletionRequest.model_validate({"model_id": "m", "messages": conversation, **fields})
    return chat_body(request, "tiny", settings or ModelSettings(), facts, truncate=truncate)


def options(**fields: Any) -> dict[str, Any]:
    """The options of sampling parameters."""
    return sampling_options(SamplingParams.model_validate(fields))


# --- messages ---


def test_every_role_is_written_in_ollamas_words() -> None:
    call = {"call_id": "c1", "tool_name": "lunge", "arguments": {"pace": "trot", "ring": {"size": 20}}}

    body = chat(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": ["Lunge", "him."], "context": "He is lame."},
        {"role": "assistant", "content": "", "stop_reason": "end_of_turn", "tool_calls": [call]},
        {"role": "ipython", "call_id": "c1", "tool_name": "lunge", "content": "done"},
    )

    function = {"name": "lunge", "arguments": {"pace": "trot", "ring": {"size": 20}}}
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Lunge him.\n\nHe is lame."},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "content": "done", "tool_name": "lunge", "tool_call_id": "c1"},
    ]


def test_images_stand_beside_the_text_as_bare_base64() -> None:
    image = {"image": {"uri": f"data:image/png;base64,{PIXEL}"}}

    body = chat({"role": "user", "content": ["Look:", image, "what is it?"]})

    assert body["messages"] == [{"role": "user", "content": "Look: what is it?", "images": [PIXEL]}]


def test_percent_signs_of_a_data_url_are_decoded() -> None:
    escaped = PIXEL.replace("=", "%3D").replace("+", "%2B").replace("/", "%2F")

    body = chat({"role": "user", "content": {"image": {"uri": f"DATA:image/png;base64,{escaped}"}}})

    assert body["messages"][0]["images"] == [PIXEL]


@pytest.mark.parametrize(
    ("uri", "error", "why"),
    [
        ("https://example.org/horse.png", UnsupportedError, "fetches no images"),
        ("file:///etc/passwd", UnsupportedError, "fetches no images"),
        ("data:image/svg+xml,%3Csvg%3E", BadRequestError, "must be base64"),
        ("data:image/png;base64", BadRequestError, "must be base64"),
    ],
)
def test_image_that_ollama_cannot_be_sent_is_refused_by_its_message(
    uri: str, error: type[HitchpostError], why: str
) -> None:
    with pytest.raises(error, match=why) as refused:
        chat({"role": "system", "content": "x"}, {"role": "user", "content": {"image": {"uri": uri}}})

    assert refused.value.param == "messages.1.content"


def test_arguments_that_are_no_object_are_refused_by_their_call() -> None:
    call = {"call_id": "c1", "tool_name": "lunge", "arguments": '{"pace": '}

    with pytest.raises(BadRequestError, match="c1") as refused:
        chat({"role": "assistant", "content": "", "stop_reason": "end_of_turn", "tool_calls": [call]})

    assert refused.value.param == "messages.0.tool_calls.0.arguments"


# --- tools ---

LUNGE = {"tool_name": "lunge", "description": "Lunges.", "parameters": {"pace": {"param_type": "str"}}}


def test_tools_are_functions_with_a_schema() -> None:
    [tool] = chat(tools=[LUNGE])["tools"]

    schema = {"type": "object", "properties": {"pace": {"type": "string"}}, "required": ["pace"]}
    assert tool == {"type": "function", "function": {"name": "lunge", "description": "Lunges.", "parameters": schema}}


@pytest.mark.parametrize(("name", "argument"), [("brave_search", "query"), ("code_interpreter", "code")])
def test_builtin_tools_are_told_with_their_argument(name: str, argument: str) -> None:
    [tool] = chat(tools=[{"tool_name": name}])["tools"]

    assert list(tool["function"]["parameters"]["properties"]) == [argument]


def test_forbidden_tools_are_not_offered() -> None:
    assert "tools" not in chat(tools=[LUNGE], tool_choice="none")


@pytest.mark.parametrize("form", ["function_tag", "python_list"])
def test_tool_prompt_format_of_llama_is_unsupported(form: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        chat(tools=[LUNGE], tool_prompt_format=form)

    assert refused.value.param == "tool_prompt_format"


# --- sampling ---


def test_what_the_caller_did_not_say_is_left_to_the_model() -> None:
    assert chat() == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hi"}],
        "truncate": False,
        "shift": False,
    }


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 5}, {"temperature": 0.5, "top_p": 0.9, "top_k": 5}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": None, "top_p": None}, {}),
        ({"strategy": "greedy", "temperature": 1}, {"temperature": 0}),
        ({"strategy": "top_p", "top_p": 0.5}, {"top_p": 0.5, "top_k": 0}),
        ({"strategy": "top_k", "top_k": 3}, {"top_k": 3, "top_p": 1.0}),
        ({"strategy": "top_k", "top_k": 3, "top_p": 0.5}, {"top_k": 3, "top_p": 0.5}),
        ({"max_tokens": 7}, {"num_predict": 7}),
        ({"max_tokens": 0}, {}),
        ({"repetition_penalty": 1.2}, {"repeat_penalty": 1.2}),
        ({"repetition_penalty": 0}, {"repeat_penalty": 1.0}),
        (
            {"presence_penalty": 0.5, "frequency_penalty": -0.5},
            {"presence_penalty": 0.5, "frequency_penalty": -0.5},
        ),
        ({"presence_penalty": 0, "frequency_penalty": 0}, {}),
        ({"seed": 42}, {"seed": 42}),
        ({"seed": -1}, {"seed": 2**31 - 1}),
        ({"stop": ["END"]}, {"stop": ["END"]}),
        ({"stop": []}, {}),
    ],
)
def test_sampling_parameters_become_options(said: dict[str, Any], sent: dict[str, Any]) -> None:
    assert options(**said) == sent


def test_stop_strings_of_a_request_come_beside_the_models_own() -> None:
    facts = ModelFacts(stops=("<|eot|>", "END"))

    body = chat(facts=facts, sampling_params={"stop": ["END", "DONE"]})

    assert body["options"]["stop"] == ["END", "DONE", "<|eot|>"]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "strategy": st.sampled_from(["greedy", "top_p", "top_k"]),
            "temperature": st.none() | st.floats(0, 100),
            "top_p": st.none() | st.floats(0, 1),
            "top_k": st.none() | st.integers(0, 2**31 - 1),
            "max_tokens": st.none() | st.integers(0, 10**9),
            "repetition_penalty": st.none() | st.just(0) | st.floats(0.01, 100),
            "stop": st.none() | st.lists(st.text(min_size=1), max_size=3),
            "seed": st.none() | st.integers(-(2**63), 2**63 - 1),
            "presence_penalty": st.floats(-2, 2),
            "frequency_penalty": st.floats(-2, 2),
        },
    )
)
def test_options_have_the_types_that_ollama_insists_on(said: dict[str, Any]) -> None:
    sent = options(**said)

    check_options(json.loads(json.dumps(sent)))
    assert 0 <= sent.get("seed", 0) < 2**31


# --- form, settings, thinking ---


def test_schema_is_the_format_itself_and_is_told_to_the_model() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}

    body = chat(response_format={"type": "json_schema", "json_schema": schema})

    assert body["format"] == schema
    assert '"age"' in body["messages"][-1]["content"]


def test_json_object_is_ollamas_json_mode() -> None:
    assert chat(response_format={"type": "json_object"})["format"] == "json"


def test_logprobs_are_asked_for_with_their_alternatives() -> None:
    body = chat(logprobs={"top_k": 3})

    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)


def test_settings_of_the_model_are_sent_with_each_request() -> None:
    body = chat(settings=ModelSettings(num_ctx=8192, keep_alive="10m"), sampling_params={"seed": 1})

    assert body["options"] == {"seed": 1, "num_ctx": 8192}
    assert body["keep_alive"] == "10m"


def test_truncation_is_only_allowed_where_the_config_allows_it() -> None:
    body = chat(truncate=True)

    assert (body["truncate"], body["shift"]) == (True, True)


@pytest.mark.parametrize(
    ("think", "can", "sent"),
    [
        (True, {"completion", "thinking"}, True),
        (True, None, True),
        (True, {"completion"}, None),
        ("low", {"completion", "thinking"}, "low"),
        (False, {"completion"}, False),
        (None, {"completion", "thinking"}, None),
    ],
)
def test_thinking_is_asked_only_of_models_that_can(think: Any, can: set[str] | None, sent: Any) -> None:
    facts = ModelFacts(can=None if can is None else frozenset(can))

    assert chat(settings=ModelSettings(think=think), facts=facts).get("think") == sent


# --- completion and embeddings ---


def completion(content: Any, **fields: Any) -> dict[str, Any]:
    request = CompletionRequest.model_validate({"model_id": "m", "content": content, **fields})
    return completion_body(request, "tiny", ModelSettings(), NOTHING_KNOWN, truncate=False)


def test_completion_is_raw_so_that_no_template_gets_between() -> None:
    body = completion(["Once upon", "a time"])

    assert (body["prompt"], body["raw"]) == ("Once upon a time", True)


def test_completion_of_nothing_is_refused_as_ollama_would_only_load_the_model() -> None:
    with pytest.raises(BadRequestError):
        completion("")


def test_completion_of_an_image_is_unsupported() -> None:
    with pytest.raises(UnsupportedError):
        completion([{"image": {"uri": f"data:image/png;base64,{PIXEL}"}}])


def embeddings(*contents: Any, **fields: Any) -> dict[str, Any]:
    request = EmbeddingsRequest.model_validate({"model_id": "m", "contents": contents, **fields})
    return embeddings_body(request, "tiny", ModelSettings(), truncate=False)


def test_texts_to_embed_go_in_one_request() -> None:
    assert embeddings("one", ["two", "parts"], dimensions=8) == {
        "model": "tiny",
        "input": ["one", "two parts"],
        "truncate": False,
        "dimensions": 8,
    }


def test_embedding_of_an_image_is_unsupported() -> None:
    with pytest.raises(UnsupportedError):
        embeddings({"image": {"uri": f"data:image/png;base64,{PIXEL}"}})
