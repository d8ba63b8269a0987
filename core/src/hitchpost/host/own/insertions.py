"""Insertions that go on in the background: in batches, so that one sees how far they are, and may end them in between."""

from pydantic import Field

from hitchpost.api import DocumentReport, InsertDocumentsRequest, JobProgress, Memory, RequestContext, WireModel

BATCH_DOCUMENTS = 16
REPORTS_KEPT = 1_000
"""How many documents that did not go in a job's result lists; it is kept for a day."""
ERROR_CHARS = 300


class InsertionResult(WireModel):
    """What came of an insertion in the background: the result of its job."""

    inserted_count: int = 0
    failed_count: int = 0
    failed: list[DocumentReport] = Field(default_factory=list)
    """The first 1,000 of those that did not go in."""


async def insert_in_batches(
    memory: Memory, request: InsertDocumentsRequest, context: RequestContext, progress: JobProgress
) -> InsertionResult:
    """Put documents into a bank, some at a time, in their order.

    Args:
        memory: where to put them.
        request: all of them.
        context: of the request that began it.
        progress: hears after each batch how many are done.

    Raises:
        HitchpostError: a batch failed as a whole; those before it are in the bank.
    """
    result = InsertionResult()
    total = len(request.documents)
    progress.report(done=0, total=total, unit="documents")
    for start in range(0, total, BATCH_DOCUMENTS):
        batch = request.documents[start : start + BATCH_DOCUMENTS]
        answer = await memory.insert_documents(request.model_copy(update={"documents": batch}), context)
        failed = answer.failed if answer else []
        result.inserted_count += len(batch) - len(failed)
        result.failed_count += len(failed)
        result.failed += [_shortened(report) for report in failed[: REPORTS_KEPT - len(result.failed)]]
        progress.report(done=result.inserted_count + result.failed_count, message=_said(result))
    return result


def _shortened(report: DocumentReport) -> DocumentReport:
    return report.model_copy(update={"error": (report.error or "")[:ERROR_CHARS]})


def _said(result: InsertionResult) -> str:
    return f"{result.failed_count} did not go in" if result.failed_count else ""


__all__ = ["InsertionResult", "insert_in_batches"]
