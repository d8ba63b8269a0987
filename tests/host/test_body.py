"""Bodies that are wrong, too large, too slow, too deep or compressed, on both surfaces."""

import asyncio
import gzip
import io
import json
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from hitchpost.host import HostSettings
from tests.host.conftest import SCRIPT
from tests.host.served import Answer, ServedHost, scripted_config, served

USER = {"role": "user", "content": "hi"}
GOOD: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": [USER]},
    "/v1/completions": {"model": "m", "prompt": "hi"},
    "/v1/embeddings": {"model": "m", "input": "hi"},
    "/alpha/inference/chat-completion": {"model_id": "m", "messages": [USER]},
    "/alpha/inference/completion": {"model_id": "m", "content": "hi"},
    "/alpha/inference/embeddings": {"model_id": "m", "contents": ["hi"]},
    "/alpha/models/register": {"model_id": "m"},
    "/alpha/models/unregister": {"model_id": "m"},
}
CHATS = ["/v1/chat/completions", "/alpha/inference/chat-completion"]


def is_native(path: str) -> bool:
    return path.startswith("/alpha/")


def blamed(path: str, answer: Answer) -> str:
    """The path of the first field that an answer blames, in dots."""
    if is_native(path):
        return ".".join(map(str, answer.json["error"]["detail"]["errors"][0]["loc"][1:]))
    return str(answer.json["error"]["param"])


# --- wrong fields ---


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, body in GOOD.items() for field in body])
async def test_missing_field_is_named(path: str, field: str, host: ServedHost) -> None:
    body = {key: value for key, value in GOOD[path].items() if key != field}

    answer = await host.post(path, body)

    assert answer.status == 400
    assert blamed(path, answer) == field


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, body in GOOD.items() for field in body])
@pytest.mark.parametrize("wrong", [5, {"a": 1}])
async def test_wrong_type_is_named(path: str, field: str, wrong: Any, host: ServedHost) -> None:
    answer = await host.post(path, {**GOOD[path], field: wrong})

    assert answer.status == 400
    assert blamed(path, answer).startswith(field)


@pytest.mark.parametrize(
    ("path", "change", "loc", "kind"),
    [
        (CHATS[1], {"messages": [{"role": "assistant", "content": ""}]}, ["messages", 0, "assistant", "stop_reason"], "missing"),
        (CHATS[1], {"messages": [{"role": "nobody", "content": ""}]}, ["messages", 0], "union_tag_invalid"),
        (CHATS[1], {"messages": [{"content": ""}]}, ["messages", 0], "union_tag_not_found"),
        (CHATS[1], {"tool_prompt_format": "x"}, ["tool_prompt_format"], "enum"),
        (CHATS[1], {"model_id": 5}, ["model_id"], "string_type"),
        (CHATS[1], {"sampling_params": {"top_p": 2}}, ["sampling_params", "top_p"], "less_than_equal"),
    ],
)  # fmt: skip
async def test_native_validation_keeps_its_envelope(
    path: str, change: dict[str, Any], loc: list[Any], kind: str, host: ServedHost
) -> None:
    answer = await host.post(path, {**GOOD[path], **change})

    assert answer.status == 400
    [problem] = answer.json["error"]["detail"]["errors"]
    assert set(problem) == {"loc", "msg", "type"}
    assert (problem["loc"], problem["type"]) == (["body", *loc], kind)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [USER, {"role": "wizard", "content": "x"}]}, "messages.1.role"),
        ({"messages": [USER, {"content": "x"}]}, "messages.1.role"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]},
         "messages.0.content.0.image_url.url"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "who"}]}, "messages.0.tool_call_id"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop.1"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 2**31}, "top_k"),
        ({"repetition_penalty": 101}, "repetition_penalty"),
        ({"repetition_penalty": 0.001}, "repetition_penalty"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"presence_penalty": 9}, "presence_penalty"),
        ({"logit_bias": {"x": 1}}, "logit_bias.x"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": [{"type": "function", "function": {"name": "has space"}}]}, "tools.0.function.name"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}},
         "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}}, "tool_choice.allowed_tools.tools"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format.json_schema.schema"),
        ({"functions": []}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"prediction": {}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"stream": "perhaps"}, "stream"),
    ],
)  # fmt: skip
async def test_chat_blames_the_field(change: dict[str, Any], param: str, host: ServedHost) -> None:
    answer = await host.post(CHATS[0], {**GOOD[CHATS[0]], **change})

    assert answer.status == 400
    assert answer.json["error"]["param"] == param
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "change", "param"),
    [
        ("/v1/completions", {"prompt": []}, "prompt"),
        ("/v1/completions", {"prompt": [1, 2]}, "prompt"),
        ("/v1/completions", {"prompt": [[1, 2]]}, "prompt"),
        ("/v1/completions", {"prompt": ["x"] * 129}, "prompt"),
        ("/v1/completions", {"suffix": "x"}, "suffix"),
        ("/v1/completions", {"best_of": 2}, "best_of"),
        ("/v1/completions", {"echo": True, "logprobs": 1}, "echo"),
        ("/v1/completions", {"logprobs": 6}, "logprobs"),
        ("/v1/completions", {"max_tokens": 0}, "max_tokens"),
        ("/v1/embeddings", {"input": ""}, "input"),
        ("/v1/embeddings", {"input": []}, "input"),
        ("/v1/embeddings", {"input": ["a", ""]}, "input.1"),
        ("/v1/embeddings", {"input": [1, 2]}, "input"),
        ("/v1/embeddings", {"input": ["x"] * 2049}, "input"),
        ("/v1/embeddings", {"encoding_format": "hex"}, "encoding_format"),
        ("/v1/embeddings", {"dimensions": 0}, "dimensions"),
    ],
)
async def test_completions_and_embeddings_blame_the_field(
    path: str, change: dict[str, Any], param: str, host: ServedHost
) -> None:
    answer = await host.post(path, {**GOOD[path], **change})

    assert answer.status == 400
    assert answer.json["error"]["param"] == param


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["temperature", "top_p", "presence_penalty"])
async def test_numbers_that_json_does_not_know_are_refused(number: str, field: str, host: ServedHost) -> None:
    body = json.dumps(GOOD[CHATS[0]])[:-1] + f', "{field}": {number}}}'

    answer = await host.send("POST", CHATS[0], body, {"Content-Type": "application/json"})

    assert answer.status == 400
    assert answer.json["error"]["param"] == field


