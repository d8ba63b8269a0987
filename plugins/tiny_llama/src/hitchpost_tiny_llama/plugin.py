"""What the entry point `tiny_llama` names: the preset that lets a host answer with nothing configured."""

from collections.abc import Sequence
from pathlib import Path

from hitchpost import hookimpl
from hitchpost.api import Api, RegisterModelRequest
from hitchpost.plugin import Preset

HITCHPOST_PLUGIN_API = 1

CHECKPOINT_DIR = Path(__file__).parent / "checkpoint"
"""A Hugging Face checkpoint: configuration, weights as bfloat16, tokenizer and chat template."""

NAME = "tiny-llama"


@hookimpl
def presets() -> Sequence[Preset]:
    """The preset `tiny-llama`: its provider and its model have the same name."""
    return [
        Preset(
            name=NAME,
            api=Api.inference,
            provider_id=NAME,
            provider_type="inline::meta-reference",
            config={
                "model": NAME,
                "checkpoint_dir": str(CHECKPOINT_DIR),
                "dtype": "float32",  # fast enough at this size, and the same answers on every processor
                "max_seq_len": 2048,
            },
            resources=[RegisterModelRequest(model_id=NAME, provider_id=NAME, metadata={"context_length": 2048})],
        )
    ]
