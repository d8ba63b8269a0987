"""`hitchpost jobs` against a running host."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.processes import HostProcess

PLUGIN = """
import asyncio

from pydantic import BaseModel

from hitchpost import hookimpl
from hitchpost.errors import BadRequestError
from hitchpost.plugin import InferenceProvider, ProviderSpec


class NoConfig(BaseModel):
    pass


class Busy(InferenceProvider[NoConfig]):
    async def start(self):
        async def pull(progress):
            progress.report(done=1.5e6, total=2e9, unit="bytes", message="pulling\\x1b[2J layers")
            await asyncio.Event().wait()

        async def fail(progress):
            raise BadRequestError("there is no such document")

        self.deps.jobs.start("pull_model", "llama", pull)
        self.deps.jobs.start("insert_documents", "notes", fail)


@hookimpl
def provider_specs():
    return [ProviderSpec(api="inference", provider_type="inline::busy", config="busy:NoConfig", factory="busy:Busy")]
"""
CONFIG = """
version: '2'
plugins: {paths: [PATH]}
providers:
  inference:
  - {provider_id: busy, provider_type: inline::busy}
"""


@pytest.fixture(scope="module")
def busy_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = tmp_path_factory.mktemp("busy-host")
    plugin: Path = folder / "busy.py"
    plugin.write_text(PLUGIN)
    with HostProcess(folder, CONFIG.replace("PATH", str(plugin))) as host:
        yield host


def test_jobs_are_listed_shown_and_cancelled(hitchpost: Run, busy_host: HostProcess) -> None:
    url = ("--url", busy_host.url)
    jobs = {job["kind"]: job for job in json.loads(hitchpost("jobs", "list", "--json", *url).output)}
    pull = jobs["pull_model"]["id"]

    table = hitchpost("jobs", "list", *url).output
    shown = json.loads(hitchpost("jobs", "show", pull, "--json", *url).output)
    cancelled = hitchpost("jobs", "cancel", pull, *url).output
    again = json.loads(hitchpost("jobs", "cancel", pull, "--json", *url).output)

    assert "1,500,000 of 2,000,000,000 bytes, pulling[2J layers" in table
    assert "failed" in table
    assert "there is no such document" in table
    assert shown["state"] == "running"
    assert "cancelled" in cancelled
    assert again["state"] == "cancelled"


def test_host_without_jobs_says_so(hitchpost: Run, scripted_host: HostProcess) -> None:
    assert hitchpost("jobs", "list", "--url", scripted_host.url).output == "the host has no jobs\n"


@pytest.mark.parametrize("command", ["show", "cancel"])
def test_job_that_is_not_there_ends_with_the_hosts_words(
    command: str, hitchpost: Run, scripted_host: HostProcess
) -> None:
    result = hitchpost("jobs", command, "job/../1", "--url", scripted_host.url)

    assert result.exit_code == 1
    assert "no job 'job/../1'" in result.output