@pytest.mark.parametrize("path", GOOD)
async def test_unknown_fields_are_ignored(path: str, host: ServedHost) -> None:
    plain = await host.post(path, GOOD[path])

    answer = await host.post(path, {**GOOD[path], "user": "x", "unheard_of": {"a": [1]}})

    assert answer.status == plain.status


# --- what is repeated of a value ---

LONG = "x" * 5_000 + "\n\x1b"


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (CHATS[0], {"model": LONG}),
        (CHATS[0], {"messages": [{"role": LONG, "content": "x"}]}),
        (CHATS[0], {"messages": [{"role": "user", "content": [{"type": LONG}]}]}),
        (CHATS[0], {"messages": [{"role": "tool", "content": "x", "tool_call_id": LONG}]}),
        (CHATS[0], {"tool_choice": {"type": "function", "function": {"name": LONG}}}),
        (CHATS[0], {"logit_bias": {LONG: 1}}),
        (CHATS[0], {"response_format": {"type": LONG}}),
        *(
            (CHATS[0], {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}})
            for schema in (
                {"type": LONG},
                {"$ref": LONG},
                {"$ref": "#/" + LONG},
                {"type": "object", "properties": {LONG: {"type": LONG}}, "required": [LONG]},
                {"enum": LONG},
                {"type": "string", "pattern": LONG + "("},
            )
        ),
        ("/v1/embeddings", {"encoding_format": LONG}),
        (CHATS[1], {"model_id": LONG}),
        (CHATS[1], {"messages": [{"role": LONG, "content": "x"}]}),
        (CHATS[1], {"response_format": {"type": LONG}}),
        (CHATS[1], {"tools": [{"tool_name": "f", "parameters": {LONG: 5}}]}),
        ("/alpha/models/register", {"provider_id": LONG}),
        ("/alpha/models/register", {"metadata": {"llama_model": LONG}}),
        ("/alpha/models/register", {"provider_model_id": "y" * 500}),
        ("/alpha/models/unregister", {"model_id": LONG}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
async def test_errors_repeat_little_of_what_was_sent(path: str, change: dict[str, Any], host: ServedHost) -> None:
    answer = await host.post(path, {**GOOD[path], **change})

    assert answer.status in (400, 404)
    assert len(answer.text) < 800
    assert "\\u001b" not in answer.text


@pytest.mark.parametrize("path", ["/v1/" + "x" * 3_000, "/v1/models/" + "x" * 3_000])
async def test_errors_repeat_little_of_the_path(path: str, host: ServedHost) -> None:
    answer = await host.get(path)

    assert answer.status == 404
    assert len(answer.text) < 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": None}, "messages must be a list"),
        ({"messages": [{"role": "user"}]}, "messages.0.content is missing"),
        ({"messages": [{"content": "x"}]}, "messages.0.role is missing"),
        ({"messages": [{"role": "bot", "content": "x"}]},
         "messages.0.role must be one of 'system', 'developer', 'user', 'assistant', 'tool', not 'bot'"),
        ({"messages": []}, "messages must have at least 1 entry"),
        ({"stop": ["x"] * 5}, "stop must be a string, or must have at most 4 entries"),
        ({"temperature": 3}, "temperature must be at most 2"),
        ({"temperature": "warm"}, "temperature must be a number"),
        ({"n": 1.5}, "n must be a whole number"),
        ({"n": 0}, "n must be at least 1"),
        ({"stream": "perhaps"}, "stream must be true or false"),
        ({"tool_choice": "sometimes"}, "tool_choice must be 'none', 'auto' or 'required', or must be an object"),
        ({"response_format": {"type": "xml"}}, "response_format.type must be one of 'text', 'json_object', 'json_schema', not 'xml'"),
        ({"temperature": 3, "n": 0}, "temperature must be at most 2 (and 1 more problem)"),
    ],
)  # fmt: skip
async def test_problem_is_said_in_plain_words(change: dict[str, Any], message: str, host: ServedHost) -> None:
    answer = await host.post(CHATS[0], {**GOOD[CHATS[0]], **change})

    assert answer.json["error"]["message"] == message


