"""The tensors of a folder in Hugging Face's format, by their names; one at a time is read."""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hitchpost_meta_reference.engine.errors import CheckpointError
from hitchpost_meta_reference.engine.files import own_file, read_json


class SafetensorsFiles:
    """`model.safetensors`, or the files that `model.safetensors.index.json` names.

    Args:
        folder: the checkpoint.
        files: closes the files.
    """

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self._files: dict[str, tuple[str, Any]] = {}
        for name in _file_names(folder):
            try:
                opened = files.enter_context(safe_open(own_file(folder / name), framework="pt", device="cpu"))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{name} can't be read as safetensors: {error}") from error
            for tensor in opened.keys():  # noqa: SIM118 - it is no mapping
                if tensor in self._files:
                    raise CheckpointError(f"{name}: tensor {tensor} stands in {self._files[tensor][0]} too")
                self._files[tensor] = (name, opened)

    @property
    def names(self) -> set[str]:
        """Of all tensors."""
        return set(self._files)

    def dtype_of(self, name: str) -> torch.dtype:
        """What a tensor was saved in; float32 where it is missing."""
        return self.get(name).dtype if name in self._files else torch.float32

    def shape(self, name: str) -> tuple[int, ...] | None:
        """A tensor's shape, without reading it; None where it is missing."""
        if name not in self._files:
            return None
        return tuple(self._files[name][1].get_slice(name).get_shape())

    def get(self, name: str) -> Tensor:
        """A tensor. Raises CheckpointError where it can't be read."""
        try:
            tensor: Tensor = self._files[name][1].get_tensor(name)
        except (SafetensorError, AttributeError) as error:  # the latter for types that PyTorch hasn't got
            raise CheckpointError(f"{self.label(name)} can't be read: {error}") from error
        return tensor

    def label(self, name: str) -> str:
        """The file that a tensor is in, and its name there."""
        return f"{self._files[name][0]}: {name}" if name in self._files else name


def _file_names(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        if not (folder / "model.safetensors").is_file():
            raise CheckpointError(
                "the checkpoint has neither model.safetensors nor model.safetensors.index.json; "
                "weights in other formats must be converted to safetensors first"
            )
        return ["model.safetensors"]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index.name} has no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if not re.fullmatch(r"[\w.-]+\.safetensors", name) or not (folder / name).is_file():
            raise CheckpointError(f"{index.name} names {name!r}, which is no safetensors file of this folder")
    return names


__all__ = ["SafetensorsFiles"]
