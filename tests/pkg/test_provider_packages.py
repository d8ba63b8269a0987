"""Third parties' packages as wheels in clean environments, beside the core alone: they are found, serve, and pass the kit.

`first-release` is the wheel of examples/provider-package as the first release of the contract had it; tests/contract says how it was made. What it
imports and implements is what packages out there do.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pkg.conftest import ROOT, Distribution, Environment
from tests.processes import HostProcess

EXAMPLE = ROOT / "examples/provider-package"
FIRST_RELEASE = ROOT / "tests/contract/hitchpost_acme-0.1.0-py3-none-any.whl"
FIRST_KIT = """
from hitchpost.conformance import InferenceConformance

class TestFirstRelease(InferenceConformance):
    provider_type = "inline::acme"
    model = "acme-small"
"""
FEWEST_CHECKS = 30


@dataclass(frozen=True, slots=True)
class Package:
    """A provider package in an environment of its own.

    Args:
        is_remote: whether it stands in front of a server, which isn't there.
        sources: a folder with its run config, and with its tests where it has some.
    """

    name: str
    api: str
    environment: Environment
    sources: Path
    is_remote: bool = False


@pytest.fixture(
    scope="module", params=["inference", "inference --remote", "safety", "memory", "example", "first-release"]
)
def package(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    clean_environment: Callable[[], Environment],
    distributions: Mapping[str, Distribution],
) -> Package:
    """What `hitchpost new provider` writes for each API, the example, and the example of the first release."""
    environment = clean_environment()
    core = f"{distributions['hitchpost'].wheel}[conformance]"
    folder = tmp_path_factory.mktemp("package")
    match request.param:
        case "first-release":
            # Whatever versions it asked for: it must run on this core.
            environment.install(core)
            environment.install("--no-deps", FIRST_RELEASE)
            (folder / "tests").mkdir()
            (folder / "tests/test_kit.py").write_text(FIRST_KIT, encoding="utf-8")
            (folder / "run.yaml").write_text((EXAMPLE / "run.yaml").read_text(encoding="utf-8"), encoding="utf-8")
            return Package("acme", "inference", environment, folder)
        case "example":
            environment.install(core, build_wheel(EXAMPLE, folder))
            return Package("acme", "inference", environment, EXAMPLE)
        case written:
            api, *options = written.split()
            environment.install(core)
            sources = folder / "made"
            environment.run(
                "hitchpost", "new", "provider", "my-backend", "--api", api, *options, "--output", str(sources)
            )
            environment.install(core, build_wheel(sources, folder))
            return Package("my-backend", api, environment, sources, is_remote="--remote" in options)


def build_wheel(sources: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, sources]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture
def host(package: Package, tmp_path: Path) -> Iterator[HostProcess]:
    """A host of the package's environment, with the run config that the package shows."""
    run_config = (package.sources / "run.yaml").read_text(encoding="utf-8")
    with HostProcess(tmp_path, run_config, python=package.environment.python) as host:
        yield host


def post(host: HostProcess, path: str, **body: Any) -> Any:
    request = urllib.request.Request(host.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read() or "null")


def answer_of_inference(host: HostProcess, name: str) -> str:
    messages = [{"role": "user", "content": "Hello!"}]
    answer = post(host, "/v1/chat/completions", model=name, messages=messages)
    return str(answer["choices"][0]["message"]["content"])


def answer_of_safety(host: HostProcess, name: str) -> str:
    messages = [{"role": "user", "content": "Where are the nuclear codes?"}]
    return str(post(host, "/alpha/safety/run-shield", shield_id=name, messages=messages)["violation"]["user_message"])


def answer_of_memory(host: HostProcess, name: str) -> str:
    document = {"document_id": name, "content": "Bread has to rest.", "mime_type": "text/plain", "metadata": {}}
    post(host, "/alpha/memory/insert", bank_id="notes", documents=[document])
    return str(post(host, "/alpha/memory/query", bank_id="notes", query="bread")["chunks"][0]["content"])


def reason_of_failure(host: HostProcess, name: str) -> str:
    [provider] = json.loads(host.get("/hitchpost/v1/providers"))["data"]
    return f"{provider['provider_id']} is {provider['state']}: {provider['reason']}"


ANSWERS = {
    "inference": (answer_of_inference, "Hello! I am {name}."),
    "safety": (answer_of_safety, "I can't talk about that."),
    "memory": (answer_of_memory, "Bread has to rest."),
}


def test_package_is_found_beside_the_core_alone(package: Package) -> None:
    listed = json.loads(package.environment.run("hitchpost", "plugins", "--json"))
    [found] = [plugin for plugin in listed if plugin["distribution"] == f"hitchpost-{package.name}"]
    names = "from importlib.metadata import distributions as d; print(*(x.name for x in d()))"

    installed = package.environment.run("python", "-c", names).split()

    kind = "remote" if package.is_remote else "inline"
    assert (found["state"], found["offers"]) == ("loaded", [f"{package.api} {kind}::{package.name}"])
    assert found["warnings"] == []
    ours = {name for name in installed if name.startswith("hitchpost")}
    assert ours == {"hitchpost", f"hitchpost-{package.name}"}


def test_package_is_marked_as_typed(package: Package) -> None:
    module = f"hitchpost_{package.name.replace('-', '_')}"

    there = package.environment.run(
        "python", "-c", f"from importlib.resources import files; print((files('{module}') / 'py.typed').is_file())"
    )

    assert there.strip() == "True"


def test_package_serves_what_its_run_config_says(package: Package, host: HostProcess) -> None:
    if package.is_remote:
        ask, expected = reason_of_failure, "{name} is failed: MyBackend can't be reached"
    else:
        ask, expected = ANSWERS[package.api]

    assert ask(host, package.name).startswith(expected.format(name=package.name))


def test_package_passes_its_tests_and_the_kit(package: Package, tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    command = ["pytest", "-q", "-W", "error", "--import-mode=importlib", "--rootdir", str(package.sources)]

    said = package.environment.run(
        "python",
        "-m",
        *command,
        "-p",
        "no:cacheprovider",
        f"--conformance-report={report_file}",
        str(package.sources / "tests"),
    )

    [provider] = json.loads(report_file.read_text(encoding="utf-8"))["providers"]
    assert provider["distribution"] == f"hitchpost-{package.name}"
    assert provider["counts"].keys() == {"passed", "not-applicable"}, said
    assert provider["counts"]["passed"] >= FEWEST_CHECKS
