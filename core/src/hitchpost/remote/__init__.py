"""For providers in front of an HTTP server: connections, limits, streams and errors, so that each adapter holds only what is its server's own.

    class AcmeConfig(RemoteConfig):
        url: ServerUrl = "http://localhost:9000"
        api_key: SecretStr | None = None

    class AcmeInference(InferenceProvider[AcmeConfig]):
        def __init__(self, config, deps):
            super().__init__(config, deps)
            self._server = RemoteServer(config, "Acme", key=config.api_key)

        async def start(self):
            await self._server.open()

        async def stop(self):
            await self._server.close()

        async def stream_completion(self, request, context):
            body = {"prompt": content_text(request.content), "stream": True}
            async with self._server.send("POST", "/generate", body, accept="text/event-stream", deadline=context.deadline) as answer:
                while events := await answer.next_events():
                    for event in events:
                        yield TextDelta(parse_json("Acme", event.data)["text"])

A stream that ends is no success by itself: whether the answer is whole, only the adapter can tell. A package that uses this depends on
`hitchpost[remote]`, which brings what opens connections; it is imported when a pool is opened.
"""

from hitchpost.remote.answer import Answer, parse_json
from hitchpost.remote.config import RemoteConfig, Seconds, ServerUrl
from hitchpost.remote.events import EventParser, LineSplitter, ServerEvent
from hitchpost.remote.refusals import ServerError, find_server_error, server_words
from hitchpost.remote.server import ReadError, RemoteServer

__all__ = [
    "Answer",
    "EventParser",
    "LineSplitter",
    "ReadError",
    "RemoteConfig",
    "RemoteServer",
    "Seconds",
    "ServerError",
    "ServerEvent",
    "ServerUrl",
    "find_server_error",
    "parse_json",
    "server_words",
]
