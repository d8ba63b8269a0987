"""What an engine process is told on its command line."""

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter
from pydantic_core import to_json

DtypeName = Literal["float32", "bfloat16", "float16"]
DeviceName = Literal["cuda", "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Which model, and how it runs."""

    checkpoint_dir: str
    dtype: DtypeName | None = None
    """None: as the checkpoint was saved."""
    device: DeviceName | None = None
    """None: cuda where there is one."""
    max_seq_len: int | None = None
    """None: the checkpoint's own context, at most `DEFAULT_MAX_SEQ_LEN`."""
    max_batch_size: int = 16
    """Cache slots: how many choices are made at once."""
    seed: int | None = None
    """For requests that bring none; None: a new one per process."""

    def to_argument(self) -> str:
        """This as one command-line argument."""
        return to_json(self).decode()

    @classmethod
    def from_argument(cls, argument: str) -> "EngineSettings":
        """The settings that `to_argument` wrote."""
        return _adapter.validate_json(argument)


DEFAULT_MAX_SEQ_LEN = 4096
"""The cache is taken at the start for all slots, and few need the 131,072 tokens of a Llama 3.1."""

_adapter = TypeAdapter(EngineSettings)

__all__ = ["DEFAULT_MAX_SEQ_LEN", "DeviceName", "DtypeName", "EngineSettings"]
