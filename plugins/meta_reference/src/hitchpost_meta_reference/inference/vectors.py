"""Requests for vectors into what the engine is asked, and its vectors into ours. Pure functions, and one collector."""

from array import array
from base64 import b64decode

from hitchpost.api import EmbeddingsRequest, EmbeddingsResponse, Usage, content_text
from hitchpost.errors import BadRequestError, UnsupportedError
from hitchpost_meta_reference.engine.protocol import Done, Embed, Vectors

MAX_TEXTS = 2048
"""Of a request: what the vectors of so many take is still small beside the model."""


def embed_message(request: EmbeddingsRequest, dimension: int) -> Embed:
    """What the engine is asked to turn into vectors.

    Args:
        dimension: numbers of the model's vectors.

    Raises:
        BadRequestError: there are too many texts.
        UnsupportedError: vectors of another length are wanted.
    """
    if request.dimensions not in (None, dimension):
        raise UnsupportedError(
            f"this model's vectors have {dimension} numbers, and shorter ones mean nothing; leave dimensions out",
            param="dimensions",
        )
    if len(request.contents) > MAX_TEXTS:
        raise BadRequestError(
            f"contents has {len(request.contents)} entries; at most {MAX_TEXTS} are taken at once", param="contents"
        )
    return Embed(0, [content_text(content) for content in request.contents])


class VectorCollector:
    """Brings the vectors of a request into the order of its texts.

    Args:
        count: how many texts there are.
    """

    def __init__(self, count: int) -> None:
        self._vectors: list[list[float]] = [[] for _ in range(count)]
        self._tokens = 0

    def add(self, event: Vectors | Done) -> None:
        """Takes what the engine sent."""
        if isinstance(event, Done):
            self._tokens = event.prompt_tokens
            return
        numbers = array("f", b64decode(event.numbers))
        size = len(numbers) // len(event.indices)
        for place, index in enumerate(event.indices):
            self._vectors[index] = numbers[place * size : (place + 1) * size].tolist()

    def answer(self) -> EmbeddingsResponse:
        """All of them."""
        return EmbeddingsResponse(self._vectors, Usage(prompt_tokens=self._tokens, completion_tokens=0))


__all__ = ["MAX_TEXTS", "VectorCollector", "embed_message"]
