"""What must not be shown: values that look like keys and passwords by where they stand or where they came from."""

import re
from typing import Any

MASK = "**********"
"""What pydantic shows for a `SecretStr`."""

_SECRET_WORDS = {
    *("apikey", "auth", "authorization", "bearer", "cookie", "credential", "key"),
    *("passphrase", "passwd", "password", "pwd", "secret", "token"),
}
"""Each also as a plural."""
_WORDS_BY_TOKENS_OF_TEXT = {
    "burst",
    "completion",
    "in",
    "max",
    "min",
    "new",
    "num",
    "prompt",
    "special",
    "stop",
    "total",
}
"""Beside these, `tokens` are pieces of text."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_USER_OF_URL = re.compile(r"(?<=://)[^/@\s]+@")
_PARAMETER_OF_URL = re.compile(r"(?<=[?&])([\w.-]+)=[^&#\s]+")


def is_secret_name(name: object) -> bool:
    """Whether a key or an environment variable sounds as if its text were a secret: `api_token`, `HF_TOKENS`, `apiKey`, not `max_tokens`."""
    words = {word.lower() for word in _WORD.findall(str(name))}
    if words & _WORDS_BY_TOKENS_OF_TEXT:
        words.discard("tokens")
    return not _SECRET_WORDS.isdisjoint(word.removesuffix("s") for word in words)


def masked(value: Any) -> Any:
    """A copy of parsed YAML without its secrets.

    Text, lists and mappings under a key that sounds like one are masked whole; numbers and switches stay.
    """
    if isinstance(value, dict):
        return {key: _masked_member(key, member) for key, member in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return _masked_url(value) if isinstance(value, str) else value


def _masked_member(key: object, value: Any) -> Any:
    if not is_secret_name(key):
        return masked(value)
    return MASK if value and isinstance(value, str | list | dict) else value


def _masked_url(text: str) -> str:
    if "://" not in text:
        return text
    without_user = _USER_OF_URL.sub(f"{MASK}@", text)
    return _PARAMETER_OF_URL.sub(
        lambda match: f"{match[1]}={MASK}" if is_secret_name(match[1]) else match[0], without_user
    )


__all__ = ["MASK", "is_secret_name", "masked"]
