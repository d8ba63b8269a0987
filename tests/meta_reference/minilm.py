"""The MiniLM that is installed as a package, and what sentence-transformers made of some texts with it."""

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hitchpost_meta_reference.inference.declarations import find_embedding_checkpoint

Vectors = NDArray[np.float32]
DIMENSION = 384
MAX_TOKENS = 256


def minilm_folder() -> Path:
    """The checkpoint. Fails where it isn't installed."""
    folder = find_embedding_checkpoint()
    assert folder is not None, "install hitchpost-meta-reference[embeddings]"
    return folder


@dataclass(frozen=True)
class Recorded:
    """A text and its vector."""

    name: str
    text: str
    vector: Vectors


def recorded_vectors() -> list[Recorded]:
    """See `note` in the file for how they were made."""
    content = json.loads(Path(__file__).with_name("minilm_vectors.json").read_text())
    return [
        Recorded(one["name"], one["text"], np.frombuffer(b64decode(one["vector"]), "<f4")) for one in content["vectors"]
    ]


def largest_difference(one: object, other: object) -> float:
    """Of any two numbers at one place."""
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).max())
