"""What the host adds to a request: beside a bare aiohttp application that sends the same bytes, in interleaved rounds, one core each.

    python bench/gateway.py [--rounds 5]

Latency is of a whole answer at concurrency 1. CPU is the server process's own, per whole answer at concurrency 64 and per 1,000 chunks of
streams that send one chunk every 20 ms. Ratios are of medians over the rounds.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from measuring.server import ServerProcess

ANSWER = "Ready."
WORDS = 100
PACE_S = 0.02
STREAMS = 20
MESSAGES = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Tell me of horses."}]
Post = Callable[[ServerProcess, bool], Awaitable[bytes]]


def run_config(text: str, token_s: float) -> dict[str, object]:
    """The scripted provider answers everything with the same text."""
    # Without a pace the whole answer is one burst, as a server's whole answer would be.
    rule = {"text": text, "pace": {"token_s": token_s, "burst_tokens": 1 if token_s else 1000}}
    provider = {
        "provider_id": "scripted",
        "provider_type": "inline::scripted",
        "config": {"models": ["horse"], "script": [rule]},
    }
    return {"version": "2", "providers": {"inference": [provider]}, "models": [{"model_id": "horse"}]}


async def latencies_ms(post: Post, server: ServerProcess, count: int) -> float:
    """Median milliseconds of one request after another."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        await post(server, False)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


async def cpu_ms_per_request(post: Post, server: ServerProcess, count: int, concurrency: int) -> float:
    """The server's CPU milliseconds for each of `count` requests, `concurrency` at a time."""
    began = server.cpu_s()
    remaining = iter(range(count))

    async def work() -> None:
        for _ in remaining:
            await post(server, False)

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return (server.cpu_s() - began) / count * 1000


async def cpu_ms_per_1000_chunks(post: Post, server: ServerProcess, streams: int) -> float:
    """The server's CPU milliseconds for 1,000 chunks of paced streams that run side by side."""
    began = server.cpu_s()
    bodies = await asyncio.gather(*(post(server, True) for _ in range(streams)))
    chunks = sum(body.count(b"data: ") for body in bodies)
    return (server.cpu_s() - began) / chunks * 1_000_000


async def measure(rounds: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with tempfile.TemporaryDirectory() as folder:
        at_once, paced = Path(folder, "at_once.yaml"), Path(folder, "paced.yaml")
        at_once.write_text(json.dumps(run_config(ANSWER, 0)))
        paced.write_text(json.dumps(run_config(" ".join(["horse"] * WORDS), PACE_S)))
        answers = Path(folder, "answers.json")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def post(server: ServerProcess, stream: bool) -> bytes:
                body = {"model": "horse", "messages": MESSAGES, "stream": stream}
                async with session.post(server.url + "/v1/chat/completions", json=body) as response:
                    text = await response.read()
                    if response.status != 200:
                        raise SystemExit(f"{response.status}: {text[:300]!r}")
                    return text

            hitchpost = ["-m", "hitchpost", "run", str(at_once), "--port", "{port}"]
            hitchpost_paced = ["-m", "hitchpost", "run", str(paced), "--port", "{port}"]
            bare = [str(Path(__file__).parent / "measuring" / "bare.py"), "{port}", str(answers)]
            with (
                ServerProcess(hitchpost, "/ready", cores[0]) as ours,
                ServerProcess(hitchpost_paced, "/ready", cores[0]) as ours_paced,
            ):
                whole, stream = await post(ours, False), await post(ours_paced, True)
                chunks = [part + "\n\n" for part in stream.decode().split("\n\n") if part]
                answers.write_text(json.dumps({"whole": whole.decode(), "chunks": chunks, "pace_s": PACE_S}))
                with ServerProcess(bare, "/health", cores[0]) as base:
                    await report(post, ours, ours_paced, base, rounds)


async def report(post: Post, ours: ServerProcess, ours_paced: ServerProcess, base: ServerProcess, rounds: int) -> None:
    """Measure in interleaved rounds and print medians and ratios."""
    figures: dict[str, tuple[list[float], list[float]]] = {
        "latency, ms at concurrency 1": ([], []),
        "CPU, ms per request at 64": ([], []),
        "CPU, ms per 1,000 chunks": ([], []),
    }
    latency, requests, chunks = figures.values()
    for server in (ours, base):
        await cpu_ms_per_request(post, server, 500, 16)
    for _ in range(rounds):
        for side, server in ((0, ours), (1, base)):
            latency[side].append(await latencies_ms(post, server, 200))
            requests[side].append(await cpu_ms_per_request(post, server, 1500, 64))
        for side, server in ((0, ours_paced), (1, base)):
            chunks[side].append(await cpu_ms_per_1000_chunks(post, server, STREAMS))
    print(f"{'':32}{'hitchpost':>12}{'bare aiohttp':>14}{'ratio':>8}")
    for name, (mine, bare) in figures.items():
        a, b = statistics.median(mine), statistics.median(bare)
        print(f"{name:32}{a:12.3f}{b:14.3f}{a / b:8.2f}")
    added = statistics.median(latency[0]) - statistics.median(latency[1])
    print(
        f"added latency: {added:.3f} ms; rounds: {rounds}; memory after them: {ours.rss_mib():.0f} MiB, bare {base.rss_mib():.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
