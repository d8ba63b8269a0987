"""Ingestors for the tests."""

import logging
from collections.abc import AsyncIterator

import pytest_asyncio

from hitchpost.ingest import IngestConfig, Ingestor

LOG = logging.getLogger("tests.ingest")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ingestor() -> AsyncIterator[Ingestor]:
    """One with the default limits, which the tests of a module share, so that its parsing process starts once."""
    made = Ingestor(IngestConfig(), LOG)
    await made.start()
    yield made
    await made.stop()
