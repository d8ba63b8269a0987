"""A fake Ollama: the native API over real HTTP, with the real server's defaults, quirks and words.

It is strict where the real one is (types of options, names, abilities), silent where that is silent (messages that don't fit), and streams unless
told not to. A test sees what it was asked in `requests`, and makes it fail through `faults`.
"""

import asyncio
import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.ollama.faults import Faults
from tests.fakes.ollama.models import FakeModel, Models
from tests.fakes.ollama.refusals import Refusal, check_ability, check_messages, check_name, check_request
from tests.fakes.ollama.speech import Speech, continuation, logprob_of, reply, spoken, tokens_of

DEFAULT_NUM_CTX = 4096
TOO_LONG = "the prompt is longer than the context length currently available to the model"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeOllama:
    """A context manager; `url` is where it listens.

    Args:
        models: what `ollama list` would show.
        port: 0 picks one.
        version: below 0.12.11 it knows no log probabilities, below 0.6.4 it shows no capabilities.
    """

    def __init__(self, *models: FakeModel, port: int = 0, version: str = "0.33.0") -> None:
        self.models = Models(list(models or (FakeModel("tiny:latest"),)))
        self.version = version
        self.faults = Faults()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.running = 0
        self.port = port
        self.pull_may_end = asyncio.Event()
        self.pull_may_end.set()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20, middlewares=[self._middleware])
        app.add_routes(
            [
                web.get("/", self._root),
                web.get("/api/version", self._version),
                web.get("/api/tags", self._tags),
                web.get("/api/ps", self._ps),
                web.post("/api/show", self._show),
                web.post("/api/chat", self._chat),
                web.post("/api/generate", self._generate),
                web.post("/api/embed", self._embed),
                web.post("/api/pull", self._pull),
            ]
        )
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
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

    def connections(self) -> int:
        """How many connections are open."""
        return len(self._runner.server.connections) if self._runner.server else 0

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The bodies of the requests for a path."""
        return [body for where, body in self.requests if where == path]

    # --- around every request ---

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await self._body_of(request)
        self.requests.append((request.path, body))
        self.headers.append(dict(request.headers))
        fault = self.faults.find(request.path)
        self.running += 1
        try:
            return await (fault(request) if fault else handler(request))
        except Refusal as refusal:
            return self._json({"error": refusal.text}, status=refusal.status)
        except web.HTTPNotFound:
            return web.Response(status=404, text="404 page not found")
        except web.HTTPMethodNotAllowed:
            return web.Response(status=405, text="405 method not allowed")
        finally:
            self.running -= 1

    async def _body_of(self, request: web.Request) -> dict[str, Any]:
        text = await request.text()
        if not text:
            return {}
        body: dict[str, Any] = json.loads(text)
        return body

    def _json(self, value: Any, status: int = 200) -> web.Response:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        return web.Response(text=text, status=status, content_type="application/json", charset="utf-8")

    # --- about models ---

    async def _root(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="Ollama is running")

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return self._json({"version": self.version})

    async def _tags(self, request: web.Request) -> web.StreamResponse:
        return self._json({"models": [model.tag() for model in self.models.there]})

    async def _ps(self, request: web.Request) -> web.StreamResponse:
        loaded = [model for model in self.models.there if model.name in self.models.in_memory]
        more = {"expires_at": "2318-09-14T15:06:14.7654321Z", "size_vram": 0, "context_length": DEFAULT_NUM_CTX}
        return self._json({"models": [{**model.tag(), **more} for model in loaded]})

    async def _show(self, request: web.Request) -> web.StreamResponse:
        body = await self._body_of(request)
        check_name(body)
        shown = self._model(body).shown()
        if _release(self.version) < (0, 6, 4):
            del shown["capabilities"]
        return self._json(shown)

    def _model(self, body: dict[str, Any], *, through_scheduler: bool = False) -> FakeModel:
        model = self.models.find(body["model"])
        if model is None and through_scheduler:
            raise Refusal(404, f'model "{body["model"]}" not found, try pulling it first')
        if model is None:
            raise Refusal(404, f"model '{body['model']}' not found")
        return model

    # --- inference ---

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body_of(request)
        model = self._ready(body)
        check_messages(body["messages"])
        if not body["messages"]:
            return await self._loaded(body, model, {"message": {"role": "assistant", "content": ""}})
        messages, prompt_tokens = _fitting(body)
        text, call = reply(messages, body.get("tools") or [], body.get("format"))
        speech = _speech(text, call, body, prompt_tokens)
        if "thinking" in model.capabilities and body.get("think", True):
            speech.think("Let me think about that.", (body.get("options") or {}).get("num_predict", -1))
        return await self._say(request, model, speech, self._chat_line)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await self._body_of(request)
        model = self._ready(body)
        if not body.get("prompt"):
            return await self._loaded(body, model, {"response": ""})
        text, call = reply([{"role": "user", "content": body["prompt"]}], [], body.get("format"))
        text = text if body.get("format") or not body.get("raw") else continuation(body["prompt"])
        _, prompt_tokens = _fitting({**body, "messages": [{"role": "user", "content": body["prompt"]}]})
        return await self._say(request, model, _speech(text, call, body, prompt_tokens), self._generate_line)

    def _ready(self, body: dict[str, Any]) -> FakeModel:
        check_name(body)
        check_request(body)
        model = self._model(body)
        check_ability(body, model)
        return model

    async def _loaded(self, body: dict[str, Any], model: FakeModel, said: dict[str, Any]) -> web.StreamResponse:
        is_unload = body.get("keep_alive") == 0
        (self.models.in_memory.discard if is_unload else self.models.in_memory.add)(model.name)
        done = {"done": True, "done_reason": "unload" if is_unload else "load"}
        return self._json({"model": body["model"], "created_at": _now(), **said, **done})

    async def _say(
        self,
        request: web.Request,
        model: FakeModel,
        speech: Speech,
        line: Callable[[dict[str, Any], FakeModel, Speech], list[dict[str, Any]]],
    ) -> web.StreamResponse:
        body = await self._body_of(request)
        is_first = model.name not in self.models.in_memory
        self.models.in_memory.add(model.name)
        lines = [
            {"model": body["model"], "created_at": _now(), "done": False, **said} for said in line(body, model, speech)
        ]
        lines[-1] |= {"done": True, "done_reason": speech.reason, **_metrics(speech, is_first=is_first)}
        if _release(self.version) < (0, 1, 38):
            del lines[-1]["done_reason"]
        if body.get("keep_alive") == 0:
            self.models.in_memory.discard(model.name)
        if body.get("stream", True):
            return await self._stream(request, lines)
        await self.faults.in_mid_answer(request, None)
        return self._json(_joined(lines))

    def _chat_line(self, body: dict[str, Any], model: FakeModel, speech: Speech) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = [
            {"message": {"role": "assistant", "content": "", "thinking": thought}} for thought in speech.thoughts
        ]
        lines += [
            {"message": {"role": "assistant", "content": token}, **self._logprobs(body, token)}
            for token in speech.tokens
        ]
        last: dict[str, Any] = {"role": "assistant", "content": ""}
        if speech.call:
            call: dict[str, Any] = {"function": {"index": 0, **speech.call}}
            if model.calls_have_ids:
                call["id"] = f"call_{hashlib.sha256(str(len(self.requests)).encode()).hexdigest()[:8]}"
            if model.calls_in_last_line:
                last["tool_calls"] = [call]
            else:
                lines.append({"message": {"role": "assistant", "content": "", "tool_calls": [call]}})
        return [*lines, {"message": last}]

    def _generate_line(self, body: dict[str, Any], model: FakeModel, speech: Speech) -> list[dict[str, Any]]:
        lines = [{"response": token, **self._logprobs(body, token)} for token in speech.tokens]
        context = {} if body.get("raw") else {"context": [1, 2, 3]}
        return [*lines, {"response": "", **context}]

    def _logprobs(self, body: dict[str, Any], token: str) -> dict[str, Any]:
        if not body.get("logprobs") or _release(self.version) < (0, 12, 11):
            return {}
        return {"logprobs": [logprob_of(token, body.get("top_logprobs", 0))]}

    async def _stream(self, request: web.Request, lines: Sequence[dict[str, Any]]) -> web.StreamResponse:
        answer = await _Lines.begun(request, must_split=self.faults.split_lines)
        for number, line in enumerate(lines):
            await self.faults.in_mid_answer(request, number)
            await answer.send(line)
        return await answer.ended()

    # --- embeddings ---

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = await self._body_of(request)
        check_name(body)
        check_request(body)
        model = self._model(body, through_scheduler=True)
        texts = body.get("input") or []
        texts = [texts] if isinstance(texts, str) else texts
        if not all(isinstance(text, str) for text in texts):
            raise Refusal(400, "invalid input type")
        room = (body.get("options") or {}).get("num_ctx", DEFAULT_NUM_CTX)
        if not body.get("truncate", True) and any(len(tokens_of(text)) > room for text in texts):
            raise Refusal(400, "the input length exceeds the context length")
        size = body.get("dimensions") or model.embedding_length
        tokens = sum(len(tokens_of(text)) for text in texts)
        self.models.in_memory.add(model.name)
        return self._json(
            {
                "model": body["model"],
                "embeddings": [_vector(text, min(size, model.embedding_length)) for text in texts],
                "total_duration": 14_143_917,
                "load_duration": 1_019_500,
                **({"prompt_eval_count": tokens} if tokens else {}),
            }
        )

    # --- pulling ---

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        body = await self._body_of(request)
        check_name(body)
        wanted = self.models.to_pull.get(body["model"])
        answer = await _Lines.begun(request, must_split=False)
        for line in _pull_lines(wanted):
            if line["status"] == "verifying sha256 digest":
                await self.pull_may_end.wait()
            await answer.send(line)
        if wanted is None:
            await answer.send({"error": "pull model manifest: file does not exist"})
        elif self.models.find(wanted.name) is None:
            self.models.there.append(wanted)
        return await answer.ended()


class _Lines:
    """An NDJSON answer, a line at a time."""

    def __init__(self, *, must_split: bool) -> None:
        self._must_split = must_split
        self.response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})

    @classmethod
    async def begun(cls, request: web.Request, *, must_split: bool) -> "_Lines":
        lines = cls(must_split=must_split)
        await lines.response.prepare(request)
        return lines

    async def send(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        if not self._must_split:
            await self.response.write(data)
            return
        # Byte by byte, so that also characters of several bytes come in pieces.
        for place in range(len(data)):
            await self.response.write(data[place : place + 1])

    async def ended(self) -> web.StreamResponse:
        await self.response.write_eof()
        return self.response


def _speech(text: str, call: dict[str, Any] | None, body: dict[str, Any], prompt_tokens: int) -> Speech:
    options = body.get("options") or {}
    if body.get("format") or call:
        options = {**options, "temperature": 0}
    room = options.get("num_ctx", DEFAULT_NUM_CTX) - prompt_tokens
    speech = spoken(text, options, 10**9 if body.get("shift", True) else room)
    speech.call, speech.prompt_tokens = call, prompt_tokens
    return speech


def _fitting(body: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """The messages that fit, and how many tokens they are. What doesn't is dropped without a word, unless the request forbids it."""
    room = (body.get("options") or {}).get("num_ctx", DEFAULT_NUM_CTX)
    messages = list(body["messages"])

    def size() -> int:
        return sum(len(tokens_of(message.get("content", ""))) + 1 for message in messages)

    if size() > room and not body.get("truncate", True):
        raise Refusal(400, f"{TOO_LONG} ({size()} > {room})")
    while size() > room and len(messages) > 1:
        oldest = next((one for one in messages[:-1] if one["role"] != "system"), None)
        if oldest is None:
            break
        messages.remove(oldest)
    if size() > room and not body.get("shift", True):
        raise Refusal(400, f"{TOO_LONG} ({size()} > {room})")
    return messages, min(size(), room)


