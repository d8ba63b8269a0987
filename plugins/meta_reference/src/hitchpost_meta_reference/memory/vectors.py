"""The vectors of a bank in memory: one matrix, searched whole."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hitchpost.errors import BackendUnavailableError, BadBackendAnswerError

Ids = Any
"""Ids of chunks: shape (n,), int64."""
Vectors = Any
"""Shape (n, dimension), float32, each of length 1 or 0."""

FIRST_ROWS = 64
GROWTH = 1.5
GROUP_ROWS = 32
"""Scores of which only the greatest is looked at first."""
MIN_DEAD_ROWS = 256
"""The matrix is compacted when more rows than these, and a quarter of all, belong to chunks that are gone."""
PUBLICATION_LIMIT_S = 30.0
"""How long a reader waits for what a writer has committed to come into memory, which is a matter of microseconds."""


def unit_vectors(vectors: Sequence[Sequence[float]], dimension: int) -> Vectors:
    """Vectors of a model, brought to length 1; a vector of zeros stays one.

    Raises:
        BadBackendAnswerError: they have another dimension, or numbers that are none.
    """
    if not len(vectors):
        return np.empty((0, dimension), dtype=np.float32)
    try:
        matrix = np.asarray(vectors, dtype=np.float32).reshape(len(vectors), -1)
    except (TypeError, ValueError):
        raise BadBackendAnswerError("the embedding model answered vectors of different dimensions") from None
    if matrix.shape[1] != dimension:
        raise BadBackendAnswerError(
            f"the embedding model answered vectors of {matrix.shape[1]} numbers; those of this bank have {dimension}"
        )
    # In float64: the squares of float32 may not fit.
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise BadBackendAnswerError("the embedding model answered numbers that are infinite or none")
    return (matrix / np.where(lengths == 0, 1, lengths)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class VectorSnapshot:
    """The vectors as they were after one change. Nothing of it is ever written to again."""

    generation: int
    ids: Ids
    """Ascending."""
    vectors: Vectors
    """A row for each of `ids`."""
    dead: Any
    """Rows of chunks that are gone, ascending."""

    def rows_of(self, ids: Ids) -> Any:
        """The rows of those of the ids that are here, dead ones included."""
        rows: Any = np.searchsorted(self.ids, ids)
        is_inside = rows < len(self.ids)
        rows = rows[is_inside]
        return rows[self.ids[rows] == np.asarray(ids)[is_inside]]

    def nearest(
        self, query: Any, count: int, included: Ids | None = None, excluded: Ids | None = None, first_row: int = 0
    ) -> tuple[Ids, Any]:
        """The chunks whose vectors have the greatest cosine to a query, best first, and these cosines; equals in the order of their ids.

        Args:
            query: shape (dimension,), length 1.
            count: how many at most.
            included: only these; None: all.
            excluded: without these.
            first_row: where to begin.
        """
        gone = self.dead if excluded is None or not len(excluded) else np.union1d(self.dead, self.rows_of(excluded))
        if included is not None:
            rows = np.setdiff1d(self.rows_of(included), gone)
            # Picking rows out copies them, which is dearer than to multiply rows that nobody wants.
            scores = self.vectors[rows] @ query if len(rows) * 8 < len(self.ids) else (self.vectors @ query)[rows]
            best = _best(scores, count)
            return self.ids[rows[best]], scores[best]
        scores = self.vectors[first_row:] @ query
        gone = gone[gone >= first_row] - first_row
        if len(gone):
            scores[gone] = -np.inf
        best = _best(scores, min(count, len(scores) - len(gone)))
        return self.ids[first_row:][best], scores[best]


def _best(scores: Any, count: int) -> Any:
    """Places of the greatest scores, greatest first; of equals the first."""
    if count <= 0:
        return np.empty(0, dtype=np.int64)
    groups = len(scores) // GROUP_ROWS
    if count > groups:
        return np.argsort(-scores, kind="stable")[:count]
    # As many groups as are wanted have something that is at least this great, so nothing less need be sorted. Cheaper than to partition all.
    greatest = scores[: groups * GROUP_ROWS].reshape(GROUP_ROWS, groups).max(axis=0)
    among: Any = np.flatnonzero(scores >= np.partition(greatest, -count)[-count])
    return among[np.lexsort((among, -scores[among]))[:count]]


class VectorMatrix:
    """The matrix of a bank. One thread at a time changes it; any take snapshots.

    Rows behind the end of a snapshot are written without disturbing it; whatever changes its own rows is made anew.

    Args:
        dimension: numbers of a vector.
        capacity: rows to make room for.
    """

    def __init__(self, dimension: int, capacity: int = FIRST_ROWS) -> None:
        self._dimension = dimension
        capacity = max(capacity, FIRST_ROWS)
        self._ids: Ids = np.empty(capacity, dtype=np.int64)
        self._vectors: Vectors = np.empty((capacity, dimension), dtype=np.float32)
        self._published = threading.Condition()
        self._snapshot = self._view(generation=0, count=0, dead=np.empty(0, dtype=np.int64))

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return int(self._vectors.nbytes + self._ids.nbytes)

    def __len__(self) -> int:
        snapshot = self._snapshot
        return len(snapshot.ids) - len(snapshot.dead)

    def latest(self) -> VectorSnapshot:
        """As it is after the last change."""
        return self._snapshot

    def at(self, generation: int) -> VectorSnapshot:
        """As it is after the change with this number, or a later one; waits until that has come.

        Raises:
            BackendUnavailableError: it doesn't come.
        """
        if self._snapshot.generation < generation:
            with self._published:
                if not self._published.wait_for(lambda: self._snapshot.generation >= generation, PUBLICATION_LIMIT_S):
                    raise BackendUnavailableError("the vectors of a change did not come into memory")
        return self._snapshot

    def change(self, generation: int, removed: Iterable[int], ids: Ids, vectors: Vectors) -> None:
        """Take chunks out and put new ones in, as one change.

        Args:
            generation: number of the change, greater than that of the last one.
            removed: ids of chunks that are gone; those that aren't here are passed over.
            ids: of new chunks, ascending and greater than all before.
            vectors: of the new chunks.
        """
        before = self._snapshot
        count = len(before.ids)
        gone = np.asarray(list(removed), dtype=np.int64)
        dead = np.union1d(before.dead, before.rows_of(gone)) if len(gone) else before.dead
        if len(dead) > max(MIN_DEAD_ROWS, count // 4):
            alive: Any = np.ones(count, dtype=bool)
            alive[dead] = False
            kept_ids, kept_vectors = before.ids[alive], before.vectors[alive]
            count, dead = len(kept_ids), np.empty(0, dtype=np.int64)
            self._make_room(count + len(ids), kept_ids, kept_vectors)
        elif count + len(ids) > len(self._ids):
            self._make_room(count + len(ids), before.ids, before.vectors)
        self._ids[count : count + len(ids)] = ids
        self._vectors[count : count + len(ids)] = vectors
        with self._published:
            self._snapshot = self._view(generation, count + len(ids), dead)
            self._published.notify_all()

    def _make_room(self, rows: int, ids: Ids, vectors: Vectors) -> None:
        capacity = max(FIRST_ROWS, int(rows * GROWTH))
        self._ids = np.empty(capacity, dtype=np.int64)
        self._vectors = np.empty((capacity, self._dimension), dtype=np.float32)
        self._ids[: len(ids)] = ids
        self._vectors[: len(ids)] = vectors

    def _view(self, generation: int, count: int, dead: Any) -> VectorSnapshot:
        return VectorSnapshot(generation, self._ids[:count], self._vectors[:count], dead)


__all__ = ["Ids", "VectorMatrix", "VectorSnapshot", "Vectors", "unit_vectors"]
