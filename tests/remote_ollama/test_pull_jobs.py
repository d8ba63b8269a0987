"""A model that Ollama has to pull, from its registration to its first answer, over HTTP and through the whole host."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hitchpost_remote_ollama import pulls
from tests.fakes.ollama.models import FakeModel
from tests.fakes.ollama.server import FakeOllama
from tests.host.served import Answer, ServedHost, served

REGISTER = "/alpha/models/register"
LATER = {"model_id": "later", "provider_model_id": "phi4", "metadata": {"pull": True}}


@pytest.fixture
async def slow_ollama(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeOllama]:
    """It has to pull `phi4`, which takes longer than a registration waits, until the test says so."""
    monkeypatch.setattr(pulls, "PATIENCE_S", 0.05)
    async with FakeOllama(FakeModel("tiny:latest")) as fake:
        fake.models.to_pull["phi4"] = FakeModel("phi4:latest")
        fake.pull_may_end.clear()
        yield fake


def run_config(ollama: FakeOllama, *models: dict[str, Any]) -> dict[str, Any]:
    entry = {"provider_id": "ollama", "provider_type": "remote::ollama", "config": {"url": ollama.url}}
    return {"version": "2", "providers": {"inference": [entry]}, "models": list(models)}


@pytest.fixture
async def host(slow_ollama: FakeOllama) -> AsyncIterator[ServedHost]:
    async with served(run_config(slow_ollama)) as running:
        yield running


def job_path(refused: Answer) -> str:
    """Where a registration that has to wait says that its job is."""
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0
    named = re.search(r"/hitchpost/v1/jobs/\w+", refused.json["detail"])
    assert named is not None
    return named[0]


async def state_of(host: ServedHost, path: str, state: str) -> Any:
    """The job, once it is in a state."""
    async with asyncio.timeout(5):
        while (job := (await host.get(path)).json)["state"] != state:
            await asyncio.sleep(0.01)
    return job


async def test_registration_names_the_job_that_pulls_and_succeeds_after_it(
    host: ServedHost, slow_ollama: FakeOllama
) -> None:
    path = job_path(await host.post(REGISTER, LATER))
    again = job_path(await host.post(REGISTER, LATER))
    running = await state_of(host, path, "running")
    slow_ollama.pull_may_end.set()
    ended = await state_of(host, path, "succeeded")
    registered = await host.post(REGISTER, LATER)
    question = {"model": "later", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
    answer = await host.post("/v1/chat/completions", question)

    assert again == path
    assert (running["kind"], running["subject"], running["provider_id"]) == ("pull_model", "phi4", "ollama")
    assert (running["done"], running["total"], running["unit"]) == (1_321_082_688, 1_321_082_688, "bytes")
    assert ended["error"] is None
    assert (registered.status, registered.json["provider_resource_id"]) == (200, "phi4:latest")
    assert answer.json["choices"][0]["message"]["content"] == "You said: hello"
    assert len(slow_ollama.asked("/api/pull")) == 1


async def test_cancelled_job_stops_the_pull(host: ServedHost, slow_ollama: FakeOllama) -> None:
    path = job_path(await host.post(REGISTER, LATER))

    cancelled = await host.post(f"{path}/cancel", None)

    assert cancelled.json["state"] == "cancelled"
    async with asyncio.timeout(5):
        while slow_ollama.running:
            await asyncio.sleep(0.01)
    assert slow_ollama.models.find("phi4") is None


async def test_pull_that_fails_says_why_in_its_job(host: ServedHost) -> None:
    refused = await host.post(REGISTER, {**LATER, "provider_model_id": "no-such-model"})
    [job] = (await host.get("/hitchpost/v1/jobs")).json["data"]

    assert refused.status == 502
    assert job["state"] == "failed"
    assert job["error"]["code"] == "bad_backend_answer"
    assert "file does not exist" in job["error"]["message"]
    assert "file does not exist" in refused.json["detail"]


async def test_model_of_the_run_config_serves_as_soon_as_it_is_pulled(slow_ollama: FakeOllama) -> None:
    async with served(run_config(slow_ollama, {**LATER, "provider_id": "ollama"})) as host:
        [job] = (await host.get("/hitchpost/v1/jobs")).json["data"]
        [waiting] = [one for one in await problems(host) if one]
        slow_ollama.pull_may_end.set()
        async with asyncio.timeout(5):
            while any(await problems(host)):
                await asyncio.sleep(0.01)

    assert job["id"] in waiting


async def problems(host: ServedHost) -> list[str | None]:
    """Why models of the provider can't be used."""
    [provider] = (await host.get("/hitchpost/v1/providers")).json["data"]
    return [served["problem"] for served in provider["serves"]]
