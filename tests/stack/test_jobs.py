"""Jobs that providers start: whose they are, and that they end with their provider."""

import asyncio
from typing import Any

from hitchpost.api import JobProgress, Model, RequestContext
from tests.plugged import Echo, Plugged, inference, one, until


class Puller(Echo):
    """Starts a job for each model that is registered."""

    async def register_model(self, model: Model, context: RequestContext | None) -> None:
        async def pull(progress: JobProgress) -> None:
            await asyncio.Event().wait()

        self.deps.jobs.start("pull_model", model.identifier, pull)


async def test_job_of_a_provider_is_on_the_board_under_its_name(plugged: Plugged) -> None:
    plugged.add(Puller)

    async with plugged.running(one(models=[{"model_id": "m"}])) as stack:
        [job] = stack.jobs.list_jobs()

    assert (job.kind, job.subject, job.provider_id, job.state) == ("pull_model", "m", "p", "running")
    assert stack.jobs.get(job.id).state == "cancelled"


async def test_job_ends_when_its_provider_fails_to_start_and_those_of_others_go_on(plugged: Plugged) -> None:
    class Failing(Puller):
        async def list_models(self) -> list[Model]:
            raise SystemExit(1)

        async def start(self) -> None:
            async def work(progress: JobProgress) -> None:
                await asyncio.Event().wait()

            self.deps.jobs.start("count", "start", work)
            raise KeyError("x")

    plugged.add(Puller)
    plugged.add(Failing, "inline::failing")
    entries: list[dict[str, Any]] = [
        {"provider_id": "p", "provider_type": "inline::test"},
        {"provider_id": "f", "provider_type": "inline::failing"},
    ]

    async with plugged.running(inference(*entries, models=[{"model_id": "m", "provider_id": "p"}])) as stack:
        await until(lambda: any(job.state == "cancelled" for job in stack.jobs.list_jobs()))
        states = {job.provider_id: job.state for job in stack.jobs.list_jobs()}

    assert states == {"p": "running", "f": "cancelled"}


async def test_jobs_end_before_the_providers_that_they_call(plugged: Plugged) -> None:
    stopped = asyncio.Event()
    found_stopped = []

    class Stopping(Puller):
        async def stop(self) -> None:
            stopped.set()

    async def call_again_and_again(progress: JobProgress) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            found_stopped.append(stopped.is_set())

    plugged.add(Stopping)

    async with plugged.running(one()) as stack:
        job = stack.jobs.start("insert_documents", "notes", call_again_and_again)
        await asyncio.sleep(0)

    assert found_stopped == [False]
    assert stack.jobs.get(job.id).state == "cancelled"
