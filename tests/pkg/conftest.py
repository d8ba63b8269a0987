"""The built distributions, and clean environments to install them in."""

import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "hitchpost": "core",
    "hitchpost-meta-reference": "plugins/meta_reference",
    "hitchpost-bedrock": "plugins/bedrock",
    "hitchpost-remote-ollama": "plugins/remote_ollama",
    "hitchpost-remote-openai": "plugins/remote_openai",
    "hitchpost-remote-tgi": "plugins/remote_tgi",
    "hitchpost-tiny-llama": "plugins/tiny_llama",
    "hitchpost-weaviate": "plugins/weaviate",
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution as it would be uploaded; the wheel was built from the source distribution."""

    name: str
    sdist: Path
    wheel: Path

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    def files(self) -> list[str]:
        with ZipFile(self.wheel) as wheel:
            return wheel.namelist()

    def read(self, name: str) -> str:
        """A file of the wheel's `.dist-info` folder."""
        with ZipFile(self.wheel) as wheel:
            found = next(path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
            return wheel.read(found).decode()

    def metadata(self) -> Message:
        return Parser().parsestr(self.read("METADATA"))


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment without pip."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    def install(self, *arguments: str | Path) -> None:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.python,
            "--disable-pip-version-check",
            "install",
            "--quiet",
        ]
        subprocess.run([*pip, *arguments], check=True)

    def run(self, *command: str, expect: int = 0) -> str:
        """What a command of the environment prints, both streams; its exit status must be `expect`."""
        environment = {"PATH": str(self.folder / "bin"), "HITCHPOST_HOME": str(self.folder / "home"), "NO_COLOR": "1"}
        result = subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == expect, result.stdout + result.stderr
        return result.stdout + result.stderr


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Distribution]:
    """Every distribution of the repository, built."""
    folder = tmp_path_factory.mktemp("dist")
    built = {}
    for name, source in FOLDERS.items():
        out = folder / source
        subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT / source], check=True)
        built[name] = Distribution(name, next(out.glob("*.tar.gz")), next(out.glob("*.whl")))
    return built


@pytest.fixture(params=list(FOLDERS))
def distribution(request: pytest.FixtureRequest, distributions: Mapping[str, Distribution]) -> Distribution:
    return distributions[request.param]


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Environment]:
    """Makes an empty environment: the standard library and nothing else."""

    def make() -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=False, symlinks=True)
        return Environment(folder)

    return make


@pytest.fixture(scope="session")
def core_alone(clean_environment: Callable[[], Environment], distributions: Mapping[str, Distribution]) -> Environment:
    """The core's wheel and what it declares; nothing else."""
    environment = clean_environment()
    environment.install(distributions["hitchpost"].wheel)
    return environment


@pytest.fixture(scope="session")
def core_with_plugins(
    clean_environment: Callable[[], Environment], distributions: Mapping[str, Distribution]
) -> Environment:
    """The core and the wheels of all plugins, whose libraries are missing."""
    environment = clean_environment()
    environment.install(distributions["hitchpost"].wheel)
    environment.install("--no-deps", *(built.wheel for built in distributions.values() if built.name != "hitchpost"))
    return environment
