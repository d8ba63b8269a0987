"""What must not be shown: values that look like keys and passwords by where they stand or where they came from."""

import re
from typing import Any

MASK = "**********"
"""What pydantic shows for a `SecretStr`."""

_SECRET_WORDS = {"apikey", "credential", "credentials", "key", "passphrase", "passwd", "password", "secret", "token"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_USER_OF_URL = re.compile(r"(?<=://)[^/@\s]+@")
_PARAMETER_OF_URL = re.compile(r"(?<=[?&])([\w.-]+)=[^&#\s]+")


def is_secret_name(name: object) -> bool:
    """Whether a key or an environment variable sounds as if its text were a secret: `api_token`, `HF_TOKEN`, `apiKey`, not `max_tokens`."""
    return not _SECRET_WORDS.isdisjoint(word.lower() for word in _WORD.findall(str(name)))


def masked(value: Any, *, is_secret: bool = False) -> Any:
    """A copy of parsed YAML without its secrets.

    Args:
        is_secret: whether all of it is one: then every text in it is masked, while numbers and switches stay.
    """
    if isinstance(value, dict):
        return {key: masked(member, is_secret=is_secret or is_secret_name(key)) for key, member in value.items()}
    if isinstance(value, list):
        return [masked(item, is_secret=is_secret) for item in value]
    if not isinstance(value, str) or not value:
        return value
    return MASK if is_secret else _masked_url(value)


def _masked_url(text: str) -> str:
    if "://" not in text:
        return text
    without_user = _USER_OF_URL.sub(f"{MASK}@", text)
    return _PARAMETER_OF_URL.sub(
        lambda match: f"{match[1]}={MASK}" if is_secret_name(match[1]) else match[0], without_user
    )


__all__ = ["MASK", "is_secret_name", "masked"]
