"""A fake text-generation-inference: its routes over real HTTP, with the real router's defaults, quirks and words.

It is strict where the real one is (types, order of checks, one list of stop strings) and silent where that is (unknown fields, unknown models).
A test sees what it was asked in `requests`, and makes it fail through `faults`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.tgi.chat import ChatAnswer, chat_parameters, chat_speech
from tests.fakes.tgi.faults import CutOff, Faults
from tests.fakes.tgi.generation import Generation
from tests.fakes.tgi.speech import Speech, tokens_of, tools_in, turns_of
from tests.fakes.tgi.validation import Limits, Refused, check_parameters, check_types, mistyped

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PACE_S = 0.001


class FakeTgi:
    """A context manager; `url` is where it listens.

    Args:
        model_id: what `/info` says.
        api_key: what requests must bring, if anything.
        version: below 3.0 it refuses limits that don't fit, below 2.2 it sends no `[DONE]`, below 2.1 no space after `data:`.
        max_concurrent_requests: more are refused with 429.
        pipeline_tag: what `/info` says.
        prefix: a path before all of its routes, as serverless inference has.
    """

    def __init__(
        self,
        model_id: str = "meta-llama/Llama-3.1-8B-Instruct",
        *,
        api_key: str | None = None,
        version: str = "3.3.6-dev0",
        max_concurrent_requests: int = 128,
        max_total_tokens: int = 4096,
        pipeline_tag: str | None = None,
        prefix: str = "",
    ) -> None:
        self.model_id = model_id
        self.api_key = api_key
        self.version = version
        self.number = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
        self.max_concurrent_requests = max_concurrent_requests
        self.limits = Limits(max_total_tokens - 1, max_total_tokens, refuses_long_limits=self.number < (3, 0))
        self.pipeline_tag = pipeline_tag
        self.prefix = prefix
        self.is_healthy = True
        self.is_down = False
        self.pieces: int | None = None
        self.faults = Faults()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.running = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2_000_000, middlewares=[self._middleware])
        app.add_routes(
            [
                web.get(f"{self.prefix}/info", self._info),
                web.get(f"{self.prefix}/health", self._health),
                web.post(f"{self.prefix}/tokenize", self._tokenize),
                web.post(f"{self.prefix}/generate", self._generate),
                web.post(f"{self.prefix}/generate_stream", self._generate_stream),
                web.post(self.prefix or "/", self._root),
            ]
        )
        if self.number >= (1, 4):
            app.add_routes([web.post(f"{self.prefix}/v1/chat/completions", self._chat)])
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.die()

    async def die(self) -> None:
        """Ends the server with whatever it is doing; it can be entered again, on the same port."""
        for connection in list(self._runner.server.connections if self._runner.server else ()):
            if connection.transport is not None:
                connection.transport.abort()
        await self._runner.cleanup()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if self.is_down:
            # The proxy in front of an endpoint whose replica isn't there.
            return web.Response(
                status=503, text="<html>503 Service Temporarily Unavailable</html>", content_type="text/html"
            )
        if self.api_key is not None and request.method == "POST":
            given = request.headers.get("Authorization", "")
            if given.lower() != f"bearer {self.api_key}".lower():
                return web.Response(status=401)
        if request.method == "POST" and self.faults.instead is not None:
            return await self.faults.instead(request)
        try:
            return await handler(request)
        except Refused as refused:
            return refusal(refused)
        except CutOff:
            assert request.transport is not None
            request.transport.abort()
            raise ConnectionResetError from None

    # --- what it says of itself ---

    async def _info(self, request: web.Request) -> web.Response:
        is_old = self.number < (2, 1)
        info: dict[str, Any] = {
            "model_id": self.model_id,
            "model_sha": None,
            "model_pipeline_tag": self.pipeline_tag,
            "max_concurrent_requests": self.max_concurrent_requests,
            "max_best_of": 2,
            "max_stop_sequences": 4,
            "max_input_length" if is_old else "max_input_tokens": self.limits.max_input_tokens,
            "max_total_tokens": self.limits.max_total_tokens,
            "validation_workers": 2,
            "max_client_batch_size": 4,
            "router": "text-generation-router",
            "version": self.version,
            "sha": None,
            "docker_label": None,
        }
        if is_old:
            info |= {"model_dtype": "torch.float16", "model_device_type": "cuda", "max_batch_total_tokens": 16000}
        return web.json_response(info)

    async def _health(self, request: web.Request) -> web.Response:
        if not self.is_healthy:
            raise Refused(503, "healthcheck", "unhealthy")
        return web.Response()

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        return web.json_response(
            [{"id": token.id, "text": token.text, "start": 0, "stop": 1} for token in tokens_of(body["inputs"])]
        )

    # --- generation ---

    async def _root(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if body.get("stream"):
            return await self._stream_generation(request, body)
        return web.json_response([(await self._whole(request, body, returns_prompt=True))[0]])

    async def _generate(self, request: web.Request) -> web.Response:
        answer, headers = await self._whole(request, await self._body(request))
        return web.json_response(answer, headers=headers)

    async def _generate_stream(self, request: web.Request) -> web.StreamResponse:
        return await self._stream_generation(request, await self._body(request))

    async def _body(self, request: web.Request) -> dict[str, Any]:
        body = await read_body(request)
        self.requests.append((request.path, body))
        if not isinstance(body.get("inputs"), str):
            raise mistyped("inputs", "invalid type, expected a string")
        check_types(body.get("parameters") or {})
        return body

    def _generation(self, body: dict[str, Any], *, stream: bool) -> Generation:
        parameters = body.get("parameters")
        given = parameters or {}
        inputs = body["inputs"]
        prompt_tokens = len(tokens_of(inputs)) + 1
        limit = check_parameters(inputs, given, prompt_tokens, self.limits, stream=stream)
        speech = Speech(
            turns_of(inputs),
            tools_in(inputs),
            given.get("grammar"),
            given.get("seed"),
            given.get("do_sample", parameters is None) or given.get("temperature") is not None,
        )
        return Generation.of(speech.answer(), limit, given.get("stop", []), prompt_tokens)

    async def _whole(
        self, request: web.Request, body: dict[str, Any], *, returns_prompt: bool = False
    ) -> tuple[dict[str, Any], dict[str, str]]:
        async with self._place():
            given = body.get("parameters") or {}
            generation = self._generation(body, stream=False)
            await self._pause(None)
            text = generation.text()
            if given.get("return_full_text", returns_prompt):
                text = body["inputs"] + text
            answer: dict[str, Any] = {"generated_text": text}
            if given.get("details"):
                answer["details"] = generation.details(given.get("seed"), given.get("top_n_tokens") or 0)
            return answer, generation.headers()

    async def _stream_generation(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        given = body.get("parameters") or {}
        response = await self._begin_stream(request)
        try:
            async with self._place():
                generation = self._generation(body, stream=True)
                events = generation.stream(
                    body["inputs"] if given.get("return_full_text") else "",
                    given.get("seed"),
                    given.get("top_n_tokens") or 0,
                    has_details=bool(given.get("details")),
                )
                for number, event in enumerate(events):
                    await self._pause(response if number == 2 else None, is_due=number == 2)
                    await self._send(response, event)
        except Refused as refused:
            await self._send(response, {"error": refused.text, "error_type": refused.error_type})
        return response

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        self.requests.append((request.path, body))
        parameters = chat_parameters(body)
        answer = ChatAnswer(body, self.model_id, self.number)
        if not body.get("stream"):
            async with self._place():
                generation = self._chat_generation(body, parameters, stream=False)
                await self._pause(None)
                return web.json_response(answer.whole(generation), headers=generation.headers())
        response = await self._begin_stream(request)
        try:
            async with self._place():
                generation = self._chat_generation(body, parameters, stream=True)
                for number, chunk in enumerate(answer.chunks(generation)):
                    await self._pause(response if number == 2 else None, is_due=number == 2)
                    await self._send(response, chunk)
        except Refused as refused:
            await self._send(response, {"error": {"message": refused.text, "http_status_code": 422}})
        if self.number >= (2, 2):
            await response.write(b"data: [DONE]\n\n")
        return response

    def _chat_generation(self, body: dict[str, Any], parameters: dict[str, Any], *, stream: bool) -> Generation:
        prompt = json.dumps(body["messages"])
        prompt_tokens = len(tokens_of(prompt))
        limit = check_parameters(prompt, parameters, prompt_tokens, self.limits, stream=stream)
        return Generation.of(chat_speech(body, parameters), limit, parameters.get("stop", []), prompt_tokens)

    # --- how it is sent ---

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self.running >= self.max_concurrent_requests:
            raise Refused(429, "overloaded", "Model is overloaded")
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    async def _pause(self, response: web.StreamResponse | None, *, is_due: bool = True) -> None:
        if is_due and self.faults.after_tokens is not None:
            await self.faults.after_tokens(response)
        await asyncio.sleep(PACE_S)

    async def _begin_stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        return response

    async def _send(self, response: web.StreamResponse, event: Any) -> None:
        start = "data: " if self.number >= (2, 1) else "data:"
        data = f"{start}{json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n".encode("utf-8", "replace")
        if self.pieces is None:
            await response.write(data)
            return
        await response.write(b": \n\n")
        for at in range(0, len(data), self.pieces):
            await response.write(data[at : at + self.pieces])
            await asyncio.sleep(0)


async def read_body(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent; Refused as the real router refuses others."""
    if request.content_type != "application/json":
        raise Refused(415, None, "Expected request with `Content-Type: application/json`")
    try:
        body = await request.json()
    except ValueError as error:
        raise Refused(400, None, f"Failed to parse the request body as JSON: {error}") from error
    if not isinstance(body, dict):
        raise mistyped("body", "invalid type, expected struct")
    return body


def refusal(refused: Refused) -> web.Response:
    """A refusal as an answer of its own."""
    if refused.error_type is None:
        return web.Response(status=refused.status, text=refused.text)
    return web.json_response({"error": refused.text, "error_type": refused.error_type}, status=refused.status)
