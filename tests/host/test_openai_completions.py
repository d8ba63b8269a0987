"""POST /v1/completions and /v1/embeddings, GET /v1/models."""

import asyncio
import base64
import struct
from typing import Any

import pytest

from hitchpost.api import Finish, FinishReason, TextDelta, TokenLogprob, TopLogprob, Usage
from hitchpost.errors import OverloadedError
from tests.host.conftest import OddHost
from tests.host.served import ServedHost, until

COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"


def ask(prompt: Any = "abc def", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "prompt": prompt, **fields}


async def test_completion_has_every_field(host: ServedHost) -> None:
    answer = await host.post(COMPLETIONS, ask())

    body = answer.json
    assert body.pop("id").startswith("cmpl-")
    assert isinstance(body.pop("created"), int)
    assert body == {
        "object": "text_completion",
        "model": "m",
        "choices": [{"text": "abc def", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    }


async def test_sixteen_tokens_are_the_default(odd: OddHost) -> None:
    odd.provider.events = [Finish(FinishReason.length)]

    answer = await odd.host.post(COMPLETIONS, ask())

    assert odd.provider.asked[0].sampling_params.max_tokens == 16
    assert answer.json["choices"][0]["finish_reason"] == "length"


async def test_choices_of_several_prompts_are_numbered_prompt_times_n_plus_choice(host: ServedHost) -> None:
    answer = await host.post(COMPLETIONS, ask(["a", "b"], n=2))

    said = [(choice["index"], choice["text"]) for choice in answer.json["choices"]]
    assert said == [(0, "a"), (1, "a (2)"), (2, "b"), (3, "b (2)")]
    assert answer.json["usage"]["prompt_tokens"] == 2


@pytest.mark.parametrize(
    ("prompts", "n", "message"),
    [
        (128, 2, "128 prompts with n 2 are 256 choices; at most 128 are made at once"),
        (2, 128, "2 prompts with n 128 are 256 choices; at most 128 are made at once"),
        (129, 1, "prompt has 129 entries; at most 128 are taken at once"),
    ],
)
async def test_more_choices_than_a_request_may_ask_for_are_refused(
    prompts: int, n: int, message: str, odd: OddHost
) -> None:
    answer = await odd.host.post(COMPLETIONS, ask(["a"] * prompts, n=n))

    assert answer.status == 400
    assert message in answer.json["error"]["message"]
    assert odd.provider.asked == []


async def test_as_many_choices_as_a_request_may_ask_for_are_made(host: ServedHost) -> None:
    answer = await host.post(COMPLETIONS, ask(["a"] * 64, n=2))

    assert [choice["index"] for choice in answer.json["choices"]] == list(range(128))


async def test_several_prompts_stream_side_by_side_with_one_usage(host: ServedHost) -> None:
    options = {"include_usage": True}
    answer = await host.post(COMPLETIONS, ask(["a b", "c d"], n=2, stream=True, stream_options=options))

    *chunks, last, done = answer.events
    texts: dict[int, str] = {}
    finished = []
    for chunk in chunks:
        [choice] = chunk["choices"]
        texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
        if choice["finish_reason"]:
            finished.append(choice["index"])
    assert texts == {0: "a b", 1: "a b (2)", 2: "c d", 3: "c d (2)"}
    assert sorted(finished) == [0, 1, 2, 3]
    assert last["usage"]["prompt_tokens"] == 4
    assert done == "[DONE]"


async def test_one_failing_prompt_ends_the_others(odd: OddHost) -> None:
    odd.provider.events = [0.01, OverloadedError("busy")]

    whole = await odd.host.post(COMPLETIONS, ask(["a", "b", "c"]))
    streamed = await odd.host.post(COMPLETIONS, ask(["a", "b", "c"], stream=True))

    assert (whole.status, streamed.status) == (503, 503)
    assert whole.json["error"]["code"] == streamed.json["error"]["code"] == "overloaded"
    await until(lambda: odd.host.stack.providers[0].running == 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_client_that_leaves_ends_every_prompt(stream: bool, odd: OddHost) -> None:
    gate = odd.host.stack.providers[0]
    odd.provider.events = [60.0]
    asking = asyncio.create_task(odd.host.post(COMPLETIONS, ask(["a", "b"], stream=stream)))
    await until(lambda: gate.running == 2)

    asking.cancel()

    await until(lambda: gate.running == 0)


async def test_log_probabilities_are_parallel_lists_with_offsets_that_go_on(odd: OddHost) -> None:
    one = TokenLogprob("ab", -0.5, top=[TopLogprob("x", -1.0)])
    two = TokenLogprob("c", float("-inf"), top=[])
    odd.provider.events = [
        TextDelta("ab", logprobs=[one]),
        TextDelta("c", logprobs=[two]),
        Usage(1, 2),
        Finish(FinishReason.stop),
    ]

    whole = await odd.host.post(COMPLETIONS, ask(logprobs=1))
    streamed = await odd.host.post(COMPLETIONS, ask(logprobs=1, stream=True))

    assert whole.json["choices"][0]["logprobs"] == {
        "tokens": ["ab", "c"],
        "token_logprobs": [-0.5, -9999.0],
        "top_logprobs": [{"x": -1.0, "ab": -0.5}, {"c": -9999.0}],
        "text_offset": [0, 2],
    }
    assert [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in streamed.events[:2]] == [[0], [2]]


async def test_echo_begins_with_the_prompt(host: ServedHost) -> None:
    answer = await host.post(COMPLETIONS, ask("abc", echo=True))

    assert answer.json["choices"][0]["text"] == "abcabc"


# --- embeddings ---


async def test_embeddings_as_numbers(odd: OddHost) -> None:
    answer = await odd.host.post(EMBEDDINGS, {"model": "m", "input": ["abc", "de"], "dimensions": 2})

    assert answer.json == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [3.0, -0.5]},
            {"object": "embedding", "index": 1, "embedding": [2.0, -0.5]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert odd.provider.asked[0].dimensions == 2


async def test_embeddings_as_base64_of_little_endian_floats(odd: OddHost) -> None:
    answer = await odd.host.post(EMBEDDINGS, {"model": "m", "input": "abc", "encoding_format": "base64"})

    [entry] = answer.json["data"]
    assert struct.unpack("<2f", base64.b64decode(entry["embedding"])) == (3.0, -0.5)


async def test_provider_without_embeddings_is_unsupported_on_both_surfaces(host: ServedHost) -> None:
    openai = await host.post(EMBEDDINGS, {"model": "m", "input": "abc"})
    native = await host.post("/alpha/inference/embeddings", {"model_id": "m", "contents": ["abc"]})

    assert (openai.status, openai.json["error"]["code"]) == (400, "unsupported")
    assert native.status == 501
    assert native.headers["x-should-retry"] == "false"


# --- models ---


async def test_models_are_listed_with_their_provider(host: ServedHost) -> None:
    answer = await host.get("/v1/models")

    [model] = answer.json["data"]
    assert answer.json["object"] == "list"
    assert model.pop("created") > 1_700_000_000
    assert model == {"id": "scripted/m", "object": "model", "owned_by": "scripted"}


@pytest.mark.parametrize("path", ["/v1/models/scripted/m", "/v1/models/scripted%2Fm", "/v1/models/scripted%2fm"])
async def test_model_is_found_by_an_id_with_slashes(path: str, host: ServedHost) -> None:
    answer = await host.get(path)

    assert answer.json["id"] == "scripted/m"


@pytest.mark.parametrize("path", ["/v1/models/m", "/v1/models/scripted/m"])
async def test_model_is_found_by_any_name_that_a_request_may_use(path: str, host: ServedHost) -> None:
    answer = await host.get(path)

    assert (answer.status, answer.json["id"]) == (200, "scripted/m")


async def test_unknown_model_is_not_found(host: ServedHost) -> None:
    answer = await host.get("/v1/models/no/such")

    assert answer.status == 404
    assert answer.json["error"]["code"] == "model_not_found"
    assert "`no/such`" in answer.json["error"]["message"]