def _metrics(speech: Speech, *, is_first: bool) -> dict[str, int]:
    """Nanoseconds and counts of the last line; what is 0 is left out."""
    metrics = {
        "total_duration": 812_345_678,
        "load_duration": 51_234_567 if is_first else 0,
        "prompt_eval_count": speech.prompt_tokens,
        "prompt_eval_duration": 210_000_000,
        "eval_count": speech.generated,
        "eval_duration": 48_000_000 * bool(speech.generated),
    }
    return {name: value for name, value in metrics.items() if value}


def _joined(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The last line, with what all of them said."""
    whole = dict(lines[-1])
    logprobs = [one for line in lines for one in line.get("logprobs", ())]
    if logprobs:
        whole["logprobs"] = logprobs
    if "response" in whole:
        whole["response"] = "".join(line["response"] for line in lines)
        return whole
    messages = [line["message"] for line in lines]
    message = {"role": "assistant", "content": "".join(one["content"] for one in messages)}
    thinking = "".join(one.get("thinking", "") for one in messages)
    calls = [call for one in messages for call in one.get("tool_calls", ())]
    whole["message"] = message | ({"thinking": thinking} if thinking else {}) | ({"tool_calls": calls} if calls else {})
    return whole


def _vector(text: str, length: int) -> list[float]:
    numbers = [byte - 127.5 for byte in hashlib.shake_256(text.encode()).digest(length)]
    norm = math.hypot(*numbers)
    return [number / norm for number in numbers]


def _pull_lines(model: FakeModel | None) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"status": "pulling manifest"}]
    if model is None:
        return lines
    layer = {"status": f"pulling {model.digest[:12]}", "digest": f"sha256:{model.digest}", "total": 1_321_082_688}
    lines += [layer, {**layer, "completed": 660_541_344}, {**layer, "completed": 1_321_082_688}]
    return lines + [{"status": said} for said in ("verifying sha256 digest", "writing manifest", "success")]


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split("."))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0") + "Z"
