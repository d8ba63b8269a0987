"""Searching many vectors through faiss: an inverted file, made from the exact matrix and measured against it."""

import importlib
import importlib.util
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hitchpost_meta_reference.memory.vectors import Ids, VectorSnapshot

INSTALL_HINT = "pip install 'hitchpost-meta-reference[faiss]'"
MIN_RECALL = 0.95
"""Share of the ten nearest that an index must find to be used."""
SCORE_TOLERANCE = 1e-6
SAMPLED_QUERIES = 64
SAMPLED_NEAREST = 10
TRAINING_ROWS_PER_LIST = 64
MAX_PROBED_SHARE = 0.25
"""Above this share of its lists an index saves too little."""
MAX_UNCOVERED_SHARE = 0.2
"""An index is made anew when more of the bank than this share came or went since it was made."""


@dataclass(frozen=True, slots=True)
class ApproximateIndex:
    """Finds candidates among the chunks up to `last_id`; their scores are computed from the matrix, and what came later is searched exactly."""

    faiss_index: Any
    last_id: int
    row_count: int
    recall: float
    """Share of the ten nearest that it found for a sample of the bank's own vectors."""

    def covers(self, snapshot: VectorSnapshot) -> bool:
        """Whether it is still made of most of the bank."""
        behind = len(snapshot.ids) - int(np.searchsorted(snapshot.ids, self.last_id, side="right"))
        gone = self.row_count - (len(snapshot.ids) - behind) + len(snapshot.dead)
        return behind + gone <= MAX_UNCOVERED_SHARE * self.row_count

    def nearest(self, snapshot: VectorSnapshot, query: Any, count: int, excluded: Ids) -> tuple[Ids, Any]:
        """As `VectorSnapshot.nearest`, some of the nearest may be missing."""
        _, found = self.faiss_index.search(query.reshape(1, -1), min(2 * count + 16, self.row_count))
        ids, scores = snapshot.nearest(query, count, included=found[0][found[0] >= 0], excluded=excluded)
        if len(ids) < count:
            # Too many of them have gone since, or expired.
            return snapshot.nearest(query, count, excluded=excluded)
        first_row = int(np.searchsorted(snapshot.ids, self.last_id, side="right"))
        if first_row == len(snapshot.ids):
            return ids, scores
        newer_ids, newer_scores = snapshot.nearest(query, count, excluded=excluded, first_row=first_row)
        ids, scores = np.concatenate((ids, newer_ids)), np.concatenate((scores, newer_scores))
        best = np.lexsort((ids, -scores))[:count]
        return ids[best], scores[best]


def is_faiss_installed() -> bool:
    """Whether an index can be made."""
    return importlib.util.find_spec("faiss") is not None


def build_index(snapshot: VectorSnapshot) -> ApproximateIndex | None:
    """An index of what is in a snapshot, with as many lists probed as its recall needs; None: the vectors are too much alike for it.

    Takes seconds per 100,000 vectors. Needs faiss. Vectors are kept in it as 8-bit numbers, since only the order of candidates comes from it.
    """
    faiss: Any = importlib.import_module("faiss")
    alive = np.setdiff1d(np.arange(len(snapshot.ids)), snapshot.dead)
    ids, vectors = snapshot.ids[alive], snapshot.vectors[alive]
    if not len(ids):
        return None
    list_count = max(1, int(4 * math.sqrt(len(ids))))
    random = np.random.default_rng(0)
    sample = random.choice(len(ids), min(len(ids), TRAINING_ROWS_PER_LIST * list_count), replace=False)
    index = faiss.index_factory(vectors.shape[1], f"IVF{list_count},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1
    index.train(vectors[sample])
    index.add_with_ids(vectors, ids)
    queries = random.choice(len(ids), min(len(ids), SAMPLED_QUERIES), replace=False)
    exact = [snapshot.nearest(vectors[row], SAMPLED_NEAREST)[1] for row in queries]
    none: Ids = np.empty(0, dtype=np.int64)
    index.nprobe = max(1, int(math.sqrt(list_count)) // 4)
    while index.nprobe <= max(1, MAX_PROBED_SHARE * list_count):
        made = ApproximateIndex(index, int(ids[-1]), len(ids), 1.0)
        found = [made.nearest(snapshot, vectors[row], SAMPLED_NEAREST, none)[1] for row in queries]
        # By scores, since of equals any will do.
        hits: list[Any] = [np.sum(one >= other[-1] - SCORE_TOLERANCE) for one, other in zip(found, exact, strict=True)]
        recall = float(np.sum(hits)) / sum(map(len, exact))
        if recall >= MIN_RECALL:
            return ApproximateIndex(index, int(ids[-1]), len(ids), recall)
        index.nprobe *= 2
    return None


__all__ = ["INSTALL_HINT", "MIN_RECALL", "ApproximateIndex", "build_index", "is_faiss_installed"]
