"""Talking to one Ollama server: bodies out, checked objects in."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from hitchpost.errors import BadBackendAnswerError
from hitchpost.remote import RemoteServer, find_server_error, parse_json
from hitchpost_remote_ollama.config import OllamaConfig
from hitchpost_remote_ollama.failures import read_error
from hitchpost_remote_ollama.wire import WireObject

QUICK_S = 8.0
"""How long an answer about models or health may take to begin."""

AnswerT = TypeVar("AnswerT", bound=WireObject)


class OllamaClient:
    """One pool of connections to one server.

    Args:
        config: where it is, and how long it may take.
    """

    def __init__(self, config: OllamaConfig) -> None:
        self._config = config
        self._server = RemoteServer(config, "Ollama", key=config.api_key, read_error=read_error)

    async def open(self) -> None:
        """Opens the pool; again is once."""
        await self._server.open()

    async def close(self) -> None:
        """Ends every connection."""
        await self._server.close()

    async def get(self, path: str, kind: type[AnswerT]) -> AnswerT:
        """What a GET answers."""
        return await self._whole("GET", path, None, kind, QUICK_S)

    async def ask(self, path: str, body: Mapping[str, Any], kind: type[AnswerT]) -> AnswerT:
        """What a POST answers that is quickly said."""
        return await self._whole("POST", path, body, kind, QUICK_S)

    async def post(self, path: str, body: Mapping[str, Any], kind: type[AnswerT]) -> AnswerT:
        """What a POST answers when all of it is there: nothing comes before its end."""
        return await self._whole("POST", path, body, kind, self._config.total_timeout_s)

    async def _whole(
        self, method: str, path: str, body: Mapping[str, Any] | None, kind: type[AnswerT], silence_s: float
    ) -> AnswerT:
        async with self._server.send(method, path, body, first_byte_timeout_s=silence_s) as answer:
            return self._read(await answer.read(), kind)

    async def lines(self, path: str, body: Mapping[str, Any], kind: type[AnswerT]) -> AsyncGenerator[AnswerT, None]:
        """The objects of a stream, one from each line. It ends where the server ends it; whether that is its end, the caller knows.

        Raises:
            HitchpostError: what the server says in place of a line, or that it says nothing, or nonsense.
        """
        async with self._server.send("POST", path, body, accept="application/x-ndjson") as answer:
            while lines := await answer.next_lines():
                for line in lines:
                    said = self._read(line, kind)
                    yield said
                    if said.is_last:
                        await answer.finish()
                        return

    def _read(self, data: bytes, kind: type[AnswerT]) -> AnswerT:
        try:
            # What `model_validate_json` calls: once per token, its own part of the time is a third.
            answer: AnswerT = kind.__pydantic_validator__.validate_json(data)
            return answer
        except ValidationError as error:
            invalid = error.errors(include_input=False, include_url=False)[0]
        failure = find_server_error(parse_json("Ollama", data))
        if failure is not None:
            raise self._server.refusal(500, failure)
        where = ".".join(map(str, invalid["loc"])) or "the whole"
        raise BadBackendAnswerError(f"Ollama's answer can't be read: {where}: {invalid['msg']}"[:200])


__all__ = ["OllamaClient"]
