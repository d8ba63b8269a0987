"""The settings in a checkpoint's JSON files, read with complaints that name file and key."""

import math
from pathlib import Path
from typing import Any, Self

from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import read_json


class JsonSettings:
    """A JSON object of a checkpoint's file. A null counts as absent; what can't be used is a CheckpointError.

    Args:
        file: name of the file.
        values: the object.
        prefix: of the keys in complaints.
    """

    def __init__(self, file: str, values: dict[str, Any], prefix: str = "") -> None:
        self._file = file
        self._values = values
        self._prefix = prefix

    @classmethod
    def read(cls, file: Path) -> Self:
        """The settings in a file. Raises CheckpointError where it holds no readable JSON object."""
        return cls(file.name, read_json(file))

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it is."""
        value = self._values.get(key)
        return default if value is None else value

    def has(self, key: str) -> bool:
        """Whether the key is there, be it null."""
        return key in self._values

    def whole(self, key: str, most: int, default: int | None = None) -> int:
        """A whole number from 1 to `most`."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self.error(key, f"is {value!r}; it must be a whole number from 1 to {most}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number above 0."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.error(key, f"is {value!r}; it must be a number above 0")
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false; false where it is absent."""
        value = self.get(key, default=False)
        if not isinstance(value, bool):
            raise self.error(key, f"is {value!r}; it must be true or false")
        return value

    def section(self, key: str) -> Self | None:
        """The object below a key, if there is one."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.error(key, f"is {value!r}; it must be an object")
        return type(self)(self._file, value, f"{self._prefix}{key}.")

    def refuse(self, key: str) -> None:
        """Complains of a key whose value says anything."""
        if self.get(key):
            raise self.error(key, "is set; such checkpoints can't be served")

    def error(self, key: str, problem: str) -> CheckpointError:
        """A complaint of a key."""
        return CheckpointError(f"{self._file}: {self._prefix}{key} {problem}")


__all__ = ["JsonSettings"]
