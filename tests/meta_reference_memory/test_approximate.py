"""Search through faiss: made where it is of use, measured against exact search, and as current as that."""

from typing import Any

import numpy as np
import pytest

from hitchpost_meta_reference.memory import approximate
from hitchpost_meta_reference.memory.approximate import ApproximateIndex, build_index
from hitchpost_meta_reference.memory.vectors import VectorMatrix, unit_vectors

DIMENSION = 16
COUNT = 4000
NONE = np.empty(0, dtype=np.int64)


def clustered(count: int, seed: int) -> Any:
    """Vectors that lie around 40 centres, as those of texts lie around their subjects."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((40, DIMENSION))
    rows = centres[random.integers(0, 40, count)] + 0.3 * random.standard_normal((count, DIMENSION))
    return unit_vectors(rows.tolist(), DIMENSION)


@pytest.fixture(scope="module")
def rows() -> Any:
    return clustered(COUNT, 1)


@pytest.fixture
def matrix(rows: Any) -> VectorMatrix:
    matrix = VectorMatrix(DIMENSION)
    matrix.change(1, (), list(range(COUNT)), rows)
    return matrix


@pytest.fixture(scope="module")
def index(rows: Any) -> ApproximateIndex:
    matrix = VectorMatrix(DIMENSION)
    matrix.change(1, (), list(range(COUNT)), rows)
    made = build_index(matrix.latest())
    assert made is not None
    return made


def test_index_finds_nearly_all_of_the_nearest_with_their_exact_scores(
    index: ApproximateIndex, matrix: VectorMatrix
) -> None:
    snapshot = matrix.latest()
    queries = clustered(30, 2)

    found = [index.nearest(snapshot, query, 10, NONE) for query in queries]
    exact = [snapshot.nearest(query, 10) for query in queries]

    shares = [len(set(one[0]) & set(other[0])) / 10 for one, other in zip(found, exact, strict=True)]
    assert np.mean(shares) >= 0.9
    assert index.recall >= approximate.MIN_RECALL
    assert all(
        np.allclose(scores, [snapshot.vectors[one] @ query for one in ids], atol=1e-6)
        for (ids, scores), query in zip(found, queries, strict=True)
    )


def test_what_came_after_the_index_was_made_is_found(index: ApproximateIndex, matrix: VectorMatrix) -> None:
    query = clustered(1, 5)[0]
    matrix.change(2, (), [COUNT + 7], query.reshape(1, -1))

    ids, scores = index.nearest(matrix.latest(), query, 3, NONE)

    assert ids[0] == COUNT + 7
    assert scores[0] == pytest.approx(1)
    assert len(ids) == 3


def test_what_is_gone_is_not_found_and_others_are_in_its_place(index: ApproximateIndex, matrix: VectorMatrix) -> None:
    query = clustered(1, 6)[0]
    gone = matrix.latest().nearest(query, 200)[0].tolist()
    matrix.change(2, gone[:100], (), np.empty((0, DIMENSION)))

    ids, _ = index.nearest(matrix.latest(), query, 20, np.asarray(sorted(gone[100:])))

    assert len(ids) == 20
    assert not set(ids.tolist()) & set(gone)


def test_index_is_of_no_more_use_once_much_has_changed(index: ApproximateIndex, matrix: VectorMatrix) -> None:
    assert index.covers(matrix.latest())

    matrix.change(2, range(COUNT // 8), (), np.empty((0, DIMENSION)))
    assert index.covers(matrix.latest())

    matrix.change(3, (), list(range(COUNT, COUNT + COUNT // 8)), clustered(COUNT // 8, 9))
    assert not index.covers(matrix.latest())


def test_no_index_is_made_where_it_finds_too_little(monkeypatch: pytest.MonkeyPatch, matrix: VectorMatrix) -> None:
    monkeypatch.setattr(approximate, "MIN_RECALL", 1.01)

    assert build_index(matrix.latest()) is None


def test_an_empty_bank_has_no_index() -> None:
    assert build_index(VectorMatrix(DIMENSION).latest()) is None
