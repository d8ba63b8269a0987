"""A running host, as the commands see it over HTTP."""

import asyncio
import json
from asyncio import IncompleteReadError
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import aiohttp

from hitchpost.cli.output import CommandError

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 30.0
SILENCE_TIMEOUT_S = 60.0
"""How long a stream may be silent; the host sends heartbeats four times as often."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ChatPart:
    """A piece of an answer, or with `finish` its end and the reason for it."""

    kind: Literal["text", "reasoning", "finish"]
    text: str


class HostRefusalError(CommandError):
    """The host answered with an error: its message, and the `status` of its answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HostClient:
    """Talks to one host; to be closed with `aclose`.

    Every method raises `CommandError` with a message for the person at the terminal.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Lets go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def list_models(self) -> list[dict[str, Any]]:
        """The registered models, as the native surface lists them."""
        return await self.list_resources("models")

    async def list_resources(self, resources: str) -> list[dict[str, Any]]:
        """The registered `models`, `shields` or `memory-banks`, as the native surface lists them."""
        found = await self._ask("GET", f"/alpha/{resources}/list")
        if not isinstance(found, list) or not all(isinstance(item, dict) and "identifier" in item for item in found):
            raise CommandError(f"what answers at {self._url} is not Hitchpost: it lists no {resources}")
        return found

    async def list_providers(self) -> list[dict[str, Any]]:
        """The configured providers with their states."""
        return await self._list("providers")

    async def list_jobs(self) -> list[dict[str, Any]]:
        """What the providers do in the background, and did, the newest first."""
        return await self._list("jobs")

    async def get_job(self, job_id: str) -> dict[str, Any]:
        """A job as it is now."""
        return self._job(await self._ask("GET", f"/hitchpost/v1/jobs/{quote(job_id, safe='')}"))

    async def cancel_job(self, job_id: str) -> dict[str, Any]:
        """The job after it was told to end."""
        return self._job(await self._ask("POST", f"/hitchpost/v1/jobs/{quote(job_id, safe='')}/cancel"))

    def _job(self, found: Any) -> dict[str, Any]:
        if not isinstance(found, dict) or "state" not in found:
            raise CommandError(f"what answers at {self._url} is not Hitchpost: it describes no job")
        return found

    async def _list(self, what: str) -> list[dict[str, Any]]:
        found = await self._ask("GET", f"/hitchpost/v1/{what}")
        listed = found.get("data") if isinstance(found, dict) else None
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise CommandError(f"what answers at {self._url} is not Hitchpost: it lists no {what}")
        return listed

    async def get_model_id(self, name: str) -> str:
        """The id of the model that the host finds by a name; where there is none, the error says which there are."""
        found = await self._ask("GET", f"/v1/models/{quote(name, safe='')}")
        if not isinstance(found, dict) or not isinstance(found.get("id"), str):
            raise CommandError(f"what answers at {self._url} is not Hitchpost: it describes no model")
        return str(found["id"])

    async def get(self, path: str) -> Any:
        """The answer to a path, with its query."""
        return await self._ask("GET", path)

    async def post(self, path: str, body: Mapping[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """The answer to a JSON body."""
        return await self._ask("POST", path, timeout_s, json=body)

    async def _ask(self, method: str, path: str, timeout_s: float = ANSWER_TIMEOUT_S, **options: Any) -> Any:
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        async with self._request(method, path, timeout=timeout, **options) as response:
            return _parsed(await _body(response))

    async def stream_chat(self, model: str, messages: list[dict[str, str]]) -> AsyncGenerator[ChatPart, None]:
        """The answer to a conversation, piece by piece."""
        body = {"model": model, "messages": messages, "stream": True}
        async with self._request("POST", "/v1/chat/completions", json=body) as response:
            async for line in response.content:
                if not line.startswith(b"data:"):
                    continue
                data = line.removeprefix(b"data:").strip()
                if data == b"[DONE]":
                    return
                for part in _parts(_parsed(data)):
                    yield part
        raise CommandError("the answer broke off before its end")

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, read_bufsize=MAX_LINE_BYTES)
        try:
            async with self._session.request(method, self._url + path, **options) as response:
                if response.status >= 400:
                    raise HostRefusalError(response.status, _refusal(response.status, await _body(response)))
                yield response
        except TimeoutError as error:
            raise CommandError(f"the host at {self._url} did not answer in time") from error
        except aiohttp.ClientConnectorError as error:
            raise CommandError(f"no host answers at {self._url}; start one with: hitchpost run") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise CommandError(f"the connection to {self._url} failed: {error}") from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    try:
        await response.content.readexactly(MAX_ANSWER_BYTES)
    except IncompleteReadError as end:
        return end.partial
    raise CommandError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CommandError("the answer is not JSON; is that a Hitchpost host?") from error


def _refusal(status: int, body: bytes) -> str:
    """The message of an error body of either surface, or the status where there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        error = answer.get("error", answer.get("detail"))
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, str) and message:
            return message
    return f"the host answered with status {status}"


def ask_host(url: str, question: Callable[[HostClient], Awaitable[Any]]) -> Any:
    """Ask the host at `url` once, and let go of it."""

    async def ask() -> Any:
        async with aclosing(HostClient(url)) as client:
            return await question(client)

    return asyncio.run(ask())


def model_type(model: Mapping[str, Any]) -> str:
    """Whether a listed model is an `llm` or an `embedding` model."""
    metadata = model.get("metadata")
    return str(metadata.get("model_type", "llm")) if isinstance(metadata, dict) else "llm"


def _parts(chunk: Any) -> list[ChatPart]:
    if not isinstance(chunk, dict):
        raise CommandError("the stream holds what is no chunk of a chat completion")
    if "error" in chunk:
        raise CommandError(_refusal(0, json.dumps(chunk).encode()))
    parts: list[ChatPart] = []
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        kinds: tuple[tuple[Literal["text", "reasoning", "finish"], Any], ...] = (
            ("reasoning", delta.get("reasoning_content")),
            ("text", delta.get("content")),
            ("text", delta.get("refusal")),
            ("finish", choice.get("finish_reason")),
        )
        parts += [ChatPart(kind, text) for kind, text in kinds if text]
    return parts


__all__ = ["ChatPart", "HostClient", "HostRefusalError", "ask_host", "model_type"]
