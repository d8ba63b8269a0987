"""What keys and values may be, the same in every store."""

import math
import re

from hitchpost.errors import BadRequestError, RequestTooLargeError

MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 8 * 1024 * 1024
PAGE_ROWS = 256
"""So many entries at most are read at once by a scan,"""
PAGE_BYTES = 1024 * 1024
"""and no further one when those before it have this size."""

_HIGHEST = "\U0010ffff"
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\U0010ffff]")


def checked_key(key: str) -> str:
    """The key itself.

    Raises:
        BadRequestError: it is empty, too long or holds a character that no key has.
    """
    if not key:
        raise BadRequestError("a key of the store is empty")
    return checked_prefix(key)


def checked_prefix(prefix: str) -> str:
    """The prefix itself, which may be empty.

    Raises:
        BadRequestError: no key can start with it.
    """
    if found := _FORBIDDEN.search(prefix):
        raise BadRequestError(f"a key of the store can't hold the character U+{ord(found[0]):04X}")
    if len(prefix.encode()) > MAX_KEY_BYTES:
        raise BadRequestError(
            f"a key of the store is at most {MAX_KEY_BYTES} bytes long; this one has {len(prefix.encode())}"
        )
    return prefix


def checked_value(value: str) -> str:
    """The value itself.

    Raises:
        BadRequestError: it holds NUL or half a surrogate pair.
        RequestTooLargeError: it is too large.
    """
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError as error:
        raise BadRequestError("a value of the store is not text: it holds half a surrogate pair") from error
    if "\0" in value:
        raise BadRequestError("a value of the store can't hold the character U+0000")
    if size > MAX_VALUE_BYTES:
        raise RequestTooLargeError(
            f"a value of the store is at most {MAX_VALUE_BYTES} bytes large; this one has {size}"
        )
    return value


def checked_ttl(ttl_s: float) -> float:
    """The time to live itself.

    Raises:
        BadRequestError: it is not a number of seconds above 0, or more than a year.
    """
    if not (math.isfinite(ttl_s) and 0 < ttl_s <= 366 * 86400):
        raise BadRequestError(f"a lease lives between 0 seconds and a year, not {ttl_s} s")
    return ttl_s


def prefix_end(prefix: str) -> str:
    """What is above every key with this prefix, and below every other key above them."""
    return prefix + _HIGHEST


def key_after(key: str) -> str:
    """What is above this key and not above any further one: no key holds a control character."""
    return key + "\x01"


__all__ = [
    "MAX_KEY_BYTES",
    "MAX_VALUE_BYTES",
    "PAGE_BYTES",
    "PAGE_ROWS",
    "checked_key",
    "checked_prefix",
    "checked_ttl",
    "checked_value",
    "key_after",
    "prefix_end",
]
