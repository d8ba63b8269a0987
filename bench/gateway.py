"""What the host adds to a request, beside a bare aiohttp program that sends the same bytes: in interleaved rounds, each on one core of its own,
the load and whatever is behind the host on another core.

    python bench/gateway.py [--rounds 5] [--of scripted remote memory]

- `scripted`: the scripted provider, beside an application that sends what it would.
- `remote`: `remote::openai`, `remote::tgi` and `remote::ollama` in front of a server (`measuring/backend.py`), each beside a relay that hands
  that server's bytes on (`measuring/relay.py`).
- `memory`: resident memory of the host before and after 10,000 requests to each of the three.

Latency is the median of whole answers at concurrency 1. Added latency is that latency minus the latency of the server behind when it is asked
directly, in turns with the others. CPU is user and system time of the server process itself: for each whole answer at concurrency 1 and 64, and for
1,000 chunks of 20 streams whose chunks come 20 ms apart. Ratios are of medians over the rounds.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import backend
from measuring.load import Target, alone, answer_of, cpu_ms_per_1000_chunks, throughput
from measuring.server import ServerProcess

ANSWER = "Ready."
STREAMS = 20
MESSAGES = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Tell me of horses."}]
MEASURING = Path(__file__).parent / "measuring"
CHAT = "/v1/chat/completions"


class Cores:
    """The core of what is measured, and the one of everything else."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.measured, self.other = cores[0], cores[-1]
        os.sched_setaffinity(0, {self.other})


