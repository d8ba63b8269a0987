"""Servers of others that speak OpenAI's form, with the tiny Llama of this repository in them."""

import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hitchpost_tiny_llama
from tests.processes import HostProcess
from tests.real_servers.gguf_file import write_gguf
from tests.real_servers.parrot_file import write_parrot
from tests.servers import Server

CHECKPOINT = Path(hitchpost_tiny_llama.__file__).parent / "checkpoint"
REVISION = "0" * 40
CONTEXT_TOKENS = 8192


class ModelServer(Server):
    """One that serves `model`; `url` ends in `/v1`."""

    model: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def get(self, path: str) -> Any:
        """The JSON that a path answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return json.load(response)

    def is_answering(self) -> bool:
        try:
            self.get("/health")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def rests(self) -> bool:
        """Whether it computes next to nothing for a moment."""
        before = self._cpu_s()
        time.sleep(0.15)
        return self._cpu_s() - before <= 0.03

    def _cpu_s(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class LlamaCppServer(ModelServer):
    """llama.cpp's, out of the wheel `xllamacpp`: chat, completions and embeddings, two at a time.

    Args:
        pieces: all that the model says, in place of the tiny Llama.
    """

    model = "tiny"

    def __init__(self, *pieces: str) -> None:
        super().__init__()
        self._pieces = pieces

    def prepare(self) -> None:
        if self._pieces:
            write_parrot(self.folder / "tiny.gguf", self._pieces)
        else:
            write_gguf(CHECKPOINT, self.folder / "tiny.gguf", context_length=CONTEXT_TOKENS)

    def command(self) -> list[str]:
        script = Path(__file__).with_name("run_llama_cpp.py")
        return [sys.executable, str(script), str(self.folder / "tiny.gguf"), str(self.port), str(2 * CONTEXT_TOKENS)]

    def busy(self) -> int:
        """How many answers it is making."""
        return sum(slot["is_processing"] for slot in self.get("/slots"))


class TransformersServer(ModelServer):
    """`transformers serve`, offline, with one model in its cache."""

    model = "org/tiny"

    def prepare(self) -> None:
        repository = self.folder / "hub" / "models--org--tiny"
        (repository / "refs").mkdir(parents=True)
        (repository / "blobs").mkdir()
        (repository / "refs" / "main").write_text(REVISION)
        shutil.copytree(CHECKPOINT, repository / "snapshots" / REVISION)

    def command(self) -> list[str]:
        program = Path(sys.executable).with_name("transformers")
        return [str(program), "serve", "--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu"]

    def identity(self) -> Mapping[str, Any]:
        places = {"HF_HOME": str(self.folder), "HF_HUB_CACHE": str(self.folder / "hub")}
        return {"env": {**os.environ, **places, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}}


@contextmanager
def host_before(folder: Path, provider_type: str, url: str, **model: str) -> Iterator[HostProcess]:
    """A host whose only provider, `behind`, stands in front of a server; `model` is registered at it."""
    provider = {"provider_id": "behind", "provider_type": provider_type, "config": {"url": url, "max_retries": 0}}
    config = {"version": "2", "providers": {"inference": [provider]}, "models": [{**model, "provider_id": "behind"}]}
    with HostProcess(folder, json.dumps(config)) as host:
        yield host


def state_of(host: HostProcess) -> str:
    """What a host says of its only provider."""
    [provider] = json.loads(host.get("/hitchpost/v1/providers"))["data"]
    return str(provider["state"])
