"""/hitchpost/v1/jobs: what providers do in the background."""

from typing import Literal

from aiohttp import web

from hitchpost.api import Job, WireModel
from hitchpost.host.json_text import json_response
from hitchpost.host.keys import STACK


class JobList(WireModel):
    """Answer of /hitchpost/v1/jobs."""

    object: Literal["list"] = "list"
    data: list[Job]


async def list_jobs(request: web.Request) -> web.StreamResponse:
    """The jobs that run and those that ended within the last day, the newest first."""
    return json_response(JobList(data=request.app[STACK].jobs.list_jobs()))


async def get_job(request: web.Request) -> web.StreamResponse:
    """A job as it is now."""
    return json_response(request.app[STACK].jobs.get(request.match_info["job_id"]))


async def cancel_job(request: web.Request) -> web.StreamResponse:
    """End a job before its time; answers the job, which still runs where it takes long to end. One that has ended stays as it is."""
    return json_response(await request.app[STACK].jobs.cancel(request.match_info["job_id"]))


__all__ = ["JobList", "cancel_job", "get_job", "list_jobs"]
