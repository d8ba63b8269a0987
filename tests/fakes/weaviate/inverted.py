"""Words: how the fake cuts texts, filters objects and scores them by BM25."""

import math
import operator as operators
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from weaviate.proto.v1 import base_pb2

from tests.fakes.weaviate.schema import TEXTS, Collection, Refused, Stored

ENGLISH = frozenset(
    [
        *("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not"),
        *("of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was"),
        *("will", "with"),
    ]
)
Operator = base_pb2.Filters.Operator


def tokens(text: str, tokenization: str) -> list[str]:
    """The terms under which a text is found."""
    if tokenization == "field":
        return [text.strip()]
    if tokenization == "whitespace":
        return text.split()
    if tokenization == "lowercase":
        return text.lower().split()
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()


def matches(filters: base_pb2.Filters, collection: Collection, stored: Stored) -> bool:
    """Whether a filter lets an object through."""
    operator = filters.operator
    if operator == _AND:
        return all(matches(one, collection, stored) for one in filters.filters)
    if operator == _OR:
        return any(matches(one, collection, stored) for one in filters.filters)
    if operator == _NOT:
        return not matches(filters.filters[0], collection, stored)
    name = filters.target.property
    if name == "_id":
        wanted = _wanted(filters)
        return _compare(operator, [stored.uuid], wanted)
    declared = collection.find_property(name)
    if declared is None:
        raise Refused(f"no such prop with name '{name}' found in class '{collection.name}' in the schema")
    if not (declared["indexFilterable"] or declared["indexRangeFilters"]):
        raise Refused(f"Filtering by property '{name}' requires inverted index to be enabled.")
    kind = declared["dataType"][0]
    value = stored.properties.get(name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    wanted = _wanted(filters)
    if kind in TEXTS:
        cut = declared["tokenization"]
        terms = [term for text in values for term in tokens(text, cut)]
        if operator in (Operator.OPERATOR_EQUAL, Operator.OPERATOR_NOT_EQUAL):
            is_equal = all(term in terms for term in tokens(wanted[0], cut)) and bool(terms)
            return is_equal == (operator == Operator.OPERATOR_EQUAL)
        if operator == Operator.OPERATOR_CONTAINS_ANY:
            return any(all(term in terms for term in tokens(one, cut)) for one in wanted)
        return _compare(operator, terms, wanted)
    return _compare(operator, values, wanted)


def _wanted(filters: base_pb2.Filters) -> list[Any]:
    kind = filters.WhichOneof("test_value")
    value = getattr(filters, str(kind))
    return list(value.values) if kind and kind.endswith("_array") else [value]


_TESTS: dict[int, Callable[[Any, Any], bool]] = {
    Operator.OPERATOR_EQUAL: operators.eq,
    Operator.OPERATOR_NOT_EQUAL: operators.ne,
    Operator.OPERATOR_GREATER_THAN: operators.gt,
    Operator.OPERATOR_GREATER_THAN_EQUAL: operators.ge,
    Operator.OPERATOR_LESS_THAN: operators.lt,
    Operator.OPERATOR_LESS_THAN_EQUAL: operators.le,
    Operator.OPERATOR_CONTAINS_ANY: operators.eq,
}
_AND, _OR, _NOT = Operator.OPERATOR_AND, Operator.OPERATOR_OR, Operator.OPERATOR_NOT


def _compare(operator: int, values: Sequence[Any], wanted: Sequence[Any]) -> bool:
    if operator not in _TESTS:
        raise Refused(f"unsupported operator {operator}")
    test = _TESTS[operator]
    return any(test(value, one) for value in values for one in wanted)


def bm25(collection: Collection, objects: Iterable[Stored], query: str, properties: Sequence[str]) -> dict[str, float]:
    """Scores by UUID of the objects that have a word of the query."""
    config = collection.definition["invertedIndexConfig"]
    stopwords = ENGLISH if config["stopwords"]["preset"] == "en" else frozenset[str]()
    names = [one.partition("^")[0] for one in properties]
    names = names or [one["name"] for one in collection.definition["properties"] if one["indexSearchable"]]
    for name in names:
        declared = collection.find_property(name)
        if declared is None or not declared["indexSearchable"]:
            raise Refused(f"Searching by property '{name}' requires inverted index. Is `indexSearchable` enabled?")
    asked = [word for word in tokens(query, "word") if word not in stopwords]
    if not asked:
        raise Refused(
            "invalid search term, only stopwords provided. Stopwords can be configured in class.invertedIndexConfig.stopwords"
        )
    counts = {one.uuid: _counts(one, names) for one in objects}
    counts = {uuid: words for uuid, words in counts.items() if words}
    average = sum(words.total() for words in counts.values()) / len(counts) if counts else 1.0
    scores: dict[str, float] = {}
    for word in dict.fromkeys(asked):
        having = [uuid for uuid, words in counts.items() if words[word]]
        rarity = math.log(1 + (len(counts) - len(having) + 0.5) / (len(having) + 0.5))
        for uuid in having:
            times, length = counts[uuid][word], counts[uuid].total()
            k1, b = config["bm25"]["k1"], config["bm25"]["b"]
            weight = times / (times + k1 * (1 - b + b * length / average))
            scores[uuid] = scores.get(uuid, 0.0) + rarity * weight
    return scores


def _counts(stored: Stored, names: Sequence[str]) -> Counter[str]:
    words: Counter[str] = Counter()
    for name in names:
        value = stored.properties.get(name)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                words.update(tokens(text, "word"))
    return words
