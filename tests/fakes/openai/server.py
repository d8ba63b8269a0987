"""A fake of the servers that speak OpenAI's form, one personality at a time; it shares no code with the provider.

`openai` refuses unknown fields; `vllm` has integer codes, `reasoning`, `stop_reason` and ends a failed stream with `[DONE]`; `llamacpp` pings,
says `reasoning_content`, ends a failed stream without `[DONE]`, tells log probabilities of completions in the form of chats, ignores `echo`, and
answers images that its model can't see with a 500; `together` lists its models bare and tells the usage in the last chunk; `transformers`
(`transformers serve`) refuses unknown fields as FastAPI does, ignores `n`, forms and log probabilities, leaves the stop string in the text, ends
streams without `[DONE]`, and has neither embeddings nor a word for models that it lacks.
"""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, Self

from aiohttp import web

from tests.fakes.openai.speech import Said, answer_chat, limited, tokens_of, vector_of

Personality = Literal["openai", "vllm", "llamacpp", "together", "transformers"]
SHOWN_CHUNKS = 3
"""After so many chunks an answer stalls or breaks off."""

COMMON = {
    "model", "stream", "stream_options", "temperature", "top_p", "stop", "n", "seed", "presence_penalty", "frequency_penalty", "logit_bias",
    "max_tokens", "logprobs",
}  # fmt: skip
CHAT = COMMON | {
    "messages",
    "max_completion_tokens",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
}
COMPLETION = COMMON | {"prompt", "echo"}
IGNORED_BY_TRANSFORMERS = {
    "n", "logprobs", "top_logprobs", "response_format", "tool_choice", "parallel_tool_calls", "presence_penalty", "echo",
}  # fmt: skip


