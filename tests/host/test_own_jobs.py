"""/hitchpost/v1/jobs."""

import asyncio

import pytest

from hitchpost.api import Job, JobProgress
from tests.host.served import ServedHost

JOBS = "/hitchpost/v1/jobs"


def begin(host: ServedHost) -> Job:
    """A job that goes on until it is cancelled."""

    async def work(progress: JobProgress) -> None:
        progress.report(done=5, total=10, unit="bytes", message="half done")
        await asyncio.Event().wait()

    return host.stack.jobs.start("pull_model", "llama", work)


async def test_job_is_listed_shown_and_cancelled(host: ServedHost) -> None:
    job = begin(host)

    listed = (await host.get(JOBS)).json
    shown = (await host.get(f"{JOBS}/{job.id}")).json
    cancelled = await host.post(f"{JOBS}/{job.id}/cancel", None)
    after = (await host.get(f"{JOBS}/{job.id}")).json

    assert listed == {"object": "list", "data": [shown]}
    assert {name: shown[name] for name in ("id", "kind", "subject", "state", "done", "total", "unit", "message")} == {
        "id": job.id, "kind": "pull_model", "subject": "llama", "state": "running", "done": 5, "total": 10,
        "unit": "bytes", "message": "half done",
    }  # fmt: skip
    assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
    assert after == cancelled.json
    assert after["ended_at"] is not None


@pytest.mark.parametrize("path", [f"{JOBS}/job_1", f"{JOBS}/%F0%9F%90%8E", f"{JOBS}/" + "x" * 4000])
async def test_job_that_is_not_there_is_a_404(path: str, host: ServedHost) -> None:
    answer = await host.get(path)

    assert answer.status == 404
    assert (answer.json["error"]["code"], answer.json["error"]["param"]) == ("not_found", "job_id")
    assert len(answer.text) < 400


async def test_cancelling_what_is_not_there_is_a_404(host: ServedHost) -> None:
    assert (await host.post(f"{JOBS}/job_1/cancel", None)).status == 404


async def test_jobs_are_cancelled_by_post_only(host: ServedHost) -> None:
    job = begin(host)

    answer = await host.get(f"{JOBS}/{job.id}/cancel")

    assert answer.status == 405
    assert host.stack.jobs.get(job.id).state == "running"


async def test_job_is_described_with_its_path_parameter(host: ServedHost) -> None:
    paths = (await host.get("/openapi.json")).json["paths"]

    [named] = [item for item in paths[f"{JOBS}/{{job_id}}"]["get"]["parameters"] if item.get("in") == "path"]
    answer = paths[f"{JOBS}/{{job_id}}/cancel"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert (named["name"], named["required"]) == ("job_id", True)
    assert answer["$ref"].endswith("Job")