class Figures:
    """What was measured of the host and of its base, one value of each for each round."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))

    def add(self, name: str, both: Sequence[float]) -> None:
        for values, value in zip(self._values[name], both, strict=True):
            values.append(value)

    async def add_throughput(self, both: Sequence[Target]) -> None:
        done = [await throughput(target, 1500, 64) for target in both]
        self.add("requests/s at 64", [each.requests_per_s for each in done])
        self.add("CPU, ms/request at 64", [each.cpu_ms for each in done])

    async def add_chunks(self, both: Sequence[Target], chunks: int) -> None:
        cpu_ms = [await cpu_ms_per_1000_chunks(target, STREAMS, chunks, backend.PACE_S) for target in both]
        self.add("CPU, ms/1,000 chunks", cpu_ms)

    def show(self, title: str) -> None:
        """Print medians and their ratios."""
        print(f"{title:46}{'hitchpost':>12}{'base':>10}{'ratio':>8}")
        for name, values in self._values.items():
            ours, base = map(statistics.median, values)
            print(f"  {name:44}{ours:12.3f}{base:10.3f}{ours / base:8.2f}")


def hitchpost(folder: Path, name: str, config: dict[str, Any], cores: Cores) -> ServerProcess:
    """A host with a run config."""
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return ServerProcess(["-m", "hitchpost", "run", str(path), "--port", "{port}"], "/ready", cores.measured)


def asked(model: str, *, stream: bool) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": stream}


# --- the scripted provider ---


def scripted_config(text: str, token_s: float) -> dict[str, Any]:
    """The scripted provider answers everything with the same text."""
    # Without a pace the whole answer is one burst, as a server's whole answer would be.
    rule = {"text": text, "pace": {"token_s": token_s, "burst_tokens": 1 if token_s else 1000}}
    provider = {
        "provider_id": "scripted",
        "provider_type": "inline::scripted",
        "config": {"models": ["horse"], "script": [rule]},
    }
    return {"version": "2", "providers": {"inference": [provider]}, "models": [{"model_id": "horse"}]}


async def measure_scripted(folder: Path, cores: Cores, rounds: int) -> None:
    words = " ".join(["horse"] * backend.CHUNKS)
    whole, stream = asked("horse", stream=False), asked("horse", stream=True)
    answers = folder / "answers.json"
    with (
        hitchpost(folder, "at_once", scripted_config(ANSWER, 0), cores) as ours,
        hitchpost(folder, "paced", scripted_config(words, backend.PACE_S), cores) as paced,
    ):
        text = (await answer_of(Target(ours, CHAT, whole))).decode().partition("\r\n\r\n")[2]
        chunks = re.findall(r"data: [^\n]*\n\n", (await answer_of(Target(paced, CHAT, stream))).decode())
        answers.write_text(json.dumps({"whole": text, "chunks": chunks, "pace_s": backend.PACE_S}))
        with ServerProcess([str(MEASURING / "bare.py"), "{port}", str(answers)], "/health", cores.measured) as bare:
            figures = Figures()
            wholes = Target(ours, CHAT, whole), Target(bare, CHAT, whole)
            streams = Target(paced, CHAT, stream), Target(bare, CHAT, stream)
            await warm_up(wholes)
            for _ in range(rounds):
                done = await alone(wholes, 200)
                figures.add("latency, ms", [each.latency_ms for each in done])
                figures.add("CPU, ms/request at 1", [each.cpu_ms for each in done])
                await figures.add_throughput(wholes)
                await figures.add_chunks(streams, len(chunks))
            figures.show("scripted provider, beside an application")


# --- servers behind the host ---


@dataclass(frozen=True)
class Wire:
    """What a client of the server behind would send it to get what the host is asked for."""

    provider_type: str
    whole: tuple[str, Any]
    stream: tuple[str, Any]


SAMPLING = {"max_new_tokens": 100, "details": True}
PROMPT = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nTell me of horses.<|eot_id|>"
WIRES = {
    "openai": Wire(
        "remote::openai",
        (CHAT, asked(backend.MODEL, stream=False)),
        (CHAT, asked(backend.MODEL, stream=True)),
    ),
    "tgi": Wire(
        "remote::tgi",
        ("/generate", {"inputs": PROMPT, "parameters": SAMPLING}),
        ("/generate_stream", {"inputs": PROMPT, "parameters": SAMPLING}),
    ),
    "ollama": Wire(
        "remote::ollama",
        ("/api/chat", asked("llama3.1:latest", stream=False)),
        ("/api/chat", asked("llama3.1:latest", stream=True)),
    ),
}


def remote_config(url: str) -> dict[str, Any]:
    """One provider for each wire, and a model of the same name behind it."""
    providers = [
        {"provider_id": name, "provider_type": wire.provider_type, "config": {"url": url}}
        for name, wire in WIRES.items()
    ]
    names = {"openai": backend.MODEL, "tgi": backend.MODEL, "ollama": "llama3.1:latest"}
    models = [
        {"model_id": f"{wire}-horse", "provider_id": wire, "provider_model_id": name} for wire, name in names.items()
    ]
    return {"version": "2", "providers": {"inference": providers}, "models": models}


async def measure_remote(folder: Path, cores: Cores, rounds: int) -> None:
    with ServerProcess([str(MEASURING / "backend.py"), "{port}"], "/health", cores.other) as behind:
        relaying = [str(MEASURING / "relay.py"), "{port}", behind.url]
        with (
            hitchpost(folder, "remote", remote_config(behind.url), cores) as ours,
            ServerProcess(relaying, "/health", cores.measured) as relay,
        ):
            for name, wire in WIRES.items():
                await measure_wire(name, wire, (ours, relay, behind), rounds)


async def measure_wire(name: str, wire: Wire, servers: tuple[ServerProcess, ...], rounds: int) -> None:
    ours, relay, behind = servers
    model = f"{name}-horse"
    wholes = Target(ours, CHAT, asked(model, stream=False)), Target(relay, *wire.whole)
    streams = Target(ours, CHAT, asked(model, stream=True)), Target(relay, *wire.stream)
    figures = Figures()
    await warm_up(wholes)
    for _ in range(rounds):
        *through, direct = await alone([*wholes, Target(behind, *wire.whole)], 200)
        figures.add("added latency, ms", [each.latency_ms - direct.latency_ms for each in through])
        figures.add("CPU, ms/request at 1", [each.cpu_ms for each in through])
        await figures.add_throughput(wholes)
        await figures.add_chunks(streams, backend.CHUNKS)
    figures.show(f"{wire.provider_type}, beside a relay")


async def measure_memory(folder: Path, cores: Cores) -> None:
    with (
        ServerProcess([str(MEASURING / "backend.py"), "{port}"], "/health", cores.other) as behind,
        hitchpost(folder, "memory", remote_config(behind.url), cores) as ours,
    ):
        print("resident memory of the host, MiB, with 64 requests at a time")
        for name in WIRES:
            target = Target(ours, CHAT, asked(f"{name}-horse", stream=False))
            await throughput(target, 5000, 64)
            before = ours.rss_mib()
            await throughput(target, 10_000, 64)
            print(
                f"  {WIRES[name].provider_type:20}{before:8.1f} after 5,000 requests, {ours.rss_mib():.1f} after 10,000 more"
            )


async def warm_up(targets: Sequence[Target]) -> None:
    for target in targets:
        await throughput(target, 500, 16)


async def measure(parts: Sequence[str], rounds: int) -> None:
    cores = Cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "scripted" in parts:
            await measure_scripted(folder, cores, rounds)
        if "remote" in parts:
            await measure_remote(folder, cores, rounds)
        if "memory" in parts:
            await measure_memory(folder, cores)
    print(f"rounds: {rounds}; load average {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parts = ("scripted", "remote", "memory")
    parser.add_argument("--of", nargs="+", choices=parts, default=parts)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.of, arguments.rounds))


if __name__ == "__main__":
    main()