class FakeOpenAI:
    """A server on a free port. `asked` holds the bodies that came, `running` the number of answers being made."""

    def __init__(self, personality: Personality = "openai", key: str | None = None) -> None:
        self.personality = personality
        self.key = key
        self.names = ("tiny", "org/embed")
        self.asked: list[dict[str, Any]] = []
        self.peers: set[Any] = set()
        """Other ends of the connections over which answers were asked for."""
        self.running = 0
        self.port = 0
        self.sees_images = True
        self.fault: Literal["stall", "cut", "error", "break"] | None = None
        self.odd_events: bytes | None = None
        """Sent in place of the events of each stream."""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completion)
        app.router.add_post("/v1/embeddings", self._embeddings)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.die()

    async def die(self) -> None:
        """Ends the server with whatever it is doing; it can be entered again, on the same port."""
        for connection in list(self._runner.server.connections if self._runner.server else ()):
            if connection.transport is not None:
                connection.transport.abort()
        await self._runner.cleanup()

    @asynccontextmanager
    async def stall(self) -> AsyncIterator[None]:
        self.fault = "stall"
        yield
        self.fault = None

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        self.fault = "cut"
        yield
        self.fault = None

    # --- routes ---

    async def _models(self, request: web.Request) -> web.Response:
        self._check_key(request)
        listed = [{"id": name, "object": "model", "created": 1, "owned_by": "fake"} for name in self.names]
        if self.personality == "vllm":
            listed[0] |= {"root": "tiny", "parent": None, "max_model_len": 4096}
        if self.personality == "llamacpp":
            listed[0] |= {"aliases": ["tiny"], "meta": {"n_ctx": 4096, "n_ctx_train": 131072}}
        return web.json_response(listed if self.personality == "together" else {"object": "list", "data": listed})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request, CHAT)
        if not body.get("messages"):
            raise self._refusal(400, "messages is empty", "invalid_request_error", "messages")
        if not self.sees_images and '"image_url"' in json.dumps(body["messages"]):
            # It says nothing of how to do otherwise than to start the server with a model that sees.
            raise self._refusal(
                500, "image input is not supported - hint: you may need to provide the mmproj", "server_error"
            )
        said = answer_chat(body, self._caller(request), keeps_stop=self.personality == "transformers")
        return await self._answer(request, body, said, is_chat=True)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request, COMPLETION)
        said = limited(f"{self._caller(request)}and so on: {body['prompt']}", {"max_tokens": 16, **body})
        if body.get("echo") and self.personality != "llamacpp":
            said.tokens = [*tokens_of(body["prompt"]), *said.tokens]
        return await self._answer(request, body, said, is_chat=False)

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await self._body(request, {"model", "input", "encoding_format", "dimensions"})
        if self.personality == "transformers":
            raise web.HTTPNotFound(text='{"detail":"Not Found"}', content_type="application/json")
        if not body["input"] or "" in body["input"]:
            raise self._refusal(400, "input is empty", "invalid_request_error", "input")
        data = []
        for index, text in enumerate(body["input"]):
            vector: Any = vector_of(text, body.get("dimensions", 8))
            if self.personality == "together":
                vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
        return web.json_response({"object": "list", "data": data[::-1], "model": body["model"], "usage": usage})

    # --- answers ---

    async def _answer(self, request: web.Request, body: dict[str, Any], said: Said, *, is_chat: bool) -> Any:
        self.running += 1
        try:
            if body.get("stream"):
                return await self._stream(request, body, said, is_chat=is_chat)
            await self._meet_fault(request)
            return web.json_response(self._whole(body, said, is_chat=is_chat))
        finally:
            self.running -= 1

    async def _stream(self, request: web.Request, body: dict[str, Any], said: Said, *, is_chat: bool) -> Any:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        if self.odd_events is not None:
            await response.write(self.odd_events)
            return response
        wants_usage = body.get("stream_options", {}).get("include_usage")
        chunks = [choice for n in range(body.get("n", 1)) for choice in self._pieces(body, said, n, is_chat=is_chat)]
        for count, choice in enumerate(chunks):
            if count == SHOWN_CHUNKS:
                await self._meet_fault(request, response)
            chunk = self._head(body, is_chat=is_chat, whole=False) | {"choices": [choice]}
            if wants_usage and self.personality in ("together", "transformers") and count == len(chunks) - 1:
                chunk["usage"] = self._usage(body, said)
            ping = b": ping\n\n" if self.personality == "llamacpp" else b""
            await response.write(ping + b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n")
            await asyncio.sleep(0)
        if wants_usage and self.personality not in ("together", "transformers"):
            chunk = self._head(body, is_chat=is_chat, whole=False) | {"choices": [], "usage": self._usage(body, said)}
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        if self.personality != "transformers":
            await response.write(b"data: [DONE]\n\n")
        return response

    def _pieces(self, body: dict[str, Any], said: Said, n: int, *, is_chat: bool) -> list[dict[str, Any]]:
        logprobs = self._logprobs(body, said.tokens, is_chat=is_chat)
        end = {"index": n, "finish_reason": said.reason, "logprobs": None}
        if self.personality == "vllm":
            end["stop_reason"] = said.stop_text
        none = {"index": n, "finish_reason": None, "logprobs": None}
        if not is_chat:
            pieces = [none | {"text": token, "logprobs": one} for token, one in zip(said.tokens, logprobs, strict=True)]
            return [*pieces, end | {"text": ""}]
        deltas: list[dict[str, Any]] = [none | {"delta": {"role": "assistant", "content": ""}}]
        deltas += [
            none | {"delta": {"content": token}, "logprobs": one}
            for token, one in zip(said.tokens, logprobs, strict=True)
        ]
        for index, (name, arguments) in enumerate(said.calls):
            start = {"index": index, "id": f"call_{n}_{index}", "type": "function"}
            deltas.append(none | {"delta": {"tool_calls": [{**start, "function": {"name": name, "arguments": ""}}]}})
            for at in range(0, len(arguments), 5):
                piece = {"index": index, "function": {"arguments": arguments[at : at + 5]}}
                deltas.append(none | {"delta": {"tool_calls": [piece]}})
        return [*deltas, end | {"delta": {}}]

    def _whole(self, body: dict[str, Any], said: Said, *, is_chat: bool) -> dict[str, Any]:
        logprobs: Any = self._logprobs(body, said.tokens, is_chat=is_chat)
        if body.get("logprobs") in (None, False):
            logprobs = None
        elif is_chat or self.personality == "llamacpp":
            logprobs = {"content": [token for one in logprobs for token in one["content"]], "refusal": None}
        else:
            logprobs = {name: [item for one in logprobs for item in one[name]] for name in logprobs[0]}
        choices = []
        for n in range(body.get("n", 1)):
            choice: dict[str, Any] = {"index": n, "logprobs": logprobs, "finish_reason": said.reason}
            if self.personality == "vllm":
                choice["stop_reason"] = said.stop_text
            text = "".join(said.tokens)
            if is_chat:
                choice["message"] = {"role": "assistant", "content": None if said.calls else text, "refusal": None}
                if said.calls:
                    choice["message"]["tool_calls"] = [
                        {"id": f"call_{n}_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
                        for at, (name, arguments) in enumerate(said.calls)
                    ]
            else:
                choice["text"] = text
            choices.append(choice)
        return self._head(body, is_chat=is_chat, whole=True) | {"choices": choices, "usage": self._usage(body, said)}

    def _head(self, body: dict[str, Any], *, is_chat: bool, whole: bool) -> dict[str, Any]:
        chat = "chat.completion" if whole else "chat.completion.chunk"
        return {"id": "x-1", "object": chat if is_chat else "text_completion", "created": 1, "model": body["model"]}

    def _logprobs(self, body: dict[str, Any], tokens: list[str], *, is_chat: bool) -> list[Any]:
        if body.get("logprobs") in (None, False):
            return [None] * len(tokens)
        top = body.get("top_logprobs", 0) if is_chat else body["logprobs"]
        answers = []
        for token in tokens:
            others = [(token if place == 0 else f"{place}", -0.25 - place) for place in range(top)]
            if is_chat or self.personality == "llamacpp":
                listed = [{"token": name, "logprob": value, "bytes": list(name.encode())} for name, value in others]
                one = {"token": token, "logprob": -0.25, "bytes": list(token.encode()), "top_logprobs": listed}
                answers.append({"content": [one], "refusal": None})
            else:
                tops = [dict(others)] if top else [None]
                answers.append({"tokens": [token], "token_logprobs": [-0.25], "top_logprobs": tops, "text_offset": [0]})
        return answers

    def _usage(self, body: dict[str, Any], said: Said) -> dict[str, Any]:
        prompt = len(tokens_of(json.dumps(body.get("messages") or body.get("prompt"))))
        made = max(1, len(said.tokens)) * body.get("n", 1)
        return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}

    # --- refusals and faults ---

    async def _body(self, request: web.Request, known: set[str]) -> dict[str, Any]:
        self._check_key(request)
        body: dict[str, Any] = await request.json()
        self.asked.append(body)
        self.peers.add(request.transport and request.transport.get_extra_info("peername"))
        unknown = sorted(set(body) - known)
        if unknown and self.personality == "transformers":
            detail = json.dumps({"detail": f"Unexpected fields in the request: {set(unknown)}"})
            raise web.HTTPUnprocessableEntity(text=detail, content_type="application/json")
        if self.personality == "transformers":
            # It warns in its log that it has no use for them.
            body = {name: value for name, value in body.items() if name not in IGNORED_BY_TRANSFORMERS}
        if unknown and self.personality == "openai":
            raise self._refusal(400, f"Unrecognized request argument supplied: {unknown[0]}", "invalid_request_error")
        if "stream_options" in body and not body.get("stream"):
            raise self._refusal(400, "stream_options without stream", "invalid_request_error", "stream_options")
        if body["model"] not in ("tiny", "org/embed"):
            if self.personality == "transformers":
                raise web.HTTPInternalServerError(text="Internal Server Error")
            raise self._refusal(404, f"The model `{body['model']}` does not exist.", "model_not_found", "model")
        if not 0 <= body.get("temperature", 1) <= 2:
            raise self._refusal(400, "temperature is out of range", "invalid_request_error", "temperature")
        return body

    def _caller(self, request: web.Request) -> str:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return f"{key}: " if key.startswith("caller") else ""

    def _check_key(self, request: web.Request) -> None:
        key = request.headers.get("Authorization", "")
        if self.key is not None and key != f"Bearer {self.key}":
            raise self._refusal(401, f"Incorrect API key provided: {key[7:]}.", "invalid_api_key")

    def _refusal(self, status: int, message: str, kind: str, param: str | None = None) -> web.HTTPException:
        code: Any = status if self.personality in ("vllm", "llamacpp") else kind
        named = "BadRequestError" if self.personality == "vllm" else kind
        body = {"error": {"message": message, "type": named, "param": param, "code": code}}
        kinds = {
            400: web.HTTPBadRequest,
            401: web.HTTPUnauthorized,
            404: web.HTTPNotFound,
            500: web.HTTPInternalServerError,
        }
        return kinds[status](text=json.dumps(body), content_type="application/json")

    async def _meet_fault(self, request: web.Request, response: web.StreamResponse | None = None) -> None:
        if self.fault == "break":
            raise self._refusal(500, "The server had an error.", "server_error")
        if self.fault == "stall":
            await asyncio.Event().wait()
        if self.fault == "cut":
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        if self.fault == "error" and response is not None:
            error = {"error": {"message": "CUDA out of memory", "type": "InternalServerError", "code": 500}}
            done = b"data: [DONE]\n\n" if self.personality == "vllm" else b""
            await response.write(b"data: " + json.dumps(error).encode() + b"\n\n" + done)
            raise asyncio.CancelledError
