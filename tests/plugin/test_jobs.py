"""What goes on after its request was answered: beginnings, progress, ends and bounds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from hitchpost.api import Job, JobProgress
from hitchpost.errors import BackendUnavailableError, ConfigError, NotFoundError, OverloadedError
from hitchpost.plugin.jobs import JobBoard, ProviderJobs
from tests.plugged import until

Work = Callable[[JobProgress], Awaitable[Any]]


async def ended(board: JobBoard, job: Job) -> Job:
    """The job when it is over."""
    await until(lambda: board.get(job.id).ended_at is not None)
    return board.get(job.id)


async def for_ever(progress: JobProgress) -> None:
    await asyncio.Event().wait()


async def nothing(progress: JobProgress) -> None:
    pass


def raising(error: BaseException) -> Work:
    async def work(progress: JobProgress) -> None:
        raise error

    return work


# --- ends ---


class Counted(BaseModel):
    documents: int


@pytest.mark.parametrize(
    ("returned", "result"),
    [(None, None), ({"a": [1]}, {"a": [1]}), (Counted(documents=3), {"documents": 3})],
    ids=["nothing", "JSON", "model"],
)
async def test_what_work_returns_is_the_result(returned: Any, result: Any) -> None:
    board = JobBoard()

    async def work(progress: JobProgress) -> Any:
        return returned

    begun = board.start("count", "documents", work)
    over = await ended(board, begun)

    assert (begun.state, begun.ended_at) == ("running", None)
    assert (over.state, over.result, over.error) == ("succeeded", result, None)
    assert over.ended_at is not None
    assert over.ended_at >= over.created_at


async def test_error_of_ours_is_shown_with_its_code() -> None:
    board = JobBoard()

    over = await ended(board, board.start("pull_model", "m", raising(BackendUnavailableError("the server is gone"))))

    assert over.state == "failed"
    assert over.error is not None
    assert (over.error.code, over.error.message) == ("backend_unavailable", "the server is gone")


@pytest.mark.parametrize(
    "error",
    [KeyError("sk-secret"), SystemExit("sk-secret"), ConfigError("sk-secret"), asyncio.CancelledError("sk-secret")],
    ids=lambda error: type(error).__name__,
)
async def test_any_other_error_is_logged_and_not_shown(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    board = JobBoard()

    over = await ended(board, board.start("pull_model", "m", raising(error)))

    assert over.state == "failed"
    assert over.error is not None
    assert (over.error.code, over.error.message) == ("internal_error", "An unexpected error occurred.")
    [line] = caplog.records
    assert over.id in line.message
    assert line.exc_info is not None


async def test_result_that_is_no_json_is_a_failure() -> None:
    board = JobBoard()

    async def work(progress: JobProgress) -> Any:
        return object()

    over = await ended(board, board.start("count", "m", work))

    assert over.state == "failed"


# --- progress ---


async def test_progress_is_seen_while_the_work_runs_and_what_is_not_said_stays() -> None:
    board = JobBoard()
    go_on = asyncio.Event()

    async def work(progress: JobProgress) -> None:
        progress.report(done=1, total=3, unit="bytes", message="begun")
        await go_on.wait()
        progress.report(done=2)
        await asyncio.Event().wait()

    job = board.start("pull_model", "m", work)
    await until(lambda: board.get(job.id).done == 1)
    seen = board.get(job.id)
    go_on.set()
    await until(lambda: board.get(job.id).done == 2)
    later = board.get(job.id)
    await board.close(5)

    assert (seen.done, seen.total, seen.unit, seen.message) == (1, 3, "bytes", "begun")
    assert (later.done, later.total, later.unit, later.message) == (2, 3, "bytes", "begun")


async def test_progress_that_is_told_too_late_or_at_too_great_a_length_does_no_harm() -> None:
    board = JobBoard()
    kept: list[JobProgress] = []

    async def work(progress: JobProgress) -> None:
        kept.append(progress)
        progress.report(message="x" * 10_000)

    over = await ended(board, board.start("count", "m", work))
    kept[0].report(message="I go on!")

    assert over.message == "x" * 500
    assert board.get(over.id) == over


# --- cancelling ---


async def test_cancelled_work_is_told_and_has_ended_when_the_answer_comes() -> None:
    board = JobBoard()
    told = []

    async def work(progress: JobProgress) -> None:
        progress.report(message="half done")
        try:
            await asyncio.Event().wait()
        finally:
            told.append(True)

    job = board.start("pull_model", "m", work)
    await until(lambda: board.get(job.id).message)
    over = await board.cancel(job.id)

    assert told == [True]
    assert (over.state, over.message, over.error) == ("cancelled", "half done", None)


async def test_job_that_is_cancelled_before_its_first_step_ends_too() -> None:
    board = JobBoard()

    over = await board.cancel(board.start("pull_model", "m", for_ever).id)

    assert over.state == "cancelled"


async def test_job_that_has_ended_is_not_cancelled_any_more() -> None:
    board = JobBoard()
    over = await ended(board, board.start("count", "m", nothing))

    assert await board.cancel(over.id) == over


async def test_work_that_takes_long_to_end_is_answered_as_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hitchpost.plugin.jobs.CANCEL_PATIENCE_S", 0.01)
    board = JobBoard()
    let_go = asyncio.Event()

    async def work(progress: JobProgress) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            await let_go.wait()
        return "never"

    job = board.start("count", "m", work)
    await asyncio.sleep(0)
    answer = await board.cancel(job.id)
    let_go.set()
    over = await ended(board, job)

    assert answer.state == "running"
    assert over.state == "cancelled"


# --- the board ---


async def test_jobs_are_listed_newest_first_whether_they_run_or_not() -> None:
    board = JobBoard()
    first = board.start("count", "first", for_ever)
    second = await ended(board, board.start("count", "second", nothing))
    third = board.start("count", "third", for_ever)

    listed = board.list_jobs()
    await board.close(5)

    assert [job.id for job in listed] == [third.id, second.id, first.id]


async def test_ids_are_long_and_never_the_same() -> None:
    board = JobBoard()

    ids = {board.start("count", "m", nothing).id for _ in range(100)}
    await board.close(5)

    assert len(ids) == 100
    assert min(map(len, ids)) >= 32


async def test_no_more_jobs_run_than_may_and_an_end_makes_room() -> None:
    board = JobBoard(max_running=1)
    job = board.start("count", "m", for_ever)

    with pytest.raises(OverloadedError, match="1 jobs are running"):
        board.start("count", "n", for_ever)
    await board.cancel(job.id)

    assert (await ended(board, board.start("count", "n", nothing))).state == "succeeded"


async def test_of_many_jobs_that_ended_the_last_ones_are_remembered() -> None:
    board = JobBoard(max_ended=2)

    over = [await ended(board, board.start("count", str(number), nothing)) for number in range(3)]

    assert [job.subject for job in board.list_jobs()] == ["2", "1"]
    with pytest.raises(NotFoundError, match="no job"):
        board.get(over[0].id)


async def test_job_that_ended_long_ago_is_forgotten() -> None:
    board = JobBoard(ended_kept_s=0)
    job = board.start("count", "m", nothing)

    await until(lambda: board.find(job.id) is None)

    assert board.list_jobs() == []


async def test_closing_ends_every_job_and_begins_no_more() -> None:
    board = JobBoard()
    jobs = [board.start("count", "m", for_ever) for _ in range(3)]

    await board.close(5)

    assert {board.get(job.id).state for job in jobs} == {"cancelled"}
    with pytest.raises(BackendUnavailableError, match="stopping"):
        board.start("count", "m", nothing)


async def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    board = JobBoard()
    let_go = asyncio.Event()

    async def stubborn(progress: JobProgress) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await let_go.wait()

    job = board.start("count", "m", stubborn)
    await asyncio.sleep(0)
    await board.close(0.01)
    let_go.set()
    await ended(board, job)

    assert [line.levelno for line in caplog.records] == [logging.WARNING]


# --- a provider's jobs ---


async def test_jobs_of_a_provider_bear_its_name_and_it_sees_its_own_only() -> None:
    board = JobBoard()
    one, other = ProviderJobs(board, "one"), ProviderJobs(board, "other")

    job = one.start("count", "m", for_ever)

    assert board.get(job.id).provider_id == "one"
    assert one.find(job.id) == job
    assert other.find(job.id) is None
    await board.close(5)


async def test_jobs_of_one_provider_are_cancelled_and_those_of_others_go_on() -> None:
    board = JobBoard()
    one, other = ProviderJobs(board, "p"), ProviderJobs(board, "p")
    mine, theirs = one.start("count", "m", for_ever), other.start("count", "m", for_ever)

    await one.cancel_all(5)

    assert (board.get(mine.id).state, board.get(theirs.id).state) == ("cancelled", "running")
    await board.close(5)
