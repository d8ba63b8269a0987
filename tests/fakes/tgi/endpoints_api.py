"""A fake of the small part of the Inference Endpoints service that says where an endpoint is and in which state."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.tgi.server import FakeTgi


class FakeEndpointsApi:
    """A context manager; knows one endpoint, `acme/llama`.

    Args:
        server: what the endpoint is. It is down unless the endpoint runs, and wakes the endpoint when it is asked.
        states: in which state the endpoint is at each look; the last one stays.
        token: what may read it.
    """

    def __init__(self, server: FakeTgi, *states: str, token: str = "hf_secret_token") -> None:
        self.server = server
        self.states: list[str] = list(states or ("running",))
        self.token = token
        self.message = "Endpoint is being prepared"
        self.looks = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.get("/v2/endpoint/{namespace}/{name}", self._endpoint)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.server.is_down = self.states[0] != "running"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def go_to(self, states: Sequence[str]) -> None:
        """From now on these are its states."""
        self.states = list(states)
        self.server.is_down = self.states[0] != "running"

    async def _endpoint(self, request: web.Request) -> web.Response:
        self.looks += 1
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "Invalid credentials"}, status=401)
        if (request.match_info["namespace"], request.match_info["name"]) != ("acme", "llama"):
            return web.json_response({"error": "Endpoint not found"}, status=404)
        state = self.states[0]
        if len(self.states) > 1:
            self.states.pop(0)
        self.server.is_down = state != "running"
        status: dict[str, Any] = {"state": state, "message": self.message, "readyReplica": int(state == "running")}
        # While it is made for the first time it has no address.
        status |= {} if state == "pending" else {"url": self.server.url}
        return web.json_response(
            {
                "name": "llama",
                "type": "protected",
                "model": {"repository": "meta-llama/Llama-3.1-8B-Instruct", "framework": "pytorch"},
                "status": status,
            }
        )
