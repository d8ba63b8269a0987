"""Searches of the fake: by vector, by words, by both, or by filter alone."""

import math
import operator
from collections.abc import Sequence

from weaviate.proto.v1 import base_search_pb2, search_get_pb2

from tests.fakes.weaviate.inverted import bm25, matches
from tests.fakes.weaviate.objects import result, sent_vector
from tests.fakes.weaviate.schema import Collection, Refused, Stored

DEFAULT_LIMIT = 10
RANK_OFFSET = 60


def search(
    collection: Collection, request: search_get_pb2.SearchRequest, max_results: int
) -> list[search_get_pb2.SearchResult]:
    """What a request finds, best first."""
    limit = request.limit or DEFAULT_LIMIT
    if request.offset + limit > max_results:
        raise Refused(
            "query maximum results exceeded. The maximum number of results that can be retrieved is controlled by QUERY_MAXIMUM_RESULTS"
        )
    objects = list(collection.shard(request.tenant).values())
    if request.HasField("filters"):
        objects = [one for one in objects if matches(request.filters, collection, one)]
    part = slice(request.offset, request.offset + limit)
    if request.HasField("near_vector"):
        near = request.near_vector
        found = near_vector(collection, objects, sent_vector(near.vector_bytes, near.vectors, near.vector))
        if near.HasField("distance"):
            found = [(distance, one) for distance, one in found if distance <= near.distance]
        return [result(collection, one, request, distance=distance) for distance, one in found[part]]
    if request.HasField("bm25_search"):
        asked = request.bm25_search
        scores = bm25(collection, objects, asked.query, asked.properties)
        ranked = sorted((one for one in objects if one.uuid in scores), key=lambda one: -scores[one.uuid])
        return [result(collection, one, request, score=scores[one.uuid]) for one in ranked[part]]
    if request.HasField("hybrid_search"):
        fused = hybrid(collection, objects, request.hybrid_search)
        return [result(collection, one, request, score=score) for score, one in fused[part]]
    return [result(collection, one, request) for one in _sorted(objects, request)[part]]


def near_vector(
    collection: Collection, objects: Sequence[Stored], vector: Sequence[float]
) -> list[tuple[float, Stored]]:
    """Objects with a vector and their distances, nearest first."""
    having = [one for one in objects if one.vector]
    if having and len(vector) != collection.dimension:
        raise Refused(f"vector search: vector lengths don't match: {collection.dimension} vs {len(vector)}")
    distance = {"cosine": _cosine, "dot": _dot, "l2-squared": _squares}[collection.distance]
    return sorted(((distance(vector, one.vector), one) for one in having), key=lambda pair: pair[0])


def hybrid(
    collection: Collection, objects: Sequence[Stored], asked: base_search_pb2.Hybrid
) -> list[tuple[float, Stored]]:
    """Both rankings fused; alpha is the weight of the vectors."""
    alpha = asked.alpha_param if asked.use_alpha_param else asked.alpha
    by_words = bm25(collection, objects, asked.query, asked.properties) if alpha < 1 else {}
    near = asked.near_vector
    vector = sent_vector(
        asked.vector_bytes or near.vector_bytes, asked.vectors or near.vectors, asked.vector or near.vector
    )
    by_vector = (
        {one.uuid: 1 - distance for distance, one in near_vector(collection, objects, vector)} if alpha > 0 else {}
    )
    fuse = _ranked if asked.fusion_type == base_search_pb2.Hybrid.FUSION_TYPE_RANKED else _relative
    scores: dict[str, float] = {}
    for weight, ranking in ((1 - alpha, by_words), (alpha, by_vector)):
        for uuid, score in fuse(ranking).items():
            scores[uuid] = scores.get(uuid, 0.0) + weight * score
    found = [(scores[one.uuid], one) for one in objects if one.uuid in scores]
    return sorted(found, key=lambda pair: -pair[0])


def _ranked(scores: dict[str, float]) -> dict[str, float]:
    ranking = sorted(scores, key=lambda uuid: -scores[uuid])
    return {uuid: 1 / (RANK_OFFSET + rank) for rank, uuid in enumerate(ranking)}


def _relative(scores: dict[str, float]) -> dict[str, float]:
    low, high = min(scores.values(), default=0), max(scores.values(), default=0)
    return {uuid: (score - low) / (high - low) if high > low else 1.0 for uuid, score in scores.items()}


def _sorted(objects: list[Stored], request: search_get_pb2.SearchRequest) -> list[Stored]:
    if request.after:
        return sorted((one for one in objects if one.uuid > request.after), key=lambda one: one.uuid)
    objects = sorted(objects, key=lambda one: one.uuid)
    for by in reversed(request.sort_by):
        name = by.path[0]
        objects.sort(
            key=lambda one: (one.properties.get(name) is not None, one.properties.get(name)), reverse=not by.ascending
        )
    return objects


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return -sum(map(operator.mul, one, other))


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return 1.0 + (_dot(one, other) / lengths if lengths else 0.0)


def _squares(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True))
