"""Run configs of 2024, as they were published, start; what nobody serves here is failed with what to do."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.processes import HostProcess

PUBLISHED = Path(__file__).parents[1] / "config" / "published"
ENVIRON = {"HITCHPOST_PLUGINS": "telemetry", "INFERENCE_MODEL": "llama3.2:3b", "HF_TOKEN": "x"}


@pytest.fixture(params=["august", "september", "october", "november"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    text = (PUBLISHED / f"{request.param}.yaml").read_text()
    with HostProcess(tmp_path, text, {**ENVIRON, "SQLITE_STORE_DIR": str(tmp_path)}) as host:
        yield request.param, host


def answer(host: HostProcess, path: str) -> Any:
    with urllib.request.urlopen(host.url + path, timeout=10) as response:
        return json.load(response)


RESOURCES = {
    "august": ([], ["llama_guard", "prompt_guard"], []),
    "september": (
        ["Llama-Guard-3-8B", "Llama3.1-70B-Instruct", "Llama3.1-8B-Instruct"],
        ["code_scanner_guard", "injection_shield", "jailbreak_shield", "llama_guard"],
        ["handbook"],
    ),
    "october": ([], ["llama_guard"], []),
    "november": (
        ["llama3.2:3b", "meta-llama/Llama-Guard-3-8B"],
        ["meta-llama/Llama-Guard-3-8B"],
        ["handbook", "notes"],
    ),
}


def test_every_file_starts_with_all_its_providers_and_resources(host: tuple[str, HostProcess]) -> None:
    era, running = host

    paths = ("models", "shields", "memory-banks")
    listed = [sorted(entry["identifier"] for entry in answer(running, f"/alpha/{path}/list")) for path in paths]
    providers = answer(running, "/alpha/providers/list")

    assert tuple(listed) == RESOURCES[era]
    assert {"inference", "safety", "memory"} <= providers.keys()
    assert "Traceback" not in running.log
