"""Checks of vectors."""

import math
from collections.abc import Sequence

from hitchpost.api import Api, Capability
from hitchpost.conformance.check import CheckFailed, check
from hitchpost.conformance.harness import Harness
from hitchpost.conformance.inference.subject import InferenceSubject
from hitchpost.errors import BadRequestError, UnsupportedError

TEXTS = ("The cat sat on the mat.", "Stock prices fell sharply today.", "A kitten rests on a rug.")
CLOSE = 1e-3
"""How far the vector of a text may be from itself when it is made among others; batches add up in another order."""


class EmbeddingChecks(InferenceSubject):
    """One vector per text."""

    @check(
        "embeddings.shape",
        why="a store of vectors takes one length only, and pairs texts and vectors by their order",
        advice="answer one list of finite numbers per content, all of the model's dimension",
        needs=Capability.embeddings,
    )
    async def test_each_text_has_one_vector(self, harness: Harness) -> None:
        """Three texts have three vectors of one length, of finite numbers; the length is `embedding_dimension` where that is said."""
        vectors = await self._vectors(harness, *TEXTS)
        if len(vectors) != len(TEXTS):
            raise CheckFailed(f"{len(TEXTS)} texts have {len(vectors)} vectors")
        lengths = {len(vector) for vector in vectors}
        said = self.embedding_metadata.get("embedding_dimension")
        if len(lengths) != 1 or 0 in lengths or (said is not None and lengths != {said}):
            raise CheckFailed(f"the vectors have {sorted(lengths)} numbers; embedding_dimension is {said}")
        if not all(math.isfinite(number) for vector in vectors for number in vector):
            raise CheckFailed("a vector holds what is no finite number")

    @check(
        "embeddings.order",
        why="a text that gets its neighbour's vector is never found again",
        advice="sort the backend's answer by its index before you return it",
        needs=Capability.embeddings,
    )
    async def test_vectors_are_in_the_order_of_the_texts(self, harness: Harness) -> None:
        """The vector of a text is the same wherever it stands, and differs from those of the others."""
        first, second, _ = await self._vectors(harness, *TEXTS)
        again = await self._vectors(harness, *reversed(TEXTS))
        if _distance(first, second) < CLOSE:
            raise CheckFailed("two different texts have the same vector")
        if _distance(again[2], first) > CLOSE or _distance(again[1], second) > CLOSE:
            raise CheckFailed("the texts in another order don't have the same vectors in that order")

    @check(
        "embeddings.dimensions",
        why="a caller that asks for a length stores vectors of that length only",
        advice="pass `dimensions` on, or refuse it with UnsupportedError(param='dimensions')",
        needs=Capability.embeddings,
    )
    async def test_asked_dimension_is_kept_or_refused(self, harness: Harness) -> None:
        """Asked for `dimensions` 8, the vector has 8 numbers or the request is refused."""
        router = await harness.router(Api.inference)
        request = self.embedding_request(TEXTS[0], dimensions=8)
        try:
            answer = await harness.within(router.embeddings(request, harness.context()), "the embeddings")
        except (UnsupportedError, BadRequestError):
            return
        if len(answer.embeddings[0]) != 8:
            raise CheckFailed(f"asked for 8 dimensions it answered {len(answer.embeddings[0])}")

    async def _vectors(self, harness: Harness, *texts: str) -> list[list[float]]:
        router = await harness.router(Api.inference)
        work = router.embeddings(self.embedding_request(*texts), harness.context())
        vectors: list[list[float]] = (await harness.within(work, "the embeddings")).embeddings
        return vectors


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the two directions: 1 less the cosine."""
    length = math.hypot(*one) * math.hypot(*other)
    product = sum(left * right for left, right in zip(one, other, strict=False))
    return 1 - product / length if length else 1.0


__all__ = ["EmbeddingChecks"]
