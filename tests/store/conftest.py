from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hitchpost.store import KeyValueStore
from tests.store.places import Place, new_place


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty place of the kind that the test is parametrised with."""
    place = new_place(request.param, tmp_path, request)
    yield place
    await place.close()


@pytest.fixture
async def store(place: Place) -> KeyValueStore:
    """An empty store of the kind that the test is parametrised with."""
    return await place.open()
