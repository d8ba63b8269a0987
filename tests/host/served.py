"""A host for tests: the real application over a real stack, on a free port of this machine."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from hitchpost.config import parse_run_config
from hitchpost.host import HostSettings, make_app, make_runner
from hitchpost.stack import Stack, build_stack

ODD_PROVIDER = Path(__file__).parent / "odd_provider.py"


@dataclass(frozen=True)
class ServedHost:
    """A running host and a client session of its own."""

    app: web.Application
    stack: Stack
    url: str
    http: aiohttp.ClientSession

    async def post(self, path: str, body: Any, **headers: str) -> "Answer":
        """Status, headers and text of the answer to a JSON body."""
        return await self.send("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})

    async def get(self, path: str, **headers: str) -> "Answer":
        """The answer to GET."""
        return await self.send("GET", path, None, headers)

    async def send(self, method: str, path: str, data: Any, headers: dict[str, str]) -> "Answer":
        """The answer to any request; redirects aren't followed."""
        skip = () if "Content-Type" in headers else ("Content-Type",)
        async with self.http.request(
            method, self.url + path, data=data, headers=headers, skip_auto_headers=skip, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.text())

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = (await self.get("/metrics")).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0].partition("{")[0] == name)


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.text)

    @property
    def events(self) -> list[Any]:
        """The data of the body's server-sent events, parsed; `[DONE]` stays a string."""
        return parse_events(self.text)


def parse_events(text: str) -> list[Any]:
    """The data of server-sent events; anything but `data` and comments is a mistake."""
    assert text.endswith("\n\n") or not text
    found: list[Any] = []
    for block in text.split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        assert block.startswith("data: ")
        assert "\n" not in block
        data = block.removeprefix("data: ")
        found.append(data if data == "[DONE]" else json.loads(data))
    return found


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def scripted_config(script: list[dict[str, Any]], **provider: Any) -> dict[str, Any]:
    """A run config with one scripted provider `scripted` that serves the model `m`."""
    entry = {
        "provider_id": "scripted",
        "provider_type": "inline::scripted",
        "config": {"models": ["m"], "script": script},
        **provider,
    }
    return {"version": "2", "providers": {"inference": [entry]}}


EVERY_API: dict[str, Any] = {
    "version": "2",
    "providers": {
        "inference": [
            {
                "provider_id": "scripted",
                "provider_type": "inline::scripted",
                "config": {
                    "models": ["m", "m2"],
                    "script": [
                        {"when": "news", "tool_calls": [{"name": "brave_search", "arguments": {"query": "news"}}]},
                        {"when": "weather", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]},
                        {"to": "tool", "text": "The tool said so."},
                        {"when": "break", "text": "one two three", "fault": {"kind": "cut", "after_events": 2}},
                        {"when": "stall", "text": "one two three", "fault": {"kind": "stall", "after_events": 2}},
                        {"echo": True},
                    ],
                },
            }
        ],
        **{
            api: [{"provider_id": "scripted", "provider_type": "inline::scripted", "config": config}]
            for api, config in {
                "safety": {"accept_any_shield": True},
                "memory": {},
                "agents": {"tool_responses": {"brave_search": "nothing new"}},
            }.items()
        },
        "telemetry": [{"provider_id": "traces", "provider_type": "inline::meta-reference", "config": {}}],
    },
    "shields": [{"shield_id": "guard", "provider_shield_id": "scripted"}],
}
"""A run config with a provider of every API; the models are `m` and `m2`."""


def odd_config() -> dict[str, Any]:
    """A run config with the provider of `odd_provider.py`, which no earlier host may have left in memory."""
    sys.modules.pop(ODD_PROVIDER.stem, None)
    entry = {"provider_id": "odd", "provider_type": "inline::odd"}
    return {"version": "2", "providers": {"inference": [entry]}, "plugins": {"paths": [str(ODD_PROVIDER)]}}


@asynccontextmanager
async def served(
    config: dict[str, Any],
    *,
    settings: HostSettings | None = None,
    server: dict[str, Any] | None = None,
    start: bool = True,
) -> AsyncIterator[ServedHost]:
    """A host that serves what a run config says."""
    loaded = parse_run_config({**config, "server": server or {}}, {}, name="test")
    stack = build_stack(loaded.config)
    app = make_app(stack, settings=settings)
    runner = make_runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    if start:
        await stack.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield ServedHost(app, stack, url, http)
    finally:
        await runner.cleanup()
        await stack.stop()