# --- what isn't JSON ---


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"a": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"a": 1} x', id="something after it"),
        pytest.param(b"[" * 100_000, id="100,000 levels of lists"),
        pytest.param(b'{"a":' * 100_000, id="100,000 levels of objects"),
        pytest.param(b'{"messages":[' + b'{"content":[' * 5_000 + b"]}" * 5_000 + b"]}", id="balanced and deep"),
    ],
)
async def test_what_is_not_json_is_refused(path: str, body: bytes, host: ServedHost) -> None:
    answer = await host.send("POST", path, body, {"Content-Type": "application/json"})

    assert answer.status == 400
    if is_native(path):
        [problem] = answer.json["error"]["detail"]["errors"]
        assert (problem["loc"], problem["type"]) == (["body"], "json_invalid")
    else:
        assert "not JSON" in answer.json["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"5"])
@pytest.mark.parametrize("path", CHATS)
async def test_json_that_is_no_object_is_refused(path: str, body: bytes, host: ServedHost) -> None:
    answer = await host.send("POST", path, body, {"Content-Type": "application/json"})

    assert answer.status == 400


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.api+json", None])
@pytest.mark.parametrize("path", CHATS)
async def test_json_may_say_so_in_several_ways_or_not_at_all(path: str, kind: str | None, host: ServedHost) -> None:
    headers = {} if kind is None else {"Content-Type": kind}

    answer = await host.send("POST", path, json.dumps(GOOD[path]).encode(), headers)

    assert answer.status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_other_content_types_are_refused(kind: str, host: ServedHost) -> None:
    body = json.dumps(GOOD[CHATS[0]]).encode()

    openai = await host.send("POST", CHATS[0], body, {"Content-Type": kind})
    native = await host.send("POST", CHATS[1], body, {"Content-Type": kind})

    assert openai.status == 415
    assert openai.json["error"]["code"] == "unsupported_media_type"
    assert native.status == 400
    assert [problem["type"] for problem in native.json["error"]["detail"]["errors"]] == ["missing", "missing"]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        *((path, {"messages": [1] * 500_000}) for path in CHATS),
        *((path, {"tools": [1] * 500_000}) for path in CHATS),
        *((path, {"messages": [{"role": "user", "content": [[1]] * 500_000}]}) for path in CHATS),
        ("/v1/chat/completions", {"logit_bias": {f"{number}x": 1 for number in range(200_000)}}),
        ("/v1/embeddings", {"input": [{}] * 500_000}),
        ("/alpha/inference/embeddings", {"contents": [1] * 500_000}),
        ("/alpha/inference/chat-completion", {"sampling_params": {"stop": [1] * 500_000}}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
async def test_many_wrong_items_make_few_problems(path: str, wrong: dict[str, Any], host: ServedHost) -> None:
    body = json.dumps({**GOOD[path], **wrong}, separators=(",", ":")).encode()

    answer = await host.send("POST", path, io.BytesIO(body), {"Content-Type": "application/json"})

    assert answer.status == 400
    assert len(answer.text) < 1500


# --- size ---


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_body_over_16_mib_is_too_large(path: str, is_chunked: bool, host: ServedHost) -> None:
    body = b'{"x": "' + b"a" * (16 * 1024 * 1024) + b'"}'

    async def pieces() -> Any:
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    answer = await host.send(
        "POST", path, pieces() if is_chunked else io.BytesIO(body), {"Content-Type": "application/json"}
    )

    assert answer.status == 413
    assert answer.headers["x-should-retry"] == "false"
    message = answer.json["detail"] if is_native(path) else answer.json["error"]["message"]
    assert "16777216 bytes" in message


@pytest.mark.parametrize("path", CHATS)
async def test_body_just_below_the_limit_is_read(path: str) -> None:
    padding = "a" * (4096 - len(json.dumps({**GOOD[path], "x": ""})))
    body = {**GOOD[path], "x": padding}
    async with served(scripted_config(SCRIPT), server={"max_body_bytes": 4096}) as host:
        answer = await host.post(path, body)
        larger = await host.post(path, {**body, "x": padding + "a"})

    assert answer.status == 200
    assert larger.status == 413


# --- compression ---


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)])  # fmt: skip
@pytest.mark.parametrize("path", CHATS)
async def test_compressed_body_is_read(path: str, encoding: str, compress: Any, host: ServedHost) -> None:
    body = compress(json.dumps(GOOD[path]).encode())

    answer = await host.send("POST", path, body, {"Content-Type": "application/json", "Content-Encoding": encoding})

    assert answer.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_body_that_inflates_beyond_the_limit_is_too_large(encoding: str, host: ServedHost) -> None:
    bomb = (gzip.compress if encoding == "gzip" else zlib.compress)(b" " * (200 * 1024 * 1024))
    assert len(bomb) < 256 * 1024

    answer = await host.send("POST", CHATS[0], bomb, {"Content-Type": "application/json", "Content-Encoding": encoding})

    assert answer.status == 413


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        pytest.param("gzip", b"not gzip at all", 400, id="something else"),
        pytest.param("gzip", gzip.compress(b"x" * 100_000)[:50], 400, id="cut"),
        pytest.param("gzip", gzip.compress(b"{}") + b"more", 400, id="something after it"),
        pytest.param("gzip", b"", 400, id="empty"),
        pytest.param("br", b"x", 415, id="unknown"),
        pytest.param("gzip, gzip", b"x", 415, id="twice"),
    ],
)
async def test_damaged_compression_is_refused(encoding: str, body: bytes, status: int, host: ServedHost) -> None:
    answer = await host.send("POST", CHATS[0], body, {"Content-Type": "application/json", "Content-Encoding": encoding})

    assert answer.status == status
    assert answer.json["error"]["type"] == "invalid_request_error"


# --- time and framing ---


async def raw_exchange(host: ServedHost, sent: bytes) -> bytes:
    """What the host answers to bytes, in one piece."""
    address = urlsplit(host.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            return await reader.read(65536)
    finally:
        writer.close()


@pytest.mark.parametrize("path", CHATS)
async def test_body_that_does_not_arrive_in_time_is_given_up(path: str) -> None:
    async with served(scripted_config(SCRIPT), settings=HostSettings(body_timeout_s=0.05)) as host:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 50\r\n\r\n".encode()

        answer = await raw_exchange(host, head + b'{"model"')

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"x-should-retry: false" in answer.lower()
    assert b"did not arrive within" in answer


async def test_chunked_body_that_is_framed_wrongly_is_refused(host: ServedHost) -> None:
    head = f"POST {CHATS[0]} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()

    answer = await raw_exchange(host, head + b"zz\r\nnonsense\r\n0\r\n\r\n")

    assert b" 400 Bad Request\r\n" in answer
