"""Words as the banks of `inline::scripted` compare them: a vector bank by their stems, a keyword bank as they are written."""

import re
from collections.abc import Iterator

_WORD = re.compile(r"\w+")
_LITTLE = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "do", "does", "for", "from", "had", "has", "have", "how", "i", "if",
    "in", "into", "is", "it", "its", "me", "my", "no", "not", "of", "on", "or", "our", "so", "that", "the", "their", "them", "then", "there",
    "these", "they", "this", "to", "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "you", "your"
})  # fmt: skip
_ENDINGS = ("ing", "ers", "er", "ed", "es", "e", "s")
_LEAST_STEM = 3


def words_of(text: str) -> frozenset[str]:
    """The words of a text in lower case, without those that every text has."""
    return frozenset(_words(text))


def stems_of(text: str) -> frozenset[str]:
    """The same without their endings, so that `computers` and `computing` are one."""
    return frozenset(stem(word) for word in _words(text))


def stem(word: str) -> str:
    """A word without its ending, and without the consonant that the ending doubled: `programming` is `program`."""
    for ending in _ENDINGS:
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= _LEAST_STEM and not word.endswith("ss"):
            has_doubled = ending in ("ing", "ers", "er", "ed") and rest[-1] == rest[-2] and rest[-1] not in "ls"
            return rest[:-1] if has_doubled else rest
    return word


def _words(text: str) -> Iterator[str]:
    return (word for word in _WORD.findall(text.casefold()) if word not in _LITTLE)


__all__ = ["stem", "stems_of", "words_of"]
