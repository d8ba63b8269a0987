"""Two rankings into one."""

from collections.abc import Sequence

RANK_OFFSET = 60
"""What Cormack, Clarke and Buettcher found to work well (Reciprocal Rank Fusion, SIGIR 2009)."""


def fuse(rankings: Sequence[Sequence[int]]) -> list[tuple[int, float]]:
    """Reciprocal rank fusion.

    Args:
        rankings: ids, each ranking best first and without repetitions.

    Returns:
        Each id with the sum of `1 / (60 + rank)` over the rankings that have it, ranks from 1, divided by the greatest sum there can be: 1 for
        what is first in all of them. Best first; equals in the order of their ids.
    """
    sums: dict[int, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, 1):
            sums[one] = sums.get(one, 0.0) + 1 / (RANK_OFFSET + rank)
    greatest = len(rankings) / (RANK_OFFSET + 1)
    return sorted(((one, total / greatest) for one, total in sums.items()), key=lambda found: (-found[1], found[0]))


__all__ = ["RANK_OFFSET", "fuse"]
