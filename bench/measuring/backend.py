"""A server behind the host: answers like an OpenAI-shaped server, TGI and Ollama with bytes that were made beforehand. Run as a script.

    python backend.py PORT

It speaks just enough HTTP to take next to no time of its own. A stream's chunks come `PACE_S` apart, its end together with the last one.
"""

import asyncio
import json
import sys
from typing import Any

PACE_S = 0.02
CHUNKS = 100
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
_CREATED_AT = "2026-11-20T09:00:00.123456789Z"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _openai_chunk(delta: dict[str, str] | None, finish: str | None = None, usage: dict[str, int] | None = None) -> str:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    chunk = {
        "id": "chatcmpl-8f2a",
        "object": "chat.completion.chunk",
        "created": 1763650000,
        "model": MODEL,
        "choices": [] if delta is None else choices,
        "usage": usage,
    }
    return f"data: {_json(chunk)}\n\n"


def _tgi_token(index: int, text: str, details: dict[str, Any] | None = None) -> str:
    token = {"id": 10000 + index, "text": text, "logprob": -1.23, "special": details is not None}
    whole = " horse" * CHUNKS if details else None
    return f"data: {_json({'index': index, 'token': token, 'generated_text': whole, 'details': details})}\n\n"


def _ollama_line(content: str, **more: Any) -> str:
    message = {"role": "assistant", "content": content}
    return (
        _json({"model": "llama3.1", "created_at": _CREATED_AT, "message": message, "done": bool(more), **more}) + "\n"
    )


_USAGE = {"prompt_tokens": 21, "completion_tokens": 2, "total_tokens": 23}
_OLLAMA_END = {
    "done_reason": "stop",
    "total_duration": 812345678,
    "load_duration": 51234567,
    "prompt_eval_count": 21,
    "prompt_eval_duration": 210000000,
    "eval_count": 2,
    "eval_duration": 48000000,
}
_OPENAI_ANSWER = {
    "id": "chatcmpl-8f2a",
    "object": "chat.completion",
    "created": 1763650000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Ready.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": _USAGE,
}
_TGI_ANSWER = {
    "generated_text": "Ready.",
    "details": {
        "finish_reason": "eos_token",
        "generated_tokens": 3,
        "seed": None,
        "prefill": [],
        "tokens": [
            {"id": 19753, "text": "Ready", "logprob": -1.23, "special": False},
            {"id": 13, "text": ".", "logprob": -0.4, "special": False},
            {"id": 128009, "text": "<|eot_id|>", "logprob": -0.1, "special": True},
        ],
    },
}
_TAG = {
    "name": "llama3.1:latest",
    "model": "llama3.1:latest",
    "modified_at": _CREATED_AT,
    "size": 4920753328,
    "digest": "46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e",
    "details": {"format": "gguf", "family": "llama", "parameter_size": "8.0B", "quantization_level": "Q4_K_M"},
}
WHOLE = {
    "/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "us"}]},
    "/v1/chat/completions": _OPENAI_ANSWER,
    "/info": {"model_id": MODEL, "version": "3.3.5", "max_total_tokens": 8192, "model_pipeline_tag": "text-generation"},
    "/health": {},
    "/tokenize": [{"id": 64, "text": "a", "start": 0, "stop": 1}],
    "/generate": _TGI_ANSWER,
    "/api/version": {"version": "0.13.0"},
    "/api/tags": {"models": [_TAG]},
    "/api/ps": {"models": []},
    "/api/show": {"capabilities": ["completion", "tools"], "model_info": {"llama.context_length": 131072}},
    "/api/chat": json.loads(_ollama_line("Ready.", **_OLLAMA_END)),
}
STREAMS = {
    "/v1/chat/completions": [
        _openai_chunk({"role": "assistant", "content": ""}) + _openai_chunk({"content": "A"}),
        *[_openai_chunk({"content": " horse"})] * (CHUNKS - 2),
        _openai_chunk({"content": "."})
        + _openai_chunk({}, "stop")
        + _openai_chunk(None, None, _USAGE)
        + "data: [DONE]\n\n",
    ],
    "/generate_stream": [
        *[_tgi_token(index, " horse") for index in range(1, CHUNKS)],
        _tgi_token(
            CHUNKS,
            "<|eot_id|>",
            {"finish_reason": "eos_token", "generated_tokens": CHUNKS, "seed": None, "input_length": 21},
        ),
    ],
    "/api/chat": [*[_ollama_line(" horse")] * (CHUNKS - 1), _ollama_line("", **_OLLAMA_END)],
}


def _head(content_type: str, framing: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{framing}\r\n\r\n".encode()


def _framed(value: Any) -> bytes:
    body = _json(value).encode()
    return _head("application/json", f"content-length: {len(body)}") + body


def _chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


_WHOLE_BYTES = {path: _framed(value) for path, value in WHOLE.items()}
_STREAM_BYTES = {path: [_chunk(text) for text in chunks] for path, chunks in STREAMS.items()}
_STREAM_HEADS = {
    path: _head("application/x-ndjson" if path == "/api/chat" else "text/event-stream", "transfer-encoding: chunked")
    for path in STREAMS
}


class BackendConnection(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._streaming: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._streaming is not None:
            self._streaming.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        if not found or len(body) < int(length.split(b"\r", 1)[0] or 0):
            return
        self._received.clear()
        path = head.split(b" ", 2)[1].decode()
        if path in _STREAM_BYTES and (path not in _WHOLE_BYTES or b'"stream":true' in body):
            self._streaming = asyncio.create_task(self._stream(path))
        else:
            self._transport.write(_WHOLE_BYTES[path])

    async def _stream(self, path: str) -> None:
        self._transport.write(_STREAM_HEADS[path])
        for chunk in _STREAM_BYTES[path]:
            await asyncio.sleep(PACE_S)
            self._transport.write(chunk)
        self._transport.write(b"0\r\n\r\n")


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(BackendConnection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
