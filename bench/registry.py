"""What 1,000 and 10,000 registered models cost: listing, lookup, registering, start and memory, and how they grow.

    python bench/registry.py [--sizes 100,1000,10000]

Per size, one host of its own: models are registered over HTTP by 8 clients into the default store (sqlite), then the host is restarted.
Times in process are medians on the same registry, without HTTP. `growth` is the last column over the one before it.
"""

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from measuring.server import ServerProcess

from hitchpost.api import Model
from hitchpost.llama import find_llama_model
from hitchpost.registry import Origin, ResourceRegistry
from hitchpost.routing import Resolver

CLIENTS = 8
ROUNDS = 7
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
RUN_CONFIG: dict[str, Any] = {
    "version": "2",
    "providers": {
        "inference": [
            {"provider_id": "scripted", "provider_type": "inline::scripted", "config": {"accept_any_model": True}}
        ]
    },
}


def median_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median milliseconds of one call."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def registered(number: int) -> Model:
    """One of many models."""
    return Model(
        identifier=f"org/model-{number}",
        provider_resource_id=f"inner-{number}",
        provider_id="scripted",
        metadata={"context_length": 8192},
    )


def in_process(size: int) -> dict[str, float]:
    """What the registry and the resolver take, without HTTP and store."""
    registry: ResourceRegistry[Model] = ResourceRegistry(Model, find_llama_model)
    began = time.perf_counter()
    for number in range(size):
        registry.add(registered(number), Origin.api)
    filled_ms = (time.perf_counter() - began) * 1e3
    registry.add(registered(size).copy_with(identifier="llama", metadata={"llama_model": LLAMA}), Origin.api)
    resolver = Resolver(registry, ["scripted"])

    def unknown() -> None:
        try:
            resolver.get("unknown")
        except Exception as error:
            if type(error).__name__ != "NotFoundError":
                raise

    many = 1000

    def us(name: str) -> float:
        return median_ms(lambda: [resolver.get(name) for _ in range(many)]) * 1e3 / many

    return {
        "fill the registry, ms": filled_ms,
        "list in process, ms": median_ms(lambda: [entry.resource for entry in registry.entries()]),
        "look up by identifier, us": us(f"org/model-{size // 2}"),
        "look up by alias, us": us(LLAMA),
        "look up by provider's name, us": us(f"inner-{size // 2}"),
        "look up what isn't there, us": median_ms(unknown) * 1e3,
    }


async def _register_all(url: str, size: int) -> float:
    """Seconds until all are registered."""
    numbers = iter(range(size))

    async def client(http: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = {
                "model_id": f"org/model-{number}",
                "provider_model_id": f"inner-{number}",
                "metadata": {"context_length": 8192},
            }
            async with http.post(f"{url}/alpha/models/register", json=body) as answer:
                if answer.status != 200:
                    raise RuntimeError(await answer.text())

    async with aiohttp.ClientSession() as http:
        began = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(CLIENTS)))
        return time.perf_counter() - began


async def _timed_ms(url: str, path: str, body: dict[str, Any] | None = None) -> float:
    taken = []
    async with aiohttp.ClientSession() as http:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            async with http.request("GET" if body is None else "POST", url + path, json=body) as answer:
                await answer.read()
                if answer.status != 200:
                    raise RuntimeError(await answer.text())
            taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def over_http(size: int, folder: Path) -> dict[str, float]:
    """What a real host takes, before and after a restart."""
    config = folder / "run.yaml"
    config.write_text(json.dumps(RUN_CONFIG))
    command = ["-m", "hitchpost", "run", str(config), "--port", "{port}"]
    with ServerProcess(command, "/ready", home=folder / "home") as host:
        register_s = asyncio.run(_register_all(host.url, size))
    with ServerProcess(command, "/ready", home=folder / "home") as host:
        chat = {"model_id": f"org/model-{size // 2}", "messages": [{"role": "user", "content": "hello"}]}
        return {
            "register over HTTP, ms each": register_s * 1e3 / size,
            "start with them, s": host.start_s,
            "memory after the start, MiB": host.rss_mib(),
            "list over HTTP, ms": asyncio.run(_timed_ms(host.url, "/alpha/models/list")),
            "list as OpenAI, ms": asyncio.run(_timed_ms(host.url, "/v1/models")),
            "get over HTTP, ms": asyncio.run(
                _timed_ms(host.url, f"/alpha/models/get?identifier=org/model-{size // 2}")
            ),
            "chat over HTTP, ms": asyncio.run(_timed_ms(host.url, "/alpha/inference/chat-completion", chat)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100,1000,10000")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    columns = []
    for size in sizes:
        gc.collect()
        with tempfile.TemporaryDirectory() as folder:
            columns.append(in_process(size) | over_http(size, Path(folder)))
    print(f"{'registered models':34}" + "".join(f"{size:>12,}" for size in sizes) + f"{'growth':>10}")
    for name in columns[0]:
        values = [column[name] for column in columns]
        growth = f"{values[-1] / values[-2]:9.1f}x" if len(values) > 1 else ""
        print(f"{name:34}" + "".join(f"{value:12.3f}" for value in values) + growth)


if __name__ == "__main__":
    main()
