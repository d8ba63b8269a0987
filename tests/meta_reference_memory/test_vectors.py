"""The matrix of vectors: what it finds is what a plain look at all vectors finds, whatever was put in and taken out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hitchpost.errors import BadBackendAnswerError
from hitchpost_meta_reference.memory import vectors as module
from hitchpost_meta_reference.memory.vectors import VectorMatrix, unit_vectors

DIMENSION = 8


def some_vectors(count: int, seed: int) -> Any:
    return unit_vectors(np.random.default_rng(seed).standard_normal((count, DIMENSION)).tolist(), DIMENSION)


class Changes(RuleBasedStateMachine):
    """Chunks come and go; a dictionary beside the matrix knows what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = VectorMatrix(DIMENSION, 1)
        self.expected: dict[int, Any] = {}
        self.next_id = 1
        self.generation = 0
        self.old: list[tuple[Any, list[int]]] = []

    @rule(count=st.integers(0, 200), remove_share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
    def change(self, count: int, remove_share: float, seed: int) -> None:
        snapshot = self.matrix.latest()
        self.old = [*self.old[-2:], (snapshot, sorted(self.expected))]
        removed = np.random.default_rng(seed).permutation(sorted(self.expected))
        removed = removed[: int(remove_share * len(removed))].tolist()
        ids = list(range(self.next_id, self.next_id + count))
        rows = some_vectors(count, seed)
        self.next_id += count
        self.generation += 1

        self.matrix.change(self.generation, removed, ids, rows)

        for one in removed:
            del self.expected[one]
        self.expected.update(zip(ids, rows, strict=True))

    @invariant()
    def all_that_is_there_is_found(self) -> None:
        found, scores = self.matrix.latest().nearest(some_vectors(1, 1)[0], 10_000)

        assert sorted(found.tolist()) == sorted(self.expected)
        assert len(self.matrix) == len(self.expected)
        assert (np.diff(scores) <= 0).all()

    @invariant()
    def the_nearest_are_the_nearest(self) -> None:
        query = some_vectors(1, 2)[0]
        expected = sorted(float(-vector @ query) for vector in self.expected.values())[:5]

        _, scores = self.matrix.latest().nearest(query, 5)

        assert np.allclose(-scores, expected, atol=1e-5)

    @invariant()
    def old_snapshots_are_as_they_were(self) -> None:
        for snapshot, ids in self.old:
            assert sorted(snapshot.nearest(some_vectors(1, 1)[0], 10_000)[0].tolist()) == ids


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


@given(included=st.sets(st.integers(0, 60)), excluded=st.sets(st.integers(0, 60)), removed=st.sets(st.integers(0, 49)))
@settings(max_examples=60, deadline=None)
def test_only_what_is_asked_for_and_not_excluded_is_found(
    included: set[int], excluded: set[int], removed: set[int]
) -> None:
    matrix = VectorMatrix(DIMENSION)
    matrix.change(1, (), list(range(50)), some_vectors(50, 3))
    matrix.change(2, removed, (), np.empty((0, DIMENSION)))
    query = some_vectors(1, 4)[0]
    wanted, unwanted = (np.asarray(sorted(ids), dtype=np.int64) for ids in (included, excluded))

    some, _ = matrix.latest().nearest(query, 100, included=wanted, excluded=unwanted)
    others, _ = matrix.latest().nearest(query, 100, excluded=unwanted)

    assert set(some.tolist()) == (included & set(range(50))) - removed - excluded
    assert set(others.tolist()) == set(range(50)) - removed - excluded


def test_equals_come_in_the_order_of_their_ids() -> None:
    matrix = VectorMatrix(DIMENSION)
    matrix.change(1, (), [5, 6, 7, 8], np.repeat(some_vectors(1, 1), 4, axis=0))

    found, _ = matrix.latest().nearest(some_vectors(1, 1)[0], 4)

    assert found.tolist() == [5, 6, 7, 8]


def test_memory_of_what_is_gone_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_DEAD_ROWS", 10)
    matrix = VectorMatrix(DIMENSION)
    matrix.change(1, (), list(range(2000)), some_vectors(2000, 1))
    full = matrix.size_bytes

    matrix.change(2, range(1900), (), np.empty((0, DIMENSION)))

    assert matrix.size_bytes < full / 5
    assert sorted(matrix.latest().nearest(some_vectors(1, 1)[0], 5000)[0].tolist()) == list(range(1900, 2000))


def test_vectors_are_brought_to_length_1_and_zeros_stay() -> None:
    made = unit_vectors([[3.0, 4.0], [0.0, 0.0], [1e30, 0.0]], 2)

    assert made.dtype == np.float32
    assert np.allclose(made, [[0.6, 0.8], [0, 0], [1, 0]])


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ([[1.0, 2.0, 3.0]], "3 numbers; those of this bank have 2"),
        ([[1.0, 2.0], [1.0]], "different dimensions"),
        ([[1.0, float("nan")]], "infinite or none"),
        ([[1.0, float("inf")]], "infinite or none"),
    ],
)
def test_vectors_that_are_none_are_the_models_fault(vectors: list[list[float]], said: str) -> None:
    with pytest.raises(BadBackendAnswerError, match=said):
        unit_vectors(vectors, 2)
